//! Keys of filters by their number, ascending, so that nobody has to keep them.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Cursor;

use vouchsafe_password::{BreachBuilder, BreachKey, FingerprintBits};

fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Key number `at` of `of`.
pub fn key(at: u64, of: u64) -> BreachKey {
    let step = u64::MAX / of;
    BreachKey::from_bits(at * step + mixed(at) % step)
}

/// Not one of the keys.
pub fn absent(at: u64, of: u64) -> BreachKey {
    let found = mixed(!at);
    let near = (found / (u64::MAX / of)).min(of - 1);
    assert_ne!(key(near, of).bits(), found);
    BreachKey::from_bits(found)
}

pub fn file(of: u64, bits: FingerprintBits) -> Vec<u8> {
    build((0..of).map(|at| key(at, of)), bits, of)
}

pub fn build(
    keys: impl IntoIterator<Item = BreachKey>,
    bits: FingerprintBits,
    expected: u64,
) -> Vec<u8> {
    let mut builder = BreachBuilder::new(Cursor::new(Vec::new()), bits, expected).unwrap();
    for key in keys {
        builder.push(key).unwrap();
    }
    builder.finish().unwrap().0.into_inner()
}
