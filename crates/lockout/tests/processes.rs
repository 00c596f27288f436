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

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::*;
use vouchsafe_core::{ChargeId, NotMatched};
use vouchsafe_lockout::{Begin, LockoutEvent, LockoutVerdict as V};
use vouchsafe_store::drive;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, block_on, runs};

const FILE: &str = "VOUCHSAFE_LOCKOUT_FILE";
const SEED: &str = "VOUCHSAFE_LOCKOUT_SEED";
const GUESSES: &str = "VOUCHSAFE_LOCKOUT_GUESSES";

fn send(store: &SqliteStore, entropy: &SeededEntropy, event: LockoutEvent) -> V {
    let key = event.cell();
    block_on(drive(store, entropy, key, &five_a_day(), event, START)).unwrap()
}

/// Guesses until told to stop; says each time it hashes.
fn guess(file: &Path, seed: u64, guesses: usize) -> usize {
    let store = SqliteStore::open(file).unwrap();
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
    println!("\nready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let hashed = guess(file.as_ref(), number(SEED), number(GUESSES) as usize);
    println!("\nhashed {hashed}");
    // Only a parent that wants it alive keeps the pipe open.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

struct Guesser {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Guesser {
    fn start(file: &Path, seed: u64, guesses: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "guesser", "--nocapture", "--test-threads=1"])
            .env(FILE, file)
            .env(SEED, seed.to_string())
            .env(GUESSES, guesses.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut guesser = Self { child, lines };
        guesser.line("ready");
        guesser
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// The rest of the next line that begins so.
    fn line(&mut self, begins: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the child ended early");
            if let Some(rest) = line.strip_prefix(begins) {
                return rest.trim().to_owned();
            }
        }
    }

    fn hashed(&mut self) -> usize {
        self.line("hashed").parse().unwrap()
    }

    fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn four_processes_hash_five_guesses_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockout.db");
    drop(SqliteStore::open(&file).unwrap());
    let each = runs(500, 2_500);
    let mut children: Vec<Guesser> =
        (1..=4).map(|seed| Guesser::start(&file, seed, each)).collect();
    for child in &mut children {
        child.go();
    }
    let hashed: usize = children.iter_mut().map(Guesser::hashed).sum();
    assert_eq!(hashed, 5);
    children.into_iter().for_each(Guesser::finish);
}

#[test]
fn sigkill_between_begin_and_settle_keeps_the_charge() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockout.db");
    for round in 1..=5 {
        // One guess, charged and never settled, then killed.
        let mut child = Guesser::start(&file, round, 1);
        child.go();
        assert_eq!(child.hashed(), 1, "round {round}");
        let id = libc::pid_t::try_from(child.child.id()).unwrap();
        assert!(child.child.kill().is_ok(), "kill {id}");
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
    // After the restart nothing is left, and nothing is waited for once D has passed.
    let (store, entropy) = (SqliteStore::open(&file).unwrap(), SeededEntropy::new(0));
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
