#![doc = include_str!("../README.md")]

mod builder;
mod error;
mod pool;
mod room;
mod schema;
mod session;
mod store;
mod tls;
mod wire;

pub use builder::PostgresBuilder;
pub use error::PostgresError;
pub use store::PostgresStore;
pub use tokio_postgres;

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
