//! Bytes that must never be printed, copied or left behind.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Secret bytes: wiped on drop, never printed, compared in constant time.
///
/// The bytes live in one heap allocation of exactly their length, which is wiped before it is
/// given back; moving the value moves a pointer and leaves no copy.
pub struct SecretBytes(Zeroizing<Box<[u8]>>);

impl SecretBytes {
    /// Takes the bytes over. A vector with spare capacity is copied into an exact allocation, and
    /// the old one wiped.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(Zeroizing::new(bytes.into_boxed_slice()));
        }
        let exact = Box::<[u8]>::from(bytes.as_slice());
        bytes.zeroize();
        Self(Zeroizing::new(exact))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same bytes, in time that depends on their lengths only.
    #[must_use]
    pub fn same_as(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// A secret text: wiped on drop, never printed.
pub struct SecretString(SecretBytes);

impl SecretString {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretBytes::new(text.into_bytes()))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        // Made from a `String` and never changed, so the fallback is never taken.
        std::str::from_utf8(self.0.expose()).unwrap_or("")
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_printed() {
        assert_eq!(format!("{:?}", SecretBytes::new(b"hunter2".to_vec())), "SecretBytes(..)");
        assert_eq!(format!("{:?}", SecretString::new("hunter2".into())), "SecretString(..)");
    }

    #[test]
    fn compares_by_content() {
        let mut roomy = Vec::with_capacity(64);
        roomy.extend_from_slice(b"abc");
        let secret = SecretBytes::new(roomy);
        assert!(secret.same_as(b"abc"));
        assert!(!secret.same_as(b"abd"));
        assert!(!secret.same_as(b"ab"));
    }
}
