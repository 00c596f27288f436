//! What the filter knows a password by.

use std::fmt;

use vouchsafe_crypto::sha1;
use zeroize::Zeroizing;

use crate::Password;

/// The first 64 bits of a password's SHA-1, which is how lists of breached passwords are published.
///
/// Nearly as good as the password to whoever can guess: `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BreachKey(u64);

impl BreachKey {
    /// Of the password's NFC form, in UTF-8.
    #[must_use]
    pub fn of(password: &Password) -> Self {
        let digest = Zeroizing::new(sha1(password.nfc().as_bytes()));
        Self::of_sha1(&digest)
    }

    /// Of a SHA-1 digest.
    #[must_use]
    pub const fn of_sha1(digest: &[u8; 20]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Of a SHA-1 digest in 40 hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn of_hex(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; 40] = digits.try_into().ok()?;
        let mut key = 0_u64;
        for (at, digit) in digits.iter().enumerate() {
            let value = char::from(*digit).to_digit(16)?;
            if at < 16 {
                key = key << 4 | u64::from(value);
            }
        }
        Some(Self(key))
    }

    /// A key that is known by its number.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for BreachKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BreachKey(..)")
    }
}
