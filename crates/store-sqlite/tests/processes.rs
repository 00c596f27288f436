//! What was acknowledged survives `kill -9`, and several processes may share the file.
//!
//! Each test starts this same binary again, to run the same test as a child.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vouchsafe_core::{Cell, CellKey, Entropy, Space, Timestamp};
use vouchsafe_crypto::SystemEntropy;
use vouchsafe_store::{Cells, Put, StoreError, Swap, Undelivered, Version, drive};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, Tallied, Tally, TallyEvent, block_on, runs};

const FILE: &str = "VOUCHSAFE_STORE_CHILD";
const NUMBER: &str = "VOUCHSAFE_STORE_CHILD_NUMBER";
const KEY: CellKey = CellKey::new(Space::System, [7; 16]);

/// Runs `test` of this binary again, with `file` as its file. The child speaks on its stderr,
/// which the test harness leaves alone.
fn start(test: &str, file: &Path, number: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env(NUMBER, number.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Patient: the machine that runs the tests may be busy.
fn open(file: &Path) -> SqliteStore {
    SqliteStore::builder(file).deadline(Duration::from_secs(60)).open().unwrap()
}

/// In a child: which file, and the how-manieth child it is.
fn child() -> Option<(PathBuf, u64)> {
    let file = std::env::var_os(FILE)?;
    Some((file.into(), std::env::var(NUMBER).unwrap().parse().unwrap()))
}

fn cell(thread: u64, slot: u64) -> CellKey {
    CellKey::new(Space::Account, (u128::from(thread) << 64 | u128::from(slot)).to_be_bytes())
}

fn value(store: &SqliteStore, key: CellKey) -> Option<(u64, Version)> {
    let cell = block_on(store.load(key)).unwrap().cell?;
    // The number, and padding that would show a torn write.
    let number = u64::from_le_bytes(cell.bytes[..8].try_into().unwrap());
    assert!(cell.bytes[8..].iter().all(|byte| *byte == cell.bytes[0]), "a torn value");
    Some((number, cell.version))
}

/// Four threads count their cells up, and say so after each acknowledged swap.
fn count_up(file: &Path, seed: u64) {
    let store = open(file);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let random = SeededEntropy::new(seed * 4 + thread);
                loop {
                    let key = cell(thread, random.below(8));
                    let was = value(store, key);
                    let next = was.map_or(1, |(number, _)| number + 1);
                    let mut bytes = next.to_le_bytes().to_vec();
                    bytes.resize(8 + usize::try_from(random.below(6000)).unwrap(), bytes[0]);
                    let to = Version::new(SystemEntropy::new().bytes().unwrap());
                    let put = Put::save(bytes, Timestamp::MAX, to);
                    let was = was.map(|(_, version)| version);
                    assert_eq!(block_on(store.swap(key, was, put)).unwrap(), Swap::Done);
                    let slot = key.digest[15];
                    // One write a line, which a kill cannot cut: `writeln!` would make several.
                    let said = format!("ack {thread} {slot} {next}\n");
                    std::io::stderr().lock().write_all(said.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn kill_9_loses_no_acknowledged_swap() {
    if let Some((file, number)) = child() {
        return count_up(&file, number);
    }
    let random = SeededEntropy::new(1);
    let mut folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<CellKey, u64> = BTreeMap::new();
    let mut total = 0;
    for run in 0..u64::try_from(runs(50, 1000)).unwrap() {
        if run % 10 == 0 {
            // A new file now and then, so that some are killed while they make it.
            folder = tempfile::tempdir().unwrap();
            acknowledged.clear();
        }
        let file = folder.path().join("cells.db");
        let mut child = start("kill_9_loses_no_acknowledged_swap", &file, run);
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        // After so many acknowledgements, which is at some moment of the next transaction.
        let kill_after = random.below(60);
        let mut acks = 0;
        loop {
            if acks == kill_after {
                child.kill().unwrap();
            }
            // What the pipe still held when it was killed counts.
            line.clear();
            if lines.read_line(&mut line).unwrap() == 0 {
                break;
            }
            let said = line.strip_suffix('\n').unwrap_or_else(|| panic!("cut short: {line}"));
            let words: Vec<&str> = said.split(' ').collect();
            let ["ack", thread, slot, number] = words[..] else { panic!("child: {line}") };
            let key = cell(thread.parse().unwrap(), slot.parse().unwrap());
            acknowledged.insert(key, number.parse().unwrap());
            acks += 1;
        }
        child.wait().unwrap();
        total += acks;
        let store = open(&file);
        for thread in 0..4 {
            for slot in 0..8 {
                let key = cell(thread, slot);
                let there = value(&store, key).map_or(0, |(number, _)| number);
                let acknowledged = acknowledged.get(&key).copied().unwrap_or(0);
                // One more swap may have been done and not yet said.
                assert!(
                    there == acknowledged || there == acknowledged + 1,
                    "run {run}: {there} there, {acknowledged} acknowledged"
                );
            }
        }
        for key in block_on(store.scan(Space::Account, None, 100)).unwrap() {
            acknowledged.insert(key, value(&store, key).unwrap().0);
        }
    }
    assert!(total > 0, "nothing was ever acknowledged");
}

#[test]
fn four_processes_lose_no_event() {
    let each = u64::try_from(runs(60, 2000)).unwrap();
    if let Some((file, number)) = child() {
        let store = open(&file);
        let entropy = SystemEntropy::new();
        for round in 0..each {
            let mut event = TallyEvent::Add(number * each + round);
            loop {
                let driven = drive(&store, &entropy, KEY, &Tally, event, Timestamp::EPOCH);
                match block_on(driven) {
                    Ok(_) => break,
                    Err(Undelivered { error: StoreError::Contended { .. }, event: back }) => {
                        event = back;
                    }
                    Err(undelivered) => panic!("{}", undelivered.error),
                }
            }
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // All four make the file at once.
    let file = folder.path().join("cells.db");
    let children: Vec<Child> =
        (0..4).map(|number| start("four_processes_lose_no_event", &file, number)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let store = open(&file);
    let bytes = block_on(store.load(KEY)).unwrap().cell.unwrap().bytes;
    let mut ids = Tallied::from_bytes(bytes).unwrap().ids;
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..4 * each), "lost or doubled");
}
