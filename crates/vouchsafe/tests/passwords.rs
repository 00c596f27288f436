//! What a gate makes of the passwords that it is given.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod column;

use std::num::NonZeroU32;

use base64ct::{Base64, Encoding};
use column::{OLD, Place, World};
use vouchsafe::crypto::{Prf, pbkdf2};
use vouchsafe::gate::{GateBuilder, NotSet, OpenError};
use vouchsafe::password::{HashPolicy, PasswordError, PoolConfig, Unmet};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{TestGate, block_on};

/// Memory in KiB, and blocks of it computed, of one hash by a gate under `zoomph-2018` with 64 MiB and
/// two passes.
fn hashes_with(more: impl FnOnce(GateBuilder) -> GateBuilder) -> Result<(u32, u64), OpenError> {
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    let stronger = text.replace("memory = \"19 MiB\"", "memory = \"64 MiB\"");
    assert_ne!(stronger, text);
    let policies = (TestGate::tenant(), Policy::parse(&stronger, "test").unwrap());
    let gate = block_on(TestGate::over(policies, MemoryStore::new(1 << 24), more))?;
    let _unknown = block_on(gate.login("zoe", OLD));
    let work = gate.gate.work();
    assert_eq!(work.runs, 1);
    Ok((work.held_kib, work.blocks))
}

/// Whatever a pool is set up with: an operator who sets workers or memory weakens no hash unnoticed.
#[test]
fn a_pool_hashes_no_weaker_than_the_policy() {
    let pool = |kib, passes| {
        let own = HashPolicy::argon2id(kib, passes).unwrap();
        PoolConfig::new(own).workers(1)
    };
    for (own, expected) in [
        (pool(19_456, 2), (65_536, 2)),
        (pool(65_536, 1), (65_536, 2)),
        (pool(32_768, 3), (65_536, 3)),
        (pool(131_072, 1), (131_072, 2)),
        // Stronger: its own.
        (pool(65_536, 3), (65_536, 3)),
    ] {
        let expected = (expected.0, u64::from(expected.0) * expected.1);
        assert_eq!(hashes_with(|gate| gate.pool(own)).unwrap(), expected, "{own:?}");
    }
    // Not enough memory for what the policy asks for.
    let small = hashes_with(|gate| gate.pool(pool(19_456, 2).budget_kib(32_768)));
    assert!(matches!(small, Err(OpenError::Password(PasswordError::Pool(_)))), "{small:?}");
    // For tests, and only where the last word says so.
    let cheap = || PoolConfig::new(HashPolicy::danger_below_floor(8, 1).unwrap());
    assert_eq!(hashes_with(|gate| gate.danger_pool_below_policy(cheap())).unwrap(), (8, 8));
    let last = hashes_with(|gate| gate.danger_pool_below_policy(cheap()).pool(cheap()));
    assert_eq!(last.unwrap(), (65_536, 131_072));
}

/// HMAC fills its key up with NULs: typed once behind the password, one would become part of it.
#[test]
fn a_nul_typed_once_does_not_lock_the_owner_out() {
    let mut hash = [0; 32];
    let rounds = NonZeroU32::new(1_000).unwrap();
    pbkdf2(Prf::Sha256, rounds, b"seasalt", OLD.as_bytes(), &mut hash);
    let text = format!("pbkdf2_sha256$1000$seasalt${}", Base64::encode_string(&hash));
    let world = World::new(Place::Memory);
    world.table.update(&world.ada, Some(&text));
    assert!(!world.lets_in(&format!("{OLD}\0")));
    assert_eq!(world.table.text(&world.ada), Some(text.clone()));
    assert!(world.lets_in(OLD));
    assert_ne!(world.table.text(&world.ada), Some(text), "hashed anew");
    assert!(world.lets_in(OLD) && !world.lets_in(&format!("{OLD}\0")));
}

/// In capitals or not, it is the address that the mail with the link went to.
#[test]
fn an_address_is_no_password_of_its_owner() {
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    let user = gate.users.add(&TestGate::tenant(), "u-1", "staff", &["j.smith7@acme.example"]);
    let (purpose, link) = gate.invite(&user);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let typed = "J.Smith7@acme.example".to_owned();
    let set = block_on(gate.gate.redeem(&tenant, purpose, &link, typed, &call));
    assert!(matches!(&set, Err(NotSet::Unmet(unmet)) if *unmet == [Unmet::Personal]), "{set:?}");
}
