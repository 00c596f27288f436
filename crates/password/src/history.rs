//! The passwords that an account had before, to be refused.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded as Base64, Encoding};
use subtle::{Choice, ConstantTimeEq};
use vouchsafe_crypto::{MacKey, encode, sha256};
use zeroize::Zeroizing;

use crate::hash::{Memory, NotRun};
use crate::hashed::{Hashed, Input, Kdf};
use crate::phc;
use crate::{Binding, Params, Record, RecordError};

/// Bytes that are kept of a password: two of an account's share them once in 2^96.
const ENTRY: usize = 12;

/// What is kept of one.
pub(crate) type Entry = [u8; ENTRY];

/// Bytes of a key's id.
const ID: usize = 6;

/// What entries are keyed with. Its id follows from it, so that a key which is not there is told from a
/// password that is not remembered.
pub(crate) struct HistoryKey {
    id: [u8; ID],
    key: MacKey,
}

impl HistoryKey {
    pub(crate) fn new(key: MacKey) -> Self {
        let [a, b, c, d, e, f, ..] = key.mac("vouchsafe password history key id v1", &[]);
        Self { id: [a, b, c, d, e, f], key }
    }

    fn of(&self, entry: &Entry) -> Entry {
        first(self.key.mac("vouchsafe password history entry v1", &[entry]))
    }
}

fn first(digest: [u8; 32]) -> Entry {
    let mut entry = [0; ENTRY];
    entry.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    entry
}

/// Digests of an account's last passwords, the newest first. They share one salt, so that one run of
/// Argon2id says whether a password is any of them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) params: Params,
    salt: Vec<u8>,
    entries: Vec<Entry>,
    /// The key that the entries are keyed with.
    key: Option<[u8; ID]>,
}

impl History {
    /// Nothing remembered yet.
    pub(crate) const fn new(params: Params, salt: Vec<u8>) -> Self {
        Self { params, salt, entries: Vec::new(), key: None }
    }

    /// Keyed with `key`: those that are under none need no password for it.
    pub(crate) fn keyed(mut self, key: Option<&HistoryKey>) -> Self {
        if let (None, Some(key)) = (self.key, key) {
            self.entries.iter_mut().for_each(|entry| *entry = key.of(entry));
            self.key = Some(key.id);
        }
        self
    }

    /// Whether `key` is the one that it is keyed with, if it is.
    pub(crate) fn opens_with(&self, key: Option<&HistoryKey>) -> bool {
        self.key.is_none() || self.key == key.map(|key| key.id)
    }

    /// What would be remembered of `password`. The key is the one that it is keyed with, if it is.
    pub(crate) fn entry(
        &self,
        key: Option<&HistoryKey>,
        password: &str,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Entry, NotRun> {
        let (kdf, salt, hash) = (Kdf::new(self.params), self.salt.clone(), vec![0; Record::HASH]);
        let hashed = Hashed { input: Input::Plain, kdf, salt, hash };
        let tag = hashed.again(password, Some(binding), memory)?;
        let digest = sha256(&Zeroizing::new(encode("vouchsafe password history v1", &[&tag])));
        let entry = first(digest);
        match (self.key, key) {
            (None, _) => Ok(entry),
            (Some(id), Some(key)) if key.id == id => Ok(key.of(&entry)),
            (Some(_), _) => Err(NotRun),
        }
    }

    /// Whether it is one of the last `depth`. Takes as long whichever it is.
    pub(crate) fn holds(&self, entry: &Entry, depth: u8) -> bool {
        let entries = self.entries.iter().take(usize::from(depth));
        entries.fold(Choice::from(0), |found, old| found | old.ct_eq(entry)).into()
    }

    /// With one more, of which the last `depth` stay.
    pub(crate) fn with(mut self, entry: Entry, depth: u8) -> Self {
        self.entries.insert(0, entry);
        self.entries.truncate(usize::from(depth));
        self
    }

    /// How many are remembered.
    pub(crate) fn depth(&self) -> u8 {
        u8::try_from(self.entries.len()).unwrap_or(u8::MAX)
    }
}

/// `m=..,t=..,p=..$salt$entries`, and `$key` where they are keyed.
impl FromStr for History {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let wrong = RecordError::Field("history");
        let mut parts = text.split('$');
        let mut part = || parts.next().ok_or(wrong);
        let (params, salt, entries) = (part()?, part()?, part()?);
        let [memory, passes, lanes] =
            phc::numbers(params, ["m=", "t=", "p="]).map_err(|_| wrong)?;
        let params = Params::new(memory, passes, lanes).ok_or(RecordError::Params)?;
        let bytes = |text| Base64::decode_vec(text).map_err(|_| wrong);
        let salt = bytes(salt)?;
        let entries = bytes(entries)?;
        let key = match parts.next() {
            Some(key) => Some(<[u8; ID]>::try_from(bytes(key)?).map_err(|_| wrong)?),
            None => None,
        };
        let (entries, rest) = entries.as_chunks();
        let many = entries.len() > usize::from(crate::PasswordPolicy::MAX_REMEMBERED);
        if !rest.is_empty() || many || salt.len() != Record::SALT || parts.next().is_some() {
            return Err(wrong);
        }
        Ok(Self { params, salt, entries: entries.to_vec(), key })
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, salt, entries, key } = self;
        let (salt, entries) =
            (Base64::encode_string(salt), Base64::encode_string(entries.as_flattened()));
        write!(f, "{params}${salt}${entries}")?;
        match key {
            Some(key) => write!(f, "${}", Base64::encode_string(key)),
            None => Ok(()),
        }
    }
}
