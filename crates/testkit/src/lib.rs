#![doc = include_str!("../README.md")]

pub mod conformance;
mod counts;
#[cfg(feature = "gate")]
mod gate;
pub mod history;
mod run;
mod sources;
mod stores;
mod suite;
mod tally;

pub use counts::{is_long, runs};
#[cfg(feature = "gate")]
pub use gate::{Postbag, TestGate, Users};
pub use run::block_on;
pub use sources::{CountingEntropy, FailingEntropy, ManualClock, SeededEntropy};
pub use stores::{CountingStore, Fault, FaultyStore};
pub use tally::{Tallied, Tally, TallyEvent};

#[doc(hidden)]
pub mod reexport {
    //! What `pass_on!` names, wherever it is used.
    pub use vouchsafe_core::{CellKey, Space, Timestamp};
    pub use vouchsafe_store::{Loaded, Put, StoreError, Swap, Version};
}
