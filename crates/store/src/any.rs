//! A store whose type was erased.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use vouchsafe_core::{CellKey, Space, Timestamp};

use crate::{Alter, Cells, Durability, Loaded, Put, StoreError, Swap, Version};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait DynCells: Send + Sync {
    fn load(&self, key: CellKey) -> Boxed<'_, Loaded>;
    fn swap(&self, key: CellKey, expected: Option<Version>, put: Put) -> Boxed<'_, Swap>;
    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>>;
    fn scan(&self, space: Space, after: Option<[u8; 16]>, limit: usize) -> Boxed<'_, Vec<CellKey>>;
    fn sweep(&self, now: Timestamp, limit: usize) -> Boxed<'_, usize>;
    fn durability(&self) -> Durability;
    fn losses(&self) -> u64;
}

impl<C: Cells> DynCells for C {
    fn load(&self, key: CellKey) -> Boxed<'_, Loaded> {
        Box::pin(Cells::load(self, key))
    }

    fn swap(&self, key: CellKey, expected: Option<Version>, put: Put) -> Boxed<'_, Swap> {
        Box::pin(Cells::swap(self, key, expected, put))
    }

    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        Cells::alter(self, key, change)
    }

    fn scan(&self, space: Space, after: Option<[u8; 16]>, limit: usize) -> Boxed<'_, Vec<CellKey>> {
        Box::pin(Cells::scan(self, space, after, limit))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> Boxed<'_, usize> {
        Box::pin(Cells::sweep(self, now, limit))
    }

    fn durability(&self) -> Durability {
        Cells::durability(self)
    }

    fn losses(&self) -> u64 {
        Cells::losses(self)
    }
}

/// Any store, shared: for a host that chooses one while it runs, or wants no type parameter.
///
/// Costs one allocation a call.
#[derive(Clone)]
pub struct AnyCells(Arc<dyn DynCells>);

impl AnyCells {
    /// Erases the type of `cells`.
    #[must_use]
    pub fn new(cells: impl Cells + 'static) -> Self {
        Self(Arc::new(cells))
    }
}

impl std::fmt::Debug for AnyCells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnyCells(..)")
    }
}

impl Cells for AnyCells {
    fn load(&self, key: CellKey) -> impl Future<Output = Result<Loaded, StoreError>> + Send {
        self.0.load(key)
    }

    fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send {
        self.0.swap(key, expected, put)
    }

    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        self.0.alter(key, change)
    }

    fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<CellKey>, StoreError>> + Send {
        self.0.scan(space, after, limit)
    }

    fn sweep(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        self.0.sweep(now, limit)
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }

    fn losses(&self) -> u64 {
        self.0.losses()
    }
}
