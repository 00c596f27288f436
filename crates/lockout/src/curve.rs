//! When wrong attempts on one counter are admitted: the most in a span, and the earliest.

use std::time::Duration;

use vouchsafe_core::{ChargeId, Timestamp};

use crate::rule::full;
use crate::state::Charge;
use crate::{Limit, Release};

/// Microseconds from the first attempt.
pub(crate) type Micros = i64;

/// No self-release.
pub(crate) const NEVER: Micros = i64::MAX;

pub(crate) fn duration(micros: Micros) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

pub(crate) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(NEVER)
}

impl Limit {
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.capacity()).unwrap_or(usize::MAX)
    }

    pub(crate) fn span(&self) -> Micros {
        micros(self.window())
    }

    /// The least time from the attempt that fills it to the next one.
    pub(crate) fn hold(&self) -> Micros {
        match self.release() {
            Release::WindowSlides => 0,
            Release::After(hold) => micros(hold),
            Release::Admin => NEVER,
        }
    }

    /// The window as far as counting goes: one attempt fills a limit of one, so a timed lock is
    /// just a longer window.
    pub(crate) fn reach(&self) -> Micros {
        if self.capacity() == 1 { self.span().max(self.hold()) } else { self.span() }
    }
}

/// The earliest moments of the first `count` wrong attempts, locks left aside. A moment that never
/// comes is [`NEVER`].
pub(crate) fn earliest(limits: &[Limit], count: usize) -> Vec<Micros> {
    let mut times: Vec<Micros> = Vec::with_capacity(count.min(1_024));
    while times.len() < count {
        let previous = times.last().copied().unwrap_or(0);
        let next = limits.iter().filter_map(|limit| {
            let nth = times.len().checked_sub(limit.size())?;
            Some(times.get(nth)?.saturating_add(limit.reach()))
        });
        times.push(next.fold(previous, Micros::max));
    }
    times
}

/// Whether `limits` admit at most `count` attempts in any half-open span of this length.
pub(crate) fn at_most(limits: &[Limit], count: usize, span: Micros) -> bool {
    earliest(limits, count.saturating_add(1)).last().is_some_and(|&time| time >= span)
}

/// Whether so many counters, each of which holds `limits`, together refuse whatever one counter
/// that holds `limit` refuses.
pub(crate) fn covers(limits: &[Limit], limit: &Limit, counters: usize) -> bool {
    let each = |count: usize| count.checked_div(counters).unwrap_or_default();
    let (count, span, hold) = (limit.size(), limit.span(), limit.hold());
    if !at_most(limits, each(count), span) {
        return false;
    }
    // Not weaker while nothing is full. Once `limit` is full, the next attempt must be far enough.
    let held: Vec<Limit> = limits.iter().filter(|own| own.hold() >= hold).copied().collect();
    let alone = counters == 1
        && (at_most(&held, count, span)
            || limits.iter().any(|own| own.capacity() == 1 && own.reach() >= hold));
    alone
        || at_most(limits, each(count.saturating_sub(1)), span)
        || at_most(limits, each(count), span.saturating_add(hold).saturating_sub(1))
}

/// The limits that the others do not imply, shortest window first.
pub(crate) fn normalised(mut limits: Vec<Limit>) -> Vec<Limit> {
    limits.sort_by_key(|limit| (limit.span(), limit.size(), limit.hold(), limit.failures()));
    limits.dedup_by_key(|limit| (limit.span(), limit.size(), limit.hold()));
    for index in (0..limits.len()).rev() {
        if limits.len() == 1 {
            break;
        }
        let limit = limits.remove(index);
        if !covers(&limits, &limit, 1) {
            limits.insert(index, limit);
        }
    }
    limits
}

/// The log after failures at these moments.
pub(crate) fn log(times: &[Micros]) -> Vec<Charge> {
    let charge = |&at: &Micros| Charge {
        at: Timestamp::EPOCH.after(duration(at)),
        id: ChargeId::new(0),
        failed: true,
        past: false,
        device: None,
    };
    times.iter().map(charge).collect()
}

/// The earliest moments of `count` wrong attempts, locks minded; stays one below each limit until
/// the last `fill` attempts.
pub(crate) fn careful(limits: &[Limit], count: usize, fill: usize) -> Vec<Micros> {
    let mut times: Vec<Micros> = Vec::new();
    for done in 0..count {
        let filling = count.saturating_sub(done) <= fill;
        let previous = times.last().copied().unwrap_or(0);
        let charges = log(&times);
        let next = limits.iter().filter_map(|limit| {
            let below = usize::from(!filling && limit.hold() > 0);
            let slides = charges
                .len()
                .checked_sub(limit.size().saturating_sub(below))
                .and_then(|nth| times.get(nth))
                .map(|time| time.saturating_add(limit.span()));
            let held = full(limit, charges.iter().rev()).map(Timestamp::micros);
            slides.max(held)
        });
        times.push(next.fold(previous, Micros::max));
    }
    times
}

/// Attempts that reach `limit` as late as they can and go on as early as they can, locks minded.
pub(crate) fn crowded(limits: &[Limit], limit: &Limit) -> Vec<Micros> {
    let mut times = earliest(limits, limit.size().saturating_add(1));
    let mut latest = times.last().copied().unwrap_or(0);
    let last_inside = limit.span().saturating_sub(1);
    for index in (1..times.len().saturating_sub(1)).rev() {
        let bound = limits.iter().filter_map(|own| {
            let later = times.get(index.saturating_add(own.size()))?;
            Some(later.saturating_sub(own.reach()))
        });
        latest = bound.fold(latest.min(last_inside), Micros::min);
        if let Some(time) = times.get_mut(index) {
            *time = latest;
        }
    }
    if let Some(last) = times.pop() {
        let charges = log(&times);
        let held = limits.iter().filter_map(|own| full(own, charges.iter().rev()));
        times.push(held.map(Timestamp::micros).fold(last, Micros::max));
    }
    times
}
