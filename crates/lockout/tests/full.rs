//! What a full store that several processes may share does to the count: nothing is lost, nobody is
//! let by.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::*;
use vouchsafe_core::{
    AccountDigest, CellKey, ChargeId, Matched, NotMatched, Space, Standing, Timestamp,
};
use vouchsafe_lockout::{Begin, LockoutEvent, LockoutMachine, LockoutState, LockoutVerdict as V};
use vouchsafe_store::{Cells, MemoryStore, Put, StoreError, Swap, Undelivered, Version, drive};
use vouchsafe_store_postgres::PostgresStore;
use vouchsafe_store_redis::RedisStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{PostgresServer, RedisServer, SeededEntropy, block_on};

struct Desk<'a, C> {
    cells: &'a C,
    machine: LockoutMachine,
    entropy: SeededEntropy,
}

impl<C: Cells> Desk<'_, C> {
    fn send(&self, event: LockoutEvent) -> Result<V, Undelivered<LockoutEvent>> {
        let key = event.cell();
        block_on(drive(self.cells, &self.entropy, key, &self.machine, event, START))
    }

    fn begin(&self, account: AccountDigest) -> Result<V, Undelivered<LockoutEvent>> {
        let begin = Begin::new(account, ChargeId::new(self.entropy.next()));
        self.send(LockoutEvent::Begin(begin))
    }

    /// Whether it was verified.
    fn guess(&self, account: AccountDigest) -> bool {
        match self.begin(account) {
            Ok(V::Admitted(charged)) => {
                let settle = LockoutEvent::NotMatched(NotMatched::assertion(charged));
                match self.send(settle) {
                    // A store that takes no write at all when it is full keeps it as undecided.
                    Ok(V::Failed { .. }) | Err(Undelivered { error: StoreError::Full, .. }) => true,
                    other => panic!("{other:?}"),
                }
            }
            Ok(V::Locked { .. } | V::Wait { .. }) => false,
            Err(Undelivered { error: StoreError::Full, .. }) => false,
            other => panic!("{other:?}"),
        }
    }

    /// Fills the store with cells of others.
    fn fill(&self) -> Vec<(CellKey, Version)> {
        let mut junk = Vec::new();
        for len in [30_000, 1_000, 100, 1] {
            loop {
                let version = Version::fresh(&self.entropy).unwrap();
                let key = CellKey::new(Space::System, *version.as_bytes());
                let put = Put::save(vec![1; len], Timestamp::MAX, version);
                match block_on(self.cells.swap(key, None, put)).unwrap() {
                    Swap::Done => junk.push((key, version)),
                    Swap::Full => break,
                    conflict => panic!("{conflict:?}"),
                }
            }
        }
        junk
    }
}

fn account(number: u32) -> AccountDigest {
    AccountDigest::new(u128::from(number).to_le_bytes())
}

/// Somebody is refused for want of room.
fn full<C: Cells>(desk: &Desk<'_, C>) {
    let is_full = |number| {
        let begun = desk.begin(account(number));
        matches!(begun, Err(Undelivered { error: StoreError::Full, .. }))
    };
    // A server's own buffers come and go.
    assert!((100..5_000).any(is_full));
}

fn keeps_count<C: Cells>(cells: &C) {
    let desk = Desk { cells, machine: five_a_day(), entropy: SeededEntropy::new(1) };
    let (locked, open, new) = (account(1), account(2), account(3));
    assert_eq!((0..9).filter(|_| desk.guess(locked)).count(), 5);
    assert!(desk.guess(open));
    let Ok(V::Admitted(in_flight)) = desk.begin(open) else { panic!("refused") };
    let junk = desk.fill();
    // Here and there is a corner left: what it takes counts as ever.
    let mut by = [0; 2];
    for _ in 0..20 {
        assert!(!desk.guess(locked));
        for (by, account) in by.iter_mut().zip([open, new]) {
            *by += usize::from(desk.guess(account));
        }
    }
    assert!(by[0] <= 3 && by[1] <= 5, "{by:?} more");
    full(&desk);
    // What is owed to whoever was admitted before is given, at the latest when there is room.
    let right = LockoutEvent::Matched(Matched::assertion(in_flight, Standing::Chosen));
    let owed = desk.send(right);
    for account in [locked, open] {
        assert!(block_on(cells.load(LockoutState::key(account))).unwrap().cell.is_some());
    }
    // There is room again.
    for (key, version) in junk {
        assert_eq!(block_on(cells.swap(key, Some(version), Put::Erase)).unwrap(), Swap::Done);
    }
    let given = match owed {
        Err(Undelivered { error: StoreError::Full, event }) => desk.send(event),
        given => given,
    };
    assert!(matches!(given, Ok(V::Authenticated { .. })), "{given:?}");
    assert_eq!((0..9).filter(|_| desk.guess(locked)).count(), 0);
    assert_eq!((0..9).filter(|_| desk.guess(open)).count(), 4 - by[0]);
    assert_eq!((0..9).filter(|_| desk.guess(new)).count(), 5 - by[1]);
}

#[test]
fn a_full_store_in_memory_keeps_count() {
    keeps_count(&MemoryStore::new(1 << 20));
}

#[test]
fn a_full_file_keeps_count() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(folder.path().join("full.db")).max_bytes(1 << 20);
    keeps_count(&store.deadline(Duration::from_secs(60)).open().unwrap());
}

#[test]
fn a_full_table_keeps_count() {
    let server = PostgresServer::shared();
    let options = PostgresStore::builder(server.url().parse().unwrap());
    let patient = Duration::from_secs(60);
    let options = options.schema(server.fresh_schema()).danger_accept_unsynced();
    let options = options.deadline(patient).connect_timeout(patient).max_bytes(1 << 20);
    keeps_count(&block_on(options.open()).unwrap());
}

#[test]
fn a_full_redis_keeps_count() {
    let server = RedisServer::with(&["maxmemory 16mb"]);
    let patient = Duration::from_secs(60);
    keeps_count(&RedisStore::builder(server.url()).deadline(patient).open().unwrap());
}
