//! Public keys under which anybody can sign.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use ring::signature::{ED25519, UnparsedPublicKey};
use vouchsafe_crypto::{PublicKey, SigningKey};

/// The encodings of all points whose order divides 8, computed as multiples of random points by the
/// order of the base point; without the sign of x.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// With both signs of x.
fn encodings() -> Vec<[u8; 32]> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let of = |hex: &&str| -> [u8; 32] {
        hex.as_bytes().chunks(2).map(byte).collect::<Vec<_>>().try_into().unwrap()
    };
    let mut all: Vec<_> = SMALL_ORDER.iter().map(of).collect();
    for at in 0..SMALL_ORDER.len() {
        let mut other = all[at];
        other[31] |= 0x80;
        all.push(other);
    }
    all
}

#[test]
fn a_key_of_small_order_verifies_nothing() {
    let encodings = encodings();
    let mut forgeable = vec![false; encodings.len()];
    for (at, key) in encodings.iter().enumerate() {
        // A point of small order and zero: with one message in eight, at the least, it is one.
        for (point, message) in encodings.iter().flat_map(|r| (0..64_u8).map(move |m| (r, [m]))) {
            let mut forged = [0; 64];
            forged[..32].copy_from_slice(point);
            forgeable[at] |=
                UnparsedPublicKey::new(&ED25519, key).verify(&message, &forged).is_ok();
            assert!(PublicKey::from_bytes(*key).verify(&message, &forged).is_err());
        }
    }
    // Without the check, each of them is forged at once.
    assert!(forgeable[..SMALL_ORDER.len()].iter().all(|forgeable| *forgeable), "{forgeable:?}");
}

#[test]
fn other_keys_verify() {
    for seed in 0..=255 {
        let key = SigningKey::from_seed(&[seed; 32]);
        assert!(key.public().verify(b"message", &key.sign(b"message")).is_ok());
    }
}
