//! LG-3 and LG-8: what a crash can leave is set aside, and everything else is corruption.
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

use std::path::Path;

use common::small_log::{
    EACH, HEADER, Kind, Log, SEGMENTS, SIZE, first_bad, group_of, model, put, size,
};
use common::{check, open, record};
use vouchsafe_ledger::{Ledger, LedgerError};
use vouchsafe_testkit::runs;

const LAST: usize = SEGMENTS - 1;

#[test]
fn every_cut_inside_a_group() {
    let log = Log::new();
    for number in 0..SEGMENTS {
        let (places, frames) = (log.places(number), &log.frames[number]);
        let ends: Vec<usize> = places.iter().map(|place| place.1).collect();
        for cut in (HEADER..*ends.last().unwrap())
            .filter(|cut| runs(0, 1) == 1 || cut % 3 == 0 || ends.contains(cut))
        {
            let result = log.with(number, &log.segments[number][..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let started = cut > ends[..whole].last().copied().unwrap_or(HEADER);
            let expected = match frames[whole].kind {
                Kind::Record(index) if started => Some(index),
                _ if started => Some(group_of(number, whole)),
                _ => model(number, &frames[..whole]),
            };
            match expected {
                Some(bad) => assert_eq!(first_bad(result), bad, "{number}/{cut}"),
                // Whole groups gone from the end: without a head kept elsewhere, not noticed.
                None => assert_eq!(result.unwrap(), group_of(number, whole), "{number}/{cut}"),
            }
        }
    }
}

#[test]
fn a_kept_head_shows_what_was_cut_off() {
    let log = Log::new();
    let behind = |result: Result<u64, LedgerError>| {
        assert!(matches!(result, Err(LedgerError::Behind { expected: SIZE, .. })), "{result:?}");
    };
    // Each cut between groups; the last segment's file gone; and the last checkpoint taken out in
    // front of unwritten space, where it looks like a crash.
    let places = log.places(LAST);
    let (bytes, mut unclosed) = (&log.segments[LAST], log.segments[LAST].clone());
    unclosed[places[5].0..].fill(0);
    unclosed.resize(common::SEGMENT, 0);
    for (bytes, left) in
        [(&bytes[..HEADER], SIZE - EACH), (&bytes[..places[1].1], SIZE - 3), (&unclosed, SIZE - 3)]
    {
        put(&log.path(LAST), bytes);
        assert_eq!(check(&log.dir).map(size).unwrap(), left);
        behind(log.with_head());
    }
    std::fs::remove_file(log.path(LAST)).unwrap();
    assert_eq!(check(&log.dir).map(size).unwrap(), SIZE - EACH);
    behind(log.with_head());

    let known = common::options().known_head(log.head.clone());
    let refused = common::open_with(&log.dir, known.clone());
    assert!(matches!(refused, Err(LedgerError::Behind { expected: SIZE, .. })));
    // Nor can other records take their place.
    let ledger = open(&log.dir).unwrap();
    for number in 0..SIZE {
        ledger.append(record("acme", 99 + number)).wait().unwrap();
    }
    drop(ledger);
    assert!(matches!(common::open_with(&log.dir, known), Err(LedgerError::Corrupt { .. })));
}

#[test]
fn flips_in_the_preallocated_rest_are_set_aside() {
    let log = Log::new();
    let used = log.segments[LAST].len();
    assert_eq!(used, log.places(LAST).last().unwrap().1);
    for place in (used..used + 2_000).step_by(runs(29, 1)) {
        let mut bytes = log.segments[LAST].clone();
        bytes.resize(common::SEGMENT, 0);
        bytes[place] ^= 1 << (place % 8);
        assert_eq!(log.with(LAST, &bytes).unwrap(), SIZE);
    }
    let mut bytes = log.segments[LAST].clone();
    bytes.resize(common::SEGMENT, 0);
    bytes[used + 777] = 4;
    put(&log.path(LAST), &bytes);
    let ledger = open(&log.dir).unwrap();
    let aside = ledger.opened().set_aside.clone().unwrap();
    assert_eq!((ledger.opened().records, aside.bytes), (SIZE, 778));
    assert_eq!(std::fs::read(log.dir.join(&aside.file)).unwrap().len(), 778);
    drop(ledger);
    // Recorded: the log has one record more, and opens without anything to set aside.
    let ledger: Ledger = open(&log.dir).unwrap();
    assert_eq!((ledger.opened().records, &ledger.opened().set_aside), (SIZE + 1, &None));
}

/// A crash leaves zeros where sectors were not written: those tails are set aside, and what was
/// acknowledged before stays.
#[test]
fn torn_last_groups_are_set_aside() {
    let log = Log::new();
    let places = log.places(LAST);
    let (last, end) = (places[2].0, places[5].1);
    for sector in (last / 512 + 1)..=(end / 512) {
        let mut bytes = log.segments[LAST].clone();
        bytes.resize(common::SEGMENT, 0);
        bytes[(sector * 512).max(last)..].fill(0);
        let torn = (sector * 512) < end;
        assert_eq!(log.with(LAST, &bytes).unwrap(), if torn { SIZE - 3 } else { SIZE });
    }
    // Its checkpoint written and a sector of its record not: signed, so it is corruption.
    let mut bytes = log.segments[LAST].clone();
    bytes[last..last + 40].fill(0);
    assert_eq!(first_bad(log.with(LAST, &bytes)), SIZE - 3);
}

#[test]
fn garbage_is_never_a_log() {
    let log = Log::new();
    let path: &Path = &log.path(0);
    for bytes in [&b""[..], b"VSLEDGER", &[0; 4096], &[0xff; 4096]] {
        put(path, bytes);
        assert_eq!(first_bad(check(&log.dir).map(|_| 0)), 0);
        // Opening for writing refuses as well, and changes nothing.
        assert!(matches!(open(&log.dir), Err(LedgerError::Corrupt { index: 0, .. })));
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(check(&log.dir), Err(LedgerError::Io { .. })));
}
