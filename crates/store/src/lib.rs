#![doc = include_str!("../README.md")]

mod any;
mod apart;
mod cells;
mod drive;
mod encrypted;
mod error;
mod memory;
mod sync;
mod turns;

pub use any::AnyCells;
pub use apart::Apart;
pub use cells::{Alter, Cells, Change, Durability, Loaded, MAX_CELL, Put, Stored, Swap, Version};
pub use drive::{MAX_ATTEMPTS, MAX_UNANSWERED, drive};
pub use encrypted::{Encrypted, Resealed};
pub use error::{StoreError, Undelivered};
pub use memory::MemoryStore;
pub use turns::{Held, LineFull, Turn, Turns};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
