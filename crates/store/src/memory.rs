//! Cells in this process's memory.

mod index;
mod slots;
mod table;

use std::collections::hash_map::RandomState;
use std::future::{Future, ready};

use vouchsafe_core::{CellKey, Clock, Space, Timestamp};

use self::table::{At, Save, Table};
use crate::sync::{AtomicI64, AtomicUsize, Mutex, Ordering, lock};
use crate::{Alter, Cells, Change, Loaded, MAX_CELL, Put, StoreError, Swap, Version};

/// Most shards, as a power of two. A shard is what callers on several cores wait for; of four times as
/// many, what each has of its own no longer fits into a core's cache.
const MAX_SHARD_BITS: u32 = 8;
/// A smaller store has fewer shards: so many bytes for each, of which some 2 KiB are unused.
const SHARD_BYTES: usize = 64 << 10;

/// What a shard keeps to write values to, at most; it does not count, as locks do not.
const MAX_SCRATCH: usize = 256;

/// Cells in memory: gone with the process, and bounded.
///
/// The bound is on bytes, bookkeeping included; an account with one live charge takes less than 96
/// of them. At the bound, cells that have expired make room; when there are none, a swap is answered
/// [`Swap::Full`]. A cell that has not expired is never dropped. The table's hash is keyed afresh for
/// each store: whoever asks chooses the keys. An empty store has up to 64 KiB of locks, which do not count.
pub struct MemoryStore {
    shards: Box<[Shard]>,
    /// Shards are chosen by so many leading bits of the digest, so that a walk in order of digest
    /// visits them one after the other.
    shard_bits: u32,
    hasher: RandomState,
    limit: usize,
    used: AtomicUsize,
    told: AtomicI64,
    clock: Option<Box<dyn Clock>>,
}

/// On cache lines of its own: neighbours are locked by other cores.
#[repr(align(128))]
struct Shard {
    cells: Mutex<Table>,
    /// No cell of the shard expires before this; changed under the lock.
    earliest: AtomicI64,
}

impl MemoryStore {
    /// A store of at most `limit` bytes. It learns the time from [`sweep`](Cells::sweep) only.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let of_size = (limit / SHARD_BYTES).max(1).ilog2();
        let shard_bits = if cfg!(loom) { 1 } else { of_size.min(MAX_SHARD_BITS) };
        let shards = (0..1_usize << shard_bits)
            .map(|_| Shard {
                cells: Mutex::new(Table::default()),
                earliest: AtomicI64::new(i64::MAX),
            })
            .collect();
        Self {
            shards,
            shard_bits,
            hasher: RandomState::new(),
            limit,
            used: AtomicUsize::new(0),
            told: AtomicI64::new(i64::MIN),
            clock: None,
        }
    }

    /// The same store with a clock to read when it is full, so that what expired since the last
    /// sweep makes room. A clock that leaps would empty it: see [`vouchsafe_core::Anchored`].
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// How many bytes the cells take, bookkeeping included.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn shard_of(&self, digest: [u8; 16]) -> usize {
        let [first, second, ..] = digest;
        let leading = u64::from(u16::from_be_bytes([first, second])) << self.shard_bits;
        usize::try_from(leading >> u16::BITS).unwrap_or(0)
    }

    fn shard(&self, key: CellKey) -> Result<&Shard, StoreError> {
        // The number has as many bits, so there always is one.
        self.shards.get(self.shard_of(key.digest)).ok_or(StoreError::Corrupt(key))
    }

    fn load_now(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let cells = lock(&self.shard(key)?.cells);
        let found = cells.find(&self.hasher, key);
        Ok(found.map_or_else(|| Loaded::new(None), |(_, cell)| cell.loaded()))
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
        let mut put = put;
        // What made room may have given back what the cell was to lie in, so it needs more then.
        for _ in 0..3 {
            let need = match self.try_swap(key, expected, put)? {
                Tried::Answer(swap) => return Ok(swap),
                Tried::NoRoom(back, need) => {
                    put = back;
                    need
                }
            };
            if !self.reclaim(need) {
                break;
            }
        }
        Ok(Swap::Full)
    }

    fn try_swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Tried, StoreError> {
        let shard = self.shard(key)?;
        let mut cells = lock(&shard.cells);
        let found = cells.find(&self.hasher, key);
        if found.map(|(_, cell)| cell.version) != expected {
            let loaded = found.map_or_else(|| Loaded::new(None), |(_, cell)| cell.loaded());
            return Ok(Tried::Answer(Swap::Conflict(loaded)));
        }
        let at = found.map(|(at, _)| at);
        match put {
            Put::Save { bytes, until, version } => {
                let save = Save { bytes: &bytes, until, version };
                if let Err(need) = self.save(shard, &mut cells, key, at, save) {
                    return Ok(Tried::NoRoom(Put::Save { bytes, until, version }, need));
                }
            }
            Put::Erase => self.erase(&mut cells, at),
        }
        Ok(Tried::Answer(Swap::Done))
    }

    /// Keeps a cell, or says how many bytes that takes which are not there.
    fn save(
        &self,
        shard: &Shard,
        cells: &mut Table,
        key: CellKey,
        at: Option<At>,
        save: Save<'_>,
    ) -> Result<(), usize> {
        let before = cells.bytes();
        let reserved = cells.bytes_with(at, save.bytes.len()).saturating_sub(before);
        if !self.reserve(reserved) {
            return Err(reserved);
        }
        let earliest = shard.earliest.load(Ordering::Relaxed).min(save.until.micros());
        shard.earliest.store(earliest, Ordering::Relaxed);
        cells.save(&self.hasher, key, at, save);
        self.account(before.saturating_add(reserved), cells.bytes());
        Ok(())
    }

    fn erase(&self, cells: &mut Table, at: Option<At>) {
        let before = cells.bytes();
        if let Some(at) = at {
            cells.erase(&self.hasher, at);
        }
        self.account(before, cells.bytes());
    }

    /// As [`Cells::alter`]; none where there is no room, or no cell may be as long.
    fn alter_now(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        let shard = match self.shard(key) {
            Ok(shard) => shard,
            Err(error) => return Some(Err(error)),
        };
        let mut cells = lock(&shard.cells);
        let mut value = std::mem::take(&mut cells.scratch);
        let found = cells.find(&self.hasher, key);
        let at = found.map(|(at, _)| at);
        let done = match change(found.map(|(_, cell)| cell.bytes), &mut value) {
            Err(error) => Some(Err(error)),
            Ok(Change::Keep) => Some(Ok(())),
            Ok(Change::Erase) => {
                self.erase(&mut cells, at);
                Some(Ok(()))
            }
            Ok(Change::Save { .. }) if value.len() > MAX_CELL => None,
            Ok(Change::Save { until, version }) => {
                let save = Save { bytes: &value, until, version };
                self.save(shard, &mut cells, key, at, save).ok().map(Ok)
            }
        };
        if value.capacity() <= MAX_SCRATCH {
            value.clear();
            cells.scratch = value;
        }
        done
    }

    fn reserve(&self, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// A shard that was counted with `counted` bytes takes `taken`.
    fn account(&self, counted: usize, taken: usize) {
        if taken != counted {
            // Wraps round, whichever is larger.
            self.used.fetch_sub(counted.wrapping_sub(taken), Ordering::Relaxed);
        }
    }

    /// Drops expired cells until `need` bytes fit, and says whether they do.
    fn reclaim(&self, need: usize) -> bool {
        let told = || Timestamp::from_micros(self.told.load(Ordering::Relaxed));
        let now = self.clock.as_ref().map_or_else(told, |clock| clock.now());
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
        let before = cells.bytes();
        let (swept, earliest) = cells.sweep(&self.hasher, now, limit);
        shard.earliest.store(earliest, Ordering::Relaxed);
        self.account(before, cells.bytes());
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
                .map(|cell| cell.key)
                .filter(|key| key.space == space && after.is_none_or(|at| key.digest > at))
                .collect();
            drop(cells);
            here.sort_unstable();
            found.append(&mut here);
        }
        found.truncate(limit);
        found
    }

    fn sweep_now(&self, now: Timestamp, limit: usize) -> usize {
        // Not the latest ever: a clock that stood wrong once would drop what is live.
        self.told.store(now.micros(), Ordering::Relaxed);
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

    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        self.alter_now(key, change)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_in_order_lie_in_shards_in_order_and_all_are_used() {
        for (limit, shards) in [(0, 1), (SHARD_BYTES * 2, 2), (SHARD_BYTES * 8, 8), (1 << 30, 256)]
        {
            let store = MemoryStore::new(limit);
            assert_eq!(store.shards.len(), shards);
            let digest = |leading: u16| (u128::from(leading) << 112).to_be_bytes();
            let of: Vec<usize> =
                (0..=u16::MAX).map(|leading| store.shard_of(digest(leading))).collect();
            let each = of.len() / shards;
            assert!(of.iter().enumerate().all(|(leading, shard)| *shard == leading / each));
        }
    }

    #[test]
    fn what_a_shard_keeps_to_write_to_is_short() {
        let store = MemoryStore::new(0);
        let kept_after = |len| {
            let none = store.alter(CellKey::new(Space::System, [1; 16]), &mut |_, value| {
                value.resize(len, 7);
                Ok(Change::Keep)
            });
            assert!(matches!(none, Some(Ok(()))));
            store.shards.first().map(|shard| lock(&shard.cells).scratch.capacity()).unwrap()
        };
        assert_eq!(kept_after(MAX_SCRATCH + 1), 0);
        assert_eq!(kept_after(MAX_SCRATCH), MAX_SCRATCH);
    }
}
