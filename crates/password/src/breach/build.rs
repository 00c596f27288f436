//! Building a filter: one shard at a time in memory, whatever the number of keys.

use std::fmt;
use std::io::{Seek, SeekFrom, Write};

use super::format::{ENTRY, HEADER, Header, MAX_SHARDS_LOG};
use super::shard::{self, MAX_KEYS};
use super::{BreachError, BreachKey, FingerprintBits};

/// Most keys a shard on average: a lookup reads 4 to 8 KB at 8 bits, 8 to 15 KB at 16.
const KEYS_A_SHARD: u64 = 6_000;

/// Writes a [`BreachFilter`](super::BreachFilter)'s file, from keys that come in ascending order.
///
/// It keeps the keys of one shard, and 8 bytes for each shard: under 20 MB for a thousand million
/// keys. Until [`finish`](Self::finish) has written the header, the file is none.
pub struct BreachBuilder<W> {
    out: W,
    bits: FingerprintBits,
    shards_log: u8,
    index: Vec<u8>,
    /// Of the shard that is being filled.
    keys: Vec<u64>,
    given: u64,
    kept: u64,
    length: u64,
    last: Option<u64>,
    /// A key was refused, or a write failed: what was written is of no use.
    failed: bool,
}

impl<W> fmt::Debug for BreachBuilder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BreachBuilder({} keys, 2^{} shards)", self.kept, self.shards_log)
    }
}

impl<W: Write + Seek> BreachBuilder<W> {
    /// Writes to `out`, from its start on, which should be empty. `expected` is about how many keys
    /// will come: twice or half as many only make smaller or larger shards.
    ///
    /// # Errors
    /// [`BreachError::Io`].
    pub fn new(mut out: W, bits: FingerprintBits, expected: u64) -> Result<Self, BreachError> {
        let shards = expected.div_ceil(KEYS_A_SHARD).max(1).checked_next_power_of_two();
        let log = shards.map_or(MAX_SHARDS_LOG.into(), u64::ilog2);
        let shards_log = u8::try_from(log).unwrap_or(MAX_SHARDS_LOG).min(MAX_SHARDS_LOG);
        let length = (HEADER as u64).saturating_add((ENTRY as u64) << shards_log);
        out.seek(SeekFrom::Start(length))?;
        let (index, keys) = (Vec::new(), Vec::new());
        let (given, kept, last, failed) = (0, 0, None, false);
        Ok(Self { out, bits, shards_log, index, keys, given, kept, length, last, failed })
    }

    /// The next key; one that was just given already is left out.
    ///
    /// # Errors
    /// [`BreachError::Unsorted`] for a key below the one before it, [`BreachError::Crowded`] when
    /// far more keys come than were announced, [`BreachError::Io`]. What was written is then to be
    /// thrown away: whatever is called next answers [`BreachError::Failed`].
    pub fn push(&mut self, key: BreachKey) -> Result<(), BreachError> {
        if self.failed {
            return Err(BreachError::Failed);
        }
        let pushed = self.take(key.bits());
        self.failed = pushed.is_err();
        pushed
    }

    fn take(&mut self, key: u64) -> Result<(), BreachError> {
        self.given = self.given.saturating_add(1);
        match self.last {
            Some(last) if key < last => return Err(BreachError::Unsorted { at: self.given }),
            Some(last) if key == last => return Ok(()),
            _ => self.last = Some(key),
        }
        while self.shard() < number(key, self.shards_log) {
            self.close_shard()?;
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(BreachError::Crowded { shard: self.shard(), most: MAX_KEYS as u32 });
        }
        self.keys.push(key);
        self.kept = self.kept.saturating_add(1);
        Ok(())
    }

    /// Writes what is left, the index and the header. Gives back `out`, which the caller flushes or
    /// syncs, and how many different keys there are.
    ///
    /// # Errors
    /// [`BreachError::Io`], [`BreachError::Failed`].
    pub fn finish(mut self) -> Result<(W, u64), BreachError> {
        if self.failed {
            return Err(BreachError::Failed);
        }
        while u64::from(self.shard()) < 1 << self.shards_log {
            self.close_shard()?;
        }
        let header = Header {
            bits: self.bits,
            shards_log: self.shards_log,
            keys: self.kept,
            length: self.length,
            index_crc: crc32c::crc32c(&self.index),
        };
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header.to_bytes())?;
        self.out.write_all(&self.index)?;
        self.out.flush()?;
        Ok((self.out, self.kept))
    }

    /// The number of the shard that is being filled.
    fn shard(&self) -> u32 {
        u32::try_from(self.index.len() / ENTRY).unwrap_or(u32::MAX)
    }

    fn close_shard(&mut self) -> Result<(), BreachError> {
        let number = self.shard();
        let bytes = if self.keys.is_empty() {
            Vec::new()
        } else {
            let bytes = shard::build(number, &self.keys, self.bits);
            bytes.ok_or(BreachError::Unbuildable(number))?
        };
        self.out.write_all(&bytes)?;
        let length = u32::try_from(bytes.len()).map_err(|_| BreachError::Unbuildable(number))?;
        self.index.extend(length.to_be_bytes());
        self.index.extend(crc32c::crc32c(&bytes).to_be_bytes());
        self.length = self.length.saturating_add(length.into());
        self.keys.clear();
        Ok(())
    }
}

/// The number of the shard that a key belongs to: its top bits.
pub(super) fn number(key: u64, shards_log: u8) -> u32 {
    let low = u64::BITS.saturating_sub(shards_log.into());
    key.checked_shr(low).and_then(|top| u32::try_from(top).ok()).unwrap_or_default()
}
