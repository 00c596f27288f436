//! Checkpoints: the size and root of the log, signed (C2SP tlog-checkpoint in a signed-note).
//!
//! An extension line names the size at the checkpoint before, so that a missing one shows.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use vouchsafe_crypto::{PublicKey, SigningKey, sha256};

use crate::error::LedgerError;
use crate::tree::Hash;

const ED25519: u8 = 1;
/// The extension line, up to its number.
const AFTER: &str = "after ";

/// The unique name of one log: one writer, one directory. A schema-less URL by convention
/// (`portal.example/log/eu-1`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Longest accepted, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Reads an origin.
    ///
    /// # Errors
    /// [`LedgerError::Origin`] for anything but visible ASCII without `+`.
    pub fn new(text: &str) -> Result<Self, LedgerError> {
        let good =
            text.bytes().all(|b| b.is_ascii_graphic() && b != b'+' && b != b'"' && b != b'\\');
        if good && !text.is_empty() && text.len() <= Self::MAX_LEN {
            Ok(Self(text.into()))
        } else {
            Err(LedgerError::Origin)
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a log is: its origin and its public key. A verifier pins it; it is never taken from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    origin: Origin,
    key: PublicKey,
}

impl Identity {
    /// The log of this name and key.
    #[must_use]
    pub const fn new(origin: Origin, key: PublicKey) -> Self {
        Self { origin, key }
    }

    /// Its name.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    fn key_id(&self) -> [u8; 4] {
        let mut named = self.origin.as_str().as_bytes().to_vec();
        named.extend_from_slice(&[b'\n', ED25519]);
        named.extend_from_slice(self.key.as_bytes());
        let [a, b, c, d, ..] = sha256(&named);
        [a, b, c, d]
    }

    /// Reads a verifier key, `origin+hash+key`, as [`Display`](fmt::Display) writes it.
    ///
    /// # Errors
    /// [`LedgerError::Checkpoint`] when it is not an Ed25519 one, or its parts do not agree.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        const BAD: LedgerError = LedgerError::Checkpoint("not a verifier key");
        let (origin, rest) = text.split_once('+').ok_or(BAD)?;
        let (_, key) = rest.split_once('+').ok_or(BAD)?;
        let key = Base64::decode_vec(key).map_err(|_| BAD)?;
        let Some((&ED25519, key)) = key.split_first() else { return Err(BAD) };
        let key = PublicKey::from_bytes(key.try_into().map_err(|_| BAD)?);
        let identity = Self { origin: Origin::new(origin)?, key };
        if identity.to_string() == text { Ok(identity) } else { Err(BAD) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+", self.origin)?;
        self.key_id().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "+{}", Base64::encode_string(&key))
    }
}

/// The size and root of a log at a moment, signed by it.
///
/// ```text
/// portal.example/log
/// 7
/// CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
/// after 4
///
/// — portal.example/log 5Fuk8ZkD..
/// ```
/// `after` says which group it closes: the records from there up to its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    size: u64,
    root: Hash,
    after: u64,
    note: String,
}

impl Checkpoint {
    /// Longest note accepted, in bytes.
    pub const MAX_LEN: usize = 1024;

    pub(crate) fn sign(
        identity: &Identity,
        key: &SigningKey,
        size: u64,
        root: Hash,
        after: u64,
    ) -> Self {
        let body = body(&identity.origin, size, &root, after);
        let mut signature = identity.key_id().to_vec();
        signature.extend_from_slice(&key.sign(body.as_bytes()));
        let note = format!("{body}\n— {} {}\n", identity.origin, Base64::encode_string(&signature));
        Self { size, root, after, note }
    }

    /// Reads a checkpoint and verifies its signature. Only the exact form that this crate writes
    /// is accepted: one extension line, one signature.
    ///
    /// # Errors
    /// [`LedgerError::Checkpoint`] says what is wrong.
    pub fn parse(note: &str, identity: &Identity) -> Result<Self, LedgerError> {
        const FORM: LedgerError = LedgerError::Checkpoint("not in the form of a checkpoint");
        if note.len() > Self::MAX_LEN {
            return Err(FORM);
        }
        let mut lines = note.split('\n');
        let mut line = || lines.next().ok_or(FORM);
        if line()? != identity.origin.as_str() {
            return Err(LedgerError::Checkpoint("another log's origin"));
        }
        let size: u64 = line()?.parse().map_err(|_| FORM)?;
        let root = Base64::decode_vec(line()?).map_err(|_| FORM)?.try_into().map_err(|_| FORM)?;
        let after = line()?.strip_prefix(AFTER).and_then(|size| size.parse().ok()).ok_or(FORM)?;
        line()?;
        let signed = line()?.rsplit_once(' ').ok_or(FORM)?.1;
        let signature = Base64::decode_vec(signed).map_err(|_| FORM)?;
        let (id, signature) = signature.split_at_checked(4).ok_or(FORM)?;
        if id != identity.key_id() {
            return Err(LedgerError::Checkpoint("signed by another key"));
        }
        let body = body(&identity.origin, size, &root, after);
        identity
            .key
            .verify(body.as_bytes(), signature)
            .map_err(|_| LedgerError::Checkpoint("the signature is wrong"))?;
        if note != format!("{body}\n— {} {signed}\n", identity.origin) {
            return Err(FORM);
        }
        Ok(Self { size, root, after, note: note.to_owned() })
    }

    /// How many entries the log had.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of its tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// How many entries the log had at the checkpoint before this one; 0 at its first.
    #[must_use]
    pub const fn after(&self) -> u64 {
        self.after
    }

    /// The signed note.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.note
    }
}

fn body(origin: &Origin, size: u64, root: &Hash, after: u64) -> String {
    format!("{origin}\n{size}\n{}\n{AFTER}{after}\n", Base64::encode_string(root))
}
