//! FA-4: the gate refuses to start below what was promised.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vouchsafe::access_log::{
    Operation, Outcome, Receipt, Record, RecordSink, SinkError, VecSink, name,
};
use vouchsafe::core::{TenantId, Timestamp};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{GateBuilder, OpenError, Policies};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_core::Space;
use vouchsafe_testkit::{ManualClock, TestGate, block_on};

/// One installation, opened again and again.
struct Installation {
    store: Arc<MemoryStore>,
    keyring: Arc<Keyring>,
    records: VecSink,
    clock: Arc<ManualClock>,
}

impl Installation {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new(1 << 24)),
            keyring: Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap()),
            records: VecSink::new(1 << 10),
            clock: Arc::new(ManualClock::at(TestGate::start())),
        }
    }

    fn open_with(
        &self,
        policy: &Policy,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<TestGate, OpenError> {
        self.open_over((TestGate::tenant(), policy.clone()), self.records.clone(), more)
    }

    fn open_over(
        &self,
        policies: impl Into<Policies>,
        sink: impl RecordSink + 'static,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<TestGate, OpenError> {
        let (keyring, clock) = (Arc::clone(&self.keyring), Arc::clone(&self.clock));
        let store = Arc::clone(&self.store);
        block_on(TestGate::recording(policies, store, sink, self.records.clone(), |gate| {
            more(gate.keys(keyring).clock(clock))
        }))
    }

    fn open(&self, policy: &Policy) -> Result<TestGate, OpenError> {
        self.open_with(policy, |gate| gate)
    }
}

fn preset() -> Policy {
    Policy::preset("zoomph-2018").unwrap()
}

/// The preset with one text replaced.
fn edited(from: &str, to: &str) -> Policy {
    edit(&preset(), from, to)
}

fn edit(policy: &Policy, from: &str, to: &str) -> Policy {
    let text = policy.to_toml();
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    Policy::parse(&text.replace(from, to), "edited").unwrap()
}

fn looser() -> Policy {
    edited("failures = 5", "failures = 6")
}

fn stricter() -> Policy {
    edited("failures = 5", "failures = 4")
}

#[test]
fn a_weaker_policy_does_not_start() {
    let installation = Installation::new();
    drop(installation.open(&preset()).unwrap());
    let _ = installation.records.take();
    match installation.open(&looser()) {
        Err(OpenError::BelowBaseline { tenant, findings }) => {
            assert_eq!(tenant, TestGate::tenant());
            let text = findings.join("\n");
            assert!(text.contains("lockout") && text.contains("Z7.6"), "{text}");
            assert!(text.contains('5') && text.contains('6'), "old and new value: {text}");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    let said: Vec<_> = installation.records.take();
    let below = Outcome::Refused(name!("policy.below_baseline"));
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].operation, &said[0].outcome), (Operation::PolicyRefused, &below));
    assert_eq!(said[0].policy, looser().digest());
    drop(installation.open(&preset()).unwrap());
}

/// Going back to the baseline after having been stricter is allowed, and recorded.
#[test]
fn stricter_and_back_again() {
    let installation = Installation::new();
    for policy in [preset(), stricter(), preset()] {
        drop(installation.open(&policy).unwrap());
        let records = installation.records.take();
        let opened = records.iter().filter(|r| r.operation == Operation::GateOpened);
        let digests: Vec<_> = opened.map(|record| record.policy).collect();
        assert_eq!(digests, [policy.digest()]);
    }
    assert!(installation.open(&looser()).is_err());
}

/// A contract is a promise from its first start on; leaving it out later does not take it back.
#[test]
fn contracts_hold_together_and_stay() {
    let installation = Installation::new();
    let tenant = TestGate::tenant;
    let with = |contracts: Vec<Policy>| {
        move |gate: GateBuilder| {
            contracts.into_iter().fold(gate, |gate, policy| gate.contract(tenant(), policy))
        }
    };
    let opened = installation.open_with(&preset(), with(vec![preset(), stricter()]));
    assert!(matches!(opened, Err(OpenError::BelowBaseline { .. })));
    drop(installation.open_with(&stricter(), with(vec![preset(), stricter()])).unwrap());
    // The stricter contract forgotten, or none given: what was promised is still promised.
    let older = installation.open_with(&stricter(), with(vec![preset()]));
    assert!(matches!(older, Err(OpenError::OlderBaseline { .. })), "{:?}", older.map(|_| ()));
    assert!(matches!(installation.open(&preset()), Err(OpenError::BelowBaseline { .. })));
    drop(installation.open(&stricter()).unwrap());
}

/// A store that is not empty and has no baselines is not taken for a fresh start.
#[test]
fn a_missing_baseline_beside_a_store_in_use_refuses() {
    let installation = Installation::new();
    let gate = installation.open(&preset()).unwrap();
    gate.add("ada", "staff", "Brass-Lantern7");
    drop(gate);
    let system = block_on(installation.store.scan(Space::System, None, 10)).unwrap();
    assert_eq!(system.len(), 2);
    for key in system {
        let version = block_on(installation.store.load(key)).unwrap().version();
        let put = vouchsafe::store::Put::Erase;
        let _ = block_on(installation.store.swap(key, version, put)).unwrap();
    }
    assert!(matches!(installation.open(&preset()), Err(OpenError::MissingBaselines)));
}

/// Another installation's keys do not read the store, and nothing is started over it.
#[test]
fn other_keys_do_not_open_the_store() {
    let installation = Installation::new();
    drop(installation.open(&preset()).unwrap());
    let stranger = Installation { keyring: Installation::new().keyring, ..installation };
    let opened = stranger.open(&preset());
    assert!(matches!(opened, Err(OpenError::MissingBaselines)), "{:?}", opened.map(|_| ()));
}

#[test]
fn a_gate_without_its_parts_does_not_open() {
    let opened = block_on(vouchsafe::Gate::builder((TestGate::tenant(), preset())).open());
    assert!(matches!(opened, Err(OpenError::Missing("a store"))));
    let empty = block_on(TestGate::over(
        std::iter::empty().collect::<vouchsafe::gate::Policies>(),
        MemoryStore::new(1 << 20),
        |gate| gate.application(name!("test")),
    ));
    assert!(matches!(empty.map(|_| ()), Err(OpenError::NoTenants)));
}

/// The stricter contract, from the 11th on, and the moment at which that day begins.
fn from_the_eleventh() -> (Policy, Timestamp) {
    let contract = edit(&stricter(), "effective = 2018-04-09", "effective = 2018-04-11");
    (contract, TestGate::start().after(Duration::from_secs(2 * 86_400)))
}

const TICK: Duration = Duration::from_micros(1);

/// A contract counts from its Effective Date, to the microsecond: not before, at every start from
/// then on, and for good. A gate that is open stays open, and its log says what it is worth.
#[test]
fn a_contract_holds_from_its_effective_date() {
    let installation = Installation::new();
    let (contract, date) = from_the_eleventh();
    let open = |policy: &Policy| installation.open(policy);
    let gate = installation
        .open_with(&preset(), |gate| gate.contract(TestGate::tenant(), contract.clone()))
        .unwrap();
    let ahead = gate.gate.contracts_ahead().to_vec();
    assert_eq!(ahead.len(), 1);
    assert_eq!((&ahead[0].tenant, ahead[0].since), (&TestGate::tenant(), date));
    assert!(ahead[0].findings.join(";").contains("lockout"), "{ahead:?}");
    gate.add("ada", "staff", "Brass-Lantern7");
    let _ = installation.records.take();

    let said = |gate: &TestGate| -> Vec<(Operation, Outcome)> {
        block_on(gate.gate.upkeep());
        installation.records.take().into_iter().map(|r| (r.operation, r.outcome)).collect()
    };
    installation.clock.set(date.before(TICK));
    assert_eq!(said(&gate), []);
    drop(open(&preset()).unwrap());
    let _ = installation.records.take();
    installation.clock.set(date);
    let below = Outcome::Refused(name!("policy.below_baseline"));
    assert_eq!(said(&gate), [(Operation::PolicyRefused, below)]);
    assert_eq!(said(&gate), [], "said once");
    let _ = gate.sign_in("ada", "Brass-Lantern7");
    drop(gate);
    assert!(matches!(open(&preset()), Err(OpenError::BelowBaseline { .. })));

    // A clock set back does not take back what was in force.
    let _ = installation.records.take();
    drop(open(&stricter()).unwrap());
    let records = installation.records.take();
    assert!(records.iter().any(|record| record.operation == Operation::PolicyLoaded));
    installation.clock.set(date.before(TICK));
    assert!(matches!(open(&preset()), Err(OpenError::BelowBaseline { .. })));
    drop(open(&stricter()).unwrap());
    let again = installation
        .open_with(&stricter(), |gate| gate.contract(TestGate::tenant(), contract.clone()));
    drop(again.unwrap());
}

/// What lies ahead can neither be put off nor left out, and is said when it is kept.
#[test]
fn what_lies_ahead_stays_promised() {
    let installation = Installation::new();
    let (contract, date) = from_the_eleventh();
    let with = |contracts: Vec<Policy>| {
        let tenant = TestGate::tenant;
        installation.open_with(&stricter(), move |gate| {
            contracts.into_iter().fold(gate, |gate, policy| gate.contract(tenant(), policy))
        })
    };
    let gate = with(vec![preset(), contract.clone()]).unwrap();
    assert_eq!(gate.gate.contracts_ahead()[0].findings, Vec::<String>::new());
    let later = edit(&contract, "effective = 2018-04-11", "effective = 2018-04-12");
    for older in [vec![preset()], vec![preset(), later.clone()]] {
        let older = with(older);
        assert!(matches!(older, Err(OpenError::OlderBaseline { .. })), "{:?}", older.map(|_| ()));
    }
    drop(with(vec![preset(), contract.clone(), later]).unwrap());
    drop(with(vec![contract]).unwrap());
    let _ = installation.records.take();
    installation.clock.set(date);
    block_on(gate.gate.upkeep());
    let said: Vec<_> = installation.records.take().into_iter().map(|r| r.operation).collect();
    assert_eq!(said, [Operation::PolicyLoaded]);
}

/// A log with records beside an empty store is no first start.
#[test]
fn a_missing_baseline_beside_a_log_refuses() {
    let installation = Installation::new();
    drop(installation.open(&preset()).unwrap());
    let lost = Installation { store: Installation::new().store, ..installation };
    assert!(matches!(lost.open(&looser()), Err(OpenError::MissingBaselines)));
    assert!(block_on(lost.store.scan(Space::System, None, 1)).unwrap().is_empty());
    let _ = lost.records.take();
    drop(lost.open(&looser()).unwrap());
}

/// A sink with room for some records, which says whether it has any.
#[derive(Clone)]
struct Room {
    records: VecSink,
    room: Arc<AtomicUsize>,
}

impl RecordSink for Room {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        let took = |room: usize| room.checked_sub(1);
        self.room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, took)
            .map_err(|_| SinkError::Full)?;
        self.records.append(record).await
    }

    async fn holds_records(&self) -> Result<Option<bool>, SinkError> {
        self.records.holds_records().await
    }
}

/// A first start that was cut short, with records in the log already, is begun again.
#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    for room in 0..=3 {
        let installation = Installation::new();
        let records = installation.records.clone();
        let sink = Room { records, room: Arc::new(AtomicUsize::new(room)) };
        let open =
            || installation.open_over((TestGate::tenant(), preset()), sink.clone(), |gate| gate);
        assert_eq!(open().is_ok(), room == 3, "{room} records");
        assert_eq!(installation.records.records().len(), room);
        sink.room.store(100, Ordering::SeqCst);
        drop(open().unwrap());
        assert!(matches!(installation.open(&looser()), Err(OpenError::BelowBaseline { .. })));
    }
}

fn two(first: Policy, second: Policy) -> Policies {
    [("amigo", first), ("zoomph", second)]
        .into_iter()
        .map(|(tenant, policy)| (TenantId::new(tenant).unwrap(), policy))
        .collect()
}

/// One log and one keyring are as strong as the strictest tenant was promised, and stay so when
/// that tenant is not served any more; what is each tenant's own is not the others' business.
#[test]
fn what_tenants_share_is_as_strong_as_promised_to_any() {
    let kept_longer = || edited("keep_at_least = \"30 d\"", "keep_at_least = \"60 d\"");
    let stronger_keys = || edited("weakest_key = \"P-256\"", "weakest_key = \"P-384\"");
    for (promised, section) in
        [(kept_longer(), "retention"), (stronger_keys(), "envelope"), (stricter(), "")]
    {
        let installation = Installation::new();
        let open = |policies: Policies| {
            let opened =
                installation.open_over(policies, installation.records.clone(), |gate| gate);
            opened.map(|_| ())
        };
        open(two(preset(), promised.clone())).unwrap();
        let alone = |policy: Policy| Policies::from((TenantId::new("amigo").unwrap(), policy));
        match open(alone(preset())) {
            Err(OpenError::BelowShared { findings }) => {
                assert!(!section.is_empty() && findings.len() == 1, "{findings:?}");
                assert!(findings[0].starts_with(section), "{findings:?}");
            }
            opened => {
                opened.unwrap();
                assert_eq!(section, "", "not noticed");
            }
        }
        open(alone(promised)).unwrap();
    }
}

/// Promises that one log cannot keep are refused before there is anything in it.
#[test]
fn tenants_whose_promises_contradict_do_not_start_together() {
    let longer = edit(
        &edited("erase_by = \"90 d\"", "erase_by = \"365 d\""),
        "keep_at_least = \"30 d\"",
        "keep_at_least = \"120 d\"",
    );
    let installation = Installation::new();
    let records = installation.records.clone();
    let opened = installation.open_over(two(preset(), longer), records, |gate| gate);
    let opened = opened.map(|_| ());
    assert!(matches!(opened, Err(OpenError::SharedContradiction { .. })), "{opened:?}");
    assert!(installation.records.take().is_empty());
}

/// More contracts than are kept: which tenant, by how much, and before anything was joined.
#[test]
fn contracts_that_cannot_be_kept_are_refused_by_name() {
    let dated = |number: u32| {
        let date = format!("effective = {}-{:02}-01", 2020 + number / 12, number % 12 + 1);
        edit(&stricter(), "effective = 2018-04-09", &date)
    };
    let opened = Installation::new().open_with(&stricter(), |gate| {
        (0..60).fold(gate, |gate, number| gate.contract(TestGate::tenant(), dated(number)))
    });
    let error = opened.map(|_| ()).unwrap_err();
    let text = error.to_string();
    let OpenError::ContractsTooLong { tenant, contracts, bytes, most } = error else {
        panic!("{error}")
    };
    assert_eq!((tenant, contracts), (TestGate::tenant(), 60));
    assert!(bytes > most && text.contains("acme") && text.contains(&most.to_string()), "{text}");
}
