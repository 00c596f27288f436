//! Stores that misbehave on demand, and stores that count.

use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Loaded, Put, StoreError, Swap, Version};

/// Inside an `impl Cells`, passes the calls that are named, and the questions how durable it is and
/// what it lost, on to the store in a field: for a store that changes only the others.
///
/// `pass_on!(inner: load scan sweep);`
#[macro_export]
macro_rules! pass_on {
    ($field:tt: $($call:ident)*) => {
        $($crate::pass_on! { @$call $field })*

        fn durability(&self) -> $crate::reexport::Durability {
            self.$field.durability()
        }

        fn losses(&self) -> u64 {
            self.$field.losses()
        }
    };
    (@load $field:tt) => {
        async fn load(
            &self,
            key: $crate::reexport::CellKey,
        ) -> Result<$crate::reexport::Loaded, $crate::reexport::StoreError> {
            self.$field.load(key).await
        }
    };
    (@swap $field:tt) => {
        async fn swap(
            &self,
            key: $crate::reexport::CellKey,
            expected: Option<$crate::reexport::Version>,
            put: $crate::reexport::Put,
        ) -> Result<$crate::reexport::Swap, $crate::reexport::StoreError> {
            self.$field.swap(key, expected, put).await
        }
    };
    (@scan $field:tt) => {
        async fn scan(
            &self,
            space: $crate::reexport::Space,
            after: Option<[u8; 16]>,
            limit: usize,
        ) -> Result<Vec<$crate::reexport::CellKey>, $crate::reexport::StoreError> {
            self.$field.scan(space, after, limit).await
        }
    };
    (@sweep $field:tt) => {
        async fn sweep(
            &self,
            now: $crate::reexport::Timestamp,
            limit: usize,
        ) -> Result<usize, $crate::reexport::StoreError> {
            self.$field.sweep(now, limit).await
        }
    };
}

/// How a call goes wrong. Either way the caller learns nothing but [`StoreError::Unavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call never reaches the store.
    Before,
    /// The store does what it was asked, and the answer is lost.
    After,
}

/// A store some of whose calls fail.
pub struct FaultyStore<C> {
    inner: C,
    calls: AtomicU64,
    plan: Box<dyn Fn(u64) -> Option<Fault> + Send + Sync>,
}

impl<C> FaultyStore<C> {
    /// `plan` is asked for every call, counted from 0.
    pub fn new(inner: C, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { inner, calls: AtomicU64::new(0), plan: Box::new(plan) }
    }

    /// The store behind it, which does not fail.
    pub const fn inner(&self) -> &C {
        &self.inner
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn call<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match (self.plan)(self.calls.fetch_add(1, Ordering::SeqCst)) {
            None => answer.await,
            Some(Fault::Before) => Err(StoreError::unavailable("lost before the store")),
            Some(Fault::After) => {
                let _lost = answer.await?;
                Err(StoreError::unavailable("lost after the store"))
            }
        }
    }
}

impl<C: Cells> Cells for FaultyStore<C> {
    crate::pass_on!(inner:);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.call(self.inner.load(key)).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.call(async { self.inner.swap(key, expected, put).await }).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.call(async { self.inner.scan(space, after, limit).await }).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.call(async { self.inner.sweep(now, limit).await }).await
    }
}

/// A store that counts its calls.
#[derive(Debug, Default)]
pub struct CountingStore<C> {
    inner: C,
    loads: AtomicU64,
    swaps: AtomicU64,
}

impl<C> CountingStore<C> {
    /// Counts the calls to `inner`.
    pub const fn new(inner: C) -> Self {
        Self { inner, loads: AtomicU64::new(0), swaps: AtomicU64::new(0) }
    }

    /// The store behind it, whose calls are not counted.
    pub const fn inner(&self) -> &C {
        &self.inner
    }

    /// How many loads there were.
    pub fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    /// How many swaps there were.
    pub fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::SeqCst)
    }
}

impl<C: Cells> Cells for CountingStore<C> {
    crate::pass_on!(inner: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.inner.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.swaps.fetch_add(1, Ordering::SeqCst);
        self.inner.swap(key, expected, put).await
    }
}
