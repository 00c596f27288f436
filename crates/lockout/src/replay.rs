//! Attempts, one after the other, on an account's real state.

use vouchsafe_core::{ChargeId, Timestamp, WrongDigest};

use crate::order::WitnessStep;
use crate::rule::Standing;
use crate::state::Charge;
use crate::{LockoutPolicy, LockoutState};

/// One account under one policy, from nothing.
struct Replay<'a> {
    policy: &'a LockoutPolicy,
    state: LockoutState,
}

impl<'a> Replay<'a> {
    const fn new(policy: &'a LockoutPolicy) -> Self {
        Self { policy, state: LockoutState::NONE }
    }

    fn standing(&self, attempt: &WitnessStep) -> Standing {
        let now = Timestamp::EPOCH.after(attempt.after);
        self.policy.standing(&self.state, attempt.device, now)
    }

    /// Charges and settles an attempt that has room.
    fn admit(&mut self, attempt: &WitnessStep) {
        let at = Timestamp::EPOCH.after(attempt.after);
        let id = ChargeId::new(0);
        let device = attempt.device.filter(|_| self.policy.devices.is_some());
        let charge = Charge { at, id, failed: false, past: false, device };
        self.policy.charge(&mut self.state, charge);
        let own = self.state.charges.len().saturating_sub(1);
        if attempt.right {
            self.policy.succeed(&mut self.state, own, at);
        } else {
            let digest = attempt.repeated.then_some(WrongDigest::new([0; 6]));
            self.policy.fail(&mut self.state, own, digest, at);
        }
    }
}

/// The first of these attempts that is refused.
pub(crate) fn refused(policy: &LockoutPolicy, attempts: &[WitnessStep]) -> Option<usize> {
    let mut account = Replay::new(policy);
    attempts.iter().position(|attempt| {
        let free = matches!(account.standing(attempt), Standing::Free);
        if free {
            account.admit(attempt);
        }
        !free
    })
}

/// So many wrong attempts, each as early as it is admitted; fewer where a lock never ends.
pub(crate) fn greedy(
    policy: &LockoutPolicy,
    device: Option<u64>,
    count: usize,
) -> Vec<WitnessStep> {
    let mut account = Replay::new(policy);
    let mut attempt = WitnessStep::wrong(std::time::Duration::ZERO, device);
    let next = || loop {
        match account.standing(&attempt) {
            Standing::Free => {
                account.admit(&attempt);
                return Some(attempt);
            }
            Standing::Locked(lock) => attempt.after = lock.until?.since(Timestamp::EPOCH),
            // Nothing is undecided.
            Standing::Wait(_) => return None,
        }
    };
    std::iter::from_fn(next).take(count).collect()
}

/// These attempts, with the owner signing in wherever one more failure would end a run.
pub(crate) fn with_sign_ins(policy: &LockoutPolicy, attempts: &[WitnessStep]) -> Vec<WitnessStep> {
    let mut account = Replay::new(policy);
    let mut all = Vec::new();
    let Some(rule) = policy.consecutive else { return all };
    for attempt in attempts {
        let now = Timestamp::EPOCH.after(attempt.after);
        let run = policy.run(&account.state, now).map_or(0, |run| run.count);
        if run.saturating_add(1) == rule.devices_only_from {
            let right = WitnessStep { right: true, ..*attempt };
            account.admit(&right);
            all.push(right);
        }
        account.admit(attempt);
        all.push(*attempt);
    }
    all
}
