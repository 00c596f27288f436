//! Manual clock, seeded entropy, faulty stores and the conformance suite for stores.

mod counts;
mod run;
mod sources;

pub use counts::{is_long, runs};
pub use run::block_on;
pub use sources::{ManualClock, SeededEntropy};
