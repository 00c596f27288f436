//! LK-22: what each preset lets a guesser have verified who has devices of every kind, and never
//! misses the first moment.
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

use std::time::Duration;

use siege::guard::{Answer, Attempt, Guard, Name, Who};
use siege::monitor::Monitor;
use siege::ours::Ours;
use siege::world::{DAY, HOUR, Password, START, World, machine};
use vouchsafe_core::Timestamp;
use vouchsafe_lockout::{Consecutive, Devices, Limit, LockoutPolicy, OnSuccess};
use vouchsafe_policy::Policy;
use vouchsafe_testkit::runs;

/// Enough that there are two on each of eight counters.
const DEVICES: u8 = 32;

/// One account's stranger and, if they come, its owner.
struct Besieged {
    guard: Ours,
    /// A new source for each attempt: what is throttled by source is no bound of the account.
    sources: u64,
}

impl Besieged {
    fn new(policy: &LockoutPolicy) -> Self {
        let (world, devices) = (World::new(1, 1), usize::from(DEVICES));
        let guard = Ours::with_devices(policy.clone(), &world, 1 << 20, devices).unwrap();
        Self { guard, sources: 0 }
    }

    /// Whether the attempt was verified.
    fn tries(&mut self, device: Option<u8>, is_right: bool, now: Timestamp) -> bool {
        self.sources += 1;
        let password = Password(self.sources);
        let (name, source, who) = (Name::User(0), machine(self.sources), Who::Stranger);
        let attempt = Attempt { name, password, source, device, who };
        match self.guard.begin(&attempt, now) {
            Answer::Verify(ticket) => {
                self.guard.settle(ticket, &attempt, is_right, now);
                true
            }
            Answer::Wait | Answer::Refuse => false,
        }
    }
}

/// The most guesses in any span of each of these lengths, over so long, when everybody tries at each
/// tick. The owner, where they come, signs in wherever it brings the guesser on.
fn most(
    policy: &LockoutPolicy,
    spans: &[Duration],
    ticks: u32,
    tick: Duration,
    owner: bool,
) -> Vec<u64> {
    let mut account = Besieged::new(policy);
    let mut monitors: Vec<Monitor> = spans.iter().map(|span| Monitor::new(*span)).collect();
    let origins = || std::iter::once(None).chain((1..DEVICES).map(Some));
    // The owner's own device, or whatever there is where devices are not told apart.
    let own = policy.devices().map(|_| 0);
    for number in 0..ticks {
        let now = START.after(tick * number);
        for origin in origins() {
            loop {
                if owner {
                    account.tries(own, true, now);
                }
                if !account.tries(origin, false, now) {
                    break;
                }
                monitors.iter_mut().for_each(|monitor| monitor.saw(Name::User(0), now));
            }
            // Where devices are not told apart all are strangers.
            if policy.devices().is_none() {
                break;
            }
        }
    }
    monitors.iter().map(|monitor| monitor.most() as u64).collect()
}

#[track_caller]
fn agrees(name: &str, policy: &LockoutPolicy, spans: &[Duration], tick: Duration) {
    let longest = spans.iter().max().unwrap().as_secs() / tick.as_secs();
    let ticks = u32::try_from(longest).unwrap() / 4 * 5 + 1;
    let budgets: Vec<u64> = spans.iter().map(|span| policy.guess_budget(*span)).collect();
    assert_eq!(most(policy, spans, ticks, tick, false), budgets, "{name}");
    let budgets: Option<Vec<u64>> =
        spans.iter().map(|span| policy.guess_budget_beside_owner(*span)).collect();
    assert_eq!(Some(most(policy, spans, ticks, tick, true)), budgets, "{name}, beside the owner");
    println!("{name}: {budgets:?} in {spans:?}");
}

#[test]
fn every_preset_lets_by_what_its_budget_says() {
    let minute = Duration::from_secs(60);
    for name in Policy::PRESETS {
        let preset = Policy::preset(name).unwrap();
        let policy = preset.lockout();
        let spans = [minute, HOUR, HOUR * 2, DAY, DAY + minute, DAY * 2];
        agrees(name, policy, &spans, minute);
        // Within the time for which the presets know a device.
        let spans = [DAY * 7, DAY * 30, DAY * runs(30, 130) as u32];
        agrees(name, policy, &spans, HOUR);
    }
}

/// What no preset asks for, and a document may.
#[test]
fn every_kind_of_counter_lets_by_what_its_budget_says() {
    let build = |limits: &[(u32, Duration)], devices: Option<Devices>, run: Option<Consecutive>| {
        let builder = LockoutPolicy::builder().on_success(OnSuccess::SameDevice);
        let limits = limits.iter().map(|(count, window)| Limit::new(*count, *window));
        let builder = limits.fold(builder, |builder, limit| builder.limit(limit));
        builder.devices(devices).consecutive(run).build().unwrap()
    };
    let devices = |counters| Some(Devices { counters, valid_for: DAY * 366 });
    let run = Some(Consecutive::default());
    let both = [(10, HOUR), (30, DAY)];
    // The memory of a run is 90 days: in 130 there are two.
    let spans = [HOUR, DAY, DAY + HOUR, DAY * 5, DAY * 20, DAY * 100, DAY * 130];
    for (name, policy) in [
        ("devices", build(&[(5, DAY)], devices(8), None)),
        ("devices, two limits", build(&both, devices(2), None)),
        ("a run", build(&[(5, DAY)], None, run)),
        ("a run, two limits", build(&both, None, run)),
        ("a run, devices", build(&[(5, DAY)], devices(4), run)),
        ("a run, devices, two limits", build(&both, devices(4), run)),
    ] {
        agrees(name, &policy, &spans, HOUR);
    }
}
