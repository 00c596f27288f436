//! Sealing anew what an older generation of keys sealed.

use std::time::Duration;

use vouchsafe_core::{CellKey, Space, Timestamp};

use super::{Encrypted, generation_of, rounded_up};
use crate::{Cells, Put, StoreError, Stored, Swap, Version};

/// Thirty days in microseconds.
const PERIOD: i64 = 30 * 24 * 3_600 * 1_000_000;

/// What one walk of [`Encrypted::reseal`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// The last cell that was looked at, to go on from; `None` when all were.
    pub last: Option<CellKey>,
    /// Cells that were sealed anew.
    pub resealed: usize,
    /// Cells that do not open. They are left as they are.
    pub corrupt: usize,
}

impl<C: Cells> Encrypted<C> {
    /// How long values are sealed under one generation of keys: 30 days. A cell that is swapped 1 600
    /// times a second, all that while, stays below the 2^32 nonces that one key may draw.
    pub const PERIOD: Duration = Duration::from_micros(PERIOD.unsigned_abs());

    /// Which generation values are sealed under: the number of whole [`PERIOD`](Self::PERIOD)s since
    /// 1970 as of the latest time it was told.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.keys.newest()
    }

    /// Tells the time: from a new period on, values are sealed under a new generation of keys. Told by
    /// [`sweep`](Cells::sweep), too. What was sealed before still opens. A time that goes back
    /// changes nothing, and a clock that leapt ahead does no harm: the generations are all derived
    /// from the one root key.
    pub fn rotate(&self, now: Timestamp) {
        let periods = now.micros().max(0) / PERIOD;
        self.keys.seal_under(u32::try_from(periods).unwrap_or(u32::MAX));
    }

    /// From now on refuses, as [`StoreError::Corrupt`], what was sealed under an older generation:
    /// somebody who puts such a value back gets nowhere. To be called when a whole walk of
    /// [`reseal`](Self::reseal) has found none, and with the generation before the one that was walked
    /// for, since a node whose clock is behind may still seal under that. Lasts as long as this
    /// value: a host that restarts says it again.
    pub fn refuse_before(&self, generation: u32) {
        self.keys.refuse_before(generation);
    }

    /// Seals under the newest generation what an older one sealed. Looks at no more than `most` cells,
    /// and at least one, after the cell `after`: first with `None`, and then from where the last walk
    /// ended, until there is none to go on from.
    ///
    /// Each cell is one swap under a new version, which changes nothing but the sealing: cut off at any
    /// point, it loses nothing, and whoever writes to the cell meanwhile comes first.
    ///
    /// # Errors
    /// As [`Cells::swap`]; the walk can begin again from where it began.
    pub async fn reseal(
        &self,
        after: Option<CellKey>,
        most: usize,
    ) -> Result<Resealed, StoreError> {
        let newest = self.generation();
        let mut done = Resealed { last: after, resealed: 0, corrupt: 0 };
        let mut left = most.max(1);
        let first =
            after.map_or(0, |key| Space::ALL.iter().take_while(|s| **s != key.space).count());
        for space in Space::ALL.into_iter().skip(first) {
            let from = after.filter(|key| key.space == space).map(|key| key.digest);
            let keys = self.inner.scan(space, from, left).await?;
            for key in &keys {
                match self.reseal_one(*key, newest).await {
                    Ok(true) => done.resealed = done.resealed.saturating_add(1),
                    Ok(false) => {}
                    Err(StoreError::Corrupt(_)) => done.corrupt = done.corrupt.saturating_add(1),
                    Err(error) => return Err(error),
                }
                done.last = Some(*key);
            }
            left = left.saturating_sub(keys.len());
            if left == 0 {
                return Ok(done);
            }
        }
        done.last = None;
        Ok(done)
    }

    async fn reseal_one(&self, key: CellKey, newest: u32) -> Result<bool, StoreError> {
        let Some(sealed) = self.inner.load(key).await?.cell else { return Ok(false) };
        if generation_of(&sealed.bytes).is_some_and(|generation| generation >= newest) {
            return Ok(false);
        }
        let was = sealed.version;
        let (Stored { bytes, .. }, until) = self.open(key, sealed)?;
        // Kept longer than need be rather than shorter, where that is not known.
        let until = until.unwrap_or(Timestamp::MAX);
        let mut version = [0; 16];
        self.entropy.fill_id(&mut version)?;
        let version = Version::new(version);
        let sealed = self.seal(key, version, &bytes, until)?;
        match self.inner.swap(key, Some(was), Put::save(sealed, rounded_up(until), version)).await?
        {
            Swap::Done => Ok(true),
            // Whoever came first sealed it as well.
            Swap::Conflict(_) => Ok(false),
            Swap::Full => Err(StoreError::Full),
        }
    }
}
