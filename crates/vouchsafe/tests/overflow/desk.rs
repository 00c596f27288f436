//! What events are driven through: a store that fills up and drains, the coarse counters beside it, and
//! the rule written out.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::time::Duration;

use vouchsafe::core::{
    AccountDigest, CellKey, ChargeId, Charged, Matched, NotMatched, NotVerified, PolicyDigest,
    Space, Standing, Timestamp,
};
use vouchsafe::counting::drive;
use vouchsafe::lockout::{
    Begin, Device, Devices, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState,
    LockoutVerdict as V, OnSuccess, Overflow,
};
use vouchsafe::store::{Cells, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{SeededEntropy, block_on};

pub const HOUR: Duration = Duration::from_secs(3_600);
pub const START: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

pub fn account(number: u64) -> AccountDigest {
    let spread = SeededEntropy::new(number);
    let digest = (u128::from(spread.next()) << 64) | u128::from(spread.next());
    AccountDigest::new(digest.to_be_bytes())
}

pub fn machine(limits: &[Limit], on_success: OnSuccess) -> LockoutMachine {
    knowing(limits, on_success, None)
}

pub fn knowing(
    limits: &[Limit],
    on_success: OnSuccess,
    devices: Option<Devices>,
) -> LockoutMachine {
    let builder = LockoutPolicy::builder().on_success(on_success).devices(devices);
    let policy = limits.iter().fold(builder, |builder, limit| builder.limit(*limit)).build();
    LockoutMachine::new(policy.unwrap(), PolicyDigest::NONE)
}

pub struct Desk<C> {
    pub cells: C,
    pub overflow: Overflow,
    pub machine: LockoutMachine,
    pub entropy: SeededEntropy,
}

impl<C: Cells> Desk<C> {
    pub fn send(&self, event: LockoutEvent, now: Timestamp) -> Result<V, StoreError> {
        let driven = drive(&self.cells, &self.overflow, &self.entropy, &self.machine, event, now);
        block_on(driven).map_err(|undelivered| undelivered.error)
    }

    pub fn begin(&self, account: AccountDigest, now: Timestamp) -> Result<V, StoreError> {
        self.begin_from(account, None, now)
    }

    pub fn begin_from(
        &self,
        account: AccountDigest,
        device: Option<Device>,
        now: Timestamp,
    ) -> Result<V, StoreError> {
        let begin = Begin::new(account, ChargeId::new(self.entropy.next())).from_device(device);
        self.send(LockoutEvent::Begin(begin), now)
    }

    pub fn exact(&self, account: AccountDigest) -> Option<Vec<u8>> {
        block_on(self.cells.load(LockoutState::key(account))).unwrap().cell.map(|cell| cell.bytes)
    }
}

pub fn right(charged: Charged) -> LockoutEvent {
    LockoutEvent::Matched(Matched::assertion(charged, Standing::Chosen))
}

pub fn wrong(charged: Charged) -> LockoutEvent {
    LockoutEvent::NotMatched(NotMatched::assertion(charged))
}

pub fn unverified(charged: Charged) -> LockoutEvent {
    LockoutEvent::NotVerified(NotVerified::assertion(charged))
}

/// What is in the way: cells of others.
#[derive(Default)]
pub struct Junk {
    pub there: Vec<(CellKey, Version)>,
    pub next: u64,
}

impl Junk {
    pub fn fill(&mut self, store: &MemoryStore, random: &SeededEntropy) {
        for len in [300, 40, 8] {
            loop {
                self.next += 1;
                let key = CellKey::new(Space::System, *account(1 << 40 | self.next).as_bytes());
                let version = Version::fresh(random).unwrap();
                let put = Put::save(vec![1; len], Timestamp::MAX, version);
                match block_on(store.swap(key, None, put)).unwrap() {
                    Swap::Done => self.there.push((key, version)),
                    _ => break,
                }
            }
        }
    }

    pub fn drain(&mut self, store: &MemoryStore, random: &SeededEntropy, count: u64) {
        for _ in 0..count {
            let len = u64::try_from(self.there.len()).unwrap();
            if len == 0 {
                return;
            }
            let at = usize::try_from(random.below(len)).unwrap();
            let (key, version) = self.there.swap_remove(at);
            assert_eq!(block_on(store.swap(key, Some(version), Put::Erase)).unwrap(), Swap::Done);
        }
    }
}

/// The rule, word for word: every charge ever made stays on the list.
#[derive(Default, Clone)]
pub struct Oracle(pub Vec<(Timestamp, ChargeId, bool, bool, u64)>);

impl Oracle {
    pub fn admits(&self, limits: &[Limit], lane: u64, now: Timestamp) -> bool {
        limits.iter().all(|limit| {
            let inside = |at: Timestamp| at.after(limit.window()) > now;
            let counted = self
                .0
                .iter()
                .filter(|(at, _, counts, _, of)| *counts && inside(*at) && *of == lane);
            counted.count() < limit.capacity() as usize
        })
    }

    pub fn settle(&mut self, id: ChargeId, counts: bool, clears: bool) {
        // Unlocked since: it changes nothing.
        let Some(own) = self.0.iter().position(|charge| charge.1 == id) else { return };
        for (at, charge) in self.0.iter_mut().enumerate() {
            if at == own {
                (charge.2, charge.3) = (counts, counts);
            }
            // What a success may forget at most.
            charge.2 &= !(clears && at < own && charge.3);
        }
    }
}
