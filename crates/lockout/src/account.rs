//! Under which name are failures counted.

use vouchsafe_core::{AccountDigest, Identifier, TenantId, UserId};
use vouchsafe_crypto::{MacKey, MacPrefix};

/// Whose failures they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The user that the identifier belongs to, whichever of their names was typed.
    User(&'a UserId),
    /// Nobody answers to the identifier: it is counted under its canonical form, so that an
    /// unknown name locks as a known one does.
    Unknown(&'a Identifier),
}

/// What turns the users and the unknown names of one tenant into the digests that their failures are
/// counted under.
///
/// All names of one user give one digest; so do all spellings of one unknown name. A user and an
/// unknown name never share one, nor do two tenants. The same work is done for either subject.
#[derive(Debug)]
pub struct AccountKey {
    user: MacPrefix,
    unknown: MacPrefix,
}

impl AccountKey {
    /// The digests of `tenant` under `key`.
    #[must_use]
    pub fn new(key: &MacKey, tenant: &TenantId) -> Self {
        let of = |kind: &[u8]| {
            key.prefix("vouchsafe lockout account v1", &[tenant.as_str().as_bytes(), kind])
        };
        Self { user: of(b"user...."), unknown: of(b"unknown.") }
    }

    /// The digest of `subject`.
    #[must_use]
    pub fn digest(&self, subject: Subject<'_>) -> AccountDigest {
        let (prefix, text) = match subject {
            Subject::User(user) => (&self.user, user.as_str()),
            Subject::Unknown(identifier) => (&self.unknown, identifier.as_str()),
        };
        AccountDigest::new(prefix.digest(text.as_bytes()))
    }
}
