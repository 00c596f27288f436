//! LK-22: how many guesses a policy lets by, against a guesser who tries everything on the real
//! machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vouchsafe_core::{Cell, PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockOn, LockoutMachine, LockoutPolicy, LockoutState,
    LockoutVerdict as V, OnSuccess, Release,
};
use vouchsafe_testkit::runs;

/// A guesser who at each tick tries from everywhere, or waits, and remembers what came of it.
struct Guesser {
    machine: LockoutMachine,
    tick: Duration,
    ticks: u64,
    /// The owner signs in whenever it helps, from here.
    owner: Option<Option<u64>>,
    best: HashMap<(u64, Vec<u8>), u64>,
}

impl Guesser {
    fn new(policy: &LockoutPolicy, tick: Duration, ticks: u64) -> Self {
        let machine = LockoutMachine::new(policy.clone(), PolicyDigest::NONE);
        Self { machine, tick, ticks, owner: None, best: HashMap::new() }
    }

    fn now(&self, tick: u64) -> Timestamp {
        START.after(self.tick * u32::try_from(tick).unwrap())
    }

    /// An attempt of `device`: what is kept after it, if it was verified.
    fn attempt(
        &self,
        state: &Option<LockoutState>,
        tick: u64,
        device: Option<u64>,
        is_right: bool,
    ) -> Option<Option<LockoutState>> {
        let now = self.now(tick);
        let mut account = Account::new(self.machine.clone());
        account.state = state.clone();
        // Told apart within a tick: by how many are kept of it already, so that the same kept
        // attempts are the same bytes.
        for id in (tick * 1_000).. {
            let event = match device {
                Some(device) => begin_from_cookie(id, device, now),
                None => begin(id),
            };
            let before = account.state.clone();
            match account.send(event, now) {
                V::Admitted(_) if account.state != before => {
                    account.send(if is_right { right(id) } else { wrong(id) }, now);
                    return Some(account.state);
                }
                // That number is taken.
                V::Admitted(_) | V::Failed { .. } => account.state = before,
                _ => return None,
            }
        }
        None
    }

    /// The most guesses that are verified from here on.
    fn most(&mut self, state: &Option<LockoutState>, tick: u64) -> u64 {
        if tick == self.ticks {
            return 0;
        }
        let bytes = state.clone().map_or_else(Vec::new, Cell::into_bytes);
        let key = (tick, bytes);
        if let Some(best) = self.best.get(&key) {
            return *best;
        }
        let mut best = self.most(state, tick + 1);
        let counters = self.machine.policy().devices().map_or(0, |devices| devices.counters);
        for device in std::iter::once(None).chain((0..u64::from(counters)).map(Some)) {
            if let Some(after) = self.attempt(state, tick, device, false) {
                best = best.max(1 + self.most(&after, tick));
            }
        }
        if let Some(device) = self.owner
            && let Some(after) = self.attempt(state, tick, device, true)
            && after != *state
        {
            best = best.max(self.most(&after, tick));
        }
        self.best.insert(key, best);
        best
    }

    /// Whether a thousand guesses pass at once when the owner signs in before each.
    fn without_end(&self) -> bool {
        let owner = self.owner.unwrap();
        let mut state = None;
        (0..1_000).all(|_| {
            let signed_in = self.attempt(&state, 0, owner, true);
            let guessed = signed_in.and_then(|state| self.attempt(&state, 0, None, false));
            guessed.map(|after| state = after).is_some()
        })
    }
}

fn maximum(policy: &LockoutPolicy, tick: Duration, ticks: u64) -> u64 {
    Guesser::new(policy, tick, ticks).most(&None, 0)
}

fn limit(tick: Duration) -> impl Strategy<Value = Limit> {
    let release = prop_oneof![
        2 => Just(Release::WindowSlides),
        2 => (1_u32..8).prop_map(move |hold| Release::After(tick * hold)),
        1 => Just(Release::Admin),
    ];
    (1_u32..4, 1_u32..6, any::<bool>(), release).prop_map(move |(n, window, exceeding, release)| {
        let lock_on = if exceeding { LockOn::Exceeding } else { LockOn::Nth };
        Limit::new(n, tick * window).with_lock_on(lock_on).with_release(release)
    })
}

/// One that ends by itself.
fn timed(tick: Duration) -> impl Strategy<Value = Limit> {
    limit(tick).prop_filter("an administrator's", |limit| limit.release() != Release::Admin)
}

fn building(limits: &[Limit]) -> vouchsafe_lockout::PolicyBuilder {
    let builder = LockoutPolicy::builder().settle_within(Duration::from_secs(1));
    limits.iter().fold(builder, |builder, limit| builder.limit(*limit))
}

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(runs(60, 5_000) as u32)
    })]

    /// Several limits with every kind of release, on one counter.
    #[test]
    fn the_budget_of_limits_is_the_maximum(
        limits in proptest::collection::vec(limit(SECOND), 1..=3),
        ticks in 1_u64..11,
    ) {
        let policy = building(&limits).build().unwrap();
        let most = maximum(&policy, SECOND, ticks);
        prop_assert_eq!(policy.guess_budget(SECOND * ticks as u32), most);
        prop_assert_eq!(policy.guess_budget_beside_owner(SECOND * ticks as u32), Some(most));
    }

    /// Counters of devices, and runs that are sat out.
    #[test]
    fn the_budget_of_runs_is_the_maximum(
        first in timed(HOUR),
        second in proptest::option::of(timed(HOUR)),
        device in any::<bool>(),
        (from, more) in (1_u32..5, 0_u32..3),
        ticks in 1_u64..10,
    ) {
        let limits: Vec<Limit> = std::iter::once(first).chain(second).collect();
        // As long as any limit counts or locks; what an administrator releases is not compared.
        let memory = limits.iter().map(|limit| match limit.release() {
            Release::After(hold) => hold.max(limit.window()),
            _ => limit.window(),
        });
        let memory = memory.max().unwrap();
        let run = Consecutive { disable_at: from + more, devices_only_from: from, memory };
        let devices = device.then(|| Devices { counters: 1, ..Devices::default() });
        let policy = building(&limits).devices(devices).consecutive(run).build().unwrap();
        let most = maximum(&policy, HOUR, ticks);
        let budget = policy.guess_budget(HOUR * ticks as u32);
        if device && more > 0 {
            prop_assert!(budget >= most, "{} < {}", budget, most);
        } else {
            prop_assert_eq!(budget, most);
        }
    }

    /// While the owner signs in at will: what a success takes back is counted.
    #[test]
    fn the_budget_beside_the_owner_is_the_maximum(
        limits in proptest::collection::vec(limit(HOUR), 1..=2),
        device in any::<bool>(),
        run in proptest::option::of((1_u32..4, 0_u32..2)),
        success in proptest::sample::select(vec![
            OnSuccess::OwnCharge, OnSuccess::SameDevice, OnSuccess::OlderFailures,
        ]),
        ticks in 1_u64..5,
    ) {
        let devices = device.then(|| Devices { counters: 1, ..Devices::default() });
        let run = run.map(|(from, more)| Consecutive {
            disable_at: from + more,
            devices_only_from: from,
            memory: DAY * 366,
        });
        let policy = building(&limits).devices(devices).consecutive(run).on_success(success);
        let policy = policy.build().unwrap();
        let mut guesser = Guesser::new(&policy, HOUR, ticks);
        // Where devices are known, on one that is not the guesser's.
        guesser.owner = Some(device.then_some(1));
        match policy.guess_budget_beside_owner(HOUR * ticks as u32) {
            Some(budget) => prop_assert_eq!(budget, guesser.most(&None, 0)),
            None => prop_assert!(guesser.without_end()),
        }
    }
}

/// Where one rule gives way to another, which random policies seldom meet.
#[test]
fn the_budget_is_the_maximum_where_rules_meet() {
    let exact = |builder: vouchsafe_lockout::PolicyBuilder, ticks: u64, most: u64| {
        let policy = builder.build().unwrap();
        assert_eq!(maximum(&policy, HOUR, ticks), most, "{policy:?}");
        assert_eq!(policy.guess_budget(HOUR * ticks as u32), most, "{policy:?}");
    };
    let each_hour = [Limit::new(1, HOUR)];
    let run = |disable_at, devices_only_from, hours| Consecutive {
        disable_at,
        devices_only_from,
        memory: HOUR * hours,
    };
    // Two an hour apart, and two hours without any: at 0, 1, 3 and 4 o'clock.
    exact(building(&each_hour).consecutive(run(2, 2, 2)), 6, 4);
    // A window that outlasts the memory: at 0, 1, 3, but then not before 6.
    let slow = [Limit::new(1, HOUR), Limit::new(3, HOUR * 6)];
    exact(building(&slow).consecutive(run(2, 2, 2)), 6, 3);
    // A stranger and a device at 0, and then the device alone.
    let device = Devices { counters: 1, ..Devices::default() };
    let apart = building(&each_hour).devices(device).consecutive(run(4, 1, 9));
    exact(apart, 2, 3);
    // Nothing in no time.
    exact(building(&each_hour).consecutive(run(2, 2, 2)), 0, 0);
}

/// Of two ways to have come so far, one that is nowhere better is not followed: only so are locks
/// minded for long.
#[test]
fn the_budget_of_locks_is_the_maximum_for_days() {
    let timed = |failures, hours, hold| {
        Limit::new(failures, HOUR * hours).with_release(Release::After(HOUR * hold))
    };
    for limits in [
        [timed(2, 3, 5), timed(3, 7, 9)],
        [timed(3, 4, 6), timed(4, 9, 11)],
        [timed(2, 2, 5), Limit::new(3, HOUR * 6)],
    ] {
        let policy = building(&limits).build().unwrap();
        let most = maximum(&policy, HOUR, 40);
        assert!(most > 10);
        assert_eq!(policy.guess_budget(HOUR * 40), most, "{limits:?}");
    }
}

/// A limit of one keeps the owner out, too; all the others a sign-in takes back.
#[test]
fn an_owner_who_clears_leaves_what_one_guess_fills() {
    let policy = building(&[Limit::new(1, HOUR), Limit::new(2, HOUR * 4)])
        .on_success(OnSuccess::OlderFailures)
        .build()
        .unwrap();
    assert_eq!(policy.guess_budget(HOUR * 4), 2);
    let mut guesser = Guesser::new(&policy, HOUR, 4);
    guesser.owner = Some(None);
    assert_eq!(guesser.most(&None, 0), 4);
    assert_eq!(policy.guess_budget_beside_owner(HOUR * 4), Some(4));
}

/// What is not followed to its end is never too small, and hardly too big.
#[test]
fn a_budget_that_is_not_followed_to_its_end_is_no_smaller() {
    // Without locks the soonest is the most: three in two seconds, and four in five.
    let (pair, four) = (Limit::new(3, SECOND * 2), Limit::new(4, SECOND * 5));
    let policy = building(&[pair, four]).build().unwrap();
    for hours in [24, 24 * 366] {
        let span = HOUR * hours;
        // Rounds of four, each five seconds after the one before: three at once and one later.
        let seconds = u64::from(hours) * 3_600;
        let most = seconds / 5 * 4;
        let budget = policy.guess_budget(span);
        assert!(budget >= most && budget <= most + most / 1_000, "{budget} {most}");
    }
    // Runs of two, a minute apart and then an hour: 50 000 of them, and one more.
    let minute = Duration::from_secs(60);
    let rule = Consecutive { disable_at: 2, devices_only_from: 2, memory: HOUR };
    let policy = building(&[Limit::new(1, minute)]).consecutive(rule).build().unwrap();
    let end = minute * (61 * 49_999 + 1);
    assert_eq!(policy.guess_budget(end), 99_999);
    assert_eq!(policy.guess_budget(end + MS), 100_000);
    let beyond = policy.guess_budget(end + minute * 61 * 10);
    assert!((100_020..=102_100).contains(&beyond), "{beyond}");
}
