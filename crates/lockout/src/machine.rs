//! Charge, then verify, then settle.

use std::time::Duration;

use vouchsafe_core::{
    AccountDigest, Authenticated, CellKey, ChangeOnly, ChargeId, Charged, Machine, Matched,
    NotMatched, NotVerified, PolicyDigest, Standing, Step, Timestamp,
};

use crate::state::{Charge, Unlocked, full};
use crate::{LockoutPolicy, LockoutState, OnSuccess};

/// A state stamped further ahead of the clock than this was written while the clock stood wrong.
const AHEAD: Duration = Duration::from_secs(600);

/// For how long a repeated unlock is recognised as the same one: longer than any retry.
const UNLOCK_MEMORY: Duration = Duration::from_secs(3_600);

/// An attempt that asks to be charged.
///
/// Not `Clone`: one beginning, one charge, one verification.
#[must_use = "drive it through the machine"]
#[derive(Debug)]
pub struct Begin {
    account: AccountDigest,
    id: ChargeId,
}

impl Begin {
    /// An attempt on `account`; `id` is fresh and random.
    pub const fn new(account: AccountDigest, id: ChargeId) -> Self {
        Self { account, id }
    }

    /// Takes the attempt back after a store failure: it may have been charged without anybody
    /// hearing of it. To be settled like any refund.
    ///
    /// Sound because a `Begin` that comes back was not answered: no [`Charged`] was delivered for
    /// it, so nothing was verified, and this consumes it.
    pub fn withdraw(self) -> NotVerified {
        #[expect(clippy::disallowed_methods, reason = "a charge that nobody received is refunded")]
        NotVerified::assertion(Charged::assertion(
            self.account,
            self.id,
            PolicyDigest::NONE,
            Timestamp::MIN,
        ))
    }

    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.account
    }

    /// Which charge.
    #[must_use]
    pub const fn id(&self) -> ChargeId {
        self.id
    }
}

/// What happens to an account's failures.
#[derive(Debug)]
pub enum LockoutEvent {
    /// An attempt begins: it is to be charged before anything is verified.
    Begin(Begin),
    /// The secret was right.
    Matched(Matched),
    /// The secret was wrong.
    NotMatched(NotMatched),
    /// No verification started.
    NotVerified(NotVerified),
    /// Forget all failures. Settlements of charges from before change nothing afterwards.
    Unlock {
        /// Whose.
        account: AccountDigest,
        /// Which unlock: fresh and random; a repeat of the last one changes nothing.
        id: ChargeId,
    },
}

impl LockoutEvent {
    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        match self {
            Self::Begin(begin) => begin.account(),
            Self::Matched(settle) => settle.account(),
            Self::NotMatched(settle) => settle.account(),
            Self::NotVerified(settle) => settle.account(),
            Self::Unlock { account, .. } => *account,
        }
    }

    /// The cell to drive it through.
    #[must_use]
    pub const fn cell(&self) -> CellKey {
        LockoutState::key(self.account())
    }
}

/// A lock in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// When it ends by itself, absent other attempts; `None`: when an administrator ends it.
    pub until: Option<Timestamp>,
}

/// What came of an event.
#[derive(Debug)]
pub enum LockoutVerdict {
    /// Charged: verify once, before the deadline, and settle.
    Admitted(Charged),
    /// All charges are taken by attempts that are being verified: not locked, ask again when one
    /// of them settles, and by `until` at the latest. Nothing was charged.
    Wait {
        /// When the first of them counts as failed if nobody settles it.
        until: Timestamp,
    },
    /// Refused: nothing was charged and nothing changed.
    Locked {
        /// When the lock ends by itself, absent other attempts; `None`: when an administrator
        /// ends it.
        until: Option<Timestamp>,
    },
    /// The secret was right; the charge is refunded.
    Authenticated(Authenticated),
    /// The secret was right but may only be changed; the charge is refunded.
    ChangeOnly(ChangeOnly),
    /// The charge stands as a failure.
    Failed {
        /// The lock in force now, if any.
        locked: Option<Lock>,
    },
    /// Nothing was verified; the charge is refunded.
    Refunded,
    /// The account has no failures any more.
    Unlocked,
}

/// The rules of one policy.
///
/// Time is the store's where it has one; it never runs backwards for an account, but a state
/// stamped more than ten minutes ahead is re-stamped to now, so that a clock that was wrong and is
/// right again leaves nobody locked for years.
#[derive(Clone, Debug)]
pub struct LockoutMachine {
    policy: LockoutPolicy,
    digest: PolicyDigest,
}

enum Standstill {
    Free,
    Wait(Timestamp),
    Locked(Lock),
}

impl LockoutMachine {
    /// A machine for `policy`, which is part of the document with this digest
    /// ([`PolicyDigest::NONE`] for an engine used alone).
    #[must_use]
    pub const fn new(policy: LockoutPolicy, digest: PolicyDigest) -> Self {
        Self { policy, digest }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &LockoutPolicy {
        &self.policy
    }

    /// The lock in force at `now`, for showing to an administrator; changes nothing.
    #[must_use]
    pub fn lock(&self, state: Option<&LockoutState>, now: Timestamp) -> Option<Lock> {
        let view = View::of(state, now);
        match self.standstill(&view.state.charges, view.now) {
            Standstill::Locked(lock) => Some(lock),
            Standstill::Free | Standstill::Wait(_) => None,
        }
    }

    fn undecided(&self, charge: &Charge, now: Timestamp) -> Option<Timestamp> {
        let due = charge.at.after(self.policy.settle_within);
        (!charge.failed && due > now).then_some(due)
    }

    /// Whether another charge has room.
    fn standstill(&self, charges: &[Charge], now: Timestamp) -> Standstill {
        let (mut end, mut wait, mut locked) = (None, None, false);
        for limit in &self.policy.limits {
            let Some((filling, until)) = full(limit, charges).filter(|(_, until)| *until > now)
            else {
                continue;
            };
            end = end.max(Some(until));
            match filling.iter().filter_map(|charge| self.undecided(charge, now)).min() {
                Some(due) => wait = Some(wait.map_or(due, |other: Timestamp| other.min(due))),
                None => locked = true,
            }
        }
        match (end, wait) {
            (None, _) => Standstill::Free,
            (Some(end), Some(due)) if !locked => Standstill::Wait(due.min(end)),
            (Some(end), _) => {
                Standstill::Locked(Lock { until: (end < Timestamp::MAX).then_some(end) })
            }
        }
    }

    /// Saves `state`, for as long as it matters.
    fn save<V>(&self, view: View, verdict: V) -> Step<LockoutState, V> {
        let View { mut state, now, .. } = view;
        state.seen = now;
        let slid = state.charges.last().map(|newest| newest.at.after(self.policy.longest_window()));
        let held = self.policy.limits.iter().filter_map(|limit| full(limit, &state.charges));
        let unlocked = state.unlocked.map(|unlocked| unlocked.at.after(UNLOCK_MEMORY));
        match held.map(|(_, until)| until).chain(slid).chain(unlocked).max() {
            Some(until) if until > now => Step::save(state, until, verdict),
            _ => Step::erase(verdict),
        }
    }

    /// Changes nothing, unless the state had to be re-stamped.
    fn keep<V>(&self, view: View, verdict: V) -> Step<LockoutState, V> {
        if view.restamped { self.save(view, verdict) } else { Step::keep(verdict) }
    }

    fn begin(&self, mut view: View, begin: &Begin) -> Step<LockoutState, LockoutVerdict> {
        let now = view.now;
        let (account, id) = (begin.account, begin.id);
        if let Some(own) = view.find(id).copied() {
            // The same attempt again: its first answer was lost.
            let verdict = match self.undecided(&own, now) {
                Some(_) => self.admitted(account, id, own.at),
                None => self.failed(&view),
            };
            return self.keep(view, verdict);
        }
        match self.standstill(&view.state.charges, now) {
            Standstill::Wait(until) => self.keep(view, LockoutVerdict::Wait { until }),
            Standstill::Locked(Lock { until }) => self.keep(view, LockoutVerdict::Locked { until }),
            Standstill::Free => {
                let gone = now.before(self.policy.longest_window());
                view.state.charges.retain(|charge| charge.at > gone);
                view.state.charges.push(Charge { at: now, id, failed: false });
                self.save(view, self.admitted(account, id, now))
            }
        }
    }

    fn admitted(&self, account: AccountDigest, id: ChargeId, at: Timestamp) -> LockoutVerdict {
        let deadline = at.after(self.policy.settle_within);
        #[expect(clippy::disallowed_methods, reason = "the charge is in the state being saved")]
        LockoutVerdict::Admitted(Charged::assertion(account, id, self.digest, deadline))
    }

    fn failed(&self, view: &View) -> LockoutVerdict {
        let locked = match self.standstill(&view.state.charges, view.now) {
            Standstill::Locked(lock) => Some(lock),
            Standstill::Free | Standstill::Wait(_) => None,
        };
        LockoutVerdict::Failed { locked }
    }

    /// Takes the charge back, unless it is gone or has been settled as a failure.
    fn refund(
        &self,
        mut view: View,
        id: ChargeId,
        clears: bool,
        verdict: LockoutVerdict,
    ) -> Step<LockoutState, LockoutVerdict> {
        let Some(own) = view.state.charges.iter().position(|c| c.id == id && !c.failed) else {
            return self.keep(view, verdict);
        };
        let charges = &mut view.state.charges;
        let newer = charges.split_off(own).into_iter().skip(1);
        if clears {
            charges.retain(|older| !older.failed);
        }
        charges.extend(newer);
        self.save(view, verdict)
    }

    fn matched(&self, view: View, settle: &Matched) -> Step<LockoutState, LockoutVerdict> {
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
        let clears = self.policy.on_success == OnSuccess::OlderFailures;
        self.refund(view, settle.id(), clears, verdict)
    }

    fn not_matched(&self, mut view: View, id: ChargeId) -> Step<LockoutState, LockoutVerdict> {
        let open = view.state.charges.iter_mut().find(|charge| charge.id == id && !charge.failed);
        let Some(charge) = open else {
            let verdict = self.failed(&view);
            return self.keep(view, verdict);
        };
        charge.failed = true;
        let verdict = self.failed(&view);
        self.save(view, verdict)
    }

    fn unlock(&self, mut view: View, id: ChargeId) -> Step<LockoutState, LockoutVerdict> {
        if view.state.unlocked.is_some_and(|last| last.id == id) {
            return self.keep(view, LockoutVerdict::Unlocked);
        }
        view.state.charges.clear();
        view.state.unlocked = Some(Unlocked { at: view.now, id });
        self.save(view, LockoutVerdict::Unlocked)
    }
}

impl Machine for LockoutMachine {
    type State = LockoutState;
    type Event = LockoutEvent;
    type Verdict = LockoutVerdict;

    fn step(
        &self,
        was: Option<&LockoutState>,
        event: &LockoutEvent,
        now: Timestamp,
    ) -> Step<LockoutState, LockoutVerdict> {
        let view = View::of(was, now);
        match event {
            LockoutEvent::Begin(begin) => self.begin(view, begin),
            LockoutEvent::Matched(settle) => self.matched(view, settle),
            LockoutEvent::NotMatched(settle) => self.not_matched(view, settle.id()),
            LockoutEvent::NotVerified(settle) => {
                self.refund(view, settle.id(), false, LockoutVerdict::Refunded)
            }
            LockoutEvent::Unlock { id, .. } => self.unlock(view, *id),
        }
    }
}

/// A state and a moment that is not before it.
struct View {
    state: LockoutState,
    now: Timestamp,
    restamped: bool,
}

impl View {
    fn of(was: Option<&LockoutState>, now: Timestamp) -> Self {
        let Some(was) = was else {
            return Self { state: LockoutState::default(), now, restamped: false };
        };
        let mut state = was.clone();
        if state.seen <= now.after(AHEAD) {
            let now = now.max(state.seen);
            return Self { state, now, restamped: false };
        }
        state.seen = now;
        for charge in &mut state.charges {
            charge.at = charge.at.min(now);
        }
        if let Some(unlocked) = &mut state.unlocked {
            unlocked.at = unlocked.at.min(now);
        }
        Self { state, now, restamped: true }
    }

    fn find(&self, id: ChargeId) -> Option<&Charge> {
        self.state.charges.iter().find(|charge| charge.id == id)
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
