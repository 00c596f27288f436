//! Known devices: whose cookies count, and what counters they have.
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
use vouchsafe_core::{AccountDigest, ChargeId, PolicyDigest, Timestamp};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{
    Begin, DeviceEpoch, DeviceKey, Devices, Limit, LockoutEvent, LockoutMachine, LockoutPolicy,
    LockoutVerdict as V, OnSuccess, Release,
};

fn with(devices: Option<Devices>, on_success: OnSuccess) -> Account {
    let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY));
    let policy = builder.devices(devices).on_success(on_success).build().unwrap();
    Account::new(LockoutMachine::new(policy, PolicyDigest::NONE))
}

fn four() -> Account {
    with(Some(Devices::default()), OnSuccess::SameDevice)
}

/// Of which epoch cookies are here.
const EPOCH: DeviceEpoch = DeviceEpoch::new(3);

fn wrong_from(account: &mut Account, id: u64, device: u64, now: Timestamp) -> bool {
    let admitted = matches!(account.send(begin_from(id, device), now), V::Admitted(_));
    if admitted {
        account.send(wrong(id), now);
    }
    admitted
}

#[test]
fn only_a_cookie_of_ours_for_this_account_is_known() {
    let key = device_key();
    let cookie = key.issue(ACCOUNT, 42, EPOCH, START);
    assert_eq!(cookie.len(), DeviceKey::LENGTH);
    let known = key.verify(ACCOUNT, &cookie).unwrap();
    assert_eq!(known.issued(), START);
    let device = known.of_epoch(EPOCH).unwrap();
    assert_eq!((device.account(), device.id(), device.issued()), (ACCOUNT, 42, START));
    assert_eq!(key.verify(AccountDigest::new([8; 16]), &cookie), None, "another account's");
    let other = DeviceKey::new(MacKey::new(&[8; 32]));
    assert_eq!(other.verify(ACCOUNT, &cookie), None, "another key's");
    let short = cookie.get(1..).unwrap();
    for bad in ["", "A", short, &format!("{cookie}A"), &format!("{short}=")] {
        assert_eq!(key.verify(ACCOUNT, bad), None, "{bad}");
    }
    // The whole cookie counts, to its last letter.
    for at in 0..cookie.len() {
        for letter in *b"AZaz09-_" {
            let mut forged = cookie.clone().into_bytes();
            if forged[at] != letter {
                forged[at] = letter;
                let forged = String::from_utf8(forged).unwrap();
                assert_eq!(key.verify(ACCOUNT, &forged), None, "letter {at} is {letter}");
            }
        }
    }
}

#[test]
fn the_cookie_is_of_one_form_for_ever() {
    let cookie = device_key().issue(ACCOUNT, 42, EPOCH, START);
    assert_eq!(cookie, "AyoAAAAAAAAAAwAAAAAAAAAAQEUWX2kFAP-PVLPHthQo0tRuFnif0ok");
    // The first form said nothing of what was voided, and in the second the counters did.
    let first = "ASoAAAAAAAAAAEBFFl9pBQBjSKjBwx2-cRlhUpiadU7x";
    let second = "AioAAAAAAAAAAAAAAAAAAAAAQEUWX2kFAOxeXnq69cBYqdwGLieiwS4";
    for before in [first, second] {
        assert_eq!(device_key().verify(ACCOUNT, before), None);
    }
}

#[test]
fn no_text_shows_the_key() {
    assert_eq!(format!("{:?}", device_key()), "DeviceKey(..)");
}

#[test]
fn strangers_do_not_lock_a_known_device_out() {
    let mut account = four();
    for id in 0..5 {
        assert!(account.guess(id, START));
    }
    assert!(!account.guess(9, START));
    assert!(matches!(account.send(begin_from(10, 1), START), V::Admitted(_)));
    assert!(matches!(account.send(right(10), START), V::Authenticated { .. }));
    // Where the policy has no device counters, five are five whatever they come from.
    let mut account = with(None, OnSuccess::SameDevice);
    for id in 0..5 {
        assert!(wrong_from(&mut account, id, id, START));
    }
    assert!(!wrong_from(&mut account, 9, 9, START));
    assert!(!account.guess(10, START));
}

/// An attempt lets go of what is old, but of no lock that holds another counter for longer.
#[test]
fn a_lock_that_outlasts_its_window_stays_whoever_else_tries() {
    let tries = |account: &mut Account, id, device: Option<u64>, now| match device {
        Some(device) => wrong_from(account, id, device, now),
        None => account.guess(id, now),
    };
    for (locked, other) in [(None, Some(1)), (Some(1), None), (Some(1), Some(2))] {
        let lock = |release| {
            let limit = Limit::new(5, DAY).with_release(release);
            let builder = LockoutPolicy::builder().limit(limit).devices(Devices::default());
            let machine = LockoutMachine::new(builder.build().unwrap(), PolicyDigest::NONE);
            let mut account = Account::new(machine);
            assert!((0..5).all(|id| tries(&mut account, id, locked, START)));
            account
        };
        let held = |account: &mut Account, id, now| {
            assert!(tries(account, id, other, now));
            account.state.as_ref().unwrap().len()
        };
        let end = START.after(DAY * 3);
        let mut timed = lock(Release::After(DAY * 3));
        assert_eq!(held(&mut timed, 10, end.before(MS)), 6);
        assert!(!tries(&mut timed, 20, locked, end.before(MS)));
        assert_eq!(held(&mut timed, 11, end), 2, "over, and let go of");
        assert!(tries(&mut timed, 20, locked, end));
        let mut for_ever = lock(Release::Admin);
        assert_eq!(held(&mut for_ever, 10, START.after(DAY * 100)), 6);
        assert!(!tries(&mut for_ever, 20, locked, START.after(DAY * 100)));
    }
}

/// Whoever settles once more, as the answer was lost, hears of their own counter.
#[test]
fn a_settlement_that_comes_twice_tells_of_its_own_counter() {
    let lock = |account: &mut Account, id| match account.send(wrong(id), START) {
        V::Failed { locked, .. } => locked.is_some(),
        other => panic!("{other:?}"),
    };
    for (device_fails, strangers_fail) in [(1, 5), (5, 1)] {
        let mut account = four();
        for id in 0..strangers_fail {
            assert!(account.guess(id, START));
        }
        for id in 10..10 + device_fails {
            assert!(wrong_from(&mut account, id, 1, START));
        }
        assert_eq!(lock(&mut account, 10), device_fails == 5);
        assert_eq!(lock(&mut account, 0), strangers_fail == 5);
    }
}

/// A month under attack from everywhere, a guess a minute, while the owner signs in each hour and
/// mistypes once a day.
#[test]
fn the_owner_signs_in_during_an_attack() {
    let mut account = four();
    let (mut verified, mut signed_in, mut tried) = (0_u32, 0, 0);
    for minute in 0..30 * 24 * 60_u32 {
        let (id, now) = (u64::from(minute) * 4, START.after(Duration::from_secs(60) * minute));
        verified += u32::from(account.guess(id, now));
        if minute % 60 == 30 {
            if minute % 1_440 == 30 {
                wrong_from(&mut account, id + 1, 1, now);
            }
            tried += 1;
            if matches!(account.send(begin_from(id + 2, 1), now), V::Admitted(_)) {
                account.send(right(id + 2), now);
                signed_in += 1;
            }
        }
    }
    assert_eq!((signed_in, tried), (720, 720));
    assert_eq!(verified, 150, "five a day, as without devices");
}

#[test]
fn each_device_counter_holds_the_limits_for_itself() {
    let mut account = four();
    // Ids 0 to 3 are four counters, 4 and 1 000 are on the first of them.
    let mut verified = 0;
    for id in 0..1_000 {
        verified += u32::from(wrong_from(&mut account, id, id, START));
        verified += u32::from(account.guess(10_000 + id, START));
    }
    assert_eq!(verified, 5 * (1 + 4));
    for device in [4, 1_000, u64::MAX] {
        assert!(!wrong_from(&mut account, 99_999, device, START));
    }
    assert_eq!(account.state.as_ref().unwrap().len(), 25);
    // Fewer counters by a new policy: what is there counts together.
    let one = Devices { counters: 1, ..Devices::default() };
    account.machine = with(Some(one), OnSuccess::SameDevice).machine;
    assert!(!wrong_from(&mut account, 99_999, 3, START.after(DAY).before(MS)));
    assert!(wrong_from(&mut account, 99_999, 3, START.after(DAY)));
}

#[test]
fn a_cookie_that_is_foreign_or_too_old_counts_as_absent() {
    let day = |n: u32| START.after(DAY * n);
    let micro = Duration::from_micros(1);
    let locked = || {
        let mut account = four();
        for id in 0..5 {
            assert!(account.guess(id, day(200)));
        }
        account
    };
    let known = |account: &mut Account, issued| {
        let verdict = account.send(begin_from_cookie(9, 1, issued), day(200));
        account.send(unverified(9), day(200));
        matches!(verdict, V::Admitted(_))
    };
    assert!(known(&mut locked(), day(20).after(micro)));
    assert!(!known(&mut locked(), day(20)), "180 days old");
    assert!(!known(&mut locked(), day(201)), "issued by a clock that was wrong");
    let foreign = Some(device_of(AccountDigest::new([8; 16]), 1, day(199)));
    let begin = Begin::new(ACCOUNT, ChargeId::new(9)).from_device(foreign);
    let verdict = locked().send(LockoutEvent::Begin(begin), day(200));
    assert!(matches!(verdict, V::Locked { .. }), "another account's");
}

/// A cookie of any other epoch is no device, and nothing else about it says so.
#[test]
fn a_cookie_of_another_epoch_is_void() {
    let key = device_key();
    let numbers = [0, 1, 2, 3, 255, 256, u64::MAX - 1, u64::MAX];
    for made in numbers {
        let cookie = key.issue(ACCOUNT, 1, DeviceEpoch::new(made), START);
        let cookie = key.verify(ACCOUNT, &cookie).unwrap();
        for present in numbers {
            let device = cookie.of_epoch(DeviceEpoch::new(present));
            assert_eq!(device.is_some(), made == present, "{made} in {present}");
        }
    }
}

#[test]
fn success_takes_back_what_on_success_says_and_nothing_else() {
    for (on_success, left) in
        [(OnSuccess::OwnCharge, 6), (OnSuccess::SameDevice, 4), (OnSuccess::OlderFailures, 1)]
    {
        let mut account = with(Some(Devices::default()), on_success);
        // Two of the device, two of another on the same counter, one of a stranger.
        for (id, device) in [(0, 1), (1, 1), (2, 5), (3, 5)] {
            assert!(wrong_from(&mut account, id, device, START));
        }
        assert!(account.guess(4, START));
        assert!(matches!(account.send(begin_from(5, 1), START), V::Admitted(_)));
        assert!(account.guess(6, START), "younger than the success");
        assert!(matches!(account.send(right(5), START), V::Authenticated { .. }));
        assert_eq!(account.state.as_ref().unwrap().len(), left, "{on_success:?}");
    }
    // A stranger's success is nobody's device.
    let mut account = four();
    assert!(account.guess(0, START));
    assert!(matches!(account.send(begin(1), START), V::Admitted(_)));
    assert!(matches!(account.send(right(1), START), V::Authenticated { .. }));
    assert_eq!(account.state.unwrap().len(), 1);
}

/// Known is who is counted as known.
#[test]
fn who_is_known_is_told_alike() {
    let micro = Duration::from_micros(1);
    let (ten, valid_for) = (Duration::from_secs(600), Devices::default().valid_for);
    let (now, without) = (START.after(valid_for), with(None, OnSuccess::SameDevice));
    for (issued, is_known) in [
        (START, false),
        (START.after(micro), true),
        (now, true),
        (now.after(ten), true),
        (now.after(ten).after(micro), false),
    ] {
        let mut account = four();
        for id in 0..5 {
            assert!(account.guess(id, now));
        }
        let device = device_of(ACCOUNT, 1, issued);
        assert_eq!(account.machine.knows(&device, now), is_known, "{issued}");
        assert!(!without.machine.knows(&device, now), "{issued}");
        let verdict = account.send(begin_from_cookie(9, 1, issued), now);
        assert_eq!(matches!(verdict, V::Admitted(_)), is_known, "{issued}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_cookie(text in "[A-Za-z0-9_-]{55}") {
        prop_assert_eq!(device_key().verify(ACCOUNT, &text), None);
    }

    #[test]
    fn what_is_issued_is_known(id: u64, micros in 0..4_000_000_000_000_000_i64) {
        let (key, issued) = (device_key(), Timestamp::from_micros(micros));
        let cookie = key.issue(ACCOUNT, id, EPOCH, issued);
        let device = key.verify(ACCOUNT, &cookie).unwrap().of_epoch(EPOCH).unwrap();
        prop_assert_eq!((device.id(), device.issued()), (id, issued));
    }
}
