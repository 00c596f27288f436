//! What is kept of one account's credential.

use vouchsafe_core::{Corrupt, Standing};

use crate::{Record, Stored};

/// One account's password, and how often it was replaced.
///
/// A part of a larger state: it has bytes, and is no cell of its own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Credential {
    pub(crate) generation: u64,
    pub(crate) enabled: Enabled,
    pub(crate) record: Option<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Enabled {
    #[default]
    Yes,
    No,
}

const FORMAT: u8 = 1;

impl Credential {
    /// How often the password was set, or the account disabled or enabled. Sessions and links that
    /// were issued under an earlier generation are void.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the account is disabled.
    #[must_use]
    pub const fn is_disabled(&self) -> bool {
        matches!(self.enabled, Enabled::No)
    }

    /// Whether there was a password that no longer matches, and no other was set.
    #[must_use]
    pub const fn is_withdrawn(&self) -> bool {
        self.generation > 0 && self.record.is_none() && !self.is_disabled()
    }

    /// What the password entitles to; `None` without one, or disabled.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.usable().map(Record::standing)
    }

    /// The record, also while it matches nothing because the account is disabled.
    #[must_use]
    pub const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// What the verifier is given: a disabled account has nothing to match, at the same cost.
    #[must_use]
    pub fn stored(&self) -> Stored {
        self.usable().cloned().into()
    }

    fn usable(&self) -> Option<&Record> {
        self.record.as_ref().filter(|_| !self.is_disabled())
    }

    /// The bytes to keep: a version, the generation, whether enabled, and the record's text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = self.record.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut bytes = Vec::with_capacity(record.len().saturating_add(10));
        bytes.push(FORMAT);
        bytes.extend(self.generation.to_be_bytes());
        bytes.push(u8::from(self.is_disabled()));
        bytes.extend(record.into_bytes());
        bytes
    }

    /// Reads the bytes back.
    ///
    /// # Errors
    /// [`Corrupt`] when [`to_bytes`](Self::to_bytes) did not write them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let (head, record) = bytes.split_first_chunk::<10>().ok_or(Corrupt)?;
        let [FORMAT, generation @ .., disabled] = head else { return Err(Corrupt) };
        let generation = u64::from_be_bytes(*generation);
        let enabled = match disabled {
            0 => Enabled::Yes,
            1 => Enabled::No,
            _ => return Err(Corrupt),
        };
        let record = match std::str::from_utf8(record).map_err(|_| Corrupt)? {
            "" => None,
            text => Some(text.parse().map_err(|_| Corrupt)?),
        };
        Ok(Self { generation, enabled, record })
    }
}
