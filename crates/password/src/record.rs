//! What a host keeps of a password, in a text column of its own.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded as Base64, Encoding};
use vouchsafe_core::Standing;

use crate::hashed::{Affixes, Digest, Hashed, Input};
use crate::history::History;
use crate::pepper::PepperId;
use crate::phc::{self, number};
use crate::{Params, RecordError, foreign};

/// What is kept of a password: a salted hash, what it cost, and what it entitles to.
///
/// As text it is versioned and describes itself:
///
/// ```text
/// vouchsafe:1:chosen:bound:nfc:-:$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
///           | |      |     |   | |
///           | |      |     |   | the hash, and behind a `;` what is remembered of the passwords before;
///           | |      |     |   | under a pepper sealed, in base64
///           | |      |     |   the pepper that it is sealed with; `-` for none
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
    /// It was read from a column that holds the text of other software, and nothing else.
    pub(crate) bare: bool,
    pub(crate) body: Body,
}

/// Which form of the password was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Nfc,
    Raw,
}

impl Form {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nfc => "nfc",
            Self::Raw => "raw",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Plain(Inner),
    /// Nonce, sealed text and tag.
    Sealed(PepperId, Vec<u8>),
}

/// The hash as it was written, and what it says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    text: Box<str>,
    pub(crate) hashed: Hashed,
    pub(crate) history: Option<Box<History>>,
}

impl Inner {
    /// Argon2id, as new records have it.
    pub(crate) fn new(hashed: Hashed, history: Option<History>) -> Self {
        let (salt, hash) =
            (Base64::encode_string(&hashed.salt), Base64::encode_string(&hashed.hash));
        let params = hashed.argon2id().map(|params| params.to_string()).unwrap_or_default();
        let input = match &hashed.input {
            Input::Digest(digest, Affixes { before, after }) => {
                let of = |bytes| Base64::encode_string(bytes);
                format!("{}!{}!{}!", digest.name(), of(before), of(after))
            }
            _ => String::new(),
        };
        let text = format!("{input}$argon2id$v=19${params}${salt}${hash}").into();
        Self { text, hashed, history: history.map(Box::new) }
    }

    fn read(text: &str) -> Result<Self, RecordError> {
        let (text, history) = match text.split_once(';') {
            Some((text, history)) => (text, Some(Box::new(history.parse()?))),
            None => (text, None),
        };
        let wrapped = text.find("!$").and_then(|at| text.split_at_checked(at.saturating_add(1)));
        let hashed = match wrapped {
            Some((digest, argon2)) => {
                let input = digest_of(digest).ok_or(RecordError::Field("digest"))?;
                Hashed { input, ..phc::argon2(argon2)? }
            }
            None => foreign::read(text)?,
        };
        Ok(Self { text: text.into(), hashed, history })
    }

    pub(crate) fn sealed_text(&self, standing: Standing) -> String {
        format!("{}:{self}", name(standing))
    }

    pub(crate) fn from_sealed_text(text: &str) -> Option<(Standing, Self)> {
        let (standing, text) = text.split_once(':')?;
        Some((standing_named(standing)?, Self::read(text).ok()?))
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.history.as_ref().map_or(Ok(()), |history| write!(f, ";{history}"))
    }
}

/// `md5!<what stood before the password>!<what stood after it>!`.
fn digest_of(text: &str) -> Option<Input> {
    let mut parts = text.strip_suffix('!')?.split('!');
    let digest = Digest::named(parts.next()?)?;
    let mut bytes = || Base64::decode_vec(parts.next()?).ok();
    let affixes = Affixes { before: bytes()?, after: bytes()? };
    parts.next().is_none().then_some(Input::Digest(digest, affixes))
}

const fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Chosen => "chosen",
        Standing::MustChange => "change",
    }
}

fn standing_named(name: &str) -> Option<Standing> {
    match name {
        "chosen" => Some(Standing::Chosen),
        "change" => Some(Standing::MustChange),
        _ => None,
    }
}

impl Record {
    /// Longest text that is read, in bytes.
    pub const MAX_LEN: usize = 1024;
    /// Bytes of a new record's salt (RFC 9106, section 4).
    pub const SALT: usize = 16;
    /// Bytes of a new record's hash (RFC 9106, section 4).
    pub const HASH: usize = 32;

    /// Whether its text is short enough to be read again.
    pub(crate) fn fits(&self) -> bool {
        self.to_string().len() <= Self::MAX_LEN
    }

    pub(crate) const fn plain(standing: Standing, bound: bool, form: Form, inner: Inner) -> Self {
        Self { standing, bound, form, bare: false, body: Body::Plain(inner) }
    }

    /// Adopts a hash by other software, of the password as it was typed and bound to no account. Its
    /// next successful use makes a record of this crate's own of it.
    ///
    /// [`formats`](crate::formats) lists what is read. For a column that holds such texts see
    /// [`Stored::import`].
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with it.
    pub fn import(text: &str, standing: Standing) -> Result<Self, RecordError> {
        let hashed = foreign::read(text)?;
        let inner = Inner { text: text.into(), hashed, history: None };
        Ok(Self::plain(standing, false, Form::Raw, inner))
    }

    /// Adopts one of Keycloak's credentials: its columns `CREDENTIAL_DATA` and `SECRET_DATA`.
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with them.
    #[cfg(feature = "import")]
    pub fn from_keycloak(
        credential_data: &str,
        secret_data: &str,
        standing: Standing,
    ) -> Result<Self, RecordError> {
        Self::import(&foreign::keycloak(credential_data, secret_data)?, standing)
    }

    /// What it entitles to.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Which hash it is, such as `argon2id` or `bcrypt`; `sealed` under a pepper.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match &self.body {
            Body::Plain(inner) => inner.hashed.kdf.name(),
            Body::Sealed(..) => "sealed",
        }
    }

    /// What it cost, where it is Argon2id and not sealed.
    #[must_use]
    pub fn params(&self) -> Option<Params> {
        match &self.body {
            Body::Plain(inner) => inner.hashed.argon2id(),
            Body::Sealed(..) => None,
        }
    }

    /// Whether it is bound to its tenant and account, by the hash or by the seal.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound || matches!(self.body, Body::Sealed(..))
    }

    /// Which pepper it is sealed with.
    #[must_use]
    pub const fn pepper(&self) -> Option<PepperId> {
        match &self.body {
            Body::Plain(_) => None,
            Body::Sealed(id, _) => Some(*id),
        }
    }

    /// How many passwords are remembered in it, its own included; `None` under a pepper.
    #[must_use]
    pub fn remembered(&self) -> Option<u8> {
        match &self.body {
            Body::Plain(inner) => Some(inner.history.as_ref().map_or(0, |history| history.depth())),
            Body::Sealed(..) => None,
        }
    }

    /// The same password, good for nothing but changing it. There is no way back but a new one.
    #[must_use]
    pub fn must_change(self) -> Self {
        Self { standing: Standing::MustChange, bare: false, ..self }
    }
}

/// The text to keep; for a record that was read, the text that it was read from.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (true, Body::Plain(inner)) = (self.bare, &self.body) {
            return f.write_str(&inner.text);
        }
        let bound = if self.bound { "bound" } else { "free" };
        write!(f, "vouchsafe:1:{}:{bound}:{}:", name(self.standing), self.form.name())?;
        match &self.body {
            Body::Plain(inner) => write!(f, "-:{inner}"),
            Body::Sealed(id, bytes) => write!(f, "{id}:{}", Base64::encode_string(bytes)),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:?}, {}", self.standing, self.scheme())?;
        match self.params() {
            Some(params) => write!(f, ", {params}, ..)"),
            None => f.write_str(", ..)"),
        }
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
        let standing = fields.next().and_then(standing_named);
        let standing = standing.ok_or(RecordError::Field("standing"))?;
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
        let pepper = match fields.next() {
            Some("-") => None,
            Some(id) => Some(PepperId::read(id).ok_or(RecordError::Field("pepper"))?),
            None => return Err(RecordError::Field("pepper")),
        };
        let hash = fields.next().ok_or(RecordError::Field("hash"))?;
        let body = match pepper {
            Some(id) => {
                let sealed = Base64::decode_vec(hash).map_err(|_| RecordError::Field("hash"))?;
                Body::Sealed(id, sealed)
            }
            None => Body::Plain(Inner::read(hash)?),
        };
        if let (true, Body::Plain(Inner { hashed, .. })) = (bound, &body) {
            // Our own are of one kind and size: a column too narrow for them is noticed.
            if hashed.argon2id().is_none() {
                return Err(RecordError::Field("algorithm"));
            }
            if (hashed.salt.len(), hashed.hash.len()) != (Self::SALT, Self::HASH) {
                return Err(RecordError::Field("hash"));
            }
        }
        Ok(Self { standing, bound, form, bare: false, body })
    }
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

impl Stored {
    /// As [`read`](Self::read), for a column that holds hashes by other software as well: what was
    /// there before this crate, and is not used since.
    ///
    /// Whoever can write to such a column can put the quickest of these hashes there.
    #[must_use]
    pub fn import(column: Option<&str>) -> Self {
        let foreign = column.filter(|text| !text.starts_with("vouchsafe:"));
        match foreign.map(|text| Record::import(text, Standing::Chosen)) {
            None => Self::read(column),
            Some(Ok(record)) => Self::Record(Record { bare: true, ..record }),
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
