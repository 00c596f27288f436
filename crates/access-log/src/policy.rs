//! What has to be recorded, how long it is kept, and when it has to be gone.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use vouchsafe_core::{Order, PolicyDigest, Timestamp};

use crate::{Actor, Operation, Record};

/// A field whose value may be unavailable, where the policy says that it may.
///
/// Every other field always has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The source address.
    Address,
    /// The digest of who somebody unauthenticated said they were.
    Claimed,
    /// The digest of the policy in force.
    Policy,
    /// The clause that decided.
    Clause,
}

impl Field {
    /// Every such field.
    pub const ALL: [Self; 4] = [Self::Address, Self::Claimed, Self::Policy, Self::Clause];

    /// Its name in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Claimed => "claimed",
            Self::Policy => "policy",
            Self::Clause => "clause",
        }
    }

    /// The field with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }

    fn is_missing(self, record: &Record) -> bool {
        match self {
            Self::Address => record.source.address().is_none(),
            Self::Claimed => matches!(record.actor, Actor::Unauthenticated { claimed: None }),
            Self::Policy => record.policy == PolicyDigest::NONE,
            Self::Clause => record.clause.is_none(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The access-log section of a policy.
///
/// It is built only valid: what is kept at least some time cannot have to be gone before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    keep_at_least: Duration,
    erase_by: Option<Duration>,
    nullable: BTreeSet<Field>,
    operations: BTreeSet<Operation>,
}

/// Why a section cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Nothing has to be kept.
    #[error("records have to be kept for some time: keep_at_least is zero")]
    NothingKept,
    /// Kept longer than it may be.
    #[error("records would have to be kept for {} s and be gone after {} s", keep_at_least.as_secs(), erase_by.as_secs())]
    KeptTooLong {
        /// How long they have to be kept.
        keep_at_least: Duration,
        /// When they have to be gone.
        erase_by: Duration,
    },
    /// Nothing has to be recorded.
    #[error("no operation has to be recorded")]
    NothingRecorded,
}

/// What may be done with a record of some age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It has to be kept.
    Keep,
    /// It may be erased.
    MayErase,
    /// It has to be gone: erase it now.
    Overdue,
}

impl RetentionPolicy {
    /// A section. Records are kept at least `keep_at_least` and are gone after `erase_by`, where
    /// that is set; the fields in `nullable` may be unavailable; every one of `operations` has to
    /// be recorded.
    ///
    /// # Errors
    /// Every [`PolicyError`] there is, not only the first.
    pub fn new(
        keep_at_least: Duration,
        erase_by: Option<Duration>,
        nullable: impl IntoIterator<Item = Field>,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<Self, Vec<PolicyError>> {
        let policy = Self {
            keep_at_least,
            erase_by,
            nullable: nullable.into_iter().collect(),
            operations: operations.into_iter().collect(),
        };
        let problems = policy.problems();
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    fn problems(&self) -> Vec<PolicyError> {
        let mut problems = Vec::new();
        if self.keep_at_least.is_zero() {
            problems.push(PolicyError::NothingKept);
        }
        if let Some(erase_by) = self.erase_by.filter(|erase_by| *erase_by < self.keep_at_least) {
            let keep_at_least = self.keep_at_least;
            problems.push(PolicyError::KeptTooLong { keep_at_least, erase_by });
        }
        if self.operations.is_empty() {
            problems.push(PolicyError::NothingRecorded);
        }
        problems
    }

    /// How long a record is kept at least.
    #[must_use]
    pub const fn keep_at_least(&self) -> Duration {
        self.keep_at_least
    }

    /// At which age a record has to be gone, if at any.
    #[must_use]
    pub const fn erase_by(&self) -> Option<Duration> {
        self.erase_by
    }

    /// The fields that may be unavailable.
    #[must_use]
    pub const fn nullable(&self) -> &BTreeSet<Field> {
        &self.nullable
    }

    /// The operations that have to be recorded.
    #[must_use]
    pub const fn operations(&self) -> &BTreeSet<Operation> {
        &self.operations
    }

    /// Whether this operation has to be recorded.
    #[must_use]
    pub fn requires(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }

    /// The fields that this record lacks and that the policy demands; empty when it may be kept.
    #[must_use]
    pub fn missing(&self, record: &Record) -> Vec<Field> {
        Field::ALL
            .into_iter()
            .filter(|field| !self.nullable.contains(field) && field.is_missing(record))
            .collect()
    }

    /// What may be done at `now` with a record written at `written`.
    ///
    /// It may be erased from the moment its minimum has passed, and is overdue from the moment its
    /// limit has.
    #[must_use]
    pub fn disposal(&self, written: Timestamp, now: Timestamp) -> Disposal {
        let age = now.since(written);
        if age < self.keep_at_least {
            Disposal::Keep
        } else if self.erase_by.is_some_and(|limit| age >= limit) {
            Disposal::Overdue
        } else {
            Disposal::MayErase
        }
    }

    /// The weakest section that is no weaker than either.
    ///
    /// # Errors
    /// [`PolicyError::KeptTooLong`] when one has to keep what the other has to erase.
    pub fn join(&self, other: &Self) -> Result<Self, PolicyError> {
        let erase_by = match (self.erase_by, other.erase_by) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        let joined = Self {
            keep_at_least: self.keep_at_least.max(other.keep_at_least),
            erase_by,
            nullable: &self.nullable & &other.nullable,
            operations: &self.operations | &other.operations,
        };
        joined.problems().first().map_or(Ok(joined), |problem| Err(*problem))
    }
}

/// What happens under a weaker section and not under the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Witness {
    /// A record of this age may be erased already.
    ErasedEarly {
        /// The age.
        age: Duration,
    },
    /// A record of this age may still be there.
    KeptLate {
        /// The age.
        age: Duration,
    },
    /// A record without this field is accepted.
    FieldMissing {
        /// The field.
        field: Field,
    },
    /// This operation may go unrecorded.
    Unrecorded {
        /// The operation.
        operation: Operation,
    },
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ErasedEarly { age } => {
                write!(f, "a record {} s old may be erased already", age.as_secs())
            }
            Self::KeptLate { age } => {
                write!(f, "a record {} s old may still be kept", age.as_secs())
            }
            Self::FieldMissing { field } => write!(f, "a record without `{field}` is accepted"),
            Self::Unrecorded { operation } => write!(f, "`{operation}` may go unrecorded"),
        }
    }
}

impl Order for RetentionPolicy {
    type Witness = Witness;

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        if self.keep_at_least < baseline.keep_at_least {
            return Some(Witness::ErasedEarly { age: self.keep_at_least });
        }
        if let Some(age) = baseline.erase_by
            && self.erase_by.is_none_or(|limit| limit > age)
        {
            return Some(Witness::KeptLate { age });
        }
        if let Some(&field) = self.nullable.difference(&baseline.nullable).next() {
            return Some(Witness::FieldMissing { field });
        }
        let unrecorded = baseline.operations.difference(&self.operations).next();
        unrecorded.map(|&operation| Witness::Unrecorded { operation })
    }
}
