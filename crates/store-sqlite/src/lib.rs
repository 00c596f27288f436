//! Vouchsafe cells in one SQLite file: the embedded default.

mod backup;
mod database;
mod error;
mod reply;
mod store;
mod writer;

pub use error::SqliteError;
pub use store::SqliteStore;
