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

use report::{How, Origin};
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

/// Gives the number of lines that had a key.
fn build(list: &Path, filter: &Path, bits: FingerprintBits, unsorted: bool) -> u64 {
    report::build(list, filter, How { bits, unsorted, partial: true }).unwrap().lines
}

fn origin(lines: u64) -> Origin {
    Origin { lines, padding: 0, ranges: None }
}

fn refusal(list: &Path, filter: &Path, unsorted: bool) -> String {
    let how = How { bits: BOTH[0], unsorted, partial: true };
    let error = report::build(list, filter, how).err().unwrap().to_string();
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
        assert_eq!(build(&list, &filter, bits, false), LINES);
        holds_all(&filter, &digests());
        let report = report::measure(&filter, origin(LINES), lookups).unwrap();
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
    build(&list, &filter, BOTH[1], false);
    let sorted = std::fs::read(&filter).unwrap();

    // Turned round, each line twice, lines ended as on Windows, and an empty one.
    let mut lines = digests();
    lines.reverse();
    let turned: String = lines.iter().map(|line| format!("{line}\r\n{line}\r\n\r\n")).collect();
    std::fs::write(&list, turned).unwrap();
    assert_eq!(build(&list, &filter, BOTH[1], true), 2 * LINES);
    let filter_of_twice = BreachFilter::open(&filter).unwrap();
    assert_eq!((filter_of_twice.keys(), filter_of_twice.shards()), (LINES, 8));
    holds_all(&filter, &lines);

    let once: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&list, once).unwrap();
    build(&list, &filter, BOTH[1], true);
    assert_eq!(std::fs::read(&filter).unwrap(), sorted);

    // Close together, so that a range has many.
    let lines: Vec<String> = (0..3_000).map(|at| sample::line(at, 30_000_000)).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    build(&list, &filter, BOTH[1], false);
    holds_all(&filter, &lines);
    let sorted = std::fs::read(&filter).unwrap();
    let ranges = folder.path().join("ranges");
    std::fs::create_dir(&ranges).unwrap();
    for same in lines.chunk_by(|a, b| a[..5] == b[..5]) {
        let rest: String = same.iter().map(|line| format!("{}\r\n", &line[5..])).collect();
        std::fs::write(ranges.join(format!("{}.txt", same[0][..5].to_lowercase())), rest).unwrap();
    }
    assert!((50..200).contains(&std::fs::read_dir(&ranges).unwrap().count()));
    build(&ranges, &filter, BOTH[1], false);
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
    assert!(refused.contains("notes.txt: a range file is named by five"), "{refused}");
    std::fs::write(list.join("00000.txt"), "no digest\n").unwrap();
    std::fs::remove_file(list.join("notes.txt")).unwrap();
    let refused = refusal(&list, &filter, false);
    assert!(refused.contains("00000.txt, line 1: no SHA-1"), "{refused}");
}

/// What stands in `filter` stays there, and nothing comes beside it.
#[track_caller]
fn spared(list: &Path, filter: &Path, how: How) -> String {
    let folder = filter.parent().unwrap();
    let names = || {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = (names(), std::fs::read(filter).ok());
    let refused = report::build(list, filter, how).err().unwrap().to_string();
    assert!((names(), std::fs::read(filter).ok()) == before, "{refused}");
    refused
}

const SORTED: How = How { bits: FingerprintBits::Eight, unsorted: false, partial: false };
const ALL: [How; 2] = [SORTED, How { unsorted: true, ..SORTED }];

#[test]
fn a_list_without_a_key_replaces_no_filter() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    sample::write(&list, 10).unwrap();
    build(&list, &filter, BOTH[0], false);
    let padding = format!("{}:0\r\n", "AB".repeat(20));
    for (how, nothing) in
        ALL.into_iter().flat_map(|how| [(how, ""), (how, "\n\n"), (how, &*padding)])
    {
        std::fs::write(&list, nothing).unwrap();
        let refused = spared(&list, &filter, how);
        assert!(refused.contains("list: not one breached password"), "{refused}");
    }
}

#[test]
fn the_list_itself_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    sample::write(&list, 10).unwrap();
    let otherwise = folder.path().join(".").join("list");
    let mut names = vec![list.clone(), otherwise];
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&list, &link).unwrap();
        names.push(link);
    }
    for (from, to) in names.iter().flat_map(|name| [(&list, name), (name, &list)]) {
        for how in ALL {
            let refused = spared(from, to, how);
            assert!(refused.contains("this is the list"), "{refused}");
        }
    }
    let ranges = folder.path().join("ranges");
    std::fs::create_dir(&ranges).unwrap();
    std::fs::write(ranges.join("00000"), format!("{}:1\n", "0".repeat(35))).unwrap();
    let among = How { partial: true, ..SORTED };
    for name in ["00000", "filter"] {
        let refused = spared(&ranges, &ranges.join(name), among);
        assert!(refused.contains("among the range files"), "{refused}");
    }
}

#[test]
fn an_incomplete_set_of_range_files_is_taken_when_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (ranges, filter) = (folder.path().join("ranges"), folder.path().join("filter"));
    std::fs::create_dir(&ranges).unwrap();
    std::fs::write(ranges.join("00000.txt"), format!("{}:1\n", "0".repeat(35))).unwrap();
    std::fs::write(ranges.join("00001.txt"), "").unwrap();
    let refused = spared(&ranges, &filter, SORTED);
    assert!(refused.contains("ranges: 1 of 1048576 range files"), "{refused}");
    assert!(refused.contains("--partial"), "{refused}");
    let origin = report::build(&ranges, &filter, How { partial: true, ..SORTED }).unwrap();
    assert_eq!((origin.lines, origin.ranges), (1, Some(1)));
    let text = report::measure(&filter, origin, 1 << 8).unwrap().to_string();
    assert!(text.contains("range files    1 of 1048576"), "{text}");
    // A whole set is a million files: its number alone.
    assert!(input::whole(1 << 20, false).is_ok() && input::whole((1 << 20) - 1, false).is_err());
}

/// As a download leaves them that was cut off: the first ones, and all their digests begin alike.
#[test]
fn the_first_of_the_range_files_are_taken_when_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (ranges, filter) = (folder.path().join("ranges"), folder.path().join("filter"));
    std::fs::create_dir(&ranges).unwrap();
    let mut lines = Vec::new();
    for range in 0..80 {
        let rests = (0..900).map(|at| format!("{:011X}{:024}:1\n", at * 19_000_000_000_u64, 7));
        let rests: Vec<_> = rests.collect();
        std::fs::write(ranges.join(format!("{range:05X}")), rests.concat()).unwrap();
        lines.extend(rests.iter().map(|rest| format!("{range:05X}{}", &rest[..35])));
    }
    for how in ALL {
        let how = How { partial: true, ..how };
        let origin = report::build(&ranges, &filter, how).unwrap();
        assert_eq!((origin.lines, origin.ranges), (72_000, Some(80)));
        let filter = BreachFilter::open(&filter).unwrap();
        let key = |line: &String| BreachKey::of_hex(&line.as_bytes()[..40]).unwrap();
        assert!(lines.iter().all(|line| filter.holds(key(line)).unwrap()));
    }
}

/// A device, or whatever else is no file, would be gone.
#[test]
#[cfg(unix)]
fn what_is_no_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    sample::write(&list, 10).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&filter).unwrap();
    let null = folder.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    for (other, how) in [&filter, &null].into_iter().flat_map(|other| ALL.map(|how| (other, how))) {
        let refused = spared(&list, other, how);
        assert!(refused.contains("this is no regular file"), "{refused}");
    }
}

#[test]
fn a_line_with_a_count_of_zero_is_nobodys_password() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    let digest = |digit: &str| digit.repeat(40);
    let lines = [("1", ":0\r"), ("2", ":10"), ("3", ":0"), ("4", ""), ("5", ":01")];
    let text: String = lines.map(|(digit, count)| format!("{}{count}\n", digest(digit))).concat();
    std::fs::write(&list, text).unwrap();
    for how in ALL {
        let origin = report::build(&list, &filter, How { bits: BOTH[1], ..how }).unwrap();
        assert_eq!((origin.lines, origin.padding), (3, 2));
        holds_all(&filter, &["2", "4", "5"].map(digest));
    }
}

#[test]
fn a_byte_order_mark_is_no_digit() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    let lines: Vec<String> = (0..10).map(|at| sample::line(at, 10)).collect();
    std::fs::write(&list, format!("\u{feff}{}", lines.join("\n"))).unwrap();
    build(&list, &filter, BOTH[0], false);
    holds_all(&filter, &lines);
    std::fs::write(&list, format!("{}\n\u{feff}{}", lines[0], lines[1])).unwrap();
    let refused = spared(&list, &filter, SORTED);
    assert!(refused.contains("list, line 2: no SHA-1"), "{refused}");

    let ranges = folder.path().join("ranges");
    std::fs::create_dir(&ranges).unwrap();
    std::fs::write(ranges.join("abcde"), format!("\u{feff}{}:3", "0".repeat(35))).unwrap();
    build(&ranges, &filter, BOTH[0], false);
    holds_all(&filter, &[format!("ABCDE{}", "0".repeat(35))]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_is_refused_as_such() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let folder = tempfile::tempdir().unwrap();
    for how in ALL {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writeln!(writer, "{}", sample::line(0, 1)).unwrap();
        drop(writer);
        let pipe = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let refused = spared(Path::new(&pipe), &folder.path().join("filter"), how);
        assert!(refused.contains(&format!("{pipe}: not a regular file; a pipe")), "{refused}");
    }
}

#[test]
fn an_error_says_which_file_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    let refused = spared(&list, &filter, SORTED);
    assert!(refused.contains("/list: "), "{refused}");
    // A folder is refused before anything is read: the line that is none is not reached.
    std::fs::write(&list, "no digest").unwrap();
    std::fs::create_dir(&filter).unwrap();
    let refused = spared(&list, &filter, SORTED);
    assert!(refused.contains("/filter: this is a folder"), "{refused}");
    let nowhere = folder.path().join("nowhere");
    let refused = report::build(&list, &nowhere.join("filter"), SORTED).err().unwrap().to_string();
    assert!(refused.contains("/nowhere: "), "{refused}");
    let refused = report::measure(&list, origin(1), 1).err().unwrap().to_string();
    assert!(refused.contains("/list: the breach filter has 9 bytes"), "{refused}");
    let refused = sample::write(&filter, 1).err().unwrap().to_string();
    assert!(refused.contains("/filter: "), "{refused}");
}

/// The first lines of a sorted list all belong to its first shards.
#[test]
fn a_piece_of_a_sorted_list_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    let piece: String =
        (0..70_000).map(|at| format!("{}\n", sample::line(at, 1_000_000_000))).collect();
    std::fs::write(&list, piece).unwrap();
    let refused = spared(&list, &filter, SORTED);
    assert!(refused.contains("list, line 65537: too many keys begin alike"), "{refused}");
}

#[test]
fn progress_is_a_line() {
    assert_eq!(progress::bar("building", 0), "\rbuilding [--------------------]   0 %");
    assert_eq!(progress::bar("building", 52), "\rbuilding [##########----------]  52 %");
    assert_eq!(progress::bar("building", 100), "\rbuilding [####################] 100 %");
}
