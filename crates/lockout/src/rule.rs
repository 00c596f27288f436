//! Whether another attempt has room, and how long what is kept matters.

use std::time::Duration;

use vouchsafe_core::{Timestamp, WrongDigest};

use crate::event::{CrossingKind, Lock, Reason};
use crate::state::{Charge, Run};
use crate::{Limit, LockoutPolicy, LockoutState, OnSuccess, Release};

/// For how long a repeated unlock is recognised as the same one: longer than any retry.
pub(crate) const UNLOCK_MEMORY: Duration = Duration::from_secs(3_600);
/// In how long repeats are counted.
const REPEATS_IN: Duration = Duration::from_secs(24 * 3_600);

/// How an account stands to whoever asks next.
pub(crate) enum Standing {
    Free,
    /// Until the first of the attempts in the way counts as failed.
    Wait(Timestamp),
    Locked(Lock),
}

/// When a limit that these charges fill lets go of them by itself. Newest first.
pub(crate) fn full<'a>(
    limit: &Limit,
    mut newest: impl Iterator<Item = &'a Charge>,
) -> Option<Timestamp> {
    let last = newest.next()?.at;
    let first = match limit.capacity().checked_sub(2) {
        None => last,
        Some(between) => newest.nth(usize::try_from(between).ok()?)?.at,
    };
    let slid = first.after(limit.window());
    if slid <= last {
        return None;
    }
    Some(match limit.release() {
        Release::WindowSlides => slid,
        Release::After(hold) => slid.max(last.after(hold)),
        Release::Admin => Timestamp::MAX,
    })
}

/// The run is over, and so is what was said of its ends: the next one may reach them by attempts that
/// are being verified now.
fn end_run(state: &mut LockoutState) {
    if let Some(more) = state.more.there() {
        more.run = None;
        more.notices.retain(|notice| notice.kind == CrossingKind::Locked);
    }
}

/// Failures without a success between them.
pub(crate) struct RunNow {
    /// Undecided ones included.
    pub(crate) count: u32,
    undecided: u32,
    /// When the first undecided one counts as failed.
    due: Option<Timestamp>,
    last: Timestamp,
}

impl RunNow {
    pub(crate) const fn decided(&self) -> u32 {
        self.count.saturating_sub(self.undecided)
    }
}

/// What stands in the way so far.
#[derive(Default)]
pub(crate) struct Obstacle {
    end: Option<Timestamp>,
    due: Option<Timestamp>,
    reason: Option<Reason>,
}

impl Obstacle {
    /// Something is full until `end`; of what fills it, the first undecided counts as failed at
    /// `due`.
    pub(crate) fn meet(&mut self, end: Timestamp, due: Option<Timestamp>, reason: Reason) {
        self.end = self.end.max(Some(end));
        match due {
            Some(due) => self.due = Some(self.due.map_or(due, |other| other.min(due))),
            None => self.reason = Some(reason),
        }
    }

    pub(crate) fn standing(self) -> Standing {
        match self {
            Self { end: None, .. } => Standing::Free,
            Self { end: Some(end), reason: Some(reason), .. } => {
                let until = (end < Timestamp::MAX).then_some(end);
                Standing::Locked(Lock { until, reason })
            }
            Self { end: Some(end), due, .. } => Standing::Wait(due.map_or(end, |due| due.min(end))),
        }
    }
}

impl LockoutPolicy {
    /// Which counter attempts of a device are on; 0 is the strangers'.
    pub(crate) fn lane(&self, device: Option<u64>) -> u64 {
        let counters = self.devices.map(|devices| u64::from(devices.counters));
        match (device, counters) {
            (Some(id), Some(counters)) => {
                id.checked_rem(counters).unwrap_or_default().saturating_add(1)
            }
            _ => 0,
        }
    }

    fn lanes(&self) -> impl Iterator<Item = u64> + use<> {
        0..=self.devices.map_or(0, |devices| u64::from(devices.counters))
    }

    /// The charges of one counter, newest first.
    pub(crate) fn charges_in<'a>(
        &self,
        lane: u64,
        charges: &'a [Charge],
    ) -> impl Iterator<Item = &'a Charge> + Clone + use<'_, 'a> {
        charges.iter().rev().filter(move |charge| self.lane(charge.device) == lane)
    }

    pub(crate) fn undecided(&self, charge: &Charge, now: Timestamp) -> Option<Timestamp> {
        let due = charge.at.after(self.settle_within);
        (!charge.failed && due > now).then_some(due)
    }

    /// How the account stands to an attempt of `device`.
    pub(crate) fn standing(
        &self,
        state: &LockoutState,
        device: Option<u64>,
        now: Timestamp,
    ) -> Standing {
        let mut obstacle = Obstacle::default();
        let newest = self.charges_in(self.lane(device), &state.charges);
        for limit in &self.limits {
            let Some(end) = full(limit, newest.clone()).filter(|end| *end > now) else { continue };
            let filling = newest.clone().take(usize::try_from(limit.capacity()).unwrap_or(0));
            let due = filling.filter_map(|charge| self.undecided(charge, now)).min();
            obstacle.meet(end, due, Reason::Limit);
        }
        if let Some((run, rule)) = self.run(state, now).zip(self.consecutive) {
            let known = device.is_some() && self.devices.is_some();
            let bound = if known { rule.disable_at } else { rule.devices_only_from };
            if run.count >= bound {
                let due = run.due.filter(|_| run.decided() < bound);
                obstacle.meet(run.last.after(rule.memory), due, Reason::Consecutive);
            }
        }
        obstacle.standing()
    }

    /// The run, unless there is none or it is forgotten.
    pub(crate) fn run(&self, state: &LockoutState, now: Timestamp) -> Option<RunNow> {
        let memory = self.consecutive?.memory;
        let mut run = RunNow {
            count: state.more.run.map_or(0, |run| run.count),
            undecided: 0,
            due: None,
            last: state.more.run.map_or(Timestamp::MIN, |run| run.last),
        };
        for charge in state.charges.iter().filter(|charge| !charge.past) {
            run.count = run.count.saturating_add(1);
            run.last = run.last.max(charge.at);
            if let Some(due) = self.undecided(charge, now) {
                run.undecided = run.undecided.saturating_add(1);
                run.due = run.due.or(Some(due));
            }
        }
        (run.last.after(memory) > now).then_some(run)
    }

    /// Charges an attempt, and lets go of what no longer counts.
    pub(crate) fn charge(&self, state: &mut LockoutState, charge: Charge) {
        let now = charge.at;
        if self.consecutive.is_none() {
            if let Some(more) = state.more.there() {
                more.run = None;
            }
        } else if self.run(state, now).is_none() {
            end_run(state);
            state.charges.iter_mut().for_each(|charge| charge.past = true);
        }
        let gone = now.before(self.longest_window());
        // Oldest first: usually there is nothing to let go of.
        if state.charges.first().is_some_and(|oldest| oldest.at <= gone) {
            let charges = std::mem::take(&mut state.charges);
            let held = self.held(&charges, now);
            for old in &charges {
                if old.at > gone || held.contains(&self.lane(old.device)) {
                    state.charges.push(*old);
                } else if !old.past && self.consecutive.is_some() {
                    let run = state.more.run.get_or_insert(Run { count: 0, last: old.at });
                    run.count = run.count.saturating_add(1);
                    run.last = run.last.max(old.at);
                }
            }
        }
        state.charges.push(charge);
    }

    /// The counters that a lock still holds.
    fn held(&self, charges: &[Charge], now: Timestamp) -> Vec<u64> {
        let held = |lane: &u64| {
            let newest = self.charges_in(*lane, charges);
            self.limits.iter().any(|limit| full(limit, newest.clone()).is_some_and(|end| end > now))
        };
        self.lanes().filter(held).collect()
    }

    /// Takes back charge number `own`, which was verified and right.
    pub(crate) fn succeed(&self, state: &mut LockoutState, own: usize, now: Timestamp) {
        let device = state.charges.get(own).and_then(|charge| charge.device);
        let device = device.filter(|_| self.devices.is_some());
        let clears = |older: &Charge| match self.on_success {
            OnSuccess::OwnCharge => false,
            OnSuccess::SameDevice => device.is_some() && older.device == device,
            OnSuccess::OlderFailures => true,
        };
        let mut index = 0_usize;
        state.charges.retain(|charge| {
            let keep = index > own || index < own && !(charge.failed && clears(charge));
            index = index.saturating_add(1);
            keep
        });
        if self.consecutive.is_some() {
            end_run(state);
            for charge in &mut state.charges {
                charge.past |= self.undecided(charge, now).is_none();
            }
        }
    }

    /// Settles charge number `own`, which was verified and wrong. Whether it stays: a repeat of a
    /// recent wrong secret is taken back, where it may still be forgiven.
    pub(crate) fn fail(
        &self,
        state: &mut LockoutState,
        own: usize,
        digest: Option<WrongDigest>,
        now: Timestamp,
    ) -> bool {
        if let Some(digest) = digest.filter(|_| self.repeats > 0) {
            let more = &mut *state.more;
            let known = more.wrong.contains(&digest);
            more.wrong.retain(|other| *other != digest);
            if more.wrong.len() == LockoutState::MAX_WRONG {
                more.wrong.remove(0);
            }
            more.wrong.push(digest);
            let gone = now.before(REPEATS_IN);
            more.repeats.retain(|at| *at > gone);
            if known && u32::try_from(more.repeats.len()).is_ok_and(|some| some < self.repeats) {
                more.repeats.push(now);
                state.charges.remove(own);
                return false;
            }
        }
        if let Some(charge) = state.charges.get_mut(own) {
            charge.failed = true;
        }
        true
    }

    /// Until when anything in `state` matters.
    pub(crate) fn matters_until(&self, state: &LockoutState) -> Timestamp {
        let mut until = Timestamp::MIN;
        let mut at_least = |moment: Timestamp| until = until.max(moment);
        if let Some(newest) = state.charges.last() {
            at_least(newest.at.after(self.longest_window()));
            for lane in self.lanes() {
                let newest = self.charges_in(lane, &state.charges);
                for limit in &self.limits {
                    at_least(full(limit, newest.clone()).unwrap_or(Timestamp::MIN));
                }
            }
        }
        if let Some(unlocked) = state.more.unlocked {
            at_least(unlocked.at.after(UNLOCK_MEMORY));
        }
        if let Some(consecutive) = self.consecutive {
            let in_log = state.charges.iter().rev().find(|charge| !charge.past);
            let last = in_log.map(|charge| charge.at).max(state.more.run.map(|run| run.last));
            at_least(last.map_or(Timestamp::MIN, |last| last.after(consecutive.memory)));
        }
        if let Some(repeat) = state.more.repeats.last() {
            at_least(repeat.after(REPEATS_IN));
        }
        until
    }
}
