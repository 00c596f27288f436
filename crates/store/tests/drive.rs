//! The loop: whose time counts, when it gives up, and what it gives back.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use vouchsafe_core::{Cell, CellKey, Corrupt, Machine, Space, Step, Timestamp};
use vouchsafe_store::{
    Alter, AnyCells, Apart, Cells, Change, Loaded, MAX_ATTEMPTS, MAX_CELL, MAX_UNANSWERED,
    MemoryStore, Put, StoreError, Stored, Swap, Undelivered, Version, drive,
};
use vouchsafe_testkit::{
    CountingStore, FailingEntropy, Fault, FaultyStore, SeededEntropy, Tally, TallyEvent, block_on,
    runs,
};

const KEY: CellKey = CellKey::new(Space::Lockout, [7; 16]);
const NODE: Timestamp = Timestamp::from_micros(1_000);

/// Says at what time it was stepped.
struct Watch;
struct Nothing;

impl Machine for Watch {
    type State = Nothing;
    type Event = ();
    type Verdict = Timestamp;

    fn step(&self, _: Option<&Nothing>, (): &(), now: Timestamp) -> Step<Nothing, Timestamp> {
        Step::save(Nothing, Timestamp::MAX, now)
    }
}

impl Cell for Nothing {
    const SPACE: Space = Space::Lockout;

    fn from_bytes(_: Vec<u8>) -> Result<Self, Corrupt> {
        Ok(Self)
    }

    fn into_bytes(self) -> Vec<u8> {
        vec![1]
    }
}

/// A store that answers from a script, with a time of its own that advances with each answer.
struct Scripted {
    time: Option<AtomicU64>,
    swaps: Mutex<u32>,
    /// How a swap is answered, by its number from 0.
    answer: fn(u32, Version) -> Result<Option<Version>, StoreError>,
}

impl Scripted {
    fn at(&self, loaded: Loaded) -> Loaded {
        match &self.time {
            None => loaded,
            Some(time) => {
                let micros = time.fetch_add(1, Ordering::SeqCst);
                loaded.at(Timestamp::from_micros(micros.try_into().unwrap()))
            }
        }
    }
}

impl Cells for Scripted {
    async fn load(&self, _: CellKey) -> Result<Loaded, StoreError> {
        Ok(self.at(Loaded::new(None)))
    }

    async fn swap(&self, _: CellKey, _: Option<Version>, put: Put) -> Result<Swap, StoreError> {
        let Put::Save { version, bytes, .. } = put else { return Ok(Swap::Done) };
        let mut swaps = self.swaps.lock().unwrap();
        *swaps += 1;
        Ok(match (self.answer)(*swaps - 1, version)? {
            None => Swap::Done,
            Some(other) => Swap::Conflict(self.at(Loaded::new(Some(Stored::new(bytes, other))))),
        })
    }

    async fn scan(
        &self,
        _: Space,
        _: Option<[u8; 16]>,
        _: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn sweep(&self, _: Timestamp, _: usize) -> Result<usize, StoreError> {
        Ok(0)
    }
}

fn scripted(
    time: Option<u64>,
    answer: fn(u32, Version) -> Result<Option<Version>, StoreError>,
) -> Scripted {
    Scripted { time: time.map(AtomicU64::new), swaps: Mutex::new(0), answer }
}

const RIVAL: Version = Version::new([0xEE; 16]);

#[test]
fn the_stores_time_wins() {
    let entropy = SeededEntropy::new(1);
    let stepped = |store: &Scripted| block_on(drive(store, &entropy, KEY, &Watch, (), NODE));
    let local = scripted(None, |_, _| Ok(None));
    assert_eq!(stepped(&local).unwrap(), NODE);
    // Behind the node's and ahead of it alike, and after a lost race the conflict's time.
    for time in [5, 5_000_000] {
        let shared = scripted(Some(time), |swap, _| Ok((swap < 3).then_some(RIVAL)));
        let expected = Timestamp::from_micros(i64::try_from(time).unwrap() + 3);
        assert_eq!(stepped(&shared).unwrap(), expected);
    }
}

#[test]
fn it_gives_up_after_so_many_lost_races() {
    let entropy = SeededEntropy::new(1);
    let store = scripted(None, |_, _| Ok(Some(RIVAL)));
    let Undelivered { error, event: () } =
        block_on(drive(&store, &entropy, KEY, &Watch, (), NODE)).unwrap_err();
    assert!(matches!(error, StoreError::Contended { attempts: MAX_ATTEMPTS }));
    assert_eq!(*store.swaps.lock().unwrap(), MAX_ATTEMPTS);
    // The last one may still win.
    let store = scripted(None, |swap, _| Ok((swap + 1 < MAX_ATTEMPTS).then_some(RIVAL)));
    assert!(block_on(drive(&store, &entropy, KEY, &Watch, (), NODE)).is_ok());
}

#[test]
fn a_store_that_swallows_every_swap_is_given_up() {
    let entropy = SeededEntropy::new(1);
    let store = scripted(None, |_, _| Err(StoreError::unavailable("no answer")));
    let undelivered = block_on(drive(&store, &entropy, KEY, &Watch, (), NODE)).unwrap_err();
    assert!(matches!(undelivered.error, StoreError::Unavailable(_)));
    assert_eq!(*store.swaps.lock().unwrap(), u32::try_from(MAX_UNANSWERED).unwrap() + 1);
}

#[test]
fn a_swap_that_arrives_late_is_recognised_in_the_conflict() {
    static FIRST: Mutex<Option<Version>> = Mutex::new(None);
    let entropy = SeededEntropy::new(1);
    // The first goes unanswered and unseen; the second loses its race, against the first.
    let store = scripted(Some(10), |swap, version| {
        let mut first = FIRST.lock().unwrap();
        if swap == 0 {
            *first = Some(version);
            return Err(StoreError::unavailable("no answer"));
        }
        Ok(*first)
    });
    let stepped = block_on(drive(&store, &entropy, KEY, &Watch, (), NODE)).unwrap();
    assert_eq!(stepped, Timestamp::from_micros(10), "the first step's verdict");
    assert_eq!(*store.swaps.lock().unwrap(), 2);
}

#[test]
fn what_cannot_be_delivered_comes_back() {
    let entropy = SeededEntropy::new(1);
    let event = TallyEvent::Add(3);
    let full = MemoryStore::new(0);
    let back = block_on(drive(&full, &entropy, KEY, &Tally, event, NODE)).unwrap_err();
    assert!(matches!(back, Undelivered { error: StoreError::Full, event: TallyEvent::Add(3) }));

    let store = MemoryStore::new(1 << 20);
    let none = FailingEntropy::after(0, SeededEntropy::new(1));
    let back = block_on(drive(&store, &none, KEY, &Tally, event, NODE)).unwrap_err();
    assert!(matches!(back.error, StoreError::NoEntropy(_)));
    assert_eq!(block_on(store.load(KEY)).unwrap().cell, None);

    let counted = CountingStore::new(&store);
    let faulty = FaultyStore::new(&counted, |_| Some(Fault::Before));
    let back = block_on(drive(&faulty, &entropy, KEY, &Tally, event, NODE)).unwrap_err();
    assert!(matches!(back.error, StoreError::Unavailable(_)));
    assert_eq!((faulty.calls(), counted.loads()), (1, 0), "a load is not tried again");

    let put = Put::save(b"no tally".to_vec(), Timestamp::MAX, RIVAL);
    assert_eq!(block_on(store.swap(KEY, None, put)).unwrap(), Swap::Done);
    let back = block_on(drive(&store, &entropy, KEY, &Tally, event, NODE)).unwrap_err();
    assert!(matches!(back.error, StoreError::Corrupt(KEY)));
    assert_eq!(block_on(store.load(KEY)).unwrap().version(), Some(RIVAL), "written over");
}

#[test]
fn an_erase_costs_a_swap_only_where_there_is_a_cell() {
    let (store, entropy) = (CountingStore::new(MemoryStore::new(1 << 20)), SeededEntropy::new(1));
    let send = |event| block_on(drive(&store, &entropy, KEY, &Tally, event, NODE)).unwrap();
    assert_eq!(send(TallyEvent::Clear), 0);
    assert_eq!((store.loads(), store.swaps()), (1, 0));
    assert_eq!(send(TallyEvent::Add(1)), 1);
    assert_eq!(send(TallyEvent::Clear), 0);
    assert_eq!((store.loads(), store.swaps()), (3, 2));
    assert_eq!(block_on(store.load(KEY)).unwrap().cell, None);
}

/// It has no version to be recognised by, but it counts.
#[test]
fn a_store_that_swallows_every_erase_is_given_up() {
    let (store, entropy) = (MemoryStore::new(1 << 20), SeededEntropy::new(1));
    block_on(drive(&store, &entropy, KEY, &Tally, TallyEvent::Add(1), NODE)).unwrap();
    let counted = CountingStore::new(&store);
    // Each load is answered, no swap is.
    let faulty = FaultyStore::new(&counted, |call| (call % 2 == 1).then_some(Fault::Before));
    let back = block_on(drive(&faulty, &entropy, KEY, &Tally, TallyEvent::Clear, NODE));
    let Undelivered { error, event } = back.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && event == TallyEvent::Clear);
    let swaps = u64::try_from(MAX_UNANSWERED).unwrap() + 1;
    assert_eq!((faulty.calls(), counted.loads()), (2 * swaps, swaps));
    assert!(block_on(store.load(KEY)).unwrap().cell.is_some());
}

#[test]
fn a_driven_future_may_be_sent_to_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    let (store, entropy) = (MemoryStore::new(1 << 20), SeededEntropy::new(1));
    let driven = drive(&store, &entropy, KEY, &Tally, TallyEvent::Add(1), NODE);
    sendable(&driven);
    assert_eq!(block_on(driven).unwrap(), 1);
}

/// What is stepped where the cell lies, and what is loaded and swapped, is the same.
#[test]
fn it_is_the_same_step_wherever_it_is_done() {
    let (here, there) = (MemoryStore::new(1 << 20), MemoryStore::new(1 << 20));
    let (here_ids, there_ids) = (SeededEntropy::new(1), SeededEntropy::new(1));
    let any = AnyCells::new(Apart::new(Arc::new(here), MemoryStore::new(0)));
    let counted = CountingStore::new(&there);
    let random = SeededEntropy::new(2);
    for _ in 0..runs(3_000, 100_000) {
        let event = match random.below(20) {
            0 => TallyEvent::Clear,
            _ => TallyEvent::Add(random.below(60)),
        };
        let key = CellKey::new(Space::Lockout, [u8::try_from(random.below(5)).unwrap(); 16]);
        let mine = block_on(drive(&any, &here_ids, key, &Tally, event, NODE)).unwrap();
        let theirs = block_on(drive(&counted, &there_ids, key, &Tally, event, NODE)).unwrap();
        assert_eq!(mine, theirs);
        assert_eq!(block_on(any.load(key)).unwrap(), block_on(there.load(key)).unwrap());
    }
    assert!(counted.swaps() > 100 && counted.loads() > counted.swaps());
}

/// A store that changes cells where they lie, and does nothing else.
struct InPlace(MemoryStore);

impl Cells for InPlace {
    vouchsafe_testkit::pass_on!(0: scan sweep);

    async fn load(&self, _: CellKey) -> Result<Loaded, StoreError> {
        Err(StoreError::unavailable("loaded"))
    }

    async fn swap(&self, _: CellKey, _: Option<Version>, _: Put) -> Result<Swap, StoreError> {
        Err(StoreError::unavailable("swapped"))
    }

    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        self.0.alter(key, change)
    }
}

#[test]
fn what_is_changed_where_it_lies_is_not_loaded_whatever_stands_before_the_store() {
    fn counted(cells: &impl Cells, space: Space) {
        let (entropy, key) = (SeededEntropy::new(1), CellKey::new(space, [7; 16]));
        for (id, count) in [(7, 1), (8, 2), (7, 1)] {
            let added = drive(cells, &entropy, key, &Tally, TallyEvent::Add(id), NODE);
            assert_eq!(block_on(added).unwrap(), count);
        }
    }
    let store = || InPlace(MemoryStore::new(1 << 20));
    let none = || MemoryStore::new(0);
    counted(&store(), Space::Lockout);
    counted(&&store(), Space::Lockout);
    counted(&Arc::new(store()), Space::Lockout);
    counted(&AnyCells::new(store()), Space::Lockout);
    counted(&Apart::new(store(), none()), Space::Lockout);
    counted(&Apart::new(none(), store()), Space::Account);
    // One that has to wait for something says that it cannot.
    let asked = scripted(None, |_, _| Ok(None)).alter(KEY, &mut |_, _| Ok(Change::Keep));
    assert!(asked.is_none());
}

#[test]
fn a_cell_is_altered_whole_or_not_at_all() {
    let store = MemoryStore::new(1 << 20);
    let version = |number| Version::new([number; 16]);
    let save = |number| Change::Save { until: Timestamp::MAX, version: version(number) };
    let bytes = |key| block_on(store.load(key)).unwrap().cell.map(|cell| cell.bytes);
    let put = |out: &mut Vec<u8>, text: &[u8]| *out = text.to_vec();

    let done = store.alter(KEY, &mut |was, out| {
        assert_eq!((was, out.len()), (None, 0));
        put(out, b"first");
        Ok(save(1))
    });
    assert!(matches!(done, Some(Ok(()))));
    assert_eq!(bytes(KEY).unwrap(), b"first");

    // What is only written is not kept, nor found by the next one.
    let kept = store.alter(KEY, &mut |was, out| {
        assert_eq!(was.unwrap(), b"first");
        put(out, b"not kept");
        Ok(Change::Keep)
    });
    assert!(matches!(kept, Some(Ok(()))));
    let refused = store.alter(KEY, &mut |_, out| {
        assert!(out.is_empty());
        put(out, b"not kept");
        Err(StoreError::unavailable("said so"))
    });
    assert!(matches!(refused, Some(Err(StoreError::Unavailable(_)))));
    assert_eq!(bytes(KEY).unwrap(), b"first");

    // Too long, and no room: the general way says so.
    let long = store.alter(KEY, &mut |_, out| {
        put(out, &vec![0; MAX_CELL + 1]);
        Ok(save(2))
    });
    assert!(long.is_none());
    let full = MemoryStore::new(1_000);
    let no_room = full.alter(KEY, &mut |_, out| {
        put(out, &[0; 2_000]);
        Ok(save(2))
    });
    assert!(no_room.is_none() && full.used() == 0);
    assert_eq!(block_on(store.load(KEY)).unwrap().version(), Some(version(1)));

    let erased = store.alter(KEY, &mut |_, _| Ok(Change::Erase));
    assert!(matches!(erased, Some(Ok(()))));
    assert_eq!((bytes(KEY), store.used()), (None, 0));
}

/// A store that says it has changed the cell, and has not even asked.
struct Idle<C>(C);

impl<C: Cells> Cells for Idle<C> {
    vouchsafe_testkit::pass_on!(0: load swap scan sweep);

    fn alter(&self, _: CellKey, _: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        Some(Ok(()))
    }
}

#[test]
fn a_store_that_did_not_ask_is_driven_by_swaps() {
    let (store, entropy) = (Idle(MemoryStore::new(1 << 20)), SeededEntropy::new(1));
    let add = |id| block_on(drive(&store, &entropy, KEY, &Tally, TallyEvent::Add(id), NODE));
    assert_eq!((add(1).unwrap(), add(2).unwrap(), add(1).unwrap()), (1, 2, 1));
}
