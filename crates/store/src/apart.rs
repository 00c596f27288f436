//! Two stores as one.

use vouchsafe_core::{CellKey, Space, Timestamp};

use crate::{Alter, Cells, Durability, Loaded, Put, StoreError, Swap, Version};

/// Failures of accounts in one store, everything else in another.
///
/// For counters that all nodes share and that may be lost, beside credentials that may not: each
/// cell is in one of the two only, so nothing that holds of a cell changes.
#[derive(Clone, Debug)]
pub struct Apart<L, R> {
    lockout: L,
    rest: R,
}

impl<L, R> Apart<L, R> {
    /// The lockout space in `lockout`, the others in `rest`.
    #[must_use]
    pub const fn new(lockout: L, rest: R) -> Self {
        Self { lockout, rest }
    }
}

impl<L: Cells, R: Cells> Cells for Apart<L, R> {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        match key.space {
            Space::Lockout => self.lockout.load(key).await,
            _ => self.rest.load(key).await,
        }
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        match key.space {
            Space::Lockout => self.lockout.swap(key, expected, put).await,
            _ => self.rest.swap(key, expected, put).await,
        }
    }

    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        match key.space {
            Space::Lockout => self.lockout.alter(key, change),
            _ => self.rest.alter(key, change),
        }
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        match space {
            Space::Lockout => self.lockout.scan(space, after, limit).await,
            _ => self.rest.scan(space, after, limit).await,
        }
    }

    /// The one that does not answer keeps the other from nothing: both are swept, then it is said.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let lockout = self.lockout.sweep(now, limit).await;
        let left = limit.saturating_sub(*lockout.as_ref().unwrap_or(&0));
        let rest = self.rest.sweep(now, left).await?;
        Ok(lockout?.saturating_add(rest))
    }

    /// That of the rest: counters are what may be lost.
    fn durability(&self) -> Durability {
        self.rest.durability()
    }

    /// Of either.
    fn losses(&self) -> u64 {
        self.lockout.losses().saturating_add(self.rest.losses())
    }
}
