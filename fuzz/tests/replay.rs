//! The bodies over the kept inputs, and over damaged copies of them.

use std::fs;
use std::path::{Path, PathBuf};

use vouchsafe_fuzz::{Body, TARGETS};

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Bodies that make files or hash: fewer damaged copies.
const SLOW: [&str; 4] = ["envelope_keyring", "ledger_files", "policy_document", "sqlite_file"];

fn replay(target: &str, body: Body) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let copies = if SLOW.contains(&target) { 12 } else { 400 };
    body(b"");
    for (_, seed) in &seeds {
        body(seed);
        let step = (seed.len() / copies).max(1);
        for at in (0..seed.len()).step_by(step) {
            body(&seed[..at]);
            for bits in [0x01, 0x80, 0xFF] {
                let mut damaged = seed.clone();
                damaged[at] ^= bits;
                body(&damaged);
            }
        }
    }
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), vouchsafe_fuzz::$target);
            }
        )*

        #[test]
        fn every_target_is_replayed_and_has_a_program() {
            let listed: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(listed, [$(stringify!($target)),*]);
            let manifest = include_str!("../Cargo.toml");
            for name in listed {
                let program = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
                assert!(manifest.contains(&program), "{name}");
            }
        }
    };
}

targets! {
    access_log_record
    core_clause
    core_ids
    core_prefix
    core_source
    envelope_edits
    envelope_keyring
    envelope_object
    ledger_files
    ledger_note
    lockout_state
    password_record
    password_state
    policy_document
    session_cookie
    session_links
    session_state
    session_token
    sqlite_file
}
