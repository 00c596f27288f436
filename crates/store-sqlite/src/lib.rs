#![doc = include_str!("../README.md")]

mod backup;
mod database;
mod error;
mod reply;
mod store;
mod writer;

pub use error::SqliteError;
pub use store::SqliteStore;

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
