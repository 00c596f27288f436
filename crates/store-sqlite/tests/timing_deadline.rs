//! How long a call takes when there is no answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::time::{Duration, Instant};

use common::Holder;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Put, Version};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, block_on};

/// 50 ms are the default deadline; a machine that is busy wakes up a little late.
#[test]
fn a_held_file_is_unavailable_within_the_deadline() {
    if common::holds() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let entropy = SeededEntropy::new(1);
    let test = "a_held_file_is_unavailable_within_the_deadline";
    for (millis, store) in [
        (50, SqliteStore::open(&path).unwrap()),
        (200, SqliteStore::builder(&path).deadline(Duration::from_millis(200)).open().unwrap()),
    ] {
        let holder = Holder::start(test, &path);
        holder.stop();
        let mut took: Vec<Duration> = (0..21)
            .map(|_| {
                let version = Version::fresh(&entropy).unwrap();
                let put = Put::save(vec![1], Timestamp::MAX, version);
                let start = Instant::now();
                block_on(store.swap(CellKey::new(Space::Account, [7; 16]), None, put)).unwrap_err();
                start.elapsed()
            })
            .collect();
        took.sort_unstable();
        println!("{millis} ms: after {:?} (median), {:?} (worst)", took[10], took[20]);
        // Not because it gave up early, either.
        assert!((millis - 5..millis + 50).contains(&took[10].as_millis()), "{took:?}");
    }
}
