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

use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vouchsafe_core::{Comparison, Order, PolicyDigest, compare};
use vouchsafe_lockout::{
    Limit, LockOn, LockoutError as E, LockoutMachine, LockoutPolicy, LockoutVerdict as V,
    OnSuccess, Release, Wait, Witness,
};
use vouchsafe_testkit::runs;

/// The first of these attempts that the real machine refuses.
fn refused(policy: &LockoutPolicy, witness: &Witness) -> Option<usize> {
    let mut account = Account::new(LockoutMachine::new(policy.clone(), PolicyDigest::NONE));
    witness.attempts().iter().enumerate().position(|(index, attempt)| {
        let (id, now) = (index as u64, START.after(attempt.after));
        let admitted = matches!(account.send(begin(id), now), V::Admitted(_));
        if admitted {
            account.send(if attempt.right { right(id) } else { wrong(id) }, now);
        }
        !admitted
    })
}

#[track_caller]
fn shows(candidate: &LockoutPolicy, baseline: &LockoutPolicy, witness: &Witness) {
    assert_eq!(refused(candidate, witness), None, "the weaker one admits all: {witness}");
    let last = witness.attempts().len() - 1;
    assert_eq!(refused(baseline, witness), Some(last), "the baseline refuses the last: {witness}");
}

#[track_caller]
fn weaker(candidate: &LockoutPolicy, baseline: &LockoutPolicy) {
    match compare(candidate, baseline) {
        Comparison::Weaker(witness) => shows(candidate, baseline, &witness),
        other => panic!("{other:?}"),
    }
    assert_eq!(compare(baseline, candidate), Comparison::NoWeaker);
}

fn one(failures: u32, window: Duration) -> LockoutPolicy {
    policy(&[Limit::new(failures, window)])
}

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
    assert_eq!(clearing(5).join(&one(5, DAY)).on_success(), OnSuccess::OwnCharge);
    assert_eq!(clearing(5).join(&clearing(5)).on_success(), OnSuccess::OlderFailures);
}

#[test]
fn implied_limits_are_dropped() {
    let limits = [Limit::new(3, HOUR), Limit::new(80, DAY), Limit::new(4, HOUR)];
    let builder = limits.iter().fold(LockoutPolicy::builder(), |builder, limit| {
        builder.limit(if limit.failures() == 80 { Limit::new(64, DAY / 2) } else { *limit })
    });
    assert_eq!(builder.build().unwrap().limits(), [Limit::new(3, HOUR)]);
}

#[test]
fn says_everything_that_is_wrong() {
    let days_367 = DAY * 367;
    let built = LockoutPolicy::builder()
        .limit(Limit::new(0, DAY))
        .limit(Limit::new(65, Duration::ZERO))
        .limit(Limit::new(5, days_367).with_release(Release::After(days_367)))
        .limit(Limit::new(5, DAY))
        .limit(Limit::new(5, DAY))
        .settle_within(Duration::ZERO)
        .wait(Wait { time: Duration::from_secs(61), per_key: 2, per_process: 1 })
        .build();
    let (min, max) = (LockoutPolicy::MIN_WINDOW, LockoutPolicy::MAX_WINDOW);
    assert_eq!(
        built,
        Err(vec![
            E::TooManyLimits { found: 5, max: 4 },
            E::NoFailures { limit: 0 },
            E::TooManyFailures { limit: 1, found: 65, max: 64 },
            E::Window { limit: 1, min, max },
            E::Window { limit: 2, min, max },
            E::Release { limit: 2, min, max },
            E::SettleWithin {
                min: LockoutPolicy::MIN_SETTLE_WITHIN,
                max: LockoutPolicy::MAX_SETTLE_WITHIN
            },
            E::WaitTime { max: LockoutPolicy::MAX_WAIT },
            E::WaitCount { max: LockoutPolicy::MAX_WAITING },
        ])
    );
    assert_eq!(LockoutPolicy::builder().build(), Err(vec![E::NoLimit]));
}

#[test]
fn bounds_are_inclusive() {
    for (limit, good) in [
        (Limit::new(64, DAY), true),
        (Limit::new(1, LockoutPolicy::MIN_WINDOW), true),
        (Limit::new(1, LockoutPolicy::MAX_WINDOW), true),
        (Limit::new(1, LockoutPolicy::MIN_WINDOW - Duration::from_nanos(1)), false),
        (Limit::new(1, LockoutPolicy::MAX_WINDOW + Duration::from_nanos(1)), false),
    ] {
        assert_eq!(LockoutPolicy::builder().limit(limit).build().is_ok(), good, "{limit:?}");
    }
    let (min, max) = (LockoutPolicy::MIN_WINDOW, LockoutPolicy::MAX_WINDOW);
    let nano = Duration::from_nanos(1);
    for (hold, good) in [(min, true), (max, true), (min - nano, false), (max + nano, false)] {
        let limit = Limit::new(5, DAY).with_release(Release::After(hold));
        assert_eq!(LockoutPolicy::builder().limit(limit).build().is_ok(), good, "{hold:?}");
    }
    for (count, good) in [(4, true), (5, false)] {
        let builder = LockoutPolicy::builder();
        let built = (0..count).fold(builder, |builder, _| builder.limit(Limit::new(5, DAY)));
        assert_eq!(built.build().is_ok(), good, "{count} limits");
    }
    let five = || LockoutPolicy::builder().limit(Limit::new(5, DAY));
    for (seconds, good) in [(0, false), (1, true), (300, true), (301, false)] {
        let built = five().settle_within(Duration::from_secs(seconds)).build();
        assert_eq!(built.is_ok(), good, "{seconds}");
    }
    for (wait, good) in [
        (Wait { time: Duration::from_secs(60), per_key: 65_536, per_process: 65_536 }, true),
        (Wait { time: Duration::ZERO, per_key: 0, per_process: 0 }, true),
        (Wait { time: Duration::ZERO, per_key: 0, per_process: 65_537 }, false),
    ] {
        assert_eq!(five().wait(wait).build().is_ok(), good, "{wait:?}");
    }
    let defaults = five().build().unwrap();
    assert_eq!(defaults.settle_within(), Duration::from_secs(10));
    let wait = defaults.wait();
    assert_eq!((wait.time.as_secs(), wait.per_key, wait.per_process), (5, 256, 4_096));
    assert_eq!(defaults.on_success(), OnSuccess::OwnCharge);
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
        let builder = limits.iter().fold(LockoutPolicy::builder(), |builder, l| builder.limit(*l));
        let clears = if clears { OnSuccess::OlderFailures } else { OnSuccess::OwnCharge };
        builder.on_success(clears).build().unwrap()
    })
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
        if compare(&c, &a).is_no_weaker() && compare(&c, &b).is_no_weaker() {
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
