//! More cells than one statement takes, the longest value, and what no writer wrote.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, params};
use tempfile::TempDir;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, MAX_CELL, Put, StoreError, Swap, Version};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::block_on;

const KEY: CellKey = CellKey::new(Space::Account, [7; 16]);
const ONE: Version = Version::new([1; 16]);

/// Patient: the machine that runs the tests may be busy.
fn open() -> (TempDir, PathBuf, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let store = SqliteStore::builder(&path).deadline(Duration::from_secs(60)).open().unwrap();
    (folder, path, store)
}

fn numbered(number: u16) -> CellKey {
    CellKey::new(Space::Account, (u128::from(number) << 64).to_be_bytes())
}

/// So many cells at once, that end at 10.
fn fill(path: &Path, count: u16) {
    let mut connection = Connection::open(path).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..count {
        let values = params![KEY.space.code(), numbered(number).digest, ONE.as_bytes()];
        let insert = "INSERT INTO cells VALUES (?1, ?2, ?3, 10, x'00')";
        transaction.prepare_cached(insert).unwrap().execute(values).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_scan_goes_on_beyond_one_statement() {
    let (_folder, path, store) = open();
    fill(&path, 2_500);
    let all: Vec<CellKey> = (0..2_500).map(numbered).collect();
    for limit in [0, 1, 999, 1_000, 1_001, 2_000, 2_499, 2_500, 2_501, usize::MAX] {
        let found = block_on(store.scan(Space::Account, None, limit)).unwrap();
        assert_eq!(found, all[..limit.min(2_500)], "{limit}");
    }
    let after = Some(all[1_499].digest);
    assert_eq!(block_on(store.scan(Space::Account, after, 2_000)).unwrap(), all[1_500..]);
}

/// Others get their turn between its transactions.
#[test]
fn a_sweep_goes_on_beyond_one_transaction() {
    let past = Timestamp::from_micros(11);
    for (limit, swept, commits) in
        [(511, 511, 1), (512, 512, 1), (513, 513, 2), (1_024, 1_024, 2), (9_999, 1_024, 3)]
    {
        let (_folder, path, store) = open();
        fill(&path, 1_024);
        assert_eq!(block_on(store.sweep(past, limit)).unwrap(), swept);
        assert_eq!(store.commits(), commits, "{limit}");
        let left = block_on(store.scan(Space::Account, None, usize::MAX)).unwrap().len();
        assert_eq!(left, 1_024 - swept);
    }
}

#[test]
fn the_longest_value_fits() {
    let (_folder, _, store) = open();
    let put = |len| Put::save(vec![7; len], Timestamp::MAX, ONE);
    let refused = block_on(store.swap(KEY, None, put(MAX_CELL + 1))).unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { max: MAX_CELL, .. }));
    assert_eq!(block_on(store.swap(KEY, None, put(MAX_CELL))).unwrap(), Swap::Done);
    assert_eq!(block_on(store.load(KEY)).unwrap().cell.unwrap().bytes.len(), MAX_CELL);
}

#[test]
fn what_no_writer_wrote_is_corrupt_and_never_absent() {
    let (_folder, path, store) = open();
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "ignore_check_constraints", true).unwrap();
    for (version, len) in [(15, 1), (17, 1), (16, MAX_CELL + 1)] {
        let values = params![KEY.space.code(), KEY.digest, vec![1_u8; version], vec![7_u8; len]];
        other.execute("INSERT OR REPLACE INTO cells VALUES (?1, ?2, ?3, 10, ?4)", values).unwrap();
        let loaded = block_on(store.load(KEY));
        assert!(matches!(loaded, Err(StoreError::Corrupt(KEY))), "{loaded:?}");
        for put in [Put::Erase, Put::save(vec![1], Timestamp::MAX, ONE)] {
            let swapped = block_on(store.swap(KEY, None, put));
            assert!(matches!(swapped, Err(StoreError::Corrupt(KEY))), "{swapped:?}");
        }
    }
}

/// A path may be a name alone. Run again in a process of its own, whose folder is another one.
#[test]
fn a_store_and_its_copy_may_be_in_the_folder_of_the_process() {
    const IN: &str = "VOUCHSAFE_STORE_IN";
    if std::env::var_os(IN).is_some() {
        let store = SqliteStore::builder("cells.db").deadline(Duration::from_secs(60));
        let store = store.open().unwrap();
        let put = Put::save(b"kept".to_vec(), Timestamp::MAX, ONE);
        assert_eq!(block_on(store.swap(KEY, None, put)).unwrap(), Swap::Done);
        store.backup("copy.db").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let test = "a_store_and_its_copy_may_be_in_the_folder_of_the_process";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(IN, "1")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    let copy = SqliteStore::builder(folder.path().join("copy.db"));
    let copy = copy.deadline(Duration::from_secs(60)).open().unwrap();
    assert_eq!(block_on(copy.load(KEY)).unwrap().cell.unwrap().bytes, b"kept");
    assert!(!folder.path().join("copy.db.partial").exists());
}
