//! Which policy is weaker by what stands beside its limits: counters of devices and of runs, forgiven
//! repeats, outages.
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
use vouchsafe_core::{Comparison, Order, compare};
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockoutError as E, LockoutPolicy, MayRollBack, OnSuccess, Outage,
};
use weaker::*;

fn with(devices: Option<Devices>, consecutive: Option<Consecutive>) -> LockoutPolicy {
    let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
    builder.devices(devices).consecutive(consecutive).build().unwrap()
}

fn counters(counters: u32) -> LockoutPolicy {
    with(Some(Devices { counters, ..Devices::default() }), None)
}

#[test]
fn more_device_counters_are_weaker() {
    weaker(&counters(1), &one(5, DAY));
    for (more, fewer) in [(2, 1), (4, 2), (8, 4), (8, 1)] {
        weaker(&counters(more), &counters(fewer));
        assert_eq!(counters(more).join(&counters(fewer)), counters(fewer));
    }
    assert_eq!(counters(4).join(&one(5, DAY)), one(5, DAY));
    // Two counters of two a day are no more than four a day, and more than three.
    let two = |n| {
        let builder = LockoutPolicy::builder().limit(Limit::new(n, DAY));
        builder.devices(Devices { counters: 1, ..Devices::default() })
    };
    let two = two(2).on_success(OnSuccess::OwnCharge).build().unwrap();
    assert!(compare(&two, &one(4, DAY)).is_no_weaker());
    let Some(witness) = two.weakening(&one(3, DAY)) else { panic!("not weaker") };
    shows(&two, &one(3, DAY), &witness);
    assert!(witness.to_string().ends_with("some from devices that have signed in before"));
}

#[test]
fn for_how_long_devices_are_known_is_not_compared() {
    let known = |days: u32| with(Some(Devices { counters: 4, valid_for: DAY * days }), None);
    assert!(compare(&known(181), &known(180)).is_no_weaker());
    assert!(compare(&known(180), &known(181)).is_no_weaker());
    assert_eq!(known(181).join(&known(180)), known(180));
}

#[test]
fn a_success_that_clears_its_device_is_weaker_than_one_that_does_not() {
    let clears = |on_success| {
        let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
        builder.devices(Devices::default()).on_success(on_success).build().unwrap()
    };
    weaker(&clears(OnSuccess::SameDevice), &clears(OnSuccess::OwnCharge));
    weaker(&clears(OnSuccess::OlderFailures), &clears(OnSuccess::SameDevice));
    // Without devices, nobody is the same device.
    let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
    let own = builder.on_success(OnSuccess::OwnCharge).build().unwrap();
    assert!(compare(&one(5, DAY), &own).is_no_weaker());
    assert!(compare(&own, &one(5, DAY)).is_no_weaker());
}

#[test]
fn each_number_of_a_run_has_its_direction() {
    let run = |disable_at, devices_only_from, days| {
        let memory = DAY * days;
        Some(Consecutive { disable_at, devices_only_from, memory })
    };
    let four = Some(Devices::default());
    let base = with(four, run(100, 90, 90));
    weaker(&with(four, None), &base);
    weaker(&base, &with(four, run(99, 90, 90)));
    weaker(&base, &with(four, run(100, 89, 90)));
    weaker(&base, &with(four, run(100, 90, 91)));
    weaker(&with(None, None), &with(None, run(100, 100, 90)));
    weaker(&with(None, run(100, 90, 90)), &with(None, run(99, 99, 90)));
    assert_eq!(with(None, run(100, 90, 90)).consecutive(), run(100, 100, 90));
    // Devices are told apart from strangers on one side only.
    let strict = with(None, run(90, 90, 90));
    assert!(compare(&strict, &base).is_no_weaker());
    let Some(witness) = with(None, run(100, 100, 90)).weakening(&base) else { panic!("no weaker") };
    shows(&with(None, run(100, 100, 90)), &base, &witness);
    // The join holds what both hold.
    let joined = with(four, run(100, 50, 90)).join(&with(None, run(95, 95, 100)));
    assert_eq!(joined.consecutive(), run(50, 50, 100));
    assert_eq!(base.join(&with(four, None)), base);
}

#[test]
fn a_run_is_no_limit_because_a_success_ends_it() {
    // Five in a row and three an hour; six a day all the same, when the owner signs in between.
    let builder = LockoutPolicy::builder().limit(Limit::new(3, HOUR));
    let run = Consecutive { disable_at: 5, devices_only_from: 5, memory: DAY * 90 };
    let candidate = builder.consecutive(run).build().unwrap();
    let Some(witness) = candidate.weakening(&one(5, DAY)) else { panic!("not weaker") };
    shows(&candidate, &one(5, DAY), &witness);
}

#[test]
fn forgiving_repeats_is_weaker() {
    let forgiving = |repeats| {
        LockoutPolicy::builder().limit(Limit::new(5, DAY)).repeats(repeats).build().unwrap()
    };
    weaker(&forgiving(1), &one(5, DAY));
    weaker(&forgiving(20), &forgiving(19));
    assert_eq!(forgiving(20).join(&forgiving(3)), forgiving(3));
    let built = LockoutPolicy::builder().limit(Limit::new(5, DAY)).repeats(21).build();
    assert_eq!(built, Err(vec![E::Repeats { max: 20 }]));
}

fn down(when_store_is_down: Outage) -> LockoutPolicy {
    let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
    builder.when_store_is_down(when_store_is_down).build().unwrap()
}

const fn degraded(failures: u32, window: Duration) -> Outage {
    Outage::FailDegraded { failures, window }
}

#[test]
fn an_outage_that_lets_more_by_is_weaker() {
    weaker(&down(degraded(1, DAY)), &one(5, DAY));
    weaker(&down(Outage::FailOpen), &down(degraded(64, HOUR)));
    weaker(&down(degraded(3, DAY)), &down(degraded(2, DAY)));
    weaker(&down(degraded(2, HOUR)), &down(degraded(2, DAY)));
    let Comparison::Incomparable { weaker: more, stronger: fewer } =
        compare(&down(degraded(2, HOUR)), &down(degraded(5, DAY)))
    else {
        panic!("comparable")
    };
    shows(&down(degraded(2, HOUR)), &down(degraded(5, DAY)), &more);
    shows(&down(degraded(5, DAY)), &down(degraded(2, HOUR)), &fewer);
    assert!(more.to_string().ends_with("while the store of the failures does not answer"));
    // The join is no weaker than either.
    let joined = |one, two| down(one).join(&down(two)).when_store_is_down();
    assert_eq!(joined(degraded(2, HOUR), degraded(5, DAY)), degraded(2, DAY));
    assert_eq!(joined(degraded(2, DAY), degraded(5, DAY)), degraded(2, DAY));
    assert_eq!(joined(degraded(5, DAY), degraded(2, DAY)), degraded(2, DAY));
    // One an hour is no more than two in two hours: no stricter rule is made up.
    let (hourly, burst) = (degraded(1, HOUR), degraded(5, HOUR * 2));
    for (strict, lax) in [
        (hourly, burst),
        (Outage::Refuse, degraded(2, DAY)),
        (degraded(2, DAY), Outage::FailOpen),
        (Outage::Refuse, Outage::FailOpen),
    ] {
        assert_eq!((joined(strict, lax), joined(lax, strict)), (strict, strict));
    }
    let built = |outage| {
        let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
        builder.when_store_is_down(outage).build().is_ok()
    };
    for (outage, stands) in [
        (degraded(0, DAY), false),
        (degraded(64, DAY), true),
        (degraded(65, DAY), false),
        (degraded(1, Duration::from_millis(999)), false),
        (degraded(1, DAY * 366), true),
        (degraded(1, DAY * 367), false),
    ] {
        assert_eq!(built(outage), stands, "{outage:?}");
    }
    // Only what counts by itself has a rule of its own, under which nothing is forgiven.
    assert_eq!(down(Outage::Refuse).degraded(), None);
    assert_eq!(down(Outage::FailOpen).degraded(), None);
    let alone = down(degraded(2, HOUR)).degraded().unwrap();
    assert_eq!((alone.limits(), alone.repeats()), ([Limit::new(2, HOUR)].as_slice(), 0));
}

#[test]
fn a_store_that_may_forget_is_weaker() {
    let may = |what| {
        LockoutPolicy::builder().limit(Limit::new(5, DAY)).may_roll_back(what).build().unwrap()
    };
    weaker(&may(MayRollBack::Counters), &one(5, DAY));
    weaker(&may(MayRollBack::Everything), &may(MayRollBack::Counters));
    let both = may(MayRollBack::Everything).join(&may(MayRollBack::Counters));
    assert_eq!(both, may(MayRollBack::Counters));
}
