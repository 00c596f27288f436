//! LK-20: a device cookie that was voided never counts again: whatever crashed, was lost, hung or was put
//! back, whichever way a clock stood, and whoever set the password. One that was made since does.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

#[path = "column/memory.rs"]
mod column;
mod cookies;
#[path = "restored/installation.rs"]
mod installation;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use column::{Column, foreign};
use cookies::{
    DAY, DEVICES, OTHER, PASSWORD, WRONG, cookie, forget, login, memory, over, policy, refused,
    until, with, with_devices,
};
use installation::Installation;
use vouchsafe::access_log::name;
use vouchsafe::core::{CellKey, Clock, Space, Timestamp, UserId};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Code, GateBuilder, Login};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::{AnyCells, Cells, Loaded, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{Fault, FaultyStore, SeededEntropy, TestGate, Users, block_on, runs};

/// Strangers fill their counter; is whoever sends `cookie` with the right password let in all the same?
fn is_known(gate: &TestGate, password: &str, cookie: &str) -> bool {
    for _ in 0..6 {
        let _ = refused(login(gate, "ada", WRONG, TestGate::call()));
    }
    assert_eq!(refused(login(gate, "ada", password, TestGate::call())).code(), Code::Locked);
    matches!(login(gate, "ada", password, with(cookie)), Login::SignedIn(_))
}

fn reset(gate: &TestGate, ada: &UserId) -> impl Future<Output = bool> {
    let (purpose, link) = gate.invite(ada);
    let gate = gate.gate.clone();
    async move {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        gate.redeem(&tenant, purpose, &link, OTHER.to_owned(), &call).await.is_ok()
    }
}

/// One installation, opened again and again over what it kept.
struct House {
    kept: Arc<MemoryStore>,
    keys: Arc<Keyring>,
    users: Users,
    ada: UserId,
}

impl House {
    fn new() -> Self {
        let keys = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
        let users = Users::default();
        let ada = users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
        Self { kept: Arc::new(memory()), keys, users, ada }
    }

    fn open(
        &self,
        policy: Policy,
        store: impl Cells + 'static,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> TestGate {
        let (keys, users) = (Arc::clone(&self.keys), self.users.clone());
        over(policy, store, |gate| more(gate.keys(keys).accounts(users)))
    }

    fn open_again(&self, policy: Policy) -> TestGate {
        let gate = self.open(policy, Arc::clone(&self.kept), |gate| gate);
        gate.clock.advance(Duration::from_secs(60));
        gate
    }

    fn activated(&self, gate: &TestGate) -> String {
        gate.activate(&TestGate::tenant(), &self.ada, PASSWORD);
        cookie(gate, "ada", PASSWORD)
    }
}

/// An administrator voids the cookies; a copy of the store from before does not pass for the latest.
#[test]
fn a_copy_from_before_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = Installation::at(folder.path());
    let gate = at.open().unwrap();
    let ada = UserId::new("u-ada").unwrap();
    gate.activate(&TestGate::tenant(), &ada, PASSWORD);
    let old = cookie(&gate, "ada", PASSWORD);
    at.back_up("copy.db");
    forget(&gate, &ada);
    drop(gate);
    at.put_back("copy.db");
    assert!(at.open().is_err());
    // Put back on purpose, nothing counts that was made before.
    let gate = at.open_after_restore().unwrap();
    assert!(!is_known(&gate, PASSWORD, &old));
}

/// The counters have a store of their own, which may forget by the policy's word, and does.
#[test]
fn counters_that_were_lost_bring_none_back() {
    let rolls = ("may_roll_back = \"nothing\"", "may_roll_back = \"counters\"");
    let house = House::new();
    let open = || {
        let (policy, kept) = (policy(&[DEVICES, rolls]), Arc::clone(&house.kept));
        house.open(policy, kept, |gate| gate.counters(memory()))
    };
    let first = open();
    let old = house.activated(&first);
    forget(&first, &house.ada);
    assert!(!is_known(&first, PASSWORD, &old));
    drop(first);
    let second = open();
    second.clock.advance(Duration::from_secs(60));
    assert!(!is_known(&second, PASSWORD, &old));
    let new = cookie_of_known(&second, &house.ada);
    assert!(is_known(&second, PASSWORD, &new));
}

/// A cookie of a sign-in now, whatever strangers have done.
fn cookie_of_known(gate: &TestGate, ada: &UserId) -> String {
    unlock(gate, ada);
    cookie(gate, "ada", PASSWORD)
}

fn unlock(gate: &TestGate, ada: &UserId) {
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    block_on(operator.unlock(ada)).unwrap();
}

#[test]
fn a_password_that_was_replaced_while_no_devices_counted_voids_them() {
    let house = House::new();
    let first = house.open_again(with_devices());
    let old = house.activated(&first);
    drop(first);
    let second = house.open_again(policy(&[]));
    assert!(block_on(reset(&second, &house.ada)));
    drop(second);
    let third = house.open_again(with_devices());
    assert!(!is_known(&third, OTHER, &old));
}

/// One call to the store fails, or only its answer is lost, at any step of a reset: where the new
/// password works, cookies from before do not.
#[test]
fn a_fault_at_any_step_of_a_reset_leaves_none() {
    let mut replaced = 0;
    for how in [Fault::Before, Fault::After] {
        for at in 0.. {
            let calls = Arc::new(AtomicU64::new(u64::MAX / 2));
            let counted = Arc::clone(&calls);
            let store = FaultyStore::new(memory(), move |_| {
                (counted.fetch_add(1, Ordering::SeqCst) == at).then_some(how)
            });
            let gate = over(with_devices(), store, |gate| gate);
            let ada = gate.add("ada", "staff", PASSWORD);
            let old = cookie(&gate, "ada", PASSWORD);
            let reset = reset(&gate, &ada);
            calls.store(0, Ordering::SeqCst);
            block_on(reset);
            let ended = calls.swap(u64::MAX / 2, Ordering::SeqCst) <= at;
            gate.clock.advance(Duration::from_secs(60));
            if matches!(login(&gate, "ada", OTHER, TestGate::call()), Login::SignedIn(_)) {
                replaced += 1;
                assert!(!is_known(&gate, OTHER, &old), "{how:?} at {at}");
            }
            if ended {
                break;
            }
        }
    }
    assert!(replaced > 4);
}

/// The process ends at any step of a reset, and another one starts.
#[test]
fn a_crash_at_any_step_of_a_reset_leaves_none() {
    let mut replaced = 0;
    for how in [Fault::Before, Fault::After] {
        for at in 0.. {
            let house = House::new();
            let (calls, crash) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
            let (counted, crashes) = (Arc::clone(&calls), Arc::clone(&crash));
            let store = FaultyStore::new(Arc::clone(&house.kept), move |_| {
                if !crashes.load(Ordering::SeqCst) {
                    return None;
                }
                match counted.fetch_add(1, Ordering::SeqCst) {
                    call if call < at => None,
                    call if call == at => Some(how),
                    _ => Some(Fault::Before),
                }
            });
            let first = house.open(with_devices(), store, |gate| gate);
            let old = house.activated(&first);
            let reset = reset(&first, &house.ada);
            crash.store(true, Ordering::SeqCst);
            block_on(reset);
            let ended = calls.load(Ordering::SeqCst) <= at;
            drop(first);
            let second = house.open_again(with_devices());
            if matches!(login(&second, "ada", OTHER, TestGate::call()), Login::SignedIn(_)) {
                replaced += 1;
                assert!(!is_known(&second, OTHER, &old), "{how:?} at {at}");
            }
            if ended {
                break;
            }
        }
    }
    assert!(replaced > 4);
}

/// The caller goes away while the host's column is slow: the new password is in force.
#[test]
fn a_reset_that_is_dropped_at_the_column_leaves_none() {
    let column = Arc::new(Column::default());
    let gate = over(with_devices(), memory(), |gate| gate.credentials(Arc::clone(&column)));
    let ada = gate.add("ada", "staff", PASSWORD);
    let old = cookie(&gate, "ada", PASSWORD);
    let reset = reset(&gate, &ada);
    column.hangs.store(true, Ordering::SeqCst);
    until(reset, || column.reached.load(Ordering::SeqCst));
    column.hangs.store(false, Ordering::SeqCst);
    block_on(gate.gate.upkeep());
    let _session = gate.sign_in("ada", OTHER);
    assert!(!is_known(&gate, OTHER, &old));
}

#[test]
fn a_password_that_the_host_sets_leaves_none() {
    let column = Arc::new(Column::default());
    let gate = over(with_devices(), memory(), |gate| gate.credentials(Arc::clone(&column)));
    gate.add("ada", "staff", PASSWORD);
    let old = cookie(&gate, "ada", PASSWORD);
    *column.text.lock().unwrap() = Some(foreign(OTHER));
    let new = cookie(&gate, "ada", OTHER);
    assert!(!is_known(&gate, OTHER, &old));
    assert!(matches!(login(&gate, "ada", OTHER, with(&new)), Login::SignedIn(_)));
}

/// Counters that go away, or hang, when they are told to.
struct Moody {
    inner: MemoryStore,
    calls: AtomicU64,
    gone_from: AtomicU64,
    hangs: AtomicBool,
    reached: AtomicBool,
}

impl Moody {
    async fn answers(&self) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            self.reached.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        match self.calls.fetch_add(1, Ordering::SeqCst) >= self.gone_from.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("gone")),
            false => Ok(()),
        }
    }
}

impl Cells for Moody {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.answers().await?;
        self.inner.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.answers().await?;
        self.inner.swap(key, expected, put).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.answers().await?;
        self.inner.scan(space, after, limit).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.answers().await?;
        self.inner.sweep(now, limit).await
    }
}

/// The counters go away at any step of a reset. Where it went through, cookies are void at once; and that
/// the lock is off outlives an upkeep that is dropped while they hang.
#[test]
fn a_reset_without_the_counters_leaves_none_and_lifts_the_lock() {
    let mut left_for_later = 0;
    for at in 0.. {
        let counters = Arc::new(Moody {
            inner: memory(),
            calls: AtomicU64::new(0),
            gone_from: AtomicU64::new(u64::MAX),
            hangs: AtomicBool::new(false),
            reached: AtomicBool::new(false),
        });
        let gate = over(with_devices(), memory(), |gate| gate.counters(Arc::clone(&counters)));
        let ada = gate.add("ada", "staff", PASSWORD);
        let old = cookie(&gate, "ada", PASSWORD);
        for _ in 0..6 {
            let _ = refused(login(&gate, "ada", WRONG, TestGate::call()));
        }
        let reset = reset(&gate, &ada);
        let from = counters.calls.load(Ordering::SeqCst) + at;
        counters.gone_from.store(from, Ordering::SeqCst);
        let is_set = block_on(reset);
        let ended = counters.calls.load(Ordering::SeqCst) <= from;
        counters.gone_from.store(u64::MAX, Ordering::SeqCst);
        if is_set && !ended {
            left_for_later += 1;
            assert_eq!(
                refused(login(&gate, "ada", OTHER, with(&old))).code(),
                Code::Locked,
                "void, and the lock is still on"
            );
            counters.hangs.store(true, Ordering::SeqCst);
            until(gate.gate.upkeep(), || counters.reached.load(Ordering::SeqCst));
            counters.hangs.store(false, Ordering::SeqCst);
            block_on(gate.gate.upkeep());
        }
        if is_set {
            let _lock_is_off = gate.sign_in("ada", OTHER);
            assert!(!is_known(&gate, OTHER, &old), "{at}");
        }
        if ended {
            break;
        }
    }
    assert!(left_for_later > 0);
}

/// How far the clock steps, either way.
const STEPS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(600),
    Duration::from_secs(601),
    DAY,
    Duration::from_secs(181 * 86_400),
    Duration::from_secs(3_650 * 86_400),
];

/// Sign-ins, voidings and steps of the clock, in any order.
fn history(gate: &TestGate, ada: &UserId, seed: u64) -> (usize, usize) {
    let random = SeededEntropy::new(seed);
    let below = |n: usize| usize::try_from(random.below(n as u64)).unwrap();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let (mut password, mut void, mut good) = (PASSWORD, Vec::new(), Vec::new());
    let (mut voided, mut counted) = (0, 0);
    for _ in 0..8 {
        let now = gate.clock.now();
        match below(6) {
            0 => gate.clock.set(now.after(STEPS[below(STEPS.len())])),
            1 => gate.clock.set(now.before(STEPS[below(STEPS.len())])),
            2 => {
                forget(gate, ada);
                void.append(&mut good);
            }
            3 => {
                let new = if password == PASSWORD { OTHER } else { PASSWORD };
                let (purpose, link) = gate.invite(ada);
                let redeem = gate.gate.redeem(&tenant, purpose, &link, new.to_owned(), &call);
                // The clock of a link that was made in a time to come.
                if block_on(redeem).is_ok() {
                    password = new;
                    void.append(&mut good);
                }
            }
            _ => {}
        }
        unlock(gate, ada);
        let issued = gate.sign_in("ada", password);
        good.push(issued.device().unwrap().expose().to_owned());
        for cookie in &void {
            assert!(!is_known(gate, password, cookie), "{cookie} counts again in {seed}");
            voided += 1;
            unlock(gate, ada);
        }
        // The one that was just made.
        assert!(is_known(gate, password, good.last().unwrap()), "{seed}");
        counted += 1;
        unlock(gate, ada);
    }
    (voided, counted)
}

fn histories(store: impl Fn() -> AnyCells, count: u64) {
    let (mut voided, mut counted) = (0, 0);
    for seed in 0..count {
        let gate = over(with_devices(), store(), |gate| gate);
        let ada = gate.add("ada", "staff", PASSWORD);
        let seen = history(&gate, &ada, seed);
        (voided, counted) = (voided + seen.0, counted + seen.1);
    }
    println!("{voided} looks at void cookies, {counted} at good ones");
    assert!(voided > 5 * usize::try_from(count).unwrap());
}

#[test]
fn no_clock_brings_one_back_in_memory() {
    histories(|| AnyCells::new(memory()), runs(20, 2_000) as u64);
}

#[test]
fn no_clock_brings_one_back_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let number = AtomicU64::new(0);
    let store = || {
        let file = folder.path().join(format!("{}.db", number.fetch_add(1, Ordering::SeqCst)));
        let patient = Duration::from_secs(60);
        AnyCells::new(SqliteStore::builder(file).deadline(patient).open().unwrap())
    };
    histories(store, runs(4, 200) as u64);
}
