//! The example that builds filters: its own code, on small lists.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    clippy::string_slice,
    dead_code,
    reason = "tests"
)]

#[path = "../examples/build_breach/input.rs"]
mod input;
#[path = "../examples/build_breach/partition.rs"]
mod partition;
#[path = "../examples/build_breach/progress.rs"]
mod progress;
#[path = "../examples/build_breach/report.rs"]
mod report;
#[path = "../examples/build_breach/sample.rs"]
mod sample;

use std::path::Path;

use vouchsafe_password::{BreachFilter, BreachKey, FingerprintBits};

const LINES: u64 = 20_000;
const BOTH: [FingerprintBits; 2] = [FingerprintBits::Eight, FingerprintBits::Sixteen];

fn digests() -> Vec<String> {
    (0..LINES).map(|at| sample::line(at, LINES)).collect()
}

#[track_caller]
fn holds_all(filter: &Path, lines: &[String]) {
    let filter = BreachFilter::open(filter).unwrap();
    let key = |line: &String| BreachKey::of_hex(&line.as_bytes()[..40]).unwrap();
    assert!(lines.iter().all(|line| filter.holds(key(line)).unwrap()));
    assert_eq!(filter.keys(), lines.len() as u64);
}

fn refusal(list: &Path, filter: &Path, unsorted: bool) -> String {
    let error = report::build(list, filter, BOTH[0], unsorted).err().unwrap().to_string();
    assert!(!filter.exists(), "nothing half-built is left");
    let left = std::fs::read_dir(filter.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no part is left");
    error
}

#[test]
fn a_sample_becomes_a_filter_with_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    sample::write(&list, LINES).unwrap();
    for (bits, lookups) in [(BOTH[0], 1 << 16), (BOTH[1], 1 << 19)] {
        assert_eq!(report::build(&list, &filter, bits, false).unwrap(), LINES);
        holds_all(&filter, &digests());
        let report = report::measure(&filter, LINES, lookups).unwrap();
        assert_eq!(report.bytes, std::fs::metadata(&filter).unwrap().len());
        assert!(report.measured() <= 2.0 * bits.rate() && report.measured() >= bits.rate() / 2.0);
        let text = report.to_string();
        assert!(text.contains("20000, in 4 shards") && text.contains("bits a key"), "{text}");
        assert!(text.contains(&format!("{:.7} claimed", bits.rate())), "{text}");
        assert_eq!(text.contains("peak memory"), cfg!(target_os = "linux"));
    }
}

/// The same file, whichever way its keys came.
#[test]
fn unsorted_lines_and_range_files_make_the_same_filter() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    sample::write(&list, LINES).unwrap();
    report::build(&list, &filter, BOTH[1], false).unwrap();
    let sorted = std::fs::read(&filter).unwrap();

    // Turned round, each line twice, lines ended as on Windows, and an empty one.
    let mut lines = digests();
    lines.reverse();
    let turned: String = lines.iter().map(|line| format!("{line}\r\n{line}\r\n\r\n")).collect();
    std::fs::write(&list, turned).unwrap();
    assert_eq!(report::build(&list, &filter, BOTH[1], true).unwrap(), 2 * LINES);
    let filter_of_twice = BreachFilter::open(&filter).unwrap();
    assert_eq!((filter_of_twice.keys(), filter_of_twice.shards()), (LINES, 8));
    holds_all(&filter, &lines);

    let once: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&list, once).unwrap();
    report::build(&list, &filter, BOTH[1], true).unwrap();
    assert_eq!(std::fs::read(&filter).unwrap(), sorted);

    // Close together, so that a range has many.
    let lines: Vec<String> = (0..3_000).map(|at| sample::line(at, 30_000_000)).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    report::build(&list, &filter, BOTH[1], false).unwrap();
    holds_all(&filter, &lines);
    let sorted = std::fs::read(&filter).unwrap();
    let ranges = folder.path().join("ranges");
    std::fs::create_dir(&ranges).unwrap();
    for same in lines.chunk_by(|a, b| a[..5] == b[..5]) {
        let rest: String = same.iter().map(|line| format!("{}\r\n", &line[5..])).collect();
        std::fs::write(ranges.join(format!("{}.txt", same[0][..5].to_lowercase())), rest).unwrap();
    }
    assert!((50..200).contains(&std::fs::read_dir(&ranges).unwrap().count()));
    report::build(&ranges, &filter, BOTH[1], false).unwrap();
    assert_eq!(std::fs::read(&filter).unwrap(), sorted);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    let mut lines = digests();
    lines.swap(7, 8);
    std::fs::write(&list, lines.join("\n")).unwrap();
    let refused = refusal(&list, &filter, false);
    assert!(refused.contains("list, line 9: below the line before it"), "{refused}");
    for (unsorted, bad) in [(false, "no digest"), (true, ""), (false, &*"A".repeat(5_000))] {
        let mut lines = digests();
        lines[20] = format!("{bad}:3");
        std::fs::write(&list, lines.join("\n")).unwrap();
        let refused = refusal(&list, &filter, unsorted);
        assert!(refused.contains("list, line 21: no SHA-1"), "{refused}");
    }
    std::fs::remove_file(&list).unwrap();
    std::fs::create_dir(&list).unwrap();
    std::fs::write(list.join("notes.txt"), format!("{}\n", &lines[0][5..])).unwrap();
    let refused = refusal(&list, &filter, false);
    assert!(refused.contains("notes.txt, line 1: no SHA-1"), "{refused}");
}

#[test]
fn progress_is_a_line() {
    assert_eq!(progress::bar("building", 0), "\rbuilding [--------------------]   0 %");
    assert_eq!(progress::bar("building", 52), "\rbuilding [##########----------]  52 %");
    assert_eq!(progress::bar("building", 100), "\rbuilding [####################] 100 %");
}
