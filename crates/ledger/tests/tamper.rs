//! LG-3: whatever is changed on disk is noticed, and the first bad record named.
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

use std::path::{Path, PathBuf};

use common::{check, open, record};
use vouchsafe_ledger::{Ledger, LedgerError};
use vouchsafe_testkit::runs;

const HEADER: usize = 124;

/// Two runs, so two segments; groups of one record each. Eight records.
struct Log {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    segments: Vec<Vec<u8>>,
}

/// A frame of a segment: where it is, and whether it is a record.
#[derive(Clone, Copy, Debug)]
struct Frame {
    start: usize,
    end: usize,
    record: bool,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("log");
        for run in 0..2 {
            let ledger = open(&dir).unwrap();
            for number in 0..4 {
                ledger.append(record("acme", run * 4 + number)).wait().unwrap();
            }
        }
        let mut log = Self { _folder: folder, dir, segments: Vec::new() };
        log.segments = (0..2).map(|number| std::fs::read(log.path(number)).unwrap()).collect();
        // As the next opening would leave the second one: without its preallocated rest. Where
        // that matters, a test puts zeros back.
        let end = log.frames(1).last().unwrap().end;
        log.segments[1].truncate(end);
        std::fs::write(log.path(1), &log.segments[1]).unwrap();
        assert_eq!(check(&log.dir).unwrap().head.unwrap().size(), 8);
        log
    }

    fn path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("segment-{number:08}"))
    }

    fn frames(&self, number: usize) -> Vec<Frame> {
        let bytes = &self.segments[number];
        let (mut at, mut frames) = (HEADER, Vec::new());
        while bytes.get(at).is_some_and(|kind| *kind != 0) {
            let length = u32::from_le_bytes([bytes[at + 1], bytes[at + 2], bytes[at + 3], 0]);
            let end = at + 12 + length as usize;
            frames.push(Frame { start: at, end, record: bytes[at] == b'R' });
            at = end;
        }
        frames
    }

    /// How many records stand before this place.
    fn index_at(&self, number: usize, place: usize) -> u64 {
        let before = self.frames(number).iter().filter(|f| f.record && f.end <= place).count();
        number as u64 * 4 + before as u64
    }

    /// Puts these bytes in a segment's place, verifies, and restores it.
    fn with(&self, number: usize, bytes: &[u8]) -> Result<u64, LedgerError> {
        std::fs::write(self.path(number), bytes).unwrap();
        let verified = check(&self.dir);
        std::fs::write(self.path(number), &self.segments[number]).unwrap();
        verified.map(|verified| verified.head.map_or(0, |head| head.size()))
    }
}

fn first_bad(result: Result<u64, LedgerError>) -> u64 {
    match result {
        Err(LedgerError::Corrupt { index, .. }) => index,
        other => panic!("{other:?}"),
    }
}

fn with_crcs(mut bytes: Vec<u8>, frame: Frame) -> Vec<u8> {
    let payload = crc32c::crc32c(&bytes[frame.start + 12..frame.end]).to_le_bytes();
    bytes[frame.start + 4..frame.start + 8].copy_from_slice(&payload);
    let header = crc32c::crc32c(&bytes[frame.start..frame.start + 8]).to_le_bytes();
    bytes[frame.start + 8..frame.start + 12].copy_from_slice(&header);
    bytes
}

#[test]
fn every_flipped_bit() {
    let log = Log::new();
    for number in 0..2 {
        let end = log.frames(number).last().unwrap().end;
        for place in 0..end {
            // The ordinary run takes one bit of each byte in turn, the long one all eight.
            for bit in (0..8).filter(|bit| runs(1, 8) == 8 || place % 8 == *bit) {
                let mut bytes = log.segments[number].clone();
                if number == 1 {
                    bytes.resize(end + 1_500, 0);
                }
                bytes[place] ^= 1 << bit;
                let expected = log.index_at(number, place);
                assert_eq!(first_bad(log.with(number, &bytes)), expected, "{number}/{place}/{bit}");
            }
        }
    }
}

#[test]
fn flipped_bits_behind_corrected_checksums() {
    let log = Log::new();
    for number in 0..2 {
        for frame in log.frames(number) {
            for place in (frame.start + 12..frame.end).step_by(runs(5, 1)) {
                let mut bytes = log.segments[number].clone();
                bytes[place] ^= 1 << (place % 8);
                let bytes = with_crcs(bytes, frame);
                let bad = first_bad(log.with(number, &bytes));
                // A checkpoint that is not ours puts its whole group, here of one, in doubt.
                let before = log.index_at(number, frame.start);
                assert_eq!(bad, if frame.record { before } else { before - 1 });
            }
        }
        let mut header = log.segments[number].clone();
        for place in (0..HEADER - 4).step_by(runs(3, 1)) {
            header[place] ^= 1 << (place % 8);
            let crc = crc32c::crc32c(&header[..HEADER - 4]).to_le_bytes();
            header[HEADER - 4..HEADER].copy_from_slice(&crc);
            assert_eq!(first_bad(log.with(number, &header)), number as u64 * 4, "{place}");
            header.copy_from_slice(&log.segments[number]);
        }
    }
}

#[test]
fn delete_swap_duplicate_insert() {
    let log = Log::new();
    for number in 0..2 {
        let bytes = &log.segments[number];
        let frames = log.frames(number);
        let base = number as u64 * 4;
        let joined = |frames: &[Frame]| {
            let mut out = bytes[..HEADER].to_vec();
            frames.iter().for_each(|f| out.extend_from_slice(&bytes[f.start..f.end]));
            out
        };
        for (at, frame) in frames.iter().enumerate() {
            let index = base + at as u64 / 2;
            let mut without = frames.clone();
            without.remove(at);
            let result = log.with(number, &joined(&without));
            if !frame.record && at + 1 < frames.len() {
                // A later checkpoint signs all that this one did: no record is in doubt.
                assert_eq!(result.unwrap(), 8);
            } else {
                // Without its checkpoint the last record was never acknowledged, as far as these
                // files tell; but no crash shortens a file.
                assert_eq!(first_bad(result), if frame.record { index } else { index + 1 });
            }
            let mut twice = frames.clone();
            twice.insert(at, *frame);
            let bad = first_bad(log.with(number, &joined(&twice)));
            assert_eq!(bad, index + 1);
        }
        for at in 0..frames.len() - 2 {
            let mut swapped = frames.clone();
            swapped.swap(at, at + 2);
            let bad = first_bad(log.with(number, &joined(&swapped)));
            assert_eq!(bad, base + at as u64 / 2);
        }
        // A whole group taken out of the middle, and one put in twice.
        for at in (0..frames.len() - 2).step_by(2) {
            let mut without = frames.clone();
            without.drain(at..at + 2);
            assert_eq!(first_bad(log.with(number, &joined(&without))), base + at as u64 / 2);
            let mut twice = frames.clone();
            twice.splice(at..at, frames[at..at + 2].iter().copied());
            assert_eq!(first_bad(log.with(number, &joined(&twice))), base + at as u64 / 2 + 1);
        }
    }
}

#[test]
fn splices_between_logs_and_segments() {
    let (log, other) = (Log::new(), Log::new());
    // Another log of the same name and keys: a segment, and a group, put in its place.
    assert_eq!(first_bad(log.with(1, &other.segments[1])), 4);
    assert_eq!(first_bad(log.with(1, &log.segments[0])), 4);
    assert_eq!(first_bad(log.with(0, &log.segments[1])), 0);
    let (ours, theirs) = (log.frames(0), other.frames(0));
    for at in (0..ours.len()).step_by(2) {
        let mut bytes = log.segments[0][..ours[at].start].to_vec();
        bytes.extend_from_slice(&other.segments[0][theirs[at].start..theirs[at + 1].end]);
        bytes.extend_from_slice(&log.segments[0][ours[at + 1].end..]);
        assert_eq!(first_bad(log.with(0, &bytes)), at as u64 / 2);
    }
    std::fs::remove_file(log.path(0)).unwrap();
    assert_eq!(first_bad(check(&log.dir).map(|_| 0)), 0);
}

#[test]
fn every_cut_inside_a_group() {
    let log = Log::new();
    for number in 0..2 {
        let frames = log.frames(number);
        let whole: Vec<usize> = frames.iter().filter(|f| !f.record).map(|f| f.end).collect();
        for cut in (HEADER + 1..frames.last().unwrap().end)
            .filter(|cut| runs(0, 1) == 1 || cut % 3 == 0 || whole.contains(cut))
        {
            let result = log.with(number, &log.segments[number][..cut]);
            if number == 1 && whole.contains(&cut) {
                // Whole groups gone from the end: without a head kept elsewhere, not noticed.
                assert_eq!(result.unwrap(), log.index_at(number, cut));
            } else if number == 1 {
                assert_eq!(first_bad(result), log.index_at(number, cut), "{cut}");
            } else {
                let bad = first_bad(result);
                assert!(bad <= log.index_at(number, cut), "{cut}");
            }
        }
    }
}

#[test]
fn a_kept_head_shows_what_was_cut_off() {
    let log = Log::new();
    let head = check(&log.dir).unwrap().head.unwrap();
    let cut = log.frames(1)[5].end;
    std::fs::write(log.path(1), &log.segments[1][..cut]).unwrap();
    assert_eq!(check(&log.dir).unwrap().head.unwrap().size(), 7);
    let known = common::options().known_head(head);
    let refused = common::open_with(&log.dir, known.clone());
    assert!(matches!(refused, Err(LedgerError::Behind { expected: 8, .. })));
    // Nor can other records take their place.
    let ledger = open(&log.dir).unwrap();
    ledger.append(record("acme", 99)).wait().unwrap();
    drop(ledger);
    assert!(common::open_with(&log.dir, known).is_err());
}

#[test]
fn flips_in_the_preallocated_rest_are_set_aside() {
    let log = Log::new();
    let used = log.segments[1].len();
    assert_eq!(used, log.frames(1).last().unwrap().end);
    for place in (used..used + 2_000).step_by(runs(29, 1)) {
        let mut bytes = log.segments[1].clone();
        bytes.resize(common::SEGMENT, 0);
        bytes[place] ^= 1 << (place % 8);
        assert_eq!(log.with(1, &bytes).unwrap(), 8);
    }
    let mut bytes = log.segments[1].clone();
    bytes.resize(common::SEGMENT, 0);
    bytes[used + 777] = 4;
    std::fs::write(log.path(1), &bytes).unwrap();
    let ledger = open(&log.dir).unwrap();
    let aside = ledger.opened().set_aside.clone().unwrap();
    assert_eq!((ledger.opened().records, aside.bytes), (8, 778));
    assert_eq!(std::fs::read(log.dir.join(&aside.file)).unwrap().len(), 778);
    drop(ledger);
    // Recorded: the log has one more record, and opens without anything to set aside.
    let ledger: Ledger = open(&log.dir).unwrap();
    assert_eq!((ledger.opened().records, &ledger.opened().set_aside), (9, &None));
}

/// A crash leaves zeros where sectors were not written: those tails are set aside, and what was
/// acknowledged before stays.
#[test]
fn torn_last_groups_are_set_aside() {
    let log = Log::new();
    let frames = log.frames(1);
    let last = frames[frames.len() - 2].start;
    let end = frames.last().unwrap().end;
    for sector in (last / 512 + 1)..=(end / 512) {
        let mut bytes = log.segments[1].clone();
        bytes.resize(common::SEGMENT, 0);
        bytes[(sector * 512).max(last)..].fill(0);
        let torn = (sector * 512) < end;
        assert_eq!(log.with(1, &bytes).unwrap(), if torn { 7 } else { 8 });
    }
    // Its checkpoint written and a sector of its record not: signed, so it is corruption.
    let mut bytes = log.segments[1].clone();
    bytes[last..last + 40].fill(0);
    assert_eq!(first_bad(log.with(1, &bytes)), 7);
}

#[test]
fn garbage_is_never_a_log() {
    let log = Log::new();
    let path: &Path = &log.path(0);
    for bytes in [&b""[..], b"VSLEDGER", &[0; 4096], &[0xff; 4096]] {
        std::fs::write(path, bytes).unwrap();
        assert_eq!(first_bad(check(&log.dir).map(|_| 0)), 0);
        // Opening for writing refuses as well, and changes nothing.
        assert!(matches!(open(&log.dir), Err(LedgerError::Corrupt { index: 0, .. })));
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(check(&log.dir), Err(LedgerError::Io { .. })));
}
