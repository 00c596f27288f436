//! Which policy lets more guesses through.
//!
//! A policy is what it refuses: A is no weaker than B when every sequence of wrong attempts that A
//! admits, B admits too. For limits without timed locks that is decided by one curve, the most
//! attempts that A admits in a span, read at B's windows; the attempts that reach it are the
//! witness. Counters that A keeps apart and B does not add up.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::Order;

use crate::curve::{self, Micros};
use crate::{Limit, LockoutPolicy, OnSuccess, replay};

/// One attempt of a [`Witness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessStep {
    /// How long after the first attempt.
    pub after: Duration,
    /// Whether the secret is right.
    pub right: bool,
    /// The known device that it comes from, if it does: by its id, with a cookie that is renewed.
    pub device: Option<u64>,
    /// Whether the wrong secret is the same as that of every attempt so marked.
    pub repeated: bool,
}

impl WitnessStep {
    pub(crate) const fn wrong(after: Duration, device: Option<u64>) -> Self {
        Self { after, right: false, device, repeated: false }
    }
}

/// What the store of the failures does while the attempts of a [`Witness`] are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circumstance {
    /// It answers and forgets nothing.
    Usual,
    /// It does not answer.
    StoreDown,
    /// It is a store of its own, and forgets each attempt.
    CountersRolledBack,
    /// It is the store of everything, and forgets each attempt.
    StoreRolledBack,
}

/// Attempts of which the weaker policy admits every one, and the baseline refuses the last.
///
/// Exact where the candidate's locks end as the window slides and it bounds no consecutive failures.
/// Elsewhere, where no such attempts were found, the comparison errs on the side of "weaker" unless
/// the numbers one by one show the contrary: the baseline still refuses one of the attempts, but so
/// may the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    pub(crate) attempts: Vec<WitnessStep>,
    pub(crate) circumstance: Circumstance,
}

impl Witness {
    /// The attempts in order, each settled before the next.
    #[must_use]
    pub fn attempts(&self) -> &[WitnessStep] {
        &self.attempts
    }

    /// What the store does meanwhile.
    #[must_use]
    pub const fn circumstance(&self) -> Circumstance {
        self.circumstance
    }

    const fn usual(attempts: Vec<WitnessStep>) -> Self {
        Self { attempts, circumstance: Circumstance::Usual }
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
        if self.attempts.iter().any(|attempt| attempt.repeated) {
            f.write_str(" when they are one and the same")?;
        }
        if self.attempts.iter().any(|attempt| attempt.device.is_some()) {
            f.write_str(", some from devices that have signed in before")?;
        }
        f.write_str(match self.circumstance {
            Circumstance::Usual => "",
            Circumstance::StoreDown => ", while the store of the failures does not answer",
            Circumstance::CountersRolledBack => ", as a store of failures alone forgets each",
            Circumstance::StoreRolledBack => ", as the store forgets each",
        })
    }
}

/// A known device, or nobody known.
type Origin = Option<u64>;

/// The same wrong attempts from each of these, in order of time.
pub(crate) fn spread(times: &[Micros], origins: &[Origin]) -> Vec<WitnessStep> {
    let each = |&at: &Micros| {
        let after = curve::duration(at);
        origins.iter().map(move |&device| WitnessStep::wrong(after, device))
    };
    let mut attempts: Vec<_> = times.iter().flat_map(each).collect();
    attempts.sort_by_key(|attempt| attempt.after);
    attempts
}

/// Wrong attempts with the owner's sign-ins between them, of which a baseline that takes less back
/// refuses the first after `count` wrong ones, if any. Empty where nobody can sign in between.
fn relieved(policy: &LockoutPolicy, count: usize) -> Vec<WitnessStep> {
    let smallest = policy.limits.iter().map(Limit::size).min().unwrap_or(1);
    // What one guess fills has to slide before the owner gets in by the same counter.
    let filled_by_one = policy.limits.iter().filter(|limit| limit.size() == 1);
    let pause = filled_by_one.map(Limit::reach).max().unwrap_or(0);
    let beside = |known| smallest.max(2).min(policy.bound(known)).saturating_sub(1);
    let (wrong_from, right_from, room, pause) = match (policy.relief(), policy.devices) {
        (1, _) => (Some(0), Some(0), beside(true), pause),
        // From a counter of their own, even when the strangers' is full.
        (_, Some(_)) => {
            let room = smallest.min(policy.bound(false)).min(policy.bound(true).saturating_sub(1));
            (None, Some(0), room, 0)
        }
        (_, None) => (None, None, beside(false), pause),
    };
    let mut attempts = Vec::new();
    let mut now = 0_i64;
    for done in 0..=count {
        match done.checked_rem(room) {
            None => break,
            Some(0) if done > 0 => {
                now = now.saturating_add(pause);
                if now == curve::NEVER {
                    break;
                }
                let after = curve::duration(now);
                attempts.push(WitnessStep { right: true, ..WitnessStep::wrong(after, right_from) });
            }
            Some(_) => {}
        }
        attempts.push(WitnessStep::wrong(curve::duration(now), wrong_from));
    }
    attempts
}

impl LockoutPolicy {
    /// How many consecutive failures disable for a known device, or for a stranger.
    pub(crate) fn bound(&self, known: bool) -> usize {
        let bound = self.consecutive.map_or(u32::MAX, |rule| {
            if known && self.devices.is_some() { rule.disable_at } else { rule.devices_only_from }
        });
        usize::try_from(bound).unwrap_or(usize::MAX)
    }

    /// How much a success takes back: without device counters, nobody is the same device.
    fn relief(&self) -> u8 {
        match (self.on_success, self.devices) {
            (OnSuccess::OwnCharge, _) | (OnSuccess::SameDevice, None) => 0,
            (OnSuccess::SameDevice, Some(_)) => 1,
            (OnSuccess::OlderFailures, _) => 2,
        }
    }

    /// Attempts that are on counters of their own here, and on one counter under `baseline`.
    fn merged(&self, baseline: &Self) -> Vec<Vec<Origin>> {
        let mut strangers = vec![None];
        let Some(own) = self.devices else { return vec![strangers] };
        let all = || (0..u64::from(own.counters)).map(Some);
        if baseline.devices.is_none() {
            strangers.extend(all());
        }
        let mut merged = vec![strangers];
        if let Some(other) = baseline.devices {
            let step = usize::try_from(other.counters).unwrap_or(usize::MAX);
            merged.push(all().step_by(step.max(1)).collect());
        }
        merged
    }

    /// The first of these that the baseline refuses and this policy admits, as a witness.
    fn shown(&self, baseline: &Self, mut attempts: Vec<WitnessStep>) -> Option<Witness> {
        let last = replay::refused(baseline, &attempts)?;
        attempts.truncate(last.saturating_add(1));
        replay::refused(self, &attempts).is_none().then(|| Witness::usual(attempts))
    }

    /// Attempts that the limits here admit and those of the baseline do not.
    fn over_limits(&self, baseline: &Self, origins: &[Origin]) -> Option<Witness> {
        for limit in &baseline.limits {
            if curve::covers(&self.limits, limit, origins.len()) {
                continue;
            }
            let count = limit.size().saturating_add(1);
            let mut tried =
                vec![curve::earliest(&self.limits, count), curve::crowded(&self.limits, limit)];
            tried.extend((0..=count).map(|fill| curve::careful(&self.limits, count, fill)));
            for times in &tried {
                let times = times.split(|time| *time == curve::NEVER).next().unwrap_or_default();
                let attempts = spread(times, origins);
                let with_sign_ins = replay::with_sign_ins(self, &attempts);
                let shown = self.shown(baseline, attempts);
                if let Some(witness) = shown.or_else(|| self.shown(baseline, with_sign_ins)) {
                    return Some(witness);
                }
            }
            // Not decided, which timed locks and bounds on runs alone can bring about: the safe
            // answer.
            return Some(Witness::usual(spread(&vec![0; count], &[None])));
        }
        None
    }

    /// Attempts that the bound on consecutive failures here admits and the baseline's does not.
    fn over_run(&self, baseline: &Self) -> Option<Witness> {
        let theirs = baseline.consecutive?;
        let forgets = self.consecutive.is_none_or(|ours| ours.memory < theirs.memory);
        for origin in [None, Some(0)] {
            let bound = baseline.bound(origin.is_some());
            if !forgets && self.bound(origin.is_some()) <= bound {
                continue;
            }
            let count = bound.saturating_add(1);
            let times = curve::careful(&self.limits, count, 0);
            let careful = spread(&times, &[origin]);
            let shown = self.shown(baseline, replay::greedy(self, origin, count));
            return shown.or_else(|| self.shown(baseline, careful)).or_else(|| {
                // Not decided: as above.
                let most = baseline.limits.iter().map(Limit::size).max().unwrap_or(0);
                let count = most.min(bound).saturating_add(1);
                Some(Witness::usual(spread(&vec![0; count], &[None])))
            });
        }
        None
    }

    /// Attempts between which a success takes more back here than under the baseline.
    fn over_relief(&self, baseline: &Self) -> Option<Witness> {
        if self.relief() <= baseline.relief() {
            return None;
        }
        // Pausing between them, they may get by where as many at once do not.
        let largest = baseline.limits.iter().map(Limit::size).max().unwrap_or(0);
        let attempts = relieved(self, largest);
        replay::refused(baseline, &attempts)?;
        self.shown(baseline, attempts.clone()).or(Some(Witness::usual(attempts)))
    }
}

impl LockoutPolicy {
    /// One wrong secret more often than the baseline forgives.
    fn over_repeats(&self, baseline: &Self) -> Option<Witness> {
        if self.repeats <= baseline.repeats {
            return None;
        }
        let smallest = baseline.limits.iter().map(Limit::size).min().unwrap_or(0);
        let forgiven = usize::try_from(baseline.repeats).unwrap_or(0);
        let same = WitnessStep { repeated: true, ..WitnessStep::wrong(Duration::ZERO, None) };
        let attempts = vec![same; smallest.saturating_add(forgiven).saturating_add(1)];
        // Not shown where the limits here lock before anything can be repeated often enough.
        self.shown(baseline, attempts.clone()).or(Some(Witness::usual(attempts)))
    }
}

impl Order for LockoutPolicy {
    type Witness = Witness;

    /// Compares what is refused: limits, releases, counters of devices, consecutive failures,
    /// repeats, what a success takes back, and what happens when the store is down or forgets. The
    /// times to settle and to wait decide no verification, and how long a device is known decides which counter an attempt is on and not
    /// how many are admitted; so they are not compared.
    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        let merged = self.merged(baseline);
        let limits = merged.iter().find_map(|origins| self.over_limits(baseline, origins));
        limits
            .or_else(|| self.over_run(baseline))
            .or_else(|| self.over_relief(baseline))
            .or_else(|| self.over_repeats(baseline))
            .or_else(|| self.over_outage(baseline))
            .or_else(|| self.over_roll_back(baseline))
    }
}

impl LockoutPolicy {
    /// The weakest policy that is no weaker than either: the limits of both hold together.
    ///
    /// Of device counters it has as many as the side that has fewer, and a success takes back as much
    /// as on the side where it takes back less. A policy with more of either, and less room in each
    /// counter, may also be no weaker than either; to those this is not compared.
    ///
    /// Of what is not compared, the smaller bound is taken.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let mut wait = self.wait;
        wait.time = wait.time.min(other.wait.time);
        wait.per_process = wait.per_process.min(other.wait.per_process);
        wait.per_key = wait.per_key.min(other.wait.per_key);
        let devices = self.devices.zip(other.devices).map(|(mut one, two)| {
            one.counters = one.counters.min(two.counters);
            one.valid_for = one.valid_for.min(two.valid_for);
            one
        });
        let consecutive = match (self.consecutive, other.consecutive) {
            (Some(mut one), Some(two)) => {
                one.disable_at = one.disable_at.min(two.disable_at);
                one.devices_only_from = one.devices_only_from.min(two.devices_only_from);
                one.memory = one.memory.max(two.memory);
                Some(one)
            }
            (one, two) => one.or(two),
        };
        let limits = curve::normalised([self.limits.as_slice(), &other.limits].concat());
        let longest = limits.iter().map(Limit::window).max().unwrap_or_default();
        Self {
            limits,
            settle_within: self.settle_within.min(other.settle_within).min(longest),
            wait,
            on_success: self.on_success.min(other.on_success),
            devices,
            repeats: self.repeats.min(other.repeats),
            when_store_is_down: self.when_store_is_down.join(other.when_store_is_down),
            may_roll_back: self.may_roll_back.min(other.may_roll_back),
            // Without devices everybody is a stranger.
            consecutive: consecutive.map(|mut rule| {
                if devices.is_none() {
                    rule.disable_at = rule.devices_only_from;
                }
                rule
            }),
        }
    }
}
