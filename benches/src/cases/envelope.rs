//! Sealed values of 200 bytes in a column, against what `ring` needs for the same.

use std::hint::black_box;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use vouchsafe::core::{TenantId, Timestamp};
use vouchsafe::envelope::{Envelope, Keyring};
use vouchsafe::os::SystemEntropy;

use crate::Result;
use crate::measure::{Batch, Case, Sides, Unit};

const BATCH: u32 = 50_000;
const PAIRS: usize = 15;
const VALUE: [u8; 200] = [7; 200];
const ROW: &[u8] = b"row 4711";

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "envelope/field_vs_naive",
        peer: "ring",
        wanted: 1.66,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: field_vs_naive,
    },
    Case {
        name: "envelope/field_open_vs_ring",
        peer: "ring",
        wanted: 0.4,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: field_open_vs_ring,
    },
];

/// Sealing a field against envelope encryption as it is usually written: a fresh key for the value,
/// the value sealed under it, the key sealed under the tenant's.
fn field_vs_naive() -> Result<Sides> {
    let fields = fields()?;
    let ours = move || {
        Batch::time(BATCH, |_| {
            black_box(fields.seal(black_box(ROW), black_box(&VALUE))?);
            Ok(())
        })
    };
    let (random, wrapping) = (SystemRandom::new(), key(&[1; 32])?);
    let peer = move || {
        Batch::time(BATCH, |_| {
            black_box(naive(&random, &wrapping, black_box(ROW), black_box(&VALUE))?);
            Ok(())
        })
    };
    Ok(Sides::new(ours, peer))
}

/// Opening a field into a value of its own, against opening in place in a buffer that is kept, with
/// the key ready.
fn field_open_vs_ring() -> Result<Sides> {
    let fields = fields()?;
    let sealed = fields.seal(ROW, &VALUE)?;
    let ours = move || {
        Batch::time(BATCH, |_| {
            black_box(fields.open(black_box(ROW), black_box(&sealed))?);
            Ok(())
        })
    };
    let key = key(&[1; 32])?;
    let nonce = || Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let mut sealed = VALUE.to_vec();
    key.seal_in_place_append_tag(nonce(), Aad::from(ROW), &mut sealed).map_err(unspecified)?;
    let mut buffer = sealed.clone();
    let peer = move || {
        Batch::time(BATCH, |_| {
            buffer.copy_from_slice(black_box(&sealed));
            let aad = Aad::from(black_box(ROW));
            black_box(key.open_in_place(nonce(), aad, &mut buffer).map_err(unspecified)?);
            Ok(())
        })
    };
    Ok(Sides::new(ours, peer))
}

fn fields() -> Result<vouchsafe::envelope::Fields> {
    let (entropy, tenant) = (SystemEntropy::new(), TenantId::new("acme")?);
    let keyring = Keyring::ephemeral(&entropy)?;
    keyring.add_tenant(&tenant, Timestamp::EPOCH, &entropy)?;
    Ok(Envelope::new(Arc::new(keyring)).fields(&tenant, "campaign", "notes", "")?)
}

/// Nonce of the wrapping, wrapped key, value: one draw of random bytes, one allocation. The value's
/// own nonce is fixed, because its key is used once.
fn naive(
    random: &SystemRandom,
    wrapping: &LessSafeKey,
    row: &[u8],
    value: &[u8],
) -> Result<Vec<u8>> {
    let mut fresh = [0; NONCE_LEN + 32];
    random.fill(&mut fresh).map_err(unspecified)?;
    let (nonce, secret) = fresh.split_at_mut(NONCE_LEN);
    let once = key(secret)?;
    let mut out = Vec::with_capacity(NONCE_LEN + 32 + 16 + value.len() + 16);
    out.extend_from_slice(nonce);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(unspecified)?;
    let tag = wrapping.seal_in_place_separate_tag(nonce, Aad::from(row), secret);
    out.extend_from_slice(secret);
    out.extend_from_slice(tag.map_err(unspecified)?.as_ref());
    let start = out.len();
    out.extend_from_slice(value);
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let tag = once.seal_in_place_separate_tag(nonce, Aad::from(row), &mut out[start..]);
    out.extend_from_slice(tag.map_err(unspecified)?.as_ref());
    Ok(out)
}

fn key(secret: &[u8]) -> Result<LessSafeKey> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).map_err(unspecified)?))
}

fn unspecified(_: ring::error::Unspecified) -> &'static str {
    "ring refused"
}
