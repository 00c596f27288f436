//! What file it takes, what it makes of it, and how it is copied.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::unreachable,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use rusqlite::Connection;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_crypto::RootKey;
use vouchsafe_store::{Cells, Encrypted, Put, StoreError, Swap, Version};
use vouchsafe_store_sqlite::{SqliteError, SqliteStore};
use vouchsafe_testkit::{SeededEntropy, block_on, runs};

fn key(number: u8) -> CellKey {
    CellKey::new(Space::Account, [number; 16])
}

fn save(cells: &impl Cells, key: CellKey, bytes: &[u8], random: &SeededEntropy) -> Version {
    let was = block_on(cells.load(key)).unwrap().version();
    let version = Version::fresh(random).unwrap();
    let put = Put::save(bytes.to_vec(), Timestamp::MAX, version);
    assert_eq!(block_on(cells.swap(key, was, put)).unwrap(), Swap::Done);
    version
}

/// Patient: the machine that runs the tests may be busy.
fn open(path: impl AsRef<Path>) -> SqliteStore {
    SqliteStore::builder(path).deadline(Duration::from_secs(60)).open().unwrap()
}

fn refused(path: &Path) -> SqliteError {
    SqliteStore::open(path).map(drop).unwrap_err()
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let text = "not a database, but something that somebody may need\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    restrict(&path, 0o600);
    assert!(matches!(refused(&path), SqliteError::NotADatabase { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn somebody_elses_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute_batch("CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('ada')")
        .unwrap();
    drop(theirs);
    restrict(&path, 0o600);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(refused(&path), SqliteError::Foreign { application_id: 0, .. }));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    assert!(matches!(refused(&path), SqliteError::Schema { found: 2, known: 1, .. }));
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[test]
fn it_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let store = open(&path);
    save(&store, key(1), b"x", &SeededEntropy::new(1));
    let mode = |name: &str| {
        std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777
    };
    for name in ["cells.db", "cells.db-wal", "cells.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    drop(store);
    for (bits, exposed) in [(0o660, false), (0o604, true), (0o602, true), (0o666, true)] {
        restrict(&path, bits);
        match SqliteStore::open(&path) {
            Ok(_) => assert!(!exposed, "{bits:o}"),
            Err(SqliteError::Exposed { mode, .. }) => assert!(exposed && mode == bits),
            Err(other) => unreachable!("{other}"),
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |path: &Path| match refused(path) {
        SqliteError::File { source, .. } => source.kind(),
        other => unreachable!("{other}"),
    };
    assert_eq!(kind(&folder.path().join("none/cells.db")), std::io::ErrorKind::NotFound);
    assert_eq!(kind(folder.path()), std::io::ErrorKind::IsADirectory);
}

#[test]
fn names_mean_nothing_to_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:cells.db?mode=memory"] {
        let path = folder.path().join(name);
        save(&open(&path), key(1), b"kept", &SeededEntropy::new(1));
        let again = open(&path);
        assert_eq!(block_on(again.load(key(1))).unwrap().cell.unwrap().bytes, b"kept");
    }
}

#[test]
fn a_damaged_cell_is_an_error_and_no_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let store = open(&path);
    let random = SeededEntropy::new(1);
    for number in 0..200 {
        save(&store, key(number), &[0xA5; 500], &random);
    }
    drop(store);
    // Every page but the first two, which hold what opening reads.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2 * 4096..].fill(0xFF);
    std::fs::write(&path, bytes).unwrap();
    let store = open(&path);
    for number in 0..200 {
        let loaded = block_on(store.load(key(number)));
        assert!(matches!(loaded, Err(StoreError::Corrupt(at)) if at == key(number)), "{loaded:?}");
        let put = Put::save(vec![1], Timestamp::MAX, Version::fresh(&random).unwrap());
        assert!(block_on(store.swap(key(number), None, put)).is_err());
    }
}

#[test]
fn a_file_that_is_damaged_where_it_begins_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    save(&open(&path), key(1), b"x", &SeededEntropy::new(1));
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the header of the file, that of the page with the names of the tables.
    bytes[100..108].fill(0xFF);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(refused(&path), SqliteError::Damaged { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn it_writes_ahead_and_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let store = open(&path);
    save(&store, key(1), b"x", &SeededEntropy::new(1));
    assert!(folder.path().join("cells.db-wal").metadata().unwrap().len() > 0);
    let other = Connection::open(&path).unwrap();
    let mode: String = other.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    drop(other);
    drop(store);
    // Closed in order: everything is in the one file.
    assert!(!folder.path().join("cells.db-wal").exists());
}

#[test]
fn swaps_that_wait_share_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let store = open(&path);
    let random = SeededEntropy::new(1);
    // Alone, each has its own.
    for number in 0..5 {
        save(&store, key(number), b"x", &random);
    }
    assert_eq!(store.commits(), 5);
    // Another process holds the file; a hundred swaps gather behind it.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting = Vec::new();
    for number in 100..200 {
        let put = Put::save(vec![1], Timestamp::MAX, Version::fresh(&random).unwrap());
        let mut swap = Box::pin(store.swap(key(number), None, put));
        assert!(swap.as_mut().poll(&mut context).is_pending());
        waiting.push(swap);
    }
    other.execute_batch("COMMIT").unwrap();
    for swap in waiting {
        assert_eq!(block_on(swap).unwrap(), Swap::Done);
    }
    assert!((6..=7).contains(&store.commits()), "{} commits", store.commits());
}

#[test]
fn closing_finishes_what_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.db");
    let random = SeededEntropy::new(1);
    let store = open(&path);
    for number in 0..100 {
        let put = Put::save(vec![1], Timestamp::MAX, Version::fresh(&random).unwrap());
        let mut swap = pin!(store.swap(key(number), None, put));
        let _dropped = swap.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    drop(store);
    let store = open(&path);
    assert_eq!(block_on(store.scan(Space::Account, None, 1000)).unwrap().len(), 100);
}

/// Says that it is over, when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_copy_holds_what_was_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("cells.db"));
    let acknowledged: Mutex<[u64; 4]> = Mutex::new([0; 4]);
    let stop = AtomicBool::new(false);
    let number = |cells: &SqliteStore, thread: u8| {
        let cell = block_on(cells.load(key(thread))).unwrap().cell;
        cell.map_or(0, |cell| u64::from_le_bytes(cell.bytes[..8].try_into().unwrap()))
    };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (store, acknowledged, stop) = (&store, &acknowledged, &stop);
            scope.spawn(move || {
                let random = SeededEntropy::new(u64::from(thread));
                let mut count = 0_u64;
                while !stop.load(Ordering::SeqCst) {
                    count += 1;
                    let mut bytes = count.to_le_bytes().to_vec();
                    bytes.resize(3000, 7);
                    save(store, key(thread), &bytes, &random);
                    acknowledged.lock().unwrap()[usize::from(thread)] = count;
                }
            });
        }
        // A test that fails here ends them, too.
        let _stop = Stop(&stop);
        for copy in 0..runs(10, 100) {
            let before = *acknowledged.lock().unwrap();
            let to = folder.path().join(format!("copy-{copy}.db"));
            store.backup(&to).unwrap();
            let copy = open(&to);
            for thread in 0..4_u8 {
                assert!(number(&copy, thread) >= before[usize::from(thread)]);
            }
        }
    });
    // A file that is there is not replaced.
    let there = folder.path().join("copy-0.db");
    let bytes = std::fs::read(&there).unwrap();
    let refused = store.backup(&there).unwrap_err();
    assert!(matches!(refused, SqliteError::File { ref source, .. }
        if source.kind() == std::io::ErrorKind::AlreadyExists));
    assert_eq!(std::fs::read(&there).unwrap(), bytes);
    assert!(!folder.path().join("copy-0.db.partial").exists());
}

#[test]
fn the_file_of_a_sealed_store_shows_nothing() {
    let text = b"ada@example.org 192.0.2.7 locked";
    let shows = |sealed: bool| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("cells.db"));
        let random = SeededEntropy::new(1);
        if sealed {
            save(&Encrypted::new(&store, RootKey::new(&[1; 32])), key(1), text, &random);
        } else {
            save(&store, key(1), text, &random);
        }
        std::fs::read_dir(folder.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            text.windows(6).any(|part| bytes.windows(6).any(|at| at == part))
        })
    };
    assert!(shows(false), "the search finds what is not sealed");
    assert!(!shows(true));
}
