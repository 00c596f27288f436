//! What is left of a key after its drop: a search through the whole process's memory.
//!
//! Each case runs in a process of its own, so that no other test's memory is in the way.
//!
//! Which code hashes a key is the processor's choice. What one without SHA instructions runs is searched
//! with `RUSTFLAGS='--cfg sha2_backend="soft"' cargo test -p vouchsafe-crypto --lib wipe`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::HashSet;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::process::Command;

use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use zeroize::{Zeroize, Zeroizing};

use super::Wiped;
use crate::{AeadKey, Hash, MacKey, RootKey, SigningKey, SystemEntropy, hkdf_expand};

/// What is searched for is kept under this mask, so that the search does not find itself.
const MASK: u8 = 0xA5;
const WINDOW: usize = 8;

/// Eight-byte pieces of what must not be left.
struct Needles {
    memory: File,
    buffer: Vec<u8>,
    masked: HashSet<[u8; WINDOW]>,
    /// Which first two bytes occur at all.
    starts: Vec<bool>,
}

impl Needles {
    fn new() -> Self {
        Self {
            memory: File::open("/proc/self/mem").unwrap(),
            buffer: vec![0; 1 << 20],
            masked: HashSet::new(),
            starts: vec![false; 1 << 16],
        }
    }

    /// Adds every piece of the object at this place that does not look like a count or an address.
    fn add<T>(&mut self, object: &T) {
        let (at, len) = (std::ptr::from_ref(object).addr(), size_of::<T>());
        let buffer = &mut self.buffer[..len];
        self.memory.read_exact_at(buffer, at as u64).unwrap();
        buffer.iter_mut().for_each(|byte| *byte ^= MASK);
        let before = self.masked.len();
        for window in buffer.windows(WINDOW).step_by(4) {
            let distinct: HashSet<u8> = window.iter().copied().collect();
            if distinct.len() >= WINDOW - 1 && !window.contains(&MASK) {
                self.masked.insert(window.try_into().unwrap());
                self.starts[usize::from(u16::from_le_bytes([window[0], window[1]]))] = true;
            }
        }
        buffer.zeroize();
        assert!(self.masked.len() >= before + 5, "an object with hardly any key in it");
    }

    /// How many pieces lie anywhere in the memory that this process can write.
    fn found(mut self) -> usize {
        let own = self.buffer.as_ptr().addr()..self.buffer.as_ptr().addr() + self.buffer.len();
        let mut found = 0;
        for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if !rest.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let hex = |text| usize::from_str_radix(text, 16).unwrap();
            let (mut at, to) = (hex(from), hex(to));
            while at < to {
                let len = self.buffer.len().min(to - at);
                let buffer = &mut self.buffer[..len];
                if self.memory.read_exact_at(buffer, at as u64).is_ok() {
                    buffer.iter_mut().for_each(|byte| *byte ^= MASK);
                    for (offset, window) in buffer.windows(WINDOW).enumerate() {
                        let start = u16::from_le_bytes([window[0], window[1]]);
                        if self.starts[usize::from(start)]
                            && self.masked.contains(window)
                            && !own.contains(&(at + offset))
                        {
                            found += 1;
                        }
                    }
                }
                // Overlapping, so that nothing hides across the seam.
                at += if at + len < to { len - WINDOW } else { len };
            }
        }
        found
    }
}

/// A secret whose pieces can all be searched for: a piece with a zero byte is none (see `add`), and
/// two zero bytes, which one secret in 140 has, would leave too few.
fn secret() -> Box<Zeroizing<[u8; 32]>> {
    let mut secret = Box::new(Zeroizing::new([0; 32]));
    while secret.contains(&0) {
        vouchsafe_core::Entropy::fill(&SystemEntropy::new(), secret.as_mut_slice()).unwrap();
    }
    secret
}

/// Makes a key of a secret, uses it, drops both, and counts what is left of either.
#[inline(never)]
fn left_by<K, T>(make: fn(&[u8; 32]) -> K, object: fn(&K) -> &T, work: fn(&K)) -> usize {
    let mut needles = Needles::new();
    let secret = secret();
    needles.add(&*secret);
    let key = make(&secret);
    needles.add(object(&key));
    work(&key);
    drop(key);
    drop(secret);
    needles.found()
}

/// Runs one case in a process of its own, and returns what it found.
fn alone(test: &str, case: fn() -> usize) -> usize {
    const CHILD: &str = "VOUCHSAFE_MEMORY_CHILD";
    if std::env::var_os(CHILD).is_some_and(|name| name == test) {
        println!("\nfound {}", case());
        std::process::exit(0);
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("wipe::memory::{test}"), "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix("found "));
    found.unwrap_or_else(|| panic!("no count in {text:?}")).parse().unwrap()
}

#[test]
fn nothing_is_left_of_an_aead_key() {
    let found = alone("nothing_is_left_of_an_aead_key", || {
        left_by(
            AeadKey::new,
            |key| &*key.0,
            |key| {
                let mut data = vec![7; 5000];
                key.seal_in_place([1; 12], b"aad", &mut data).unwrap();
                assert_eq!(key.open_in_place([1; 12], b"aad", &mut data).unwrap(), [7; 5000]);
                assert!(key.open_in_place([2; 12], b"aad", &mut data).is_err());
            },
        )
    });
    assert_eq!(found, 0);
}

#[test]
fn nothing_is_left_of_a_mac_key() {
    let found = alone("nothing_is_left_of_a_mac_key", || {
        left_by(
            MacKey::new,
            |key| &*key.0,
            |key| {
                let tag = key.mac("label", &[b"a", &[3; 500]]);
                assert!(key.verify("label", &[b"a", &[3; 500]], &tag));
                assert_eq!(key.digest("label", &[b"a", &[3; 500]]), tag[..16]);
            },
        )
    });
    assert_eq!(found, 0);
}

#[test]
fn nothing_is_left_of_a_mac_prefix() {
    let found = alone("nothing_is_left_of_a_mac_prefix", || {
        left_by(
            |secret| MacKey::new(secret).prefix("label", &[b"a"]),
            |key| &*key.0,
            |key| {
                assert_ne!(key.digest(b"message"), key.digest(&[3; 500]));
            },
        )
    });
    assert_eq!(found, 0);
}

#[test]
fn nothing_is_left_of_a_root_key() {
    let found = alone("nothing_is_left_of_a_root_key", || {
        left_by(
            RootKey::new,
            |key| &*key.0,
            |key| {
                assert_ne!(*key.derive("a", &[b"x"]), *key.derive("b", &[b"x"]));
            },
        )
    });
    assert_eq!(found, 0);
}

#[test]
fn nothing_is_left_of_a_signing_key() {
    let found = alone("nothing_is_left_of_a_signing_key", || {
        left_by(
            SigningKey::from_seed,
            |key| &*key.0,
            |key| {
                // Not `public()`: that half of the object may lie anywhere.
                assert_ne!(key.sign(b"message"), key.sign(b"another"));
            },
        )
    });
    assert_eq!(found, 0);
}

#[test]
fn nothing_is_left_of_a_derived_key() {
    let found = alone("nothing_is_left_of_a_derived_key", || {
        let mut needles = Needles::new();
        let root = RootKey::new(&secret());
        {
            let derived = root.derive("label", &[]);
            needles.add(&derived);
            let key = AeadKey::new(&derived);
            needles.add(&*key.0);
        }
        let mut expanded = Box::new(Zeroizing::new([0; 76]));
        hkdf_expand(Hash::Sha512, secret().as_slice(), b"info", expanded.as_mut_slice()).unwrap();
        needles.add(&*expanded);
        drop(expanded);
        needles.found()
    });
    assert_eq!(found, 0);
}

/// ring alone leaves keys in freed memory: the search finds what is there.
#[test]
fn the_search_finds_keys_that_were_not_wiped() {
    let found = alone("the_search_finds_keys_that_were_not_wiped", || {
        let aead = |secret: &[u8; 32]| {
            Box::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).unwrap()))
        };
        let mac = |secret: &[u8; 32]| Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret));
        let pair =
            |secret: &[u8; 32]| Box::new(Ed25519KeyPair::from_seed_unchecked(secret).unwrap());
        let counts = [
            left_by(aead, |key| &**key, |_| {}),
            left_by(mac, |key| &**key, |_| {}),
            left_by(pair, |key| &**key, |_| {}),
        ];
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        counts.iter().sum()
    });
    assert!(found > 0);
}

/// Overwriting the object is not enough: without the scrub, its copies on the stack are found.
#[test]
fn the_search_finds_copies_on_an_unscrubbed_stack() {
    let found = alone("the_search_finds_copies_on_an_unscrubbed_stack", || {
        let aead = |secret: &[u8; 32]| {
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).unwrap());
            Wiped(Box::new(MaybeUninit::new(key)))
        };
        left_by(aead, |key| &**key, |_| {})
    });
    assert!(found > 0);
}
