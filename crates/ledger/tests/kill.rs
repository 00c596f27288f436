//! LG-8: a process that is killed loses nothing it was given a receipt for.
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

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use base64ct::{Base64, Encoding};
use common::{check, open, record};
use vouchsafe_access_log::Filter;
use vouchsafe_core::TenantId;
use vouchsafe_testkit::{SeededEntropy, runs};

/// The child: appends from four threads, and reports each receipt through a pipe.
#[test]
fn child_appends_until_killed() {
    let Some(dir) = std::env::var_os("VOUCHSAFE_LEDGER_CHILD") else { return };
    let ledger = open(std::path::Path::new(&dir)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0.. {
                    let id = thread << 32 | number;
                    let receipt = ledger.append(record("acme", id)).wait().unwrap();
                    let leaf = receipt.leaf().unwrap();
                    let leaf: String = leaf.iter().map(|byte| format!("{byte:02x}")).collect();
                    // One write a line: a line that arrived is whole.
                    let line = format!("receipt {} {leaf}\n", receipt.index());
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn killed_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let random = SeededEntropy::new(8);
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for round in 0..runs(50, 1_000) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends_until_killed", "--nocapture", "--test-threads=1"])
            .env("VOUCHSAFE_LEDGER_CHILD", &dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Killed after a random number of receipts, so somewhere inside a later group.
        let mut wanted = 1 + random.below(40);
        let mut line = String::new();
        while wanted > 0 && lines.read_line(&mut line).unwrap() > 0 {
            wanted -= u64::from(push_receipt(&line, &mut acknowledged));
            line.clear();
        }
        assert_eq!(wanted, 0, "the child ended by itself in round {round}");
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        rest.split_inclusive('\n').for_each(|line| {
            push_receipt(line, &mut acknowledged);
        });
        let size = check(&dir).unwrap().head.unwrap().size();
        let last = acknowledged.iter().map(|(index, _)| *index).max().unwrap();
        assert!(last < size, "record {last} was acknowledged, and the log has {size}");
    }
    // Each receipt's leaf is still the one at its index.
    let ledger = open(&dir).unwrap();
    let mut export = Vec::new();
    ledger.export(&Filter::tenant(TenantId::new("acme").unwrap()), &mut export).unwrap();
    let mut leaves = std::collections::HashMap::new();
    for line in String::from_utf8(export).unwrap().lines() {
        let Some(rest) = line.strip_prefix("{\"index\":") else { continue };
        let (index, rest) = rest.split_once(",\"entry\":\"").unwrap();
        let entry = Base64::decode_vec(rest.split_once('"').unwrap().0).unwrap();
        let leaf: String =
            vouchsafe_ledger::leaf_hash(&entry).iter().map(|b| format!("{b:02x}")).collect();
        leaves.insert(index.parse::<u64>().unwrap(), leaf);
    }
    assert!(acknowledged.len() >= runs(50, 1_000));
    for (index, leaf) in &acknowledged {
        assert_eq!(leaves.get(index), Some(leaf), "record {index}");
    }
}

fn push_receipt(line: &str, acknowledged: &mut Vec<(u64, String)>) -> bool {
    let Some((_, receipt)) = line.split_once("receipt ") else { return false };
    let Some((index, leaf)) = receipt.split_once(' ') else { return false };
    if !leaf.ends_with('\n') {
        return false;
    }
    acknowledged.push((index.parse().unwrap(), leaf.trim_end().to_owned()));
    true
}
