//! What becomes of attempts while the store of the failures is not what it should be.

use std::time::Duration;

use crate::curve;
use crate::order::{Circumstance, Witness, spread};
use crate::{Limit, LockoutError, LockoutPolicy, OnSuccess};

/// What happens to attempts while the store of the failures does not answer; strictest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outage {
    /// All are refused: nobody signs in, and nobody guesses.
    #[default]
    Refuse,
    /// Each node counts by itself, from nothing, all devices together: at most so many failures of an
    /// account in so long. An outage then costs as many guesses more, on each node.
    FailDegraded {
        /// How many: 1 to [`LockoutPolicy::MAX_FAILURES`].
        failures: u32,
        /// In how long: [`LockoutPolicy::MIN_WINDOW`] to [`LockoutPolicy::MAX_WINDOW`].
        window: Duration,
    },
    /// All are verified: an outage, or whoever can bring one about, takes every limit away.
    FailOpen,
}

/// What the store may forget of what it acknowledged, when its server is lost and another takes
/// over; strictest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MayRollBack {
    /// Nothing.
    #[default]
    Nothing,
    /// Failures of accounts, which have a store of their own: an account then has as many more
    /// guesses as failures were forgotten, and a lock may be gone.
    Counters,
    /// Everything: a used or revoked link works again, too, an ended session lives on, and a password
    /// that was changed is the old one.
    Everything,
}

impl Outage {
    fn limit(self) -> Option<Limit> {
        match self {
            Self::Refuse | Self::FailOpen => None,
            Self::FailDegraded { failures, window } => Some(Limit::new(failures, window)),
        }
    }

    pub(crate) fn problems(self, found: &mut Vec<LockoutError>) {
        let max_failures = LockoutPolicy::MAX_FAILURES;
        let (min, max) = (LockoutPolicy::MIN_WINDOW, LockoutPolicy::MAX_WINDOW);
        if let Self::FailDegraded { failures, window } = self
            && (failures == 0 || failures > max_failures || window < min || window > max)
        {
            found.push(LockoutError::Degraded { max_failures, min, max });
        }
    }

    /// Whether it lets no attempt by that `other` refuses.
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Refuse, _) | (_, Self::FailOpen) => true,
            _ => self
                .limit()
                .zip(other.limit())
                .is_some_and(|(own, other)| curve::covers(&[own], &other, 1)),
        }
    }

    /// The weakest no weaker than either, where one of them is; otherwise fewer failures in longer.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            _ if self.covers(other) => self,
            (
                Self::FailDegraded { failures, window },
                Self::FailDegraded { failures: others, window: longer },
            ) if !other.covers(self) => {
                Self::FailDegraded { failures: failures.min(others), window: window.max(longer) }
            }
            _ => other,
        }
    }
}

impl LockoutPolicy {
    /// The policy by which each node counts for itself while the store of the failures does not
    /// answer; `None` where none is asked for ([`Outage::Refuse`], [`Outage::FailOpen`]).
    ///
    /// It has the times to settle, within its window, and to wait of this one, and neither device
    /// counters nor a bound on consecutive failures, and it forgives nothing.
    #[must_use]
    pub fn degraded(&self) -> Option<Self> {
        let limit = self.when_store_is_down.limit()?;
        Some(Self {
            limits: vec![limit],
            settle_within: self.settle_within.min(limit.window()),
            wait: self.wait,
            on_success: OnSuccess::OwnCharge,
            devices: None,
            consecutive: None,
            repeats: 0,
            when_store_is_down: Outage::Refuse,
            may_roll_back: self.may_roll_back,
        })
    }

    /// Attempts that are verified here while the store is down, and refused under `baseline`.
    pub(crate) fn over_outage(&self, baseline: &Self) -> Option<Witness> {
        let (own, theirs) = (self.when_store_is_down, baseline.when_store_is_down);
        if own.covers(theirs) {
            return None;
        }
        let count = theirs.limit().map_or(1, |limit| limit.size().saturating_add(1));
        let times = match own.limit() {
            Some(limit) => curve::earliest(&[limit], count),
            None => vec![0; count],
        };
        let attempts = spread(&times, &[None]);
        Some(Witness { attempts, circumstance: Circumstance::StoreDown })
    }

    /// As many attempts as lock under `baseline`, and one more.
    pub(crate) fn over_roll_back(&self, baseline: &Self) -> Option<Witness> {
        if self.may_roll_back <= baseline.may_roll_back {
            return None;
        }
        let smallest = baseline.limits.iter().map(Limit::size).min().unwrap_or(0);
        let count = smallest.min(baseline.bound(false)).saturating_add(1);
        let attempts = spread(&vec![0; count], &[None]);
        let circumstance = match self.may_roll_back {
            MayRollBack::Everything => Circumstance::StoreRolledBack,
            _ => Circumstance::CountersRolledBack,
        };
        Some(Witness { attempts, circumstance })
    }
}
