//! FA-4: a first start that ended in the middle of keeping its baselines is carried on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vouchsafe::access_log::VecSink;
use vouchsafe::core::TenantId;
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::OpenError;
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

#[test]
fn a_first_start_that_was_cut_off_anywhere_is_carried_on() {
    let policy = || Policy::preset("zoomph-2018").unwrap();
    let tenants = ["amigo", "zoomph"].map(|tenant| (TenantId::new(tenant).unwrap(), policy()));
    let mut cut_off = 0;
    loop {
        let store = Arc::new(MemoryStore::new(1 << 24));
        let keyring = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
        // As after a kill: from this call on the store does nothing any more.
        let open = |until: u64| {
            let plan = move |call| (call >= until).then_some(Fault::Before);
            let store = FaultyStore::new(Arc::clone(&store), plan);
            let (keyring, records) = (Arc::clone(&keyring), VecSink::new(1 << 10));
            let policies = BTreeMap::from(tenants.clone());
            block_on(TestGate::recording(policies, store, records.clone(), records, |gate| {
                gate.keys(keyring)
            }))
            .map(|_| ())
        };
        match open(cut_off) {
            Ok(()) => break,
            Err(OpenError::Store(_)) => {}
            Err(other) => panic!("after {cut_off} calls: {other}"),
        }
        open(u64::MAX).unwrap_or_else(|error| panic!("after {cut_off} calls: {error}"));
        cut_off += 1;
    }
    // Reading the roll and each space, then the roll, and for each tenant two cells.
    assert!(cut_off > 10, "{cut_off} calls");
}
