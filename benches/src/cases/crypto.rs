//! Ids and keyed digests, against what `ring` needs for the same.

use std::hint::black_box;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use vouchsafe::core::Entropy;
use vouchsafe::crypto::MacKey;
use vouchsafe::os::SystemEntropy;

use crate::Result;
use crate::measure::{Batch, Case, Sides, Unit};

const BATCH: u32 = 50_000;
const PAIRS: usize = 15;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "crypto/id",
        peer: "ring",
        wanted: 1.5,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: id,
    },
    Case {
        name: "crypto/digest",
        peer: "ring",
        wanted: 0.7,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: digest,
    },
];

/// An id of 16 bytes against as many from the operating system.
fn id() -> Result<Sides> {
    let entropy = SystemEntropy::new();
    let ours = move || {
        Batch::time(BATCH, |_| {
            black_box(entropy.id::<16>()?);
            Ok(())
        })
    };
    let random = SystemRandom::new();
    let peer = move || {
        Batch::time(BATCH, |_| {
            let mut id = [0; 16];
            random.fill(&mut id).map_err(|_| "no random bytes")?;
            black_box(id);
            Ok(())
        })
    };
    Ok(Sides::new(ours, peer))
}

/// A digest of two parts under a label, no trace of the key left on the stack, against HMAC-SHA-256
/// over as many bytes.
fn digest() -> Result<Sides> {
    let key = MacKey::new(&[7; 32]);
    let ours = move || {
        Batch::time(BATCH, |_| {
            black_box(key.digest(black_box("lockout account"), &[b"acme", b"user-0004711"]));
            Ok(())
        })
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let peer = move || {
        Batch::time(BATCH, |_| {
            black_box(hmac::sign(&key, black_box(b"lockout account acme user-0004711 lengths")));
            Ok(())
        })
    };
    Ok(Sides::new(ours, peer))
}
