//! A file that another process holds: calls end, and work again when it lets go.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::Holder;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Put, StoreError, Swap, Version};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, block_on};

const KEY: CellKey = CellKey::new(Space::Account, [7; 16]);
const OTHER: CellKey = CellKey::new(Space::Account, [8; 16]);

/// Asks until there is an answer: a busy machine may miss a deadline by itself.
fn answered<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> T {
    loop {
        match ask() {
            Err(StoreError::Unavailable(_)) => {}
            other => return other.unwrap(),
        }
    }
}

#[test]
fn a_file_held_by_a_stopped_process_is_unavailable_and_then_recovers() {
    if common::holds() {
        return;
    }
    let test = "a_file_held_by_a_stopped_process_is_unavailable_and_then_recovers";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let store = SqliteStore::open(&path).unwrap();
    let entropy = SeededEntropy::new(1);
    let put = || Put::save(b"kept".to_vec(), Timestamp::MAX, Version::fresh(&entropy).unwrap());
    let mut version = None;
    for killed in [false, true, false] {
        let new = answered(|| {
            let put = put();
            let Put::Save { version: new, .. } = &put else { return Ok(None) };
            let new = *new;
            match block_on(store.swap(KEY, version, put))? {
                Swap::Done => Ok(Some(new)),
                // One that was not answered in time was done.
                Swap::Conflict(is) => Ok(is.version()),
                Swap::Full => Ok(None),
            }
        });
        assert!(new.is_some());
        version = new;
        let holder = Holder::start(test, &path);
        holder.stop();
        for _ in 0..3 {
            for answer in [
                block_on(store.swap(KEY, version, Put::Erase)).map(drop),
                block_on(store.swap(OTHER, None, put())).map(drop),
                block_on(store.sweep(Timestamp::MAX, 10)).map(drop),
            ] {
                assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
            }
        }
        // Who only reads does not wait for who writes.
        assert_eq!(answered(|| block_on(store.load(KEY))).cell.unwrap().bytes, b"kept");
        if killed {
            holder.kill()
        } else {
            holder.go_on()
        }
        // Nothing that was given up is done afterwards.
        assert_eq!(answered(|| block_on(store.swap(OTHER, None, Put::Erase))), Swap::Done);
        assert_eq!(answered(|| block_on(store.load(KEY))).version(), version);
    }
}
