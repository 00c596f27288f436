//! Cells in a cluster of several servers: found, moved, and found again when a server is lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use vouchsafe_core::{Cell, CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Durability, Put, StoreError, drive};
use vouchsafe_store_redis::{RedisError, RedisStore};
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{
    RedisCluster, RedisServer, SeededEntropy, Tallied, Tally, TallyEvent, block_on, runs,
};

const KEY: CellKey = CellKey::new(Space::Account, [0x77; 16]);
/// A key with the hash tag of `KEY`'s group.
const TAG: &str = "vouchsafe{017}";

fn patient(url: impl Into<String>) -> RedisStore {
    RedisStore::builder(url).deadline(Duration::from_secs(60)).open().unwrap()
}

/// One in each group of a space.
fn keys() -> Vec<CellKey> {
    (0..16).map(|group| CellKey::new(Space::Account, [group << 4 | 7; 16])).collect()
}

fn add(cells: &impl Cells, entropy: &SeededEntropy, key: CellKey, id: u64) -> usize {
    let event = TallyEvent::Add(id);
    block_on(drive(cells, entropy, key, &Tally, event, Timestamp::EPOCH)).unwrap()
}

fn tally(cells: &impl Cells, key: CellKey) -> Vec<u64> {
    let cell = block_on(cells.load(key)).unwrap().cell;
    cell.map_or_else(Vec::new, |cell| Tallied::from_bytes(cell.bytes).unwrap().ids)
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// How often a server was asked to run a script, and how often it sent the caller elsewhere.
fn asked(server: &RedisServer) -> (u64, u64) {
    let stats = server.ask(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let number = |name: &str| {
        let rest = line.and_then(|line| line.split_once(name)).map_or("0", |(_, rest)| rest);
        rest.split(',').next().unwrap().trim().parse::<u64>().unwrap()
    };
    (number("calls="), number("rejected_calls="))
}

mod suite {
    use super::*;

    /// One cluster for all; each test has a prefix of its own.
    fn open() -> impl Fn() -> RedisStore {
        static CLUSTER: OnceLock<RedisCluster> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let url = CLUSTER.get_or_init(RedisCluster::start).url();
        let prefix = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let deadline = Duration::from_secs(60);
        move || RedisStore::builder(&url).prefix(&prefix).deadline(deadline).open().unwrap()
    }

    vouchsafe_testkit::suite!(open, persistent);
}

#[test]
fn each_group_is_found_and_then_one_round_trip_away() {
    let cluster = RedisCluster::start();
    let (store, entropy) = (patient(cluster.url()), SeededEntropy::new(1));
    for key in keys() {
        add(&store, &entropy, key, 1);
    }
    // Every server has some, none of them twice.
    let sizes = cluster.primaries().iter().map(|server| server.ask(&["DBSIZE"]).parse::<usize>());
    let sizes: Vec<usize> = sizes.map(Result::unwrap).collect();
    assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    // A key of the cell, and one of each of its group's sets.
    assert_eq!(sizes.iter().sum::<usize>(), 16 * 3);
    for server in cluster.primaries() {
        server.ask(&["CONFIG", "RESETSTAT"]);
    }
    for key in keys() {
        assert_eq!(add(&store, &entropy, key, 2), 2);
    }
    let asked: Vec<(u64, u64)> = cluster.primaries().iter().map(asked).collect();
    assert_eq!(asked.iter().map(|(calls, _)| calls).sum::<u64>(), 16 * 2, "{asked:?}");
    assert!(asked.iter().all(|(_, sent_on)| *sent_on == 0), "{asked:?}");
    // A scan walks all servers.
    assert_eq!(block_on(store.scan(Space::Account, None, 100)).unwrap(), keys());
    assert_eq!(block_on(store.sweep(Timestamp::MAX, 100)).unwrap(), 0);
}

#[test]
fn a_slot_that_was_moved_is_followed() {
    let cluster = RedisCluster::start();
    let (store, entropy) = (patient(cluster.url()), SeededEntropy::new(1));
    add(&store, &entropy, KEY, 1);
    let (from, slot) = cluster.owner(TAG);
    let to = (from + 1) % 3;
    cluster.move_slot(&slot, from, to, || {});
    assert_eq!(cluster.owner(TAG).0, to);
    assert_eq!(add(&store, &entropy, KEY, 2), 2);
    for server in cluster.primaries() {
        server.ask(&["CONFIG", "RESETSTAT"]);
    }
    assert_eq!(add(&store, &entropy, KEY, 3), 3);
    assert_eq!(asked(&cluster.primaries()[to]), (2, 0));
    assert_eq!(asked(&cluster.primaries()[from]), (0, 0));
    // Nothing was lost, and nobody says so.
    assert_eq!((tally(&store, KEY), store.degraded()), (vec![1, 2, 3], 0));
}

/// Key by key: what has gone over is found there, what has not is still here. What needs keys of
/// both sides is not done by halves.
#[test]
fn while_a_slot_moves_nothing_is_lost_or_done_twice() {
    let cluster = RedisCluster::start();
    let entropy = SeededEntropy::new(1);
    let (hasty, patient) = (RedisStore::open(cluster.url()).unwrap(), patient(cluster.url()));
    // Of one group, so of one slot.
    let keys: Vec<CellKey> = (0..5).map(|n| CellKey::new(Space::Account, [0x70 | n; 16])).collect();
    for key in &keys {
        add(&patient, &entropy, *key, 0);
    }
    let new = CellKey::new(Space::Account, [0x7f; 16]);
    let (from, slot) = cluster.owner(TAG);
    let (mut done, mut waited) = (vec![0_u64; keys.len()], 0);
    let mut id = 0;
    cluster.move_slot(&slot, from, (from + 1) % 3, || {
        id += 1;
        for (key, done) in keys.iter().zip(&mut done) {
            // A load always finds it, wherever it is.
            let loaded = block_on(patient.load(*key)).unwrap();
            let found = Tallied::from_bytes(loaded.cell.unwrap().bytes).unwrap().ids.len();
            assert_eq!(u64::try_from(found).unwrap(), *done + 1);
            let event = TallyEvent::Add(id);
            let driven = drive(&hasty, &entropy, *key, &Tally, event, Timestamp::EPOCH);
            match block_on(driven) {
                Ok(_) => *done += 1,
                Err(undelivered) => {
                    assert!(is_unavailable(Err::<(), _>(undelivered.error)));
                    waited += 1;
                }
            }
        }
        assert_eq!(block_on(patient.load(new)).unwrap().cell, None);
    });
    println!("{waited} calls had to wait for the end of it");
    // Afterwards all is as it was, and goes on.
    for (key, done) in keys.iter().zip(done) {
        assert_eq!(u64::try_from(add(&patient, &entropy, *key, 1000)).unwrap(), done + 2);
    }
    assert_eq!(add(&hasty, &entropy, new, 1), 1);
    assert_eq!(block_on(patient.scan(Space::Account, None, 100)).unwrap().len(), keys.len() + 1);
}

/// What needs keys of both sides is tried again until they are all on one.
#[test]
fn a_new_cell_waits_until_its_slot_has_moved() {
    let (cluster, entropy) = (RedisCluster::start(), SeededEntropy::new(1));
    let store = patient(cluster.url());
    add(&store, &entropy, KEY, 0);
    let new = CellKey::new(Space::Account, [0x7f; 16]);
    let (from, slot) = cluster.owner(TAG);
    let to = (from + 1) % 3;
    let says = |server: &RedisServer| server.ask(&["INFO", "errorstats"]).contains("TRYAGAIN");
    let refused = || cluster.primaries().iter().any(says);
    thread::scope(|scope| {
        let mut adding = None;
        cluster.move_slot(&slot, from, to, || {
            if adding.is_none() {
                let (store, entropy) = (&store, &entropy);
                adding = Some(scope.spawn(move || add(store, entropy, new, 1)));
                assert!(eventually(refused));
            }
        });
        assert_eq!(adding.unwrap().join().unwrap(), 1);
    });
}

/// Callers count up while slots wander: each acknowledged once, none twice.
#[test]
fn slots_are_moved_under_callers() {
    let cluster = RedisCluster::start();
    let store = patient(cluster.url());
    let over = AtomicBool::new(false);
    let counted: Vec<AtomicU64> = keys().iter().map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for (caller, counted) in counted.iter().enumerate().take(8) {
            let (store, over) = (&store, &over);
            scope.spawn(move || {
                let entropy = SeededEntropy::new(u64::try_from(caller).unwrap() << 32);
                for id in 0.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    add(store, &entropy, keys()[caller], id % 50);
                    counted.store(id + 1, Ordering::SeqCst);
                }
            });
        }
        let count = |at: usize| counted[at].load(Ordering::SeqCst);
        for round in 0..runs(6, 200) {
            let at = round % 8;
            let (from, slot) = cluster.owner(&format!("vouchsafe{{01{at:x}}}"));
            cluster.move_slot(&slot, from, (from + 1) % 3, || {});
            let before = count(at);
            assert!(eventually(|| count(at) > before + 2), "it goes on");
        }
        over.store(true, Ordering::SeqCst);
    });
    for (caller, counted) in counted.into_iter().enumerate().take(8) {
        let mut ids = tally(&store, keys()[caller]);
        ids.sort_unstable();
        assert_eq!(ids, (0..counted.into_inner().min(50)).collect::<Vec<_>>());
    }
    assert_eq!(store.degraded(), 0);
}

#[test]
fn a_killed_primary_is_unavailable_until_its_replica_takes_over() {
    let mut cluster = RedisCluster::start();
    let (of, _) = cluster.owner(TAG);
    let replica = cluster.replica(of);
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let others = cluster.primaries().iter().map(RedisServer::url).collect::<Vec<_>>();
    let store = RedisStore::builder(&others[0])
        .node(&others[1])
        .node(&others[2])
        .on_degraded(move |degraded| {
            assert_ne!(degraded.was, degraded.is);
            assert!(!degraded.was_durable);
            tell.fetch_add(1, Ordering::SeqCst);
        })
        .open()
        .unwrap();
    let entropy = SeededEntropy::new(1);
    let reached = |key| eventually(|| block_on(store.load(key)).is_ok());
    for key in keys() {
        assert!(reached(key));
    }
    add(&patient(cluster.url()), &entropy, KEY, 1);
    let offset = |server: &RedisServer| {
        let text = server.ask(&["INFO", "replication"]);
        text.lines().find(|line| line.starts_with("master_repl_offset:")).unwrap().to_owned()
    };
    let dead = &cluster.primaries()[of];
    assert!(eventually(|| offset(dead) == offset(&replica)), "the replica has it");
    dead.kill();
    for _ in 0..5 {
        assert!(is_unavailable(block_on(store.load(KEY))));
        assert!(is_unavailable(block_on(store.swap(KEY, None, Put::Erase))));
    }
    // The other two serve what is theirs.
    let theirs = |key: &CellKey| cluster_owner(&cluster, of, key) != of;
    let theirs: Vec<CellKey> = keys().into_iter().filter(theirs).collect();
    assert!(!theirs.is_empty());
    for key in theirs {
        assert!(reached(key));
    }
    assert_eq!(store.degraded(), 0);
    RedisCluster::take_over(&replica);
    assert!(reached(KEY));
    assert_eq!((store.degraded(), told.load(Ordering::SeqCst)), (1, 1));
    let patient = patient(&others[(of + 1) % 3]);
    assert_eq!(tally(&patient, KEY), [1]);
    assert_eq!(add(&patient, &entropy, KEY, 2), 2);
    // What it has taken over from is gone for good: that is no news.
    assert_eq!(patient.degraded(), 0);
}

/// By another server than the dead one.
fn cluster_owner(cluster: &RedisCluster, dead: usize, key: &CellKey) -> usize {
    let tag = format!("vouchsafe{{01{:x}}}", key.digest[0] >> 4);
    let alive = &cluster.primaries()[(dead + 1) % 3];
    match alive.ask(&["EXISTS", &tag]).rsplit_once(':') {
        Some((_, port)) => cluster.primaries().iter().position(|s| s.port().to_string() == port),
        None => Some((dead + 1) % 3),
    }
    .unwrap()
}

#[test]
fn a_paused_primary_is_unavailable_and_the_others_serve() {
    let cluster = RedisCluster::start();
    let store = RedisStore::open(cluster.url()).unwrap();
    let reached = |key| eventually(|| block_on(store.load(key)).is_ok());
    for key in keys() {
        assert!(reached(key));
    }
    let (of, _) = cluster.owner(TAG);
    cluster.primaries()[of].pause();
    for key in keys() {
        if cluster_owner(&cluster, of, &key) == of {
            assert!(is_unavailable(block_on(store.load(key))));
        } else {
            assert!(reached(key));
        }
    }
    cluster.primaries()[of].resume();
    for key in keys() {
        assert!(reached(key));
    }
    assert_eq!(store.degraded(), 0);
}

#[test]
fn what_one_of_the_servers_may_lose_the_cluster_may_lose() {
    let always = ["appendonly yes", "appendfsync always"];
    let mut cluster = RedisCluster::with(&always);
    assert_eq!(patient(cluster.url()).durability(), Durability::Durable);
    cluster.primaries()[2].ask(&["CONFIG", "SET", "appendfsync", "everysec"]);
    assert_eq!(patient(cluster.url()).durability(), Durability::MayRollBack);
    cluster.primaries()[2].ask(&["CONFIG", "SET", "appendfsync", "always"]);
    assert_eq!(patient(cluster.url()).durability(), Durability::Durable);
    let _replica = cluster.replica(1);
    assert_eq!(patient(cluster.url()).durability(), Durability::MayRollBack);
}

#[test]
fn a_cluster_with_a_server_that_may_evict_or_is_not_there_is_refused() {
    let cluster = RedisCluster::start();
    cluster.primaries()[1].ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let refused = RedisStore::open(cluster.url()).map(drop).unwrap_err();
    assert!(matches!(&refused, RedisError::Eviction { policy } if policy == "allkeys-lru"));
    cluster.primaries()[1].ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    drop(patient(cluster.url()));
    // One address is enough, and another is asked when the first does not answer.
    cluster.primaries()[0].kill();
    let open = || RedisStore::builder(cluster.url()).node(cluster.primaries()[1].url()).open();
    assert!(matches!(open(), Err(RedisError::Unreachable(_))), "a third of the cells is missing");
    cluster.primaries()[0].restart();
    drop(open().unwrap());
    // Two servers that know nothing of one another would each have half.
    let (one, other) = (RedisServer::start(), RedisServer::start());
    let both = RedisStore::builder(one.url()).node(other.url()).open();
    assert!(matches!(both, Err(RedisError::NotACluster)));
}
