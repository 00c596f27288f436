#![doc = include_str!("../README.md")]

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;

pub mod cobblestone;
mod context;
mod error;
mod field;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod keyring;
mod object;
mod policy;
#[cfg(feature = "keyring")]
mod unlock;
mod wire;

pub use context::Context;
pub use error::EnvelopeError;
pub use field::Fields;
pub use header::{About, MAX_RECIPIENTS, header_len};
pub use keyring::Keyring;
#[cfg(feature = "keyring")]
pub use keyring::file::Cost;
pub use object::{Envelope, Opened};
pub use policy::{Curve, EnvelopePolicy, InvalidPolicy, KeyFloor, PublicKeyKind, Weakness};
#[cfg(feature = "keyring")]
pub use unlock::{AtRest, Exposure, Unlock};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}

/// The byte format of objects, fields and keyring files.
#[doc = include_str!("../docs/format.md")]
pub mod format {}
