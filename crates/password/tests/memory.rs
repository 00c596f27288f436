//! What the process holds while hashing: its own test binary, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use common::{charged, forget_peak, martha, matched, password, peak, pool, risen};
use vouchsafe_password::{
    HashPolicy, HashPool, Hashing, NotVerifiedReason, PoolConfig, Stored, Verified,
};
use vouchsafe_testkit::runs;

/// One at a time: all of them measure the process.
static ALONE: Mutex<()> = Mutex::new(());

/// Resident memory in KiB.
fn rss() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4
}

fn ask(pool: &HashPool, id: u64) -> Hashing<Verified> {
    pool.verify(charged(id), &password("x"), Stored::Absent, martha())
}

#[test]
fn many_at_once_stay_in_the_budget_and_the_rest_is_answered_at_once() {
    let _alone = ALONE.lock();
    let many = 1_000;
    let config =
        PoolConfig::new(HashPolicy::default()).workers(2).queue(many).budget_kib(2 * 19_456);
    let pool = pool(config.max_wait(Duration::from_secs(3_600)));
    forget_peak();
    let before = peak();
    let mut asked: Vec<_> = (0..many as u64).map(|id| ask(&pool, id)).collect();
    // The workers make room now and then: what finds it waits, the others are turned away.
    let (mut refused, mut extra) = (0, Vec::new());
    while refused < 50 {
        let mut hashing = ask(&pool, 0);
        match Pin::new(&mut hashing).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Verified::NotVerified(_, NotVerifiedReason::Busy)) => refused += 1,
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => extra.push(hashing),
        }
    }
    for hashing in asked.drain(..runs(100, many)) {
        assert_eq!(matched(hashing.wait()), None);
    }
    let (budget, grew) = (2 * 19_456, risen(before));
    println!("grew by {grew} KiB; the budget is {budget} KiB");
    assert!(grew <= budget + budget / 10, "grew by {grew} KiB");
    assert!(grew >= 19_456, "this measures nothing: {grew} KiB");
}

#[test]
fn memory_is_flat_over_many_verifications() {
    let _alone = ALONE.lock();
    let policy = HashPolicy::danger_below_floor(4_096, 1).unwrap();
    // One worker: a second one's block would come whenever its first turn does.
    let pool = pool(PoolConfig::new(policy).workers(1));
    for id in 0..50 {
        assert_eq!(matched(ask(&pool, id).wait()), None);
    }
    let warm = rss();
    for id in 0..1_000 {
        assert_eq!(matched(ask(&pool, id).wait()), None);
    }
    assert!(rss() <= warm + 1_024, "{warm} -> {} KiB", rss());
}

const BUDGET_KIB: usize = 65_536;

/// Starts work again and again, each time going away as soon as it runs; whether the process stays
/// within the budget.
fn keeps_the_budget<T>(start: impl Fn() -> T, started: impl Fn(usize) -> bool) -> bool {
    let before = rss();
    for turn in 1..=4 {
        let ticket = start();
        while !started(turn) {
            std::thread::yield_now();
        }
        drop(ticket);
    }
    rss() - before <= BUDGET_KIB + BUDGET_KIB / 10
}

#[test]
fn a_caller_that_goes_away_does_not_free_the_memory_of_running_work() {
    let _alone = ALONE.lock();
    let config = PoolConfig::new(HashPolicy::argon2id(65_536, 16).unwrap());
    let pool = pool(config.workers(4).budget_kib(65_536));
    // The first runs; the others cannot start while it does, and leave the queue when they go.
    let started = |turn| turn > 1 || (pool.work().queued == 0 && pool.work().held_kib > 0);
    assert!(keeps_the_budget(|| ask(&pool, 0), started));
}

/// A pool whose permit travels with the caller, as in many: the same test catches it.
struct FaultyPool {
    permits: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<usize>>>,
}

struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl FaultyPool {
    fn start(&self) -> Permit {
        self.permits
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .unwrap();
        let (running, stop) = (Arc::clone(&self.running), Arc::clone(&self.stop));
        self.threads.lock().unwrap().push(std::thread::spawn(move || {
            let memory = vec![1_u8; BUDGET_KIB * 1_024];
            running.fetch_add(1, Ordering::SeqCst);
            while !stop.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            memory.len()
        }));
        Permit(Arc::clone(&self.permits))
    }
}

#[test]
fn the_faulty_pool_is_caught() {
    let _alone = ALONE.lock();
    let pool = FaultyPool {
        permits: Arc::new(AtomicUsize::new(1)),
        running: Arc::default(),
        stop: Arc::default(),
        threads: Mutex::default(),
    };
    let started = |turn| pool.running.load(Ordering::SeqCst) == turn;
    let kept = keeps_the_budget(|| pool.start(), started);
    pool.stop.store(true, Ordering::SeqCst);
    for thread in pool.threads.lock().unwrap().drain(..) {
        let _ = thread.join();
    }
    assert!(!kept);
}
