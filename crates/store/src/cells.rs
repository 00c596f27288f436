//! What a store is: cells that change only by compare-and-swap.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use vouchsafe_core::{Cell, CellKey, Entropy, NoEntropy, Space, Timestamp};

use crate::StoreError;

/// Longest value of a cell in bytes, as a store sees it: what is longer is refused unread.
pub const MAX_CELL: usize = 1 << 20;

/// Which writing of a cell this is: 128 random bits that the writer chose.
///
/// A version is never used twice, so a cell that was erased and written again is not mistaken for
/// the old one, and a writer that got no answer recognises its own writing after a reload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u8; 16]);

impl Version {
    /// The version with these bytes, as a store kept them.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A version that was never used.
    ///
    /// # Errors
    /// [`NoEntropy`] when there are no fresh bytes.
    pub fn fresh(entropy: &impl Entropy) -> Result<Self, NoEntropy> {
        entropy.id().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A cell as it stands in a store.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its value.
    pub bytes: Vec<u8>,
    /// Which writing it is.
    pub version: Version,
}

impl Stored {
    /// A value and its version.
    #[must_use]
    pub const fn new(bytes: Vec<u8>, version: Version) -> Self {
        Self { bytes, version }
    }
}

/// The value may hold what only its owner should see, so its length stands for it.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes, {:?})", self.bytes.len(), self.version)
    }
}

/// What a store answers about one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The cell, if there is one.
    pub cell: Option<Stored>,
    /// The store's own time, if several nodes share the store: it wins over theirs.
    pub time: Option<Timestamp>,
}

impl Loaded {
    /// An answer of a store that keeps no time of its own.
    #[must_use]
    pub const fn new(cell: Option<Stored>) -> Self {
        Self { cell, time: None }
    }

    /// The same answer, given at the store's time `time`.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Self {
        Self { time: Some(time), ..self }
    }

    /// The cell's version, if there is a cell.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.cell.as_ref().map(|cell| cell.version)
    }

    /// What the cell at `key`, which was loaded, holds; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: no state of this kind.
    pub fn state<S: Cell>(self, key: CellKey) -> Result<Option<S>, StoreError> {
        let state = self.cell.map(|cell| S::from_bytes(cell.bytes)).transpose();
        state.map_err(|_| StoreError::Corrupt(key))
    }
}

/// What to put into a cell.
#[derive(Clone, PartialEq, Eq)]
pub enum Put {
    /// Keep this value.
    Save {
        /// The value.
        bytes: Vec<u8>,
        /// The last moment at which it matters: the store may drop it afterwards, and not before.
        until: Timestamp,
        /// A version that was never used before.
        version: Version,
    },
    /// Leave nothing.
    Erase,
}

impl Put {
    /// Keep `bytes` until `until`.
    #[must_use]
    pub const fn save(bytes: Vec<u8>, until: Timestamp, version: Version) -> Self {
        Self::Save { bytes, until, version }
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save { bytes, until, version } => {
                write!(f, "Save({} bytes until {until}, {version:?})", bytes.len())
            }
            Self::Erase => f.write_str("Erase"),
        }
    }
}

/// What became of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It is done, and as durable as the store makes anything.
    Done,
    /// The cell was not the expected one. Nothing changed; this is how it stands.
    Conflict(Loaded),
    /// There is no room. Nothing changed.
    Full,
}

/// What is to become of a cell that is changed where it lies ([`Cells::alter`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// The new value is kept.
    Save {
        /// As in [`Put::Save`].
        until: Timestamp,
        /// As in [`Put::Save`].
        version: Version,
    },
    /// It is left empty.
    Erase,
}

/// Says what is to become of a cell by what it holds, and leaves a new value in the buffer.
pub type Alter<'a> = dyn FnMut(Option<&[u8]>, &mut Vec<u8>) -> Result<Change, StoreError> + 'a;

/// What a [`Swap::Done`] is worth once a store has lost its server or its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was done stays done. A store that forgets everything at once, as one in memory does, is
    /// no exception: nothing old comes back.
    Durable,
    /// A swap that was done may be undone: an older value may come back, or an erased cell. What the
    /// engines promise then holds for the swaps that the store has kept.
    MayRollBack,
}

/// A store of cells.
///
/// Each cell is linearisable: a swap that was answered [`Swap::Done`] is seen by every load that
/// begins afterwards. Nothing is promised across cells. A cell whose `until` has not passed is
/// never dropped; one whose `until` has passed may be dropped, or still be loaded: the machine that
/// reads it knows that it no longer matters.
///
/// The futures may be dropped at any point; a swap already handed over may then still happen.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store",
    note = "take `MemoryStore`, `SqliteStore`, `PostgresStore` or `RedisStore`, or implement `Cells`"
)]
pub trait Cells: Send + Sync {
    /// Reads one cell.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store does not answer, [`StoreError::Corrupt`] when the
    /// cell is not what a writer wrote: it is never taken for an absent one.
    fn load(&self, key: CellKey) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Puts into one cell, provided that its version is `expected`; `None` expects no cell.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`StoreError::TooLarge`]. After
    /// [`StoreError::Unavailable`] the swap may have happened or not; after any other error it has
    /// not.
    fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// Changes one cell where it lies, with everybody else kept from it meanwhile: for a store that need
    /// not wait for anything, as one in this process's memory. `None` says that this store cannot, or
    /// cannot now, and that nothing was changed: then load and swap.
    ///
    /// `change` does not touch the store, and waits for nothing: others wait for it. What it answered
    /// last is what was done.
    ///
    /// # Errors
    /// Those of `change`, which then changed nothing.
    fn alter(&self, key: CellKey, change: &mut Alter<'_>) -> Option<Result<(), StoreError>> {
        let _ = (key, change);
        None
    }

    /// The keys of one space in ascending order of digest, from the first after `after`, at most
    /// `limit`. Fewer than `limit` means that there are no more. A cell that is there during the
    /// whole walk is seen exactly once; one that comes or goes meanwhile may be missed.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<CellKey>, StoreError>> + Send;

    /// Drops at most `limit` cells whose `until` is before `now` and says how many. Fewer than
    /// `limit` means that there are no more.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    fn sweep(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Which way the store may err when it loses its server. Whoever keeps credentials or one-time
    /// links asks before it begins: a store that may roll back can bring a revoked one back.
    fn durability(&self) -> Durability {
        Durability::Durable
    }

    /// How many times acknowledged swaps may have been lost since the store was opened, a failover
    /// each: for whoever has to say so. A store that says nothing of it has lost nothing.
    fn losses(&self) -> u64 {
        0
    }
}

macro_rules! cells_behind {
    ($($pointer:ty),*) => {$(
        impl<C: Cells + ?Sized> Cells for $pointer {
            fn load(&self, key: CellKey) -> impl Future<Output = Result<Loaded, StoreError>> + Send {
                (**self).load(key)
            }

            fn swap(
                &self,
                key: CellKey,
                expected: Option<Version>,
                put: Put,
            ) -> impl Future<Output = Result<Swap, StoreError>> + Send {
                (**self).swap(key, expected, put)
            }

            fn alter(
                &self,
                key: CellKey,
                change: &mut Alter<'_>,
            ) -> Option<Result<(), StoreError>> {
                (**self).alter(key, change)
            }

            fn scan(
                &self,
                space: Space,
                after: Option<[u8; 16]>,
                limit: usize,
            ) -> impl Future<Output = Result<Vec<CellKey>, StoreError>> + Send {
                (**self).scan(space, after, limit)
            }

            fn sweep(
                &self,
                now: Timestamp,
                limit: usize,
            ) -> impl Future<Output = Result<usize, StoreError>> + Send {
                (**self).sweep(now, limit)
            }

            fn durability(&self) -> Durability {
                (**self).durability()
            }

            fn losses(&self) -> u64 {
                (**self).losses()
            }
        }
    )*};
}

cells_behind!(&C, Arc<C>);
