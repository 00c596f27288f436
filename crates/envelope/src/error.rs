//! What can go wrong, and where.

use std::path::PathBuf;

use vouchsafe_core::{NoEntropy, TenantId};

/// What can go wrong with sealed bytes and keyrings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Wrong key, wrong context, wrong suite, or changed bytes: deliberately one error.
    #[error("it does not open: another key, another place, or changed bytes")]
    Refused,
    /// Not the format, or a form of it that this version does not know.
    #[error("not in the format: {what} (at byte {at})")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
        /// Where it begins, in bytes.
        at: usize,
    },
    /// The keyring has no key for this tenant.
    #[error("the keyring has no key for tenant {0}")]
    UnknownTenant(TenantId),
    /// None of the recipients' keys is in the keyring.
    #[error("no key in the keyring is a recipient")]
    UnknownKey,
    /// More bytes, tenants or key versions than there is room for.
    #[error("{what}: at most {max}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// Nothing was sealed, because there are no fresh bytes.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The keyring file does not open under this secret, or its first bytes were changed.
    #[error("the secret does not open the keyring {}", .0.display())]
    WrongSecret(PathBuf),
    /// The keyring file was cut off.
    #[error("the keyring {} is cut off", .0.display())]
    Truncated(PathBuf),
    /// The secret is right, but the keyring file was changed or damaged behind its first bytes.
    #[error("the keyring {} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The file asks for an Argon2 cost outside what is accepted, so nothing was computed.
    #[error("the Argon2 cost of the keyring {} is outside what is accepted", .0.display())]
    Cost(PathBuf),
    /// There is a file already; nothing was overwritten.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// The keyring file is older than what was read from it before.
    #[error("the keyring {} is older than before", .0.display())]
    RolledBack(PathBuf),
    /// The unlock secret is too short or too long.
    #[error("an unlock secret has {min} to {max} bytes")]
    SecretLength {
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
    /// Others may read the unlock secret's file.
    #[error("{} can be read by others; give it mode 0600", .0.display())]
    SecretReadable(PathBuf),
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<vouchsafe_crypto::OpenError> for EnvelopeError {
    fn from(_: vouchsafe_crypto::OpenError) -> Self {
        Self::Refused
    }
}

impl From<vouchsafe_crypto::TooLong> for EnvelopeError {
    fn from(_: vouchsafe_crypto::TooLong) -> Self {
        Self::TooMany { what: "bytes of one message", max: (1 << 36) - 32 }
    }
}
