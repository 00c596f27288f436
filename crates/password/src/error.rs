//! What can be wrong, and where.

use vouchsafe_core::NoEntropy;

use crate::{NotVerifiedReason, Params};

/// What this crate refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Argon2 does not know these parameters, or they are over the ceiling.
    #[error("Argon2id cannot run with {memory_kib} KiB and {passes} passes here")]
    HashParams {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
    },
    /// Cheaper to guess than what is published as the least.
    #[error("{0} is below the floor (m=47104,t=1 or m=19456,t=2 or m=12288,t=3)")]
    BelowFloor(Params),
    /// A policy that cannot be: every problem of it.
    #[error("the password rule cannot be: {}", join(.0))]
    Policy(Vec<PolicyProblem>),
    /// A pool that cannot be.
    #[error("the hash pool cannot be: {0}")]
    Pool(&'static str),
    /// No hash at the floor takes so little memory.
    #[error("a hash takes at least 12288 KiB, and there are {0} for it")]
    Budget(u32),
    /// The operating system gave no thread.
    #[error("no thread for the hash pool")]
    Threads,
    /// Nothing was hashed.
    #[error("nothing was hashed: {0}")]
    NotHashed(NotVerifiedReason),
    /// No fresh bytes for a salt.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// It is the password that must be changed, or one of the last that the policy remembers.
    #[error("the password was used before")]
    Reused,
    /// The new password has to be compared with those before it, and that costs more than the pool
    /// has ([`PoolConfig::budget_kib`](crate::PoolConfig::budget_kib)) or than any record may.
    #[error("what it is to be compared with takes {kib} KiB, {blocks} blocks of 1 KiB in all")]
    PreviousCosts {
        /// Memory in KiB.
        kib: u32,
        /// Blocks of 1 KiB, memory times passes.
        blocks: u64,
    },
    /// The new password has to be compared with those before it, and they are keyed with another key
    /// than the pool's ([`PoolKeys::remember_with`](crate::PoolKeys::remember_with)).
    #[error("what it is to be compared with is keyed with another key")]
    PreviousKey,
    /// The new password has to be compared with the one before it, whose record does not open, or is not
    /// believed.
    #[error("what it is to be compared with is not sealed for this account, or was tampered with")]
    PreviousTampered,
    /// Not what can be made a record of.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn join(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a password policy cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// Every password would do, or none.
    #[error("the minimum length is {0}, and must be 1 to 256 code points")]
    MinLength(u32),
    /// Less than 8, or more than fit the byte cap whatever the characters.
    #[error("the maximum length is {0}, and must be 8 to 256 code points")]
    MaxLength(u32),
    /// More than are remembered.
    #[error("{0} passwords are to be remembered, and at most 24 can be")]
    Remember(u8),
    /// No length is left.
    #[error("the maximum length {max} is below the minimum {min}")]
    Inverted {
        /// The minimum, at least one code point for each kind of character required.
        min: u32,
        /// The maximum.
        max: u32,
    },
}

/// Why a text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Longer than any record.
    #[error("a record has at most {max} bytes")]
    TooLong {
        /// The bound in bytes.
        max: usize,
    },
    /// Neither `vouchsafe:` nor anything else this crate reads.
    #[error("not a password record")]
    NotARecord,
    /// Written by a later version.
    #[error("record version {0} is not known")]
    Version(u32),
    /// Of a kind that is not read, for this reason.
    #[error("not read: {0}")]
    Unsupported(&'static str),
    /// A digest that is no password hash: anybody guesses its password. SHA-1, SHA-256 and MD5 are to be
    /// wrapped in Argon2id, with [`BareDigest`](crate::BareDigest). Others, such as SHA-512, are not read:
    /// their owners set a password anew.
    #[error(
        "a bare digest, which anybody guesses: SHA-1, SHA-256 or MD5 is wrapped in Argon2id first"
    )]
    BareDigest,
    /// The other software's mark of an account that has no password.
    #[error("the account has no password")]
    Disabled,
    /// A field does not hold what it must.
    #[error("the record's {0} is malformed")]
    Field(&'static str),
    /// The hash's parameters are unknown to it, or over the ceiling: refused before any allocation.
    #[error("the record's parameters are out of bounds")]
    Params,
}
