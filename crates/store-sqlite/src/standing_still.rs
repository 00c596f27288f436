//! Calls while a thread of the store's stands still in the middle of its work, as over a disk that
//! does not answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tempfile::TempDir;
use vouchsafe_core::{Cell, CellKey, Corrupt, Machine, Space, Step, Timestamp};
use vouchsafe_store::{Cells, Loaded, Put, StoreError, Swap, Version, drive};
use vouchsafe_testkit::{SeededEntropy, block_on, runs};

use crate::SqliteStore;
use crate::database::Place;

const DEADLINE: Duration = Duration::from_millis(50);
const PATIENT: Duration = Duration::from_secs(3600);

/// Whoever passes stands still while it is shut.
#[derive(Default)]
struct Barrier {
    state: Mutex<Passing>,
    changed: Condvar,
}

#[derive(Default)]
struct Passing {
    shut: bool,
    /// How often somebody came.
    came: usize,
}

impl Barrier {
    fn shut(&self) {
        self.state.lock().unwrap().shut = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().shut = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.came = state.came.saturating_add(1);
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.shut).unwrap());
    }

    fn came(&self) -> usize {
        self.state.lock().unwrap().came
    }

    fn wait_for(&self, came: usize) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.came < came).unwrap());
    }
}

/// A store, and what its commits and its reads have to pass.
fn store() -> (TempDir, SqliteStore, Arc<Barrier>, Arc<Barrier>) {
    store_with(DEADLINE, None)
}

fn store_with(
    deadline: Duration,
    max_bytes: Option<u64>,
) -> (TempDir, SqliteStore, Arc<Barrier>, Arc<Barrier>) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::create(&folder.path().join("cells.db")).unwrap();
    let (commits, reads) = (Arc::new(Barrier::default()), Arc::new(Barrier::default()));
    let mut writer = place.writer(max_bytes).unwrap();
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
    let store = SqliteStore::start(place, writer, readers, deadline).unwrap();
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

/// Hands a call over, and says what it is answered at once, if anything.
fn begin<F: Future>(call: F) -> Result<F::Output, Pin<Box<F>>> {
    let mut call = Box::pin(call);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => Err(call),
    }
}

#[test]
fn a_read_that_nobody_waits_for_is_not_begun() {
    let (_folder, store, _, reads) = store();
    // How many steps a read takes, at most, and how often it was asked for.
    let load = || {
        let (before, mut asked) = (reads.came(), 0);
        answered(|| {
            asked += 1;
            block_on(store.load(key(0)))
        });
        (reads.came() - before, asked)
    };
    let (each, _) = (0..20).map(|_| load()).max().unwrap();
    assert!(each > 0);
    reads.shut();
    let before = reads.came();
    let given_up: Vec<_> = (0..500).map(|_| begin(store.load(key(0))).err().unwrap()).collect();
    given_up.into_iter().for_each(|load| unavailable(&block_on(load)));
    reads.open();
    let (_, asked) = load();
    let steps = reads.came() - before;
    // Each of the two readers had begun one.
    assert!(steps <= (2 + asked) * each, "{steps} steps, {each} each, asked {asked} times");
}

#[test]
fn when_too_many_wait_more_are_refused_and_told_why() {
    let (_folder, store, commits, reads) = store_with(PATIENT, None);
    let entropy = SeededEntropy::new(1);
    let numbered =
        |number: u16| CellKey::new(Space::System, (u128::from(number) << 64).to_be_bytes());
    let swap = |number| store.swap(numbered(number), None, put(&entropy));
    commits.shut();
    reads.shut();
    // These stand still; the others wait behind them.
    let mut loads: Vec<_> = (0..2).map(|_| begin(store.load(key(0))).err().unwrap()).collect();
    let mut swaps = vec![begin(swap(0)).err().unwrap()];
    reads.wait_for(2);
    commits.wait_for(1);
    for number in 1..=4096 {
        loads.push(begin(store.load(key(0))).err().unwrap());
        swaps.push(begin(swap(number)).err().unwrap());
    }
    let shown = format!("{store:?}");
    let refused = [
        block_on(store.load(key(0))).map(drop),
        block_on(store.scan(Space::System, None, 1)).map(drop),
        block_on(swap(5000)).map(drop),
        block_on(store.sweep(Timestamp::MAX, 1)).map(drop),
    ];
    commits.open();
    reads.open();
    assert!(shown.contains("4096 waiting"), "{shown}");
    for refused in refused {
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("too many calls are waiting"), "{said}");
    }
    loads.into_iter().for_each(|load| drop(block_on(load).unwrap()));
    swaps.into_iter().for_each(|swap| assert_eq!(block_on(swap).unwrap(), Swap::Done));
    let there = block_on(store.scan(Space::System, None, usize::MAX)).unwrap();
    assert_eq!(there.len(), 4097);
}

#[test]
fn one_for_which_there_is_no_room_takes_none_of_its_neighbours_along() {
    let (_folder, store, commits, _) = store_with(PATIENT, Some(64 * 4096));
    let entropy = SeededEntropy::new(1);
    assert_eq!(block_on(store.swap(key(0), None, put(&entropy))).unwrap(), Swap::Done);
    let was = block_on(store.load(key(0))).unwrap().version();
    let large = Put::save(vec![7; 128 * 4096], Timestamp::MAX, Version::fresh(&entropy).unwrap());
    commits.shut();
    let first = begin(store.swap(key(1), None, put(&entropy))).err().unwrap();
    commits.wait_for(2);
    // These share a transaction.
    let erase = begin(store.swap(key(0), was, Put::Erase)).err().unwrap();
    let large = begin(store.swap(key(2), None, large)).err().unwrap();
    let small = begin(store.swap(key(3), None, put(&entropy))).err().unwrap();
    let sweep = begin(store.sweep(Timestamp::EPOCH, 10)).err().unwrap();
    commits.open();
    let swaps = [first, erase, large, small].map(|swap| block_on(swap).unwrap());
    assert_eq!(swaps, [Swap::Done, Swap::Done, Swap::Full, Swap::Done]);
    assert_eq!(block_on(sweep).unwrap(), 0);
    let there = block_on(store.scan(Space::System, None, 10)).unwrap();
    assert_eq!(there, [key(1), key(3)]);
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
