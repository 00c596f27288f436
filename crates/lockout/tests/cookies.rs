//! LK-20: a cookie that was voided never counts again, whatever the clock did before, and one that is made
//! for a sign-in counts at once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{DAY, HOUR, START, device_key};
use vouchsafe_core::{
    AccountDigest, ChargeId, Matched, NotMatched, PolicyDigest, Standing, Timestamp,
};
use vouchsafe_lockout::{
    Begin, DeviceEpoch, Devices, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState,
    LockoutVerdict as V,
};
use vouchsafe_store::{Cells, MemoryStore, drive};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, block_on, runs};

/// What a clock may be wrong by and nothing is stamped anew.
const AHEAD: Duration = Duration::from_secs(600);
const MICRO: Duration = Duration::from_micros(1);

/// How far the clock steps, either way.
const STEPS: [Duration; 11] = [
    MICRO,
    Duration::from_secs(1),
    Duration::from_secs(300),
    Duration::from_secs(600),
    Duration::from_micros(600_000_001),
    HOUR,
    Duration::from_secs(86_400),
    Duration::from_secs(179 * 86_400),
    Duration::from_secs(181 * 86_400),
    Duration::from_secs(367 * 86_400),
    Duration::from_secs(10 * 365 * 86_400),
];

struct House<'a, C> {
    cells: &'a C,
    machine: LockoutMachine,
    random: SeededEntropy,
    account: AccountDigest,
    now: Timestamp,
}

impl<C: Cells> House<'_, C> {
    fn id(&self) -> ChargeId {
        ChargeId::new(self.random.next())
    }

    fn send(&self, event: LockoutEvent) -> V {
        let (cells, key) = (self.cells, event.cell());
        block_on(drive(cells, &self.random, key, &self.machine, event, self.now)).unwrap()
    }

    fn unlock(&self) {
        let (account, id) = (self.account, self.id());
        assert!(matches!(self.send(LockoutEvent::Unlock { account, id }), V::Unlocked));
    }

    /// What a cookie is made with: the moment, and the epoch.
    fn signs_in(&self) -> (Timestamp, DeviceEpoch) {
        let begin = || LockoutEvent::Begin(Begin::new(self.account, self.id()));
        let mut begun = self.send(begin());
        if !matches!(begun, V::Admitted(_)) {
            self.unlock();
            begun = self.send(begin());
        }
        let V::Admitted(charged) = begun else { panic!("{begun:?}") };
        match self.send(LockoutEvent::Matched(Matched::assertion(charged, Standing::Chosen))) {
            V::Authenticated { proof, epoch } => (proof.at(), epoch.unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn guesses_wrong(&self) {
        let begin = LockoutEvent::Begin(Begin::new(self.account, self.id()));
        if let V::Admitted(charged) = self.send(begin) {
            self.send(LockoutEvent::NotMatched(NotMatched::assertion(charged)));
        }
    }

    fn cookie(&self, (at, epoch): (Timestamp, DeviceEpoch)) -> String {
        device_key().issue(self.account, self.random.next(), epoch, at)
    }

    fn knows(&self, cookie: &str) -> bool {
        let device = device_key().verify(self.account, cookie).unwrap();
        let key = LockoutState::key(self.account);
        let state = block_on(self.cells.load(key)).unwrap().state(key).unwrap();
        self.machine.knows(state.as_ref(), &device, self.now)
    }

    /// An attempt on a cookie, of which nothing comes.
    fn tries(&self, cookie: &str) {
        let device = device_key().verify(self.account, cookie);
        let begin = Begin::new(self.account, self.id());
        let id = begin.id();
        self.send(LockoutEvent::Begin(begin.from_device(device)));
        let back = Begin::new(self.account, id).withdraw();
        self.send(LockoutEvent::NotVerified(back));
    }
}

#[derive(Default, Debug)]
struct Seen {
    void: usize,
    good: usize,
    /// Void ones whose time had come.
    due: usize,
}

/// Voids, sign-ins, guesses and sweeps, in any order, by a clock that steps both ways.
fn history(cells: &impl Cells, seed: u64, seen: &mut Seen) {
    let random = SeededEntropy::new(seed);
    let policy = LockoutPolicy::builder().limit(Limit::new(3, DAY)).devices(Devices::default());
    let valid_for = Devices::default().valid_for;
    let mut house = House {
        cells,
        machine: LockoutMachine::new(policy.build().unwrap(), PolicyDigest::NONE),
        account: AccountDigest::new(u128::from(seed).to_be_bytes()),
        random,
        now: START,
    };
    let (mut void, mut good) = (BTreeSet::new(), Vec::new());
    // Sign-ins of which the cookie is not made yet, and whether others were voided since.
    let mut proofs: Vec<((Timestamp, DeviceEpoch), bool)> = Vec::new();
    for _ in 0..40 {
        let step = STEPS[usize::try_from(house.random.below(STEPS.len() as u64)).unwrap()];
        match house.random.below(12) {
            0 | 1 => house.now = house.now.after(step),
            2 | 3 => house.now = house.now.before(step),
            4 => proofs.push((house.signs_in(), false)),
            5 => {
                if let Some((proof, voided)) = proofs.pop() {
                    let cookie = house.cookie(proof);
                    match voided {
                        true => void.extend([cookie]),
                        false => good.push((cookie, proof.0)),
                    }
                }
            }
            6 | 7 => {
                let (account, id) = (house.account, house.id());
                let verdict = house.send(match house.random.below(2) {
                    0 => LockoutEvent::ForgetDevices { account },
                    _ => LockoutEvent::Reset { account, id, revoke_devices: true },
                });
                assert!(matches!(verdict, V::DevicesForgotten { .. } | V::Unlocked));
                void.extend(good.drain(..).map(|(cookie, _)| cookie));
                proofs.iter_mut().for_each(|(_, voided)| *voided = true);
            }
            8 => house.unlock(),
            9 => house.guesses_wrong(),
            10 => {
                let all: Vec<_> =
                    void.iter().chain(good.iter().map(|(cookie, _)| cookie)).collect();
                if let Some(at) = house.random.below(64).checked_rem(all.len() as u64) {
                    house.tries(all[usize::try_from(at).unwrap()]);
                }
            }
            _ => drop(block_on(cells.sweep(house.now, usize::MAX)).unwrap()),
        }
        for cookie in &void {
            assert!(!house.knows(cookie), "{cookie} is good again in {seed}");
            let issued = device_key().verify(house.account, cookie).unwrap().issued();
            let due = issued <= house.now && issued.after(valid_for) > house.now;
            (seen.void, seen.due) = (seen.void + 1, seen.due + usize::from(due));
        }
        for (cookie, at) in &good {
            // By ten minutes either way an account may have seen another time.
            let soon = house.now.after(AHEAD);
            if *at <= soon && at.after(valid_for) > soon {
                assert!(house.knows(cookie), "{cookie} is void in {seed}");
                seen.good += 1;
            }
        }
        // Whatever happened, whoever signs in gets one that counts at once.
        if house.random.below(4) == 0 {
            let proof = house.signs_in();
            let cookie = house.cookie(proof);
            assert!(house.knows(&cookie), "a new one is void in {seed}");
            good.push((cookie, proof.0));
        }
    }
}

fn histories(cells: &impl Cells, count: usize) {
    let mut seen = Seen::default();
    for seed in 0..u64::try_from(count).unwrap() {
        history(cells, seed << 8, &mut seen);
    }
    println!("{seen:?}");
    let Seen { void, good, due } = seen;
    assert!(void > 10 * count && good > 5 * count && due > count);
}

#[test]
fn no_clock_brings_a_voided_cookie_back_in_memory() {
    histories(&MemoryStore::new(1 << 26), runs(2_000, 200_000));
}

#[test]
fn no_clock_brings_a_voided_cookie_back_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(folder.path().join("cells.db"));
    let store = store.deadline(Duration::from_secs(60)).open().unwrap();
    histories(&store, runs(50, 5_000));
}
