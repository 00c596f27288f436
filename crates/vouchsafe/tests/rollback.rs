//! ST-6: where credentials and one-time links are kept, nothing comes back.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::collections::BTreeMap;

use vouchsafe::core::{CellKey, Space, TenantId, Timestamp};
use vouchsafe::gate::{GateBuilder, OpenError};
use vouchsafe::policy::Policy;
use vouchsafe::store::{
    AnyCells, Cells, Durability, Loaded, MemoryStore, Put, StoreError, Swap, Version,
};
use vouchsafe_testkit::{TestGate, block_on};

/// Says of itself that it may roll back.
struct Shaky(MemoryStore);

impl Cells for Shaky {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.0.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.0.swap(key, expected, put).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.0.scan(space, after, limit).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.0.sweep(now, limit).await
    }

    fn durability(&self) -> Durability {
        Durability::MayRollBack
    }
}

fn shaky() -> Shaky {
    Shaky(MemoryStore::new(1 << 24))
}

fn policy(may_roll_back: &str) -> Policy {
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    let own = format!("may_roll_back = \"{may_roll_back}\"");
    let text = text.replace("may_roll_back = \"nothing\"", &own);
    assert!(text.contains(&own));
    Policy::parse(&text, "policy.toml").unwrap()
}

fn tenants(policies: [&str; 2]) -> BTreeMap<TenantId, Policy> {
    let [one, two] = policies.map(policy);
    let other = TenantId::new("other").unwrap();
    BTreeMap::from([(TestGate::tenant(), one), (other, two)])
}

/// Whether a gate opens over a store of everything, and over one of counters, that may roll back.
fn opens(policies: [&str; 2]) -> (bool, bool) {
    let opened = |gate: Result<TestGate, OpenError>| match gate {
        Ok(gate) => {
            gate.add("ada", "staff", "Brass-Lantern7");
            let _ = gate.sign_in("ada", "Brass-Lantern7");
            true
        }
        Err(OpenError::MayRollBack) => false,
        Err(error) => panic!("{error}"),
    };
    let whole = block_on(TestGate::over(tenants(policies), shaky(), |gate| gate));
    let lasting = || MemoryStore::new(1 << 24);
    let apart = |gate: GateBuilder| gate.counters(shaky());
    let counters = block_on(TestGate::over(tenants(policies), lasting(), apart));
    (opened(whole), opened(counters))
}

#[test]
fn a_store_that_may_roll_back_is_named_by_every_policy_in_force() {
    assert_eq!(opens(["nothing", "nothing"]), (false, false));
    assert_eq!(opens(["counters", "nothing"]), (false, false));
    assert_eq!(opens(["counters", "counters"]), (false, true));
    assert_eq!(opens(["everything", "counters"]), (false, true));
    assert_eq!(opens(["everything", "everything"]), (true, true));
    // What was promised before names it too, or else the gate does not open at all.
    let promised =
        |gate: GateBuilder| gate.counters(shaky()).contract(TestGate::tenant(), policy("nothing"));
    let gate = TestGate::over(tenants(["counters"; 2]), MemoryStore::new(1 << 24), promised);
    let Err(error) = block_on(gate) else { panic!("opened") };
    assert!(matches!(error, OpenError::BelowBaseline { .. }), "{error}");
}

#[test]
fn a_gate_refuses_a_store_that_may_roll_back() {
    let policies = || (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let refused = |opened: Result<TestGate, OpenError>| match opened {
        Err(error) => assert!(matches!(error, OpenError::MayRollBack), "{error}"),
        Ok(_) => panic!("opened"),
    };
    refused(block_on(TestGate::over(policies(), shaky(), |gate| gate)));
    // However it is wrapped.
    let wrapped = AnyCells::new(std::sync::Arc::new(shaky()));
    refused(block_on(TestGate::over(policies(), wrapped, |gate| gate)));
    // By its dangerous name it opens, and works.
    let gate = TestGate::over(policies(), shaky(), |gate| gate.danger_store_may_roll_back());
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", "Brass-Lantern7");
    let _ = gate.sign_in("ada", "Brass-Lantern7");
}

/// What is kept in the process's memory is forgotten each time that it ends.
#[test]
fn counters_in_memory_are_named_by_every_policy_in_force() {
    let opens = |policies| {
        let memory = |gate: GateBuilder| gate.counters_in_memory(1 << 20);
        block_on(TestGate::over(tenants(policies), MemoryStore::new(1 << 24), memory)).is_ok()
    };
    assert!(opens(["counters", "everything"]));
    assert!(!opens(["counters", "nothing"]));
}
