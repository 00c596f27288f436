//! FA-1: what is minted, and where.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each place of the workspace's libraries that mints a proof, and how many times it does.
const MINTS: &[(&str, &str, usize)] = &[
    // What an unanswered beginning is taken back with.
    ("lockout/src/event.rs", "Charged::assertion", 1),
    ("lockout/src/event.rs", "NotVerified::assertion", 1),
    ("lockout/src/machine.rs", "Authenticated::assertion", 1),
    ("lockout/src/machine.rs", "ChangeOnly::assertion", 1),
    ("lockout/src/machine.rs", "Charged::assertion", 1),
    ("password/src/job.rs", "Matched::assertion", 1),
    ("password/src/job.rs", "NotMatched::assertion", 1),
    ("password/src/verify.rs", "NotVerified::assertion", 1),
    // The door of this machine's own compares a code.
    ("vouchsafe/src/gate/break_glass.rs", "Matched::assertion", 1),
    ("vouchsafe/src/gate/break_glass.rs", "NotMatched::assertion", 1),
    // The door that takes one-time links compares a secret of its own.
    ("vouchsafe/src/gate/links.rs", "Matched::assertion", 1),
    ("vouchsafe/src/gate/links.rs", "OwnerPresent::assertion", 1),
    // A password that was not looked at.
    ("vouchsafe/src/gate/signin.rs", "NotVerified::assertion", 1),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names that assertions of this line are called on, as in `Charged::assertion`.
fn minted(line: &str) -> Vec<String> {
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let calls = line.match_indices("::assertion(").map(|(at, _)| &line[..at]);
    calls
        .map(|before| {
            let name: Vec<char> = before.chars().rev().take_while(is_name).collect();
            let name: String = name.into_iter().rev().collect();
            format!("{name}::assertion")
        })
        .collect()
}

#[test]
fn proofs_are_minted_where_this_list_says_and_nowhere_else() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for package in std::fs::read_dir(crates).unwrap() {
        let package = package.unwrap().path();
        let name = package.file_name().unwrap().to_string_lossy().into_owned();
        if !["core", "testkit", "xtask"].contains(&name.as_str()) && package.join("src").is_dir() {
            sources(&package.join("src"), &mut files);
        }
    }
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let place = file.strip_prefix(crates).unwrap().to_string_lossy().into_owned();
        if place.contains("/tests") {
            continue;
        }
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for name in minted(line) {
                *found.entry((place.clone(), name)).or_default() += 1;
            }
        }
    }
    let expected: BTreeMap<_, _> = MINTS
        .iter()
        .map(|(place, name, times)| (((*place).to_owned(), (*name).to_owned()), *times))
        .collect();
    assert_eq!(found, expected);
}
