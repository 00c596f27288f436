//! The deadline of every call: a thread that answers for those that do not answer in time.
//!
//! SQLite has none for a disk that stands still, so nothing that a caller waits for runs on the
//! caller's thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use vouchsafe_store::StoreError;

use crate::reply::{Reply, Slot, Waiting, channel};

/// How often a file that another process holds is tried again.
const AGAIN: Duration = Duration::from_millis(1);

thread_local! {
    /// Until when this thread waits for another process's lock.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a deadline is measured")]
    Instant::now()
}

/// A call that may be answered for.
trait Expire: Send + Sync {
    fn expire(&self, deadline: Duration);
}

impl<T: Send> Expire for Slot<T> {
    fn expire(&self, deadline: Duration) {
        self.fill(Err(StoreError::unavailable(format!("no answer within {deadline:?}"))));
    }
}

/// The calls that run, in the order of their deadlines.
pub(crate) struct Watch {
    deadline: Duration,
    calls: Mutex<Calls>,
    changed: Condvar,
}

#[derive(Default)]
struct Calls {
    running: VecDeque<(Instant, Weak<dyn Expire>)>,
    /// The watch sleeps until it is woken, and not until a deadline.
    asleep: bool,
    closed: bool,
}

impl Watch {
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { deadline, calls: Mutex::default(), changed: Condvar::new() }
    }

    /// A call that begins now, and its answer, which comes within the deadline.
    pub(crate) fn call<T: Send + 'static>(&self) -> (Reply<T>, Waiting<T>) {
        let (reply, waiting) = channel();
        // Beyond all time: never.
        if let Some(until) = now().checked_add(self.deadline) {
            let slot: Weak<Slot<T>> = Arc::downgrade(waiting.slot());
            let mut calls = self.lock();
            calls.forget();
            calls.running.push_back((until, slot));
            if std::mem::take(&mut calls.asleep) {
                drop(calls);
                self.changed.notify_one();
            }
        }
        (reply, waiting)
    }

    /// From now on this thread waits for another process's lock as long as a caller may.
    pub(crate) fn be_patient(&self) {
        UNTIL.set(now().checked_add(self.deadline));
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The watch's thread. It wakes up once a deadline while there are calls, and not for each.
    pub(crate) fn run(&self) {
        let mut calls = self.lock();
        while !calls.closed {
            calls.forget();
            let now = now();
            let late = calls.running.partition_point(|(until, _)| *until <= now);
            let late: Vec<_> = calls.running.drain(..late).collect();
            if !late.is_empty() {
                // Wakers are strangers' code: never run under the lock.
                drop(calls);
                for call in late.iter().filter_map(|(_, call)| call.upgrade()) {
                    call.expire(self.deadline);
                }
                calls = self.lock();
                continue;
            }
            calls = match calls.running.front() {
                None => {
                    calls.asleep = true;
                    self.changed.wait(calls).unwrap_or_else(PoisonError::into_inner)
                }
                Some((until, _)) => {
                    let wait = until.saturating_duration_since(now);
                    let woken = self.changed.wait_timeout(calls, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Leaves out what has ended, as far as nothing older runs.
    fn forget(&mut self) {
        while self.running.front().is_some_and(|(_, call)| call.strong_count() == 0) {
            self.running.pop_front();
        }
    }
}

/// Lets `connection` wait for another process as long as its thread is patient.
pub(crate) fn bound_waiting(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|_tries: i32| {
        // A thread that was never told waits as long as it takes.
        if UNTIL.get().is_some_and(|until| now() >= until) {
            return false;
        }
        std::thread::sleep(AGAIN);
        true
    }))
}

#[cfg(test)]
mod tests {
    use vouchsafe_testkit::block_on;

    use super::*;

    /// A watch whose thread runs meanwhile, and ends afterwards.
    fn watched(deadline: Duration, work: impl FnOnce(&Watch)) {
        struct Close<'a>(&'a Watch);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let watch = Watch::new(deadline);
        std::thread::scope(|scope| {
            scope.spawn(|| watch.run());
            let closing = Close(&watch);
            work(closing.0);
        });
    }

    #[test]
    fn a_call_has_its_answer_by_its_deadline_and_not_before() {
        let deadline = Duration::from_millis(20);
        watched(deadline, |watch| {
            // The second round finds the thread asleep.
            for _ in 0..2 {
                let began = now();
                let calls: Vec<_> = (0..3).map(|_| watch.call::<()>()).collect();
                for (_reply, waiting) in calls {
                    let said = block_on(waiting).unwrap_err().to_string();
                    assert!(said.contains("no answer within 20ms"), "{said}");
                }
                assert!(now() - began >= deadline);
            }
        });
    }

    #[test]
    fn who_answers_is_before_the_watch() {
        watched(Duration::from_secs(3600), |watch| {
            for number in 0..3 {
                let (reply, waiting) = watch.call();
                reply.send(Ok(number));
                assert_eq!(block_on(waiting).unwrap(), number);
            }
        });
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let watch = Watch::new(Duration::from_secs(3600));
        let running = || watch.lock().running.len();
        let kept: Vec<_> = (0..3).map(|_| watch.call::<()>()).collect();
        assert_eq!(running(), 3);
        // Behind what still runs it waits to be forgotten.
        drop(watch.call::<()>());
        assert_eq!(running(), 4);
        drop(kept);
        let _last = watch.call::<()>();
        assert_eq!(running(), 1);
    }

    #[test]
    fn a_thread_waits_for_another_process_as_long_as_its_caller() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("cells.db")).unwrap();
        let (other, mut connection) = (open(), open());
        connection.busy_timeout(Duration::ZERO).unwrap();
        bound_waiting(&mut connection).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let deadline = Duration::from_millis(20);
        let watch = Watch::new(deadline);
        // Each call has as long.
        for _ in 0..2 {
            let began = now();
            watch.be_patient();
            let busy = connection.execute_batch("BEGIN IMMEDIATE").unwrap_err();
            assert_eq!(busy.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
            assert!(now() - began >= deadline);
        }
        other.execute_batch("COMMIT").unwrap();
        watch.be_patient();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    }

    #[test]
    fn a_deadline_beyond_all_time_is_none() {
        watched(Duration::MAX, |watch| {
            let (reply, waiting) = watch.call();
            assert_eq!(watch.lock().running.len(), 0);
            reply.send(Ok(1));
            assert_eq!(block_on(waiting).unwrap(), 1);
            watch.be_patient();
        });
        assert_eq!(UNTIL.get(), None);
    }
}
