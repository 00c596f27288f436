//! What a host keeps of a password, in a text column of its own.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded as Base64, Encoding};
use vouchsafe_core::Standing;

use crate::{Params, RecordError};

/// What is kept of a password: a salted hash, what it cost, and what it entitles to.
///
/// As text it is versioned and describes itself:
///
/// ```text
/// vouchsafe:1:chosen:bound:nfc:-:$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
///           | |      |     |   |
///           | |      |     |   the pepper it is sealed under; `-` for none
///           | |      |     the form hashed: `nfc`, or `raw` (as typed, by other software)
///           | |      `bound` to tenant and account (a row copied to another account never matches), or `free`
///           | `chosen` by its owner, or `change`: good for nothing but changing it
///           version
/// ```
///
/// `Debug` shows neither salt nor hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) standing: Standing,
    pub(crate) bound: bool,
    pub(crate) form: Form,
    pub(crate) params: Params,
    pub(crate) salt: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

/// Which form of the password was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Nfc,
    Raw,
}

impl Record {
    /// Longest text that is read, in bytes.
    pub const MAX_LEN: usize = 320;
    /// Bytes of a new record's salt (RFC 9106, section 4).
    pub const SALT: usize = 16;
    /// Bytes of a new record's hash (RFC 9106, section 4).
    pub const HASH: usize = 32;

    /// Adopts an Argon2id hash made by other software, `$argon2id$v=19$m=..,t=..,p=..$salt$hash`:
    /// bound to no account, of the password as it was typed. Its next successful use makes a record
    /// of this crate's own of it.
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with it.
    pub fn from_phc(text: &str, standing: Standing) -> Result<Self, RecordError> {
        if text.len() > Self::MAX_LEN {
            return Err(RecordError::TooLong { max: Self::MAX_LEN });
        }
        let (params, salt, hash) = read_phc(text)?;
        Ok(Self { standing, bound: false, form: Form::Raw, params, salt, hash })
    }

    /// What it entitles to.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// What it cost.
    #[must_use]
    pub const fn params(&self) -> Params {
        self.params
    }

    /// Whether it is bound to its tenant and account.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound
    }

    /// The same password, good for nothing but changing it. There is no way back but a new one.
    #[must_use]
    pub fn must_change(self) -> Self {
        Self { standing: Standing::MustChange, ..self }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = match self.standing {
            Standing::Chosen => "chosen",
            Standing::MustChange => "change",
        };
        let bound = if self.bound { "bound" } else { "free" };
        let form = match self.form {
            Form::Nfc => "nfc",
            Form::Raw => "raw",
        };
        let (salt, hash) = (Base64::encode_string(&self.salt), Base64::encode_string(&self.hash));
        let params = self.params;
        write!(f, "vouchsafe:1:{standing}:{bound}:{form}:-:$argon2id$v=19${params}${salt}${hash}")
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:?}, {}, ..)", self.standing, self.params)
    }
}

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        if text.len() > Self::MAX_LEN {
            return Err(RecordError::TooLong { max: Self::MAX_LEN });
        }
        let rest = text.strip_prefix("vouchsafe:").ok_or(RecordError::NotARecord)?;
        let (version, rest) = rest.split_once(':').ok_or(RecordError::NotARecord)?;
        match number(version).ok_or(RecordError::Field("version"))? {
            1 => {}
            other => return Err(RecordError::Version(other)),
        }
        let mut fields = rest.splitn(5, ':');
        let standing = match fields.next() {
            Some("chosen") => Standing::Chosen,
            Some("change") => Standing::MustChange,
            _ => return Err(RecordError::Field("standing")),
        };
        let bound = match fields.next() {
            Some("bound") => true,
            Some("free") => false,
            _ => return Err(RecordError::Field("binding")),
        };
        let form = match fields.next() {
            Some("nfc") => Form::Nfc,
            Some("raw") => Form::Raw,
            _ => return Err(RecordError::Field("form")),
        };
        match fields.next() {
            Some("-") => {}
            Some(_) => return Err(RecordError::Pepper),
            None => return Err(RecordError::Field("pepper")),
        }
        let (params, salt, hash) = read_phc(fields.next().ok_or(RecordError::Field("hash"))?)?;
        // Our own are of one size: a column too narrow for them is noticed.
        if bound && (salt.len(), hash.len()) != (Self::SALT, Self::HASH) {
            return Err(RecordError::Field("hash"));
        }
        Ok(Self { standing, bound, form, params, salt, hash })
    }
}

fn read_phc(text: &str) -> Result<(Params, Vec<u8>, Vec<u8>), RecordError> {
    let rest = text.strip_prefix("$argon2id$v=19$").ok_or(RecordError::Field("algorithm"))?;
    let mut parts = rest.split('$');
    let mut part = |name| parts.next().ok_or(RecordError::Field(name));
    let (params, salt, hash) = (part("parameters")?, part("salt")?, part("hash")?);
    if parts.next().is_some() {
        return Err(RecordError::Field("hash"));
    }
    let mut costs = params.split(',');
    let mut cost = |prefix: &str| {
        let digits = costs.next().and_then(|part| part.strip_prefix(prefix));
        digits.and_then(number).ok_or(RecordError::Field("parameters"))
    };
    let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    if costs.next().is_some() {
        return Err(RecordError::Field("parameters"));
    }
    let params = Params::new(memory, passes, lanes).ok_or(RecordError::Params)?;
    // Argon2 knows no shorter salt; a hash under 16 bytes would be guessed before the password.
    let salt = Base64::decode_vec(salt).ok().filter(|s| (8..=64).contains(&s.len()));
    let hash = Base64::decode_vec(hash).ok().filter(|h| (16..=64).contains(&h.len()));
    Ok((params, salt.ok_or(RecordError::Field("salt"))?, hash.ok_or(RecordError::Field("hash"))?))
}

/// Decimal digits without a leading zero.
fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    (plain && (digits == "0" || !digits.starts_with('0'))).then(|| digits.parse().ok()).flatten()
}

/// What was found where an account's record should be.
#[derive(Clone, Debug)]
pub enum Stored {
    /// A record.
    Record(Record),
    /// Nobody has this name, or the account has no password (yet): never matches, and costs the
    /// same work.
    Absent,
    /// A text that is no record: never matches, and costs the same work. The error is for the
    /// host's log.
    Unusable(RecordError),
}

impl Stored {
    /// What the host's column holds; `None` for no row or SQL's `NULL`.
    #[must_use]
    pub fn read(column: Option<&str>) -> Self {
        match column.map(str::parse) {
            None => Self::Absent,
            Some(Ok(record)) => Self::Record(record),
            Some(Err(error)) => Self::Unusable(error),
        }
    }
}

impl From<Record> for Stored {
    fn from(record: Record) -> Self {
        Self::Record(record)
    }
}

impl From<Option<Record>> for Stored {
    fn from(record: Option<Record>) -> Self {
        record.map_or(Self::Absent, Self::Record)
    }
}
