//! Charge, then verify, then settle.

use std::borrow::Cow;
use std::time::Duration;

use vouchsafe_core::{
    AccountDigest, Authenticated, ChangeOnly, ChargeId, Charged, Machine, Matched, NotMatched,
    PolicyDigest, Standing, Step, Timestamp,
};

use crate::event::{Begin, Crossing, CrossingKind, Lock, LockoutEvent, LockoutVerdict, Reason};
use crate::rule;
use crate::state::{Charge, Notice, Unlocked};
use crate::{Device, LockoutPolicy, LockoutState};

/// A state stamped further ahead of the clock than this was written while the clock stood wrong.
pub(crate) const AHEAD: Duration = Duration::from_secs(600);

/// The rules of one policy.
///
/// Time is the store's where it has one; it never runs backwards for an account, but a state
/// stamped more than ten minutes ahead is re-stamped to now, so that a clock that was wrong and is
/// right again leaves nobody locked for years.
#[derive(Clone, Debug)]
pub struct LockoutMachine {
    policy: LockoutPolicy,
    digest: PolicyDigest,
    announcing: bool,
}

type Answer = Step<LockoutState, LockoutVerdict>;

impl LockoutMachine {
    /// A machine for `policy`, which is part of the document with this digest
    /// ([`PolicyDigest::NONE`] for an engine used alone).
    #[must_use]
    pub const fn new(policy: LockoutPolicy, digest: PolicyDigest) -> Self {
        Self { policy, digest, announcing: false }
    }

    /// The same machine, which also sees to it that each lock is announced once: of all who meet it,
    /// one is told so by a [`Crossing`] and answers with [`LockoutEvent::Announced`]. Where nobody
    /// has answered after the time to settle, the next who meets the lock is told.
    #[must_use]
    pub const fn announcing(mut self) -> Self {
        self.announcing = true;
        self
    }

    pub(crate) const fn is_announcing(&self) -> bool {
        self.announcing
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &LockoutPolicy {
        &self.policy
    }

    /// The lock in force at `now` for whoever comes from no known device, for showing to an
    /// administrator; changes nothing.
    #[must_use]
    pub fn lock(&self, state: Option<&LockoutState>, now: Timestamp) -> Option<Lock> {
        let view = View::of(state, now);
        self.lock_of(&view, None)
    }

    fn lock_of(&self, view: &View<'_>, device: Option<u64>) -> Option<Lock> {
        match self.policy.standing(&view.state, device, view.now) {
            rule::Standing::Locked(lock) => Some(lock),
            rule::Standing::Free | rule::Standing::Wait(_) => None,
        }
    }

    /// Saves the state, for as long as it matters.
    fn save(&self, view: View<'_>, verdict: LockoutVerdict) -> Answer {
        let View { state, now } = view;
        let mut state = state.into_owned();
        state.seen = now;
        if !state.more.notices.is_empty() {
            self.drop_notices(&mut state, now);
        }
        match self.policy.matters_until(&state) {
            until if until > now || until == Timestamp::MAX => Step::save(state, until, verdict),
            _ => Step::erase(verdict),
        }
    }

    /// Saves what was changed; mostly nothing was.
    fn done(&self, view: View<'_>, verdict: LockoutVerdict) -> Answer {
        match view.state {
            Cow::Borrowed(_) => Step::keep(verdict),
            Cow::Owned(_) => self.save(view, verdict),
        }
    }

    fn begin(&self, mut view: View<'_>, begin: &Begin) -> Answer {
        let now = view.now;
        let (account, id) = (begin.account(), begin.id());
        if let Some(own) = view.state.charges.iter().find(|charge| charge.id == id).copied() {
            // The same attempt again: its first answer was lost.
            let verdict = match self.policy.undecided(&own, now) {
                Some(_) => self.admitted(account, id, own.at),
                None => {
                    let locked = self.lock_of(&view, own.device);
                    LockoutVerdict::Failed { locked, crossing: None }
                }
            };
            return self.done(view, verdict);
        }
        let known = |device: &Device| device.account() == account && self.knows(device, now);
        let device = begin.device.filter(known);
        let device = device.map(|device| device.id());
        match self.policy.standing(&view.state, device, now) {
            rule::Standing::Wait(until) => self.done(view, LockoutVerdict::Wait { until }),
            rule::Standing::Locked(lock) => {
                let crossing = self.crossing(&mut view, device, lock, id);
                self.done(view, LockoutVerdict::Locked { lock, crossing })
            }
            rule::Standing::Free => {
                let charge = Charge { at: now, id, failed: false, past: false, device };
                self.policy.charge(view.with_room(), charge);
                self.save(view, self.admitted(account, id, now))
            }
        }
    }

    /// Whether `device` counts at `now`: its cookie is not too old, nor from a time to come.
    #[must_use]
    pub fn knows(&self, device: &Device, now: Timestamp) -> bool {
        self.policy.devices.is_some_and(|devices| {
            device.issued() <= now.after(AHEAD) && device.issued().after(devices.valid_for) > now
        })
    }

    pub(crate) fn admitted(
        &self,
        account: AccountDigest,
        id: ChargeId,
        at: Timestamp,
    ) -> LockoutVerdict {
        let deadline = at.after(self.policy.settle_within);
        #[expect(clippy::disallowed_methods, reason = "the charge is in the state being saved")]
        LockoutVerdict::Admitted(Charged::assertion(account, id, self.digest, deadline))
    }

    /// The place of a charge, unless it is gone or has been settled as a failure.
    fn open(view: &View<'_>, id: ChargeId) -> Option<usize> {
        view.state.charges.iter().position(|charge| charge.id == id && !charge.failed)
    }

    fn matched(&self, mut view: View<'_>, settle: &Matched) -> Answer {
        let (account, policy, now) = (settle.account(), settle.policy(), view.now);
        #[expect(clippy::disallowed_methods, reason = "settling a match is what mints these")]
        let verdict = match settle.standing() {
            Standing::Chosen => {
                LockoutVerdict::Authenticated(Authenticated::assertion(account, policy, now))
            }
            Standing::MustChange => {
                LockoutVerdict::ChangeOnly(ChangeOnly::assertion(account, policy, now))
            }
        };
        if let Some(own) = Self::open(&view, settle.id()) {
            self.policy.succeed(view.state.to_mut(), own, now);
        }
        self.done(view, verdict)
    }

    fn not_verified(&self, mut view: View<'_>, id: ChargeId) -> Answer {
        if let Some(own) = Self::open(&view, id) {
            view.state.to_mut().charges.remove(own);
        }
        self.done(view, LockoutVerdict::Refunded)
    }

    fn not_matched(&self, mut view: View<'_>, settle: &NotMatched) -> Answer {
        let Some(own) = Self::open(&view, settle.id()) else {
            let device = view.state.charges.iter().find(|charge| charge.id == settle.id());
            let locked = self.lock_of(&view, device.and_then(|charge| charge.device));
            return self.done(view, LockoutVerdict::Failed { locked, crossing: None });
        };
        let now = view.now;
        if !self.policy.fail(view.state.to_mut(), own, settle.digest(), now) {
            return self.done(view, LockoutVerdict::Repeated);
        }
        let device = view.state.charges.get(own).and_then(|charge| charge.device);
        let locked = self.lock_of(&view, device);
        let crossing = locked.and_then(|lock| self.crossing(&mut view, device, lock, settle.id()));
        self.done(view, LockoutVerdict::Failed { locked, crossing })
    }

    /// Whether whoever meets `lock` is to announce it; notes that he was told.
    fn crossing(
        &self,
        view: &mut View<'_>,
        device: Option<u64>,
        lock: Lock,
        found_by: ChargeId,
    ) -> Option<Crossing> {
        if !self.announcing {
            return None;
        }
        let now = view.now;
        let crossing = self.crossed(view, device, lock, found_by);
        let told = view
            .state
            .more
            .notices
            .iter()
            .position(|n| (n.id, n.kind) == (crossing.id, crossing.kind));
        match told.and_then(|at| view.state.more.notices.get(at)) {
            Some(notice) if notice.announced => return None,
            Some(notice) if notice.at.after(self.policy.settle_within) > now => return None,
            _ => {}
        }
        let notices = &mut view.state.to_mut().more.notices;
        match told.and_then(|at| notices.get_mut(at)) {
            Some(notice) => notice.at = now,
            None => {
                let Crossing { id, kind } = crossing;
                notices.push(Notice { id, kind, at: now, announced: false });
            }
        }
        Some(crossing)
    }

    fn crossed(
        &self,
        view: &View<'_>,
        device: Option<u64>,
        lock: Lock,
        found_by: ChargeId,
    ) -> Crossing {
        let state = &view.state;
        match lock.reason {
            Reason::Limit => {
                let mut newest = self.policy.charges_in(self.policy.lane(device), &state.charges);
                let id = newest.next().map_or(found_by, |charge| charge.id);
                Crossing { id, kind: CrossingKind::Locked }
            }
            Reason::Consecutive => {
                let all = self.policy.consecutive.map_or(0, |rule| rule.disable_at);
                let decided = self.policy.run(state, view.now).map_or(0, |run| run.decided());
                let kind =
                    if decided >= all { CrossingKind::Disabled } else { CrossingKind::DevicesOnly };
                // The charge itself may have left the log.
                let told = state.more.notices.iter().find(|notice| notice.kind == kind);
                let newest = || state.charges.iter().rev().find(|charge| !charge.past);
                let id = told.map(|notice| notice.id).or_else(|| newest().map(|charge| charge.id));
                Crossing { id: id.unwrap_or(found_by), kind }
            }
        }
    }

    /// Drops the notices of locks that are over.
    fn drop_notices(&self, state: &mut LockoutState, now: Timestamp) {
        let run = self.policy.run(state, now).map_or(0, |run| run.count);
        let consecutive = self.policy.consecutive;
        let charges = &state.charges;
        state.more.notices.retain(|notice| match notice.kind {
            CrossingKind::Locked => {
                let own = charges.iter().find(|charge| charge.id == notice.id);
                own.is_some_and(|own| {
                    let lane = self.policy.lane(own.device);
                    self.policy.charges_in(lane, charges).next().is_some_and(|n| n.id == notice.id)
                })
            }
            CrossingKind::DevicesOnly => consecutive.is_some_and(|c| run >= c.devices_only_from),
            CrossingKind::Disabled => consecutive.is_some_and(|c| run >= c.disable_at),
        });
    }

    fn announced(&self, mut view: View<'_>, crossing: Crossing) -> Answer {
        let told = view.state.more.notices.iter().position(|notice| {
            (notice.id, notice.kind) == (crossing.id, crossing.kind) && !notice.announced
        });
        if let Some(notice) = told.and_then(|at| view.state.to_mut().more.notices.get_mut(at)) {
            notice.announced = true;
        }
        self.done(view, LockoutVerdict::Noted)
    }

    fn unlock(&self, mut view: View<'_>, id: ChargeId) -> Answer {
        if view.state.more.unlocked.is_none_or(|last| last.id != id) {
            let mut state = LockoutState::NONE;
            state.more.unlocked = Some(Unlocked { at: view.now, id });
            view.state = Cow::Owned(state);
        }
        self.done(view, LockoutVerdict::Unlocked)
    }
}

impl Machine for LockoutMachine {
    type State = LockoutState;
    type Event = LockoutEvent;
    type Verdict = LockoutVerdict;

    fn step(&self, was: Option<&LockoutState>, event: &LockoutEvent, now: Timestamp) -> Answer {
        let view = View::of(was, now);
        match event {
            LockoutEvent::Begin(begin) => self.begin(view, begin),
            LockoutEvent::Matched(settle) => self.matched(view, settle),
            LockoutEvent::NotMatched(settle) => self.not_matched(view, settle),
            LockoutEvent::NotVerified(settle) => self.not_verified(view, settle.id()),
            LockoutEvent::Unlock { id, .. } => self.unlock(view, *id),
            LockoutEvent::Announced { crossing, .. } => self.announced(view, *crossing),
        }
    }
}

/// A state, copied once it is changed, and a moment that is not before it.
struct View<'a> {
    state: Cow<'a, LockoutState>,
    now: Timestamp,
}

impl<'a> View<'a> {
    fn of(was: Option<&'a LockoutState>, now: Timestamp) -> Self {
        static NONE: LockoutState = LockoutState::NONE;
        let was = was.unwrap_or(&NONE);
        if was.seen <= now.after(AHEAD) {
            return Self { state: Cow::Borrowed(was), now: now.max(was.seen) };
        }
        let mut state = was.clone();
        let restamp = |at: &mut Timestamp| *at = (*at).min(now);
        state.charges.iter_mut().for_each(|charge| restamp(&mut charge.at));
        if let Some(more) = state.more.there() {
            more.repeats.iter_mut().for_each(restamp);
            more.notices.iter_mut().for_each(|notice| restamp(&mut notice.at));
            if let Some(unlocked) = &mut more.unlocked {
                restamp(&mut unlocked.at);
            }
            if let Some(run) = &mut more.run {
                restamp(&mut run.last);
            }
        }
        Self { state: Cow::Owned(state), now }
    }

    /// The state to be changed, copied with room for one more charge.
    fn with_room(&mut self) -> &mut LockoutState {
        if let Cow::Borrowed(was) = self.state {
            let mut charges = Vec::with_capacity(was.charges.len().saturating_add(1));
            charges.extend_from_slice(&was.charges);
            let state = LockoutState { seen: was.seen, charges, more: was.more.clone() };
            self.state = Cow::Owned(state);
        }
        self.state.to_mut()
    }
}

/// How long to tell the outside to wait: until `until`, rounded up to whole minutes, so that it
/// does not tell when others tried.
#[must_use]
pub fn retry_after(until: Timestamp, now: Timestamp) -> Duration {
    let left = until.since(now);
    let minutes = left.as_micros().div_ceil(60_000_000).max(1);
    Duration::from_secs(u64::try_from(minutes).unwrap_or(u64::MAX).saturating_mul(60))
}
