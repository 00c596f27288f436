//! ST-6: where credentials and one-time links are kept, nothing comes back.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use vouchsafe::core::{CellKey, Space, Timestamp};
use vouchsafe::gate::OpenError;
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
