//! The one place where a ciphertext belongs.

use vouchsafe_core::TenantId;
use vouchsafe_crypto::{encode, sha256};

/// The one place where a ciphertext belongs: it opens nowhere else.
///
/// Tables and columns need not be a database's; any fixed names do.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Whose it is.
    pub tenant: &'a TenantId,
    /// The table, or the kind of thing.
    pub table: &'a str,
    /// The column, or the part.
    pub column: &'a str,
    /// The row's key, in bytes that do not change.
    pub row: &'a [u8],
    /// What it is for, where one place holds more than one thing; may be empty.
    pub purpose: &'a str,
}

impl Context<'_> {
    /// All five as one byte string, which no other five give.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        encode(
            "vouchsafe/context/v1",
            &[
                self.tenant.as_str().as_bytes(),
                self.table.as_bytes(),
                self.column.as_bytes(),
                self.row,
                self.purpose.as_bytes(),
            ],
        )
    }

    /// SHA-256 of [`canonical`](Self::canonical): what a header carries.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.canonical())
    }
}
