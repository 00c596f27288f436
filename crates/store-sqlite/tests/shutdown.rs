//! The last handle of a store, in whoever's hands it is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use vouchsafe_core::{CellKey, Space};
use vouchsafe_store::Cells;
use vouchsafe_store_sqlite::SqliteStore;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task of an executor that is gone: the waker alone holds it.
struct Task {
    call: Mutex<Option<Call>>,
    dropped: mpsc::Sender<bool>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Nobody polls it any more, so it ends here, and the store with it.
        let call = self.call.lock().unwrap().take();
        let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(call)));
        self.dropped.send(gone.is_ok()).unwrap();
    }
}

/// A server shuts down while a call is under way, and the store's own thread is the last to know it.
#[test]
fn a_store_whose_own_thread_drops_it_ends() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("cells.db")).unwrap());
        let (dropped, told) = mpsc::channel();
        let held = Arc::clone(&store);
        let call: Call = Box::pin(async move {
            for number in 0..=255 {
                let _ = held.load(CellKey::new(Space::Account, [number; 16])).await;
            }
        });
        let task = Arc::new(Task { call: Mutex::new(Some(call)), dropped });
        drop(store);
        let waker = Waker::from(Arc::clone(&task));
        let polled = {
            let mut call = task.call.lock().unwrap();
            call.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker))
        };
        drop((waker, task));
        if polled.is_pending() {
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(true));
        }
    }
}
