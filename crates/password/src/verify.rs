//! What a verification can come to.

use std::fmt;

use vouchsafe_core::{
    AccountDigest, Charged, Matched, NotMatched, NotVerified, Standing, TenantId, UserId,
};
use vouchsafe_crypto::Sha256;

use crate::Record;

/// Which account a record belongs to: copied to another, it never matches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Binding([u8; 32]);

impl Binding {
    /// Binds to this user of this tenant: SHA-256 of both, with their lengths.
    #[must_use]
    pub fn new(tenant: &TenantId, account: &UserId) -> Self {
        let mut hash = Sha256::new();
        for part in ["vouchsafe password 1", tenant.as_str(), account.as_str()] {
            hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finish())
    }

    /// For a name that nobody answers to. A password enrolled for nobody would be bound to nothing.
    #[must_use]
    pub const fn nobody() -> Self {
        Self([0; 32])
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(..)")
    }
}

/// What a verification came to. Each variant carries the charge on, to be settled.
#[must_use = "settle it, or the attempt stays counted as a failure"]
#[derive(Debug)]
pub enum Verified {
    /// The password is right.
    Match {
        /// To be settled.
        matched: Matched,
        /// The same password hashed anew, where the record was weaker than the policy. Failing to
        /// store it is no reason to refuse the sign-in.
        upgrade: Option<Upgrade>,
    },
    /// The password is wrong, or there is nothing that it could match.
    NoMatch(NotMatched),
    /// Nothing was hashed, so nothing was learnt: the charge is to be refunded.
    NotVerified(NotVerified, NotVerifiedReason),
}

pub(crate) fn not_verified(charged: Charged, reason: NotVerifiedReason) -> Verified {
    #[expect(clippy::disallowed_methods, reason = "the verifier mints it: nothing was hashed")]
    let outcome = NotVerified::assertion(charged);
    Verified::NotVerified(outcome, reason)
}

/// Why nothing was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotVerifiedReason {
    /// The queue is full.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// It waited longer than the pool lets anybody wait.
    #[error("the password waited too long to be hashed")]
    Waited,
    /// The charge's deadline passed before its turn came.
    #[error("the attempt's deadline passed")]
    Late,
    /// The pool is shutting down.
    #[error("the hash pool is shutting down")]
    Stopped,
    /// Argon2 refused to run, or there was no memory.
    #[error("the hash could not be computed")]
    Failed,
    /// The record is sealed with a pepper that the pool was not given.
    #[error("the pepper of the record is missing")]
    NoPepper,
}

/// A compare-and-swap: where `expected` is still stored, store the new record instead. A password
/// set in the meantime wins, because it is not `expected`.
///
/// In a text column, [`expected_text`](Self::expected_text) is the very text that was read:
///
/// ```sql
/// UPDATE users SET password_hash = :new WHERE id = :id AND password_hash = :expected
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Upgrade(Box<Swap>);

#[derive(Clone, PartialEq, Eq)]
struct Swap {
    expected: Record,
    new: Record,
}

impl Upgrade {
    pub(crate) fn new(expected: Record, new: Record) -> Self {
        Self(Box::new(Swap { expected, new }))
    }

    /// What must still be stored.
    #[must_use]
    pub const fn expected(&self) -> &Record {
        &self.0.expected
    }

    /// Its text, as it was read.
    #[must_use]
    pub fn expected_text(&self) -> String {
        self.0.expected.to_string()
    }

    /// What to store instead.
    #[must_use]
    pub const fn new_record(&self) -> &Record {
        &self.0.new
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upgrade({:?} -> {:?})", self.0.expected, self.0.new)
    }
}

/// A record fresh from the pool, for a password that replaces another.
///
/// Only the pool makes it, so a record that was read back, or edited, cannot be set:
///
/// ```compile_fail
/// use vouchsafe_password::{CredentialEvent, Record};
/// fn set(record: Record) -> CredentialEvent {
///     CredentialEvent::Set { expect: 0, record }
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct NewRecord {
    pub(crate) record: Record,
    pub(crate) owner: Option<AccountDigest>,
}

impl NewRecord {
    /// The record, for a host's own column.
    #[must_use]
    pub const fn as_record(&self) -> &Record {
        &self.record
    }

    /// What it entitles to.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.record.standing
    }

    /// Whose owner chose it; `None` when somebody else did.
    #[must_use]
    pub const fn chosen_by(&self) -> Option<AccountDigest> {
        self.owner
    }
}
