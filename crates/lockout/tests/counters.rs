//! Consecutive failures, and secrets that are wrong once more.
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
use vouchsafe_core::{PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockoutMachine, LockoutPolicy, LockoutVerdict as V, Reason,
};

const D: Duration = Duration::from_secs(10);

fn account(devices: Option<Devices>, consecutive: Consecutive) -> Account {
    let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
    let policy = builder.devices(devices).consecutive(consecutive).build().unwrap();
    Account::new(LockoutMachine::new(policy, PolicyDigest::NONE))
}

fn at_most(disable_at: u32, devices_only_from: u32) -> Consecutive {
    Consecutive { disable_at, devices_only_from, memory: DAY * 90 }
}

/// One that forgives as much as may be forgiven.
fn forgiving(limit: Limit) -> Account {
    let policy = LockoutPolicy::builder().limit(limit).repeats(20).build().unwrap();
    Account::new(LockoutMachine::new(policy, PolicyDigest::NONE))
}

#[track_caller]
fn refused(verdict: V) -> (Reason, Option<Timestamp>) {
    match verdict {
        V::Locked { lock, .. } => (lock.reason, lock.until),
        other => panic!("not refused: {other:?}"),
    }
}

/// Wrong guesses as fast as they are admitted, for so many days; how many were verified, and when
/// the last one was.
fn guess_for(account: &mut Account, days: u32) -> (u32, Timestamp) {
    let (mut verified, mut last, mut id) = (0, START, 1_000);
    for hour in 0..days * 24 {
        let now = START.after(HOUR * hour);
        for _ in 0..10 {
            id += 1;
            if account.guess(id, now) {
                (verified, last) = (verified + 1, now);
            }
        }
    }
    (verified, last)
}

#[test]
fn five_a_day_for_thirty_days_end_at_the_hundredth() {
    let mut slow = account(None, Consecutive::default());
    let (verified, last) = guess_for(&mut slow, 30);
    assert_eq!((verified, last), (100, START.after(DAY * 19)));
    let end = last.after(DAY * 90);
    let (reason, until) = refused(slow.send(begin(1), START.after(DAY * 30)));
    assert_eq!((reason, until), (Reason::Consecutive, Some(end)));
    assert_eq!(slow.until, end, "kept as long as it matters");
    // To the microsecond.
    refused(slow.send(begin(1), end.before(Duration::from_micros(1))));
    assert!(slow.guess(2, end));
    // Only where the policy asks for it.
    assert_eq!(guess_for(&mut Account::new(five_a_day()), 30).0, 150);
}

#[test]
fn the_last_ten_are_for_known_devices() {
    let mut account = account(Some(Devices::default()), Consecutive::default());
    let (verified, _) = guess_for(&mut account, 30);
    assert_eq!(verified, 90);
    let now = START.after(DAY * 30);
    assert_eq!(refused(account.send(begin(1), now)).0, Reason::Consecutive);
    for id in 2..12 {
        let later = now.after(DAY * ((id as u32 - 2) / 5));
        assert!(matches!(account.send(begin_from(id, 7), later), V::Admitted(_)), "{id}");
        account.send(wrong(id), later);
    }
    let later = now.after(DAY * 2);
    assert_eq!(refused(account.send(begin_from(20, 7), later)).0, Reason::Consecutive);
    assert_eq!(refused(account.send(begin_from(20, 6), later)).0, Reason::Consecutive);
    // An administrator ends it.
    assert!(matches!(account.send(unlock(9), later), V::Unlocked));
    assert!(account.guess(30, later));
}

#[test]
fn parallel_guesses_do_not_pass_the_bound() {
    let mut account = account(None, at_most(3, 3));
    for id in 0..3 {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
    }
    // All three are being verified: nobody is told that the account is disabled.
    let V::Wait { until } = account.send(begin(9), START) else { panic!("not waiting") };
    assert_eq!(until, START.after(D));
    account.send(wrong(0), START);
    account.send(wrong(1), START);
    assert!(matches!(account.send(begin(9), START), V::Wait { .. }));
    account.send(wrong(2), START);
    assert_eq!(refused(account.send(begin(9), START)).0, Reason::Consecutive);
}

/// What a device is being asked meanwhile gives a stranger nothing to wait for.
#[test]
fn strangers_wait_only_for_what_may_let_them_in() {
    for decided in [1, 2] {
        let mut account = account(Some(Devices::default()), at_most(4, 2));
        for id in 0..decided {
            assert!(account.guess(id, START));
        }
        assert!(matches!(account.send(begin_from(9, 1), START), V::Admitted(_)));
        match account.send(begin(10), START) {
            V::Wait { until } => assert_eq!((decided, until), (1, START.after(D))),
            other => assert_eq!((refused(other).0, decided), (Reason::Consecutive, 2)),
        }
    }
}

#[test]
fn charges_that_nobody_settles_count() {
    let mut account = account(None, at_most(3, 3));
    for id in 0..3 {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
    }
    let (reason, until) = refused(account.send(begin(9), START.after(D)));
    assert_eq!((reason, until), (Reason::Consecutive, Some(START.after(DAY * 90))));
    // A late answer takes its own back.
    assert!(matches!(account.send(unverified(1), START.after(D)), V::Refunded));
    assert!(matches!(account.send(begin(9), START.after(D)), V::Admitted(_)));
}

#[test]
fn a_refund_takes_one_back_and_a_success_all_but_the_undecided() {
    let mut account = account(None, at_most(5, 5));
    for round in 0..50 {
        assert!(matches!(account.send(begin(round), START), V::Admitted(_)));
        assert!(matches!(account.send(unverified(round), START), V::Refunded));
    }
    assert_eq!(account.state, None);
    // Over days, so that no limit is met.
    let day = |day: u32| START.after(DAY * day);
    for id in 0..4_u32 {
        assert!(account.guess(id.into(), day(id)));
    }
    assert!(matches!(account.send(begin(10), day(4)), V::Admitted(_)), "the fifth");
    assert!(matches!(account.send(begin(11), day(4)), V::Wait { .. }));
    assert!(matches!(account.send(right(10), day(4)), V::Authenticated { .. }));
    for id in 20..23_u32 {
        assert!(account.guess(id.into(), day(id)), "{id}");
    }
    assert!(matches!(account.send(begin(30), day(23)), V::Admitted(_)));
    assert!(matches!(account.send(begin(31), day(23)), V::Admitted(_)));
    assert!(matches!(account.send(right(31), day(23)), V::Authenticated { .. }));
    // The one beside it was undecided, and is one of five.
    account.send(wrong(30), day(23));
    for id in 40..44_u32 {
        assert!(account.guess(id.into(), day(id)), "{id}");
    }
    assert_eq!(refused(account.send(begin(50), day(50))).0, Reason::Consecutive);
}

/// A client that comes back with an old password, all day.
#[test]
fn a_repeated_wrong_secret_is_not_counted_again() {
    let mut account = forgiving(Limit::new(5, DAY));
    let hours = 24 * 30;
    for hour in 0..hours {
        let (id, now) = (hour.into(), START.after(HOUR * 2 * hour));
        assert!(matches!(account.send(begin(id), now), V::Admitted(_)), "hour {hour}");
        let verdict = account.send(wrong_secret(id, 1), now);
        assert_eq!(matches!(verdict, V::Repeated), hour > 0, "{hour}: {verdict:?}");
        // The owner gets in beside it.
        assert!(matches!(account.send(begin(10_000 + id), now), V::Admitted(_)));
        assert!(matches!(account.send(right(10_000 + id), now), V::Authenticated { .. }));
    }
    assert!(account.state.unwrap().is_empty(), "its one failure has left the window");
}

#[test]
fn twenty_repeats_in_any_day_are_forgiven() {
    let mut account = forgiving(Limit::new(64, DAY));
    let minute = |n: u32| START.after(Duration::from_secs(60) * n);
    let mut forgiven = |id: u32, now| {
        assert!(matches!(account.send(begin(id.into()), now), V::Admitted(_)));
        matches!(account.send(wrong_secret(id.into(), 1), now), V::Repeated)
    };
    let given: Vec<bool> = (0..25).map(|id| forgiven(id, minute(id))).collect();
    let expected: Vec<bool> = (0..25).map(|id| (1..=20).contains(&id)).collect();
    assert_eq!(given, expected);
    // The first repeat was at minute 1, and is a day old at its minute the next day.
    let next = minute(1).after(DAY);
    assert!(!forgiven(100, next.before(Duration::from_micros(1))));
    assert!(forgiven(101, next));
    assert!(!forgiven(102, next));
}

#[test]
fn the_last_three_wrong_secrets_are_known_and_no_others() {
    let mut account = forgiving(Limit::new(64, DAY));
    let mut repeated = |id: u64, secret| {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
        matches!(account.send(wrong_secret(id, secret), START), V::Repeated)
    };
    for (id, secret) in [(0, 1), (1, 2), (2, 3)] {
        assert!(!repeated(id, secret));
    }
    assert!(repeated(3, 1), "one of the last three");
    // 2 is now the oldest of the three.
    assert!(!repeated(4, 4));
    assert!(!repeated(5, 2), "forgotten");
    assert!(repeated(6, 1) && repeated(7, 4) && repeated(8, 2));
}

#[test]
fn distinct_guesses_are_what_they_were() {
    // Each guess twice: the repeats are free, and teach nothing.
    let mut account = forgiving(Limit::new(5, DAY));
    let (mut distinct, mut id) = (0, 0);
    for secret in 0..20 {
        for _ in 0..2 {
            id += 1;
            if matches!(account.send(begin(id), START), V::Admitted(_)) {
                let verdict = account.send(wrong_secret(id, secret), START);
                distinct += u32::from(matches!(verdict, V::Failed { .. }));
            }
        }
    }
    assert_eq!(distinct, 5);
}

#[test]
fn what_is_remembered_of_wrong_secrets_ends() {
    let mut account = forgiving(Limit::new(5, DAY));
    for id in 0..2 {
        account.send(begin(id), START);
        account.send(wrong_secret(id, 1), START);
    }
    assert!(matches!(account.send(unlock(7), START), V::Unlocked));
    account.send(begin(3), START);
    assert!(matches!(account.send(wrong_secret(3, 1), START), V::Failed { .. }), "by an unlock");
    // Forgiven repeats are remembered for a day, however short the window is.
    let mut account = forgiving(Limit::new(5, Duration::from_secs(10)));
    for id in 0..2 {
        account.send(begin(id), START);
        account.send(wrong_secret(id, 1), START);
    }
    assert_eq!(account.until, START.after(DAY));
    // Where the policy forgives none, nothing is remembered.
    let (mut account, mut plain) = (Account::new(five_a_day()), Account::new(five_a_day()));
    for id in 0..5 {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
        account.send(wrong_secret(id, 1), START);
        assert!(plain.guess(id, START));
    }
    assert!(matches!(account.send(begin(9), START), V::Locked { .. }));
    assert_eq!(account.state, plain.state);
}
