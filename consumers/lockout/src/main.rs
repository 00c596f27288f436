//! Five failures in 24 hours, then locked; exactly, and only as long.

use std::time::Duration;

use vouchsafe_lockout::core::{
    AccountDigest, ChargeId, Effect, Machine, NotMatched, PolicyDigest, Timestamp,
};
use vouchsafe_lockout::{
    Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState, LockoutVerdict,
};

const DAY: Duration = Duration::from_secs(86_400);
const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);

/// One account's state, where a service would have a row.
struct Account {
    machine: LockoutMachine,
    state: Option<LockoutState>,
}

impl Account {
    fn step(&mut self, event: &LockoutEvent, now: Timestamp) -> LockoutVerdict {
        let (effect, pending) = self.machine.step(self.state.as_ref(), event, now).split();
        match effect {
            Effect::Keep => {}
            Effect::Save { state, .. } => self.state = Some(state),
            Effect::Erase => self.state = None,
        }
        pending.committed()
    }

    /// A wrong password; whether it was looked at.
    fn fail(&mut self, id: u64, now: Timestamp) -> bool {
        let begin = LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(id)));
        let LockoutVerdict::Admitted(charged) = self.step(&begin, now) else { return false };
        // Here a verifier says no.
        let settled = self.step(&LockoutEvent::NotMatched(NotMatched::assertion(charged)), now);
        assert!(matches!(settled, LockoutVerdict::Failed { .. }), "{settled:?}");
        true
    }
}

fn main() {
    let policy = LockoutPolicy::builder().limit(Limit::new(5, DAY)).build().expect("a policy");
    let machine = LockoutMachine::new(policy, PolicyDigest::NONE);
    let mut account = Account { machine, state: None };
    let start = Timestamp::from_micros(1_523_232_000_000_000);

    let looked_at = (0..100).filter(|&id| account.fail(id, start)).count();
    assert_eq!(looked_at, 5);
    assert!(!account.fail(100, start.after(DAY - Duration::from_secs(1))));
    assert!(account.fail(101, start.after(DAY + Duration::from_secs(1))));
}
