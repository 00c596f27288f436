#![doc = include_str!("../README.md")]

mod dial;
mod error;
mod layout;
mod link;
mod route;
mod scripts;
mod server;
mod store;
mod tls;

pub use error::RedisError;
pub use server::Degraded;
pub use store::{RedisBuilder, RedisStore};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
