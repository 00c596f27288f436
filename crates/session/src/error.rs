//! What can be wrong with what this crate is given.

use std::time::Duration;

use vouchsafe_core::NoEntropy;

/// Why something could not be built, issued or read.
///
/// What an engine decides about a session or a link is a verdict, not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No fresh bytes: nothing is issued, and there is no fallback.
    #[error("no fresh random bytes: nothing was issued")]
    NoEntropy,
    /// A key could not seal what it was given.
    #[error("the token could not be sealed")]
    Seal,
    /// A presented text that no key of ours issued for this use and tenant. One error for
    /// everything that can be wrong, so that probing learns nothing.
    #[error("not a token of this installation, tenant and use")]
    Token,
    /// Fields of a policy that cannot stand, all of them.
    #[error("policy: {}", list(.0))]
    Policy(Vec<Problem>),
    /// A link origin or path that is not acceptable.
    #[error("link origin: {0}")]
    Origin(&'static str),
    /// A cookie that browsers would refuse or misread.
    #[error("cookie: {0}")]
    Cookie(&'static str),
}

/// One field of a policy that cannot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A duration outside what it may be.
    #[error("{field} must be between {least:?} and {most:?}, not {value:?}")]
    Duration {
        /// Which field.
        field: &'static str,
        /// What it was.
        value: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// A number outside what it may be.
    #[error("{field} must be between {least} and {most}, not {value}")]
    Count {
        /// Which field.
        field: &'static str,
        /// What it was.
        value: u32,
        /// The least it may be.
        least: u32,
        /// The most it may be.
        most: u32,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<NoEntropy> for Error {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}
