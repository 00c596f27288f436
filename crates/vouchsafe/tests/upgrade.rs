//! PW-10: a password hashed anew that the store does not take fails nobody's sign-in.
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

use vouchsafe::core::{CellKey, Space};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::Login;
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::{HashPolicy, PoolConfig};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MAX_UNANSWERED, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";

/// A store that loses as many of the next writes to accounts as it is told to.
struct Forgetful {
    inner: Arc<MemoryStore>,
    lose: Arc<AtomicUsize>,
}

impl Cells for Forgetful {
    vouchsafe_testkit::pass_on!(inner: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let (one, at) = (|left: usize| left.checked_sub(1), Ordering::SeqCst);
        if key.space == Space::Account && self.lose.fetch_update(at, at, one).is_ok() {
            return Err(StoreError::unavailable("told to"));
        }
        self.inner.swap(key, expected, put).await
    }
}

#[test]
fn a_failed_upgrade_fails_no_sign_in() {
    let (inner, lose) = (Arc::new(MemoryStore::new(1 << 24)), Arc::new(AtomicUsize::new(0)));
    let keyring = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
    let hashing_with = |memory_kib| {
        let store = Forgetful { inner: Arc::clone(&inner), lose: Arc::clone(&lose) };
        let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
        let policy = HashPolicy::danger_below_floor(memory_kib, 1).unwrap();
        let opened = TestGate::over(policies, store, |gate| {
            let gate = gate.keys(Arc::clone(&keyring));
            gate.danger_pool_below_policy(PoolConfig::new(policy))
        });
        block_on(opened).unwrap()
    };
    drop(hashing_with(8).add("ada", "staff", PASSWORD));
    let gate = hashing_with(16);
    gate.users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
    // How many hashes a sign-in takes: the second one upgrades.
    let sign_in = || {
        let before = gate.gate.work().runs;
        match block_on(gate.login("ada", PASSWORD)) {
            Login::SignedIn(_) => gate.gate.work().runs - before,
            other => panic!("{other:?}"),
        }
    };
    // Each try of the one write: the next, which opens the session, succeeds.
    lose.store(MAX_UNANSWERED + 1, Ordering::SeqCst);
    assert_eq!(sign_in(), 2, "hashed anew");
    assert_eq!(lose.load(Ordering::SeqCst), 0, "and that was lost");
    assert_eq!([sign_in(), sign_in()], [2, 1], "hashed anew again, and kept");
}
