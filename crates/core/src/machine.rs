//! A step is pure, and its verdict waits for its effect.

use crate::Timestamp;

/// An engine: a pure function from a state and an event to an effect and a verdict.
///
/// A step may run again with the same event after a lost race, so it is idempotent by the event's
/// id, and it never lets time run backwards: a `now` earlier than what the state has seen counts
/// as what the state has seen.
pub trait Machine {
    /// What is kept between events.
    type State;
    /// What happened.
    type Event;
    /// What the caller learns once the effect is durable.
    type Verdict;

    /// One step.
    fn step(
        &self,
        was: Option<&Self::State>,
        event: &Self::Event,
        now: Timestamp,
    ) -> Step<Self::State, Self::Verdict>;
}

/// What a step asks the store to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<S> {
    /// Nothing changes.
    Keep,
    /// Keep this state. After `until` the machine treats it like an absent one, so a store may
    /// drop it then, and not before.
    Save {
        /// The new state.
        state: S,
        /// The last moment at which the state matters.
        until: Timestamp,
    },
    /// The state is as if it had never been.
    Erase,
}

/// The outcome of a step: an effect, and a verdict that cannot be read before the effect has been
/// taken out and carried out.
#[must_use = "`split` it, carry the effect out, then call `Pending::committed`: until then nothing has changed"]
#[derive(Debug)]
pub struct Step<S, V> {
    effect: Effect<S>,
    verdict: V,
}

impl<S, V> Step<S, V> {
    /// Nothing changes, and this is the verdict.
    pub fn keep(verdict: V) -> Self {
        Self { effect: Effect::Keep, verdict }
    }

    /// Keep `state` until `until`; then `verdict` holds.
    pub fn save(state: S, until: Timestamp, verdict: V) -> Self {
        Self { effect: Effect::Save { state, until }, verdict }
    }

    /// Forget the state; then `verdict` holds.
    pub fn erase(verdict: V) -> Self {
        Self { effect: Effect::Erase, verdict }
    }

    /// The effect to carry out, and the verdict that waits for it.
    pub fn split(self) -> (Effect<S>, Pending<V>) {
        (self.effect, Pending(self.verdict))
    }

    /// The same step inside a larger state: a composed machine embeds a part's step with it.
    pub fn map<T, W>(self, state: impl FnOnce(S) -> T, verdict: impl FnOnce(V) -> W) -> Step<T, W> {
        let effect = match self.effect {
            Effect::Keep => Effect::Keep,
            Effect::Save { state: inner, until } => Effect::Save { state: state(inner), until },
            Effect::Erase => Effect::Erase,
        };
        Step { effect, verdict: verdict(self.verdict) }
    }

    /// The same step with what it saves kept until `until`: a part does not know how long the
    /// whole matters.
    pub fn kept_until(mut self, moment: Timestamp) -> Self {
        if let Effect::Save { until, .. } = &mut self.effect {
            *until = moment;
        }
        self
    }
}

/// A verdict whose effect is not durable yet.
#[must_use = "call `committed` once the effect is durable"]
#[derive(Debug)]
pub struct Pending<V>(V);

impl<V> Pending<V> {
    /// The verdict. To be called once the effect is durable, and never before.
    pub fn committed(self) -> V {
        self.0
    }
}

/// A state that lives in a store's cell.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a store",
    note = "implement `Cell`: a space, and the state's bytes there and back"
)]
pub trait Cell: Sized + Send {
    /// The space of the store it lives in.
    const SPACE: Space;

    /// Reads a state back. Owned bytes, so that a state may keep the buffer.
    ///
    /// # Errors
    /// [`Corrupt`] when the bytes are not what [`into_bytes`](Self::into_bytes) wrote, in this or an
    /// earlier version.
    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt>;

    /// The bytes to keep. The first byte is the format's version.
    fn into_bytes(self) -> Vec<u8>;

    /// [`from_bytes`](Self::from_bytes) of bytes that stay where they are.
    ///
    /// # Errors
    /// As there.
    fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        Self::from_bytes(bytes.to_vec())
    }

    /// Leaves in `out` what [`into_bytes`](Self::into_bytes) gives, and nothing else.
    fn write(self, out: &mut Vec<u8>) {
        *out = self.into_bytes();
    }
}

/// Stored bytes that no version of the code wrote: never read as a fresh start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored state is corrupt")]
pub struct Corrupt;

/// A kind of cell: what a store may assume about its loss differs by space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Space {
    /// Credential, one-time links and sessions of one account.
    Account,
    /// Failures of one account or unknown name.
    Lockout,
    /// The installation's own facts: baselines in force, generations.
    System,
}

impl Space {
    /// Every space.
    pub const ALL: [Self; 3] = [Self::Account, Self::Lockout, Self::System];

    /// The number stores keep; never reused.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Account => 1,
            Self::Lockout => 2,
            Self::System => 3,
        }
    }

    /// The space with that number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| space.code() == code)
    }
}

/// Where a cell is: a space and a keyed digest. No raw identifier ever reaches a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// The kind of cell.
    pub space: Space,
    /// A keyed digest of what the cell is about.
    pub digest: [u8; 16],
}

impl CellKey {
    /// The cell of `digest` in `space`.
    #[must_use]
    pub const fn new(space: Space, digest: [u8; 16]) -> Self {
        Self { space, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_codes_round_trip() {
        for space in Space::ALL {
            assert_eq!(Space::from_code(space.code()), Some(space));
        }
        assert_eq!(Space::from_code(0), None);
    }

    #[test]
    fn the_whole_says_how_long_it_is_kept() {
        let (early, late) = (Timestamp::from_micros(7), Timestamp::from_micros(9));
        let (effect, _) = Step::save(1_u8, early, ()).kept_until(late).split();
        assert_eq!(effect, Effect::Save { state: 1_u8, until: late });
        assert_eq!(Step::<u8, ()>::keep(()).kept_until(late).split().0, Effect::Keep);
        assert_eq!(Step::<u8, ()>::erase(()).kept_until(late).split().0, Effect::Erase);
    }

    #[test]
    fn map_keeps_the_effect_and_its_time() {
        let until = Timestamp::from_micros(7);
        let (effect, pending) = Step::save(1_u8, until, 'v').map(u32::from, |v| (v, v)).split();
        assert_eq!(effect, Effect::Save { state: 1_u32, until });
        assert_eq!(pending.committed(), ('v', 'v'));
    }
}
