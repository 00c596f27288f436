//! What can go wrong between a machine and its cell.

use vouchsafe_core::{CellKey, NoEntropy};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store did not answer, or refused for a reason of its own. A swap may have happened.
    #[error("the store does not answer: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The cell holds what no writer wrote.
    #[error("the {:?} cell {:032x} is corrupt", .0.space, u128::from_be_bytes(.0.digest))]
    Corrupt(CellKey),
    /// Others changed the cell each time.
    #[error("{attempts} swaps lost their race")]
    Contended {
        /// How many swaps were tried.
        attempts: u32,
    },
    /// The store has no room for it.
    #[error("the store is full")]
    Full,
    /// The value is longer than any store takes.
    #[error("a cell of {len} bytes is longer than {max}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The longest accepted.
        max: usize,
    },
    /// There are no fresh bytes for a version or a nonce.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl StoreError {
    /// The store did not answer, for this reason.
    pub fn unavailable(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(reason.into())
    }
}

/// An event whose verdict could not be delivered, given back to whoever sent it.
///
/// Its effect may have been kept all the same: the store may have swapped without answering.
#[derive(Debug, thiserror::Error)]
#[error("no verdict: {error}")]
pub struct Undelivered<E> {
    /// Why.
    #[source]
    pub error: StoreError,
    /// The event.
    pub event: E,
}
