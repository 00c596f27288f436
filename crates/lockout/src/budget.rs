//! How many guesses a policy lets through.

use std::time::Duration;

use crate::curve::{Micros, NEVER, earliest, micros};
use crate::{Limit, LockoutPolicy};

/// Attempts followed one by one before [`LockoutPolicy::guess_budget`] estimates.
const MAX_STEPS: usize = 100_000;
/// Rounds of the less paying kind that are tried.
const MAX_MIXED: u64 = 1_024;

impl LockoutPolicy {
    /// The most wrong attempts on one account that are verified in any span of this length, by
    /// somebody who has a known device for every counter; absent unlocks and sign-ins of the owner.
    ///
    /// Exact for one limit; for several, and with a bound on consecutive failures, never too small.
    #[must_use]
    pub fn guess_budget(&self, horizon: Duration) -> u64 {
        let span = micros(horizon);
        if span <= 0 {
            return 0;
        }
        let counters = self.devices.map_or(0, |devices| u64::from(devices.counters));
        let by_limits = self.counter_budget(span).saturating_mul(counters.saturating_add(1));
        let by_run = self.consecutive.map_or(u64::MAX, |rule| {
            // After each whole run the memory has to pass.
            let memory = micros(rule.memory).max(1);
            let runs = u64::try_from(span.saturating_sub(1).div_euclid(memory)).unwrap_or(u64::MAX);
            runs.saturating_add(1).saturating_mul(u64::from(rule.disable_at))
        });
        by_limits.min(by_run)
    }

    /// The most attempts that one counter admits in a half-open span.
    fn counter_budget(&self, span: Micros) -> u64 {
        let alone = self.limits.iter().map(|limit| budget(limit, span)).min().unwrap_or(u64::MAX);
        if self.limits.len() == 1 {
            return alone;
        }
        // The curve is subadditive: what is beyond the horizon of the search is paid in full.
        let times = earliest(&self.limits, MAX_STEPS);
        let searched = times.last().copied().unwrap_or(0);
        let within = times.partition_point(|&time| time < span.min(searched.max(1)));
        let repeats = span.div_euclid(searched.max(1)).saturating_add(1);
        let repeats = if searched >= span { 1 } else { u64::try_from(repeats).unwrap_or(u64::MAX) };
        alone.min(u64::try_from(within).unwrap_or(u64::MAX).saturating_mul(repeats))
    }
}

/// The most attempts that one limit admits in a half-open span.
fn budget(limit: &Limit, span: Micros) -> u64 {
    let size = u64::from(limit.capacity());
    let (window, hold) = (limit.reach(), limit.hold().max(limit.reach()));
    // The last round fills the limit; before it a round either fills it and waits for the lock to
    // end, or stays one below and waits for the window to slide.
    let left = span.saturating_sub(1);
    let rounds = |time: Micros, each: Micros| -> u64 {
        if each == NEVER { 0 } else { u64::try_from(time.div_euclid(each.max(1))).unwrap_or(0) }
    };
    let most = rounds(left, hold);
    let total = |filled: u64| {
        let spent = Micros::try_from(filled).unwrap_or(0).saturating_mul(hold.min(left));
        let shy = rounds(left.saturating_sub(spent).max(0), window);
        filled
            .saturating_mul(size)
            .saturating_add(shy.saturating_mul(size.saturating_sub(1)))
            .saturating_add(size)
    };
    // One kind of round pays better per microsecond; the other only fills the rest of the span.
    let few = 0..=most.min(MAX_MIXED);
    let many = most.saturating_sub(MAX_MIXED)..=most;
    few.chain(many).map(total).max().unwrap_or(size)
}
