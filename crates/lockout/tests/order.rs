//! Which policy is weaker, and the attempts that show it on the real machine.
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
mod weaker;

use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vouchsafe_core::{Comparison, Order, PolicyDigest, compare};
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockOn, LockoutMachine, LockoutPolicy, LockoutVerdict as V,
    OnSuccess, Release,
};
use vouchsafe_testkit::runs;
use weaker::*;

fn released(failures: u32, window: Duration, release: Release) -> LockoutPolicy {
    policy(&[Limit::new(failures, window).with_release(release)])
}

#[test]
fn three_an_hour_is_weaker_than_five_a_day() {
    let (hour, day) = (one(3, HOUR), one(5, DAY));
    // Over a day it lets 72 by; at once it lets fewer by: only both together are no weaker.
    let Comparison::Incomparable { weaker: more, stronger: fewer } = compare(&hour, &day) else {
        panic!("comparable")
    };
    shows(&hour, &day, &more);
    shows(&day, &hour, &fewer);
    assert_eq!(more.to_string(), "6 wrong attempts in 3600s are all verified");
    let both = hour.join(&day);
    assert_eq!(both.limits(), [Limit::new(3, HOUR), Limit::new(5, DAY)]);
    weaker(&hour, &both);
    weaker(&day, &both);
}

#[test]
fn each_number_has_its_direction() {
    let base = one(5, DAY);
    weaker(&one(6, DAY), &base);
    weaker(&one(5, DAY - Duration::from_micros(1)), &base);
    weaker(&policy(&[Limit::new(5, DAY).with_lock_on(LockOn::Exceeding)]), &base);
    weaker(&base, &released(5, DAY, Release::After(HOUR)));
    weaker(&released(5, DAY, Release::After(HOUR)), &released(5, DAY, Release::After(2 * HOUR)));
    weaker(&released(5, DAY, Release::After(2 * DAY)), &released(5, DAY, Release::Admin));
    weaker(&base, &released(5, DAY, Release::Admin));
}

#[test]
fn a_lock_that_is_never_reached_is_no_stricter() {
    // Whoever makes four a day at most never fills five a day.
    let locked = released(5, DAY, Release::Admin);
    assert!(compare(&one(4, DAY), &locked).is_no_weaker());
    weaker(&one(5, DAY), &locked);
}

#[test]
fn four_exceeded_is_five() {
    let exceeding = policy(&[Limit::new(4, DAY).with_lock_on(LockOn::Exceeding)]);
    assert!(compare(&exceeding, &one(5, DAY)).is_no_weaker());
    assert!(compare(&one(5, DAY), &exceeding).is_no_weaker());
}

#[test]
fn a_longer_window_outlasts_a_timed_lock() {
    // Whoever fills 5 in 48 h inside 24 h waits 24 h more at least.
    assert!(compare(&one(5, 2 * DAY), &released(5, DAY, Release::After(HOUR))).is_no_weaker());
    weaker(
        &one(5, DAY + HOUR / 2),
        &policy(&[
            Limit::new(5, DAY).with_release(Release::After(HOUR)),
            Limit::new(5, DAY + HOUR / 2),
        ]),
    );
}

#[test]
fn a_single_failure_with_a_timed_lock_is_a_longer_window() {
    let locked = released(1, HOUR, Release::After(DAY));
    assert!(compare(&locked, &one(1, DAY)).is_no_weaker());
    assert!(compare(&one(1, DAY), &locked).is_no_weaker());
}

#[test]
fn staying_below_a_lock_is_a_witness_too() {
    // Three in 15 minutes lock for ever, but two in 15 minutes go on all day.
    let stig = released(3, HOUR / 4, Release::Admin);
    let Some(witness) = stig.weakening(&one(5, DAY)) else { panic!("not weaker") };
    shows(&stig, &one(5, DAY), &witness);
}

#[test]
fn a_lock_may_be_filled_at_the_very_end() {
    // 0, 0, 15, 15 and 15 minutes: the fifth locks for ever, and was verified.
    let stig = released(3, HOUR / 4, Release::Admin);
    let Some(witness) = stig.weakening(&one(4, HOUR / 2)) else { panic!("not weaker") };
    shows(&stig, &one(4, HOUR / 2), &witness);
    // Five in half an hour it never lets by; the comparison cannot tell, and says weaker.
    let Some(witness) = stig.weakening(&one(5, HOUR / 2)) else { panic!("decided") };
    assert!(refused(&one(5, HOUR / 2), &witness).is_some());
}

#[test]
fn a_lock_is_filled_late_and_sat_out() {
    let minute = HOUR / 60;
    for (candidate, baseline) in [
        // 0, 3 and 3 minutes fill the baseline for ever; the candidate's lock ends.
        (
            released(2, minute * 3, Release::After(minute * 100)),
            released(3, minute * 5, Release::Admin),
        ),
        // 0, 1, 2 and 2 minutes: the last one fills the candidate.
        (released(2, minute, Release::Admin), one(3, minute * 3)),
    ] {
        let Some(witness) = candidate.weakening(&baseline) else { panic!("not weaker") };
        shows(&candidate, &baseline, &witness);
    }
}

#[test]
fn only_what_locks_is_stayed_below() {
    // 0, 1, 2, 60, 61 and 62 minutes: three an hour is filled, two a minute never.
    let minute = Limit::new(2, HOUR / 60).with_release(Release::Admin);
    let candidate = policy(&[minute, Limit::new(3, HOUR)]);
    let Some(witness) = candidate.weakening(&one(5, 2 * HOUR)) else { panic!("not weaker") };
    shows(&candidate, &one(5, 2 * HOUR), &witness);
}

#[test]
fn clearing_on_success_is_weaker() {
    let clearing = |n| {
        let builder = LockoutPolicy::builder().limit(Limit::new(n, DAY));
        builder.on_success(OnSuccess::OlderFailures).build().unwrap()
    };
    weaker(&clearing(5), &one(5, DAY));
    let Some(witness) = clearing(3).weakening(&one(5, DAY)) else { panic!("not weaker") };
    shows(&clearing(3), &one(5, DAY), &witness);
    assert!(witness.to_string().ends_with("when the owner signs in between them"));
    // Locked after one failure, nobody can sign in between.
    assert!(compare(&clearing(1), &one(1, DAY)).is_no_weaker());
    assert_eq!(clearing(5).join(&one(5, DAY)).on_success(), OnSuccess::SameDevice);
    assert_eq!(clearing(5).join(&clearing(5)).on_success(), OnSuccess::OlderFailures);
}

#[test]
fn clearing_what_a_longer_limit_counts_is_weaker() {
    let both = |on_success| {
        let builder = LockoutPolicy::builder().limit(Limit::new(1, HOUR)).limit(Limit::new(2, DAY));
        builder.on_success(on_success).build().unwrap()
    };
    // One an hour locks the owner out for that hour only; then their success clears the day's.
    weaker(&both(OnSuccess::OlderFailures), &both(OnSuccess::OwnCharge));
    // Two in two hours are no more than one an hour.
    let loose = |on_success| {
        let builder = LockoutPolicy::builder().limit(Limit::new(1, HOUR));
        builder.limit(Limit::new(2, HOUR * 2)).on_success(on_success).build().unwrap()
    };
    assert!(compare(&loose(OnSuccess::OlderFailures), &loose(OnSuccess::OwnCharge)).is_no_weaker());
    let mine = |on_success| {
        let builder = LockoutPolicy::builder().limit(Limit::new(1, HOUR)).limit(Limit::new(2, DAY));
        builder.devices(Devices::default()).on_success(on_success).build().unwrap()
    };
    weaker(&mine(OnSuccess::SameDevice), &mine(OnSuccess::OwnCharge));
    let often = |on_success| {
        let limit = Limit::new(1, Duration::from_secs(10));
        let builder = LockoutPolicy::builder().limit(limit).limit(Limit::new(5, DAY));
        builder.on_success(on_success).build().unwrap()
    };
    weaker(&often(OnSuccess::OlderFailures), &often(OnSuccess::OwnCharge));
}

#[test]
fn guess_budget_counts_the_rule() {
    let budget = |policy: LockoutPolicy, time| policy.guess_budget(time);
    assert_eq!(budget(one(5, DAY), DAY), 5);
    assert_eq!(budget(one(5, DAY), DAY + Duration::from_micros(1)), 10);
    assert_eq!(budget(one(5, DAY), Duration::ZERO), 0);
    assert_eq!(budget(one(3, HOUR), DAY), 72);
    assert_eq!(budget(policy(&[Limit::new(3, HOUR), Limit::new(5, DAY)]), DAY), 5);
    assert_eq!(budget(policy(&[Limit::new(3, HOUR), Limit::new(5, DAY)]), HOUR), 3);
    assert_eq!(budget(policy(&[Limit::new(3, HOUR), Limit::new(5, DAY)]), 2 * DAY), 10);
    // Two each 15 minutes, and a third at the end.
    assert_eq!(budget(released(3, HOUR / 4, Release::Admin), DAY), 2 * 96 + 1);
    // Ten, then half an hour's lock: filling pays better than staying below.
    assert_eq!(budget(released(10, HOUR / 2, Release::After(HOUR / 2)), DAY), 480);
    assert_eq!(budget(one(64, Duration::from_secs(1)), DAY * 366), 64 * 86_400 * 366);
    // 0, 0, 2, 3 and 4 seconds; the next comes at 5. Each alone lets six by.
    let second = Duration::from_secs(1);
    let both = policy(&[Limit::new(2, second * 2), Limit::new(3, second * 3)]);
    assert_eq!(budget(both, second * 5), 5);
    let long =
        policy(&[Limit::new(2, Duration::from_secs(1)), Limit::new(3, Duration::from_secs(2))]);
    assert!(budget(long, DAY * 366) >= 3 * 43_200 * 366);
}

fn limit() -> impl Strategy<Value = Limit> {
    let window = proptest::sample::select(vec![1_u64, 2, 3, 5, 10, 60]);
    (1_u32..5, window, any::<bool>()).prop_map(|(n, window, exceeding)| {
        let lock_on = if exceeding { LockOn::Exceeding } else { LockOn::Nth };
        Limit::new(n, Duration::from_secs(window)).with_lock_on(lock_on)
    })
}

fn held_limit() -> impl Strategy<Value = Limit> {
    let release = prop_oneof![
        Just(Release::WindowSlides),
        proptest::sample::select(vec![1_u64, 2, 7, 100])
            .prop_map(|hold| Release::After(Duration::from_secs(hold))),
        Just(Release::Admin),
    ];
    (limit(), release).prop_map(|(limit, release)| limit.with_release(release))
}

fn policies(limit: impl Strategy<Value = Limit>) -> impl Strategy<Value = LockoutPolicy> {
    (proptest::collection::vec(limit, 1..=3), any::<bool>()).prop_map(|(limits, clears)| {
        let builder = LockoutPolicy::builder().settle_within(LockoutPolicy::MIN_SETTLE_WITHIN);
        let builder = limits.iter().fold(builder, |builder, l| builder.limit(*l));
        let clears = if clears { OnSuccess::OlderFailures } else { OnSuccess::OwnCharge };
        builder.on_success(clears).build().unwrap()
    })
}

/// Policies with every kind of counter.
fn counting() -> impl Strategy<Value = LockoutPolicy> {
    let devices = proptest::option::of(proptest::sample::select(vec![1_u32, 2, 4]));
    let memory = proptest::sample::select(vec![3_600_u64, 5_000]).prop_map(Duration::from_secs);
    let run = proptest::option::of((1_u32..5, 0_u32..3, memory));
    let limits = proptest::collection::vec(held_limit(), 1..=2);
    (limits, 0_usize..3, devices, run).prop_map(|(limits, success, devices, run)| {
        let success =
            [OnSuccess::OwnCharge, OnSuccess::SameDevice, OnSuccess::OlderFailures][success];
        let builder = LockoutPolicy::builder().settle_within(LockoutPolicy::MIN_SETTLE_WITHIN);
        let builder = limits.iter().fold(builder, |builder, l| builder.limit(*l));
        let devices = devices.map(|counters| Devices { counters, ..Devices::default() });
        let run = run.map(|(devices_only_from, more, memory)| Consecutive {
            disable_at: devices_only_from + more,
            devices_only_from,
            memory,
        });
        builder.on_success(success).devices(devices).consecutive(run).build().unwrap()
    })
}

/// Attempts from here and there, now and then, of which some are right. Whatever the strict policy
/// admits of them one after the other, the lax one has to.
fn attempts_admitted_by_both(
    strict: &LockoutPolicy,
    lax: &LockoutPolicy,
    attempts: &[(u64, Option<u64>, bool)],
) -> bool {
    let machine = |policy: &LockoutPolicy| {
        Account::new(LockoutMachine::new(policy.clone(), PolicyDigest::NONE))
    };
    let (mut one, mut two) = (machine(strict), machine(lax));
    let mut now = START;
    for (id, &(pause, device, is_right)) in (0..).zip(attempts) {
        now = now.after(Duration::from_millis(pause * 250));
        let event = || device.map_or_else(|| begin(id), |device| begin_from(id, device));
        if !matches!(one.send(event(), now), V::Admitted(_)) {
            continue;
        }
        if !matches!(two.send(event(), now), V::Admitted(_)) {
            return false;
        }
        for account in [&mut one, &mut two] {
            account.send(if is_right { right(id) } else { wrong(id) }, now);
        }
    }
    true
}

/// Wrong attempts that a policy admits, pausing at random; none of them may be refused by a
/// policy that is no stricter.
fn admitted_by_both(strict: &LockoutPolicy, lax: &LockoutPolicy, pauses: &[u64]) -> bool {
    let machine = |policy: &LockoutPolicy| {
        Account::new(LockoutMachine::new(policy.clone(), PolicyDigest::NONE))
    };
    let (mut one, mut two) = (machine(strict), machine(lax));
    let mut now = START;
    for (id, pause) in pauses.iter().enumerate() {
        now = now.after(Duration::from_millis(pause * 250));
        if one.guess(id as u64, now) && !two.guess(id as u64, now) {
            return false;
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(runs(2_000, 200_000) as u32)
    })]

    /// Without timed locks the order is exact, both ways.
    #[test]
    fn every_witness_runs(a in policies(limit()), b in policies(limit())) {
        for (candidate, baseline) in [(&a, &b), (&b, &a)] {
            if let Some(witness) = candidate.weakening(baseline) {
                shows(candidate, baseline, &witness);
            }
        }
    }

    /// So it is against a baseline with timed locks.
    #[test]
    fn every_witness_against_timed_locks_runs(
        a in policies(limit()),
        b in policies(held_limit()),
    ) {
        if let Some(witness) = a.weakening(&b) {
            shows(&a, &b, &witness);
        }
    }

    /// "No weaker" is never wrong: what one admits, the other would have admitted.
    #[test]
    fn no_weaker_admits_no_more(
        a in policies(held_limit()),
        b in policies(held_limit()),
        pauses in proptest::collection::vec(prop_oneof![3 => Just(0_u64), 2 => 0_u64..45], 1..60),
    ) {
        for (strict, lax) in [(&a, &b), (&b, &a)] {
            if compare(strict, lax).is_no_weaker() {
                prop_assert!(admitted_by_both(strict, lax, &pauses));
            }
        }
        prop_assert!(admitted_by_both(&a.join(&b), &a, &pauses));
    }

    /// So it is with every counter, from strangers and devices, with sign-ins between.
    #[test]
    fn no_weaker_admits_no_more_with_every_counter(
        a in counting(),
        b in counting(),
        attempts in proptest::collection::vec(
            (
                prop_oneof![6 => Just(0_u64), 3 => 0_u64..45, 1 => Just(4 * 3_600)],
                proptest::option::of(0_u64..5),
                proptest::bool::weighted(0.1),
            ),
            1..60,
        ),
    ) {
        for (strict, lax) in [(&a, &b), (&b, &a)] {
            if compare(strict, lax).is_no_weaker() {
                prop_assert!(attempts_admitted_by_both(strict, lax, &attempts));
            }
        }
        prop_assert!(attempts_admitted_by_both(&a.join(&b), &a, &attempts));
    }

    /// What is called weaker shows at least what the baseline refuses.
    #[test]
    fn every_witness_is_refused_by_the_baseline(a in counting(), b in counting()) {
        if let Some(witness) = a.weakening(&b) {
            prop_assert!(refused(&b, &witness).is_some(), "{}", witness);
        }
        prop_assert!(compare(&a, &a).is_no_weaker());
        let join = a.join(&b);
        prop_assert!(compare(&join, &a).is_no_weaker() && compare(&join, &b).is_no_weaker());
        prop_assert_eq!(&a.join(&a), &a);
    }

    #[test]
    fn the_laws_of_an_order(
        a in policies(held_limit()),
        b in policies(held_limit()),
        c in policies(held_limit()),
    ) {
        prop_assert!(compare(&a, &a).is_no_weaker());
        let join = a.join(&b);
        prop_assert!(compare(&join, &a).is_no_weaker(), "{:?}", join);
        prop_assert!(compare(&join, &b).is_no_weaker(), "{:?}", join);
        prop_assert_eq!(&a.join(&a), &a);
        let other = b.join(&a);
        prop_assert!(compare(&join, &other).is_no_weaker() && compare(&other, &join).is_no_weaker());
        let (left, right) = (join.join(&c), a.join(&b.join(&c)));
        prop_assert!(compare(&left, &right).is_no_weaker() && compare(&right, &left).is_no_weaker());
        // One whose success takes back more may stand in for both by having less room.
        let alike = c.on_success() <= join.on_success();
        if alike && compare(&c, &a).is_no_weaker() && compare(&c, &b).is_no_weaker() {
            prop_assert!(compare(&c, &join).is_no_weaker(), "not the least: {:?}", join);
        }
        if compare(&a, &b).is_no_weaker() && compare(&b, &c).is_no_weaker() {
            prop_assert!(compare(&a, &c).is_no_weaker());
        }
    }

    /// The budget of one limit is reached, by filling, by staying below or by both.
    #[test]
    fn the_budget_is_never_too_small(
        a in policies(held_limit()),
        pauses in proptest::collection::vec(prop_oneof![3 => Just(0_u64), 2 => 0_u64..45], 1..60),
        horizon in 1_u64..40_000,
    ) {
        let horizon = Duration::from_millis(horizon);
        let mut account = Account::new(LockoutMachine::new(a.clone(), PolicyDigest::NONE));
        let (mut now, mut hashed) = (START, 0_u64);
        for (id, pause) in pauses.iter().enumerate() {
            now = now.after(Duration::from_millis(pause * 250));
            if now >= START.after(horizon) {
                break;
            }
            hashed += u64::from(account.guess(id as u64, now));
        }
        prop_assert!(hashed <= a.guess_budget(horizon));
    }
}
