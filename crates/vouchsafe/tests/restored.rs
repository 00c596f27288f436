//! ST-11: a store that was put back from a copy is noticed, and what it forgot is not believed.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

#[path = "restored/installation.rs"]
mod installation;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use installation::{Cut, Installation, USERS, policy};
use vouchsafe::access_log::name;
use vouchsafe::core::{CellKey, Clock, Space, TenantId, Timestamp, UserId};
use vouchsafe::gate::{Code, GateBuilder, Login, OpenError, Policies, Purpose};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, Loaded, Put, StoreError, Swap, Version};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{ChildTest, SeededEntropy, TestGate, block_on, runs};

const PASSWORD: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";
const HOUR: Duration = Duration::from_secs(3_600);
/// Shorter than a session that nobody uses.
const A_WHILE: Duration = Duration::from_secs(300);
const FOLDER: &str = "VOUCHSAFE_RESTORED";

fn id(user: &str) -> UserId {
    UserId::new(&format!("u-{user}")).unwrap()
}

fn refused(gate: &TestGate, user: &str, password: &str) -> Code {
    match block_on(gate.login(user, password)) {
        Login::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    }
}

/// Asks for a link and follows it.
fn reset(gate: &TestGate, user: &str, password: &str) {
    block_on(gate.gate.request_reset(&TestGate::attempt(user))).unwrap();
    block_on(gate.gate.upkeep());
    let token = gate.mail.token().unwrap();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let set = gate.gate.redeem(&tenant, Purpose::Reset, &token, password.to_owned(), &call);
    block_on(set).unwrap();
}

fn disable(gate: &TestGate, user: &str) {
    let call = TestGate::call();
    let operator = gate.gate.operator(&TestGate::tenant(), name!("test"), &call).unwrap();
    block_on(operator.disable(&id(user))).unwrap();
}

/// Everybody has chosen a password.
fn populated(folder: &std::path::Path) -> Installation {
    let at = Installation::at(folder);
    let gate = at.open().unwrap();
    for user in USERS {
        gate.activate(&TestGate::tenant(), &id(user), PASSWORD);
    }
    at.clock.advance(HOUR);
    at
}

fn is_older(opened: Result<TestGate, OpenError>) -> (u64, u64) {
    match opened {
        Err(error @ OpenError::OlderStore { store, log, .. }) => {
            assert!(error.to_string().contains("after_restore"), "{error}");
            assert!(store < log, "{error}");
            (store, log)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it opened"),
    }
}

#[test]
fn a_copy_is_refused_until_what_it_forgot_is_void() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let gate = at.open().unwrap();
    let before =
        ["ada", "bob"].map(|user| gate.sign_in(user, PASSWORD).token().expose().to_owned());
    let (purpose, link) = gate.invite(&id("dee"));
    at.back_up("copy.db");
    at.clock.advance(A_WHILE);
    // Ada's password was known to somebody, and Cyd has left.
    reset(&gate, "ada", OTHER);
    disable(&gate, "cyd");
    let after = gate.sign_in("bob", PASSWORD).token().expose().to_owned();
    let bob = block_on(gate.gate.check(&tenant, &before[1], &call)).unwrap();
    block_on(gate.gate.sign_out(bob, &call)).unwrap();
    drop(gate);
    at.put_back("copy.db");

    let first = is_older(at.open());
    // Asking again changes nothing.
    assert_eq!(is_older(at.open()), first);
    let gate = at.open_after_restore().unwrap();
    let restored = gate.gate.restored().unwrap();
    let changed = ["ada", "cyd"].map(|user| (tenant.clone(), id(user)));
    assert_eq!(restored.users, changed);
    assert!(restored.since.is_some_and(|since| since < at.clock.now()));
    for token in [&before[0], &before[1], &after] {
        let checked = block_on(gate.gate.check(&tenant, token, &call));
        assert_eq!(checked.unwrap_err().code(), Code::NoSession);
    }
    let peeked = block_on(gate.gate.peek(&tenant, purpose, &link, &call));
    assert_eq!(peeked.unwrap_err().code(), Code::NoLink);
    // Neither the password that is too old nor the one that was lost: a link sets the next one.
    assert_eq!(refused(&gate, "ada", PASSWORD), Code::ResetRequired);
    assert_eq!(refused(&gate, "ada", OTHER), Code::ResetRequired);
    reset(&gate, "ada", "Silver-Teapot9");
    let _session = gate.sign_in("ada", "Silver-Teapot9");
    // Disabled again, whatever the copy says.
    assert_eq!(refused(&gate, "cyd", PASSWORD), Code::WrongCredentials);
    let operator = gate.gate.operator(&tenant, name!("test"), &call).unwrap();
    assert_eq!(block_on(operator.invite(&id("cyd"))).unwrap_err().code(), Code::Disabled);
    // Who changed nothing signs in.
    let listed = |gate: &TestGate, user| {
        let operator = gate.gate.operator(&tenant, name!("test"), &call).unwrap();
        let sessions = block_on(operator.sessions(&id(user))).unwrap();
        sessions.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    // What is void is in no list.
    assert_eq!(listed(&gate, "bob"), []);
    let kept = gate.sign_in("bob", PASSWORD);
    assert_eq!(listed(&gate, "bob"), [kept.principal().session().id]);
    let _session = gate.sign_in("dee", PASSWORD);
    drop(gate);

    // It is over: an ordinary start, and one that was left in by mistake.
    for open in [Installation::open, Installation::open_after_restore] {
        let gate = open(&at).unwrap();
        assert_eq!(gate.gate.restored(), None);
        block_on(gate.gate.check(&tenant, kept.token().expose(), &call)).unwrap();
        assert_eq!(listed(&gate, "bob"), [kept.principal().session().id]);
        let _session = gate.sign_in("ada", "Silver-Teapot9");
    }
    // And the copy is as old as before.
    at.put_back("copy.db");
    is_older(at.open());
}

#[test]
fn a_copy_of_this_moment_is_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let gate = at.open().unwrap();
    let session = gate.sign_in("ada", PASSWORD);
    at.back_up("early.db");
    block_on(gate.gate.close());
    drop(gate);
    at.back_up("late.db");
    at.put_back("late.db");
    let gate = at.open().unwrap();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    block_on(gate.gate.check(&tenant, session.token().expose(), &call)).unwrap();
    drop(gate);
    // Closed in order, nothing from before is the latest; nor is what was, once it was opened.
    for copy in ["early.db", "late.db"] {
        at.put_back(copy);
        is_older(at.open());
    }
}

/// What a copy must not bring back makes it older at once; an open gate does so every ten minutes.
#[test]
fn a_copy_is_older_as_soon_as_something_changed() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let changes: [&dyn Fn(&TestGate); 6] = [
        &|gate| reset(gate, "ada", OTHER),
        &|gate| disable(gate, "cyd"),
        &|gate| {
            let call = TestGate::call();
            let operator = gate.gate.operator(&TestGate::tenant(), name!("test"), &call).unwrap();
            block_on(operator.reclass(&id("dee"), "client")).unwrap();
        },
        &|gate| {
            let call = TestGate::call();
            let operator = gate.gate.operator(&TestGate::tenant(), name!("test"), &call).unwrap();
            block_on(operator.end_sessions(&id("bob"))).unwrap();
        },
        &|gate| {
            let session = gate.sign_in("bob", PASSWORD).principal().session().id;
            let call = TestGate::call();
            let operator = gate.gate.operator(&TestGate::tenant(), name!("test"), &call).unwrap();
            block_on(operator.end_session(&id("bob"), session)).unwrap();
        },
        &|gate| {
            gate.clock.advance(Duration::from_secs(600));
            block_on(gate.gate.upkeep());
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let gate = at.open().unwrap();
        let copy = format!("copy-{number}.db");
        at.back_up(&copy);
        change(&gate);
        let latest = format!("latest-{number}.db");
        at.back_up(&latest);
        drop(gate);
        at.put_back(&copy);
        is_older(at.open());
        at.put_back(&latest);
        drop(at.open().unwrap());
    }
}

/// A copy that went on elsewhere has numbers that the log has seen of another store: they do not say
/// since when it lacks something.
#[test]
fn a_copy_that_went_on_elsewhere_lacks_all_that_happened_here() {
    let scratch = tempfile::tempdir().unwrap();
    let (here, there) = (scratch.path().join("here"), scratch.path().join("there"));
    std::fs::create_dir(&here).unwrap();
    let at = populated(&here);
    drop(at.open().unwrap());
    copy_folder(&here, &there);
    let elsewhere = Installation { folder: there, clock: Arc::clone(&at.clock) };
    let gate = at.open().unwrap();
    reset(&gate, "ada", OTHER);
    for _ in 0..8 {
        gate.clock.advance(HOUR);
        block_on(gate.gate.upkeep());
    }
    drop(gate);
    for _ in 0..4 {
        drop(elsewhere.open().unwrap());
    }
    elsewhere.back_up("copy.db");
    std::fs::copy(elsewhere.file("copy.db"), at.file("copy.db")).unwrap();
    at.put_back("copy.db");
    is_older(at.open());
    let gate = at.open_after_restore().unwrap();
    let restored = gate.gate.restored().unwrap();
    assert!(restored.users.contains(&(TestGate::tenant(), id("ada"))), "{restored:?}");
    assert_eq!(restored.since, None);
    for password in [PASSWORD, OTHER] {
        assert_eq!(refused(&gate, "ada", password), Code::ResetRequired);
    }
}

/// What was promised since the copy was made has to be promised again; nothing else opens it.
#[test]
fn what_a_copy_was_not_promised_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    at.back_up("copy.db");
    let edited = |from: &str, to: &str| {
        let text = policy().to_toml();
        assert!(text.contains(from), "{text}");
        Policy::parse(&text.replace(from, to), "edited").unwrap()
    };
    let stricter = edited("failures = 5", "failures = 4");
    let later = edited("failures = 5", "failures = 3");
    let later = later.to_toml().replace("effective = 2018-04-09", "effective = 2030-01-01");
    let later = Policy::parse(&later, "later").unwrap();
    let other = TenantId::new("other").unwrap();
    let open = |served: &Policy, contracts: &[&Policy], other: Option<&TenantId>, restored| {
        let tenants = [Some(TestGate::tenant()), other.cloned()].into_iter().flatten();
        let policies: Policies = tenants.map(|tenant| (tenant, served.clone())).collect();
        at.open_serving(policies, at.store(), &Cut::never(), |gate: GateBuilder| {
            let gate = contracts
                .iter()
                .fold(gate, |gate, &contract| gate.contract(TestGate::tenant(), contract.clone()));
            if restored { gate.after_restore() } else { gate }
        })
    };
    let lost = |opened: Result<TestGate, OpenError>| match opened {
        Err(OpenError::LostBaseline { tenant, documents }) => (tenant, documents),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it opened"),
    };
    drop(open(&stricter, &[&stricter, &later], Some(&other), false).unwrap());
    at.put_back("copy.db");
    let mut both = [&stricter, &later].map(|promised| promised.digest().to_string());
    both.sort();
    let own = TestGate::tenant();
    // As it was, stricter without being asked to, under the older contract, half of it.
    let half = [later.digest().to_string()].to_vec();
    assert_eq!(lost(open(&policy(), &[], Some(&other), true)), (own.clone(), both.to_vec()));
    assert_eq!(lost(open(&stricter, &[], Some(&other), true)), (own.clone(), both.to_vec()));
    let older = open(&stricter, &[&policy()], Some(&other), true);
    assert_eq!(lost(older), (own.clone(), both.to_vec()));
    assert_eq!(lost(open(&stricter, &[&stricter], Some(&other), true)), (own, half));
    // A tenant of whom the copy knows nothing at all.
    let own = stricter.digest().to_string();
    assert_eq!(lost(open(&stricter, &[&stricter, &later], None, true)), (other.clone(), vec![own]));
    is_older(at.open());
    let gate = open(&stricter, &[&stricter, &later], Some(&other), true).unwrap();
    assert!(gate.gate.restored().is_some());
    drop(gate);
    let below = open(&policy(), &[], Some(&other), false);
    assert!(matches!(below, Err(OpenError::BelowBaseline { .. })), "{:?}", below.map(|_| ()));
}

/// Fails over to a copy of itself.
struct FailsOver(Arc<RwLock<Arc<SqliteStore>>>);

impl FailsOver {
    fn now(&self) -> Arc<SqliteStore> {
        Arc::clone(&self.0.read().unwrap())
    }
}

impl Cells for FailsOver {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.now().load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.now().swap(key, expected, put).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.now().scan(space, after, limit).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.now().sweep(now, limit).await
    }
}

#[test]
fn a_store_that_goes_back_under_an_open_gate_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let place = Arc::new(RwLock::new(Arc::new(at.store())));
    let store = FailsOver(Arc::clone(&place));
    let gate = at.open_over(store, &Cut::never(), |gate| gate).unwrap();
    at.back_up("copy.db");
    disable(&gate, "cyd");
    assert!(!block_on(gate.gate.upkeep()).store_went_back);
    let copy = SqliteStore::builder(at.file("copy.db")).deadline(Duration::from_secs(60));
    *place.write().unwrap() = Arc::new(copy.open().unwrap());
    at.clock.advance(Duration::from_secs(600));
    assert!(block_on(gate.gate.upkeep()).store_went_back);
    drop(gate);
    drop(place);
    // The copy is the store now.
    at.put_back("copy.db");
    is_older(at.open());
    assert_eq!(at.open_after_restore().unwrap().gate.restored().unwrap().users.len(), 1);
}

/// Killed after each of its writes, be it that the write or only its answer is lost.
#[test]
fn a_restore_that_is_cut_short_is_done_again() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("at");
    std::fs::create_dir(&folder).unwrap();
    let at = populated(&folder);
    let gate = at.open().unwrap();
    let session = gate.sign_in("bob", PASSWORD).token().expose().to_owned();
    at.back_up("copy.db");
    at.clock.advance(A_WHILE);
    reset(&gate, "ada", OTHER);
    disable(&gate, "cyd");
    drop(gate);
    at.put_back("copy.db");
    let mut refusals = 0;
    for late in [false, true] {
        for writes in 1.. {
            // As it was, each time.
            let again = scratch.path().join(format!("{late}-{writes}"));
            copy_folder(&folder, &again);
            let at = Installation { folder: again, clock: Arc::clone(&at.clock) };
            let cut = Cut::after(writes, late);
            let whole = at.open_over(at.store(), &cut, GateBuilder::after_restore).is_ok();
            match at.open() {
                Ok(_) => {}
                Err(OpenError::OlderStore { .. }) => {
                    refusals += 1;
                    assert!(!whole);
                    drop(at.open_after_restore().unwrap());
                }
                Err(error) => panic!("{error}"),
            }
            let gate = at.open().unwrap();
            let (tenant, call) = (TestGate::tenant(), TestGate::call());
            let checked = block_on(gate.gate.check(&tenant, &session, &call));
            assert_eq!(checked.unwrap_err().code(), Code::NoSession, "{late} {writes}");
            assert_eq!(refused(&gate, "ada", PASSWORD), Code::ResetRequired, "{late} {writes}");
            assert_eq!(refused(&gate, "cyd", PASSWORD), Code::WrongCredentials);
            let _session = gate.sign_in("bob", PASSWORD);
            if whole && !cut.is_over() {
                break;
            }
        }
    }
    assert!(refusals > 3, "it was cut short before its end, too");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    let made = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(made.unwrap().success());
}

/// Cut off after each write, whichever of store and log is then ahead: that is no copy.
#[test]
fn a_crash_is_never_taken_for_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let mut ended = 0;
    for late in [false, true] {
        for writes in 1.. {
            let cut = Cut::after(writes, late);
            if let Ok(gate) = at.open_over(at.store(), &cut, |gate| gate) {
                let call = TestGate::call();
                let operator = gate.gate.operator(&TestGate::tenant(), name!("test"), &call);
                let operator = operator.unwrap();
                for _ in 0..2 {
                    let _ = block_on(operator.disable(&id("cyd")));
                    let _ = block_on(operator.enable(&id("cyd")));
                }
                let _ = block_on(gate.gate.upkeep());
                let _ = block_on(gate.gate.close());
            }
            drop(at.open().unwrap_or_else(|error| panic!("{late} {writes}: {error}")));
            if !cut.is_over() {
                ended = writes;
                break;
            }
        }
    }
    assert!(ended > 10, "{ended} writes");
}

#[test]
fn kill_9_is_never_taken_for_a_copy() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let at = Installation::at(folder.as_ref());
        let gate = at.open().unwrap();
        ChildTest::say("open");
        let call = TestGate::call();
        let operator = gate.gate.operator(&TestGate::tenant(), name!("test"), &call).unwrap();
        loop {
            block_on(operator.disable(&id("cyd"))).unwrap();
            block_on(operator.enable(&id("cyd"))).unwrap();
            ChildTest::say("done");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let random = SeededEntropy::new(1);
    for _ in 0..runs(12, 300) {
        let test = "kill_9_is_never_taken_for_a_copy";
        let mut child = ChildTest::start(test, &[(FOLDER, &folder.path())]);
        child.line("open");
        for _ in 0..random.below(6) {
            child.line("done");
        }
        child.kill();
        drop(at.open().unwrap());
    }
}

/// A device cookie that was voided after the copy was made is void in the copy, too: all are.
#[test]
fn no_device_is_known_after_a_restore() {
    let folder = tempfile::tempdir().unwrap();
    let at = populated(folder.path());
    let gate = at.open().unwrap();
    let cookie = gate.sign_in("ada", PASSWORD).device().unwrap().expose().to_owned();
    at.back_up("copy.db");
    at.clock.advance(A_WHILE);
    reset(&gate, "bob", OTHER);
    drop(gate);
    at.put_back("copy.db");
    let gate = at.open_after_restore().unwrap();
    for _ in 0..5 {
        assert_eq!(refused(&gate, "ada", OTHER), Code::WrongCredentials);
    }
    let mut attempt = TestGate::attempt("ada");
    attempt.call = attempt.call.with_device(Some(cookie));
    match block_on(gate.gate.login(&attempt, PASSWORD.to_owned())) {
        Login::Refused(refused) => assert_eq!(refused.code(), Code::Locked),
        other => panic!("{other:?}"),
    }
}
