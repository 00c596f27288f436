//! Who chooses a password.

use vouchsafe_core::{AccountDigest, Authenticated, ChangeOnly};

/// The account's owner is here, and chooses.
///
/// A password that somebody else chose, or that was handed out, cannot be hashed as the owner's:
///
/// ```compile_fail
/// use vouchsafe_password::{Accepted, Binding, HashPool};
/// fn administrator_sets(pool: &HashPool, accepted: Accepted, account: Binding) {
///     let _ = pool.hash(accepted, account);
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct OwnerPresent {
    account: AccountDigest,
}

impl OwnerPresent {
    /// Asserts it of `account`: for a one-time link, sent to the owner's address, that is redeemed
    /// in the very change that sets the password.
    pub const fn assertion(account: AccountDigest) -> Self {
        Self { account }
    }

    /// Whose owner.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.account
    }
}

/// Signed in again just now.
impl From<&Authenticated> for OwnerPresent {
    fn from(proof: &Authenticated) -> Self {
        Self { account: proof.account() }
    }
}

/// Signed in with a password that can only be changed: this is that change.
impl From<ChangeOnly> for OwnerPresent {
    fn from(proof: ChangeOnly) -> Self {
        Self { account: proof.account() }
    }
}
