//! What is asked of an algorithm, and what an attempt is.

use vouchsafe_core::{Source, Timestamp};

use crate::world::Password;

/// The name that is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A user's.
    User(u32),
    /// One that nobody has.
    Nobody(u64),
}

/// Who types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody who guesses.
    Stranger,
    /// The owner, in this visit, for the nth time.
    Owner {
        /// Which visit.
        visit: u32,
        /// Which try of it, from 0.
        attempt: u8,
    },
    /// A program of the owner's that still has the old password.
    Program,
}

/// Somebody tries to sign in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// As whom.
    pub name: Name,
    /// With what.
    pub password: Password,
    /// From where.
    pub source: Source,
    /// On which of the owner's devices, if on one that the owner has signed in on before.
    pub device: Option<u8>,
    /// Who really.
    pub who: Who,
}

/// What a guard says to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The password is to be verified, and the outcome told under this number.
    Verify(u64),
    /// Not now: others of this account are being verified. Uncounted.
    Wait,
    /// Nothing is verified.
    Refuse,
}

/// An algorithm that decides which attempts are verified.
pub trait Guard {
    /// Asks about an attempt.
    fn begin(&mut self, attempt: &Attempt, now: Timestamp) -> Answer;
    /// Tells what came of a verification.
    fn settle(&mut self, ticket: u64, attempt: &Attempt, right: bool, now: Timestamp);
    /// What it keeps, in bytes, as implemented here.
    fn bytes(&self) -> usize;
    /// When it said that many accounts are being tried.
    fn alarms(&self) -> &[Timestamp] {
        &[]
    }
    /// Called once a simulated hour: drop what no longer matters.
    fn upkeep(&mut self, now: Timestamp);
}

/// What a hash map of so many entries of `T` takes: it is at most 7/8 full, with a byte of its own
/// for each slot.
#[must_use]
pub const fn map_bytes<T>(capacity: usize) -> usize {
    capacity.saturating_mul(size_of::<T>().saturating_add(1)).saturating_mul(8).div_ceil(7)
}
