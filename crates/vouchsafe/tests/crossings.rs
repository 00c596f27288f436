//! LK-21, LK-15: locks and alarms are announced once, whatever crashes in between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use vouchsafe::access_log::{
    Operation, Receipt, Record, RecordSink, SinkError, Target, VecSink, name,
};
use vouchsafe::core::{SecretString, TenantId};
use vouchsafe::envelope::{Cost, Keyring, Unlock};
use vouchsafe::gate::{Code, GateBuilder, Login, Refused};
use vouchsafe::lockout::Reason;
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{ChildTest, Fault, FaultyStore, TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const WRONG: &str = "Wrong-Guess9";
/// However crowded the machine is.
const PATIENT: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn policy(fields: &[(&str, &str)]) -> (TenantId, Policy) {
    let mut text = Policy::preset("zoomph-2018").unwrap().to_toml();
    for (was, is) in fields {
        assert!(text.contains(was), "{was} in {text}");
        text = text.replace(was, is);
    }
    (TestGate::tenant(), Policy::parse(&text, "test").unwrap())
}

fn memory() -> MemoryStore {
    MemoryStore::new(1 << 24)
}

fn refused(login: Login) -> Refused {
    match login {
        Login::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn wrong(gate: &TestGate, name: &str) -> Code {
    refused(block_on(gate.login(name, WRONG))).code()
}

/// Kind, number and owner of each lock that these records announce.
fn locks(records: &[Record]) -> Vec<(String, String, String)> {
    let lock = |record: &Record| match (&record.operation, &record.target) {
        (Operation::Locked | Operation::Disabled, Target::Entity { kind, id }) => {
            assert_eq!(record.repeats.get(), 1);
            let (id, whose) = id.as_str().split_once("  ").unwrap();
            Some((kind.as_str().to_owned(), id.to_owned(), whose.to_owned()))
        }
        (Operation::Locked | Operation::Disabled, target) => panic!("{target:?}"),
        _ => None,
    };
    records.iter().filter_map(lock).collect()
}

fn ids(locks: &[(String, String, String)]) -> BTreeSet<&str> {
    locks.iter().map(|(_, id, _)| id.as_str()).collect()
}

#[test]
fn a_lock_is_announced_once_and_each_has_its_own_number() {
    let gate = block_on(TestGate::over(policy(&[]), memory(), |gate| gate)).unwrap();
    gate.add("ada", "staff", PASSWORD);
    let mut all = Vec::new();
    for day in 0..3 {
        let _ = gate.recorded();
        let codes: Vec<_> = (0..40)
            .map(|_| {
                // Longer than anybody may take to announce it.
                gate.clock.advance(Duration::from_secs(30));
                wrong(&gate, "ada")
            })
            .collect();
        assert_eq!(codes.iter().filter(|code| **code == Code::WrongCredentials).count(), 5);
        gate.clock.advance(Duration::from_secs(60));
        block_on(gate.gate.upkeep());
        let records = gate.recorded();
        // Each attempt is in one record, be it the lock's.
        assert_eq!(records.iter().map(|record| record.repeats.get()).sum::<u32>(), 40);
        let locks = locks(&records);
        assert_eq!(locks.len(), 1, "day {day}: {locks:?}");
        assert_eq!((locks[0].0.as_str(), locks[0].2.as_str()), ("lock", "u-ada"));
        all.extend(locks);
        gate.clock.advance(DAY);
    }
    assert_eq!(ids(&all).len(), 3);
    // An unlock is a record of its own, once.
    for _ in 0..5 {
        wrong(&gate, "ada");
    }
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let _ = gate.recorded();
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    block_on(operator.unlock(&vouchsafe::core::UserId::new("u-ada").unwrap())).unwrap();
    let unlocked: Vec<_> = gate.recorded().iter().map(|record| record.operation).collect();
    assert_eq!(unlocked, [Operation::Unlocked]);
}

/// A flood on many accounts is as many records as locks: the lockout bounds them.
#[test]
fn a_flood_is_as_many_announcements_as_locks() {
    let gate = block_on(TestGate::over(policy(&[]), memory(), |gate| gate)).unwrap();
    for account in 0..25 {
        for _ in 0..10 {
            wrong(&gate, &format!("nobody-{account}"));
        }
    }
    block_on(gate.gate.upkeep());
    let records = gate.recorded();
    let locks = locks(&records);
    assert_eq!((locks.len(), ids(&locks).len()), (25, 25));
    assert!(records.len() < 25 * 8, "{} records", records.len());
}

/// LK-8 through the gate: the run's two ends are refusals of their own inside, and look locked.
#[test]
fn the_end_of_a_run_is_announced_and_looks_locked() {
    let fields = [
        ("devices = \"none\"", "devices = { counters = 4, valid_for = \"180d\" }"),
        (
            "consecutive = \"none\"",
            "consecutive = { disable_at = 10, devices_only_from = 8, memory = \"90d\" }",
        ),
    ];
    let gate = block_on(TestGate::over(policy(&fields), memory(), |gate| gate)).unwrap();
    gate.add("ada", "staff", PASSWORD);
    let cookie = gate.sign_in("ada", PASSWORD).device().unwrap().expose().to_owned();
    let known = |password: &str| {
        let mut attempt = TestGate::attempt("ada");
        attempt.call = TestGate::call().with_device(Some(cookie.clone()));
        refused(block_on(gate.gate.login(&attempt, SecretString::new(password.to_owned()))))
    };
    let _ = gate.recorded();
    for day in 0..2 {
        for _ in 0..4 {
            assert_eq!(wrong(&gate, "ada"), Code::WrongCredentials, "day {day}");
        }
        gate.clock.advance(DAY);
    }
    let stranger = refused(block_on(gate.login("ada", PASSWORD)));
    assert_eq!(stranger.code(), Code::DisabledByFailures);
    assert_eq!(stranger.message(), Code::Locked.message());
    // The device has what is left.
    assert_eq!(known(WRONG).code(), Code::WrongCredentials);
    assert_eq!(known(WRONG).code(), Code::WrongCredentials);
    assert_eq!(known(PASSWORD).code(), Code::DisabledByFailures);
    for _ in 0..10 {
        gate.clock.advance(Duration::from_secs(60));
        assert_eq!(wrong(&gate, "ada"), Code::DisabledByFailures);
    }
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let ada = vouchsafe::core::UserId::new("u-ada").unwrap();
    assert_eq!(block_on(operator.lock(&ada)).unwrap().unwrap().reason, Reason::Consecutive);
    let records = gate.recorded();
    let kinds: Vec<_> = locks(&records).into_iter().map(|(kind, _, _)| kind).collect();
    assert_eq!(kinds, ["lock.strangers", "lock.everybody"]);
    // An administrator lifts it, and the run begins anew.
    block_on(operator.unlock(&ada)).unwrap();
    let _ = gate.sign_in("ada", PASSWORD);
}

/// While the log is down the lock waits for it, and is announced once.
#[test]
fn a_log_that_was_down_hears_of_it_once() {
    let (records, down) = (VecSink::new(1 << 16), Arc::new(AtomicBool::new(false)));
    let sink = Failing { records: records.clone(), down: Arc::clone(&down) };
    let gate = TestGate::recording(policy(&[]), memory(), sink, records, |gate| gate);
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..4 {
        wrong(&gate, "ada");
    }
    let _ = gate.recorded();
    down.store(true, Ordering::SeqCst);
    assert_eq!(wrong(&gate, "ada"), Code::LogUnavailable);
    for _ in 0..3 {
        gate.clock.advance(Duration::from_secs(30));
        wrong(&gate, "ada");
        block_on(gate.gate.upkeep());
    }
    down.store(false, Ordering::SeqCst);
    // Somebody is quicker than the upkeep.
    assert_eq!(wrong(&gate, "ada"), Code::Locked);
    for _ in 0..3 {
        block_on(gate.gate.upkeep());
        gate.clock.advance(Duration::from_secs(60));
        assert_eq!(wrong(&gate, "ada"), Code::Locked);
    }
    gate.clock.advance(Duration::from_secs(60));
    block_on(gate.gate.upkeep());
    let records = gate.recorded();
    assert_eq!(locks(&records).len(), 1, "{records:#?}");
    // The fifth, three that met it while the log was down, and four after.
    assert_eq!(records.iter().map(|record| record.repeats.get()).sum::<u32>(), 8);
}

struct Failing {
    records: VecSink,
    down: Arc<AtomicBool>,
}

impl RecordSink for Failing {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(SinkError::Failed("told to".into()));
        }
        self.records.append(record).await
    }
}

/// Wherever the store stops answering in the attempt that locks, and the process with it: the lock
/// is announced, and whatever is announced twice has the same number.
#[test]
fn wherever_it_crashes_the_lock_is_announced_under_one_number() {
    let (mut once, mut twice) = (0, 0);
    for fault in [Fault::Before, Fault::After] {
        for at in 0..12 {
            let keys = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
            let cells = Arc::new(memory());
            let fails = Arc::new(AtomicU64::new(u64::MAX));
            let plan = Arc::clone(&fails);
            let store = FaultyStore::new(Arc::clone(&cells), move |_| {
                let count = |n: u64| if n == u64::MAX { None } else { n.checked_sub(1) };
                match plan.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) {
                    Ok(_) | Err(u64::MAX) => None,
                    Err(_) => Some(fault),
                }
            });
            let with_keys = |gate: GateBuilder| gate.keys(Arc::clone(&keys));
            let gate = block_on(TestGate::over(policy(&[]), store, with_keys)).unwrap();
            for _ in 0..4 {
                wrong(&gate, "ada");
            }
            let _ = gate.recorded();
            fails.store(at, Ordering::SeqCst);
            wrong(&gate, "ada");
            let mut records = gate.recorded();
            let (clock, end) = (gate.clock.clone(), gate.records.clone());
            drop(gate);
            let again =
                TestGate::recording(policy(&[]), Arc::clone(&cells), end.clone(), end, with_keys);
            let again = block_on(again).unwrap();
            again.clock.advance(clock_is(&clock));
            for _ in 0..5 {
                again.clock.advance(Duration::from_secs(30));
                wrong(&again, "ada");
            }
            records.extend(again.recorded());
            let locks = locks(&records);
            assert_eq!(ids(&locks).len(), 1, "{fault:?} from call {at}: {locks:?}");
            match locks.len() {
                1 => once += 1,
                2 => twice += 1,
                more => panic!("{fault:?} from call {at}: {more} times"),
            }
        }
    }
    assert!(once > 10 && twice > 0, "{once} once, {twice} twice");
}

fn clock_is(clock: &vouchsafe_testkit::ManualClock) -> Duration {
    use vouchsafe::core::Clock;
    clock.now().since(TestGate::start())
}

const FOLDER: &str = "VOUCHSAFE_CROSSING_FOLDER";
const STOP: &str = "VOUCHSAFE_CROSSING_STOP";

/// Writes a line for each lock; told so, stands still before or after the first.
#[derive(Clone)]
struct Lines {
    file: Arc<std::path::PathBuf>,
    stop: Arc<String>,
}

impl RecordSink for Lines {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        for (_, id, whose) in locks(std::slice::from_ref(&record)) {
            if *self.stop == "before" {
                ChildTest::say("stopped");
                ChildTest::wait();
            }
            let mut file = OpenOptions::new().append(true).create(true).open(&*self.file).unwrap();
            writeln!(file, "{id} {whose}").unwrap();
            file.sync_all().unwrap();
            if *self.stop == "after" {
                ChildTest::say("stopped");
                ChildTest::wait();
            }
        }
        VecSink::new(1).append(record).await
    }
}

fn keys(folder: &Path) -> Keyring {
    let passphrase = SecretString::new("correct horse battery staple".to_owned());
    let unlock = Unlock::passphrase(&passphrase).unwrap();
    let path = folder.join("keys");
    match Keyring::open(&path, &unlock) {
        Ok(keys) => keys,
        Err(_) => Keyring::create(&path, &unlock, Cost::MINIMUM, &SystemEntropy::new()).unwrap(),
    }
}

/// What a child runs; on its own it locks an account in a folder of its own.
#[test]
fn locker() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = std::env::var_os(FOLDER);
    let folder = folder.as_deref().map_or(scratch.path(), Path::new);
    let stop = Arc::new(std::env::var(STOP).unwrap_or_default());
    let store = SqliteStore::builder(folder.join("cells.db")).deadline(PATIENT).open().unwrap();
    let sink = Lines { file: Arc::new(folder.join("locks")), stop };
    let keys = keys(folder);
    let gate =
        TestGate::recording(policy(&[]), store, sink, VecSink::new(1), |gate| gate.keys(keys));
    let gate = block_on(gate).unwrap();
    // Later than whatever was told to the one before.
    let later = if folder.join("locks.later").exists() { 60 } else { 0 };
    gate.clock.advance(Duration::from_secs(later));
    for _ in 0..8 {
        wrong(&gate, "ada");
    }
    ChildTest::say("done");
}

/// Killed between the charge that locks and its record, and between the record and its note.
#[test]
fn a_killed_process_leaves_the_lock_to_the_next_under_the_same_number() {
    for (stop, lines) in [("before", 1), ("after", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let start =
            |stop: &str| ChildTest::start("locker", &[(FOLDER, &folder.path()), (STOP, &stop)]);
        let mut child = start(stop);
        child.line("stopped");
        child.kill();
        fs::write(folder.path().join("locks.later"), "").unwrap();
        for _ in 0..2 {
            let mut next = start("");
            next.line("done");
            next.finish();
        }
        let text = fs::read_to_string(folder.path().join("locks")).unwrap();
        let found: Vec<_> = text.lines().collect();
        assert_eq!(found.len(), lines, "{stop}: {text}");
        assert!(found.iter().all(|line| *line == found[0]), "{stop}: {text}");
    }
}

/// One guess on each of many accounts.
fn spray(gate: &TestGate, accounts: u32) {
    for account in 0..accounts {
        assert_eq!(wrong(gate, &format!("nobody-{account}")), Code::WrongCredentials);
        gate.clock.advance(Duration::from_millis(500));
    }
}

#[test]
fn an_alarm_is_one_record_and_asks_for_more_where_the_host_can() {
    let fields = [("devices = \"none\"", "devices = { counters = 4, valid_for = \"180d\" }")];
    for challenges in [false, true] {
        let gate = TestGate::over(policy(&fields), memory(), |gate| {
            if challenges { gate.challenges() } else { gate }
        });
        let gate = block_on(gate).unwrap();
        gate.add("ada", "staff", PASSWORD);
        let cookie = gate.sign_in("ada", PASSWORD).device().unwrap().expose().to_owned();
        let tenant = TestGate::tenant();
        let _ = gate.recorded();
        spray(&gate, 39);
        assert_eq!(gate.gate.spray(&tenant), None);
        assert!(!gate.recorded().iter().any(|r| r.operation == Operation::SprayAlarm));
        let mut raised = 0;
        while gate.gate.spray(&tenant).is_none() && raised < 20 {
            wrong(&gate, &format!("nobody-at-all-{raised}"));
            raised += 1;
        }
        let alarm = gate.gate.spray(&tenant).unwrap();
        let sprayed: Vec<_> =
            gate.recorded().into_iter().filter(|r| r.operation == Operation::SprayAlarm).collect();
        assert_eq!(sprayed.len(), 1);
        let Target::Entity { kind, id } = &sprayed[0].target else { panic!() };
        assert_eq!(kind.as_str(), "spray");
        assert!(id.as_str().starts_with(&format!("{:016x}  {}", alarm.id, alarm.accounts)));

        let login = |name: &str, cookie: Option<&String>, passed: bool| {
            let mut attempt = TestGate::attempt(name);
            attempt.call = TestGate::call().with_device(cookie.cloned());
            let attempt = if passed { attempt.challenge_passed() } else { attempt };
            match block_on(gate.gate.login(&attempt, PASSWORD.to_owned())) {
                Login::SignedIn(_) => Ok(()),
                Login::Refused(refused) => Err(refused.code()),
                Login::Next(next) => panic!("{next:?}"),
            }
        };
        let asked = if challenges { Err(Code::Challenge) } else { Ok(()) };
        let before = gate.gate.work().runs;
        assert_eq!(login("ada", None, false), asked);
        if challenges {
            for _ in 0..20 {
                assert_eq!(login("ada", None, false), asked);
                assert_eq!(login("zoe", None, false), asked, "known or not");
            }
            assert_eq!(gate.gate.work().runs, before, "nothing is looked at, nor counted");
        }
        assert_eq!(login("ada", Some(&cookie), false), Ok(()));
        assert_eq!(login("ada", None, true), Ok(()));
        // It goes on for as long as it is quiet; then nobody is asked.
        for _ in 0..70 {
            gate.clock.advance(Duration::from_secs(60));
            let _ = gate.gate.spray(&tenant);
        }
        assert_eq!(gate.gate.spray(&tenant), None);
        assert_eq!(login("ada", None, false), Ok(()));
    }
}

/// Whoever fills the counters with made-up names does not lock anybody in silence.
#[test]
fn a_lock_beside_full_counters_is_announced() {
    let full = |gate: GateBuilder| gate.counters_in_memory(8 << 10).danger_store_may_roll_back();
    let gate = block_on(TestGate::over(policy(&[]), memory(), full)).unwrap();
    gate.add("ada", "staff", PASSWORD);
    for name in 0..200 {
        wrong(&gate, &format!("nobody-{name}"));
    }
    let _ = gate.recorded();
    let codes: Vec<_> = (0..10).map(|_| wrong(&gate, "ada")).collect();
    // Earlier where made-up names share her coarse counter.
    assert!(codes.iter().filter(|code| **code == Code::Locked).count() >= 5);
    gate.clock.advance(Duration::from_secs(60));
    wrong(&gate, "ada");
    block_on(gate.gate.upkeep());
    assert_eq!(locks(&gate.recorded()).len(), 1);
}

/// Forty made-up names from one address, once an hour, are no reason to ask everybody for more all
/// day: those who come from there are asked.
#[test]
fn one_address_alone_does_not_have_everybody_asked() {
    let gate = block_on(TestGate::over(policy(&[]), memory(), GateBuilder::challenges)).unwrap();
    gate.add("ada", "staff", PASSWORD);
    let from = |address: &str, name: &str, password: &str| {
        let mut attempt = TestGate::attempt(name);
        attempt.call = TestGate::call_from(address);
        match block_on(gate.gate.login(&attempt, SecretString::new(password.to_owned()))) {
            Login::Refused(refused) => Some(refused.code()),
            _ => None,
        }
    };
    let (mut asked, mut there) = (0, 0);
    for minute in 0..24 * 60 {
        gate.clock.advance(Duration::from_secs(60));
        if minute % 60 == 0 {
            for name in 0..60 {
                let name = format!("nobody-{minute}-{name}");
                there += u32::from(from("203.0.113.9", &name, WRONG) == Some(Code::Challenge));
            }
        }
        asked += u32::from(from("198.51.100.7", "ada", PASSWORD) == Some(Code::Challenge));
    }
    assert_eq!(asked, 0, "of 1440 times");
    assert!(there > 100, "{there}");
    // From many addresses, each with no more than its share, everybody is.
    for name in 0..80 {
        let address = format!("192.0.2.{}", name % 20);
        from(&address, &format!("somebody-{name}"), WRONG);
    }
    assert_eq!(from("198.51.100.7", "ada", PASSWORD), Some(Code::Challenge));
}
