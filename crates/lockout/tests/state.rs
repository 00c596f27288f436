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
use vouchsafe_core::{Cell, CellKey, Corrupt, Space};
use vouchsafe_lockout::{Limit, LockoutState};
use vouchsafe_testkit::runs;

/// Two failures and one charge in flight, after an unlock: version 1, as first released.
const FIXTURE: &str = "0101 00c7d8195f690500 004045165f690500 2a00000000000000 03 \
    004045165f690500 0100000000000000 01 40b8c2175f690500 0200000000000000 01 \
    00c7d8195f690500 0300000000000000 00";

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
    account.guess(1, START);
    account.guess(2, START.after(HOUR / 3600 * 25));
    account.send(begin(3), START.after(HOUR / 60));
    account.state.unwrap()
}

#[test]
fn version_1_opens_for_ever() {
    let bytes = sample().into_bytes();
    let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bytes, hex(FIXTURE), "now {shown}");
    assert_eq!(LockoutState::from_bytes(hex(FIXTURE)).unwrap(), sample());
}

#[test]
fn one_live_charge_takes_28_bytes() {
    let mut account = Account::new(five_a_day());
    account.send(unlock(7), START);
    assert!(account.state.as_ref().unwrap().is_empty(), "an unlock is no charge");
    let mut account = Account::new(five_a_day());
    account.send(begin(1), START);
    let state = account.state.unwrap();
    assert!(!state.is_empty());
    assert_eq!(state.into_bytes().len(), 28);
}

#[test]
fn the_largest_log_is_read_back_and_a_larger_one_is_not() {
    let limit = Limit::new(64, DAY).with_lock_on(vouchsafe_lockout::LockOn::Exceeding);
    let mut account = Account::new(machine(&[limit]));
    for id in 0..65 {
        assert!(account.guess(id, START), "{id}");
    }
    assert!(!account.guess(65, START));
    let state = account.state.unwrap();
    assert_eq!(state.len(), 65);
    let mut bytes = state.clone().into_bytes();
    assert_eq!(LockoutState::from_bytes(bytes.clone()).unwrap(), state);
    let last = bytes[bytes.len() - 17..].to_vec();
    bytes.extend(last);
    bytes[10] = 66;
    assert_eq!(LockoutState::from_bytes(bytes), Err(Corrupt));
}

#[test]
fn nothing_else_is_a_state() {
    let good = sample().into_bytes();
    for cut in 0..good.len() {
        assert_eq!(LockoutState::from_bytes(good[..cut].to_vec()), Err(Corrupt), "cut at {cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(LockoutState::from_bytes(longer), Err(Corrupt));
    let change = |at: usize, value: u8| {
        let mut bytes = good.clone();
        assert_ne!(bytes[at], value);
        bytes[at] = value;
        LockoutState::from_bytes(bytes)
    };
    assert_eq!(change(0, 0), Err(Corrupt), "version 0");
    assert_eq!(change(0, 2), Err(Corrupt), "version 2");
    assert_eq!(change(1, 2), Err(Corrupt), "unknown flag");
    assert_eq!(change(1, 3), Err(Corrupt), "unknown flag beside a known one");
    assert_eq!(change(9, 0x7f), Err(Corrupt), "a moment beyond the calendar");
    assert_eq!(change(26, 2), Err(Corrupt), "fewer charges than there are");
    assert_eq!(change(good.len() - 1, 2), Err(Corrupt), "neither settled nor not");
    assert_eq!(change(3, 0), Err(Corrupt), "a charge later than anything seen");
    assert_eq!(change(30, 0x19), Err(Corrupt), "charges out of order");
}

#[test]
fn an_account_has_one_cell() {
    assert_eq!(LockoutState::key(ACCOUNT), CellKey::new(Space::Lockout, [7; 16]));
    for event in [begin(1), wrong(1), right(1), unverified(1), unlock(1)] {
        assert_eq!(event.cell(), LockoutState::key(ACCOUNT));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(runs(2_000, 200_000) as u32) })]

    /// Any bytes: refused, or written back as they are.
    #[test]
    fn reads_only_what_it_would_write(at in 0_usize..79, flip in 1_u8..=255) {
        let mut bytes = sample().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(state) = LockoutState::from_bytes(bytes.clone()) {
            prop_assert_eq!(state.into_bytes(), bytes);
        }
    }

    #[test]
    fn takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(state) = LockoutState::from_bytes(bytes.clone()) {
            prop_assert_eq!(state.into_bytes(), bytes);
        }
    }
}
