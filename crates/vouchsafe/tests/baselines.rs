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

use vouchsafe::access_log::{Operation, VecSink, name};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{GateBuilder, OpenError};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_core::Space;
use vouchsafe_testkit::{TestGate, block_on};

/// One installation, opened again and again.
struct Installation {
    store: Arc<MemoryStore>,
    keyring: Arc<Keyring>,
    records: VecSink,
}

impl Installation {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new(1 << 24)),
            keyring: Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap()),
            records: VecSink::new(1 << 10),
        }
    }

    fn open_with(
        &self,
        policy: &Policy,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<TestGate, OpenError> {
        let keyring = Arc::clone(&self.keyring);
        let policies = (TestGate::tenant(), policy.clone());
        let records = self.records.clone();
        block_on(TestGate::recording(
            policies,
            Arc::clone(&self.store),
            records.clone(),
            records,
            |gate| more(gate.keys(keyring)),
        ))
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
    let text = preset().to_toml();
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
    match installation.open(&looser()) {
        Err(OpenError::BelowBaseline { tenant, findings }) => {
            assert_eq!(tenant, TestGate::tenant());
            let text = findings.join("\n");
            assert!(text.contains("lockout") && text.contains("Z7.6"), "{text}");
            assert!(text.contains('5') && text.contains('6'), "old and new value: {text}");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
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
