//! LG-16: the standalone verifier.
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
use std::process::Command;
use std::sync::OnceLock;

use common::{identity, open, open_with, options, record};
use vouchsafe_access_log::Filter;
use vouchsafe_core::TenantId;
use vouchsafe_testkit::runs;

/// The example itself, as its user builds it.
fn verifier() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        // target/debug/deps/verifier-…
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "vouchsafe-ledger", "--example", "verify"])
            .arg("--target-dir")
            .arg(target)
            .status();
        assert!(status.unwrap().success());
        target.join("debug/examples/verify")
    };
    BUILT.get_or_init(build).clone()
}

fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(verifier()).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn three_exit_statuses_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ledger = open(&folder.path().join("log")).unwrap();
    for number in 0..300 {
        ledger.append(record("acme", number)).wait().unwrap();
    }
    let mut export = Vec::new();
    ledger.export(&Filter::tenant(TenantId::new("acme").unwrap()), &mut export).unwrap();
    let head = ledger.head().unwrap();
    drop(ledger);
    std::fs::write(at("export"), &export).unwrap();
    std::fs::write(at("key"), [2; 32]).unwrap();
    std::fs::write(at("wrong"), [3; 32]).unwrap();
    std::fs::write(at("head"), head.as_str()).unwrap();
    let log = identity().to_string();
    let (dir, file, key, kept) = (at("log"), at("export"), at("key"), at("head"));

    let (code, text) = run(&[&file, "--log", &log, "--tenant", "acme"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("verified: 300 records"), "{text}");
    let (code, text) =
        run(&[&dir, "--log", &log, "--sealing-key", &key, "--head", &kept, "--json"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("{\"status\":\"verified\",\"records\":300,"), "{text}");

    export[1_000] ^= 1;
    std::fs::write(at("export"), &export).unwrap();
    let (code, text) = run(&[&file, "--log", &log, "--tenant", "acme", "--json"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("{\"status\":\"bad\",\"error\":\"line 2 of the export"), "{text}");
    let (code, text) = run(&[&dir, "--log", &log, "--sealing-key", &at("wrong")]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("corrupt at record 0"), "{text}");

    for unusable in [
        &[] as &[&str],
        &[dir.as_str()],
        &[dir.as_str(), "--log", "nonsense"],
        &[&at("none"), "--log", &log, "--tenant", "acme"],
        &[&dir, "--log", &log, "--sealing-key", &kept],
        &[&dir, "--log", &log, "--unknown"],
    ] {
        let (code, text) = run(unusable);
        assert_eq!(code, 2, "{text}");
        assert!(!text.is_empty());
    }
}

/// What the verifier of a log of so many records needed at its peak, in bytes.
fn peak(folder: &Path, records: u64) -> i64 {
    let dir = folder.join(records.to_string());
    let ledger = open_with(&dir, options().segment_bytes(1 << 20)).unwrap();
    for first in (0..records).step_by(1_000) {
        let appends: Vec<_> =
            (first..records.min(first + 1_000)).map(|n| ledger.append(record("acme", n))).collect();
        appends.into_iter().for_each(|append| assert!(append.wait().is_ok()));
    }
    drop(ledger);
    let key = folder.join("key");
    std::fs::write(&key, [2; 32]).unwrap();
    let (log, dir, key) = (identity().to_string(), dir.to_str().unwrap(), key.to_str().unwrap());
    let (code, text) = run(&[dir, "--log", &log, "--sealing-key", key, "--json"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("\"records\":{records},")), "{text}");
    let rest = text.split_once("\"peak_memory_bytes\":").unwrap().1;
    rest.split_once(',').unwrap().0.parse().unwrap()
}

/// Beside one segment, the verifier holds the tree: a few hashes for each bundle of 256 entries.
#[test]
fn memory_hardly_grows_with_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (few, many) = (runs(10_000, 100_000) as u64, runs(100_000, 1_000_000) as u64);
    let (small, large) = (peak(folder.path(), few), peak(folder.path(), many));
    let each = (large - small) as f64 / (many - few) as f64;
    println!("peak {small} bytes at {few} records, {large} at {many}: {each:.2} bytes a record");
    // Half a byte by design; the rest is how coarsely the kernel counts pages (64 a processor).
    assert!(each <= 8.0, "{each:.2} bytes a record");
}
