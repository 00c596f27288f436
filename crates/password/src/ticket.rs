//! Waiting for the pool's answer, with or without a runtime.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// An answer that the pool is working on: a future of any runtime, or [`wait`](Self::wait).
///
/// Dropped before its turn, the work is not done; once started it runs to its end and keeps its
/// memory until then.
#[must_use = "the work is dropped with it"]
pub struct Hashing<T>(Arc<Slot<T>>);

struct Slot<T> {
    state: Mutex<State<T>>,
    answered: Condvar,
    /// Nobody waits for it any more.
    abandoned: AtomicBool,
    /// Set when somebody went away without an answer, for whoever looks for a place in the queue.
    somebody_left: Arc<AtomicBool>,
}

struct State<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

/// The pool's end. It is answered exactly once, whatever happens.
pub(crate) struct Answer<T>(Arc<Slot<T>>);

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Answer<T> {
    pub(crate) fn pair(somebody_left: &Arc<AtomicBool>) -> (Self, Hashing<T>) {
        let slot = Arc::new(Slot {
            state: Mutex::new(State { answer: None, waker: None }),
            answered: Condvar::new(),
            abandoned: AtomicBool::new(false),
            somebody_left: Arc::clone(somebody_left),
        });
        (Self(Arc::clone(&slot)), Hashing(slot))
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::SeqCst)
    }

    pub(crate) fn give(self, answer: T) {
        let waker = {
            let mut state = self.0.lock();
            state.answer = Some(answer);
            state.waker.take()
        };
        self.0.answered.notify_all();
        if let Some(waker) = waker {
            // A runtime's panic is none of the worker's business.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl<T> Hashing<T> {
    /// Waits on this thread. The answer is given once: whoever has polled it out of this future
    /// must not wait for another.
    pub fn wait(self) -> T {
        let mut state = self.0.lock();
        loop {
            if let Some(answer) = state.answer.take() {
                return answer;
            }
            state = self.0.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for Hashing<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    state.waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Hashing<T> {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::SeqCst);
        if Arc::strong_count(&self.0) > 1 {
            self.0.somebody_left.store(true, Ordering::SeqCst);
        }
    }
}

impl<T> fmt::Debug for Hashing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashing(..)")
    }
}
