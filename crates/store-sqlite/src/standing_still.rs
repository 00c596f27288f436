//! Calls while a thread of the store's stands still in the middle of its work, as over a disk that
//! does not answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use vouchsafe_core::{Cell, CellKey, Corrupt, Machine, Space, Step, Timestamp};
use vouchsafe_store::{Cells, Loaded, Put, StoreError, Swap, Version, drive};
use vouchsafe_testkit::{SeededEntropy, block_on, runs};

use crate::SqliteStore;
use crate::database::Place;

const DEADLINE: Duration = Duration::from_millis(50);

/// Whoever passes stands still while it is shut.
#[derive(Default)]
struct Barrier {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Barrier {
    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        drop(self.opened.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
    }
}

/// A store, and what its commits and its reads have to pass.
fn store() -> (TempDir, SqliteStore, Arc<Barrier>, Arc<Barrier>) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::create(&folder.path().join("cells.db")).unwrap();
    let (commits, reads) = (Arc::new(Barrier::default()), Arc::new(Barrier::default()));
    let mut writer = place.writer(None).unwrap();
    let passing = Arc::clone(&commits);
    // Every change is made by now, and nothing of it is in the file.
    let hook = move || {
        passing.pass();
        false
    };
    writer.commit_hook(Some(hook)).unwrap();
    let readers = (0..2).map(|_| {
        let mut reader = place.reader().unwrap();
        let passing = Arc::clone(&reads);
        let hook = move || {
            passing.pass();
            false
        };
        reader.progress_handler(1, Some(hook)).unwrap();
        reader
    });
    let readers = readers.collect();
    let store = SqliteStore::start(place, writer, readers, DEADLINE).unwrap();
    (folder, store, commits, reads)
}

const fn key(number: u8) -> CellKey {
    CellKey::new(Space::System, [number; 16])
}

fn put(entropy: &SeededEntropy) -> Put {
    Put::save(vec![1], Timestamp::MAX, Version::fresh(entropy).unwrap())
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
}

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
fn a_writer_that_stands_still_is_unavailable_and_then_recovers() {
    let (_folder, store, commits, _) = store();
    let entropy = SeededEntropy::new(1);
    answered(|| block_on(store.swap(key(0), None, put(&entropy))));
    for round in 1..4 {
        commits.shut();
        // The first is in the transaction that stands still, the second behind it.
        unavailable(&block_on(store.swap(key(round), None, put(&entropy))));
        unavailable(&block_on(store.swap(key(100 + round), None, put(&entropy))));
        unavailable(&block_on(store.sweep(Timestamp::MAX, 10)));
        // Who reads does not wait for who writes, and sees what is committed.
        assert!(answered(|| block_on(store.load(key(0)))).cell.is_some());
        assert_eq!(answered(|| block_on(store.load(key(round)))).cell, None);
        commits.open();
        // It was begun, so it is done, late; what was given up before it was begun is not.
        let was = answered(|| match block_on(store.swap(key(0), None, put(&entropy))) {
            Ok(Swap::Conflict(was)) => Ok(was.version()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        });
        assert!(was.is_some());
        assert!(answered(|| block_on(store.load(key(round)))).cell.is_some());
        assert_eq!(answered(|| block_on(store.load(key(100 + round)))).cell, None);
    }
}

#[test]
fn readers_that_stand_still_are_unavailable_and_then_recover() {
    let (_folder, store, _, reads) = store();
    let entropy = SeededEntropy::new(1);
    answered(|| block_on(store.swap(key(0), None, put(&entropy))));
    for _ in 0..3 {
        reads.shut();
        for _ in 0..4 {
            unavailable(&block_on(store.load(key(0))));
            unavailable(&block_on(store.scan(Space::System, None, 10)));
        }
        reads.open();
        assert!(answered(|| block_on(store.load(key(0)))).cell.is_some());
        assert_eq!(answered(|| block_on(store.scan(Space::System, None, 10))), [key(0)]);
    }
}

/// A count that each event raises, whether it was delivered before or not.
struct Count;

struct Counted(u8);

impl Cell for Counted {
    const SPACE: Space = Space::System;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        bytes.first().copied().map(Self).ok_or(Corrupt)
    }

    fn into_bytes(self) -> Vec<u8> {
        vec![self.0]
    }
}

impl Machine for Count {
    type State = Counted;
    type Event = ();
    type Verdict = u8;

    fn step(&self, was: Option<&Counted>, (): &(), _now: Timestamp) -> Step<Counted, u8> {
        let count = was.map_or(1, |was| was.0.wrapping_add(1));
        Step::save(Counted(count), Timestamp::MAX, count)
    }
}

/// Opens the barrier when the second swap begins: the first was given up by then.
struct Late<'a> {
    store: &'a SqliteStore,
    commits: &'a Barrier,
    swaps: AtomicUsize,
}

impl Cells for Late<'_> {
    vouchsafe_testkit::pass_on!(store: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        Ok(answered(|| block_on(self.store.load(key))))
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let swap = self.store.swap(key, expected, put);
        if self.swaps.fetch_add(1, Ordering::SeqCst) == 1 {
            self.commits.open();
        }
        swap.await
    }
}

#[test]
fn a_swap_that_commits_after_its_deadline_is_recognised_and_done_once() {
    let (_folder, store, commits, _) = store();
    let entropy = SeededEntropy::new(1);
    let rounds = u8::try_from(runs(5, 100)).unwrap();
    for round in 1..=rounds {
        commits.shut();
        let late = Late { store: &store, commits: &commits, swaps: AtomicUsize::new(0) };
        let driven = drive(&late, &entropy, key(9), &Count, (), Timestamp::EPOCH);
        assert_eq!(block_on(driven).map_err(|undelivered| undelivered.error).unwrap(), round);
        assert!(late.swaps.load(Ordering::SeqCst) > 1, "the first was answered in time");
        assert_eq!(answered(|| block_on(store.load(key(9)))).cell.unwrap().bytes, [round]);
    }
}
