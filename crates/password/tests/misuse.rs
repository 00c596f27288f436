//! What a host or its runtime may do wrong, and what the pool makes of it.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{NOW, accepted, charged, cheap, martha, matched, password, pool, record};
use vouchsafe_core::{Clock, Entropy, NoEntropy, Standing, Timestamp};
use vouchsafe_password::{
    Attributes, BreachError, Breached, HashPolicy, HashPool, Hashing, NotVerifiedReason,
    OwnerPresent, Password, PasswordError, PasswordPolicy, PoolConfig, Record, Stored, Verified,
};
use vouchsafe_testkit::{ManualClock, SeededEntropy};

/// Panics when told to.
#[derive(Clone, Default)]
struct Brittle(Arc<AtomicBool>);

impl Brittle {
    fn touch(&self) {
        assert!(!self.0.load(Ordering::SeqCst), "told to");
    }

    fn set(&self, broken: bool) {
        self.0.store(broken, Ordering::SeqCst);
    }
}

struct BrittleClock(Brittle, std::thread::ThreadId);

impl Clock for BrittleClock {
    fn now(&self) -> Timestamp {
        // The caller's own thread may know the time.
        if std::thread::current().id() != self.1 {
            self.0.touch();
        }
        NOW
    }
}

struct BrittleEntropy(Brittle, SeededEntropy);

impl Entropy for BrittleEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.touch();
        self.1.fill(out)
    }
}

fn ask(pool: &HashPool) -> Hashing<Verified> {
    pool.verify(charged(1), &password("x"), Stored::Absent, martha())
}

#[test]
fn a_clock_that_panics_is_an_answer_and_not_the_end() {
    let clock = Brittle::default();
    let here = BrittleClock(clock.clone(), std::thread::current().id());
    let config = PoolConfig::new(cheap()).workers(1);
    let pool = HashPool::new(config, Arc::new(here), Arc::new(SeededEntropy::new(1))).unwrap();
    clock.set(true);
    for _ in 0..3 {
        let answer = ask(&pool).wait();
        assert!(matches!(answer, Verified::NotVerified(_, NotVerifiedReason::Waited)));
    }
    clock.set(false);
    assert_eq!(matched(ask(&pool).wait()), None);
}

#[test]
fn entropy_that_panics_is_an_answer_and_not_the_end() {
    let entropy = Brittle::default();
    let source = BrittleEntropy(entropy.clone(), SeededEntropy::new(1));
    let config = PoolConfig::new(cheap()).workers(1);
    let pool = HashPool::new(config, Arc::new(ManualClock::at(NOW)), Arc::new(source)).unwrap();
    let enrol = || {
        let owner = OwnerPresent::assertion(common::ACCOUNT);
        pool.hash(accepted("Xk7#vq9w"), owner, martha()).wait()
    };
    entropy.set(true);
    let failed = PasswordError::NotHashed(NotVerifiedReason::Failed);
    assert_eq!(enrol().unwrap_err(), failed);
    entropy.set(false);
    assert_eq!(enrol().unwrap().standing(), Standing::Chosen);
}

/// Entropy that stands still until it is told to go on, once the pool is made, which takes three times.
struct Still(Mutex<u32>, Sender<()>, Mutex<Receiver<()>>);

impl Entropy for Still {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let times = {
            let mut times = self.0.lock().unwrap();
            *times += 1;
            *times
        };
        if times > 3 {
            self.1.send(()).unwrap();
            // Far longer than any test takes: whoever waits for it fails, rather than hang.
            let _ = self.2.lock().unwrap().recv_timeout(Duration::from_secs(30));
            *self.0.lock().unwrap() = 0;
        }
        out.fill(7);
        Ok(())
    }
}

/// Says when a worker looks at it.
struct Watched(ManualClock, Sender<()>);

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn steady(&self) -> Option<Duration> {
        if std::thread::current().name().is_some_and(|name| name.starts_with("password-hash-")) {
            let _ = self.1.send(());
        }
        self.0.steady()
    }
}

/// On no list.
struct Nothing;

impl Breached for Nothing {
    fn is_breached(&self, _: &Password) -> Result<bool, BreachError> {
        Ok(false)
    }
}

/// A list that stands still until it is told to go on.
struct Halted(Sender<()>, Mutex<Receiver<()>>);

impl Breached for Halted {
    fn is_breached(&self, _: &Password) -> Result<bool, BreachError> {
        self.0.send(()).unwrap();
        // Without having been told, it has no answer: whoever waits for it fails, rather than hang.
        let told = self.1.lock().unwrap().recv_timeout(Duration::from_secs(30));
        told.map(|()| false).map_err(|_| BreachError::Shard(0))
    }
}

/// All memory is taken for longer than anybody waits: once the first has waited too long for it, who needs
/// none has their turn.
#[test]
fn who_needs_no_memory_does_not_wait_for_it_behind_nobody() {
    let ((came, comes), (go, let_go)) = (channel(), channel());
    let entropy = Arc::new(Still(Mutex::new(0), came, Mutex::new(let_go)));
    let (looked, looks) = channel();
    let clock = Arc::new(Watched(ManualClock::at(NOW), looked));
    let kib = cheap().params().memory_kib();
    let config = PoolConfig::new(cheap()).workers(2).budget_kib(kib);
    let config = config.max_wait(Duration::from_millis(20));
    let time: Arc<dyn Clock> = Arc::<Watched>::clone(&clock);
    let pool = HashPool::new(config, time, Arc::<Still>::clone(&entropy)).unwrap();
    let owner = OwnerPresent::assertion(common::ACCOUNT);
    let running = pool.hash(accepted("Xk7#vq9w"), owner, martha());
    comes.recv().unwrap();
    looks.try_iter().for_each(drop);
    let late = ask(&pool);
    looks.recv().unwrap();
    clock.0.advance(Duration::from_millis(10));
    let rule = PasswordPolicy::builder().refuse_breached(true).build().unwrap();
    let checked = pool.check(&rule, &password("Xk7#vq9w"), &Attributes::none(), Arc::new(Nothing));
    // The other worker finds no memory for the first, and sleeps.
    looks.recv().unwrap();
    clock.0.advance(Duration::from_micros(10_001));
    let answer = late.wait();
    assert!(matches!(answer, Verified::NotVerified(_, NotVerifiedReason::Waited)), "{answer:?}");
    assert!(checked.wait().is_ok());
    assert!(*entropy.0.lock().unwrap() > 0, "the memory is taken to the end");
    go.send(()).unwrap();
    assert!(running.wait().is_ok());
}

/// Does something when it wakes, on the worker's thread.
struct Waking<F: FnOnce() + Send>(Mutex<Option<F>>, Sender<()>);

impl<F: FnOnce() + Send> Wake for Waking<F> {
    fn wake(self: Arc<Self>) {
        // Before it may panic.
        let _ = self.1.send(());
        let work = self.0.lock().unwrap().take().unwrap();
        work();
    }
}

/// Polls once, and waits until the answer woke it.
fn woken(mut hashing: Hashing<Verified>, work: impl FnOnce() + Send + 'static) {
    let (send, receive) = channel();
    let waker = Waker::from(Arc::new(Waking(Mutex::new(Some(work)), send)));
    let polled = Pin::new(&mut hashing).poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Pending));
    drop(waker);
    receive.recv().unwrap();
    assert_eq!(matched(hashing.wait()), None);
}

/// Slow enough not to be answered before it is polled.
fn slow() -> HashPool {
    pool(PoolConfig::new(HashPolicy::argon2id(65_536, 16).unwrap()).workers(1))
}

#[test]
fn a_waker_that_panics_takes_no_worker_with_it() {
    let pool = slow();
    woken(ask(&pool), || panic!("told to"));
    assert_eq!(matched(ask(&pool).wait()), None);
}

#[test]
fn a_waker_may_drop_the_pool() {
    let pool = Arc::new(Mutex::new(Some(slow())));
    let (first, second) = {
        let pool = pool.lock().unwrap();
        let pool = pool.as_ref().unwrap();
        (ask(pool), ask(pool))
    };
    let (send, receive) = channel();
    woken(first, move || {
        drop(pool.lock().unwrap().take());
        send.send(()).unwrap();
    });
    receive.recv().unwrap();
    // Who is left is answered all the same.
    let answer = second.wait();
    assert!(matches!(answer, Verified::NotVerified(_, NotVerifiedReason::Stopped)), "{answer:?}");
}

/// On the thread that tells who waited too long, while the only worker waits for a list.
#[test]
fn a_waker_may_drop_the_pool_while_a_list_stands_still() {
    let ((came, comes), (go, let_go)) = (channel(), channel());
    let list = Arc::new(Halted(came, Mutex::new(let_go)));
    let clock = Arc::new(ManualClock::at(NOW));
    let config = PoolConfig::new(cheap()).workers(1).max_wait(Duration::from_millis(20));
    let pool = common::pool_at(config, Arc::clone(&clock));
    let rule = PasswordPolicy::builder().refuse_breached(true).build().unwrap();
    let checked = pool.check(&rule, &password("Xk7#vq9w"), &Attributes::none(), list);
    comes.recv().unwrap();
    let mut late = ask(&pool);
    clock.advance(Duration::from_millis(10));
    let left = ask(&pool);
    let (woke, wakes) = channel();
    let pool = Mutex::new(Some(pool));
    let waking = Waking(Mutex::new(Some(move || drop(pool.lock().unwrap().take()))), woke);
    let waker = Waker::from(Arc::new(waking));
    let polled = Pin::new(&mut late).poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Pending));
    drop(waker);
    clock.advance(Duration::from_micros(10_001));
    wakes.recv().unwrap();
    for (told, reason) in [(late, NotVerifiedReason::Waited), (left, NotVerifiedReason::Stopped)] {
        let answer = told.wait();
        assert!(matches!(answer, Verified::NotVerified(_, is) if is == reason), "{answer:?}");
    }
    go.send(()).unwrap();
    assert!(checked.wait().is_ok());
}

/// A host compares and swaps texts: what was read must be what is written again.
#[test]
fn a_record_has_one_text() {
    let good = record(&pool(PoolConfig::new(cheap()).workers(1)), "x").to_string();
    let mut read = 0;
    let mut check = |text: String| {
        if let Ok(record) = text.parse::<Record>() {
            assert_eq!(record.to_string(), text);
            read += 1;
        }
    };
    for at in 0..good.len() {
        for letter in (0..=127).map(char::from) {
            check(format!("{}{letter}{}", &good[..at], &good[at + 1..]));
            check(format!("{}{letter}{}", &good[..at], &good[at..]));
        }
    }
    assert!(read > 1_000, "{read}");
}
