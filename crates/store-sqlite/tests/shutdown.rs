//! The last handle of a store, in whoever's hands it is.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::time::Duration;

use vouchsafe_core::{CellKey, Space};
use vouchsafe_store::Cells;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::abandon;

/// A server shuts down while a call is under way, and the store's own thread is the last to know it.
#[test]
fn a_store_whose_own_thread_drops_it_ends() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("cells.db")).unwrap();
        let told = abandon(async move {
            for number in 0..=255 {
                let _ = store.load(CellKey::new(Space::Account, [number; 16])).await;
            }
        });
        if let Some(told) = told {
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(true));
        }
    }
}
