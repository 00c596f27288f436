//! PW-5: what a hostile file, and a large one, take of memory; its own test binary, because it
//! measures the peak of the process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;
#[path = "common/breach.rs"]
mod keys;

use std::io::{BufWriter, Cursor};
use std::sync::Mutex;

use common::{forget_peak, peak, risen};
use vouchsafe_password::{BreachBuilder, BreachError, BreachFilter, FingerprintBits};
use vouchsafe_testkit::runs;

static ALONE: Mutex<()> = Mutex::new(());

/// A header alone, with a right checksum, and this many bytes behind it.
fn claim(shards_log: u8, keys: u64, length: u64, behind: usize) -> Vec<u8> {
    let mut bytes = b"VSBREACH\x00\x01\x10".to_vec();
    bytes.push(shards_log);
    bytes.extend(keys.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes.resize(bytes.len() + behind, 0);
    bytes
}

#[test]
fn what_a_header_claims_is_not_allocated() {
    let _alone = ALONE.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filter");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let of_bytes = BreachFilter::from_bytes(bytes).unwrap_err();
        assert_eq!(BreachFilter::open(&path).unwrap_err(), of_bytes);
        of_bytes
    };
    open(&claim(0, 0, 0, 0));
    forget_peak();
    let before = peak();
    for shards_log in [0, 1, 19, 20, 21, 63, 64, 255] {
        for (length, behind) in [(36, 0), (1 << 63, 0), (u64::MAX, 8), (1_036, 1_000)] {
            let error = open(&claim(shards_log, 1 << 63, length, behind));
            let expected = match (shards_log, length, behind) {
                (21.., ..) => matches!(error, BreachError::Header),
                (0 | 1, 1_036, _) => matches!(error, BreachError::Index),
                _ => matches!(error, BreachError::Length { .. }),
            };
            assert!(expected, "{shards_log} {length} {error}");
        }
    }
    // The least of what they claim is 4 MiB; the kernel counts pages to some hundred KiB.
    assert!(risen(before) < 1_024, "the peak rose by {} KiB", risen(before));
}

/// Ten times the keys, and no more memory: the index grows, by 8 bytes for some 4 000 keys.
#[test]
fn building_takes_as_much_memory_for_more_keys() {
    let _alone = ALONE.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let build = |count: u64, bits| {
        let file = std::fs::File::create(folder.path().join("filter")).unwrap();
        let mut builder = BreachBuilder::new(BufWriter::new(file), bits, count).unwrap();
        for at in 0..count {
            builder.push(keys::key(at, count)).unwrap();
        }
        builder.finish().unwrap().1
    };
    let few = runs(100_000, 1_000_000) as u64;
    for bits in [FingerprintBits::Eight, FingerprintBits::Sixteen] {
        assert_eq!(build(few, bits), few);
        forget_peak();
        let before = peak();
        assert_eq!(build(10 * few, bits), 10 * few);
        assert!(risen(before) < 1_024, "the peak rose by {} KiB", risen(before));
    }
    // A whole filter in memory would have shown.
    let held = BreachBuilder::new(Cursor::new(Vec::new()), FingerprintBits::Sixteen, 10 * few);
    let mut held = held.unwrap();
    forget_peak();
    let before = peak();
    (0..10 * few).for_each(|at| held.push(keys::key(at, 10 * few)).unwrap());
    assert!(risen(before) > 1_024);
}
