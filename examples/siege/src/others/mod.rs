//! The published algorithms of others: small, and as their sources describe them.

mod count;
mod rate;

pub use count::{CountAfter, Forget, Rule};
pub use rate::{FixedWindow, Gcra};

use std::net::IpAddr;

use crate::guard::{Attempt, Name};

/// What failures are counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The name that was typed.
    Name,
    /// The name, if somebody has it: the counter is a column of the user's row.
    User,
    /// The network address.
    Address,
}

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Name(Name),
    Address(IpAddr),
}

impl By {
    /// Where this attempt is counted, if anywhere.
    pub(crate) fn key(self, attempt: &Attempt) -> Option<Key> {
        match (self, attempt.name) {
            (Self::User, Name::Nobody(_)) => None,
            (Self::Name | Self::User, name) => Some(Key::Name(name)),
            (Self::Address, _) => attempt.source.address().map(|at| Key::Address(at.ip())),
        }
    }
}
