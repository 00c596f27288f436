//! Names without end against a memory store: what it takes, whom it forgets, whom it shuts out. In a
//! process of its own, which nothing else allocates in.
#![cfg(all(target_os = "linux", feature = "gate"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::time::Duration;

use vouchsafe::core::{
    AccountDigest, ChargeId, Matched, NotMatched, PolicyDigest, Standing, Timestamp,
};
use vouchsafe::counting::drive;
use vouchsafe::lockout::{
    Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState, LockoutVerdict as V,
    Overflow,
};
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_testkit::{SeededEntropy, block_on, runs};

const CAP: usize = 64 << 20;
const NOW: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

struct House {
    store: MemoryStore,
    overflow: Overflow,
    machine: LockoutMachine,
    entropy: SeededEntropy,
}

impl House {
    fn new() -> Self {
        let day = Duration::from_secs(24 * 3_600);
        let policy = LockoutPolicy::builder().limit(Limit::new(5, day)).build().unwrap();
        Self {
            store: MemoryStore::new(CAP),
            overflow: Overflow::default(),
            machine: LockoutMachine::new(policy, PolicyDigest::NONE),
            entropy: SeededEntropy::new(1),
        }
    }

    fn stranger(&self) -> AccountDigest {
        let (high, low) = (self.entropy.next(), self.entropy.next());
        AccountDigest::new(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    fn send(&self, event: LockoutEvent) -> V {
        let (store, overflow, machine) = (&self.store, &self.overflow, &self.machine);
        block_on(drive(store, overflow, &self.entropy, machine, event, NOW)).unwrap()
    }

    fn begin(&self, account: AccountDigest) -> V {
        self.send(LockoutEvent::Begin(Begin::new(account, ChargeId::new(self.entropy.next()))))
    }

    fn guess(&self, account: AccountDigest) {
        if let V::Admitted(charged) = self.begin(account) {
            self.send(LockoutEvent::NotMatched(NotMatched::assertion(charged)));
        }
    }

    /// How many of these sign in, of a thousand.
    fn served(&self, honest: impl IntoIterator<Item = AccountDigest>) -> usize {
        let sign_in = |account: AccountDigest| match self.begin(account) {
            V::Admitted(charged) => {
                let right = Matched::assertion(charged, Standing::Chosen);
                matches!(self.send(LockoutEvent::Matched(right)), V::Authenticated { .. })
            }
            _ => false,
        };
        honest.into_iter().map(sign_in).filter(|in_| *in_).count()
    }
}

#[test]
fn ten_million_names_take_the_cap_and_forget_nobody() {
    let before = resident();
    let house = House::new();
    let known: Vec<_> = (0..1_000).map(|_| house.stranger()).collect();
    for (number, account) in known.iter().enumerate() {
        // Every other one is locked.
        (0..=(number % 2) * 4).for_each(|_| house.guess(*account));
    }
    let names = runs(1_000_000, 10_000_000);
    let mut taken_in = 0_usize;
    while house.overflow.is_idle(NOW) {
        house.guess(house.stranger());
        taken_in += 1;
    }
    println!("{taken_in} names fill {CAP} bytes; then, of 1 000 who sign in:");
    println!("| names without a cell | served, new | served, known |");
    let mut more = 0;
    for upto in [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, names - taken_in] {
        while more < upto {
            let name = house.stranger();
            house.guess(name);
            let cell = block_on(house.store.load(LockoutState::key(name))).unwrap().cell;
            more += usize::from(cell.is_none());
        }
        let new = house.served((0..1_000).map(|_| house.stranger()));
        let old = house.served(known.iter().step_by(2).copied()) * 2;
        println!("| {upto} | {new} | {old} |");
        if upto <= 2_000 {
            assert!(new >= 990 && old >= 980, "{new}, {old}: so few were shut out before");
        }
    }
    let taken = resident() - before;
    println!("{} MiB, of which the store counts {} KiB", taken >> 20, house.store.used() >> 10);
    assert!(house.store.used() <= CAP);
    assert!(taken <= CAP / 20 * 21, "{taken} bytes");
    for (number, account) in known.iter().enumerate() {
        let cell = block_on(house.store.load(LockoutState::key(*account))).unwrap().cell;
        let state: LockoutState =
            vouchsafe::core::Cell::from_bytes(cell.expect("forgotten").bytes).unwrap();
        assert_eq!(state.len(), 1 + (number % 2) * 4, "of account {number}");
        if number % 2 == 1 {
            assert!(matches!(house.begin(*account), V::Locked { .. }), "account {number}");
        }
    }
}
