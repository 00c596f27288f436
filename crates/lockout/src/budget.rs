//! How many guesses a policy lets through.

use std::time::Duration;

use crate::curve::{Micros, NEVER, micros};
use crate::{Consecutive, Limit, LockoutPolicy, OnSuccess, schedule};

/// Attempts followed one by one before [`LockoutPolicy::guess_budget`] estimates.
const MAX_STEPS: usize = 100_000;
/// Rounds of the less paying kind that are tried.
const MAX_MIXED: u64 = 1_024;

impl LockoutPolicy {
    /// The most wrong attempts on one account that are verified in any span of this length, by
    /// somebody who has a known device for every counter, while the owner stays away, nobody unlocks,
    /// and the store neither fails nor forgets. A [repeat](crate::PolicyBuilder::repeats) of a wrong
    /// secret that is forgiven is verified, too, and not counted here, as it is no guess: whoever makes
    /// it learns what they knew. There are as many more of them as are forgiven in a day.
    ///
    /// Exact for a single limit, and for several as far as 100 000 attempts. Exact with a bound on
    /// consecutive failures, too, where these are remembered for as long as any limit counts or locks
    /// and strangers are not refused earlier than devices. Elsewhere it is never too small.
    #[must_use]
    pub fn guess_budget(&self, horizon: Duration) -> u64 {
        let by_limits = self.by_limits(horizon);
        let by_run = self.consecutive.map(|rule| self.by_run(rule, micros(horizon)));
        by_run.map_or(by_limits, |by_run| by_limits.min(by_run))
    }

    /// As [`guess_budget`](Self::guess_budget), while the owner signs in, on devices that are not the
    /// guesser's, as often and whenever it suits the guesser. `None` where each sign-in brings new
    /// guesses, so that nothing bounds them but how often the owner comes.
    #[must_use]
    pub fn guess_budget_beside_owner(&self, horizon: Duration) -> Option<u64> {
        // Whoever is disabled by a single failure signs in no more; others end the run in time.
        if self.consecutive.is_some_and(|rule| rule.disable_at == 1) {
            return Some(self.guess_budget(horizon));
        }
        if self.on_success != OnSuccess::OlderFailures {
            return Some(self.by_limits(horizon));
        }
        // The owner needs room: a counter of their own, or what a guess leaves of the one.
        let mut filled_by_one = self.limits.clone();
        filled_by_one.retain(|limit| limit.capacity() == 1);
        if self.devices.is_some() || filled_by_one.is_empty() {
            return None;
        }
        Some(Self { limits: filled_by_one, ..self.clone() }.by_limits(horizon))
    }

    fn counters(&self) -> u64 {
        self.devices.map_or(0, |devices| u64::from(devices.counters))
    }

    fn by_limits(&self, horizon: Duration) -> u64 {
        let span = micros(horizon);
        if span <= 0 {
            return 0;
        }
        self.counter_budget(span).saturating_mul(self.counters().saturating_add(1))
    }

    /// The most attempts that one counter admits in a half-open span.
    fn counter_budget(&self, span: Micros) -> u64 {
        let alone = self.limits.iter().map(|limit| budget(limit, span)).min().unwrap_or(u64::MAX);
        if self.limits.len() == 1 {
            return alone;
        }
        let followed = schedule::soonest(&self.limits, span, usize::MAX);
        followed.map_or(alone, |times| u64::try_from(times.len()).unwrap_or(u64::MAX))
    }

    /// The most failures of runs that are each sat out until they are forgotten.
    fn by_run(&self, rule: Consecutive, span: Micros) -> u64 {
        let memory = micros(rule.memory).max(1);
        // What outlasts a run only keeps more of the next one away.
        if let Some(run) = self.run_times(rule, span)
            && let Some(total) = repeated(&run, memory, span)
        {
            return total;
        }
        let runs = u64::try_from(span.saturating_sub(1).div_euclid(memory)).unwrap_or(u64::MAX);
        runs.saturating_add(1).saturating_mul(u64::from(rule.disable_at))
    }

    /// When each failure of one run comes at the soonest.
    fn run_times(&self, rule: Consecutive, span: Micros) -> Option<Vec<Micros>> {
        let most = usize::try_from(rule.disable_at).ok()?;
        let strangers_until = usize::try_from(rule.devices_only_from).ok()?;
        let each = schedule::soonest(&self.limits, span, most)?;
        let mut run = Vec::with_capacity(most);
        let counters = usize::try_from(self.counters()).ok()?;
        for (index, at) in each.iter().enumerate() {
            // Strangers are refused first; as if none of them came too late for that.
            let strangers = usize::from(index < strangers_until);
            run.extend(std::iter::repeat_n(*at, strangers.saturating_add(counters)));
        }
        run.truncate(most);
        Some(run)
    }
}

/// How many attempts fit into a span of runs of these moments, with so long between two runs; `None`
/// where they are too many to follow.
fn repeated(run: &[Micros], memory: Micros, span: Micros) -> Option<u64> {
    // When the nth attempt comes at the soonest, from 1.
    let mut soonest: Vec<Micros> = Vec::new();
    loop {
        let next = soonest.len().saturating_add(1);
        let with_last_run = |(index, at): (usize, &Micros)| {
            let before = next.checked_sub(index.saturating_add(1))?;
            let begins = match before.checked_sub(1) {
                None => 0,
                Some(last) => soonest.get(last)?.saturating_add(memory),
            };
            Some(begins.saturating_add(*at))
        };
        match run.iter().enumerate().filter_map(with_last_run).min() {
            Some(at) if at < span => soonest.push(at),
            _ => return u64::try_from(soonest.len()).ok(),
        }
        if soonest.len() > MAX_STEPS {
            return None;
        }
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
