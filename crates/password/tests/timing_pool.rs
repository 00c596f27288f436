//! How long others wait while passwords are hashed: run alone, because it measures time.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::{charged, martha, matched, password, pool};
use tokio::runtime::Builder;
use tokio::time::sleep_until;
use vouchsafe_password::{
    HashPolicy, HashPool, Hashing, NotVerifiedReason, PoolConfig, Stored, Verified,
};
use vouchsafe_testkit::runs;

/// Logins at the same time.
const LOGINS: u64 = 1_000;

/// One worker fewer than cores, the default cost, and room for everybody.
fn for_all() -> Arc<HashPool> {
    let config = PoolConfig::new(HashPolicy::default()).queue(LOGINS as usize);
    Arc::new(pool(config.max_wait(Duration::from_secs(3_600))))
}

fn ask(pool: &HashPool, id: u64) -> Hashing<Verified> {
    pool.verify(charged(id), &password("x"), Stored::Absent, martha())
}

/// The 99th percentile, and how many there were.
fn p99(mut times: Vec<Duration>) -> (Duration, usize) {
    times.sort();
    (times[times.len() * 99 / 100], times.len())
}

/// How late a task that has nothing to do with passwords wakes, every other millisecond, until it
/// is told that it is enough.
async fn unrelated(mut enough: impl FnMut() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    loop {
        let due = Instant::now() + Duration::from_millis(2);
        sleep_until(due.into()).await;
        times.push(due.elapsed());
        if enough() {
            return times;
        }
    }
}

/// The same until `enough` of so many tasks that log in have their answer. They come once the first
/// sample is there: a task that could not begin before they are done would say nothing of them.
fn late<F>(logins: u64, enough: u64, login: impl Fn(u64) -> F) -> (Duration, usize)
where
    F: Future<Output = Verified> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().enable_time().build().unwrap();
    let (begun, begins) = std::sync::mpsc::channel();
    let (send, receive) = std::sync::mpsc::channel();
    let mut answered = 0;
    let times = runtime.spawn(unrelated(move || {
        let _ = begun.send(());
        answered += receive.try_iter().count() as u64;
        answered >= enough
    }));
    begins.recv().unwrap();
    for id in 0..logins {
        let (send, login) = (send.clone(), login(id));
        runtime.spawn(async move {
            assert_eq!(matched(login.await), None);
            // Nobody listens to those after the last that counts.
            let _ = send.send(());
        });
    }
    let times = runtime.block_on(times).unwrap();
    runtime.shutdown_background();
    p99(times)
}

/// How late it is on this machine, now, beside a thread that computes and hashes nothing.
fn late_anyway() -> Duration {
    let over = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    });
    let runtime = Builder::new_multi_thread().enable_time().build().unwrap();
    let mut samples = 0;
    let times = runtime.spawn(unrelated(move || {
        samples += 1;
        samples == 500
    }));
    let times = runtime.block_on(times).unwrap();
    over.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    p99(times).0
}

#[test]
fn unrelated_tasks_are_on_time_while_a_thousand_wait_for_their_hash() {
    let pool = for_all();
    let before = late_anyway();
    let enough = runs(200, LOGINS as usize) as u64;
    let (p99, samples) = late(LOGINS, enough, |id| ask(&pool, id));
    let (hashed, anyway) = (pool.work().runs, before.max(late_anyway()));
    println!("an unrelated task, {hashed} of {LOGINS} logins hashed: p99 {p99:?} of {samples}");
    println!("beside a thread that hashes nothing: p99 {anyway:?}");
    assert!(samples >= 100, "{samples} samples");
    // A machine that is late by itself is not the pool's doing.
    let most = (anyway * 2).max(Duration::from_millis(5));
    assert!(p99 < most, "{p99:?}, not {most:?}");
}

/// The same measure on a service that waits for its hashes on the executor's own threads.
#[test]
fn hashing_in_the_way_of_others_is_noticed() {
    let pool = for_all();
    let (p99, samples) = late(50, 50, |id| {
        let pool = Arc::clone(&pool);
        async move { ask(&pool, id).wait() }
    });
    println!("the same, waiting on the executor's threads: p99 {p99:?} of {samples}");
    assert!(p99 >= Duration::from_millis(5), "{p99:?}");
}

/// The times of a thousand refusals by a pool whose queue is full.
fn refusals(queue: usize) -> Vec<Duration> {
    let config = PoolConfig::new(HashPolicy::default()).queue(queue);
    let pool = pool(config.max_wait(Duration::from_secs(3_600)));
    // What finds room, as all do at first and one now and then when a worker makes some, waits.
    let (mut times, mut waiting) = (Vec::new(), Vec::new());
    while times.len() < 1_000 {
        let begun = Instant::now();
        let mut asked = ask(&pool, 0);
        let polled = Pin::new(&mut asked).poll(&mut Context::from_waker(Waker::noop()));
        let took = begun.elapsed();
        match polled {
            Poll::Pending => waiting.push(asked),
            Poll::Ready(Verified::NotVerified(_, NotVerifiedReason::Busy)) => times.push(took),
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    assert!(waiting.len() >= queue);
    times.sort();
    times
}

#[test]
fn overload_is_answered_within_a_millisecond() {
    let (p99, _) = p99(refusals(LOGINS as usize));
    println!("overload answered: p99 {p99:?}");
    assert!(p99 < Duration::from_millis(1), "{p99:?}");
    // Whoever turns somebody away does not walk along the queue.
    let (short, long) = (refusals(64)[500], refusals(PoolConfig::MAX_QUEUE)[500]);
    println!("median with 64 in the queue {short:?}, with the most {long:?}");
    assert!(long < short * 20, "{long:?}, {short:?}");
}
