//! The spray alarm, at both sides of each of its thresholds.
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

use std::collections::BTreeMap;
use std::time::Duration;

use common::{HOUR, MS, START};
use proptest::prelude::*;
use vouchsafe_core::{AccountDigest, Timestamp};
use vouchsafe_lockout::{LockoutError, Seen, SprayAlarm, SprayDetector, SprayPolicy};
use vouchsafe_testkit::runs;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn account(number: u64) -> AccountDigest {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    AccountDigest::new(bytes)
}

fn detector() -> SprayDetector {
    SprayDetector::new(SprayPolicy::new(MINUTE, 20, 65_536).unwrap())
}

/// Accounts `from..to` see this at `now`; the alarms that were raised.
fn all(
    detector: &mut SprayDetector,
    now: Timestamp,
    accounts: std::ops::Range<u64>,
    seen: Seen,
) -> Vec<SprayAlarm> {
    accounts.filter_map(|number| detector.observe(now, account(number), seen)).collect()
}

#[test]
fn the_twentieth_account_raises_it_and_the_nineteenth_does_not() {
    let mut quiet = detector();
    assert_eq!(all(&mut quiet, START, 0..19, Seen::Failed), []);
    assert_eq!(quiet.level(), (19, 20));
    let alarm = quiet.observe(START.after(SECOND), account(19), Seen::Unknown).unwrap();
    assert_eq!((alarm.accounts, alarm.unknown, alarm.expected), (20, 1, 19));
    assert_eq!(alarm.since, START.after(SECOND));
    assert_eq!(quiet.alarm(START.after(SECOND)), Some(alarm));
}

#[test]
fn failures_of_one_account_are_one_and_who_signs_in_is_none() {
    let mut detector = detector();
    for _ in 0..1_000 {
        assert_eq!(all(&mut detector, START, 0..19, Seen::Failed), []);
    }
    assert_eq!(all(&mut detector, START, 0..19, Seen::SignedIn), []);
    // Nobody is new, and 19 came.
    assert_eq!(detector.level(), (0, 20 + 19 / 2));
    assert_eq!(all(&mut detector, START, 100..128, Seen::Failed), []);
    assert_eq!(all(&mut detector, START, 128..129, Seen::Failed).len(), 1);
}

#[test]
fn one_who_signs_in_over_and_over_hides_nobody() {
    let mut detector = detector();
    for _ in 0..10_000 {
        assert_eq!(all(&mut detector, START, 0..1, Seen::SignedIn), []);
    }
    assert_eq!(detector.level(), (0, 20));
}

#[test]
fn what_left_the_window_is_gone() {
    let mut detector = detector();
    assert_eq!(all(&mut detector, START, 0..19, Seen::Failed), []);
    // Five of the window's six steps later they are all there, one later none is.
    let last = START.after(MINUTE).before(SECOND);
    assert_eq!(detector.alarm(last), None);
    assert_eq!(detector.level().0, 19);
    detector.alarm(START.after(MINUTE));
    assert_eq!(detector.level().0, 0);
    assert_eq!(all(&mut detector, START.after(MINUTE), 100..119, Seen::Failed), []);
}

#[test]
fn a_failure_is_the_first_again_after_sixty_windows() {
    let mut detector = detector();
    assert_eq!(all(&mut detector, START, 0..19, Seen::Failed), []);
    for minutes in (5..60).step_by(5) {
        assert_eq!(all(&mut detector, START.after(MINUTE * minutes), 0..19, Seen::Failed), []);
        assert_eq!(detector.level().0, 0, "a program that goes on is not new");
    }
    assert_eq!(all(&mut detector, START.after(HOUR).before(SECOND), 0..19, Seen::Failed), []);
    assert_eq!(detector.level().0, 0);
    assert_eq!(all(&mut detector, START.after(HOUR), 0..19, Seen::Failed), []);
    assert_eq!(detector.level().0, 19);
}

#[test]
fn one_alarm_for_as_long_as_it_goes_on() {
    let mut detector = detector();
    let mut raised = Vec::new();
    // An account a second for three hours.
    for second in 0..3 * 3_600 {
        let now = START.after(SECOND * second);
        raised.extend(detector.observe(now, account(u64::from(second)), Seen::Failed));
    }
    assert_eq!(raised.len(), 1, "{raised:?}");
    let end = START.after(HOUR * 3);
    // It falls below half within the last minute's half, and then an hour has to pass.
    assert_eq!(detector.alarm(end.after(HOUR).before(MINUTE * 2)), Some(raised[0]));
    assert_eq!(detector.alarm(end.after(HOUR)), None);
    let again = all(&mut detector, end.after(HOUR), 1_000_000..1_000_100, Seen::Failed);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].id, raised[0].id);
}

#[test]
fn it_goes_on_at_half_its_threshold_and_ends_below() {
    for (each, goes_on) in [(10, true), (9, false)] {
        let mut detector = detector();
        assert_eq!(all(&mut detector, START, 0..20, Seen::Failed).len(), 1);
        for minute in 1..=120 {
            let now = START.after(MINUTE * minute);
            let from = u64::from(minute) * 100;
            assert_eq!(all(&mut detector, now, from..from + each, Seen::Failed), []);
        }
        assert_eq!(detector.alarm(START.after(HOUR * 2)).is_some(), goes_on, "{each}");
    }
}

/// After sixty quiet windows, with the next of a window's six steps.
#[test]
fn it_ends_with_a_step() {
    let mut detector = detector();
    let raised = START.after(SECOND);
    assert_eq!(all(&mut detector, raised, 0..20, Seen::Failed).len(), 1);
    for now in [START.after(HOUR), raised.after(HOUR), START.after(HOUR + SECOND * 10).before(MS)] {
        assert!(detector.alarm(now).is_some(), "{now:?}");
    }
    assert_eq!(detector.alarm(START.after(HOUR + SECOND * 10)), None);
}

#[test]
fn a_day_of_it_is_usual_and_a_gap_forgets() {
    let mut detector = detector();
    // 18 in every minute, all of them new.
    for minute in 0..1_440 * 3 {
        let now = START.after(MINUTE * minute);
        let from = u64::from(minute) * 18;
        assert_eq!(all(&mut detector, now, from..from + 18, Seen::Failed), [], "{minute}");
    }
    let after = START.after(MINUTE * (1_440 * 3));
    detector.alarm(after);
    let threshold = detector.level().1;
    // 20 + 4 × 18 × (1 − e⁻³) = 88.4, and each minute's are there for its six steps.
    assert!((87..=90).contains(&threshold), "{threshold}");
    detector.alarm(after.after(HOUR * 24));
    assert_eq!(detector.level(), (0, 20));
}

#[test]
fn memory_is_bounded_and_beyond_it_more_is_counted_not_less() {
    let policy = SprayPolicy::new(MINUTE, 50, 1_000).unwrap();
    let mut detector = SprayDetector::new(policy);
    for number in 0..runs(100_000, 10_000_000) as u64 {
        detector.observe(START, account(number), Seen::Unknown);
        assert!(detector.len() <= 1_000);
    }
    assert!(detector.level().0 >= 100_000);
    assert_eq!((detector.len(), detector.is_empty()), (1_000, false));
    // Sign-ins beyond it hide nobody.
    let before = detector.level().1;
    all(&mut detector, START, 20_000_000..20_001_000, Seen::SignedIn);
    assert_eq!(detector.level().1, before);
    // And all of it goes with time.
    assert_eq!(detector.alarm(START.after(HOUR * 3)), None);
    assert!(detector.is_empty());
}

#[test]
fn a_clock_that_was_wrong_is_forgiven() {
    let mut detector = detector();
    let far = START.after(HOUR * 1_000);
    assert_eq!(all(&mut detector, far, 0..30, Seen::Failed).len(), 1);
    // Ten minutes back is a step, more was a mistake.
    let step = far.before(Duration::from_secs(600));
    assert!(detector.alarm(step).is_some());
    assert!(detector.alarm(step.before(SECOND)).is_none());
    assert_eq!(all(&mut detector, START, 0..19, Seen::Failed), []);
    assert_eq!(all(&mut detector, START, 19..20, Seen::Failed).len(), 1);
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    let refused = |window, floor, most| {
        matches!(SprayPolicy::new(window, floor, most), Err(LockoutError::Spray { .. }))
    };
    assert!(refused(SECOND * 5, 20, 100) && !refused(SECOND * 6, 20, 100));
    assert!(refused(HOUR * 24 + SECOND, 20, 100) && !refused(HOUR * 24, 20, 100));
    assert!(refused(MINUTE, 1, 100) && !refused(MINUTE, 2, 100));
    assert!(refused(MINUTE, 20, 20) && !refused(MINUTE, 20, 21));
    assert!(refused(MINUTE, 20, (1 << 20) + 1) && !refused(MINUTE, 20, 1 << 20));
    let policy = SprayPolicy::default();
    let same = SprayPolicy::new(policy.window(), policy.floor(), policy.max_accounts());
    assert_eq!(same, Ok(policy));
}

#[test]
fn debug_shows_no_account() {
    let mut detector = detector();
    all(&mut detector, START, 123_456_789..123_456_790, Seen::Failed);
    let text = format!("{detector:?}");
    assert!(text.contains("1 accounts") && !text.contains("123456789"), "{text}");
}

/// The definition over a list of all that was ever seen.
#[derive(Default)]
struct Oracle {
    /// Each account's first failures, and whether it was signed in to since.
    failed: BTreeMap<u64, Vec<(i64, bool)>>,
    signed_in: BTreeMap<u64, Vec<i64>>,
}

impl Oracle {
    fn see(&mut self, step: i64, number: u64, seen: Seen) {
        if seen == Seen::SignedIn {
            for failed in self.failed.entry(number).or_default() {
                failed.1 = true;
            }
            self.signed_in.entry(number).or_default().push(step);
        } else {
            let failed = self.failed.entry(number).or_default();
            if failed.last().is_none_or(|(last, _)| last + 360 <= step) {
                failed.push((step, false));
            }
        }
    }

    fn fresh(&self, step: i64) -> u32 {
        let inside = |(at, signed_in): &(i64, bool)| *at > step - 6 && !signed_in;
        self.failed.values().filter(|failed| failed.iter().any(inside)).count() as u32
    }

    /// An account that comes again within the window counts with its first time, until that is out.
    fn came(&self, step: i64) -> u32 {
        let here = |times: &Vec<i64>| {
            let mut counted: Option<i64> = None;
            for at in times {
                if counted.is_none_or(|last| last + 6 <= *at) {
                    counted = Some(*at);
                }
            }
            counted.is_some_and(|last| last > step - 6)
        };
        self.signed_in.values().filter(|times| here(times)).count() as u32
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(runs(300, 30_000) as u32) })]

    #[test]
    fn counts_what_the_definition_counts(
        events in proptest::collection::vec((0_u64..40, 0_u8..4, 0_u64..40, any::<bool>()), 1..400),
    ) {
        // A floor that is not reached: the usual then learns in every step.
        let policy = SprayPolicy::new(MINUTE, 10_000, 20_000).unwrap();
        let (mut detector, mut oracle) = (SprayDetector::new(policy), Oracle::default());
        let (mut now, mut usual, mut step) = (START, 0.0_f64, START.micros() / 10_000_000);
        for (number, what, seconds, long) in events {
            let pause = if long && seconds > 35 { HOUR } else { SECOND * (seconds as u32 / 4) };
            now = now.after(pause);
            let next = now.micros() / 10_000_000;
            while step < next {
                usual += (f64::from(oracle.fresh(step)) - usual) / 8_640.0;
                step += 1;
            }
            let seen = match what {
                0 => Seen::SignedIn,
                1 => Seen::Unknown,
                _ => Seen::Failed,
            };
            prop_assert_eq!(detector.observe(now, account(number), seen), None);
            oracle.see(step, number, seen);
            let (new, threshold) = detector.level();
            prop_assert_eq!(new, oracle.fresh(step));
            let expected = 10_000.0 + 4.0 * usual + f64::from(oracle.came(step) / 2);
            prop_assert!((f64::from(threshold) - expected).abs() <= 1.0, "{threshold} {expected}");
        }
    }
}
