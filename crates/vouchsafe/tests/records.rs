//! FA-2: every call writes exactly one record, or is counted in one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod calls;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use calls::{Kind, OTHER, OTHERS, PASSWORD, World, all, is_about};
use vouchsafe::access_log::{
    Actor, Operation, Outcome, Receipt, Record, RecordSink, SinkError, Target, VecSink, name,
};
use vouchsafe::core::UserId;
use vouchsafe::gate::{Code, Purpose};
use vouchsafe::password::Password;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{TestGate, block_on};

/// Every `pub async fn` of the gate's sources: file and name.
fn written_down() -> BTreeSet<String> {
    let gate = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gate");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(gate).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(rest) = line.trim_start().strip_prefix("pub async fn ") {
                let name = rest.split(['(', '<']).next().unwrap();
                found.insert(format!("{file}::{name}"));
            }
        }
    }
    found
}

#[test]
fn the_list_of_calls_is_complete() {
    let mut listed: BTreeSet<_> = all().iter().map(|case| case.name.to_owned()).collect();
    listed.extend(OTHERS.map(str::to_owned));
    assert_eq!(listed, written_down());
}

fn repeats(records: &[Record]) -> u32 {
    records.iter().map(|record| record.repeats.get()).sum()
}

/// What succeeds leaves one record, with the policy in force; the ones that are counted are counted
/// exactly.
#[test]
fn every_call_that_succeeds_writes_one_record() {
    for case in all() {
        let world = World::new();
        let times = if case.kind == Kind::Each { 1 } else { 3 };
        let runs: Vec<_> = (0..times).map(|_| (case.works)(&world)).collect();
        let _ = world.gate.recorded();
        for run in runs {
            block_on(run).unwrap_or_else(|code| panic!("{}: {code}", case.name));
        }
        let (at_once, later) = world.said();
        let expected = match case.kind {
            Kind::Each => (1, 0),
            Kind::Counted => (1, 2),
            Kind::Unfinished => (0, 3),
        };
        assert_eq!((repeats(&at_once), repeats(&later)), expected, "{}", case.name);
        let all: Vec<_> = at_once.iter().chain(&later).collect();
        assert!(all.len() <= 2, "{}: {all:?}", case.name);
        assert!(all.iter().all(|r| is_about(r, &world, &case)), "{}: {all:#?}", case.name);
    }
}

/// What is refused leaves one record, too, and never one that says that it was done.
#[test]
fn every_call_that_is_refused_is_in_a_record() {
    for case in all() {
        let Some(refused) = case.refused else { continue };
        let world = World::new();
        let runs: Vec<_> = (0..3).map(|_| refused(&world)).collect();
        let _ = world.gate.recorded();
        let mut codes = BTreeSet::new();
        for run in runs {
            codes.insert(block_on(run).expect_err(case.name).as_str());
        }
        let (at_once, later) = world.said();
        assert_eq!(repeats(&at_once) + repeats(&later), 3, "{}: {at_once:#?}", case.name);
        for record in at_once.iter().chain(&later) {
            let Outcome::Refused(reason) = &record.outcome else {
                panic!("{}: {record:#?}", case.name)
            };
            assert!(codes.contains(reason.as_str()), "{}: {reason}", case.name);
            assert_ne!(record.operation, Operation::SessionUsed);
        }
    }
}

/// While the first of a minute is on its way to the log, those beside it are not counted on its
/// word: whoever is answered is answered because of a record that is there.
#[test]
fn nobody_is_answered_before_the_first_is_written() {
    for case in all().into_iter().filter(|case| case.kind == Kind::Counted) {
        let mut own = 0;
        for polls in 0..12 {
            let world = World::new();
            let (mut first, second) = ((case.works)(&world), (case.works)(&world));
            let _ = world.gate.recorded();
            world.pauses.set(true);
            for _ in 0..polls {
                if first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
            }
            world.pauses.set(false);
            block_on(second).unwrap();
            let written = world.gate.recorded().len();
            assert!(written >= 1, "{} after {polls} polls", case.name);
            own = own.max(written);
        }
        assert_eq!(own, 2, "{}: at some point each wrote its own", case.name);
    }
}

/// A list of users costs as few records as hold their names, and each of them is named.
#[test]
fn a_list_is_read_in_one_record() {
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..5 {
        let _ = block_on(gate.login("ada", OTHER));
    }
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let read = |users: &[UserId]| {
        let _ = gate.recorded();
        let states = block_on(operator.states(users)).unwrap();
        let mut named = Vec::new();
        let records = gate.recorded();
        for record in &records {
            assert_eq!(record.operation, Operation::Read);
            let Target::Entity { id, .. } = &record.target else { panic!("{record:?}") };
            named.extend(id.original().split("  ").map(|id| UserId::new(id).unwrap()));
        }
        assert_eq!(named, users);
        (states, records.len())
    };
    let few: Vec<_> = ["u-zoe of acme", "u-ada", "u-bob"].map(|id| UserId::new(id).unwrap()).into();
    let (states, records) = read(&few);
    assert_eq!(records, 1);
    let shown: Vec<_> = states.iter().map(|state| (state.active, state.lock.is_some())).collect();
    assert_eq!(shown, [(false, false), (true, true), (false, false)]);
    let many: Vec<_> = (0..200).map(|i| UserId::new(&format!("user-{i:03}")).unwrap()).collect();
    assert_eq!(read(&many).1, 4, "200 names of 8 bytes, 51 to a record");
    assert_eq!(read(&[]).1, 0);
}

/// More of what succeeds than is counted one by one pushes out no refusal, and is still counted,
/// of nobody in particular.
#[test]
fn a_crowd_pushes_out_no_refusal() {
    const CROWD: u32 = 16_384 + 100;
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let console = Actor::Service(name!("console"));
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let password = Password::new(OTHER.to_owned()).unwrap();
    let users: Vec<_> = (0..CROWD)
        .map(|i| gate.users.add(&tenant, &format!("u-{i}"), "staff", &[&format!("name-{i}")]))
        .collect();
    let _ = gate.recorded();
    for _ in 0..2 {
        for user in &users {
            block_on(operator.unmet(user, &password)).unwrap();
        }
    }
    let mut records = gate.recorded();
    for _ in 0..3 {
        let refused = block_on(gate.gate.peek(&tenant, Purpose::Reset, "garbage", &call));
        assert_eq!(refused.unwrap_err().code(), Code::NoLink);
    }
    let refusals = gate.recorded();
    assert_eq!((refusals.len(), refusals[0].operation), (1, Operation::LinkRefused));
    gate.clock.advance(Duration::from_secs(60));
    block_on(gate.gate.upkeep());
    let (refused, used): (Vec<_>, Vec<_>) =
        gate.recorded().into_iter().partition(|record| record.outcome != Outcome::Succeeded);
    assert_eq!((refused.len(), repeats(&refused)), (1, 2));
    assert_eq!(refused[0].target, refusals[0].target);
    records.extend(used);
    assert_eq!(repeats(&records), 2 * CROWD);
    let (own, of_many): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| r.actor == console);
    assert_eq!(own.len(), 2 * 16_384 + 1);
    assert_eq!((of_many.len(), repeats(&of_many)), (1, 199));
}

/// A log that takes every other record while it is on.
struct Every {
    records: VecSink,
    second: Arc<AtomicBool>,
    asked: AtomicU32,
}

impl RecordSink for Every {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.second.load(Ordering::SeqCst) && asked % 2 == 1 {
            return Err(SinkError::Busy);
        }
        self.records.append(record).await
    }
}

/// What the log did not take of a batch is written later, once.
#[test]
fn counts_are_exact_when_the_log_takes_some() {
    const USERS: u32 = 700;
    let (records, second) = (VecSink::new(1 << 16), Arc::new(AtomicBool::new(false)));
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let sink = Every { records: records.clone(), second: Arc::clone(&second), asked: 0.into() };
    let policies = (tenant.clone(), Policy::preset("zoomph-2018").unwrap());
    let store = MemoryStore::new(1 << 24);
    let gate = block_on(TestGate::recording(policies, store, sink, records, |gate| gate)).unwrap();
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let password = Password::new(OTHER.to_owned()).unwrap();
    for i in 0..USERS {
        let user = gate.users.add(&tenant, &format!("u-{i}"), "staff", &[&format!("name-{i}")]);
        for _ in 0..4 {
            block_on(operator.unmet(&user, &password)).unwrap();
        }
    }
    let _ = gate.recorded();
    gate.clock.advance(Duration::from_secs(60));
    second.store(true, Ordering::SeqCst);
    let mut done = block_on(gate.gate.upkeep());
    assert!(done.left);
    let mut written = done.records;
    while done.left {
        done = block_on(gate.gate.upkeep());
        written += done.records;
    }
    let records = gate.recorded();
    assert_eq!((records.len(), repeats(&records)), (written, 3 * USERS));
    let targets: BTreeSet<_> = records.iter().map(target).collect();
    assert_eq!(targets.len(), records.len(), "each once");
}

fn target(record: &Record) -> String {
    match &record.target {
        Target::Entity { id, .. } => id.original(),
        Target::Url(url) => panic!("{url:?}"),
    }
}
