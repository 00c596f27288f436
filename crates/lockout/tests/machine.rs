//! The protocol, event by event.
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
use vouchsafe_core::{ChargeId, Machine, Matched, PolicyDigest, Standing, Timestamp};
use vouchsafe_lockout::{
    Begin, Limit, Lock, LockOn, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutVerdict as V,
    OnSuccess, Reason, Release, retry_after,
};

const SECOND: Duration = Duration::from_secs(1);
const D: Duration = Duration::from_secs(10);

fn fill(account: &mut Account, count: u64, now: Timestamp) {
    for id in 0..count {
        assert!(account.guess(id, now), "guess {id}");
    }
}

#[track_caller]
fn locked_until(verdict: V) -> Option<Timestamp> {
    match verdict {
        V::Locked { lock, .. } => lock.until,
        other => panic!("not locked: {other:?}"),
    }
}

#[track_caller]
fn admitted(verdict: V) {
    assert!(matches!(verdict, V::Admitted(_)), "{verdict:?}");
}

#[track_caller]
fn lock_reported(verdict: V) -> Option<Lock> {
    match verdict {
        V::Failed { locked, .. } => locked,
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn fifth_failure_locks_and_the_sixth_is_refused() {
    let mut account = Account::new(five_a_day());
    let until = START.after(DAY);
    for id in 0..5 {
        admitted(account.send(begin(id), START));
        let locked = lock_reported(account.send(wrong(id), START));
        assert_eq!(
            locked,
            (id == 4).then_some(Lock { until: Some(until), reason: Reason::Limit }),
            "failure {id}"
        );
    }
    assert_eq!(locked_until(account.send(begin(9), START)), Some(until));
}

#[test]
fn exceeding_locks_one_later() {
    let limit = Limit::new(5, DAY).with_lock_on(LockOn::Exceeding);
    let mut account = Account::new(machine(&[limit]));
    fill(&mut account, 5, START);
    admitted(account.send(begin(5), START));
    assert!(lock_reported(account.send(wrong(5), START)).is_some());
    assert!(locked_until(account.send(begin(6), START)).is_some());
}

#[test]
fn window_ends_to_the_microsecond() {
    let mut account = Account::new(five_a_day());
    fill(&mut account, 5, START);
    let end = START.after(DAY);
    for before in [MS, Duration::from_micros(1)] {
        assert_eq!(locked_until(account.send(begin(9), end.before(before))), Some(end));
    }
    admitted(account.send(begin(9), end));
}

#[test]
fn locked_attempts_change_nothing() {
    let mut account = Account::new(five_a_day());
    fill(&mut account, 5, START);
    let (saves, state) = (account.saves, account.state.clone());
    for attempt in 0..1_000 {
        let now = START.after(SECOND * attempt);
        let until = locked_until(account.send(begin(100 + u64::from(attempt)), now));
        assert_eq!(until, Some(START.after(DAY)));
    }
    assert_eq!((account.saves, &account.state), (saves, &state));
    assert_eq!(account.until, START.after(DAY));
}

#[test]
fn unsettled_charges_make_others_wait_then_count_as_failed() {
    let mut account = Account::new(five_a_day());
    for id in 0..5 {
        admitted(account.send(begin(id), START.after(MS * id as u32)));
    }
    let due = START.after(D);
    match account.send(begin(9), due.before(MS)) {
        V::Wait { until } => assert_eq!(until, due),
        other => panic!("{other:?}"),
    }
    // The last of the five is undecided until its own D has passed.
    let last = due.after(MS * 4);
    match account.send(begin(9), last.before(MS)) {
        V::Wait { until } => assert_eq!(until, last),
        other => panic!("{other:?}"),
    }
    assert_eq!(locked_until(account.send(begin(9), last)), Some(START.after(DAY)));
    // A late success still takes its own charge back.
    assert!(matches!(account.send(right(2), last.after(HOUR)), V::Authenticated { .. }));
    admitted(account.send(begin(10), last.after(HOUR)));
}

#[test]
fn one_decided_limit_is_enough_to_be_locked() {
    let limits = [Limit::new(2, HOUR), Limit::new(3, DAY)];
    let mut account = Account::new(machine(&limits));
    assert!(account.guess(0, START));
    let later = START.after(HOUR);
    assert!(account.guess(1, later));
    admitted(account.send(begin(2), later));
    // 2 an hour is full with one undecided, so is 3 a day.
    match account.send(begin(3), later) {
        V::Wait { until } => assert_eq!(until, later.after(D)),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        lock_reported(account.send(wrong(2), later)),
        Some(Lock { until: Some(START.after(DAY)), reason: Reason::Limit })
    );
}

#[test]
fn an_undecided_charge_of_one_limit_does_not_hide_the_lock_of_another() {
    let limits = [Limit::new(2, HOUR / 60), Limit::new(3, DAY)];
    let builder = limits.iter().fold(LockoutPolicy::builder(), |builder, l| builder.limit(*l));
    let policy = builder.settle_within(SECOND * 300).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    admitted(account.send(begin(0), START));
    let later = START.after(HOUR / 60);
    assert!(account.guess(1, later));
    assert!(account.guess(2, later));
    // 3 a day is full with one undecided, 2 a minute with two failures.
    assert_eq!(locked_until(account.send(begin(3), later)), Some(START.after(DAY)));
}

#[test]
fn what_has_run_out_is_erased() {
    let mut account = Account::new(five_a_day());
    assert!(account.guess(0, START));
    let end = START.after(DAY);
    admitted(account.send(begin(1), end.before(MS)));
    assert!(matches!(account.send(unverified(1), end), V::Refunded));
    assert!(account.state.is_none(), "a failure that left the window is nothing to keep");
}

#[test]
fn lock_outlasts_every_full_limit() {
    let limits = [Limit::new(3, HOUR), Limit::new(5, DAY)];
    let mut account = Account::new(machine(&limits));
    fill(&mut account, 3, START);
    assert_eq!(locked_until(account.send(begin(9), START)), Some(START.after(HOUR)));
    let later = START.after(HOUR);
    assert!(account.guess(3, later));
    assert!(account.guess(4, later));
    assert_eq!(locked_until(account.send(begin(9), later)), Some(START.after(DAY)));
    for before in [MS, Duration::ZERO] {
        let now = START.after(DAY).before(before);
        let refused = matches!(account.send(begin(9), now), V::Locked { .. });
        assert_eq!(refused, before == MS);
    }
}

#[test]
fn timed_release_holds_beyond_the_window() {
    let limit = Limit::new(3, HOUR).with_release(Release::After(DAY));
    let mut account = Account::new(machine(&[limit]));
    assert!(account.guess(0, START));
    let last = START.after(HOUR).before(MS);
    assert!(account.guess(1, last));
    assert!(account.guess(2, last));
    let end = last.after(DAY);
    assert_eq!(account.until, end);
    assert_eq!(locked_until(account.send(begin(9), end.before(MS))), Some(end));
    admitted(account.send(begin(9), end));
    // A timed lock shorter than what is left of the window does not cut the window short.
    let limit = Limit::new(3, HOUR).with_release(Release::After(SECOND));
    let mut account = Account::new(machine(&[limit]));
    fill(&mut account, 3, START);
    assert_eq!(locked_until(account.send(begin(9), START)), Some(START.after(HOUR)));
}

#[test]
fn failures_that_never_fill_a_window_do_not_lock() {
    let limit = Limit::new(3, HOUR).with_release(Release::Admin);
    let mut account = Account::new(machine(&[limit]));
    for id in 0..100_u32 {
        let now = START.after(HOUR / 2 * id);
        assert!(account.guess(id.into(), now), "{id}");
        assert!(account.state.as_ref().unwrap().len() <= 2);
    }
}

#[test]
fn only_an_administrator_ends_an_administrators_lock() {
    let limit = Limit::new(3, HOUR).with_release(Release::Admin);
    let mut account = Account::new(machine(&[limit]));
    fill(&mut account, 3, START);
    let years = START.after(DAY * 3_660);
    assert_eq!(account.until, Timestamp::MAX);
    assert_eq!(locked_until(account.send(begin(9), years)), None);
    assert_eq!(
        lock_reported(account.send(wrong(77), years)),
        Some(Lock { until: None, reason: Reason::Limit })
    );
    assert!(matches!(account.send(unlock(1), years), V::Unlocked));
    admitted(account.send(begin(9), years));
}

#[test]
fn refund_reaches_its_own_charge_only() {
    let mut account = Account::new(five_a_day());
    fill(&mut account, 4, START);
    for round in 0..20 {
        let id = 100 + round;
        admitted(account.send(begin(id), START));
        if round % 2 == 0 {
            assert!(matches!(account.send(unverified(id), START), V::Refunded));
        } else {
            assert!(matches!(account.send(right(id), START), V::Authenticated { .. }));
        }
        assert_eq!(account.state.as_ref().unwrap().len(), 4);
    }
    assert!(account.guess(500, START));
    assert!(!account.guess(501, START));
}

#[test]
fn the_last_refund_leaves_nothing() {
    for settle in [right, unverified] {
        let mut account = Account::new(five_a_day());
        admitted(account.send(begin(1), START));
        account.send(settle(1), START);
        assert_eq!(account.state, None);
    }
}

#[test]
fn success_clears_older_failures_only_where_asked() {
    let ask = LockoutPolicy::builder().limit(Limit::new(5, DAY));
    let policy = ask.on_success(OnSuccess::OlderFailures).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    fill(&mut account, 2, START);
    admitted(account.send(begin(10), START)); // in flight, older
    admitted(account.send(begin(11), START)); // the success
    admitted(account.send(begin(12), START)); // younger, fails
    account.send(wrong(12), START);
    assert!(matches!(account.send(right(11), START), V::Authenticated { .. }));
    // The two failures and its own are gone; the one in flight and the younger failure stay.
    assert_eq!(account.state.as_ref().unwrap().len(), 2);
    account.send(wrong(10), START);
    for id in 20..23 {
        assert!(account.guess(id, START), "{id}");
    }
    assert!(!account.guess(23, START));
    // A refund without a verification clears nothing.
    let later = START.after(DAY);
    fill(&mut account, 3, later);
    admitted(account.send(begin(30), later));
    account.send(unverified(30), later);
    assert_eq!(account.state.as_ref().unwrap().len(), 3);
}

#[test]
fn repeats_of_an_event_change_nothing() {
    let mut account = Account::new(five_a_day());
    admitted(account.send(begin(1), START));
    let saves = account.saves;
    match account.send(begin(1), START.after(SECOND)) {
        V::Admitted(charged) => assert_eq!(charged.deadline(), START.after(D)),
        other => panic!("{other:?}"),
    }
    assert_eq!(account.saves, saves);
    for _ in 0..3 {
        assert!(matches!(account.send(wrong(1), START), V::Failed { locked: None, .. }));
    }
    assert_eq!((account.saves, account.state.as_ref().unwrap().len()), (saves + 1, 1));
    // A failure is final: no second verification, no refund of it.
    assert!(matches!(account.send(begin(1), START), V::Failed { .. }));
    assert!(matches!(account.send(unverified(1), START), V::Refunded));
    assert!(matches!(account.send(right(1), START), V::Authenticated { .. }));
    assert_eq!((account.saves, account.state.as_ref().unwrap().len()), (saves + 1, 1));
}

#[test]
fn an_expired_charge_is_not_admitted_again() {
    let mut account = Account::new(five_a_day());
    admitted(account.send(begin(1), START));
    let due = START.after(D);
    admitted(account.send(begin(1), due.before(MS)));
    assert!(matches!(account.send(begin(1), due), V::Failed { locked: None, .. }));
}

#[test]
fn late_settles_after_an_unlock_are_ignored() {
    let mut account = Account::new(five_a_day());
    for id in 0..5 {
        admitted(account.send(begin(id), START));
    }
    assert!(matches!(account.send(unlock(1), START), V::Unlocked));
    let saves = account.saves;
    for id in 0..4 {
        assert!(matches!(account.send(wrong(id), START), V::Failed { locked: None, .. }));
    }
    assert!(matches!(account.send(right(4), START), V::Authenticated { .. }));
    assert_eq!((account.saves, account.state.as_ref().unwrap().len()), (saves, 0));
    fill(&mut account, 5, START);
    // The same unlock once more does nothing; a new one does.
    assert!(matches!(account.send(unlock(1), START), V::Unlocked));
    assert!(!account.guess(10, START));
    assert!(matches!(account.send(unlock(2), START), V::Unlocked));
    assert!(account.guess(11, START));
}

#[test]
fn an_attempt_nobody_heard_of_is_taken_back() {
    let mut account = Account::new(five_a_day());
    for round in 0..10 {
        let lost = Begin::new(ACCOUNT, ChargeId::new(round));
        // Charged, but the reply was lost: the event comes back and is withdrawn.
        admitted(account.send(begin(round), START));
        let refund = LockoutEvent::NotVerified(lost.withdraw());
        assert_eq!(refund.account(), ACCOUNT);
        assert!(matches!(account.send(refund, START), V::Refunded));
    }
    assert_eq!(account.state, None);
}

#[test]
fn settling_a_match_carries_account_policy_and_standing() {
    let digest = PolicyDigest::new([3; 32]);
    let mut account = Account::new(LockoutMachine::new(policy(&[Limit::new(5, DAY)]), digest));
    let now = START.after(SECOND);
    for standing in [Standing::Chosen, Standing::MustChange] {
        let V::Admitted(charged) = account.send(begin(1), START) else { panic!("refused") };
        assert_eq!((charged.account(), charged.id()), (ACCOUNT, ChargeId::new(1)));
        assert_eq!((charged.policy(), charged.deadline()), (digest, START.after(D)));
        let event = LockoutEvent::Matched(Matched::assertion(charged, standing));
        match (standing, account.send(event, now)) {
            (Standing::Chosen, V::Authenticated(proof)) => {
                assert_eq!((proof.account(), proof.policy(), proof.at()), (ACCOUNT, digest, now));
            }
            (Standing::MustChange, V::ChangeOnly(proof)) => {
                assert_eq!((proof.account(), proof.policy(), proof.at()), (ACCOUNT, digest, now));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn time_never_runs_backwards() {
    let mut account = Account::new(five_a_day());
    fill(&mut account, 4, START);
    let back = START.before(Duration::from_secs(600));
    // Ten minutes back: it counts as the moment already seen.
    admitted(account.send(begin(9), back));
    account.send(wrong(9), back);
    assert_eq!(locked_until(account.send(begin(10), back)), Some(START.after(DAY)));
}

#[test]
fn a_leap_that_is_corrected_locks_nobody_for_years() {
    let mut account = Account::new(five_a_day());
    let wrong_year = START.after(DAY * 3_660);
    fill(&mut account, 5, wrong_year);
    // Re-stamped to now, and written down, or every attempt would re-stamp it again.
    assert_eq!(locked_until(account.send(begin(9), START)), Some(START.after(DAY)));
    assert_eq!(account.until, START.after(DAY));
    let end = START.after(DAY);
    assert_eq!(locked_until(account.send(begin(9), end.before(MS))), Some(end));
    admitted(account.send(begin(9), end));
    // One microsecond more than ten minutes is a leap, ten minutes are not.
    for (ahead, leaps) in [(600_000_000, false), (600_000_001, true)] {
        let mut account = Account::new(five_a_day());
        let stamped = START.after(Duration::from_micros(ahead));
        fill(&mut account, 5, stamped);
        let end = if leaps { START } else { stamped }.after(DAY);
        assert_eq!(locked_until(account.send(begin(9), START)), Some(end));
    }
    // An unlock's stamp is corrected too.
    let mut account = Account::new(five_a_day());
    account.send(unlock(1), wrong_year);
    admitted(account.send(begin(1), START));
    assert_eq!(account.until, START.after(DAY));
}

#[test]
fn other_limits_apply_to_state_that_is_there() {
    let mut account = Account::new(five_a_day());
    fill(&mut account, 4, START);
    account.machine = machine(&[Limit::new(3, DAY)]);
    assert_eq!(locked_until(account.send(begin(9), START)), Some(START.after(DAY)));
    account.machine = machine(&[Limit::new(3, HOUR)]);
    assert_eq!(locked_until(account.send(begin(9), START)), Some(START.after(HOUR)));
    account.machine = machine(&[Limit::new(5, DAY)]);
    assert!(account.guess(9, START));
    assert!(!account.guess(10, START));
}

#[test]
fn the_lock_can_be_looked_at() {
    let mut account = Account::new(five_a_day());
    let shown = |account: &Account, now| account.machine.lock(account.state.as_ref(), now);
    assert_eq!(shown(&account, START), None);
    fill(&mut account, 5, START);
    let end = START.after(DAY);
    assert_eq!(
        shown(&account, end.before(MS)),
        Some(Lock { until: Some(end), reason: Reason::Limit })
    );
    assert_eq!(shown(&account, end), None);
}

#[test]
fn the_public_wait_is_in_whole_minutes() {
    let seconds = |left: u64| {
        let until = START.after(Duration::from_micros(left));
        retry_after(until, START).as_secs()
    };
    assert_eq!(seconds(0), 60);
    assert_eq!(seconds(1), 60);
    assert_eq!(seconds(60_000_000), 60);
    assert_eq!(seconds(60_000_001), 120);
    assert_eq!(seconds(86_400_000_000), 86_400);
    assert_eq!(retry_after(START, START.after(DAY)).as_secs(), 60);
}

#[test]
fn a_step_reads_no_state_it_was_not_given() {
    // Two accounts under one machine share nothing.
    let machine = five_a_day();
    let (mut one, mut two) = (Account::new(machine.clone()), Account::new(machine));
    fill(&mut one, 5, START);
    assert!(!one.guess(9, START));
    fill(&mut two, 5, START);
    let (effect, _) = two.machine.step(None, &begin(1), START).split();
    assert!(
        matches!(effect, vouchsafe_core::Effect::Save { until, .. } if until == START.after(DAY))
    );
}
