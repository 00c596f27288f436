//! Passwords known from breaches, in a filter that is a file.

mod build;
mod error;
mod filter;
mod format;
mod key;
mod shard;

pub use build::BreachBuilder;
pub use error::BreachError;
pub use filter::BreachFilter;
pub use format::FingerprintBits;
pub use key::BreachKey;

use crate::Password;

/// Whatever knows which passwords were in a breach.
pub trait Breached: Send + Sync {
    /// Whether `password` was, or looks as if it were.
    ///
    /// # Errors
    /// [`BreachError`] when that cannot be told. A rule that asks takes it as not screened, and
    /// accepts nothing.
    fn is_breached(&self, password: &Password) -> Result<bool, BreachError>;
}

impl Breached for BreachFilter {
    fn is_breached(&self, password: &Password) -> Result<bool, BreachError> {
        self.holds(BreachKey::of(password))
    }
}
