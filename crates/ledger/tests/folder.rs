//! What else may stand in a log's directory, and whose it must be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod common;

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::small_log::{put, size};
use common::{check, open, record};
use vouchsafe_access_log::{Filter, SinkError};
use vouchsafe_core::TenantId;
use vouchsafe_ledger::LedgerError;
use vouchsafe_testkit::runs;

/// One test at a time: a child that one of them starts holds the locks of all for a moment.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    open(&dir).unwrap().append(record("acme", 0)).wait().unwrap();
    (folder, dir)
}

/// Makes a FIFO. As long as both its ends are held here, whoever opens it does not block.
fn fifo(path: &Path) -> File {
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(path).status().unwrap().success());
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[track_caller]
fn refused(dir: &Path, what: &str) {
    for result in [open(dir).map(|_| ()), check(dir).map(|_| ())] {
        match result {
            Err(error @ LedgerError::Kind { .. }) => {
                assert!(error.to_string().contains(what), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What the writer does to `new-segment`, as fast as it goes.
#[test]
fn verifying_while_files_get_their_names() {
    let _alone = alone();
    let (_folder, dir) = log();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..runs(5_000, 100_000) {
                put(&dir.join("new-segment"), b"");
                std::fs::rename(dir.join("new-segment"), dir.join("tail-00000000-1")).unwrap();
            }
        });
        while !writer.is_finished() {
            assert_eq!(check(&dir).map(size).unwrap(), 1);
        }
    });
}

#[test]
fn what_is_no_regular_file_is_refused_before_it_is_opened() {
    let _alone = alone();
    for name in ["lock", "new-segment", "segment-00000000", "tail-00000000-1"] {
        let (_folder, dir) = log();
        let path = dir.join(name);
        let _ = std::fs::remove_file(&path);
        let held = fifo(&path);
        refused(&dir, "is a FIFO, not a regular file");
        drop(held);
        std::fs::remove_file(&path).unwrap();
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        refused(&dir, "is a directory, not a regular file");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_later_too() {
    let _alone = alone();
    let (_folder, dir) = log();
    let ledger = open(&dir).unwrap();
    let _held = fifo(&dir.join("new-segment"));
    let failed = ledger.append(record("acme", 1)).wait();
    assert!(matches!(&failed, Err(SinkError::Failed(why)) if why.contains("FIFO")), "{failed:?}");
    std::fs::remove_file(dir.join("segment-00000000")).unwrap();
    let _held = fifo(&dir.join("segment-00000000"));
    let page = ledger.query(&Filter::tenant(TenantId::new("acme").unwrap()), None, 1);
    assert!(matches!(page, Err(LedgerError::Kind { .. })), "{page:?}");
}

#[test]
fn symbolic_links_are_called_so() {
    let _alone = alone();
    let (folder, dir) = log();
    let link = folder.path().join("link");
    symlink(&dir, &link).unwrap();
    refused(&link, "is a symbolic link, not a directory");
    let segment = dir.join("segment-00000000");
    std::fs::rename(&segment, folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), &segment).unwrap();
    refused(&dir, "is a symbolic link, not a regular file");
    refused(&folder.path().join("elsewhere"), "is a regular file, not a directory");
}

/// Only the writer's own spelling is a segment's; nothing else is opened, or changed.
#[test]
fn names_that_the_writer_does_not_write() {
    let _alone = alone();
    let (_folder, dir) = log();
    let strange = ["segment-7", "segment-+0000007", "segment-000000007", "segment-", "notes"];
    strange.iter().for_each(|name| put(&dir.join(name), b"strange"));
    let _held = fifo(&dir.join("fifo"));
    let ledger = open(&dir).unwrap();
    assert_eq!(ledger.append(record("acme", 1)).wait().unwrap().index(), 1);
    drop(ledger);
    assert_eq!(check(&dir).map(size).unwrap(), 2);
    for name in strange {
        assert_eq!(std::fs::read(dir.join(name)).unwrap(), b"strange");
    }
    put(&dir.join("segment-00000007"), b"");
    assert!(matches!(check(&dir), Err(LedgerError::Corrupt { index: 2, segment: 2, .. })));
}

/// Only root can give files away, and only root can open what is another's.
#[test]
fn another_owner_is_refused() {
    let _alone = alone();
    let (_folder, dir) = log();
    let me = dir.metadata().unwrap().uid();
    let other = Some(me + 65_534);
    if chown(&dir, other, None).is_err() {
        eprintln!("needs root: `owners_are_compared` shows it to everybody else");
        return;
    }
    let names = ["lock", "segment-00000000"];
    let refused = |result: Result<(), LedgerError>| {
        assert!(matches!(result, Err(LedgerError::Owner { .. })), "{result:?}");
    };
    // A file that is not the directory's owner's: nobody reads on.
    refused(check(&dir).map(|_| ()));
    refused(open(&dir).map(|_| ()));
    // All of it somebody else's: root may verify it, and leaves nothing of its own in it.
    names.iter().for_each(|name| chown(dir.join(name), other, None).unwrap());
    for with_lock in [true, false] {
        if !with_lock {
            std::fs::remove_file(dir.join("lock")).unwrap();
        }
        assert_eq!(check(&dir).map(size).unwrap(), 1);
        refused(open(&dir).map(|_| ()));
        assert_eq!(dir.join("lock").exists(), with_lock);
        assert!(!dir.join("new-segment").exists());
    }
}
