//! Cells in this process's memory.

use std::collections::hash_map::RandomState;
use std::future::{Future, ready};
use std::hash::BuildHasher;
use std::mem::size_of;

use hashbrown::HashTable;
use vouchsafe_core::{CellKey, Clock, Space, Timestamp};

use crate::sync::{AtomicI64, AtomicUsize, Mutex, Ordering, lock};
use crate::{Cells, Loaded, MAX_CELL, Put, StoreError, Stored, Swap, Version};

/// Shards are chosen by this many leading bits of the digest, so that a walk in order of digest
/// visits them one after the other.
const SHARD_BITS: u32 = if cfg!(loom) { 1 } else { 10 };

/// What a cell takes besides its value, at most: a hash table just after doubling is 7/16 full, and
/// an allocation is rounded up to 16 bytes with 8 of its own.
const CELL_COST: usize = size_of::<Entry>().saturating_add(1).saturating_mul(16).div_ceil(7) + 24;

/// Cells in memory: gone with the process, and bounded.
///
/// The bound is on bytes, bookkeeping included. At the bound, cells that have expired make room;
/// when there are none, a swap is answered [`Swap::Full`]. A cell that has not expired is never
/// dropped. The table's hash is keyed afresh for each store: whoever asks chooses the keys.
pub struct MemoryStore {
    shards: Box<[Shard]>,
    hasher: RandomState,
    limit: usize,
    used: AtomicUsize,
    told: AtomicI64,
    clock: Option<Box<dyn Clock>>,
}

/// On a cache line of its own: neighbours are locked by other cores.
#[repr(align(64))]
struct Shard {
    cells: Mutex<HashTable<Entry>>,
    /// No cell of the shard expires before this; changed under the lock.
    earliest: AtomicI64,
}

struct Entry {
    digest: [u8; 16],
    version: Version,
    bytes: Box<[u8]>,
    until: Timestamp,
    space: Space,
}

impl Entry {
    fn is(&self, key: CellKey) -> bool {
        self.digest == key.digest && self.space == key.space
    }

    fn loaded(&self) -> Loaded {
        Loaded::new(Some(Stored::new(self.bytes.to_vec(), self.version)))
    }
}

const fn cost(len: usize) -> usize {
    len.saturating_add(CELL_COST)
}

impl MemoryStore {
    /// A store of at most `limit` bytes. It learns the time from [`sweep`](Cells::sweep) only.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let shards = (0..1_usize << SHARD_BITS)
            .map(|_| Shard {
                cells: Mutex::new(HashTable::new()),
                earliest: AtomicI64::new(i64::MAX),
            })
            .collect();
        Self {
            shards,
            hasher: RandomState::new(),
            limit,
            used: AtomicUsize::new(0),
            told: AtomicI64::new(i64::MIN),
            clock: None,
        }
    }

    /// The same store with a clock to read when it is full, so that what expired since the last
    /// sweep makes room.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// How many bytes are in use, bookkeeping included.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn shard_of(&self, digest: [u8; 16]) -> usize {
        let [first, second, ..] = digest;
        usize::from(u16::from_be_bytes([first, second]) >> (u16::BITS - SHARD_BITS))
    }

    fn shard(&self, key: CellKey) -> Result<&Shard, StoreError> {
        // The index has SHARD_BITS bits, so there always is one.
        self.shards.get(self.shard_of(key.digest)).ok_or(StoreError::Corrupt(key))
    }

    fn hash(&self, space: Space, digest: &[u8; 16]) -> u64 {
        self.hasher.hash_one((space.code(), digest))
    }

    fn load_now(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let cells = lock(&self.shard(key)?.cells);
        let found = cells.find(self.hash(key.space, &key.digest), |entry| entry.is(key));
        Ok(found.map_or_else(|| Loaded::new(None), Entry::loaded))
    }

    fn swap_now(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        if let Put::Save { bytes, .. } = &put
            && bytes.len() > MAX_CELL
        {
            return Err(StoreError::TooLarge { len: bytes.len(), max: MAX_CELL });
        }
        match self.try_swap(key, expected, put)? {
            Tried::Answer(swap) => Ok(swap),
            Tried::NoRoom(put, need) => {
                if !self.reclaim(need) {
                    return Ok(Swap::Full);
                }
                match self.try_swap(key, expected, put)? {
                    Tried::Answer(swap) => Ok(swap),
                    Tried::NoRoom(..) => Ok(Swap::Full),
                }
            }
        }
    }

    fn try_swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Tried, StoreError> {
        let shard = self.shard(key)?;
        let hash = self.hash(key.space, &key.digest);
        let mut cells = lock(&shard.cells);
        let current = cells.find_mut(hash, |entry| entry.is(key));
        if current.as_ref().map(|entry| entry.version) != expected {
            let loaded = current.map_or_else(|| Loaded::new(None), |entry| entry.loaded());
            return Ok(Tried::Answer(Swap::Conflict(loaded)));
        }
        let before = current.as_ref().map_or(0, |entry| cost(entry.bytes.len()));
        match put {
            Put::Save { bytes, until, version } => {
                let after = cost(bytes.len());
                if !self.reserve(after.saturating_sub(before)) {
                    let need = after.saturating_sub(before);
                    return Ok(Tried::NoRoom(Put::Save { bytes, until, version }, need));
                }
                self.release(before.saturating_sub(after));
                shard.earliest.fetch_min(until.micros(), Ordering::Relaxed);
                let bytes = bytes.into_boxed_slice();
                if let Some(entry) = current {
                    entry.version = version;
                    entry.bytes = bytes;
                    entry.until = until;
                } else {
                    let entry =
                        Entry { digest: key.digest, version, bytes, until, space: key.space };
                    cells.insert_unique(hash, entry, |e| self.hash(e.space, &e.digest));
                }
            }
            Put::Erase => {
                if let Ok(entry) = cells.find_entry(hash, |entry| entry.is(key)) {
                    entry.remove();
                    self.release(before);
                }
            }
        }
        Ok(Tried::Answer(Swap::Done))
    }

    fn reserve(&self, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Drops expired cells until `need` bytes fit, and says whether they do.
    fn reclaim(&self, need: usize) -> bool {
        let told = Timestamp::from_micros(self.told.load(Ordering::Relaxed));
        let now = self.clock.as_ref().map_or(told, |clock| clock.now().max(told));
        let fits = || self.used().checked_add(need).is_some_and(|sum| sum <= self.limit);
        for shard in &self.shards {
            if fits() {
                break;
            }
            self.sweep_shard(shard, now, usize::MAX);
        }
        fits()
    }

    fn sweep_shard(&self, shard: &Shard, now: Timestamp, limit: usize) -> usize {
        // Most shards hold nothing that expired: known without walking them.
        if shard.earliest.load(Ordering::Relaxed) >= now.micros() {
            return 0;
        }
        let mut cells = lock(&shard.cells);
        let (mut swept, mut freed, mut earliest) = (0_usize, 0_usize, i64::MAX);
        cells.retain(|entry| {
            let drop = entry.until < now && swept < limit;
            if drop {
                swept = swept.saturating_add(1);
                freed = freed.saturating_add(cost(entry.bytes.len()));
            } else {
                earliest = earliest.min(entry.until.micros());
            }
            !drop
        });
        shard.earliest.store(earliest, Ordering::Relaxed);
        drop(cells);
        self.release(freed);
        swept
    }

    fn scan_now(&self, space: Space, after: Option<[u8; 16]>, limit: usize) -> Vec<CellKey> {
        let mut found: Vec<CellKey> = Vec::new();
        let first = after.map_or(0, |digest| self.shard_of(digest));
        for shard in self.shards.iter().skip(first) {
            if found.len() >= limit {
                break;
            }
            let cells = lock(&shard.cells);
            let mut here: Vec<CellKey> = cells
                .iter()
                .filter(|entry| entry.space == space && after.is_none_or(|at| entry.digest > at))
                .map(|entry| CellKey::new(space, entry.digest))
                .collect();
            drop(cells);
            here.sort_unstable();
            found.append(&mut here);
        }
        found.truncate(limit);
        found
    }

    fn sweep_now(&self, now: Timestamp, limit: usize) -> usize {
        self.told.fetch_max(now.micros(), Ordering::Relaxed);
        let mut swept = 0_usize;
        for shard in &self.shards {
            let left = limit.saturating_sub(swept);
            if left == 0 {
                break;
            }
            swept = swept.saturating_add(self.sweep_shard(shard, now, left));
        }
        swept
    }
}

enum Tried {
    Answer(Swap),
    /// So many bytes do not fit.
    NoRoom(Put, usize),
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStore({} of {} bytes)", self.used(), self.limit)
    }
}

impl Cells for MemoryStore {
    fn load(&self, key: CellKey) -> impl Future<Output = Result<Loaded, StoreError>> + Send {
        ready(self.load_now(key))
    }

    fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send {
        ready(self.swap_now(key, expected, put))
    }

    fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<CellKey>, StoreError>> + Send {
        ready(Ok(self.scan_now(space, after, limit)))
    }

    fn sweep(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        ready(Ok(self.sweep_now(now, limit)))
    }
}
