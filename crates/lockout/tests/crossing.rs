//! Each lock is announced once, whoever crashes.
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
use vouchsafe_core::{Cell, ChargeId, PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Consecutive, Crossing, CrossingKind as Kind, Devices, Limit, LockoutEvent, LockoutMachine,
    LockoutPolicy, LockoutState, LockoutVerdict as V,
};

const D: Duration = Duration::from_secs(10);

fn announcing() -> Account {
    Account::new(five_a_day().announcing())
}

fn crossing(id: u64, kind: Kind) -> Option<Crossing> {
    Some(Crossing { id: ChargeId::new(id), kind })
}

fn announced(told: Option<Crossing>) -> LockoutEvent {
    LockoutEvent::Announced { account: ACCOUNT, crossing: told.unwrap() }
}

/// Begins, and settles as wrong where admitted; what is to be announced.
fn guess(account: &mut Account, id: u64, now: Timestamp) -> Option<Crossing> {
    match account.send(begin(id), now) {
        V::Admitted(_) => match account.send(wrong(id), now) {
            V::Failed { crossing, .. } => crossing,
            other => panic!("{other:?}"),
        },
        V::Locked { crossing, .. } => crossing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_locks_announces_and_nobody_else() {
    let mut account = announcing();
    for id in 0..4 {
        assert_eq!(guess(&mut account, id, START), None);
    }
    let told = guess(&mut account, 4, START);
    assert_eq!(told, crossing(4, Kind::Locked));
    let saves = account.saves;
    for id in 10..1_000 {
        assert_eq!(guess(&mut account, id, START.after(D).before(MS)), None);
    }
    assert_eq!(account.saves, saves);
    assert!(matches!(account.send(announced(told), START), V::Noted));
    for id in 10..1_000 {
        assert_eq!(guess(&mut account, id, START.after(HOUR)), None);
    }
    assert_eq!(account.saves, saves + 1, "one write for the announcement, none for the refused");
    // Once more is nothing more.
    assert!(matches!(account.send(announced(told), START), V::Noted));
    assert_eq!(account.saves, saves + 1);
    // Nor is one of which nobody was told.
    assert!(matches!(account.send(announced(crossing(3, Kind::Locked)), START), V::Noted));
    assert_eq!(account.saves, saves + 1);
}

#[test]
fn what_a_crash_left_unannounced_is_announced_under_the_same_id() {
    let mut account = announcing();
    for id in 0..5 {
        guess(&mut account, id, START);
    }
    let due = START.after(D);
    assert_eq!(guess(&mut account, 9, due.before(MS)), None);
    assert_eq!(guess(&mut account, 9, due), crossing(4, Kind::Locked));
    assert_eq!(guess(&mut account, 9, due), None, "told once in a while");
    assert_eq!(guess(&mut account, 9, due.after(D)), crossing(4, Kind::Locked));
    account.send(announced(crossing(4, Kind::Locked)), due.after(D));
    assert_eq!(guess(&mut account, 9, due.after(D * 9)), None);
}

#[test]
fn a_lock_that_nobody_settled_is_announced_by_who_meets_it() {
    let mut account = announcing();
    for id in 0..5 {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
    }
    assert!(matches!(account.send(begin(9), START), V::Wait { .. }), "no lock, nothing to say");
    let due = START.after(D);
    assert_eq!(guess(&mut account, 9, due), crossing(4, Kind::Locked));
    assert_eq!(guess(&mut account, 9, due), None);
}

#[test]
fn in_whatever_order_they_settle_the_lock_is_the_last_charges() {
    let mut account = announcing();
    for id in 0..5 {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
    }
    for id in [4, 1, 3, 0] {
        assert!(matches!(account.send(wrong(id), START), V::Failed { crossing: None, .. }));
    }
    let V::Failed { crossing: told, .. } = account.send(wrong(2), START) else { panic!() };
    assert_eq!(told, crossing(4, Kind::Locked));
}

#[test]
fn each_lock_has_its_own_id() {
    let mut account = announcing();
    let mut told = Vec::new();
    for id in 0..200 {
        let now = START.after(HOUR * id as u32);
        if let Some(crossing) = guess(&mut account, id, now) {
            account.send(announced(Some(crossing)), now);
            told.push(crossing.id.get());
        }
    }
    // One guess an hour: locked at the fifth, a lock anew by each that the window lets in.
    let admitted: Vec<u64> = (0..200).filter(|id| id % 24 < 5).collect();
    let locks: Vec<u64> = admitted.into_iter().filter(|id| *id >= 4).collect();
    assert_eq!(told, locks);
    // Unlocked and locked again.
    let now = START.after(HOUR * 200);
    account.send(unlock(1), now);
    for id in 300..304 {
        assert_eq!(guess(&mut account, id, now), None);
    }
    assert_eq!(guess(&mut account, 304, now), crossing(304, Kind::Locked));
}

#[test]
fn a_lock_of_one_counter_is_no_news_of_another() {
    let builder = LockoutPolicy::builder().limit(Limit::new(2, DAY)).devices(Devices::default());
    let machine = LockoutMachine::new(builder.build().unwrap(), PolicyDigest::NONE);
    let mut account = Account::new(machine.announcing());
    guess(&mut account, 0, START);
    let strangers = guess(&mut account, 1, START);
    assert_eq!(strangers, crossing(1, Kind::Locked));
    account.send(begin_from(2, 1), START);
    account.send(wrong(2), START);
    account.send(begin_from(3, 1), START);
    let V::Failed { crossing: device, .. } = account.send(wrong(3), START) else { panic!() };
    assert_eq!(device, crossing(3, Kind::Locked));
    for told in [strangers, device] {
        account.send(announced(told), START);
    }
    let saves = account.saves;
    for id in 10..100 {
        let later = START.after(HOUR);
        assert_eq!(guess(&mut account, id, later), None);
        let verdict = account.send(begin_from(id, 1), later);
        assert!(matches!(verdict, V::Locked { crossing: None, .. }), "{verdict:?}");
    }
    assert_eq!(account.saves, saves);
}

#[test]
fn a_run_is_announced_at_both_its_ends() {
    let rule = Consecutive { disable_at: 6, devices_only_from: 4, memory: DAY * 90 };
    let builder = LockoutPolicy::builder().limit(Limit::new(64, DAY)).consecutive(rule);
    let policy = builder.devices(Devices::default()).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE).announcing());
    for id in 0..3 {
        assert_eq!(guess(&mut account, id, START), None);
    }
    let told = guess(&mut account, 3, START);
    assert_eq!(told, crossing(3, Kind::DevicesOnly));
    account.send(announced(told), START);
    // Long after the charges have left the log.
    let later = START.after(DAY * 2);
    for id in 4..6 {
        assert_eq!(guess(&mut account, 50 + id, later), None);
        assert!(matches!(account.send(begin_from(id, 1), later), V::Admitted(_)));
        let V::Failed { crossing: told, .. } = account.send(wrong(id), later) else { panic!() };
        assert_eq!(told, if id == 5 { crossing(5, Kind::Disabled) } else { None });
    }
    let state = account.state.clone().unwrap();
    assert_eq!(LockoutState::from_bytes(state.clone().into_bytes()), Ok(state));
    account.send(announced(crossing(5, Kind::Disabled)), later);
    let saves = account.saves;
    for id in 100..200 {
        assert_eq!(guess(&mut account, id, later.after(HOUR)), None);
    }
    assert_eq!(account.saves, saves);
    // Forgotten, and anew.
    let end = later.after(DAY * 90);
    for id in 200..203 {
        assert_eq!(guess(&mut account, id, end), None);
    }
    assert_eq!(guess(&mut account, 203, end), crossing(203, Kind::DevicesOnly));
}

#[test]
fn a_machine_that_is_not_asked_to_announces_nothing() {
    let mut account = Account::new(five_a_day());
    for id in 0..10 {
        assert_eq!(guess(&mut account, id, START), None);
    }
    let plain = account.state.unwrap().into_bytes().len();
    let mut account = announcing();
    for id in 0..10 {
        guess(&mut account, id, START);
    }
    assert_eq!(account.state.unwrap().into_bytes().len(), plain + 1 + 1 + 8);
}

/// Where the first failure disables, the next run fills its bound by the very charge that begins it.
#[test]
fn a_run_that_the_first_failure_ends_is_announced_each_time() {
    let rule = Consecutive { disable_at: 1, devices_only_from: 1, memory: HOUR };
    let limits = Limit::new(64, DAY);
    let policy = LockoutPolicy::builder().limit(limits).consecutive(rule).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE).announcing());
    for id in 0..5 {
        let now = START.after(HOUR * id as u32);
        let told = guess(&mut account, id, now);
        assert_eq!(told, crossing(id, Kind::Disabled));
        account.send(announced(told), now);
    }
}

/// The owner signs in while strangers' attempts are being verified: those are the next run.
#[test]
fn a_run_that_begins_in_flight_is_announced_anew() {
    let rule = Consecutive { disable_at: 20, devices_only_from: 2, memory: DAY * 90 };
    let builder = LockoutPolicy::builder().limit(Limit::new(64, DAY)).consecutive(rule);
    let policy = builder.devices(Devices::default()).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE).announcing());
    guess(&mut account, 0, START);
    let told = guess(&mut account, 1, START);
    assert_eq!(told, crossing(1, Kind::DevicesOnly));
    account.send(announced(told), START);
    for id in [10, 11, 12] {
        assert!(matches!(account.send(begin_from(id, id), START), V::Admitted(_)));
    }
    assert!(matches!(account.send(right(10), START), V::Authenticated { .. }));
    for id in [11, 12] {
        account.send(wrong(id), START);
    }
    assert_eq!(guess(&mut account, 20, START), crossing(12, Kind::DevicesOnly));
}
