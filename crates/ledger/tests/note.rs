//! LG-3: what a checkpoint says is read, and its signature verified, by somebody else's program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod common;

use base64ct::{Base64, Encoding};
use common::small_log::{Frame, Kind, Log};
use common::{identity, origin};
use signed_note::{Note, NoteError, StandardVerifier, VerifierList};
use vouchsafe_ledger::Checkpoint;

/// The text that is signed, if it is.
fn read_by_others(note: &[u8]) -> Result<String, NoteError> {
    let verifier = StandardVerifier::new(&identity().to_string()).unwrap();
    let note = Note::from_bytes(note)?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))?;
    Ok(String::from_utf8(note.text().to_vec()).unwrap())
}

#[test]
fn others_read_each_checkpoint_and_the_group_it_closes() {
    let log = Log::new();
    let (mut groups, mut records) = (0, 0);
    for frame in log.frames.iter().flatten() {
        let Frame { kind: Kind::Checkpoint { after, size, .. }, .. } = frame else { continue };
        let text = read_by_others(frame.payload()).unwrap();
        let ours = std::str::from_utf8(frame.payload()).unwrap();
        let ours = Checkpoint::parse(ours, &identity()).unwrap();
        assert_eq!((ours.after(), ours.size()), (*after, *size));
        let root = Base64::encode_string(ours.root());
        assert_eq!(text, format!("{}\n{size}\n{root}\nafter {after}\n", origin()));
        assert_eq!(*after, records, "one group follows another");
        (groups, records) = (groups + 1, *size);
    }
    assert_eq!((groups, records), (6, log.head.size()));
}

#[test]
fn the_group_is_signed_too() {
    let log = Log::new();
    let note = log.head.as_str();
    assert!(
        read_by_others(note.as_bytes()).is_ok() && Checkpoint::parse(note, &identity()).is_ok()
    );
    for (from, to) in [
        ("after 9\n", "after 8\n"),
        ("after 9\n", "after 09\n"),
        ("after 9\n", "before 9\n"),
        ("after 9\n", "after 9\nafter 9\n"),
        ("after 9\n", ""),
    ] {
        let changed = note.replace(from, to);
        assert_ne!(changed, note);
        assert!(read_by_others(changed.as_bytes()).is_err(), "{changed}");
        assert!(Checkpoint::parse(&changed, &identity()).is_err(), "{changed}");
    }
}
