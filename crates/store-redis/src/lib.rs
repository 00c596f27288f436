#![doc = include_str!("../README.md")]

mod error;
mod layout;
mod link;
mod scripts;
mod store;

pub use error::RedisError;
pub use link::Degraded;
pub use store::{RedisBuilder, RedisStore};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
