//! Every counter at once, against an oracle: devices, runs, repeats, and what a success takes back.
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

use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vouchsafe_core::{PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, Lock, LockoutMachine, LockoutPolicy, LockoutVerdict as V,
    OnSuccess,
};
use vouchsafe_testkit::runs;

const D: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Rules {
    limits: Vec<(usize, Duration)>,
    counters: Option<u64>,
    run: Option<Consecutive>,
    on_success: OnSuccess,
}

#[derive(Clone, Copy)]
struct Charge {
    id: u64,
    at: Timestamp,
    device: Option<u64>,
    /// Not taken back.
    counts: bool,
    failed: bool,
    in_run: bool,
}

/// The rule, word for word: every charge ever made stays on the list.
#[derive(Default)]
struct Oracle {
    charges: Vec<Charge>,
    /// The last three wrong secrets, and when repeats were forgiven.
    wrong: Vec<u8>,
    forgiven: Vec<Timestamp>,
}

impl Oracle {
    fn run(&self, rules: &Rules, now: Timestamp) -> u32 {
        let run: Vec<_> = self.charges.iter().filter(|c| c.counts && c.in_run).collect();
        let lives = |last: &&Charge| last.at.after(rules.run.unwrap().memory) > now;
        if run.last().is_some_and(lives) { run.len() as u32 } else { 0 }
    }

    fn admits(&self, rules: &Rules, device: Option<u64>, now: Timestamp) -> bool {
        let lane = |device: Option<u64>| device.zip(rules.counters).map(|(id, n)| id % n);
        let counted = |window: Duration| {
            let inside = |c: &&Charge| c.counts && c.at.after(window) > now;
            self.charges.iter().filter(inside).filter(|c| lane(c.device) == lane(device)).count()
        };
        let known = device.is_some() && rules.counters.is_some();
        let bound = |run: Consecutive| if known { run.disable_at } else { run.devices_only_from };
        rules.limits.iter().all(|&(n, window)| counted(window) < n)
            && rules.run.is_none_or(|run| self.run(rules, now) < bound(run))
    }

    fn begin(&mut self, rules: &Rules, id: u64, at: Timestamp, device: Option<u64>) {
        if rules.run.is_some() && self.run(rules, at) == 0 {
            self.charges.iter_mut().for_each(|c| c.in_run = false);
        }
        let device = device.filter(|_| rules.counters.is_some());
        self.charges.push(Charge { id, at, device, counts: true, failed: false, in_run: true });
    }

    fn right(&mut self, rules: &Rules, id: u64, now: Timestamp) {
        let own = *self.charges.iter().find(|c| c.id == id).unwrap();
        for c in &mut self.charges {
            let older = c.at <= own.at && c.id < own.id && c.failed;
            let taken = match rules.on_success {
                OnSuccess::OlderFailures => older,
                OnSuccess::SameDevice => older && own.device.is_some() && c.device == own.device,
                _ => false,
            };
            c.counts &= c.id != id && !taken;
            c.in_run &= !c.failed && c.at.after(D) > now;
        }
    }

    /// Whether it is forgiven.
    fn wrong(&mut self, id: u64, secret: u8, now: Timestamp) -> bool {
        let known = self.wrong.contains(&secret);
        self.wrong.retain(|other| *other != secret);
        self.wrong.push(secret);
        let drop = self.wrong.len().saturating_sub(3);
        self.wrong.drain(..drop);
        let today = self.forgiven.iter().filter(|at| at.after(DAY) > now).count();
        let forgiven = known && today < 20;
        self.forgiven.extend(forgiven.then_some(now));
        let own = self.charges.iter_mut().find(|c| c.id == id).unwrap();
        (own.counts, own.failed) = (!forgiven, !forgiven);
        forgiven
    }
}

#[derive(Clone, Debug)]
enum Op {
    Begin(Option<u64>),
    Right(usize),
    Wrong(usize, u8),
    Unverified(usize),
    Unlock,
    Wait(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    let wait = prop_oneof![
        4 => (0_u64..5_000).prop_map(Duration::from_millis),
        2 => prop::sample::select(vec![1_u64, 7, 10, 20, 60]).prop_map(Duration::from_secs),
        1 => Just(MS),
        1 => Just(D - Duration::from_micros(1)),
        1 => Just(DAY / 3),
        1 => Just(HOUR),
        1 => Just(HOUR - MS),
    ];
    prop_oneof![
        8 => prop::option::of(0_u64..6).prop_map(Op::Begin),
        1 => (0_usize..6).prop_map(Op::Right),
        6 => (0_usize..6, 0_u8..5).prop_map(|(which, secret)| Op::Wrong(which, secret)),
        1 => (0_usize..6).prop_map(Op::Unverified),
        1 => prop_oneof![4 => Just(Op::Wait(MS)), 1 => Just(Op::Unlock)],
        5 => wait.prop_map(Op::Wait),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let window = prop::sample::select(vec![10_u64, 17, 20, 60]).prop_map(Duration::from_secs);
    let limits = prop::collection::vec((1_usize..5, window), 1..=2);
    let counters = prop::option::of(prop::sample::select(vec![1_u64, 2, 4]));
    let memory =
        prop::sample::select(vec![3_600_u64, 30_000, 200_000]).prop_map(Duration::from_secs);
    let run = prop::option::of((1_u32..8, 0_u32..4, memory));
    let on_success = prop::sample::select(vec![
        OnSuccess::OwnCharge,
        OnSuccess::SameDevice,
        OnSuccess::OlderFailures,
    ]);
    (limits, counters, run, on_success).prop_map(|(limits, counters, run, on_success)| {
        let run = run.map(|(strangers, more, memory)| {
            let more = if counters.is_some() { more } else { 0 };
            Consecutive { devices_only_from: strangers, disable_at: strangers + more, memory }
        });
        Rules { limits, counters, run, on_success }
    })
}

fn account(rules: &Rules) -> Account {
    let mut builder = LockoutPolicy::builder().on_success(rules.on_success).repeats(20);
    for &(n, window) in &rules.limits {
        builder = builder.limit(Limit::new(n as u32, window));
    }
    let devices = |counters: u64| Devices { counters: counters as u32, ..Devices::default() };
    let policy = builder.devices(rules.counters.map(devices)).consecutive(rules.run).build();
    Account::new(LockoutMachine::new(policy.unwrap(), PolicyDigest::NONE))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(runs(2_000, 200_000) as u32) })]

    #[test]
    fn every_counter_admits_exactly_what_its_rule_admits(
        rules in rules(),
        ops in prop::collection::vec(op(), 1..150),
    ) {
        let (mut account, mut oracle) = (account(&rules), Oracle::default());
        // What the others imply is no limit of the policy.
        let longest = account.machine.policy().limits().last().unwrap().window();
        let (mut now, mut next) = (START, 0_u64);
        for op in ops {
            // Of those that nobody settled in time, none.
            let open: Vec<u64> = oracle.charges.iter().rev()
                .filter(|c| c.counts && !c.failed && c.at.after(longest) > now)
                .map(|c| c.id)
                .collect();
            match op {
                Op::Wait(time) => now = now.after(time),
                Op::Begin(device) => {
                    let event = device.map_or_else(|| begin(next), |id| begin_from(next, id));
                    let verdict = account.send(event, now);
                    let expected = oracle.admits(&rules, device, now);
                    prop_assert_eq!(matches!(verdict, V::Admitted(_)), expected, "{:?}", verdict);
                    let undecided = |c: &Charge| c.counts && !c.failed && c.at.after(D) > now;
                    match verdict {
                        V::Admitted(_) => oracle.begin(&rules, next, now, device),
                        V::Locked { lock: Lock { until: Some(until), .. }, .. } => {
                            prop_assert!(oracle.admits(&rules, device, until));
                            let before = until.before(Duration::from_micros(1));
                            prop_assert!(!oracle.admits(&rules, device, before));
                        }
                        V::Wait { until } => {
                            prop_assert!(oracle.charges.iter().any(undecided));
                            prop_assert!(until > now && until <= now.after(D));
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                    next += 1;
                }
                Op::Right(which) => {
                    let Some(&id) = open.get(which) else { continue };
                    let signed_in = matches!(account.send(right(id), now), V::Authenticated { .. });
                    prop_assert!(signed_in);
                    oracle.right(&rules, id, now);
                }
                Op::Wrong(which, secret) => {
                    let Some(&id) = open.get(which) else { continue };
                    let verdict = account.send(wrong_secret(id, secret), now);
                    let forgiven = oracle.wrong(id, secret, now);
                    prop_assert_eq!(matches!(verdict, V::Repeated), forgiven, "{:?}", verdict);
                }
                Op::Unverified(which) => {
                    let Some(&id) = open.get(which) else { continue };
                    prop_assert!(matches!(account.send(unverified(id), now), V::Refunded));
                    oracle.charges.retain(|c| c.id != id);
                }
                Op::Unlock => {
                    account.send(unlock(1_000_000 + next), now);
                    oracle = Oracle::default();
                    next += 1;
                }
            }
            // As a store would: what runs out is gone, and what is read is what was written.
            if account.until <= now {
                account.state = None;
            }
            if account.state.is_none() {
                oracle.wrong.clear();
            }
            let written = account.state.take().map(vouchsafe_core::Cell::into_bytes);
            account.state = written.map(|bytes| vouchsafe_core::Cell::from_bytes(bytes).unwrap());
        }
    }
}
