//! Lockouts that several nodes share: exactly N guesses, by the server's clock.
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

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use vouchsafe_core::{AccountDigest, ChargeId, NotMatched, PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Begin, Limit, Lock, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState,
    LockoutVerdict as V,
};
use vouchsafe_store::{Cells, StoreError, Turns, drive};
use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::{ChildTest, RedisCluster, RedisServer, SeededEntropy, block_on, runs};

const DAY: Duration = Duration::from_secs(86_400);
const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
const URL: &str = "VOUCHSAFE_LOCKOUT_URL";
const SEED: &str = "VOUCHSAFE_LOCKOUT_SEED";
const GUESSES: &str = "VOUCHSAFE_LOCKOUT_GUESSES";

fn five_a_day() -> LockoutMachine {
    let policy = LockoutPolicy::builder().limit(Limit::new(5, DAY)).build().unwrap();
    LockoutMachine::new(policy, PolicyDigest::NONE)
}

fn patient(url: &str) -> RedisStore {
    RedisStore::builder(url).deadline(Duration::from_secs(60)).open().unwrap()
}

/// Sends it until the race is won.
fn send(
    cells: &impl Cells,
    entropy: &SeededEntropy,
    mut event: LockoutEvent,
    node_now: Timestamp,
) -> V {
    loop {
        let key = event.cell();
        match block_on(drive(cells, entropy, key, &five_a_day(), event, node_now)) {
            Ok(verdict) => return verdict,
            Err(undelivered) => {
                assert!(matches!(undelivered.error, StoreError::Contended { .. }));
                event = undelivered.event;
            }
        }
    }
}

fn begin(entropy: &SeededEntropy) -> LockoutEvent {
    LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(entropy.next())))
}

/// Guesses, and counts what was hashed: some fail, some are dropped half-way, all stay counted.
fn guess(cells: &impl Cells, turns: &Turns, entropy: &SeededEntropy, guesses: usize) -> usize {
    let mut hashed = 0;
    for _ in 0..guesses {
        let held = block_on(turns.take(LockoutState::key(ACCOUNT))).unwrap();
        // The node's clock is nowhere near: the server's counts.
        let verdict = send(cells, entropy, begin(entropy), Timestamp::EPOCH);
        drop(held);
        if let V::Admitted(charged) = verdict {
            hashed += 1;
            if hashed % 2 == 0 {
                let event = LockoutEvent::NotMatched(NotMatched::assertion(charged));
                send(cells, entropy, event, Timestamp::MAX);
            }
        }
    }
    hashed
}

#[test]
fn ten_thousand_begins_admit_five_on_redis() {
    assert_eq!(hashed_by_fifty_callers(&RedisServer::start().url(), 200), 5);
}

#[test]
fn ten_thousand_begins_admit_five_on_a_cluster() {
    assert_eq!(hashed_by_fifty_callers(&RedisCluster::start().url(), 200), 5);
}

/// Four nodes, which race: on each of them one attempt on an account goes by at a time.
fn hashed_by_fifty_callers(url: &str, each: usize) -> usize {
    let nodes: Vec<_> = (0..4).map(|_| (patient(url), Turns::new(64, 64))).collect();
    let (hashed, start) = (AtomicUsize::new(0), Barrier::new(50));
    thread::scope(|scope| {
        for (seed, (store, turns)) in (0..50).zip(nodes.iter().cycle()) {
            let (hashed, start) = (&hashed, &start);
            scope.spawn(move || {
                let entropy = SeededEntropy::new(seed << 32);
                start.wait();
                let ours = guess(store, turns, &entropy, each);
                hashed.fetch_add(ours, Ordering::SeqCst);
            });
        }
    });
    hashed.into_inner()
}

/// What a child runs: this same test, told by its environment where to guess.
///
/// On its own it guesses alone, on a server of its own.
#[test]
fn guesser() {
    let Ok(url) = std::env::var(URL) else {
        let server = RedisServer::start();
        let (store, entropy) = (patient(&server.url()), SeededEntropy::new(1));
        assert_eq!(guess(&store, &Turns::new(1, 1), &entropy, 100), 5);
        return;
    };
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (store, entropy) = (patient(&url), SeededEntropy::new(number(SEED) << 32));
    // The parent starts all children before it lets any of them go.
    ChildTest::say("ready");
    ChildTest::wait();
    let guesses = usize::try_from(number(GUESSES)).unwrap();
    let hashed = guess(&store, &Turns::new(1, 1), &entropy, guesses);
    ChildTest::say(&format!("hashed {hashed}"));
}

#[test]
fn four_processes_hash_five_guesses_together_on_redis() {
    assert_eq!(hashed_by_four_processes(&RedisServer::start().url()), 5);
}

/// The account's slot goes round the servers meanwhile.
#[test]
fn four_processes_hash_five_guesses_together_on_a_cluster_that_is_resharded() {
    let (cluster, over) = (RedisCluster::start(), AtomicBool::new(false));
    let hashed = thread::scope(|scope| {
        scope.spawn(|| {
            // At least once, however quick they are.
            loop {
                let (from, slot) = cluster.owner("vouchsafe{020}");
                cluster.move_slot(&slot, from, (from + 1) % 3, || {});
                if over.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        let hashed = hashed_by_four_processes(&cluster.url());
        over.store(true, Ordering::SeqCst);
        hashed
    });
    assert_eq!(hashed, 5);
}

fn hashed_by_four_processes(url: &str) -> usize {
    let each = runs(500, 2_500).to_string();
    let start = |seed: i32| {
        let seed = seed.to_string();
        let mut child =
            ChildTest::start("guesser", &[(URL, &url), (SEED, &seed), (GUESSES, &each)]);
        child.line("ready");
        child
    };
    let mut children: Vec<ChildTest> = (1..=4).map(start).collect();
    children.iter_mut().for_each(ChildTest::tell);
    let hashed = children.iter_mut().map(|child| child.number("hashed")).sum();
    children.into_iter().for_each(ChildTest::finish);
    hashed
}

/// A node whose clock is a day off, either way, gets the verdicts of all others.
#[test]
fn the_servers_time_wins_over_a_skewed_nodes() {
    let server = RedisServer::start();
    let (store, entropy) = (patient(&server.url()), SeededEntropy::new(1));
    let real = block_on(store.load(LockoutState::key(ACCOUNT))).unwrap().time.unwrap();
    let (slow, fast) = (real.before(2 * DAY), real.after(2 * DAY));
    for at in [slow, real, fast, slow, fast] {
        let V::Admitted(charged) = send(&store, &entropy, begin(&entropy), at) else {
            panic!("refused")
        };
        let event = LockoutEvent::NotMatched(NotMatched::assertion(charged));
        send(&store, &entropy, event, fast);
    }
    // On its own clock the fast node would be past the window, and the slow one before it.
    for at in [slow, real, fast] {
        let V::Locked { lock: Lock { until: Some(until), .. }, .. } =
            send(&store, &entropy, begin(&entropy), at)
        else {
            panic!("not locked")
        };
        let from = until.before(DAY);
        assert!(real <= from && from < real.after(DAY), "{from} is not about {real}");
    }
}
