//! Time, fresh bytes and waiting from the operating system: the one place that reads its clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vouchsafe_core::{Clock, Timer, Timestamp};
pub use vouchsafe_crypto::SystemEntropy;

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp::EPOCH.after(after),
            Err(before) => Timestamp::EPOCH.before(before.duration()),
        }
    }

    fn steady(&self) -> Option<Duration> {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        Some(instant().saturating_duration_since(*FIRST.get_or_init(instant)))
    }
}

/// Waiting without a runtime: one thread sleeps for everybody, and ends with the last handle.
#[derive(Clone, Debug)]
pub struct ThreadTimer(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    wakers: std::collections::HashMap<u64, Waker>,
    next: u64,
    closed: bool,
}

impl ThreadTimer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::Builder::new().name("vouchsafe-timer".into()).spawn(move || thread.run())?;
        Ok(Self(Arc::new(Handle(shared))))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut queue = self.lock();
        while !queue.closed {
            let now = instant();
            let mut woken = Vec::new();
            while let Some(Reverse((at, id))) = queue.due.peek().copied() {
                if at > now {
                    break;
                }
                queue.due.pop();
                woken.extend(queue.wakers.remove(&id));
            }
            if !woken.is_empty() {
                // Wakers are strangers' code: never run under the lock.
                drop(queue);
                woken.into_iter().for_each(Waker::wake);
                queue = self.lock();
                continue;
            }
            queue = match queue.due.peek() {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(Reverse((at, _))) => {
                    let wait = at.saturating_duration_since(now);
                    self.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Timer for ThreadTimer {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        Sleep { shared: Arc::clone(&self.0.0), at: instant().checked_add(duration), id: None }
    }
}

struct Sleep {
    shared: Arc<Shared>,
    /// None: further off than the clock reaches, so never.
    at: Option<Instant>,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if instant() >= at {
            return Poll::Ready(());
        }
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.lock();
        if queue.closed {
            return Poll::Ready(());
        }
        let id = match self.id {
            Some(id) if queue.wakers.contains_key(&id) => id,
            _ => {
                let id = queue.next;
                queue.next = id.wrapping_add(1);
                queue.due.push(Reverse((at, id)));
                self.id = Some(id);
                id
            }
        };
        queue.wakers.insert(id, context.waker().clone());
        drop(queue);
        shared.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut queue = self.shared.lock();
            if queue.wakers.remove(&id).is_some() {
                queue.due.retain(|Reverse((_, other))| *other != id);
            }
        }
    }
}

fn instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "this is the timer")]
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_testkit::block_on;

    #[test]
    fn a_sleep_lasts_as_long_as_it_should_and_waits_for_no_longer_one() {
        let timer = ThreadTimer::start().unwrap();
        let mut long = Box::pin(timer.sleep(Duration::from_secs(3_600)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(long.as_mut().poll(&mut context).is_pending());
        for millis in [30, 10, 20] {
            let start = instant();
            block_on(timer.sleep(Duration::from_millis(millis)));
            assert!(start.elapsed() >= Duration::from_millis(millis));
        }
        assert!(long.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind() {
        let timer = ThreadTimer::start().unwrap();
        let mut sleep = Box::pin(timer.sleep(Duration::from_secs(3600)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert_eq!(timer.0.0.lock().due.len(), 1);
        drop(sleep);
        assert!(timer.0.0.lock().due.is_empty());
        assert!(timer.0.0.lock().wakers.is_empty());
    }

    #[test]
    fn the_clock_is_after_this_was_written() {
        assert!(SystemClock.now().to_utc().year() >= 2026);
    }
}
