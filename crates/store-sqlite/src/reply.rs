//! An answer from a thread of the store's to a future: the first one counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use vouchsafe_store::StoreError;

pub(crate) type Answer<T> = Result<T, StoreError>;

/// Where an answer is left.
pub(crate) struct Slot<T>(Mutex<Inside<T>>);

struct Inside<T> {
    answer: Option<Answer<T>>,
    /// There was an answer, be it taken or not.
    over: bool,
    waker: Option<Waker>,
}

/// The thread's end. Dropped without an answer, it answers that there is none.
pub(crate) struct Reply<T>(Arc<Slot<T>>);

/// The caller's end.
pub(crate) struct Waiting<T>(Arc<Slot<T>>);

pub(crate) fn channel<T>() -> (Reply<T>, Waiting<T>) {
    let inside = Inside { answer: None, over: false, waker: None };
    let slot = Arc::new(Slot(Mutex::new(inside)));
    (Reply(Arc::clone(&slot)), Waiting(slot))
}

impl<T> Slot<T> {
    /// Leaves `answer`, unless there was one.
    pub(crate) fn fill(&self, answer: Answer<T>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.over {
            return;
        }
        slot.answer = Some(answer);
        slot.over = true;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Reply<T> {
    pub(crate) fn send(self, answer: Answer<T>) {
        self.0.fill(answer);
    }

    /// Somebody else has answered: the deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).over
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.0.fill(Err(StoreError::unavailable("the store's thread ended before it answered")));
    }
}

impl<T> Waiting<T> {
    pub(crate) const fn slot(&self) -> &Arc<Slot<T>> {
        &self.0
    }
}

impl<T> Future for Waiting<T> {
    type Output = Answer<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<T>> {
        let mut slot = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use vouchsafe_testkit::block_on;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_first_answer_counts() {
        let (reply, waiting) = channel();
        assert!(!reply.is_over());
        waiting.slot().fill(Err(StoreError::unavailable("late")));
        assert!(reply.is_over());
        reply.send(Ok(1));
        assert!(matches!(block_on(waiting), Err(StoreError::Unavailable(_))));

        let (reply, waiting) = channel();
        let slot = Arc::clone(waiting.slot());
        reply.send(Ok(1));
        slot.fill(Ok(2));
        assert_eq!(block_on(waiting).unwrap(), 1);
    }

    #[test]
    fn a_thread_that_ends_without_an_answer_has_given_one() {
        let (reply, waiting) = channel::<()>();
        drop(reply);
        assert!(matches!(block_on(waiting), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn whoever_polled_last_is_woken_once() {
        let (reply, waiting) = channel();
        let mut waiting = pin!(waiting);
        let woken: [Arc<Count>; 2] = Default::default();
        for woken in &woken {
            let waker = Waker::from(Arc::clone(woken));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        reply.send(Ok(1));
        assert_eq!(woken.map(|woken| woken.0.load(Ordering::SeqCst)), [0, 1]);
        let polled = waiting.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(1))));
    }
}
