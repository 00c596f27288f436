//! Several nodes on one PostgreSQL database, whose clocks differ, and whose server stops.
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
use std::process::{Child, Stdio};
use std::time::Duration;

use common::*;
use vouchsafe_core::{ChargeId, NotMatched, Timestamp};
use vouchsafe_lockout::{Begin, Lock, LockoutEvent, LockoutVerdict as V};
use vouchsafe_store::{Cells, StoreError, drive};
use vouchsafe_store_postgres::PostgresStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{ChildTest, PostgresServer, SeededEntropy, block_on, runs};

const URL: &str = "VOUCHSAFE_LOCKOUT_URL";
const SCHEMA: &str = "VOUCHSAFE_LOCKOUT_SCHEMA";
const SEED: &str = "VOUCHSAFE_LOCKOUT_SEED";
const GUESSES: &str = "VOUCHSAFE_LOCKOUT_GUESSES";

fn open(url: &str, schema: &str) -> PostgresStore {
    let options = PostgresStore::builder(url.parse().unwrap()).schema(schema).connections(2);
    // All the time there is, and a server that does not sync: what is shown here is the counting.
    let patient = Duration::from_secs(60);
    let options = options.deadline(patient).connect_timeout(patient).danger_accept_unsynced();
    block_on(options.open()).unwrap()
}

fn send(cells: &impl Cells, entropy: &SeededEntropy, event: LockoutEvent, now: Timestamp) -> V {
    let key = event.cell();
    block_on(drive(cells, entropy, key, &five_a_day(), event, now)).unwrap()
}

fn attempt(cells: &impl Cells, entropy: &SeededEntropy, now: Timestamp) -> V {
    let begin = Begin::new(ACCOUNT, ChargeId::new(entropy.next()));
    send(cells, entropy, LockoutEvent::Begin(begin), now)
}

/// One wrong guess; whether it was hashed.
fn guess(cells: &impl Cells, entropy: &SeededEntropy, now: Timestamp) -> bool {
    let V::Admitted(charged) = attempt(cells, entropy, now) else { return false };
    send(cells, entropy, LockoutEvent::NotMatched(NotMatched::assertion(charged)), now);
    true
}

/// What a child runs: this same test, told by its environment where to guess.
///
/// On its own it guesses alone.
#[test]
fn guesser() {
    let Ok(url) = std::env::var(URL) else {
        let server = PostgresServer::shared();
        let store = open(&server.url(), &server.fresh_schema());
        let entropy = SeededEntropy::new(1);
        assert_eq!((0..100).filter(|_| guess(&store, &entropy, START)).count(), 5);
        return;
    };
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let store = open(&url, &std::env::var(SCHEMA).unwrap());
    let entropy = SeededEntropy::new(number(SEED) << 32);
    ChildTest::say("ready");
    ChildTest::wait();
    // Each node has another idea of what time it is.
    let now = START.after(DAY * u32::try_from(number(SEED)).unwrap());
    let hashed = (0..number(GUESSES)).filter(|_| guess(&store, &entropy, now)).count();
    ChildTest::say(&format!("hashed {hashed}"));
}

#[test]
fn four_processes_hash_five_guesses_together() {
    let server = PostgresServer::shared();
    let schema = server.fresh_schema();
    let (url, each) = (server.url(), runs(500, 2_500).to_string());
    let start = |seed: i32| {
        let seed = seed.to_string();
        let variables: [(_, &dyn AsRef<_>); 4] =
            [(URL, &url), (SCHEMA, &schema), (SEED, &seed), (GUESSES, &each)];
        let mut child = ChildTest::start("guesser", &variables);
        child.line("ready");
        child
    };
    let mut children: Vec<ChildTest> = (1..=4).map(start).collect();
    children.iter_mut().for_each(ChildTest::tell);
    assert_eq!(children.iter_mut().map(|child| child.number("hashed")).sum::<usize>(), 5);
    children.into_iter().for_each(ChildTest::finish);
}

#[test]
fn the_servers_time_wins_over_a_skewed_nodes() {
    let server = PostgresServer::shared();
    let entropy = SeededEntropy::new(1);
    // A node that is years behind, and one that is years ahead.
    let (slow, fast) = (Timestamp::EPOCH, START.after(DAY * 20_000));
    for (locks, asks) in [(slow, fast), (fast, slow)] {
        let store = open(&server.url(), &server.fresh_schema());
        assert_eq!((0..20).filter(|_| guess(&store, &entropy, locks)).count(), 5);
        let before = block_on(store.load(LockoutEvent::cell(&begin(1)))).unwrap().time.unwrap();
        let V::Locked { lock: Lock { until: Some(until), .. }, .. } =
            attempt(&store, &entropy, asks)
        else {
            panic!("let in by a clock that is wrong")
        };
        assert!(until <= before.after(DAY) && until > before.after(DAY - HOUR), "{until}");
    }
}

#[test]
fn a_paused_server_admits_nobody_and_keeps_its_count() {
    let server = PostgresServer::start();
    let options = PostgresStore::builder(server.url().parse().unwrap());
    let store = block_on(options.connect_timeout(Duration::from_secs(60)).open()).unwrap();
    let patient = open(&server.url(), "public");
    let entropy = SeededEntropy::new(1);
    assert_eq!((0..4).filter(|_| guess(&patient, &entropy, START)).count(), 4);
    server.pause();
    for id in 100..110 {
        let (event, key) = (begin(id), begin(id).cell());
        let refused = block_on(drive(&store, &entropy, key, &five_a_day(), event, START));
        assert!(matches!(refused.unwrap_err().error, StoreError::Unavailable(_)));
    }
    server.resume();
    let key = begin(1).cell();
    assert!(eventually(|| block_on(store.load(key)).is_ok()));
    // None of the ten got as far as a swap, so one charge is left.
    assert_eq!((0..10).filter(|_| guess(&patient, &entropy, START)).count(), 1);
}

#[test]
fn a_hosts_rollback_keeps_the_charge_on_postgres() {
    let server = PostgresServer::shared();
    let schema = server.fresh_schema();
    let store = open(&server.url(), &schema);
    let mut psql = server.psql_command("vouchsafe");
    let mut host = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let say = |host: &mut Child, text: &str| {
        host.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    };
    say(&mut host, &format!("BEGIN; CREATE TABLE {schema}.users (name text);\n"));
    say(&mut host, &format!("INSERT INTO {schema}.users VALUES ('ada') RETURNING name;\n"));
    let mut row = String::new();
    BufReader::new(host.stdout.take().unwrap()).read_line(&mut row).unwrap();
    assert_eq!(row, "ada\n");
    let entropy = SeededEntropy::new(1);
    assert!(matches!(attempt(&store, &entropy, START), V::Admitted(_)));
    say(&mut host, "ROLLBACK;\n");
    drop(host.stdin.take());
    assert!(host.wait().unwrap().success());
    assert_eq!(server.psql(&format!("SELECT to_regclass('{schema}.users') IS NULL")), "t");
    // One of the five is spent.
    assert_eq!((0..10).filter(|_| guess(&store, &entropy, START)).count(), 4);
}

#[test]
fn a_hosts_rollback_keeps_the_charge_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockout.db");
    let store = SqliteStore::builder(&file).deadline(Duration::from_secs(60)).open().unwrap();
    // The host's tables are in the same file, and its transaction has read them.
    let host = rusqlite::Connection::open(&file).unwrap();
    host.execute_batch("CREATE TABLE users (name); BEGIN").unwrap();
    let users = |host: &rusqlite::Connection| -> i64 {
        host.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(users(&host), 0);
    let entropy = SeededEntropy::new(1);
    assert!(matches!(attempt(&store, &entropy, START), V::Admitted(_)));
    host.execute_batch("ROLLBACK").unwrap();
    // And one that writes, right after the charge.
    assert!(matches!(attempt(&store, &entropy, START), V::Admitted(_)));
    host.execute_batch("BEGIN IMMEDIATE; INSERT INTO users VALUES ('ada'); ROLLBACK").unwrap();
    assert_eq!(users(&host), 0);
    // Two of the five are spent.
    assert_eq!((0..10).filter(|_| guess(&store, &entropy, START)).count(), 3);
}
