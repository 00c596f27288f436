//! Many at once, through real stores.
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

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Condvar, Mutex};
use std::thread;

use common::*;
use vouchsafe_core::{
    AccountDigest, CellKey, ChargeId, Matched, NotMatched, NotVerified, Standing, Timestamp,
};
use vouchsafe_lockout::{
    Begin, LockoutEvent, LockoutMachine, LockoutState, LockoutVerdict as V, Wait,
};
use vouchsafe_store::{Cells, Loaded, MemoryStore, Put, StoreError, Swap, Turns, Version, drive};
use vouchsafe_store_postgres::PostgresStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{PostgresServer, SeededEntropy, block_on, runs};

/// A host's attempts on one account: a fair line, and a bell for whoever waits for a charge.
struct Desk<C> {
    cells: C,
    machine: LockoutMachine,
    entropy: SeededEntropy,
    turns: Turns,
    settled: Mutex<u64>,
    bell: Condvar,
}

impl<C: Cells> Desk<C> {
    fn new(cells: C) -> Self {
        Self {
            cells,
            machine: five_a_day(),
            entropy: SeededEntropy::new(1),
            turns: Turns::new(20_000, 20_000),
            settled: Mutex::new(0),
            bell: Condvar::new(),
        }
    }

    fn send(&self, event: LockoutEvent, now: Timestamp) -> V {
        let key = event.cell();
        block_on(drive(&self.cells, &self.entropy, key, &self.machine, event, now)).unwrap()
    }

    fn begin(&self) -> V {
        let begin = Begin::new(ACCOUNT, ChargeId::new(self.entropy.next()));
        let held = block_on(self.turns.take(LockoutState::key(ACCOUNT))).unwrap();
        let verdict = self.send(LockoutEvent::Begin(begin), START);
        drop(held);
        verdict
    }

    fn settle(&self, event: LockoutEvent) -> V {
        let verdict = self.send(event, START);
        *self.settled.lock().unwrap() += 1;
        self.bell.notify_all();
        verdict
    }

    /// Begins, and waits for others to settle while they hold all the charges.
    fn begin_waiting(&self) -> V {
        loop {
            let heard = *self.settled.lock().unwrap();
            match self.begin() {
                V::Wait { .. } => {
                    let settled = self.settled.lock().unwrap();
                    drop(self.bell.wait_while(settled, |settled| *settled == heard).unwrap());
                }
                verdict => return verdict,
            }
        }
    }
}

fn together(threads: usize, each: impl Fn(usize) + Sync) {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for index in 0..threads {
            let (start, each) = (&start, &each);
            thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn_scoped(scope, move || {
                    start.wait();
                    each(index);
                })
                .unwrap();
        }
    });
}

/// Of 10 000 wrong guesses at once, how many are hashed.
fn hashed_of_ten_thousand<C: Cells>(cells: C) -> usize {
    let desk = Desk::new(cells);
    let hashed = AtomicUsize::new(0);
    together(50, |thread| {
        for guess in 0..200 {
            if let V::Admitted(charged) = desk.begin() {
                hashed.fetch_add(1, Ordering::SeqCst);
                // Some fail, some are dropped half-way: both stay counted.
                if (thread + guess) % 2 == 0 {
                    desk.settle(LockoutEvent::NotMatched(NotMatched::assertion(charged)));
                }
            }
        }
    });
    hashed.into_inner()
}

#[test]
fn ten_thousand_begins_admit_five_in_memory() {
    assert_eq!(hashed_of_ten_thousand(MemoryStore::new(1 << 20)), 5);
}

#[test]
fn ten_thousand_begins_admit_five_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(folder.path().join("lockout.db"))
        .deadline(std::time::Duration::from_secs(60))
        .open()
        .unwrap();
    assert_eq!(hashed_of_ten_thousand(store), 5);
}

#[test]
fn ten_thousand_begins_admit_five_on_postgres() {
    let server = PostgresServer::shared();
    let options = PostgresStore::builder(server.url().parse().unwrap());
    // All the time there is, and a server that does not sync: what is shown here is the counting.
    let patient = std::time::Duration::from_secs(60);
    let options = options.schema(server.fresh_schema()).danger_accept_unsynced();
    let store = block_on(options.deadline(patient).connect_timeout(patient).open()).unwrap();
    assert_eq!(hashed_of_ten_thousand(store), 5);
}

/// Correct logins at once: all succeed, and nobody is told "locked".
fn correct_logins<C: Cells>(cells: C, logins: usize) {
    let desk = Desk::new(cells);
    let (inside, most, succeeded) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    together(logins, |login| match desk.begin_waiting() {
        V::Admitted(charged) => {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            if login % 10 == 9 {
                // The hasher was overloaded: not charged, tried again.
                let refund = LockoutEvent::NotVerified(NotVerified::assertion(charged));
                assert!(matches!(desk.settle(refund), V::Refunded));
                let V::Admitted(again) = desk.begin_waiting() else { panic!("refused") };
                desk.settle(LockoutEvent::Matched(Matched::assertion(again, Standing::Chosen)));
            } else {
                let event = LockoutEvent::Matched(Matched::assertion(charged, Standing::Chosen));
                assert!(matches!(desk.settle(event), V::Authenticated { .. }));
            }
            succeeded.fetch_add(1, Ordering::SeqCst);
        }
        other => panic!("told {other:?}"),
    });
    assert_eq!(succeeded.into_inner(), logins);
    assert!(most.into_inner() <= 5, "more verified at once than there are charges");
    let left = block_on(desk.cells.load(LockoutState::key(ACCOUNT))).unwrap();
    assert_eq!(left.cell, None, "a charge was left behind");
}

#[test]
fn a_thousand_correct_logins_at_once_all_succeed_in_memory() {
    correct_logins(MemoryStore::new(1 << 20), 1_000);
}

#[test]
fn a_thousand_correct_logins_at_once_all_succeed_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(folder.path().join("lockout.db"))
        .deadline(std::time::Duration::from_secs(60))
        .open()
        .unwrap();
    correct_logins(store, runs(200, 1_000));
}

#[test]
fn the_line_is_bounded_and_whoever_is_beyond_it_is_not_charged() {
    let wait = Wait::default();
    let turns = Turns::new(wait.per_key as usize, wait.per_process as usize);
    let key = LockoutState::key(ACCOUNT);
    let first = block_on(turns.take(key)).unwrap();
    let mut waiting: Vec<_> = (1..wait.per_key).map(|_| Box::pin(turns.take(key))).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for turn in &mut waiting {
        assert!(turn.as_mut().poll(&mut context).is_pending());
    }
    assert!(block_on(turns.take(key)).is_err(), "one too many");
    let other = LockoutState::key(AccountDigest::new([8; 16]));
    assert!(block_on(turns.take(other)).is_ok(), "other accounts are served");
    drop((first, waiting));
    assert!(turns.is_empty());
}

/// Counts round trips, and loses a race or a reply where told.
#[derive(Default)]
struct Counting {
    loads: AtomicUsize,
    swaps: AtomicUsize,
    /// What the next swaps meet.
    next: Mutex<Vec<Trouble>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    /// Another node was faster.
    LostRace,
    /// It is done, but the answer is lost.
    LostReply,
}

struct Troubled<C> {
    cells: C,
    count: Counting,
}

impl<C: Cells> Cells for Troubled<C> {
    vouchsafe_testkit::pass_on!(cells: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.count.loads.fetch_add(1, Ordering::SeqCst);
        self.cells.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.count.swaps.fetch_add(1, Ordering::SeqCst);
        let trouble = self.count.next.lock().unwrap().pop();
        match trouble {
            None => self.cells.swap(key, expected, put).await,
            Some(Trouble::LostRace) => {
                // The other node charges the account.
                let (machine, entropy) = (five_a_day(), SeededEntropy::new(99));
                drive(&self.cells, &entropy, key, &machine, begin(4_711), START).await.unwrap();
                self.cells.swap(key, expected, put).await
            }
            Some(Trouble::LostReply) => {
                self.cells.swap(key, expected, put).await.unwrap();
                Err(StoreError::Unavailable("reply lost".into()))
            }
        }
    }
}

fn troubled() -> Desk<Troubled<MemoryStore>> {
    Desk::new(Troubled { cells: MemoryStore::new(1 << 20), count: Counting::default() })
}

impl Desk<Troubled<MemoryStore>> {
    fn trips(&self) -> (usize, usize) {
        let count = &self.cells.count;
        (count.loads.swap(0, Ordering::SeqCst), count.swaps.swap(0, Ordering::SeqCst))
    }

    fn next(&self, troubles: &[Trouble]) {
        *self.cells.count.next.lock().unwrap() = troubles.iter().rev().copied().collect();
    }

    fn charges(&self) -> usize {
        let loaded = block_on(self.cells.cells.load(LockoutState::key(ACCOUNT))).unwrap();
        let state = loaded
            .cell
            .map(|cell| <LockoutState as vouchsafe_core::Cell>::from_bytes(cell.bytes).unwrap());
        state.map_or(0, |state| state.len())
    }
}

#[test]
fn one_load_and_one_swap_before_verification_and_none_for_the_locked() {
    let desk = troubled();
    for _ in 0..5 {
        let V::Admitted(charged) = desk.begin() else { panic!("refused") };
        assert_eq!(desk.trips(), (1, 1));
        desk.settle(LockoutEvent::NotMatched(NotMatched::assertion(charged)));
        desk.trips();
    }
    for _ in 0..10 {
        assert!(matches!(desk.begin(), V::Locked { .. }));
        assert_eq!(desk.trips(), (1, 0));
    }
}

#[test]
fn a_lost_race_costs_one_more_swap_and_no_load() {
    let desk = troubled();
    desk.next(&[Trouble::LostRace]);
    assert!(matches!(desk.begin(), V::Admitted(_)));
    assert_eq!(desk.trips(), (1, 2));
    assert_eq!(desk.charges(), 2);
}

#[test]
fn lost_replies_leave_one_charge_and_refunded_none() {
    for round in 0..10 {
        let desk = troubled();
        desk.next(&[Trouble::LostReply]);
        let V::Admitted(charged) = desk.begin() else { panic!("refused in round {round}") };
        assert_eq!(desk.charges(), 1, "charged once");
        desk.next(&[Trouble::LostReply]);
        desk.settle(LockoutEvent::NotVerified(NotVerified::assertion(charged)));
        assert_eq!(desk.charges(), 0);
    }
}

#[test]
fn ten_unanswered_begins_do_not_keep_the_owner_out() {
    let desk = troubled();
    for round in 0..10 {
        // The charge is made, then nothing answers any more: the event comes back.
        desk.next(&[Trouble::LostReply]);
        let lost = LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(round)));
        let stuck = Stuck { cells: &desk.cells };
        let key = lost.cell();
        let undelivered =
            block_on(drive(&stuck, &desk.entropy, key, &desk.machine, lost, START)).unwrap_err();
        assert_eq!(desk.charges(), 1, "the charge was made");
        let LockoutEvent::Begin(begin) = undelivered.event else { panic!("another event") };
        desk.settle(LockoutEvent::NotVerified(begin.withdraw()));
        assert_eq!(desk.charges(), 0);
    }
    assert!(matches!(desk.begin(), V::Admitted(_)));
}

/// Answers its first load only.
struct Stuck<'a, C> {
    cells: &'a C,
}

impl<C: Cells> Cells for Stuck<'_, C> {
    vouchsafe_testkit::pass_on!(cells: swap scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let loaded = self.cells.load(key).await?;
        if loaded.cell.is_some() { Err(StoreError::Unavailable("down".into())) } else { Ok(loaded) }
    }
}
