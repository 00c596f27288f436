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
    /// The record matches nothing any more.
    pub(crate) withdrawn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Enabled {
    #[default]
    Yes,
    No,
}

const FORMAT: u8 = 1;
/// Bits of the byte behind the generation.
const DISABLED: u8 = 1;
const WITHDRAWN: u8 = 2;

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
        self.withdrawn && !self.is_disabled()
    }

    /// What the password entitles to; `None` without one, or disabled.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.usable().map(Record::standing)
    }

    /// The record, also while it matches nothing because the account is disabled.
    #[must_use]
    pub const fn record(&self) -> Option<&Record> {
        match &self.record {
            Some(record) if !self.withdrawn => Some(record),
            _ => None,
        }
    }

    /// The last record, also one that was withdrawn: what a new password is compared with, where those
    /// before it are not to be used again.
    #[must_use]
    pub fn into_last(self) -> Option<Record> {
        self.record
    }

    /// What the verifier is given: a disabled account has nothing to match, at the same cost.
    #[must_use]
    pub fn stored(&self) -> Stored {
        self.usable().cloned().into()
    }

    fn usable(&self) -> Option<&Record> {
        self.record().filter(|_| !self.is_disabled())
    }

    /// With this record in force.
    pub(crate) fn with(self, generation: u64, record: Record) -> Self {
        Self { generation, record: Some(record), withdrawn: false, ..self }
    }

    /// The bytes to keep: a version, the generation, whether disabled or withdrawn, and the record's
    /// text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = self.record.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut bytes = Vec::with_capacity(record.len().saturating_add(10));
        bytes.push(FORMAT);
        bytes.extend(self.generation.to_be_bytes());
        let disabled = if self.is_disabled() { DISABLED } else { 0 };
        bytes.push(disabled | if self.withdrawn { WITHDRAWN } else { 0 });
        bytes.extend(record.into_bytes());
        bytes
    }

    /// Reads the bytes back.
    ///
    /// # Errors
    /// [`Corrupt`] when [`to_bytes`](Self::to_bytes) did not write them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let (head, record) = bytes.split_first_chunk::<10>().ok_or(Corrupt)?;
        let [FORMAT, generation @ .., flags] = head else { return Err(Corrupt) };
        let generation = u64::from_be_bytes(*generation);
        let enabled = if flags & DISABLED == 0 { Enabled::Yes } else { Enabled::No };
        let withdrawn = flags & WITHDRAWN != 0;
        let record = match std::str::from_utf8(record).map_err(|_| Corrupt)? {
            "" => None,
            text => Some(text.parse().map_err(|_| Corrupt)?),
        };
        if flags & !(DISABLED | WITHDRAWN) != 0 || (withdrawn && record.is_none()) {
            return Err(Corrupt);
        }
        Ok(Self { generation, enabled, record, withdrawn })
    }
}
