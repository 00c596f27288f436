//! Is a history of one cell linearisable?
//!
//! Wing and Gong's search ("Testing and verifying concurrent objects", 1993) with Lowe's memory of
//! what was tried: an order of the calls, compatible with when they began and ended, in which a
//! cell that does one call at a time gives the same answers.

use std::collections::HashSet;

use vouchsafe_store::Version;

/// One call on a cell, with the moments between which it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// A tick before the call.
    pub began: u64,
    /// A tick after its answer.
    pub ended: u64,
    /// What was asked and answered.
    pub what: What,
}

/// A call and its answer; a cell is as good as its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A load saw this.
    Saw(Option<Version>),
    /// A swap from this to that was done.
    Swapped {
        /// The expected version.
        from: Option<Version>,
        /// The new one; `None` erased.
        to: Option<Version>,
    },
    /// A swap that expected `from` was refused, and shown `saw`.
    Refused {
        /// The expected version.
        from: Option<Version>,
        /// What it was shown.
        saw: Option<Version>,
    },
}

impl What {
    /// The cell after this call, if a cell at `at` answers so.
    fn after(self, at: Option<Version>) -> Option<Option<Version>> {
        match self {
            Self::Saw(seen) => (seen == at).then_some(at),
            Self::Swapped { from, to } => (from == at).then_some(to),
            Self::Refused { from, saw } => (saw == at && from != at).then_some(at),
        }
    }
}

/// Whether `calls`, at most 64 on a cell that begins absent, are linearisable.
#[must_use]
pub fn is_linearisable(calls: &[Call]) -> bool {
    calls.len() <= 64 && search(calls, 0, None, &mut HashSet::new())
}

fn search(
    calls: &[Call],
    done: u64,
    at: Option<Version>,
    tried: &mut HashSet<(u64, Option<Version>)>,
) -> bool {
    let open = || calls.iter().enumerate().filter(|(index, _)| done & bit(*index) == 0);
    // Only a call that began before every open one ended can be the next.
    let Some(first_end) = open().map(|(_, call)| call.ended).min() else { return true };
    if !tried.insert((done, at)) {
        return false;
    }
    open().filter(|(_, call)| call.began < first_end).any(|(index, call)| {
        call.what.after(at).is_some_and(|next| search(calls, done | bit(index), next, tried))
    })
}

const fn bit(index: usize) -> u64 {
    1_u64.wrapping_shl(index as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u8) -> Option<Version> {
        Some(Version::new([number; 16]))
    }

    fn call(began: u64, ended: u64, what: What) -> Call {
        Call { began, ended, what }
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_either_order() {
        let write = call(1, 6, What::Swapped { from: None, to: version(1) });
        let early = call(2, 3, What::Saw(None));
        let late = call(4, 5, What::Saw(version(1)));
        assert!(is_linearisable(&[write.clone(), early.clone(), late.clone()]));
        // The other way round: seen, and then not seen any more.
        let unseen = call(4, 5, What::Saw(None));
        let seen = call(2, 3, What::Saw(version(1)));
        assert!(!is_linearisable(&[write, seen, unseen]));
    }

    #[test]
    fn a_stale_load_after_the_answer_is_refused() {
        let write = call(1, 2, What::Swapped { from: None, to: version(1) });
        assert!(!is_linearisable(&[write, call(3, 4, What::Saw(None))]));
    }

    #[test]
    fn two_winners_of_one_race_are_refused() {
        let one = call(1, 4, What::Swapped { from: None, to: version(1) });
        let two = call(2, 3, What::Swapped { from: None, to: version(2) });
        assert!(!is_linearisable(&[one.clone(), two]));
        let lost = call(2, 3, What::Refused { from: None, saw: version(1) });
        assert!(is_linearisable(&[one, lost]));
    }
}
