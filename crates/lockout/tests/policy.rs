//! What a policy may say, and what is said about one that says something else.
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
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockOn, LockoutError as E, LockoutPolicy, MayRollBack, OnSuccess,
    Outage, Release, Wait,
};

/// The times to settle that a document may not say, the degraded mode does not have, either.
#[test]
fn no_attempt_takes_longer_than_a_degraded_window() {
    let second = Duration::from_secs(1);
    let outage = Outage::FailDegraded { failures: 5, window: second };
    let policy = LockoutPolicy::builder().limit(Limit::new(5, DAY)).when_store_is_down(outage);
    let degraded = policy.build().unwrap().degraded().unwrap();
    assert_eq!(degraded.limits(), [Limit::new(5, second)]);
    assert!(degraded.settle_within() <= second, "{:?}", degraded.settle_within());
}

#[test]
fn says_what_is_wrong_with_counters() {
    let wrong = |devices: Devices, run: Consecutive| {
        let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
        builder.devices(devices).consecutive(run).build().err().unwrap_or_default()
    };
    let (fine, run) = (Devices::default(), Consecutive::default());
    assert_eq!(wrong(fine, run), []);
    for counters in [0, 3, 5, 16] {
        let devices = Devices { counters, ..fine };
        assert_eq!(wrong(devices, run), [E::DeviceCounters { found: counters }]);
    }
    let (min, max) = (Devices::MIN_VALID_FOR, Devices::MAX_VALID_FOR);
    for valid_for in [min - MS, max + MS] {
        let devices = Devices { valid_for, ..fine };
        assert_eq!(wrong(devices, run), [E::DeviceValidity { min, max }]);
    }
    for (disable_at, devices_only_from) in [(0, 0), (101, 90), (90, 91), (90, 0)] {
        let bad = Consecutive { disable_at, devices_only_from, ..run };
        assert_eq!(wrong(fine, bad), [E::ConsecutiveCount { max: 100 }]);
    }
    let (min, max) = (Consecutive::MIN_MEMORY, LockoutPolicy::MAX_WINDOW);
    for memory in [min - MS, max + MS] {
        assert_eq!(wrong(fine, Consecutive { memory, ..run }), [E::ConsecutiveMemory { min, max }]);
    }
    for (valid_for, memory) in [
        (Devices::MIN_VALID_FOR, Consecutive::MIN_MEMORY),
        (Devices::MAX_VALID_FOR, LockoutPolicy::MAX_WINDOW),
    ] {
        assert_eq!(wrong(Devices { valid_for, ..fine }, Consecutive { memory, ..run }), []);
    }
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
        let builder = LockoutPolicy::builder().settle_within(LockoutPolicy::MIN_SETTLE_WITHIN);
        assert_eq!(builder.limit(limit).build().is_ok(), good, "{limit:?}");
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
    for (limits, seconds, good) in [
        ([Limit::new(1, HOUR / 60), Limit::new(1, HOUR / 60)], 60, true),
        ([Limit::new(1, HOUR / 60), Limit::new(1, HOUR / 60)], 61, false),
        ([Limit::new(1, LockoutPolicy::MIN_WINDOW), Limit::new(9, HOUR / 60)], 1, true),
        // Whoever comes once a minute comes 60 times an hour: that limit is dropped.
        ([Limit::new(1, HOUR / 60), Limit::new(60, HOUR)], 61, false),
        ([Limit::new(1, HOUR / 60), Limit::new(59, HOUR)], 300, true),
    ] {
        let builder = LockoutPolicy::builder().settle_within(Duration::from_secs(seconds));
        let built = limits.iter().fold(builder, |builder, limit| builder.limit(*limit)).build();
        let longest = HOUR / 60;
        match built {
            Ok(_) => assert!(good, "{limits:?}, {seconds}"),
            Err(problems) => {
                assert_eq!((problems, good), (vec![E::SettleBeyondWindow { longest }], false));
            }
        }
    }
    let defaults = five().build().unwrap();
    assert_eq!(defaults.settle_within(), Duration::from_secs(10));
    let wait = defaults.wait();
    assert_eq!((wait.time.as_secs(), wait.per_key, wait.per_process), (5, 256, 4_096));
    assert_eq!(defaults.on_success(), OnSuccess::SameDevice);
    assert_eq!((defaults.devices(), defaults.consecutive()), (None, None));
}

#[test]
fn a_policy_says_what_it_was_built_with() {
    let limit = Limit::new(5, DAY).with_lock_on(LockOn::Exceeding).with_release(Release::Admin);
    assert_eq!((limit.failures(), limit.window(), limit.capacity()), (5, DAY, 6));
    assert_eq!((limit.lock_on(), limit.release()), (LockOn::Exceeding, Release::Admin));
    let wait = Wait { time: Duration::from_secs(1), per_key: 2, per_process: 3 };
    let devices = Devices { counters: 8, valid_for: DAY };
    let run = Consecutive { disable_at: 50, devices_only_from: 40, memory: DAY };
    let policy = LockoutPolicy::builder()
        .limit(limit)
        .settle_within(Duration::from_secs(7))
        .wait(wait)
        .on_success(OnSuccess::OlderFailures)
        .devices(devices)
        .consecutive(run)
        .repeats(9)
        .when_store_is_down(Outage::FailOpen)
        .may_roll_back(MayRollBack::Counters)
        .build()
        .unwrap();
    assert_eq!((policy.limits(), policy.settle_within().as_secs()), ([limit].as_slice(), 7));
    assert_eq!((policy.wait(), policy.on_success()), (wait, OnSuccess::OlderFailures));
    assert_eq!((policy.devices(), policy.consecutive()), (Some(devices), Some(run)));
    assert_eq!((policy.repeats(), policy.when_store_is_down()), (9, Outage::FailOpen));
    assert_eq!(policy.may_roll_back(), MayRollBack::Counters);
}
