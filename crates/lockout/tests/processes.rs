//! Several processes on one SQLite file, and one that is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use common::*;
use vouchsafe_core::{ChargeId, NotMatched};
use vouchsafe_lockout::{Begin, LockoutEvent, LockoutVerdict as V};
use vouchsafe_store::drive;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{ChildTest, SeededEntropy, block_on, runs};

const FILE: &str = "VOUCHSAFE_LOCKOUT_FILE";
const SEED: &str = "VOUCHSAFE_LOCKOUT_SEED";
const GUESSES: &str = "VOUCHSAFE_LOCKOUT_GUESSES";

fn send(store: &SqliteStore, entropy: &SeededEntropy, event: LockoutEvent) -> V {
    let key = event.cell();
    block_on(drive(store, entropy, key, &five_a_day(), event, START)).unwrap()
}

/// Guesses until told to stop; says each time it hashes.
fn guess(file: &Path, seed: u64, guesses: usize) -> usize {
    let store =
        SqliteStore::builder(file).deadline(std::time::Duration::from_secs(60)).open().unwrap();
    let entropy = SeededEntropy::new(seed << 32);
    let mut hashed = 0;
    for _ in 0..guesses {
        let begin = Begin::new(ACCOUNT, ChargeId::new(entropy.next()));
        if let V::Admitted(charged) = send(&store, &entropy, LockoutEvent::Begin(begin)) {
            hashed += 1;
            if hashed % 2 == 0 {
                send(&store, &entropy, LockoutEvent::NotMatched(NotMatched::assertion(charged)));
            }
        }
    }
    hashed
}

/// What a child runs: this same test, told by its environment where to guess.
///
/// On its own it guesses alone, on a file of its own.
#[test]
fn guesser() {
    let Some(file) = std::env::var_os(FILE) else {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(guess(&folder.path().join("lockout.db"), 1, 100), 5);
        return;
    };
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    // The parent starts all children before it lets any of them go.
    ChildTest::say("ready");
    ChildTest::wait();
    let hashed = guess(file.as_ref(), number(SEED), number(GUESSES) as usize);
    ChildTest::say(&format!("hashed {hashed}"));
    // Only a parent that wants it alive keeps the pipe open.
    ChildTest::wait();
}

fn start(file: &Path, seed: u64, guesses: usize) -> ChildTest {
    let (seed, guesses) = (seed.to_string(), guesses.to_string());
    let mut child =
        ChildTest::start("guesser", &[(FILE, &file), (SEED, &seed), (GUESSES, &guesses)]);
    child.line("ready");
    child
}

#[test]
fn four_processes_hash_five_guesses_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockout.db");
    drop(SqliteStore::builder(&file).deadline(std::time::Duration::from_secs(60)).open().unwrap());
    let each = runs(500, 2_500);
    let mut children: Vec<ChildTest> = (1..=4).map(|seed| start(&file, seed, each)).collect();
    children.iter_mut().for_each(ChildTest::tell);
    let hashed: usize = children.iter_mut().map(|child| child.number("hashed")).sum();
    assert_eq!(hashed, 5);
    children.into_iter().for_each(ChildTest::finish);
}

#[test]
fn sigkill_between_begin_and_settle_keeps_the_charge() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockout.db");
    for round in 1..=5 {
        // One guess, charged and never settled, then killed.
        let mut child = start(&file, round, 1);
        child.tell();
        assert_eq!(child.number("hashed"), 1, "round {round}");
        assert_eq!(child.kill().signal(), Some(libc::SIGKILL));
    }
    // After the restart nothing is left, and nothing is waited for once D has passed.
    let (store, entropy) = (
        SqliteStore::builder(&file).deadline(std::time::Duration::from_secs(60)).open().unwrap(),
        SeededEntropy::new(0),
    );
    let attempt = |now| {
        let event = LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(entropy.next())));
        let key = event.cell();
        block_on(drive(&store, &entropy, key, &five_a_day(), event, now)).unwrap()
    };
    assert!(matches!(attempt(START), V::Wait { .. }));
    let due = START.after(std::time::Duration::from_secs(10));
    assert!(matches!(attempt(due), V::Locked { lock, .. } if lock.until == Some(START.after(DAY))));
    assert!(matches!(attempt(START.after(DAY)), V::Admitted(_)));
}
