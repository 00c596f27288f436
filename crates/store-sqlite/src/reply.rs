//! An answer from the writer's thread to a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use vouchsafe_store::StoreError;

type Answer<T> = Result<T, StoreError>;

struct Slot<T> {
    answer: Option<Answer<T>>,
    waker: Option<Waker>,
}

/// The writer's end. Dropped without an answer, it answers that there is none.
pub(crate) struct Reply<T>(Option<Arc<Mutex<Slot<T>>>>);

/// The caller's end.
pub(crate) struct Waiting<T>(Arc<Mutex<Slot<T>>>);

pub(crate) fn channel<T>() -> (Reply<T>, Waiting<T>) {
    let slot = Arc::new(Mutex::new(Slot { answer: None, waker: None }));
    (Reply(Some(Arc::clone(&slot))), Waiting(slot))
}

impl<T> Reply<T> {
    pub(crate) fn send(mut self, answer: Answer<T>) {
        self.fill(answer);
    }

    fn fill(&mut self, answer: Answer<T>) {
        let Some(shared) = self.0.take() else { return };
        let mut slot = shared.lock().unwrap_or_else(PoisonError::into_inner);
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.fill(Err(StoreError::unavailable("the writer ended before it answered")));
    }
}

impl<T> Future for Waiting<T> {
    type Output = Answer<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<T>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
