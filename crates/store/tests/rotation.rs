//! Generations of the keys that seal a store: they rotate by time, and nothing is lost on the way.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_crypto::RootKey;
use vouchsafe_store::{
    Cells, Encrypted, MemoryStore, Put, StoreError, Stored, Swap, Version, drive,
};
use vouchsafe_testkit::{
    CountingStore, Fault, FaultyStore, SeededEntropy, Tally, TallyEvent, block_on, runs,
};

const KEY: CellKey = CellKey::new(Space::Account, [7; 16]);
const ONE: Version = Version::new([1; 16]);
const TWO: Version = Version::new([2; 16]);

fn sealed<C: Cells>(inner: C) -> Encrypted<C> {
    Encrypted::new(inner, RootKey::new(&[9; 32]))
}

fn memory() -> Encrypted<Arc<MemoryStore>> {
    sealed(Arc::new(MemoryStore::new(16 << 20)))
}

/// The beginning of a generation.
fn since(generation: u32) -> Timestamp {
    Timestamp::EPOCH.after(Encrypted::<MemoryStore>::PERIOD * generation)
}

fn save(cells: &impl Cells, key: CellKey, bytes: &[u8], until: Timestamp, version: Version) {
    let was = block_on(cells.load(key)).unwrap().version();
    let put = Put::save(bytes.to_vec(), until, version);
    assert_eq!(block_on(cells.swap(key, was, put)).unwrap(), Swap::Done);
}

fn load(cells: &impl Cells, key: CellKey) -> Result<Option<Stored>, StoreError> {
    block_on(cells.load(key)).map(|loaded| loaded.cell)
}

/// The generation that the raw value says it was sealed under.
fn under(raw: &impl Cells, key: CellKey) -> u32 {
    let bytes = load(raw, key).unwrap().unwrap().bytes;
    u32::from_be_bytes(bytes[1..5].try_into().unwrap())
}

fn key(number: u64) -> CellKey {
    let digest = SeededEntropy::new(number);
    let digest = (u128::from(digest.next()) << 64) | u128::from(digest.next());
    let spaces = Space::ALL;
    CellKey::new(spaces[usize::try_from(number).unwrap() % spaces.len()], digest.to_be_bytes())
}

/// Walks until there is none to go on from, however often the store fails, and says how many cells
/// were sealed anew.
fn walk(cells: &Encrypted<impl Cells>, most: usize) -> usize {
    let (mut after, mut resealed) = (None, 0);
    loop {
        match block_on(cells.reseal(after, most)) {
            Ok(done) => {
                assert_eq!(done.corrupt, 0);
                resealed += done.resealed;
                after = done.last;
                if after.is_none() {
                    return resealed;
                }
            }
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_period_is_a_generation_and_a_key_stays_below_its_limit() {
    let cells = memory();
    assert_eq!(cells.generation(), 0);
    let last = since(700).before(std::time::Duration::from_micros(1));
    for (now, generation) in [(last, 699), (since(700), 700), (last, 700), (since(701), 701)] {
        cells.rotate(now);
        assert_eq!(cells.generation(), generation, "{now}");
    }
    // What every host calls tells it, too.
    block_on(cells.sweep(since(702), 1)).unwrap();
    assert_eq!(cells.generation(), 702);
    assert_eq!(Encrypted::<MemoryStore>::PERIOD.as_secs(), 30 * 86_400);
    let swaps_of_one_cell = Encrypted::<MemoryStore>::PERIOD.as_secs() * 1_600;
    assert!(swaps_of_one_cell < 1 << 32);
    for odd in [Timestamp::MIN, Timestamp::MAX] {
        cells.rotate(odd);
        save(&cells, KEY, b"still", Timestamp::MAX, ONE);
        assert_eq!(load(&cells, KEY).unwrap().unwrap().bytes, b"still");
    }
}

#[test]
fn an_old_generation_opens_and_a_write_seals_under_the_newest() {
    let raw = Arc::new(MemoryStore::new(16 << 20));
    let (cells, behind) = (sealed(Arc::clone(&raw)), sealed(Arc::clone(&raw)));
    for generation in [0, 1, 2, 50] {
        save(&cells, key(generation), b"old", Timestamp::MAX, ONE);
        cells.rotate(since(51));
        assert_eq!(load(&cells, key(generation)).unwrap().unwrap().bytes, b"old");
        save(&cells, key(generation), b"new", Timestamp::MAX, TWO);
        assert_eq!(under(&raw, key(generation)), 51);
        // A node that does not know the time yet, or whose clock is behind.
        assert_eq!(load(&behind, key(generation)).unwrap().unwrap().bytes, b"new");
    }
    // A value is bound to its generation.
    let mut moved = load(&raw, key(50)).unwrap().unwrap().bytes;
    moved[4] ^= 1;
    save(&raw, key(50), &moved, Timestamp::MAX, TWO);
    assert!(matches!(load(&cells, key(50)), Err(StoreError::Corrupt(at)) if at == key(50)));
}

#[test]
fn a_walk_seals_anew_what_is_old_within_its_budget_and_nothing_else() {
    let counted = sealed(CountingStore::new(MemoryStore::new(16 << 20)));
    let all: Vec<CellKey> = (0..100).map(key).collect();
    for (number, key) in all.iter().enumerate() {
        if number == 60 {
            counted.rotate(since(3));
        }
        let until = since(4).after(std::time::Duration::from_secs(number as u64));
        save(&counted, *key, &vec![7; number], until, ONE);
    }
    let (mut after, mut resealed, mut walks) = (None, 0, 0);
    loop {
        let before = counted.inner().loads();
        let done = block_on(counted.reseal(after, 7)).unwrap();
        assert!(counted.inner().loads() - before <= 7);
        (after, resealed, walks) = (done.last, resealed + done.resealed, walks + 1);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((resealed, walks), (60, 100_usize.div_ceil(7)));
    let raw = counted.inner();
    for (number, key) in all.iter().enumerate() {
        let cell = load(&counted, *key).unwrap().unwrap();
        assert_eq!(cell.bytes, vec![7; number]);
        assert_eq!(cell.version == ONE, number >= 60, "sealed under a version that was used");
        assert_eq!(under(raw, *key), 3);
    }
    assert_eq!(walk(&counted, 1_000), 0);
    // They expire when they were to: within the hour to which that shows.
    assert_eq!(block_on(counted.sweep(since(4), 1_000)).unwrap(), 0);
    let hour = std::time::Duration::from_secs(3_601);
    assert_eq!(block_on(counted.sweep(since(4).after(hour), 1_000)).unwrap(), 100);
}

#[test]
fn what_does_not_open_is_told_and_left_alone() {
    let cells = memory();
    for number in 0..10 {
        save(&cells, key(number), b"value", Timestamp::MAX, ONE);
    }
    let mut edited = load(cells.inner(), key(4)).unwrap().unwrap().bytes;
    edited[30] ^= 1;
    save(cells.inner(), key(4), &edited, Timestamp::MAX, ONE);
    cells.rotate(since(1));
    let done = block_on(cells.reseal(None, 100)).unwrap();
    assert_eq!((done.last, done.resealed, done.corrupt), (None, 9, 1));
    assert_eq!(load(cells.inner(), key(4)).unwrap().unwrap().bytes, edited);
}

#[test]
fn a_generation_that_was_dropped_is_refused() {
    let cells = memory();
    cells.rotate(since(5));
    save(&cells, KEY, b"of 5", Timestamp::MAX, ONE);
    let old = load(cells.inner(), KEY).unwrap().unwrap().bytes;
    cells.rotate(since(6));
    assert_eq!(walk(&cells, 10), 1);
    cells.refuse_before(6);
    assert_eq!(load(&cells, KEY).unwrap().unwrap().bytes, b"of 5");
    // The older value is put back, together with its version.
    save(cells.inner(), KEY, &old, Timestamp::MAX, ONE);
    assert!(matches!(load(&cells, KEY), Err(StoreError::Corrupt(at)) if at == KEY));
    // A node that is told only what is refused seals under nothing older.
    let late = sealed(Arc::clone(cells.inner()));
    late.refuse_before(6);
    save(&late, key(1), b"of 6", Timestamp::MAX, ONE);
    assert_eq!(load(&cells, key(1)).unwrap().unwrap().bytes, b"of 6");
}

/// A walk that is cut off anywhere, by a store that fails before or after it did what it was asked,
/// while others write: every event is there once, and all is sealed under the newest.
#[test]
fn a_walk_that_is_cut_off_and_raced_loses_nothing() {
    for seed in 0..u64::try_from(runs(60, 2_000)).unwrap() {
        let random = SeededEntropy::new(seed);
        let raw = Arc::new(MemoryStore::new(16 << 20));
        let cells = sealed(Arc::clone(&raw));
        let mut counts: BTreeMap<CellKey, usize> = BTreeMap::new();
        let mut add = |cells: &Encrypted<Arc<MemoryStore>>, id: u64| {
            let key = key(random.below(12));
            let event = TallyEvent::Add(id);
            let counted =
                block_on(drive(cells, &random, key, &Tally, event, Timestamp::EPOCH)).unwrap();
            let count = counts.entry(key).or_default();
            *count += 1;
            assert_eq!(counted, *count, "seed {seed}");
        };
        (0..30).for_each(|id| add(&cells, id));
        cells.rotate(since(1));
        let faults = SeededEntropy::new(seed ^ 0xFA);
        let faulty = sealed(FaultyStore::new(Arc::clone(&raw), move |_| match faults.below(4) {
            0 => Some(Fault::Before),
            1 => Some(Fault::After),
            _ => None,
        }));
        faulty.rotate(since(1));
        let (mut after, mut id) = (None, 30);
        loop {
            if let Ok(done) = block_on(faulty.reseal(after, 3)) {
                after = done.last;
                if after.is_none() {
                    break;
                }
            }
            if id < 60 {
                add(&cells, id);
                id += 1;
            }
        }
        for (key, count) in counts {
            assert_eq!(under(&raw, key), 1, "seed {seed}");
            // An event that is there already tells how many there are.
            let probe = block_on(drive(
                &cells,
                &random,
                key,
                &Tally,
                TallyEvent::Add(u64::MAX),
                Timestamp::EPOCH,
            ));
            assert_eq!(probe.unwrap(), count + 1, "seed {seed}");
        }
    }
}

/// A store in which somebody else writes to a cell right before each swap of it.
struct Raced {
    inner: Arc<MemoryStore>,
    rival: Encrypted<Arc<MemoryStore>>,
}

impl Cells for Raced {
    vouchsafe_testkit::pass_on!(inner: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let (random, event) = (SeededEntropy::new(7), TallyEvent::Add(2));
        let rival = drive(&self.rival, &random, key, &Tally, event, Timestamp::EPOCH);
        assert_eq!(rival.await.unwrap(), 2);
        self.inner.swap(key, expected, put).await
    }
}

#[test]
fn a_walk_never_overwrites_what_was_written_meanwhile() {
    let inner = Arc::new(MemoryStore::new(16 << 20));
    let (rival, random) = (sealed(Arc::clone(&inner)), SeededEntropy::new(1));
    let add = |cells: &Encrypted<Arc<MemoryStore>>, key, id| {
        let event = TallyEvent::Add(id);
        block_on(drive(cells, &random, key, &Tally, event, Timestamp::EPOCH)).unwrap()
    };
    let all: Vec<CellKey> = (0..10).map(key).collect();
    all.iter().for_each(|key| assert_eq!(add(&rival, *key, 1), 1));
    rival.rotate(since(1));
    let raced = sealed(Raced { inner: Arc::clone(&inner), rival: sealed(Arc::clone(&inner)) });
    raced.rotate(since(1));
    assert_eq!(walk(&raced, 3), 0);
    all.iter().for_each(|key| assert_eq!(add(&rival, *key, 3), 3));
}

/// What was sealed before generations rotated: those files open for ever.
#[test]
fn what_was_sealed_before_opens() {
    let unhex = |text: &str| -> Vec<u8> {
        let digits = text.trim_start_matches('-').as_bytes().as_chunks::<2>().0;
        let byte =
            |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.iter().map(byte).collect()
    };
    let cells = memory();
    let mut all = Vec::new();
    for line in include_str!("fixtures/sealed-1.txt").lines().filter(|line| !line.starts_with('#'))
    {
        let fields: Vec<&str> = line.split(' ').collect();
        let code: u8 = fields[0].parse().unwrap();
        let space = Space::ALL.into_iter().find(|space| space.code() == code).unwrap();
        let key = CellKey::new(space, unhex(fields[1]).try_into().unwrap());
        let version = Version::new(unhex(fields[2]).try_into().unwrap());
        let value = unhex(fields[3]);
        save(cells.inner(), key, &unhex(fields[4]), since(1), version);
        assert_eq!(load(&cells, key).unwrap(), Some(Stored::new(value.clone(), version)));
        all.push((key, value));
    }
    assert_eq!(all.len(), 5);
    // It does not say when it expires, so it is kept when it is sealed anew.
    cells.rotate(since(700));
    assert_eq!(walk(&cells, 2), 5);
    block_on(cells.sweep(since(100_000), 100)).unwrap();
    for (key, value) in all {
        assert_eq!(load(&cells, key).unwrap().unwrap().bytes, value);
        assert_eq!(under(cells.inner(), key), 700);
    }
}
