//! Objects and fields: bound to their place, under keys that rotate.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use common::{about, envelope, pattern, place, python, tenant};
use proptest::prelude::*;
use vouchsafe_core::{Entropy, TenantId, Timestamp};
use vouchsafe_envelope::EnvelopeError::{Malformed, Refused, UnknownKey, UnknownTenant};
use vouchsafe_envelope::{Context, Envelope, EnvelopeError, Fields, fuzz, header_len};
use vouchsafe_testkit::{SeededEntropy, runs};

/// Contexts that differ pairwise: in one field each, and by moving bytes between neighbours.
fn places<'a>(acme: &'a TenantId, zoo: &'a TenantId) -> Vec<Context<'a>> {
    let base = place(acme);
    vec![
        base,
        Context { tenant: zoo, ..base },
        Context { table: "notes", ..base },
        Context { column: "title", ..base },
        Context { row: b"2", ..base },
        Context { row: b"", ..base },
        Context { purpose: "draft", ..base },
        Context { table: "noteb", column: "ody", ..base },
        Context { column: "body1", row: b"", ..base },
        Context { row: b"", purpose: "1", ..base },
        Context { table: "", column: "notebody", ..base },
    ]
}

#[test]
fn an_object_opens_at_its_place_only() {
    let envelope = envelope(1);
    let (acme, zoo) = (tenant("acme"), tenant("zoo"));
    let places = places(&acme, &zoo);
    for (sealed_at, from) in places.iter().enumerate() {
        let sealed = envelope.seal(from, &about(), b"plain").unwrap();
        for (opened_at, to) in places.iter().enumerate() {
            match envelope.open(to, &sealed) {
                Ok(opened) if sealed_at == opened_at => {
                    assert_eq!(*opened.plaintext, b"plain");
                    assert_eq!(opened.about, about());
                }
                Err(Refused) if sealed_at != opened_at => {}
                other => panic!("{sealed_at} at {opened_at}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_field_opens_at_its_place_only() {
    let envelope = envelope(2);
    let (acme, zoo) = (tenant("acme"), tenant("zoo"));
    let places = places(&acme, &zoo);
    let fields =
        |at: &Context<'_>| envelope.fields(at.tenant, at.table, at.column, at.purpose).unwrap();
    for (sealed_at, from) in places.iter().enumerate() {
        let sealed = fields(from).seal(from.row, b"plain").unwrap();
        assert_eq!(sealed.len(), 5 + Fields::OVERHEAD);
        for (opened_at, to) in places.iter().enumerate() {
            match fields(to).open(to.row, &sealed) {
                Ok(plain) if sealed_at == opened_at => assert_eq!(plain, b"plain"),
                Err(Refused) if sealed_at != opened_at => {}
                other => panic!("{sealed_at} at {opened_at}: {other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs(2_000, 200_000) as u32))]

    /// Two places share a canonical form only if they are the same: it can be read back.
    #[test]
    fn a_context_is_read_back(
        texts in prop::array::uniform3("[ab\0\u{8}]{0,9}"),
        row in prop::collection::vec(prop_oneof![Just(0_u8), Just(8), any::<u8>()], 0..12),
        name in "[a-c]{1,9}",
    ) {
        let tenant = tenant(&name);
        let [table, column, purpose] = &texts;
        let canonical = Context { tenant: &tenant, table, column, row: &row, purpose }.canonical();
        let mut rest = canonical.as_slice();
        let mut parts = Vec::new();
        while let Some((len, tail)) = rest.split_first_chunk() {
            let (part, tail) = tail.split_at(u64::from_be_bytes(*len) as usize);
            parts.push(part);
            rest = tail;
        }
        let label: &[u8] = b"vouchsafe/context/v1";
        let expected =
            [label, name.as_bytes(), table.as_bytes(), column.as_bytes(), &row, purpose.as_bytes()];
        prop_assert!(rest.is_empty());
        prop_assert_eq!(parts, expected);
    }

    /// Decoders of what anybody may have written return, whatever they are given.
    #[test]
    fn hostile_bytes_are_errors(mut bytes in prop::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>(), right in any::<bool>()) {
        let envelope = envelope(3);
        let acme = tenant("acme");
        let mut is_true = false;
        if right {
            // A true beginning, then noise.
            let mut sealed = envelope.seal(&place(&acme), &about(), b"plain").unwrap();
            sealed.truncate(cut.index(sealed.len()));
            is_true = bytes.is_empty();
            sealed.append(&mut bytes);
            bytes = sealed;
        }
        prop_assert!(fuzz::header(&bytes));
        #[cfg(feature = "keyring")]
        prop_assert!(fuzz::keyring(&bytes));
        prop_assert!(envelope.open(&place(&acme), &bytes).is_err());
        // Cut just behind its header, an object is a header.
        prop_assert!(envelope.rewrap(&bytes).is_err() || is_true);
        let fields = envelope.fields(&acme, "note", "body", "").unwrap();
        prop_assert!(fields.open(b"1", &bytes).is_err());
    }
}

#[test]
fn every_changed_bit_of_an_object_is_refused() {
    let envelope = envelope(4);
    let (acme, zoo) = (tenant("acme"), tenant("zoo"));
    let context = place(&acme);
    let sealed = envelope.seal(&context, &about(), b"plain").unwrap();
    for at in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        let error = envelope.open(&context, &damaged).unwrap_err();
        assert!(matches!(error, Refused | Malformed { .. } | UnknownKey), "bit {at}: {error}");
    }
    for len in 0..sealed.len() {
        assert!(envelope.open(&context, &sealed[..len]).is_err(), "cut to {len}");
    }
    assert!(envelope.open(&context, &[sealed.as_slice(), &[0]].concat()).is_err());
    // Neither part fits another object, not even of the same place and content.
    let twin = envelope.seal(&context, &about(), b"plain").unwrap();
    let at = header_len(&sealed).unwrap();
    assert!(matches!(envelope.open_detached(&context, &sealed[..at], &twin[at..]), Err(Refused)));
    // No recipients, or more than 16, are no header; neither are flags.
    for (byte, value, what) in [(7, 1, "flags"), (111, 0, "recipients"), (111, 17, "recipients")] {
        let mut wrong = sealed.clone();
        wrong[byte] = value;
        let error = envelope.open(&context, &wrong).unwrap_err();
        assert!(matches!(error, Malformed { what: found, .. } if found == what), "{error}");
    }
    // A suite that nobody knows is the same error as a wrong key.
    let mut unknown = sealed.clone();
    unknown[5] = 1;
    assert!(matches!(envelope.open(&context, &unknown), Err(Refused)));
    let context = Context { tenant: &zoo, ..context };
    assert!(matches!(envelope.open(&context, &sealed), Err(Refused)));
}

#[test]
fn rewrapping_leaves_the_payload_and_its_place() {
    let envelope = envelope(5);
    let acme = tenant("acme");
    let context = place(&acme);
    let plain = pattern(40_000);
    let (header, payload) = envelope.seal_detached(&context, &about(), &plain).unwrap();
    let version =
        envelope.keyring().rotate(&acme, Timestamp::EPOCH, &SeededEntropy::new(55)).unwrap();
    assert_eq!(version, 2);
    let rewrapped = envelope.rewrap(&header).unwrap();
    assert_ne!(rewrapped, header);
    for header in [&header, &rewrapped] {
        let opened = envelope.open_detached(&context, header, &payload).unwrap();
        assert_eq!((&*opened.plaintext, opened.about), (&plain, about()));
        let elsewhere = Context { row: b"2", ..context };
        assert!(matches!(envelope.open_detached(&elsewhere, header, &payload), Err(Refused)));
    }
    // It needs the header alone, and refuses one that was touched.
    for at in 0..rewrapped.len() * 8 {
        let mut damaged = rewrapped.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        assert!(envelope.rewrap(&damaged).is_err(), "bit {at}");
    }
    assert!(matches!(envelope.rewrap(&[header, payload].concat()), Err(Malformed { .. })));
}

#[test]
fn a_keyring_opens_its_own_only() {
    let (ours, theirs) = (envelope(6), envelope(7));
    let acme = tenant("acme");
    let sealed = ours.seal(&place(&acme), &about(), b"plain").unwrap();
    assert!(matches!(theirs.open(&place(&acme), &sealed), Err(UnknownKey)));
    let field = ours.fields(&acme, "note", "body", "").unwrap().seal(b"1", b"plain").unwrap();
    let others = theirs.fields(&acme, "note", "body", "").unwrap();
    assert!(matches!(others.open(b"1", &field), Err(Refused)));
    let stranger = tenant("stranger");
    assert!(matches!(ours.seal(&place(&stranger), &about(), b""), Err(UnknownTenant(_))));
    assert!(matches!(ours.fields(&stranger, "", "", ""), Err(UnknownTenant(_))));
    let nobody = ours.keyring().rotate(&stranger, Timestamp::EPOCH, &SeededEntropy::new(1));
    assert!(matches!(nobody, Err(UnknownTenant(_))));
}

#[test]
fn fields_follow_the_tenants_key() {
    let envelope = envelope(8);
    let acme = tenant("acme");
    let fields = envelope.fields(&acme, "note", "body", "").unwrap();
    let old = fields.seal(b"1", b"old").unwrap();
    assert_eq!(old[..5], [1, 0, 0, 0, 1]);
    envelope.keyring().rotate(&acme, Timestamp::EPOCH, &SeededEntropy::new(88)).unwrap();
    let new = fields.seal(b"1", b"new").unwrap();
    assert_eq!(new[..5], [1, 0, 0, 0, 2]);
    assert_eq!(fields.open(b"1", &old).unwrap(), b"old");
    assert_eq!(fields.open(b"1", &new).unwrap(), b"new");
    let mut ahead = new;
    ahead[4] = 3;
    assert!(matches!(fields.open(b"1", &ahead), Err(UnknownKey)));
    // Another handle, as in another process: its own salt, and it opens what the first one sealed.
    let other = envelope.fields(&acme, "note", "body", "").unwrap();
    let theirs = other.seal(b"1", b"theirs").unwrap();
    assert_ne!(theirs[5..21], old[5..21]);
    assert_eq!(fields.open(b"1", &theirs).unwrap(), b"theirs");
}

#[test]
fn every_changed_bit_of_a_field_is_refused() {
    let envelope = envelope(9);
    let fields = envelope.fields(&tenant("acme"), "note", "body", "").unwrap();
    let sealed = fields.seal(b"1", b"plain").unwrap();
    for at in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        assert!(fields.open(b"1", &damaged).is_err(), "bit {at}");
    }
    for len in 0..sealed.len() {
        assert!(fields.open(b"1", &sealed[..len]).is_err(), "cut to {len}");
    }
}

#[test]
fn nonces_and_object_ids_do_not_repeat() {
    let envelope = Envelope::new(envelope(10).keyring().clone());
    let acme = tenant("acme");
    let fields = Arc::new(envelope.fields(&acme, "note", "body", "").unwrap());
    let count = runs(5_000, 250_000);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let fields = fields.clone();
            let seal = move || fields.seal(b"1", b"").unwrap()[5..33].to_vec();
            std::thread::spawn(move || (0..count).map(|_| seal()).collect::<Vec<_>>())
        })
        .collect();
    let drawn: Vec<Vec<u8>> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let distinct: HashSet<&Vec<u8>> = drawn.iter().collect();
    assert_eq!(distinct.len(), 4 * count);
}

/// The vector of docs/format.md, byte for byte; Python restores the object from it.
#[test]
fn the_documented_vector() -> Result<(), EnvelopeError> {
    let format = include_str!("../docs/format.md");
    let documented = |name: &str| {
        let (_, rest) = format.split_once(&format!("\n{name} = ")).unwrap();
        rest.lines().next().unwrap().to_owned()
    };
    // What the keyring draws: its root, then the first tenant's key id and key.
    let entropy = SeededEntropy::new(42);
    let _root: [u8; 32] = entropy.bytes().unwrap();
    let (id, key): ([u8; 16], [u8; 32]) = (entropy.bytes().unwrap(), entropy.bytes().unwrap());
    let envelope = envelope(42);
    let acme = tenant("acme");
    let object = envelope.seal(&place(&acme), &about(), b"Vouchsafe")?;
    let field = envelope.fields(&acme, "note", "body", "")?.seal(b"1", b"Vouchsafe")?;
    let now = [print(&id), print(&key), print(&object), print(&field)];
    assert_eq!(now, ["key id", "tenant key", "object", "field"].map(documented));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), object).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/restore.py");
    let restored = python(&script, &[OsStr::new(&print(&key)), file.path().as_os_str()]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(restored.stdout, b"Vouchsafe");
    Ok(())
}

fn print(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
