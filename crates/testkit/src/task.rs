//! A call that nobody waits for any more.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task of an executor that is gone: its waker alone holds it.
struct Task {
    call: Mutex<Option<Call>>,
    dropped: Sender<bool>,
}

impl Task {
    fn take(&self) -> Option<Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Nobody polls it any more, so it ends here, and whatever it holds with it.
        let call = self.take();
        let gone = catch_unwind(AssertUnwindSafe(|| drop(call)));
        // A test that does not listen any more has failed already.
        let _unheard = self.dropped.send(gone.is_ok());
    }
}

/// Polls `call` once and leaves it to its waker, as an executor that is shut down does: whoever
/// wakes it drops it, and all that it holds, and says whether that went without a panic. `None`
/// where it was ready at once.
pub fn abandon(call: impl Future<Output = ()> + Send + 'static) -> Option<Receiver<bool>> {
    let (dropped, told) = channel();
    let task = Arc::new(Task { call: Mutex::new(Some(Box::pin(call))), dropped });
    let waker = Waker::from(Arc::clone(&task));
    // Whoever wakes it while it is polled finds it there afterwards.
    let mut call = task.call.lock().unwrap_or_else(PoisonError::into_inner);
    let polled = call.as_mut()?.as_mut().poll(&mut Context::from_waker(&waker));
    drop(call);
    polled.is_pending().then_some(told)
}
