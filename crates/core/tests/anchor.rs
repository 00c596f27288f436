//! A clock that leaps destroys nothing before it is believed.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use vouchsafe_core::{Anchor, Anchored, Clock, Timestamp};
use vouchsafe_testkit::ManualClock;

const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const MICRO: Duration = Duration::from_micros(1);

#[test]
fn time_that_passes_is_followed() {
    let mut anchor = Anchor::new(START, HOUR);
    for hours in 0..2_000 {
        let now = START.after(HOUR * hours);
        assert_eq!(anchor.observe(now, HOUR * (hours + 1)), now);
        assert_eq!(anchor.doubt(now, HOUR * (hours + 1)), None);
    }
}

#[test]
fn ten_minutes_ahead_are_followed_and_a_microsecond_more_is_not() {
    let limit = START.after(Anchor::TOLERANCE);
    for (now, until) in [(limit, limit), (limit.after(MICRO), limit), (START.after(YEAR), limit)] {
        let mut anchor = Anchor::new(START, Duration::ZERO);
        assert_eq!(anchor.observe(now, Duration::ZERO), until);
        let doubt = anchor.doubt(now, Duration::ZERO);
        assert_eq!(doubt.is_some(), now > limit);
        if let Some(doubt) = doubt {
            assert_eq!(doubt.ahead, now.since(START));
            assert_eq!(doubt.confirmed_in, DAY);
        }
    }
}

#[test]
fn a_leap_is_believed_after_a_steady_day_and_not_a_moment_before() {
    let mut anchor = Anchor::new(START, Duration::ZERO);
    let leapt = START.after(YEAR);
    assert_eq!(anchor.observe(leapt, Duration::ZERO), START.after(Anchor::TOLERANCE));
    let almost = DAY - MICRO;
    let reached = START.after(almost).after(Anchor::TOLERANCE);
    assert_eq!(anchor.observe(leapt.after(almost), almost), reached);
    assert_eq!(anchor.observe(leapt.after(DAY), DAY), leapt.after(DAY));
    assert_eq!(anchor.doubt(leapt.after(DAY), DAY), None);
}

#[test]
fn a_day_that_leaps_again_begins_again() {
    let mut anchor = Anchor::new(START, Duration::ZERO);
    anchor.observe(START.after(YEAR), Duration::ZERO);
    let later = START.after(YEAR).after(HOUR);
    anchor.observe(later.after(DAY - HOUR), DAY - HOUR);
    let now = later.after(DAY);
    assert!(anchor.observe(now, DAY) < START.after(DAY + HOUR));
    assert_eq!(anchor.doubt(now, DAY).unwrap().confirmed_in, DAY - HOUR);
}

/// Nine minutes an hour are each within tolerance; together they are a clock that cannot be right.
#[test]
fn creeping_gains_ten_minutes_and_no_more() {
    let mut anchor = Anchor::new(START, Duration::ZERO);
    for hours in 1..1_000 {
        let passed = HOUR * hours;
        let crept = START.after(passed).after(9 * MINUTE * hours);
        assert!(anchor.observe(crept, passed) <= START.after(passed).after(Anchor::TOLERANCE));
    }
}

#[test]
fn a_clock_put_right_again_goes_on_as_if_nothing_had_been() {
    let mut anchor = Anchor::new(START, Duration::ZERO);
    anchor.observe(START.after(YEAR), MINUTE);
    for minutes in 2..3_000 {
        let now = START.after(MINUTE * minutes);
        assert_eq!(anchor.observe(now, MINUTE * minutes), now);
    }
}

#[test]
fn a_clock_that_goes_back_is_followed_at_once() {
    let mut anchor = Anchor::new(START, Duration::ZERO);
    let back = START.before(YEAR);
    assert_eq!(anchor.observe(back, MINUTE), back);
}

#[test]
fn somebody_who_knows_confirms_a_leap() {
    let mut anchor = Anchor::new(START, Duration::ZERO);
    let leapt = START.after(YEAR);
    anchor.observe(leapt, MINUTE);
    anchor.confirm(leapt, MINUTE);
    assert_eq!(anchor.observe(leapt.after(MINUTE), 2 * MINUTE), leapt.after(MINUTE));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(vouchsafe_testkit::runs(500, 100_000).try_into().unwrap()))]

    /// Whatever a clock shows, destruction never runs more than ten minutes ahead of a time that
    /// was steady for a day, nor of the clock itself.
    #[test]
    fn never_ahead_of_a_steady_day(
        steps in prop::collection::vec((0_u64..40_000, -90_000_i64..90_000), 1..40),
    ) {
        let mut anchor = Anchor::new(START, Duration::ZERO);
        // Each entry: when, by the steady clock, and how far the clock was off, in seconds.
        let (mut passed, mut off) = (0_u64, 0_i64);
        let mut history = vec![(0_u64, 0_i64)];
        for (pass, leap) in steps {
            passed += pass;
            // Half of the steps leap.
            off += if leap % 2 == 0 { leap } else { 0 };
            history.push((passed, off));
            let real = START.after(Duration::from_secs(passed));
            let shown = Timestamp::from_micros(real.micros() + off * 1_000_000);
            let until = anchor.observe(shown, Duration::from_secs(passed));
            prop_assert!(until <= shown);
            // What was steady: at a reading of a day or more after one alike.
            let steady = history.iter().enumerate().flat_map(|(at, (since, was))| {
                history[at..]
                    .iter()
                    .take_while(move |(_, seen)| seen.abs_diff(*was) <= 600)
                    .filter(move |(when, _)| when - since >= 86_400)
                    .map(|(_, seen)| *seen)
            });
            let most = steady.chain([0]).max().unwrap();
            let bound = Timestamp::from_micros(real.micros() + (most + 600) * 1_000_000);
            prop_assert!(until <= bound, "{until} after {bound}");
        }
    }
}

#[test]
fn an_anchored_clock_shows_what_may_be_destroyed_by() {
    let manual = Arc::new(ManualClock::at(START));
    let clock = Anchored::new(Arc::clone(&manual));
    manual.advance(HOUR);
    assert_eq!(clock.now(), START.after(HOUR));
    assert_eq!(clock.steady(), manual.steady());
    // A leap is followed for ten minutes, and after a steady day.
    manual.set(START.after(YEAR));
    assert_eq!(clock.now(), START.after(HOUR + Anchor::TOLERANCE));
    manual.advance(DAY - MINUTE);
    assert_eq!(clock.now(), START.after(HOUR + Anchor::TOLERANCE + DAY - MINUTE));
    manual.advance(MINUTE);
    assert_eq!(clock.now(), START.after(YEAR + DAY));
    // Or once somebody says so. Backwards it is followed at once.
    manual.set(START.after(YEAR * 2));
    assert!(clock.now() < START.after(YEAR * 2));
    clock.confirm();
    assert_eq!(clock.now(), START.after(YEAR * 2));
    manual.set(START);
    assert_eq!(clock.now(), START);
}
