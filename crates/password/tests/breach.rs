//! PW-5: the filter of breached passwords, and what becomes of damaged ones.
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

#[path = "common/breach.rs"]
mod keys;

use std::fs::OpenOptions;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use keys::{absent, build, file, key};
use proptest::prelude::*;
use vouchsafe_password::{
    BreachBuilder, BreachError, BreachFilter, BreachKey, Breached, FingerprintBits, Password,
};
use vouchsafe_testkit::{SeededEntropy, runs};

const BOTH: [FingerprintBits; 2] = [FingerprintBits::Eight, FingerprintBits::Sixteen];
const HEADER: usize = 36;
const ENTRY: usize = 8;

fn filter(bytes: &[u8]) -> Result<BreachFilter, BreachError> {
    BreachFilter::from_bytes(bytes)
}

fn holds(filter: &BreachFilter, key: BreachKey) -> bool {
    filter.holds(key).unwrap()
}

/// Two shards of about twenty keys.
fn small(bits: FingerprintBits) -> Vec<u8> {
    build((0..40).map(|at| key(at, 40)), bits, 6_001)
}

#[test]
fn a_builder_shows_no_key() {
    let mut builder =
        BreachBuilder::new(Cursor::new(Vec::new()), FingerprintBits::Eight, 1).unwrap();
    builder.push(BreachKey::from_bits(0x1234_5678_9abc_def0)).unwrap();
    assert_eq!(format!("{builder:?}"), "BreachBuilder(1 keys, 2^0 shards)");
}

#[test]
fn no_false_negative_and_as_few_false_positives_as_claimed() {
    const KEYS: u64 = 1_000_000;
    for bits in BOTH {
        let filter = filter(&file(KEYS, bits)).unwrap();
        assert_eq!((filter.keys(), filter.shards()), (KEYS, 256));
        assert!((0..KEYS).all(|at| holds(&filter, key(at, KEYS))));
        let wrong = (0..KEYS).filter(|at| holds(&filter, absent(*at, KEYS))).count() as f64;
        let claimed = filter.rate() * KEYS as f64;
        // Far below would mean that the claim, or the test, is about something else.
        assert!(wrong <= 2.0 * claimed && wrong >= claimed / 2.0, "{wrong} instead of {claimed}");
        let bits_a_key = filter.length() as f64 * 8.0 / KEYS as f64;
        assert!(bits_a_key < 1.3 * f64::from(bits.bits()), "{bits_a_key} bits a key");
    }
}

/// What is published for these two, and in which encoding it is taken.
#[test]
fn passwords_are_found_by_the_digests_that_are_published() {
    let published = [
        ("password", b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"),
        ("123456", b"7c4a8d09ca3762af61e59520943dc26494f8941b"),
    ];
    let keys = published.map(|(_, hex)| BreachKey::of_hex(hex).unwrap());
    let filter = filter(&build(keys, FingerprintBits::Sixteen, 2)).unwrap();
    let breached = |text: &str| {
        let password = Password::new(text.to_owned()).unwrap();
        filter.is_breached(&password).unwrap()
    };
    assert!(published.iter().all(|(text, _)| breached(text)));
    assert!(!breached("Password") && !breached("123456 ") && !breached(""));
    let of = |text: &str| BreachKey::of(&Password::new(text.to_owned()).unwrap()).bits();
    assert_eq!(of("Zu\u{308}rich"), of("Zürich"));
    assert_ne!(of("Zürich"), of("zürich"));
    let wrong =
        ["", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FDG"];
    assert!(wrong.iter().all(|hex| BreachKey::of_hex(hex.as_bytes()).is_none()));
    assert!(!format!("{:?}", keys[0]).contains("5BAA") && format!("{:?}", keys[0]).len() < 16);
}

#[test]
fn none_one_and_the_same_again() {
    for bits in BOTH {
        let none = filter(&build([], bits, 0)).unwrap();
        assert_eq!((none.keys(), none.shards(), none.bits()), (0, 1, bits));
        assert!((0..1_000).all(|at| !holds(&none, absent(at, 7))));
        for bare in [0, 1, u64::MAX] {
            let bare = BreachKey::from_bits(bare);
            for expected in [0, 1, 100_000] {
                let one = filter(&build([bare, bare, bare], bits, expected)).unwrap();
                assert_eq!(one.keys(), 1);
                assert!(holds(&one, bare));
                let wrong = (0..1_000).filter(|at| holds(&one, absent(*at, 7))).count();
                assert!(wrong < 20, "{wrong}");
            }
        }
    }
    // Announced ten times too many or too few: the shards are smaller or larger, and that is all.
    for expected in [100_000, 10_000, 1_000] {
        let filter = filter(&build((0..10_000).map(|at| key(at, 10_000)), BOTH[0], expected));
        assert!((0..10_000).all(|at| holds(filter.as_ref().unwrap(), key(at, 10_000))));
    }
    assert_eq!(small(BOTH[0]), small(BOTH[0]), "the same keys make the same file");
}

#[test]
fn what_is_not_sorted_is_refused_with_its_place() {
    let mut builder = BreachBuilder::new(Cursor::new(Vec::new()), BOTH[0], 10).unwrap();
    for bits in [5, 5, 7, 7] {
        builder.push(BreachKey::from_bits(bits)).unwrap();
    }
    assert_eq!(builder.push(BreachKey::from_bits(6)), Err(BreachError::Unsorted { at: 5 }));
    assert_eq!(builder.push(BreachKey::from_bits(8)), Err(BreachError::Failed));
    assert_eq!(builder.finish().unwrap_err(), BreachError::Failed);

    let mut builder = BreachBuilder::new(Cursor::new(Vec::new()), BOTH[0], 1).unwrap();
    let pushed: Result<Vec<()>, _> =
        (0..70_000).map(|bits| builder.push(BreachKey::from_bits(bits))).collect();
    assert_eq!(pushed.unwrap_err(), BreachError::Crowded { shard: 0, most: 65_536 });
    // The key that was refused is no more in than those behind it.
    for bits in [65_536, 65_537] {
        assert_eq!(builder.push(BreachKey::from_bits(bits)), Err(BreachError::Failed));
    }
    assert_eq!(builder.finish().unwrap_err(), BreachError::Failed);
}

/// Each bit of a small file and a sample of a large one's, when it is opened.
#[test]
fn any_flipped_bit_is_an_error_at_open() {
    for bits in BOTH {
        let sound = small(bits);
        assert_eq!(filter(&sound).unwrap().shards(), 2);
        let mut bytes = sound.clone();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = filter(&bytes).unwrap_err();
            match bit / 8 {
                0..8 => assert_eq!(error, BreachError::NotAFilter),
                8..10 => assert!(matches!(error, BreachError::Version(_))),
                10..HEADER => assert_eq!(error, BreachError::Header),
                HEADER..52 => assert_eq!(error, BreachError::Index),
                _ => assert!(matches!(error, BreachError::Shard(0 | 1)), "{error}"),
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(bytes, sound);
        let mut large = file(100_000, bits);
        let random = SeededEntropy::new(3);
        for _ in 0..runs(200, 20_000) {
            let bit = usize::try_from(random.below(large.len() as u64 * 8)).unwrap();
            large[bit / 8] ^= 1 << (bit % 8);
            assert!(filter(&large).is_err(), "bit {bit}");
            large[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(filter(&large).is_ok());
    }
}

/// The same in a file that was sound when it was opened.
#[test]
fn a_bit_flipped_after_opening_is_an_error_at_the_lookup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filter");
    let bytes = small(FingerprintBits::Sixteen);
    std::fs::write(&path, &bytes).unwrap();
    let filter = BreachFilter::open(&path).unwrap();
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    let length = |shard: usize| {
        let entry = &bytes[HEADER + shard * ENTRY..];
        u32::from_be_bytes(entry[..4].try_into().unwrap()) as usize
    };
    let second = HEADER + 2 * ENTRY + length(0);
    assert_eq!(second + length(1), bytes.len());
    for bit in 0..bytes.len() * 8 {
        let at = bit / 8;
        put(at, bytes[at] ^ 1 << (bit % 8));
        // What is in front of the shards was read when the file was opened.
        let damaged = (at >= HEADER + 2 * ENTRY).then(|| u32::from(at >= second));
        for number in [0, 1] {
            let key = key(u64::from(number) * 39, 40);
            let expected =
                if damaged == Some(number) { Err(BreachError::Shard(number)) } else { Ok(true) };
            assert_eq!(filter.holds(key), expected, "bit {bit}");
        }
        put(at, bytes[at]);
    }
    file.set_len(second as u64 + 5).unwrap();
    assert_eq!(filter.holds(key(39, 40)), Err(BreachError::Shard(1)));
    assert_eq!(filter.holds(key(0, 40)), Ok(true));
}

#[test]
fn shorter_and_longer_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filter");
    for bits in BOTH {
        let bytes = small(bits);
        for length in 0..bytes.len() {
            let error = filter(&bytes[..length]).unwrap_err();
            let said = if length < HEADER { HEADER } else { bytes.len() } as u64;
            assert_eq!(error, BreachError::Length { said, is: length as u64 });
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(BreachFilter::open(&path).unwrap_err(), error);
        }
        let longer = [&bytes[..], &[0]].concat();
        let (said, is) = (bytes.len() as u64, longer.len() as u64);
        assert_eq!(filter(&longer).unwrap_err(), BreachError::Length { said, is });
    }
    let missing = BreachFilter::open(folder.path().join("missing")).unwrap_err();
    assert_eq!(missing, BreachError::Io(std::io::ErrorKind::NotFound));
    assert!(matches!(BreachFilter::open(folder.path()).unwrap_err(), BreachError::Io(_)));
    // A builder that was not finished leaves none.
    let mut out = tempfile::tempfile().unwrap();
    let mut builder = BreachBuilder::new(&mut out, BOTH[0], 100_000).unwrap();
    (0..50_000).for_each(|at| builder.push(key(at, 50_000)).unwrap());
    drop(builder);
    let mut bytes = Vec::new();
    out.seek(SeekFrom::Start(0)).unwrap();
    out.read_to_end(&mut bytes).unwrap();
    assert_eq!(filter(&bytes).unwrap_err(), BreachError::NotAFilter);
}

/// Puts the checksums right, from the shards up, as far as the file's parts can be found.
fn seal(bytes: &mut [u8]) {
    let shards = 1_usize.checked_shl(bytes[11].into()).filter(|shards| *shards <= 4).unwrap_or(2);
    let mut start = HEADER + shards * ENTRY;
    for shard in 0..shards {
        let entry = HEADER + shard * ENTRY;
        let Some(length) = bytes.get(entry..entry + 4) else { break };
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(held) = bytes.get(start..start.saturating_add(length)) else { break };
        let crc = crc32c::crc32c(held).to_be_bytes();
        if let Some(field) = bytes.get_mut(entry + 4..entry + 8) {
            field.copy_from_slice(&crc);
        }
        start += length;
    }
    if let Some(index) = bytes.get(HEADER..HEADER + shards * ENTRY) {
        let crc = crc32c::crc32c(index).to_be_bytes();
        bytes[28..32].copy_from_slice(&crc);
    }
    let crc = crc32c::crc32c(&bytes[..32]).to_be_bytes();
    bytes[32..36].copy_from_slice(&crc);
}

fn survives(bytes: &[u8]) -> bool {
    let Ok(filter) = filter(bytes) else { return false };
    (0..200).for_each(|at| _ = filter.holds(absent(at, 7)));
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(runs(3_000, 300_000)).unwrap()))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!survives(&bytes));
        let mut begun = b"VSBREACH\x00\x01\x08\x01".to_vec();
        begun.extend(bytes);
        prop_assert!(!survives(&begun));
        if begun.len() >= HEADER + 2 * ENTRY {
            seal(&mut begun);
            survives(&begun);
        }
    }

    /// Fields that say something else, under checksums that are right.
    #[test]
    fn no_forged_field_makes_it_panic(
        wide in any::<bool>(),
        forged in prop::collection::vec((0..220_usize, any::<u8>()), 1..6),
    ) {
        let mut bytes = small(BOTH[usize::from(wide)]);
        for (at, byte) in forged {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        seal(&mut bytes);
        survives(&bytes);
    }
}

/// What is forged is not only turned away for its checksums.
#[test]
fn fields_are_checked_behind_their_checksums() {
    let sound = small(BOTH[0]);
    let forged = |at: usize, with: &[u8]| {
        let mut bytes = sound.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        seal(&mut bytes);
        filter(&bytes).map(drop)
    };
    assert_eq!(forged(11, &[1]), Ok(()));
    assert_eq!(forged(10, &[7]), Err(BreachError::Header));
    assert_eq!(forged(10, &[16]), Err(BreachError::Shard(0)));
    assert_eq!(forged(11, &[21]), Err(BreachError::Header));
    assert_eq!(forged(12, &(1_u64 << 63).to_be_bytes()), Err(BreachError::Header));
    let is = sound.len() as u64;
    assert_eq!(forged(20, &[0x80]), Err(BreachError::Length { said: (1 << 63) + is, is }));
    assert_eq!(forged(HEADER, &[1, 0, 0, 0]), Err(BreachError::Index));
    let (first, second) = (HEADER, HEADER + ENTRY);
    let long = u32::from_be_bytes(sound[first..first + 4].try_into().unwrap());
    assert!(matches!(forged(second, &[0, 0, 0, 0]), Err(BreachError::Length { .. })));
    let shard = HEADER + 2 * ENTRY;
    assert_eq!(forged(shard, &[0, 0, 0, 0]), Err(BreachError::Shard(0)), "no keys, {long} bytes");
    assert_eq!(forged(shard + 12, &[17]), Err(BreachError::Shard(0)), "a segment too long");
    assert_eq!(forged(shard + 13, &[1]), Err(BreachError::Shard(0)), "a reserved byte");
    assert_eq!(forged(shard + 14, &[0, 0]), Err(BreachError::Shard(0)), "no segment to start in");
    // As many slots as that asks for, and none for a key's third.
    let two_slots = [&[0, 0, 0, 1][..], &[0; 8], &[0, 0, 0, 0], &[7, 7]].concat();
    let mut bytes = [&sound[..HEADER], &[0, 0, 0, 18, 0, 0, 0, 0], &two_slots].concat();
    bytes[11] = 0;
    bytes[12..20].copy_from_slice(&1_u64.to_be_bytes());
    let length = bytes.len() as u64;
    bytes[20..28].copy_from_slice(&length.to_be_bytes());
    seal(&mut bytes);
    assert_eq!(filter(&bytes).map(drop), Err(BreachError::Shard(0)));
    assert_eq!(forged(shard + 14, &[0xff, 0xff]), Err(BreachError::Shard(0)), "more than there is");
}
