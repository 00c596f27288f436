//! What can be wrong with a record.

/// A text, a target or a byte string that cannot be part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A text without a character.
    #[error("a text of a record cannot be empty")]
    Empty,
    /// A text over its bound.
    #[error("a text of a record has at most {max} bytes after escaping")]
    TooLong {
        /// The bound in bytes.
        max: usize,
    },
    /// Not a name.
    #[error("a name is a letter followed by at most 63 letters, digits, `.`, `-` or `_`")]
    Name,
    /// A URL's path template that does not start with `/`, or that has a query or a fragment.
    #[error("a path template starts with `/` and has neither query nor fragment")]
    Path,
    /// More bytes than a record may have.
    #[error("a record has at most {max} bytes")]
    RecordTooLong {
        /// The bound in bytes.
        max: usize,
    },
    /// Not the CBOR of a record.
    #[error("not a record: byte {at}")]
    Malformed {
        /// About where reading stopped.
        at: usize,
    },
    /// A record, but not in the one form that a record has.
    #[error("not in canonical form")]
    NotCanonical,
}
