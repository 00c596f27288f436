//! Records on their way to the writer, and the receipts on their way back.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use vouchsafe_access_log::{Receipt, SinkError};

type Answer = Result<Receipt, SinkError>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<(Option<Answer>, Option<Waker>)>,
    filled: Condvar,
}

/// An append under way. Dropping it does not take the record back.
///
/// A future for any executor; [`wait`](Self::wait) serves callers without one.
#[must_use = "the record is kept only once this answers"]
#[derive(Debug)]
pub struct Append(Arc<Slot>);

impl Append {
    /// Blocks until the record is durable, or will not be.
    ///
    /// # Errors
    /// [`SinkError`].
    pub fn wait(self) -> Result<Receipt, SinkError> {
        let mut state = locked(&self.0.state);
        loop {
            if let Some(answer) = state.0.take() {
                return answer;
            }
            state = self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Append {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = locked(&self.0.state);
        match &state.0 {
            Some(answer) => Poll::Ready(answer.clone()),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A record waiting to be written. Dropped unanswered, it answers [`SinkError::Closed`].
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) bytes: Vec<u8>,
    slot: Arc<Slot>,
}

impl Waiting {
    pub(crate) fn answer(&self, answer: Answer) {
        let waker = {
            let mut state = locked(&self.slot.state);
            if state.0.is_none() {
                state.0 = Some(answer);
            }
            state.1.take()
        };
        self.slot.filled.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if Arc::strong_count(&self.slot) > 1 {
            self.answer(Err(SinkError::Closed));
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// Set once: nothing is taken any more.
    end: Option<SinkError>,
}

/// The bounded queue in front of the writer.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    most: usize,
}

impl Queue {
    pub(crate) fn new(most: usize) -> Self {
        Self { inner: Mutex::default(), changed: Condvar::new(), most }
    }

    pub(crate) fn push(&self, bytes: Vec<u8>) -> Append {
        let slot = Arc::new(Slot::default());
        let append = Append(Arc::clone(&slot));
        let waiting = Waiting { bytes, slot };
        let mut inner = locked(&self.inner);
        let refusal = match &inner.end {
            Some(error) => Some(error.clone()),
            None if inner.waiting.len() >= self.most => Some(SinkError::Busy),
            None => None,
        };
        if let Some(error) = refusal {
            drop(inner);
            waiting.answer(Err(error));
        } else {
            inner.waiting.push_back(waiting);
            drop(inner);
            self.changed.notify_one();
        }
        append
    }

    /// The next group: at most `most` records and, but for the first, at most `bytes` bytes.
    /// Waits for one; `None` once the queue has ended and is empty.
    pub(crate) fn take(&self, most: usize, bytes: usize) -> Option<Vec<Waiting>> {
        let mut inner = locked(&self.inner);
        while inner.waiting.is_empty() {
            if inner.end.is_some() {
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group: Vec<Waiting> = Vec::new();
        let mut room = bytes;
        while let Some(next) = inner.waiting.front() {
            if !group.is_empty() && (group.len() >= most || next.bytes.len() > room) {
                break;
            }
            room = room.saturating_sub(next.bytes.len());
            group.extend(inner.waiting.pop_front());
        }
        Some(group)
    }

    /// Nothing more is taken, for this reason; what waits is still served.
    pub(crate) fn end(&self, error: SinkError) {
        locked(&self.inner).end.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Nothing more is taken, and what waits is answered with this reason.
    pub(crate) fn fail(&self, error: &SinkError) {
        let waiting = {
            let mut inner = locked(&self.inner);
            inner.end = Some(error.clone());
            std::mem::take(&mut inner.waiting)
        };
        waiting.iter().for_each(|waiting| waiting.answer(Err(error.clone())));
        self.changed.notify_all();
    }

    pub(crate) fn ended(&self) -> Option<SinkError> {
        locked(&self.inner).end.clone()
    }
}
