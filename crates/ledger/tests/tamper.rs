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

use common::small_log::{
    EACH, Frame, HEADER, Kind, Log, SEGMENTS, SIZE, append_grouped, first_bad, group_of, index_of,
    model, put, read_frames, size,
};
use common::{check, open, origin, record, sealer};
use vouchsafe_ledger::Sealer;
use vouchsafe_testkit::runs;

#[test]
fn every_flipped_bit() {
    let log = Log::new();
    for number in 0..SEGMENTS {
        let frames = log.places(number).into_iter().zip(&log.frames[number]).enumerate();
        let frames = frames.map(|(at, (place, frame))| (place, index_of(number, at, frame)));
        let header = ((0, HEADER), number as u64 * EACH);
        for ((start, end), bad) in frames.chain([header]) {
            for place in start..end {
                // The ordinary run takes one bit of each byte in turn, the long one all eight.
                for bit in (0..8).filter(|bit| runs(1, 8) == 8 || place % 8 == *bit) {
                    let mut bytes = log.segments[number].clone();
                    if number + 1 == SEGMENTS {
                        bytes.resize(bytes.len() + 1_500, 0);
                    }
                    bytes[place] ^= 1 << bit;
                    assert_eq!(first_bad(log.with(number, &bytes)), bad, "{number}/{place}/{bit}");
                }
            }
        }
    }
}

#[test]
fn flipped_bits_behind_corrected_checksums() {
    let log = Log::new();
    for number in 0..SEGMENTS {
        for (at, frame) in log.frames[number].iter().enumerate() {
            for place in (0..frame.payload().len()).step_by(runs(5, 1)) {
                let mut payload = frame.payload().to_vec();
                payload[place] ^= 1 << (place % 8);
                let mut frames = log.frames[number].clone();
                frames[at] = Frame::new(frame.kind, frame.bytes[0], &payload);
                let bad = first_bad(log.with(number, &log.segment(number, &frames)));
                assert_eq!(bad, index_of(number, at, frame), "{number}/{at}/{place}");
            }
        }
        for place in (0..HEADER - 4).step_by(runs(3, 1)) {
            let mut bytes = log.segments[number].clone();
            bytes[place] ^= 1 << (place % 8);
            let crc = crc32c::crc32c(&bytes[..HEADER - 4]).to_le_bytes();
            bytes[HEADER - 4..HEADER].copy_from_slice(&crc);
            assert_eq!(first_bad(log.with(number, &bytes)), number as u64 * EACH, "{place}");
        }
    }
}

/// What an attacker could put into a file: each frame of the log and of its twin, which has the
/// same name and keys, and frames of no kind, with right checksums.
fn material(log: &Log, twin: &Log) -> Vec<Frame> {
    let theirs = twin.frames.iter().flatten().cloned().map(Frame::of_the_twin);
    let mut all: Vec<Frame> = log.frames.iter().flatten().cloned().chain(theirs).collect();
    all.push(Frame::new(Kind::Other, b'X', b"no kind of frame"));
    all.push(Frame::new(Kind::Other, b'R', b""));
    let nobodys = Kind::Checkpoint { after: u64::MAX, size: 0, ours: false };
    all.push(Frame::new(nobodys, b'C', b"no note"));
    all.push(Frame::new(Kind::Other, b'R', &[7; 400]));
    all.push(Frame { kind: Kind::Other, bytes: vec![0xA5; 12] });
    all
}

/// Every way to delete, swap, duplicate, insert or splice frames of a segment.
fn alterations(frames: &[Frame], twin: &[Frame], material: &[Frame]) -> Vec<Vec<Frame>> {
    let mut all = Vec::new();
    let mut add = |from: usize, to: usize, with: &[Frame]| {
        let mut altered = frames.to_vec();
        altered.splice(from..to, with.iter().cloned());
        all.push(altered);
    };
    for from in 0..=frames.len() {
        // Inserted, in a frame's place, and stretches: taken out, doubled, from the twin.
        for frame in material {
            let one = std::slice::from_ref(frame);
            add(from, from, one);
            if from < frames.len() {
                add(from, from + 1, one);
            }
        }
        for to in from + 1..=frames.len() {
            add(from, to, &[]);
            add(from, from, &frames[from..to]);
            let theirs: Vec<_> = twin[from..to].iter().cloned().map(Frame::of_the_twin).collect();
            add(from, to, &theirs);
            let turned: Vec<_> = frames[from..to].iter().rev().cloned().collect();
            add(from, to, &turned);
            if to < frames.len() {
                // Swapped.
                let mut altered = frames.to_vec();
                altered.swap(from, to);
                add(0, frames.len(), &altered);
            }
        }
    }
    all.retain(|altered| altered != frames);
    all
}

#[test]
fn delete_swap_duplicate_insert() {
    let (log, twin) = (Log::new(), Log::new());
    let material = material(&log, &twin);
    let mut tried = 0;
    for number in 0..SEGMENTS {
        let frames = &log.frames[number];
        for altered in alterations(frames, &twin.frames[number], &material) {
            let result = log.with(number, &log.segment(number, &altered));
            let kinds: Vec<Kind> = altered.iter().map(|frame| frame.kind).collect();
            let what = || format!("segment {number} as {kinds:?}");
            match model(number, &altered) {
                Some(bad) => assert_eq!(first_bad(result), bad, "{}", what()),
                // Whole groups gone from the log's very end: a shorter log.
                None => {
                    assert!(number + 1 == SEGMENTS && frames.starts_with(&altered), "{}", what());
                    assert!(result.unwrap() < SIZE);
                }
            }
            tried += 1;
        }
        // What each single deletion is called, without the model.
        for (at, frame) in frames.iter().enumerate() {
            let mut without = frames.clone();
            without.remove(at);
            let bad = first_bad(log.with(number, &log.segment(number, &without)));
            assert_eq!(bad, index_of(number, at, frame), "segment {number} without frame {at}");
        }
        // Unwritten space between two frames.
        for at in 0..frames.len() {
            let mut holed = frames.clone();
            holed.insert(at, Frame { kind: Kind::Other, bytes: vec![0; 600] });
            let bad = first_bad(log.with(number, &log.segment(number, &holed)));
            assert_eq!(Some(bad), model(number, &holed), "segment {number}, hole at {at}");
        }
    }
    println!("{tried} altered segments, each noticed");
    assert!(tried > 1_500);
}

#[test]
fn frames_swapped_between_segments() {
    let log = Log::new();
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        for (i, j) in (0..36).map(|pair| (pair / 6, pair % 6)) {
            let mut frames = log.frames.clone();
            let (mine, theirs) = (frames[one][i].clone(), frames[other][j].clone());
            (frames[one][i], frames[other][j]) = (theirs, mine);
            put(&log.path(one), &log.segment(one, &frames[one]));
            put(&log.path(other), &log.segment(other, &frames[other]));
            let bad = first_bad(check(&log.dir).map(size));
            assert_eq!(Some(bad), model(one, &frames[one]), "{one}/{i} with {other}/{j}");
            log.restore();
        }
    }
}

#[test]
fn headers_deleted_swapped_duplicated_inserted() {
    let (log, twin) = (Log::new(), Log::new());
    for number in 0..SEGMENTS {
        let first = number as u64 * EACH;
        let (header, rest) = log.segments[number].split_at(HEADER);
        let foreign = &log.segments[(number + 1) % SEGMENTS][..HEADER];
        let frame = &log.frames[number][0].bytes;
        let swapped = [frame, header, &rest[frame.len()..]].concat();
        for bytes in [
            rest.to_vec(),
            [foreign, rest].concat(),
            [&twin.segments[number][..HEADER], rest].concat(),
            [foreign, header, rest].concat(),
            swapped,
        ] {
            assert_eq!(first_bad(log.with(number, &bytes)), first);
        }
        // Behind the right one, any header is no frame.
        let twice = [header, header, rest].concat();
        assert_eq!(first_bad(log.with(number, &twice)), first);
    }
}

#[test]
fn splices_between_logs_and_segments() {
    let (log, twin) = (Log::new(), Log::new());
    let restored = |bad: u64| {
        assert_eq!(first_bad(check(&log.dir).map(size)), bad);
        log.restore();
        assert_eq!(check(&log.dir).map(size).unwrap(), SIZE);
    };
    for one in 0..SEGMENTS {
        // Another segment in its place: the twin's, and one of its own. The twin's first one is as
        // good a beginning as ours, and ours does not continue it.
        put(&log.path(one), &twin.segments[one]);
        restored(one.max(1) as u64 * EACH);
        for other in 0..SEGMENTS {
            if other != one {
                put(&log.path(one), &log.segments[other]);
                restored(one as u64 * EACH);
                put(&log.path(one), &log.segments[other]);
                put(&log.path(other), &log.segments[one]);
                restored(one.min(other) as u64 * EACH);
            }
        }
        // One more: inserted with the later ones moved up, or at the end.
        for bytes in [log.segments[one].clone(), twin.segments[one].clone()] {
            for at in 0..=SEGMENTS {
                let mut files: Vec<_> = log.segments.iter().collect();
                files.insert(at, &bytes);
                let begins = at == 0 && bytes == twin.segments[0];
                let same = begins || log.segments.get(at) == Some(&bytes);
                for (number, bytes) in files.into_iter().enumerate() {
                    put(&log.path(number), bytes);
                }
                let bad = first_bad(check(&log.dir).map(size));
                assert_eq!(bad, (at + usize::from(same)) as u64 * EACH);
                std::fs::remove_file(log.path(SEGMENTS)).unwrap();
                log.restore();
            }
        }
    }
    for number in 0..SEGMENTS - 1 {
        let kept = log.path(number).with_extension("kept");
        std::fs::rename(log.path(number), &kept).unwrap();
        assert_eq!(first_bad(check(&log.dir).map(size)), number as u64 * EACH);
        std::fs::rename(kept, log.path(number)).unwrap();
    }
    assert_eq!(check(&log.dir).map(size).unwrap(), SIZE);
}

/// Two groups of the greatest size: together they are more than one can be.
#[test]
fn a_checkpoint_missing_between_the_largest_groups() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    append_grouped(&dir, common::options().segment_bytes(8 << 20), 0..2_100);
    let path = dir.join("segment-00000000");
    let bytes = std::fs::read(&path).unwrap();
    let frames = read_frames(&bytes, 0);
    let mut sizes = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let Kind::Checkpoint { after, size: end, .. } = frame.kind else { continue };
        sizes.push(end - after);
        let before: usize = frames[..at].iter().map(|frame| frame.bytes.len()).sum();
        let start = HEADER + before;
        let rest = start + frame.bytes.len();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        put(&path, &[&bytes[..start], &bytes[rest..used]].concat());
        assert_eq!(first_bad(check(&dir).map(size)), after);
    }
    assert_eq!(sizes, [1, 1_024, 1_024, 51]);
}

/// Whoever holds the sealing key can write what opens, and not what was signed.
#[test]
fn what_is_sealed_anew_is_caught_at_its_group() {
    let log = Log::new();
    for number in 0..SEGMENTS {
        let salt: [u8; 32] = log.segments[number][32..64].try_into().unwrap();
        let key = sealer().segment(&origin(), &salt);
        let sealed = |index: u64, entry: &[u8]| {
            let mut payload = entry.to_vec();
            key.seal(index, &mut payload).unwrap();
            Frame::new(Kind::Record(index), b'R', &payload)
        };
        for (at, frame) in log.frames[number].iter().enumerate() {
            let caught_at_the_group = |frames: &[Frame]| {
                let bad = first_bad(log.with(number, &log.segment(number, frames)));
                assert_eq!(bad, group_of(number, at), "{number}/{at}");
            };
            let Kind::Record(index) = frame.kind else {
                // One more in front of the checkpoint.
                let Kind::Checkpoint { size, .. } = frame.kind else { panic!() };
                let entry = [&[9; 16], record("acme", 99).to_bytes().as_slice()].concat();
                let mut frames = log.frames[number].clone();
                frames.insert(at, sealed(size, &entry));
                caught_at_the_group(&frames);
                continue;
            };
            let mut entry = frame.payload().to_vec();
            key.open(index, &mut entry).unwrap();
            let mut frames = log.frames[number].clone();
            frames[at] = sealed(index, &entry);
            assert_eq!(log.with(number, &log.segment(number, &frames)).unwrap(), SIZE);
            // Another record, and another salt of the same record.
            let other = [&entry[..16], record("other", index).to_bytes().as_slice()].concat();
            frames[at] = sealed(index, &other);
            caught_at_the_group(&frames);
            entry[3] ^= 1;
            frames[at] = sealed(index, &entry);
            caught_at_the_group(&frames);
        }
    }
    open(&log.dir).unwrap();
}
