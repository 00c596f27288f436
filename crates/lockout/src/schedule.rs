//! When a guesser who minds the locks tries: several limits on one counter, each of which is filled
//! and sat out, or stayed below.

use crate::Limit;
use crate::curve::Micros;

/// Schedules followed before the search is given up.
const MAX_FOLLOWED: usize = 200_000;

/// A way to have made so many attempts.
#[derive(Clone)]
struct Schedule {
    /// The last attempts, oldest first; as many as any limit looks at.
    times: Vec<Micros>,
    /// When the locks that the last one brought about end.
    free: Micros,
}

impl Schedule {
    /// The `nth` attempt before the next one, from 1.
    fn back(&self, nth: usize) -> Option<Micros> {
        self.times.get(self.times.len().checked_sub(nth)?).copied()
    }

    /// When the next attempt is admitted at the soonest.
    fn next(&self, limits: &[Limit]) -> Micros {
        let slid = limits
            .iter()
            .filter_map(|limit| Some(self.back(limit.size())?.saturating_add(limit.span())));
        slid.fold(self.free.max(self.back(1).unwrap_or(0)), Micros::max)
    }

    /// When the next attempt would not fill this limit any more.
    fn unfilled(&self, limit: &Limit) -> Option<Micros> {
        // What one attempt fills, each does.
        let between = limit.size().saturating_sub(1);
        Some(self.back(between)?.saturating_add(limit.span()))
    }

    /// This, and an attempt at `at`.
    fn then(&self, at: Micros, limits: &[Limit], longest: usize) -> Self {
        let fills = |limit: &&Limit| {
            limit.size() == 1 || self.unfilled(limit).is_some_and(|slides| slides > at)
        };
        let ends = limits.iter().filter(fills).map(|limit| at.saturating_add(limit.hold()));
        let kept = self.times.len().saturating_sub(longest.saturating_sub(1));
        let mut times = Vec::with_capacity(longest);
        times.extend(self.times.iter().skip(kept));
        times.push(at);
        Self { times, free: ends.fold(at, Micros::max) }
    }

    /// Whether whatever may follow `other` may follow this at the same moments.
    fn serves_for(&self, other: &Self) -> bool {
        self.free <= other.free && self.times.iter().zip(&other.times).all(|(one, two)| one <= two)
    }
}

/// The soonest that the first, the second, … attempt comes, each on a schedule of its own: those
/// before `span`, and no more than `most`. `None` where there are too many schedules to follow.
///
/// Each attempt is made as soon as it is admitted, or as soon as it no longer fills one of the limits:
/// whatever comes between helps nobody. Of two schedules of as many attempts, one that is nowhere
/// later serves for the other.
pub(crate) fn soonest(limits: &[Limit], span: Micros, most: usize) -> Option<Vec<Micros>> {
    let longest = limits.iter().map(Limit::size).max().unwrap_or(1);
    let mut schedules = vec![Schedule { times: Vec::new(), free: 0 }];
    let (mut found, mut left) = (Vec::new(), MAX_FOLLOWED);
    for _ in 0..most {
        let mut longer: Vec<Schedule> = Vec::new();
        for schedule in &schedules {
            let soon = schedule.next(limits);
            let below = limits.iter().filter_map(|limit| schedule.unfilled(limit));
            for at in below.map(|at| at.max(soon)).chain([soon]).filter(|at| *at < span) {
                let candidate = schedule.then(at, limits, longest);
                if !longer.iter().any(|other| other.serves_for(&candidate)) {
                    longer.retain(|other| !candidate.serves_for(other));
                    longer.push(candidate);
                }
            }
        }
        left = left.checked_sub(longer.len().saturating_mul(schedules.len()))?;
        match longer.iter().filter_map(|schedule| schedule.back(1)).min() {
            Some(at) => found.push(at),
            None => break,
        }
        schedules = longer;
    }
    Some(found)
}
