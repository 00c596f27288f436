//! Under which name are failures counted.

use vouchsafe_core::{AccountDigest, Identifier, TenantId, UserId};
use vouchsafe_crypto::MacKey;

/// Whose failures they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The user that the identifier belongs to, whichever of their names was typed.
    User(&'a UserId),
    /// Nobody answers to the identifier: it is counted under its canonical form, so that an
    /// unknown name locks as a known one does.
    Unknown(&'a Identifier),
}

/// The digest that failures of `subject` in `tenant` are counted under.
///
/// All names of one user give one digest; so do all spellings of one unknown name. A user and an
/// unknown name never share one, nor do two tenants. The same work is done for either subject.
#[must_use]
pub fn account_digest(key: &MacKey, tenant: &TenantId, subject: Subject<'_>) -> AccountDigest {
    let (kind, text) = match subject {
        Subject::User(user) => (b"user....", user.as_str()),
        Subject::Unknown(identifier) => (b"unknown.", identifier.as_str()),
    };
    let parts = [tenant.as_str().as_bytes(), kind, text.as_bytes()];
    AccountDigest::new(key.digest("vouchsafe lockout account v1", &parts))
}
