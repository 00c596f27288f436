//! What the tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::time::Duration;

use vouchsafe_core::{
    AccountDigest, ChargeId, Charged, Effect, Machine, Matched, NotMatched, NotVerified,
    PolicyDigest, Standing, Timestamp, WrongDigest,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{
    Begin, Device, DeviceEpoch, DeviceKey, Limit, LockoutEvent, LockoutMachine, LockoutPolicy,
    LockoutState, LockoutVerdict,
};

pub const DAY: Duration = Duration::from_secs(86_400);
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const MS: Duration = Duration::from_millis(1);
pub const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
/// 2018-04-09T00:00:00Z.
pub const START: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

pub fn policy(limits: &[Limit]) -> LockoutPolicy {
    let ten = Duration::from_secs(10);
    let short = limits.iter().any(|limit| limit.window() < ten);
    let builder = LockoutPolicy::builder().settle_within(if short { ten / 10 } else { ten });
    limits.iter().fold(builder, |builder, limit| builder.limit(*limit)).build().unwrap()
}

pub fn machine(limits: &[Limit]) -> LockoutMachine {
    LockoutMachine::new(policy(limits), PolicyDigest::NONE)
}

pub fn five_a_day() -> LockoutMachine {
    machine(&[Limit::new(5, DAY)])
}

pub fn begin(id: u64) -> LockoutEvent {
    LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(id)))
}

pub fn unlock(id: u64) -> LockoutEvent {
    LockoutEvent::Unlock { account: ACCOUNT, id: ChargeId::new(id) }
}

/// A charge as if it had been delivered.
pub fn charge(id: u64) -> Charged {
    Charged::assertion(ACCOUNT, ChargeId::new(id), PolicyDigest::NONE, Timestamp::MAX)
}

pub fn wrong(id: u64) -> LockoutEvent {
    LockoutEvent::NotMatched(NotMatched::assertion(charge(id)))
}

pub fn right(id: u64) -> LockoutEvent {
    LockoutEvent::Matched(Matched::assertion(charge(id), Standing::Chosen))
}

pub fn unverified(id: u64) -> LockoutEvent {
    LockoutEvent::NotVerified(NotVerified::assertion(charge(id)))
}

/// One account, in memory, as any host may keep it.
pub struct Account {
    pub machine: LockoutMachine,
    pub state: Option<LockoutState>,
    pub until: Timestamp,
    pub saves: usize,
}

impl Account {
    pub fn new(machine: LockoutMachine) -> Self {
        Self { machine, state: None, until: Timestamp::MIN, saves: 0 }
    }

    pub fn send(&mut self, event: LockoutEvent, now: Timestamp) -> LockoutVerdict {
        let (effect, pending) = self.machine.step(self.state.as_ref(), &event, now).split();
        match effect {
            Effect::Keep => {}
            Effect::Save { state, until } => {
                assert!(until > now || until == Timestamp::MAX, "saved for no time");
                (self.state, self.until) = (Some(state), until);
                self.saves += 1;
            }
            Effect::Erase => {
                self.state = None;
                self.saves += 1;
            }
        }
        pending.committed()
    }

    /// Begins and settles as wrong; whether it was admitted.
    pub fn guess(&mut self, id: u64, now: Timestamp) -> bool {
        match self.send(begin(id), now) {
            LockoutVerdict::Admitted(charged) => {
                let settle = LockoutEvent::NotMatched(NotMatched::assertion(charged));
                let verdict = self.send(settle, now);
                assert!(matches!(verdict, LockoutVerdict::Failed { .. }), "{verdict:?}");
                true
            }
            _ => false,
        }
    }
}

/// An attempt of device `id`, whose cookie was issued just before `START`.
pub fn begin_from(id: u64, device: u64) -> LockoutEvent {
    begin_from_cookie(id, device, START.before(MS))
}

/// An attempt of device `id`, whose cookie was issued at `issued`.
pub fn begin_from_cookie(id: u64, device: u64, issued: Timestamp) -> LockoutEvent {
    let device = Some(device_of(ACCOUNT, device, issued));
    LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(id)).from_device(device))
}

/// The device `id` of `account`, by a cookie that was issued at `issued` and never voided.
pub fn device_of(account: AccountDigest, id: u64, issued: Timestamp) -> Device {
    let (key, epoch) = (device_key(), DeviceEpoch::new(3));
    let cookie = key.verify(account, &key.issue(account, id, epoch, issued));
    cookie.unwrap().of_epoch(epoch).unwrap()
}

pub fn device_key() -> DeviceKey {
    DeviceKey::new(MacKey::new(&[9; 32]))
}

/// As [`wrong`], with the verifier's digest of what was typed.
pub fn wrong_secret(id: u64, secret: u8) -> LockoutEvent {
    let digest = WrongDigest::new([secret; 6]);
    LockoutEvent::NotMatched(NotMatched::assertion(charge(id)).with_digest(digest))
}
