//! A million cells of 28 bytes in memory, against the least that could keep them: as many shards of
//! `parking_lot` and `hashbrown`, without a bound and without an order to walk in.

use std::collections::hash_map::RandomState;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use vouchsafe::core::{CellKey, Space, Timestamp};
use vouchsafe::store::{Cells, MemoryStore, Put, Swap, Version};

use crate::draw::{MILLION, at_once, numbers};
use crate::measure::{Batch, Case, Sides, Unit};
use crate::{Error, Result};

const BATCH: u32 = 50_000;
const PAIRS: usize = 15;
const VALUE: usize = 28;
const SHARDS: usize = 1_024;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "store/memory_swaps",
        peer: "hashbrown",
        wanted: 0.4,
        unit: Unit::PerSecond,
        pairs: PAIRS,
        prepare: || swaps(1),
    },
    Case {
        name: "store/memory_swaps_two_threads",
        peer: "hashbrown",
        wanted: 0.4,
        unit: Unit::PerSecond,
        pairs: PAIRS,
        prepare: || swaps(2),
    },
    Case {
        name: "store/memory_bytes",
        peer: "hashbrown",
        wanted: 1.2,
        unit: Unit::Bytes,
        pairs: 9,
        prepare: bytes,
    },
];

/// A load and a swap each, of cells drawn at random, by so many threads.
fn swaps(threads: u64) -> Result<Sides> {
    let (store, floor) = (ours()?, floor());
    let ours = move || by_threads(threads, &store, |store, digest| swap(store, digest));
    let peer = move || {
        by_threads(threads, &floor, |floor: &Floor, digest| {
            floor.swap(digest);
            Ok(())
        })
    };
    Ok(Sides::new(ours, peer))
}

/// What a cell takes, as both count what they allocated.
fn bytes() -> Result<Sides> {
    let keys = u32::try_from(MILLION)?;
    let used = ours()?.used();
    let taken = floor().0.iter().map(|shard| shard.lock().allocation_size()).sum::<usize>();
    Ok(Sides::new(move || Ok(Batch::bytes(keys, used)), move || Ok(Batch::bytes(keys, taken))))
}

fn by_threads<S: Sync + Send + 'static>(
    threads: u64,
    store: &Arc<S>,
    one: fn(&S, [u8; 16]) -> Result<()>,
) -> Result<Batch> {
    let draws = |thread| {
        let drawn: Vec<[u8; 16]> =
            numbers(thread, MILLION).take(BATCH as usize).map(digest).collect();
        (Arc::clone(store), drawn)
    };
    let drawn: Vec<_> = (0..threads).map(draws).collect();
    let start = Instant::now();
    let running: Vec<_> = drawn
        .into_iter()
        .map(|(store, drawn)| {
            std::thread::spawn(move || drawn.into_iter().try_for_each(|digest| one(&store, digest)))
        })
        .collect();
    for thread in running {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(Batch { operations: BATCH * u32::try_from(threads)?, took: start.elapsed() })
}

fn digest(number: u64) -> [u8; 16] {
    let mut halves = numbers(number, u64::MAX);
    let mut half = || u128::from(halves.next().unwrap_or_default());
    (half() << 64 | half()).to_be_bytes()
}

fn ours() -> Result<Arc<MemoryStore>> {
    let store = MemoryStore::new(1 << 30);
    (0..MILLION).try_for_each(|number| swap(&store, digest(number)))?;
    Ok(Arc::new(store))
}

fn swap(store: &MemoryStore, digest: [u8; 16]) -> Result<()> {
    let key = CellKey::new(Space::Lockout, digest);
    let mut cell = at_once(store.load(key))??.cell;
    loop {
        let (expected, version) = match cell {
            Some(cell) => (Some(cell.version), next(*cell.version.as_bytes())),
            None => (None, [0; 16]),
        };
        let put = Put::save(vec![7; VALUE], Timestamp::MAX, Version::new(version));
        match at_once(store.swap(key, expected, black_box(put)))?? {
            Swap::Done => return Ok(()),
            // The other thread was first.
            Swap::Conflict(current) => cell = current.cell,
            Swap::Full => return Err(Error::from("full")),
        }
    }
}

/// Fresh bytes are another case's.
fn next(version: [u8; 16]) -> [u8; 16] {
    u128::from_ne_bytes(version).wrapping_add(1).to_ne_bytes()
}

struct Floor(Vec<Mutex<HashMap<[u8; 16], Kept, RandomState>>>);

#[derive(Clone, Copy)]
struct Kept {
    version: [u8; 16],
    _until: Timestamp,
    _value: [u8; VALUE],
}

fn floor() -> Arc<Floor> {
    let hasher = RandomState::new();
    let shard = |_| Mutex::new(HashMap::with_hasher(hasher.clone()));
    let floor = Floor((0..SHARDS).map(shard).collect());
    (0..MILLION).for_each(|number| floor.swap(digest(number)));
    Arc::new(floor)
}

impl Floor {
    fn swap(&self, digest: [u8; 16]) {
        let shard = usize::from(u16::from_be_bytes([digest[0], digest[1]])) % SHARDS;
        let was = black_box(self.0[shard].lock().get(&digest).copied());
        let version = was.map_or([0; 16], |kept| next(kept.version));
        let new = Kept { version, _until: Timestamp::MAX, _value: black_box([7; VALUE]) };
        let mut cells = self.0[shard].lock();
        match cells.get_mut(&digest) {
            Some(kept) if was.is_some_and(|was| was.version == kept.version) => *kept = new,
            Some(_) => {}
            None => drop(cells.insert(digest, new)),
        }
    }
}
