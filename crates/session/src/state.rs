//! What is kept of one account's sessions.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::{Corrupt, Effect, Step, Timestamp};

use crate::policy::MAX_SESSIONS;
use crate::wire::{Reader, put_time};
use crate::{SecretDigest, SessionPolicy};

/// A state stamped further ahead of the clock than this was written while the clock stood wrong.
pub(crate) const AHEAD: Duration = Duration::from_secs(600);

/// A step from a state that was stamped anew: written down even where it would have been kept, or
/// it would be stamped anew each time, and never age.
pub(crate) fn written<S, V>(
    step: Step<S, V>,
    was: S,
    save: impl FnOnce(S, V) -> Step<S, V>,
) -> Step<S, V> {
    let (effect, pending) = step.split();
    let verdict = pending.committed();
    match effect {
        Effect::Keep => save(was, verdict),
        Effect::Save { state, until } => Step::save(state, until, verdict),
        Effect::Erase => Step::erase(verdict),
    }
}

/// A session's public name: for lists, for ending one of several, for the access log. Random,
/// and of no use to whoever wants to be let in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The id with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads back what [`Display`](fmt::Display) wrote: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(u128::from_str_radix(text, 16).ok()?.to_be_bytes());
        // One spelling: no capitals, no sign, all the zeros.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// Where a session was opened from, in words its owner recognises: "Firefox on Linux, 192.0.2.7".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label(Box<str>);

impl Label {
    /// The longest, in bytes of UTF-8.
    pub const MAX_LEN: usize = 64;

    /// As much of `text` as fits, without control characters: it may come from a request header.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept = String::with_capacity(Self::MAX_LEN);
        for character in text.chars().filter(|character| !character.is_control()) {
            if kept.len().saturating_add(character.len_utf8()) > Self::MAX_LEN {
                break;
            }
            kept.push(character);
        }
        Self(kept.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One session, as its owner or an administrator may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its public name.
    pub id: SessionId,
    /// When it was opened.
    pub opened: Timestamp,
    /// The last use written down: early by less than the granularity.
    pub last_seen: Timestamp,
    /// From this moment on it is refused, unless it is used before.
    pub ends: Timestamp,
    /// Where it was opened from.
    pub label: Label,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) secret: SecretDigest,
    pub(crate) id: SessionId,
    pub(crate) opened: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) generation: u64,
    pub(crate) label: Label,
}

impl Entry {
    pub(crate) fn view(&self, policy: &SessionPolicy) -> Session {
        Session {
            id: self.id,
            opened: self.opened,
            last_seen: self.last_seen,
            ends: policy.deadline(self.opened, self.last_seen),
            label: self.label.clone(),
        }
    }
}

/// The sessions of one account: a part of the account's cell.
///
/// Holds hashes only; the bytes are to be kept in an encrypted cell all the same, so that a writer
/// of the database cannot put one in. `Debug` shows no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// The latest moment any step has seen: time does not run backwards.
    pub(crate) seen: Timestamp,
    pub(crate) entries: Vec<Entry>,
}

impl Sessions {
    const VERSION: u8 = 1;
    /// Longest encoding, in bytes.
    pub const MAX_BYTES: usize = 10 + MAX_SESSIONS as usize * (73 + Label::MAX_LEN);

    pub(crate) const fn empty(seen: Timestamp) -> Self {
        Self { seen, entries: Vec::new() }
    }

    /// The same sessions, as if nothing had happened after `now`: what was stamped later was
    /// stamped while the clock stood wrong, and must not outlive the mistake.
    pub(crate) fn restamped(&self, now: Timestamp) -> Self {
        let mut state = self.clone();
        state.seen = now;
        for entry in &mut state.entries {
            entry.opened = entry.opened.min(now);
            entry.last_seen = entry.last_seen.min(now);
        }
        state
    }

    /// How many are kept, those that have ended by time among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// From this moment on every session has ended by time, and the state says no more than an
    /// absent one.
    #[must_use]
    pub fn needed_until(&self, policy: &SessionPolicy) -> Timestamp {
        let ends = |entry: &Entry| policy.deadline(entry.opened, entry.last_seen);
        self.entries.iter().map(ends).max().unwrap_or(self.seen)
    }

    /// The same sessions without those that had not been used for `idle` at `by`; `None` when there
    /// is none such. For tidying up with the longest time that any policy allows: what it leaves out
    /// is refused anyway.
    #[must_use]
    pub fn tidied(&self, idle: Duration, by: Timestamp) -> Option<Self> {
        let used = |entry: &&Entry| by < entry.last_seen.after(idle);
        let entries: Vec<_> = self.entries.iter().filter(used).cloned().collect();
        (entries.len() < self.entries.len()).then_some(Self { seen: self.seen, entries })
    }

    /// The bytes to keep; the first is the format's version.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len().saturating_mul(137).saturating_add(10));
        out.push(Self::VERSION);
        put_time(&mut out, self.seen);
        // At most MAX_SESSIONS: whatever adds an entry keeps to a policy, which keeps to it.
        out.push(u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        for entry in &self.entries {
            out.extend_from_slice(entry.secret.as_bytes());
            out.extend_from_slice(entry.id.as_bytes());
            put_time(&mut out, entry.opened);
            put_time(&mut out, entry.last_seen);
            out.extend_from_slice(&entry.generation.to_be_bytes());
            out.push(u8::try_from(entry.label.0.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(entry.label.0.as_bytes());
        }
        out
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Corrupt`] for anything else: a second spelling of the same state included.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != Self::VERSION {
            return Err(Corrupt);
        }
        let seen = reader.time()?;
        let count = reader.byte()?;
        if u32::from(count) > MAX_SESSIONS {
            return Err(Corrupt);
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count.into());
        for _ in 0..count {
            let entry = Self::entry(&mut reader)?;
            let in_order = entry.opened <= entry.last_seen && entry.last_seen <= seen;
            let twice = |other: &Entry| other.id == entry.id || other.secret == entry.secret;
            if !in_order || entries.iter().any(twice) {
                return Err(Corrupt);
            }
            entries.push(entry);
        }
        reader.end()?;
        Ok(Self { seen, entries })
    }

    fn entry(reader: &mut Reader<'_>) -> Result<Entry, Corrupt> {
        let secret = SecretDigest::new(reader.array()?);
        let id = SessionId(reader.array()?);
        let (opened, last_seen) = (reader.time()?, reader.time()?);
        let generation = reader.number()?;
        let length = reader.byte()?;
        let text = std::str::from_utf8(reader.take(length.into())?).map_err(|_| Corrupt)?;
        let label = Label::new(text);
        if label.as_str() != text {
            return Err(Corrupt);
        }
        Ok(Entry { secret, id, opened, last_seen, generation, label })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidying_leaves_out_what_was_idle_for_as_long_as_that() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let used = |last_seen| Entry {
            secret: SecretDigest::new([1; 32]),
            id: SessionId::new([2; 16]),
            opened: at(0),
            last_seen,
            generation: 0,
            label: Label::default(),
        };
        let all =
            Sessions { seen: at(30), entries: vec![used(at(10)), used(at(20)), used(at(30))] };
        let idle = Duration::from_secs(100);
        assert_eq!(all.tidied(idle, at(109)), None);
        let left = all.tidied(idle, at(110)).unwrap();
        assert_eq!(left, Sessions { seen: at(30), entries: vec![used(at(20)), used(at(30))] });
        assert!(all.tidied(idle, at(130)).unwrap().is_empty());
    }
}
