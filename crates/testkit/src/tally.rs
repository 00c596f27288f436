//! The smallest machine that can show a lost, a doubled and a resurrected event.

use vouchsafe_core::{Cell, Corrupt, Machine, Space, Step, Timestamp};

/// A machine that counts events, each once, by its id.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally;

/// The ids counted so far, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// The ids.
    pub ids: Vec<u64>,
}

/// What a [`Tally`] is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TallyEvent {
    /// Count this id. The verdict is its place, from 1.
    Add(u64),
    /// Forget everything. The verdict is 0.
    Clear,
}

impl Machine for Tally {
    type State = Tallied;
    type Event = TallyEvent;
    type Verdict = usize;

    fn step(
        &self,
        was: Option<&Tallied>,
        event: &TallyEvent,
        _now: Timestamp,
    ) -> Step<Tallied, usize> {
        let TallyEvent::Add(id) = event else { return Step::erase(0) };
        let mut state = was.cloned().unwrap_or_default();
        match state.ids.iter().position(|known| known == id) {
            Some(at) => Step::keep(at.saturating_add(1)),
            None => {
                state.ids.push(*id);
                let place = state.ids.len();
                Step::save(state, Timestamp::MAX, place)
            }
        }
    }
}

impl Cell for Tallied {
    const SPACE: Space = Space::Lockout;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let (format, ids) = bytes.split_first().ok_or(Corrupt)?;
        let (ids, rest) = ids.as_chunks::<8>();
        if *format != 1 || !rest.is_empty() {
            return Err(Corrupt);
        }
        Ok(Self { ids: ids.iter().map(|id| u64::from_le_bytes(*id)).collect() })
    }

    fn into_bytes(self) -> Vec<u8> {
        std::iter::once(1).chain(self.ids.into_iter().flat_map(u64::to_le_bytes)).collect()
    }
}
