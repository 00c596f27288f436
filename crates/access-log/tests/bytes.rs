//! AL-2: one record, one byte string.
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

use proptest::prelude::*;
use vouchsafe_access_log::{Record, RecordError};
use vouchsafe_testkit::runs;

fn config() -> ProptestConfig {
    let cases = runs(4_000, 1_000_000) as u32;
    // Some texts are no ids: how many there are grows with the cases.
    ProptestConfig { max_local_rejects: u32::MAX, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn decode_of_encode_is_the_record(record in common::record()) {
        let bytes = record.to_bytes();
        prop_assert!(bytes.len() < 16 << 10);
        prop_assert_eq!(Record::from_bytes(&bytes), Ok(record));
    }

    #[test]
    fn what_is_accepted_encodes_to_itself(
        record in common::record(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut bytes = record.to_bytes();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
            if bytes.is_empty() { break; }
        }
        if let Ok(read) = Record::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn noise_is_refused_or_encodes_to_itself(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(read) = Record::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}

/// The format as it is written down, so that it does not change unnoticed.
#[test]
fn golden_bytes() {
    use vouchsafe_access_log::{Actor, Operation, Outcome, Target, name};
    use vouchsafe_core::{ClauseId, PolicyDigest, Source, TenantId, Timestamp, UserId};
    let record = Record {
        tenant: TenantId::new("acme").unwrap(),
        actor: Actor::User(UserId::new("u-17").unwrap()),
        target: Target::entity(name!("note"), "a\nb").unwrap(),
        operation: Operation::Updated,
        outcome: Outcome::Refused(name!("locked")),
        application: name!("portal"),
        source: Source::Direct(std::net::IpAddr::from([203, 0, 113, 9]).into()),
        shared_source: true,
        time: Timestamp::from_micros(1_523_232_000_000_000),
        policy: PolicyDigest::NONE,
        clause: Some(ClauseId::new("A1.4").unwrap()),
        repeats: std::num::NonZeroU32::MIN,
    };
    let mut expected = vec![0x8d, 0x01, 0x64];
    expected.extend(b"acme");
    expected.extend([0x82, 0x01, 0x64]);
    expected.extend(b"u-17");
    expected.extend([0x83, 0x02, 0x64]);
    expected.extend(b"note");
    expected.push(0x67);
    expected.extend(br"a\u{a}b");
    expected.extend([0x03, 0x82, 0x02, 0x66]);
    expected.extend(b"locked");
    expected.push(0x66);
    expected.extend(b"portal");
    expected.extend([0x82, 0x01, 0x44, 203, 0, 113, 9, 0xf5, 0x1b]);
    expected.extend(1_523_232_000_000_000_u64.to_be_bytes());
    expected.extend([0x58, 0x20]);
    expected.extend([0; 32]);
    expected.push(0x64);
    expected.extend(b"A1.4");
    expected.push(0x01);
    assert_eq!(record.to_bytes(), expected);
}

#[test]
fn other_forms_of_the_same_record_are_refused() {
    let bytes = common::bare().to_bytes();
    // A trailing byte; the array's and the version's numbers in longer forms; an indefinite array.
    let mut trailing = bytes.clone();
    trailing.push(0xf6);
    let long_array = [&[0x98, 0x0d], &bytes[1..]].concat();
    let long_version = [&[0x8d, 0x18, 0x01], &bytes[2..]].concat();
    let indefinite = [&[0x9f], &bytes[1..], &[0xff]].concat();
    // `Acme` would be another tenant to whoever folds case, and is one text more for this one.
    let blank = [&bytes[..2], &[0x65], b" acme", &bytes[7..]].concat();
    for other in [trailing, long_array, long_version, blank] {
        assert_eq!(Record::from_bytes(&other), Err(RecordError::NotCanonical), "{other:02x?}");
    }
    assert!(matches!(Record::from_bytes(&indefinite), Err(RecordError::Malformed { .. })));
    for length in 0..bytes.len() {
        assert!(Record::from_bytes(&bytes[..length]).is_err());
    }
    assert_eq!(
        Record::from_bytes(&vec![0; 65_536]),
        Err(RecordError::RecordTooLong { max: 65_535 })
    );
}
