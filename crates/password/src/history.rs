//! The passwords that an account had before, to be refused.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded as Base64, Encoding};
use subtle::{Choice, ConstantTimeEq};
use vouchsafe_crypto::{encode, sha256};
use zeroize::Zeroizing;

use crate::hash::{Memory, NotRun};
use crate::hashed::{Hashed, Input, Kdf};
use crate::phc;
use crate::{Binding, Params, Record, RecordError};

/// Bytes that are kept of a password: two of an account's share them once in 2^96.
const ENTRY: usize = 12;

/// What is kept of one.
pub(crate) type Entry = [u8; ENTRY];

/// Digests of an account's last passwords, the newest first. They share one salt, so that one run of
/// Argon2id says whether a password is any of them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) params: Params,
    salt: Vec<u8>,
    entries: Vec<Entry>,
}

impl History {
    /// Nothing remembered yet.
    pub(crate) const fn new(params: Params, salt: Vec<u8>) -> Self {
        Self { params, salt, entries: Vec::new() }
    }

    /// What would be remembered of `password`.
    pub(crate) fn entry(
        &self,
        password: &str,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Entry, NotRun> {
        let (kdf, salt, hash) = (Kdf::new(self.params), self.salt.clone(), vec![0; Record::HASH]);
        let hashed = Hashed { input: Input::Plain, kdf, salt, hash };
        let tag = hashed.again(password, Some(binding), memory)?;
        let digest = sha256(&Zeroizing::new(encode("vouchsafe password history v1", &[&tag])));
        let mut entry = [0; ENTRY];
        entry.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Ok(entry)
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

/// `m=..,t=..,p=..$salt$entries`.
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
        let (entries, rest) = entries.as_chunks();
        let many = entries.len() > usize::from(crate::PasswordPolicy::MAX_REMEMBERED);
        if !rest.is_empty() || many || salt.len() != Record::SALT || parts.next().is_some() {
            return Err(wrong);
        }
        Ok(Self { params, salt, entries: entries.to_vec() })
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, salt, entries } = self;
        let (salt, entries) =
            (Base64::encode_string(salt), Base64::encode_string(entries.as_flattened()));
        write!(f, "{params}${salt}${entries}")
    }
}
