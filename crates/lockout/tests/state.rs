//! Bytes: what is written, what is read back, what is refused.
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

use common::*;
use proptest::prelude::*;
use vouchsafe_core::{Cell, CellKey, ChargeId, Corrupt, PolicyDigest, Space};
use vouchsafe_lockout::{
    Consecutive, Crossing, CrossingKind, Devices, Limit, LockoutEvent, LockoutMachine,
    LockoutPolicy, LockoutState, LockoutVerdict,
};
use vouchsafe_testkit::runs;

/// Two failures and one charge in flight, after an unlock: version 1, as first released.
const FIXTURE: &str = "0101 00c7d8195f690500 004045165f690500 2a00000000000000 03 \
    004045165f690500 0100000000000000 01 40b8c2175f690500 0200000000000000 01 \
    00c7d8195f690500 0300000000000000 00";

/// The same as version 2.
const FIXTURE_2: &str = "0201 00c7d8195f690500 808ece1c2a00000000000000 \
    81f0f0e4010100000000000000 81ecc185010200000000000000 000300000000000000";

/// Every part of version 2. Where cookies were voided there once was a moment, under another flag.
const EVERYTHING: &str = "0275 0074274763690500 80909de91a0100000000000000 0280c8ceb40d \
    010101010101 020202020202 0080c8ceb40d 01 81c3f3a46b0800000000000000 020900000000000000 \
    c581f4a46b0700000000000000 0d00000000000000 85c3f3a46b0800000000000000 0d00000000000000 \
    050900000000000000 0e00000000000000";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn sample() -> LockoutState {
    let mut account = Account::new(five_a_day());
    account.send(unlock(42), START);
    three_charges(account)
}

fn three_charges(mut account: Account) -> LockoutState {
    account.guess(1, START);
    account.guess(2, START.after(HOUR / 3600 * 25));
    account.send(begin(3), START.after(HOUR / 60));
    account.state.unwrap()
}

#[test]
fn version_1_opens_for_ever() {
    assert_eq!(LockoutState::from_bytes(hex(FIXTURE)).unwrap(), sample());
    let unlocked = "0101 00c7d8195f690500 004045165f690500 2a00000000000000";
    let never_unlocked = FIXTURE.replacen(unlocked, "0100 00c7d8195f690500", 1);
    let state = LockoutState::from_bytes(hex(&never_unlocked)).unwrap();
    assert_eq!(state, three_charges(Account::new(five_a_day())));
}

#[test]
fn version_2_opens_for_ever() {
    for (state, fixture) in [(sample(), FIXTURE_2), (everything(), EVERYTHING)] {
        let bytes = state.clone().into_bytes();
        let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, hex(fixture), "now {shown}");
        assert_eq!(LockoutState::from_bytes(hex(fixture)).unwrap(), state);
    }
    // Since when, and later since which epoch, cookies were void.
    for (flags, void) in [("0277", "80e8888743"), ("02f5", "01")] {
        let once = EVERYTHING.replacen("0275", flags, 1);
        let once = once.replacen("0280c8ceb40d", &format!("{void} 0280c8ceb40d"), 1);
        assert_eq!(LockoutState::from_bytes(hex(&once)).unwrap(), everything());
    }
}

/// A known device, a run that has left the window, a repeat, a lock that is announced
/// and a run that is to be.
fn everything() -> LockoutState {
    let builder = LockoutPolicy::builder().limit(Limit::new(2, HOUR)).repeats(20);
    let rule = Consecutive { disable_at: 7, devices_only_from: 5, memory: DAY * 90 };
    let policy = builder.devices(Devices::default()).consecutive(rule).build().unwrap();
    let machine = LockoutMachine::new(policy, PolicyDigest::NONE).announcing();
    let mut account = Account::new(machine);
    let hour = |n: u32| START.after(HOUR * n);
    for n in [1, 2] {
        assert!(account.guess(n.into(), hour(n)));
    }
    account.send(begin(3), hour(3));
    account.send(right(3), hour(3));
    account.send(unlock(1), hour(3));
    for (n, secret) in [(4, 1), (5, 1), (6, 2)] {
        account.send(begin(n), hour(4));
        account.send(wrong_secret(n, secret), hour(4));
    }
    for n in [7, 8] {
        account.send(begin_from_cookie(n, 0xd, hour(1)), hour(4).after(MS));
        account.send(wrong(n), hour(4).after(MS * 2));
    }
    let locked = Crossing { id: ChargeId::new(8), kind: CrossingKind::Locked };
    account.send(
        LockoutEvent::Announced { account: ACCOUNT, crossing: locked },
        hour(4).after(MS * 2),
    );
    account.send(begin_from_cookie(9, 0xe, hour(1)), hour(5));
    account.send(wrong(9), hour(5));
    assert!(matches!(account.send(begin(10), hour(5)), LockoutVerdict::Locked { .. }));
    account.state.unwrap()
}

#[test]
fn one_live_charge_takes_no_more_than_29_bytes() {
    let mut account = Account::new(five_a_day());
    account.send(unlock(7), START);
    assert!(account.state.as_ref().unwrap().is_empty(), "an unlock is no charge");
    let builder = LockoutPolicy::builder().limit(Limit::new(5, DAY)).repeats(20);
    let policy = builder.consecutive(Consecutive::default()).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    account.send(begin(1), START);
    let state = account.state.clone().unwrap();
    assert!(!state.is_empty());
    assert_eq!(state.into_bytes().len(), 19);
    // Settled after ten seconds, with the digest of what was wrong.
    account.send(wrong_secret(1, 7), START.after(MS * 10_000));
    assert_eq!(account.state.unwrap().into_bytes().len(), 28);
}

#[test]
fn the_largest_log_is_read_back_and_a_larger_one_is_not() {
    let limit = Limit::new(64, DAY).with_lock_on(vouchsafe_lockout::LockOn::Exceeding);
    let builder = LockoutPolicy::builder().limit(limit);
    let eight = Devices { counters: 8, ..Devices::default() };
    let policy = builder.devices(eight).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    for id in 0..65 {
        assert!(account.guess(id, START), "{id}");
        for device in 0..8 {
            let id = 1_000 + id * 8 + device;
            assert!(matches!(
                account.send(begin_from(id, device), START),
                LockoutVerdict::Admitted(_)
            ));
        }
    }
    assert!(!account.guess(65, START));
    let state = account.state.unwrap();
    assert_eq!(state.len(), 65 * 9);
    let mut bytes = state.clone().into_bytes();
    assert_eq!(LockoutState::from_bytes(bytes.clone()).unwrap(), state);
    let charge = |bytes: &mut Vec<u8>| bytes.extend([1, 7, 0, 0, 0, 0, 0, 0, 0]);
    (0..100).for_each(|_| charge(&mut bytes));
    assert!(LockoutState::from_bytes(bytes.clone()).is_ok(), "with a run in flight");
    charge(&mut bytes);
    assert_eq!(LockoutState::from_bytes(bytes), Err(Corrupt));
}

/// These bytes are no state, whatever version they say they are.
#[track_caller]
fn changed(good: &[u8], at: usize, value: u8) -> Result<LockoutState, Corrupt> {
    let mut bytes = good.to_vec();
    assert_ne!(bytes[at], value);
    bytes[at] = value;
    LockoutState::from_bytes(bytes)
}

#[test]
fn nothing_else_is_version_1() {
    let good = hex(FIXTURE);
    for cut in 0..good.len() {
        assert_eq!(LockoutState::from_bytes(good[..cut].to_vec()), Err(Corrupt), "cut at {cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(LockoutState::from_bytes(longer), Err(Corrupt));
    let change = |at, value| changed(&good, at, value);
    assert_eq!(change(0, 0), Err(Corrupt), "version 0");
    assert_eq!(change(0, 3), Err(Corrupt), "version 3");
    assert_eq!(change(1, 2), Err(Corrupt), "unknown flag");
    assert_eq!(change(1, 3), Err(Corrupt), "unknown flag beside a known one");
    assert_eq!(change(9, 0x7f), Err(Corrupt), "a moment beyond the calendar");
    assert_eq!(change(26, 2), Err(Corrupt), "fewer charges than there are");
    assert_eq!(change(26, 66), Err(Corrupt), "more charges than there are");
    assert_eq!(change(good.len() - 1, 2), Err(Corrupt), "neither settled nor not");
    assert_eq!(change(3, 0), Err(Corrupt), "a charge later than anything seen");
    assert_eq!(change(30, 0x19), Err(Corrupt), "charges out of order");
}

#[test]
fn nothing_else_is_version_2() {
    let bytes = |text: &str| LockoutState::from_bytes(hex(text));
    let seen = "00c7d8195f690500";
    let charge = "00 0100000000000000";
    assert!(bytes(&format!("02 00 {seen} {charge} {charge}")).is_ok());
    let eleven = bytes(&format!("02 40 {seen} 0a {}", charge.repeat(11)));
    assert!(eleven.is_ok(), "a notice of each counter, and two of the run");
    for (no_state, why) in [
        (format!("02 80 {seen} 00"), "the first epoch"),
        (format!("02 80 {seen}"), "an epoch that is missing"),
        (format!("02 82 {seen} 00 01"), "an epoch, and a moment in its place"),
        ("02 00 ffffffffffffff7f".to_owned(), "a moment beyond the calendar"),
        (format!("02 00 {seen} 8000 0100000000000000"), "a number that has a shorter form"),
        (format!("02 00 {seen} ffffffffffffffffff01 0100000000000000"), "before the calendar"),
        (format!("02 00 {seen} ffffffffffffffffff02 0100000000000000"), "more than 64 bits"),
        (format!("02 00 {seen} ffffffffffffffffffff01 0100000000000000"), "an endless number"),
        (format!("02 00 {seen} {charge} 08 0100000000000000"), "charges out of order"),
        (format!("02 00 {seen} 04 0100000000000000"), "a device that is missing"),
        (format!("02 04 {seen} 00 00"), "a run of none"),
        (format!("02 04 {seen} ffffffff10 00"), "a run of more than 2^32"),
        (format!("02 20 {seen} 14 {}", "00".repeat(21)), "21 repeats"),
        (format!("02 20 {seen} 01 00 01"), "repeats out of order"),
        (format!("02 40 {seen} 00 06 0100000000000000"), "an unknown crossing"),
        (format!("02 40 {seen} 0b {}", charge.repeat(12)), "12 notices"),
        (format!("02 18 {seen} 010101010101 010101010101"), "two wrong secrets of three"),
    ] {
        assert_eq!(bytes(&no_state), Err(Corrupt), "{why}");
    }
    for good in [hex(FIXTURE_2), hex(EVERYTHING)] {
        for cut in 0..10 {
            assert_eq!(
                LockoutState::from_bytes(good[..cut].to_vec()),
                Err(Corrupt),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn an_account_has_one_cell() {
    assert_eq!(LockoutState::key(ACCOUNT), CellKey::new(Space::Lockout, [7; 16]));
    for event in [begin(1), wrong(1), right(1), unverified(1), unlock(1)] {
        assert_eq!(event.cell(), LockoutState::key(ACCOUNT));
    }
}

/// Cookies were voided, written as it once was: read, and written otherwise.
fn says_what_is_void(bytes: &[u8]) -> bool {
    bytes[0] == 2 && bytes[1] & 0x82 != 0
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(runs(2_000, 200_000) as u32) })]

    /// Any bytes of this version: refused, or written back as they are.
    #[test]
    fn reads_only_what_it_would_write(at: prop::sample::Index, flip in 1_u8..=255, all: bool) {
        let mut bytes = if all { everything() } else { sample() }.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(state) = LockoutState::from_bytes(bytes.clone()) {
            prop_assert!(at == 0 || says_what_is_void(&bytes) || state.into_bytes() == bytes);
        }
    }

    #[test]
    fn takes_any_bytes(version in 0_u8..4, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [vec![version], tail].concat();
        if let Ok(state) = LockoutState::from_bytes(bytes.clone()) {
            let written = state.clone().into_bytes();
            prop_assert!(version == 1 || says_what_is_void(&bytes) || written == bytes);
            prop_assert_eq!(LockoutState::from_bytes(written), Ok(state));
        }
    }
}

#[test]
fn unlocks_of_one_moment_differ_by_their_ids() {
    let after = |id| {
        let mut account = Account::new(five_a_day());
        account.send(unlock(id), START);
        account.state
    };
    assert_eq!(after(1), after(1));
    assert_ne!(after(1), after(2));
}

#[test]
fn repeats_of_one_moment_are_read_back() {
    let policy = LockoutPolicy::builder().limit(Limit::new(5, DAY)).repeats(20).build().unwrap();
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    for id in 0..3 {
        assert!(matches!(account.send(begin(id), START), LockoutVerdict::Admitted(_)));
        account.send(wrong_secret(id, 1), START);
    }
    let state = account.state.unwrap();
    assert_eq!(LockoutState::from_bytes(state.clone().into_bytes()), Ok(state));
}

#[test]
fn borrowed_bytes_are_the_owned_ones() {
    let (state, mut out) = (everything(), Vec::new());
    state.clone().write(&mut out);
    assert_eq!(out, state.clone().into_bytes());
    assert_eq!(LockoutState::read(&out), Ok(state));
}

#[test]
fn charges_of_one_moment_are_in_order_and_earlier_ones_are_not() {
    let (start, before) = ("004045165f690500", "ff3f45165f690500");
    let version_1 = |first: &str, second: &str| {
        let (one, two) = ("0100000000000000 01", "0200000000000000 00");
        LockoutState::from_bytes(hex(&format!("0100 {start} 02 {first} {one} {second} {two}")))
    };
    assert_eq!(version_1(start, start).unwrap().len(), 2);
    assert_eq!(version_1(before, start).unwrap().len(), 2);
    assert_eq!(version_1(start, before), Err(Corrupt));
}
