//! Encodings that cannot be confused, digests that others compute alike, keys that do not print.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use proptest::prelude::*;
use sha2::{Digest, Sha256 as Other};
use vouchsafe_core::Entropy;
use vouchsafe_crypto::{
    AeadKey, Hash, MacKey, RootKey, Sha256, SigningKey, SystemEntropy, encode, hkdf_expand, sha256,
};
use vouchsafe_testkit::{SeededEntropy, runs};

/// Somebody else's HMAC, on somebody else's SHA-256.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, message).as_ref().try_into().unwrap()
}

/// Reads an encoding back; whatever can be read back is injective.
fn decode(mut bytes: &[u8]) -> Option<(String, Vec<Vec<u8>>)> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u64::from_be_bytes(*len).try_into().ok()?)?;
        parts.push(part.to_vec());
        bytes = rest;
    }
    let label = String::from_utf8(parts.remove(0)).ok()?;
    Some((label, parts))
}

fn part() -> impl Strategy<Value = Vec<u8>> {
    // Few different bytes, zeros and lengths among them, so that near misses are frequent.
    let byte = || prop_oneof![Just(0_u8), Just(1), Just(8), any::<u8>()];
    // Some as long as blocks.
    let (short, long) =
        (prop::collection::vec(byte(), 0..12), prop::collection::vec(byte(), 0..200));
    prop_oneof![4 => short, 1 => long]
}

fn parts() -> impl Strategy<Value = (String, Vec<Vec<u8>>)> {
    ("[a-z/]{0,6}", prop::collection::vec(part(), 0..5))
}

fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
    parts.iter().map(Vec::as_slice).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs(2_000, 200_000) as u32))]

    #[test]
    fn an_encoding_is_read_back((label, parts) in parts()) {
        let encoded = encode(&label, &slices(&parts));
        prop_assert_eq!(decode(&encoded), Some((label, parts)));
    }

    #[test]
    fn a_mac_is_hmac_over_the_encoding((label, parts) in parts(), secret in any::<[u8; 32]>()) {
        let key = MacKey::new(&secret);
        let expected = hmac(&secret, &encode(&label, &slices(&parts)));
        prop_assert_eq!(key.mac(&label, &slices(&parts)), expected);
        let digest = key.digest(&label, &slices(&parts));
        prop_assert_eq!(digest.as_slice(), &expected[..16]);
        prop_assert!(key.verify(&label, &slices(&parts), &expected));
    }

    #[test]
    fn a_prefix_and_a_last_part_are_a_digest((label, parts) in parts(), last in part()) {
        let key = MacKey::new(&[7; 32]);
        let prefix = key.prefix(&label, &slices(&parts));
        let all = [slices(&parts), vec![&last]].concat();
        prop_assert_eq!(prefix.digest(&last), key.digest(&label, &all));
        // Nothing of one digest is left in the prefix.
        prop_assert_eq!(prefix.digest(&last), key.digest(&label, &all));
    }

    #[test]
    fn a_subkey_is_one_block_of_hkdf((label, parts) in parts(), secret in any::<[u8; 32]>()) {
        let mut info = encode(&label, &slices(&parts));
        info.push(1);
        prop_assert_eq!(*RootKey::new(&secret).derive(&label, &slices(&parts)), hmac(&secret, &info));
    }

    #[test]
    fn sha256_in_pieces(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..5)) {
        let mut hash = Sha256::new();
        pieces.iter().for_each(|piece| hash.update(piece));
        let all = pieces.concat();
        let whole: [u8; 32] = Other::digest(&all).into();
        prop_assert_eq!(hash.finish(), whole);
        prop_assert_eq!(sha256(&all), whole);
    }
}

/// Where a message ends in its block decides how it is padded.
#[test]
fn messages_of_every_length_and_in_any_pieces_have_their_mac() {
    let (secret, bytes) = ([7; 32], [0xA7; 400]);
    let key = MacKey::new(&secret);
    for len in 0..bytes.len() {
        let message = &bytes[..len];
        assert_eq!(key.mac("", &[message]), hmac(&secret, &encode("", &[message])), "{len}");
        let pieces: Vec<&[u8]> = message.chunks(1 + len % 67).collect();
        assert_eq!(key.mac("x", &pieces), hmac(&secret, &encode("x", &pieces)), "{len}");
    }
}

#[test]
fn a_changed_tag_does_not_verify() {
    let key = MacKey::generate(&SeededEntropy::new(1)).unwrap();
    let tag = key.mac("label", &[b"part"]);
    for bit in 0..256 {
        let mut wrong = tag;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.verify("label", &[b"part"], &wrong), "bit {bit}");
    }
    assert!(!key.verify("label", &[b"part"], &tag[..31]));
    assert!(!key.verify("label", &[b"part"], &[]));
    assert!(!key.verify("other", &[b"part"], &tag));
    assert!(!key.verify("label", &[b"par", b"t"], &tag));
    assert!(!MacKey::generate(&SeededEntropy::new(2)).unwrap().verify("label", &[b"part"], &tag));
}

#[test]
fn sealed_bytes_open_only_as_they_were_sealed() {
    let key = AeadKey::generate(&SeededEntropy::new(3)).unwrap();
    let mut sealed = b"plain".to_vec();
    key.seal_in_place([1; 12], b"aad", &mut sealed).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut wrong = sealed.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open_in_place([1; 12], b"aad", &mut wrong).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(key.open_in_place([1; 12], b"aad", &mut sealed.clone()[..len]).is_err());
    }
    assert!(key.open_in_place([2; 12], b"aad", &mut sealed.clone()).is_err());
    assert!(key.open_in_place([1; 12], b"", &mut sealed.clone()).is_err());
    let mut framed = [b"head".as_slice(), &sealed].concat();
    assert_eq!(key.open_within([1; 12], b"aad", &mut framed, 4..).unwrap(), b"plain");
    assert!(key.open_within([1; 12], b"aad", &mut framed, 99..).is_err());
}

#[test]
fn signatures_are_bound_to_key_and_message() {
    let key = SigningKey::generate(&SeededEntropy::new(4)).unwrap();
    let signature = key.sign(b"message");
    key.public().verify(b"message", &signature).unwrap();
    assert!(key.public().verify(b"messagf", &signature).is_err());
    assert!(key.public().verify(b"message", &signature[..63]).is_err());
    let other = SigningKey::generate(&SeededEntropy::new(5)).unwrap();
    assert!(other.public().verify(b"message", &signature).is_err());
    // RFC 8032 section 7.1, test 1.
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(SigningKey::from_seed(&seed).public().to_string(), public);
}

fn hex(text: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
}

#[test]
fn the_system_gives_fresh_bytes() {
    let entropy = SystemEntropy::new();
    let drawn: std::collections::HashSet<[u8; 16]> =
        (0..10_000).map(|_| entropy.bytes().unwrap()).collect();
    assert_eq!(drawn.len(), 10_000);
}

#[test]
fn a_key_does_not_print() {
    let secret = [0xAB; 32];
    let prints = [
        format!("{:?}", MacKey::new(&secret)),
        format!("{:?}", MacKey::new(&secret).prefix("x", &[])),
        format!("{:?}", RootKey::new(&secret)),
        format!("{:?}", AeadKey::new(&secret)),
        format!("{:?}", Sha256::new()),
    ];
    assert_eq!(prints, ["MacKey(..)", "MacPrefix(..)", "RootKey(..)", "AeadKey(..)", "Sha256(..)"]);
    let signing = SigningKey::from_seed(&secret);
    assert_eq!(format!("{signing:?}"), format!("SigningKey(PublicKey({}), ..)", signing.public()));
}

#[test]
fn more_than_hkdf_gives_is_refused() {
    let mut out = vec![0; 255 * 64];
    assert!(hkdf_expand(Hash::Sha512, &[1; 32], b"", &mut out).is_ok());
    out.push(0);
    assert!(hkdf_expand(Hash::Sha512, &[1; 32], b"", &mut out).is_err());
}
