//! Which policy lets more guesses through.
//!
//! A policy is what it refuses: A is no weaker than B when every sequence of wrong attempts that A
//! admits, B admits too. For limits without timed locks that is decided by one curve, the most
//! attempts that A admits in a span, read at B's windows; the attempts that reach it are the
//! witness.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::{ChargeId, Order, Timestamp};

use crate::state::{Charge, full};
use crate::{Limit, LockoutPolicy, OnSuccess, Release};

/// Microseconds from the first attempt.
type Micros = i64;

/// No self-release.
const NEVER: Micros = i64::MAX;

/// One attempt of a [`Witness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessStep {
    /// How long after the first attempt.
    pub after: Duration,
    /// Whether the secret is right.
    pub right: bool,
}

/// Attempts of which the weaker policy admits every one, and the baseline refuses the last.
///
/// Exact where the candidate's locks end as the window slides. Where they last longer and no such
/// attempts were found, the comparison errs on the side of "weaker" unless the limits one by one
/// show the contrary: the baseline still refuses one of the attempts, but so may the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    attempts: Vec<WitnessStep>,
}

impl Witness {
    /// The attempts in order, each settled before the next.
    #[must_use]
    pub fn attempts(&self) -> &[WitnessStep] {
        &self.attempts
    }

    fn wrong(times: &[Micros]) -> Self {
        let step = |&at: &Micros| WitnessStep { after: duration(at), right: false };
        Self { attempts: times.iter().map(step).collect() }
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.attempts.iter().filter(|attempt| !attempt.right).count();
        let span = self.attempts.last().map_or(Duration::ZERO, |last| last.after);
        write!(f, "{wrong} wrong attempts in {span:?} are all verified")?;
        if self.attempts.iter().any(|attempt| attempt.right) {
            f.write_str(" when the owner signs in between them")?;
        }
        Ok(())
    }
}

fn duration(micros: Micros) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(NEVER)
}

impl Limit {
    fn size(&self) -> usize {
        usize::try_from(self.capacity()).unwrap_or(usize::MAX)
    }

    fn span(&self) -> Micros {
        micros(self.window())
    }

    /// The least time from the attempt that fills it to the next one.
    fn hold(&self) -> Micros {
        match self.release() {
            Release::WindowSlides => 0,
            Release::After(hold) => micros(hold),
            Release::Admin => NEVER,
        }
    }

    /// The window as far as counting goes: one attempt fills a limit of one, so a timed lock is
    /// just a longer window.
    fn reach(&self) -> Micros {
        if self.capacity() == 1 { self.span().max(self.hold()) } else { self.span() }
    }
}

/// The earliest moments of the first `count` wrong attempts, locks left aside. A moment that never
/// comes is [`NEVER`].
fn earliest(limits: &[Limit], count: usize) -> Vec<Micros> {
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
fn at_most(limits: &[Limit], count: usize, span: Micros) -> bool {
    earliest(limits, count.saturating_add(1)).last().is_some_and(|&time| time >= span)
}

/// Whether `limits` together refuse whatever `limit` refuses.
fn covers(limits: &[Limit], limit: &Limit) -> bool {
    let (count, span, hold) = (limit.size(), limit.span(), limit.hold());
    if !at_most(limits, count, span) {
        return false;
    }
    // Not weaker while nothing is full. Once `limit` is full, the next attempt must be far enough.
    let held: Vec<Limit> = limits.iter().filter(|own| own.hold() >= hold).copied().collect();
    at_most(limits, count.saturating_sub(1), span)
        || at_most(&held, count, span)
        || limits.iter().any(|own| own.capacity() == 1 && own.reach() >= hold)
        || at_most(limits, count, span.saturating_add(hold).saturating_sub(1))
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
        if !covers(&limits, &limit) {
            limits.insert(index, limit);
        }
    }
    limits
}

/// The log after failures at these moments.
fn log(times: &[Micros]) -> Vec<Charge> {
    let charge = |&at: &Micros| Charge {
        at: Timestamp::EPOCH.after(duration(at)),
        id: ChargeId::new(0),
        failed: true,
    };
    times.iter().map(charge).collect()
}

/// The first of these wrong attempts that is refused.
fn refused(limits: &[Limit], times: &[Micros]) -> Option<usize> {
    let charges = log(times);
    charges.iter().enumerate().position(|(index, next)| {
        let before = charges.get(..index).unwrap_or_default();
        limits.iter().any(|limit| full(limit, before).is_some_and(|(_, until)| until > next.at))
    })
}

/// The earliest moments of `count` wrong attempts, locks minded; stays one below each limit until
/// the last `fill` attempts.
fn careful(limits: &[Limit], count: usize, fill: usize) -> Vec<Micros> {
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
            let held = full(limit, &charges).map(|(_, until)| until.micros());
            slides.max(held)
        });
        times.push(next.fold(previous, Micros::max));
    }
    times
}

/// Attempts that reach `limit` as late as they can and go on as early as they can, locks minded.
fn crowded(limits: &[Limit], limit: &Limit) -> Vec<Micros> {
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
        let held = limits.iter().filter_map(|own| full(own, &charges));
        times.push(held.map(|(_, until)| until.micros()).fold(last, Micros::max));
    }
    times
}

/// Wrong attempts with the owner's sign-ins between them, of which a baseline that takes nothing
/// back refuses the first after `count` wrong ones.
fn relieved(limits: &[Limit], count: usize) -> Vec<WitnessStep> {
    let room = limits.iter().map(Limit::size).min().unwrap_or(1).saturating_sub(1);
    let mut attempts = Vec::new();
    let (mut since, mut wrong) = (0_usize, 0_usize);
    if room == 0 {
        return attempts;
    }
    loop {
        let right = since == room;
        attempts.push(WitnessStep { after: Duration::ZERO, right });
        if wrong == count {
            return attempts;
        }
        since = if right { 0 } else { since.saturating_add(1) };
        wrong = wrong.saturating_add(usize::from(!right));
    }
}

impl Order for LockoutPolicy {
    type Witness = Witness;

    /// Compares what is refused: limits, releases, and what a success takes back. The times to
    /// settle and to wait decide no verification, so they are not compared.
    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        for limit in &baseline.limits {
            if covers(&self.limits, limit) {
                continue;
            }
            let count = limit.size().saturating_add(1);
            let mut tried = vec![earliest(&self.limits, count), crowded(&self.limits, limit)];
            tried.extend((0..=count).map(|fill| careful(&self.limits, count, fill)));
            for times in &tried {
                let beyond = refused(&baseline.limits, times);
                if let Some(times) = beyond.and_then(|last| times.get(..=last))
                    && refused(&self.limits, times).is_none()
                {
                    return Some(Witness::wrong(times));
                }
            }
            // Not decided, which timed locks alone can bring about: the safe answer.
            return Some(Witness::wrong(&vec![0; count]));
        }
        let relief = (self.on_success, baseline.on_success);
        if relief == (OnSuccess::OlderFailures, OnSuccess::OwnCharge) {
            let smallest = baseline.limits.iter().map(Limit::size).min().unwrap_or(0);
            let attempts = relieved(&self.limits, smallest);
            return (!attempts.is_empty()).then_some(Witness { attempts });
        }
        None
    }
}

impl LockoutPolicy {
    /// The weakest policy that is no weaker than either: the limits of both hold together.
    ///
    /// Of what is not compared, the smaller bound is taken.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let on_success = match (self.on_success, other.on_success) {
            (OnSuccess::OlderFailures, OnSuccess::OlderFailures) => OnSuccess::OlderFailures,
            _ => OnSuccess::OwnCharge,
        };
        let mut wait = self.wait;
        wait.time = wait.time.min(other.wait.time);
        wait.per_process = wait.per_process.min(other.wait.per_process);
        wait.per_key = wait.per_key.min(other.wait.per_key);
        Self {
            limits: normalised([self.limits.as_slice(), &other.limits].concat()),
            settle_within: self.settle_within.min(other.settle_within),
            wait,
            on_success,
        }
    }

    /// The most wrong attempts on one account that are verified in any span of this length, absent
    /// unlocks and, under [`OnSuccess::OlderFailures`], sign-ins of the owner.
    ///
    /// Exact for one limit; for several never too small.
    #[must_use]
    pub fn guess_budget(&self, horizon: Duration) -> u64 {
        let span = micros(horizon);
        if span <= 0 {
            return 0;
        }
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

/// Attempts followed one by one before [`LockoutPolicy::guess_budget`] estimates.
const MAX_STEPS: usize = 100_000;

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

/// Rounds of the less paying kind that are tried.
const MAX_MIXED: u64 = 1_024;
