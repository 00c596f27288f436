//! LK-20: what voids device cookies, over a store that loses what it acknowledged, or its answer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod cookies;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cookies::{
    DAY, DEVICES, OTHER, PASSWORD, WRONG, cookie, forget, lock, login, memory, over, policy,
    refused, with, with_devices,
};
use vouchsafe::core::{CellKey, Clock, Space, Timestamp};
use vouchsafe::gate::{Code, Login};
use vouchsafe::store::{
    Cells, Durability, Loaded, MemoryStore, Put, StoreError, Stored, Swap, Version,
};
use vouchsafe_testkit::{TestGate, block_on};

/// The counter does not count a cookie from a time to come, and the throttle in front of it does.
#[test]
fn a_cookie_from_a_time_to_come_is_as_good_as_none_at_every_step() {
    let gate = over(with_devices(), memory(), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    gate.add("bob", "staff", PASSWORD);
    let right = gate.clock.now();
    gate.clock.set(right.after(30 * DAY));
    let ahead = cookie(&gate, "ada", PASSWORD);
    gate.clock.set(right.after(Duration::from_secs(60)));
    let inside = || TestGate::call_from("203.0.113.7");
    for _ in 0..301 {
        let _ = refused(login(&gate, "zoe", WRONG, inside()));
    }
    let none = refused(login(&gate, "ada", WRONG, inside())).code();
    assert_eq!(none, Code::Throttled);
    let call = inside().with_device(Some(ahead));
    assert_eq!(refused(login(&gate, "ada", WRONG, call)).code(), none);
}

/// A store that goes back, as its policy says that it may.
#[derive(Default)]
struct Copied(Mutex<BTreeMap<CellKey, (Vec<u8>, Version)>>);

impl Cells for Copied {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let cells = self.0.lock().unwrap();
        let cell = cells.get(&key).cloned();
        Ok(Loaded::new(cell.map(|(bytes, version)| Stored::new(bytes, version))))
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let mut cells = self.0.lock().unwrap();
        let there = cells.get(&key).cloned();
        if there.as_ref().map(|(_, version)| *version) != expected {
            let cell = there.map(|(bytes, version)| Stored::new(bytes, version));
            return Ok(Swap::Conflict(Loaded::new(cell)));
        }
        match put {
            Put::Save { bytes, version, .. } => drop(cells.insert(key, (bytes, version))),
            Put::Erase => drop(cells.remove(&key)),
        }
        Ok(Swap::Done)
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        let cells = self.0.lock().unwrap();
        let keys = cells.keys().copied();
        let keys = keys.filter(|key| key.space == space);
        Ok(keys.filter(|key| after.is_none_or(|at| key.digest > at)).take(limit).collect())
    }

    async fn sweep(&self, _: Timestamp, _: usize) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn durability(&self) -> Durability {
        Durability::MayRollBack
    }
}

/// The number that says which cookies count is counted up, and what was lost is counted again: a cookie
/// that was made in what a failover lost counts after the reset that voids every cookie.
#[test]
fn a_reset_voids_a_cookie_from_what_was_lost() {
    let store = Arc::new(Copied::default());
    let everything = ("may_roll_back = \"nothing\"", "may_roll_back = \"everything\"");
    let gate = over(policy(&[DEVICES, everything]), Arc::clone(&store), |gate| gate);
    let ada = gate.add("ada", "staff", PASSWORD);
    let copy = store.0.lock().unwrap().clone();
    // An administrator has the browsers forgotten; a thief, who knows the password, signs in.
    forget(&gate, &ada);
    let thief = cookie(&gate, "ada", PASSWORD);
    *store.0.lock().unwrap() = copy;
    gate.clock.advance(Duration::from_secs(60));
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let (purpose, reset) = gate.invite(&ada);
    block_on(gate.gate.redeem(&tenant, purpose, &reset, OTHER.to_owned(), &call)).unwrap();
    lock_with(&gate, OTHER);
    let told = login(&gate, "ada", OTHER, with(&thief));
    assert!(matches!(&told, Login::Refused(no) if no.code() == Code::Locked), "{told:?}");
}

fn lock_with(gate: &TestGate, password: &str) {
    for _ in 0..5 {
        let _ = refused(login(gate, "ada", WRONG, TestGate::call()));
    }
    assert_eq!(refused(login(gate, "ada", password, TestGate::call())).code(), Code::Locked);
}

/// A store that does a swap of an account, lets somebody else go first, and loses the answer.
struct Interject {
    inner: MemoryStore,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Cells for Interject {
    vouchsafe_testkit::pass_on!(inner: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let swapped = self.inner.swap(key, expected, put).await?;
        let here = key.space == Space::Account && matches!(swapped, Swap::Done);
        let meanwhile = if here { self.meanwhile.lock().unwrap().take() } else { None };
        let Some(meanwhile) = meanwhile else { return Ok(swapped) };
        meanwhile();
        Err(StoreError::unavailable("lost after the store"))
    }
}

/// "stepped again, which a machine's idempotence by event id makes harmless": forgetting the devices has no
/// id, and a cookie that was made after it was done is voided when it is stepped again.
#[test]
fn devices_are_forgotten_once() {
    let store = Arc::new(Interject { inner: memory(), meanwhile: Mutex::default() });
    let gate = over(with_devices(), Arc::clone(&store), |gate| gate);
    let ada = gate.add("ada", "staff", PASSWORD);
    let (made, other) = (Arc::new(Mutex::new(None)), gate.clone());
    let kept = Arc::clone(&made);
    let sign_in = move || *kept.lock().unwrap() = Some(cookie(&other, "ada", PASSWORD));
    *store.meanwhile.lock().unwrap() = Some(Box::new(sign_in));
    forget(&gate, &ada);
    let fresh = made.lock().unwrap().take().unwrap();
    lock(&gate, "ada");
    let owner = login(&gate, "ada", PASSWORD, with(&fresh));
    assert!(matches!(owner, Login::SignedIn(_)), "{owner:?}");
}
