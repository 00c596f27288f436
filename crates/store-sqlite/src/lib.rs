#![doc = include_str!("../README.md")]

mod backup;
mod database;
mod error;
mod line;
mod reader;
mod reply;
#[cfg(test)]
mod standing_still;
mod store;
mod watch;
mod writer;

pub use error::SqliteError;
pub use store::{SqliteBuilder, SqliteStore};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
