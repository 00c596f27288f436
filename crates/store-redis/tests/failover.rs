//! LK-18: what a failover loses, and how it is told.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vouchsafe_core::{
    AccountDigest, Cell, CellKey, ChargeId, NotMatched, PolicyDigest, Space, Timestamp,
};
use vouchsafe_lockout::{
    Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState, LockoutVerdict as V,
};
use vouchsafe_store::{Cells, Durability, Put, StoreError, Swap, Version, drive};
use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{RedisServer, SeededEntropy, block_on};

const DAY: Duration = Duration::from_secs(86_400);

fn patient(server: &RedisServer) -> RedisStore {
    RedisStore::builder(server.url()).deadline(Duration::from_secs(60)).open().unwrap()
}

/// Makes the replica a primary.
fn promote(replica: &RedisServer) {
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), "OK");
}

/// A guess with the wrong password; whether it was hashed.
fn wrong_guess(store: &RedisStore, entropy: &SeededEntropy, account: AccountDigest) -> bool {
    let policy = LockoutPolicy::builder().limit(Limit::new(5, DAY)).build().unwrap();
    let machine = LockoutMachine::new(policy, PolicyDigest::NONE);
    let send = |event: LockoutEvent| {
        let key = event.cell();
        block_on(drive(store, entropy, key, &machine, event, Timestamp::EPOCH)).unwrap()
    };
    let begin = Begin::new(account, ChargeId::new(entropy.next()));
    match send(LockoutEvent::Begin(begin)) {
        V::Admitted(charged) => {
            send(LockoutEvent::NotMatched(NotMatched::assertion(charged)));
            true
        }
        V::Locked { .. } => false,
        other => panic!("{other:?}"),
    }
}

/// How many live failures the store remembers of an account.
fn failures(store: &RedisStore, account: AccountDigest) -> usize {
    let cell = block_on(store.load(LockoutState::key(account))).unwrap().cell;
    cell.map_or(0, |cell| LockoutState::from_bytes(cell.bytes).unwrap().len())
}

/// A replica that is cut off before its primary dies loses what was acknowledged meanwhile. The
/// account's bound is then N and what was lost, exactly, and never more.
#[test]
fn a_failover_costs_as_many_guesses_as_failures_were_lost() {
    for before in [0, 3, 5_usize] {
        let primary = RedisServer::start();
        let replica = primary.replica();
        let store = patient(&primary);
        assert_eq!(store.durability(), Durability::MayRollBack);
        let (entropy, account) = (SeededEntropy::new(1), AccountDigest::new([before as u8; 16]));
        let mut hashed = 0;
        for _ in 0..before {
            hashed += usize::from(wrong_guess(&store, &entropy, account));
        }
        let offset = |server: &RedisServer| {
            let text = server.ask(&["INFO", "replication"]);
            text.lines().find(|line| line.starts_with("master_repl_offset:")).unwrap().to_owned()
        };
        assert!(eventually(|| offset(&primary) == offset(&replica)), "the replica has them");
        // From here on nothing reaches the replica: cut off, it is made the primary.
        promote(&replica);
        while wrong_guess(&store, &entropy, account) {
            hashed += 1;
        }
        assert_eq!(hashed, 5);
        primary.kill();
        let promoted = patient(&replica);
        let lost = 5 - failures(&promoted, account);
        println!("{before} failures replicated: {lost} of 5 lost, {} guesses in all", 5 + lost);
        assert_eq!(lost, 5 - before);
        while wrong_guess(&promoted, &entropy, account) {
            hashed += 1;
        }
        assert_eq!(hashed, 5 + lost, "the bound is N and what was lost");
    }
}

/// Swaps under way when the primary dies: how many that were acknowledged the replica never got.
#[test]
fn what_a_failover_under_load_loses_is_measured() {
    let primary = RedisServer::start();
    let replica = primary.replica();
    let store = patient(&primary);
    let acknowledged: Vec<AtomicU64> = (0..16).map(|_| AtomicU64::new(0)).collect();
    let cell = |caller: usize| CellKey::new(Space::System, [(caller as u8) << 4; 16]);
    std::thread::scope(|scope| {
        for (caller, acknowledged) in acknowledged.iter().enumerate() {
            let store = &store;
            scope.spawn(move || {
                let (entropy, mut was) = (SeededEntropy::new(caller as u64), None);
                for count in 1_u64.. {
                    let to = Version::fresh(&entropy).unwrap();
                    let put = Put::save(count.to_be_bytes().to_vec(), Timestamp::MAX, to);
                    match block_on(store.swap(cell(caller), was, put)) {
                        Ok(Swap::Done) => acknowledged.store(count, Ordering::SeqCst),
                        Ok(other) => panic!("{other:?}"),
                        Err(StoreError::Unavailable(_)) => return,
                        Err(error) => panic!("{error}"),
                    }
                    was = Some(to);
                }
            });
        }
        assert!(eventually(|| acknowledged.iter().all(|a| a.load(Ordering::SeqCst) > 50)));
        primary.kill();
    });
    promote(&replica);
    let promoted = patient(&replica);
    let (mut all, mut lost) = (0, 0);
    for (caller, acknowledged) in acknowledged.into_iter().enumerate() {
        let bytes = block_on(promoted.load(cell(caller))).unwrap().cell.map(|cell| cell.bytes);
        let there = bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        let acknowledged = acknowledged.into_inner();
        // It lost the latest, or has one more that was not answered; it never made anything up.
        assert!(there <= acknowledged + 1);
        all += acknowledged;
        lost += acknowledged.saturating_sub(there);
    }
    println!("a failover under load lost {lost} of {all} acknowledged swaps");
    assert!(lost < all, "the replica had nothing");
}

#[test]
fn a_server_that_is_another_than_before_is_told() {
    let server = RedisServer::start();
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let store = RedisStore::builder(server.url())
        .deadline(Duration::from_secs(60))
        .on_degraded(move |degraded| {
            assert!(!degraded.was_durable, "it kept nothing");
            tell.fetch_add(1, Ordering::SeqCst);
        })
        .open()
        .unwrap();
    let key = CellKey::new(Space::Account, [7; 16]);
    let put = || Put::save(Vec::new(), Timestamp::MAX, Version::new([1; 16]));
    assert_eq!(block_on(store.swap(key, None, put())).unwrap(), Swap::Done);
    let loads = || eventually(|| block_on(store.load(key)).is_ok());
    // A connection that broke is no loss.
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    assert!(loads());
    assert_eq!((store.degraded(), told.load(Ordering::SeqCst)), (0, 0));
    // Another process behind the address, without the cell.
    server.restart();
    assert!(loads());
    assert_eq!((store.degraded(), told.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(block_on(store.load(key)).unwrap().cell, None);
    // The same process, which was a replica meanwhile and has another's data.
    let other = RedisServer::start();
    server.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    assert!(matches!(block_on(store.load(key)), Err(StoreError::Unavailable(_))), "stale");
    assert!(block_on(store.load(key)).is_err());
    promote(&server);
    assert!(loads());
    assert_eq!((store.degraded(), told.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(store.losses(), 2);
}

/// A server that began to evict behind our back is not connected to again.
#[test]
fn the_eviction_policy_is_looked_at_again_with_each_connection() {
    let server = RedisServer::start();
    let store = patient(&server);
    let key = CellKey::new(Space::Account, [7; 16]);
    block_on(store.load(key)).unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    assert!(eventually(|| block_on(store.load(key)).is_err()));
    let error = block_on(store.load(key)).unwrap_err();
    assert!(error.to_string().contains("allkeys-lru"), "{error}");
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert!(eventually(|| block_on(store.load(key)).is_ok()));
}
