//! Which promise a value is taken from, and which policy was in force.

use std::borrow::Cow;
use std::fmt;

/// The number of a promise in a published document: `Z7.6`, `A1.4a`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClauseId(Cow<'static, str>);

impl ClauseId {
    /// Longest accepted, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Reads a clause id: a letter, then letters, digits, `.`, `-` or `_`.
    ///
    /// # Errors
    /// [`InvalidClause`] for anything else, or more than [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Result<Self, InvalidClause> {
        let text = text.into();
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
        let goes_on = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if starts && goes_on && text.len() <= Self::MAX_LEN {
            Ok(Self(text))
        } else {
            Err(InvalidClause)
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a clause id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clause id is a letter followed by at most 63 letters, digits, `.`, `-` or `_`")]
pub struct InvalidClause;

/// SHA-256 of a policy's canonical form: which policy a decision was made under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyDigest([u8; 32]);

impl PolicyDigest {
    /// The digest of no policy: for an engine used alone.
    pub const NONE: Self = Self([0; 32]);

    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyDigest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_sources_numbers_only() {
        for good in ["A1.4a", "Z10.3", "nist-3.2.2", "x"] {
            assert_eq!(ClauseId::new(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "1.4", "A 1", "A1\n", "ä", long.as_str()] {
            assert_eq!(ClauseId::new(bad.to_owned()), Err(InvalidClause), "{bad:?}");
        }
    }
}
