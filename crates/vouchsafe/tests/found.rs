//! What a hostile reader of the gate found, each kept as a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use vouchsafe::access_log::{Actor, Operation, Outcome, Target, name};
use vouchsafe::core::{CellKey, TenantId, UserId};
use vouchsafe::gate::{
    Acting, Attempt, Authenticated, Checked, Code, HostError, Login, Mail, NotSet, Notify,
    Policies, Purpose,
};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";
const DAY: Duration = Duration::from_secs(86_400);

fn zoomph() -> Policy {
    Policy::preset("zoomph-2018").unwrap()
}

fn gate() -> (TestGate, UserId) {
    let gate = TestGate::open(zoomph());
    let ada = gate.add("ada", "staff", PASSWORD);
    let _ = gate.recorded();
    (gate, ada)
}

fn with_operator<T>(gate: &TestGate, then: impl FnOnce(Acting<'_>) -> T) -> T {
    let call = TestGate::call();
    then(gate.gate.operator(&TestGate::tenant(), name!("console"), &call).unwrap())
}

fn check(gate: &TestGate, token: &str) -> Result<(), Code> {
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let checked = block_on(gate.gate.check(&tenant, token, &call));
    checked.map(|_| ()).map_err(|refused| refused.code())
}

fn authenticated(gate: &TestGate, attempt: &Attempt) -> Authenticated {
    let admitted = block_on(gate.gate.admit(attempt)).unwrap();
    match block_on(admitted.password(PASSWORD.to_owned())) {
        Checked::Authenticated(authenticated) => authenticated,
        other => panic!("{other:?}"),
    }
}

/// Nobody who was invited, disabled and enabled again, and never chose a password, is said to have had one
/// withdrawn.
#[test]
fn a_password_that_never_was_is_not_said_to_be_withdrawn() {
    let gate = TestGate::open(zoomph());
    let ada = gate.users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
    let _link = gate.invite(&ada);
    let code = || match block_on(gate.login("ada", PASSWORD)) {
        Login::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(), Code::WrongCredentials);
    with_operator(&gate, |by| block_on(by.disable(&ada)).unwrap());
    assert_eq!(code(), Code::WrongCredentials);
    with_operator(&gate, |by| block_on(by.enable(&ada)).unwrap());
    assert_eq!(code(), Code::WrongCredentials);
}

/// A clock that once stood years ahead must not keep sessions open, nor links alive, nor resets
/// refused, until that date.
#[test]
fn a_clock_that_once_stood_ahead_is_forgotten() {
    let (gate, ada) = gate();
    let now = vouchsafe::core::Clock::now(&*gate.clock);
    gate.clock.advance(DAY * 3_650);
    let _ = gate.sign_in("ada", PASSWORD);
    let (_, link) = gate.invite(&ada);
    gate.clock.set(now);
    let issued = gate.sign_in("ada", PASSWORD);
    gate.clock.advance(Duration::from_secs(29 * 60));
    check(&gate, issued.token().expose()).unwrap();
    gate.clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(check(&gate, issued.token().expose()), Err(Code::NoSession));
    gate.clock.advance(DAY * 2);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let peek = || block_on(gate.gate.peek(&tenant, Purpose::Reset, &link, &call));
    let _ = peek();
    gate.clock.advance(DAY * 2);
    assert_eq!(peek().unwrap_err().code(), Code::NoLink);
    block_on(gate.gate.request_reset(&TestGate::attempt("ada"))).unwrap();
    block_on(gate.gate.upkeep());
    assert_eq!(gate.mail.take().len(), 1);
}

/// A right password opens a session now or not at all, and none when all were ended meanwhile.
#[test]
fn a_checked_password_does_not_keep() {
    let (gate, ada) = gate();
    let attempt = TestGate::attempt("ada");
    let late = authenticated(&gate, &attempt);
    gate.clock.advance(Duration::from_secs(11));
    assert_eq!(block_on(late.open()).unwrap_err().code(), Code::NoSession);
    let in_time = authenticated(&gate, &attempt);
    gate.clock.advance(Duration::from_secs(10));
    block_on(in_time.open()).unwrap();
    let ended = authenticated(&gate, &attempt);
    with_operator(&gate, |operator| block_on(operator.end_sessions(&ada)).unwrap());
    assert_eq!(block_on(ended.open()).unwrap_err().code(), Code::NoSession);
    let reclassed = authenticated(&gate, &attempt);
    with_operator(&gate, |operator| block_on(operator.reclass(&ada, "client")).unwrap());
    assert_eq!(block_on(reclassed.open()).unwrap_err().code(), Code::NoSession);
}

/// A store whose swaps can be made to hang.
struct Hanging {
    inner: MemoryStore,
    hangs: Arc<AtomicBool>,
}

impl Cells for Hanging {
    vouchsafe_testkit::pass_on!(inner: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.swap(key, expected, put).await
    }
}

/// A caller who goes away between the record and the action leaves a correction behind.
#[test]
fn what_was_cut_short_is_corrected() {
    let hangs = Arc::new(AtomicBool::new(false));
    let store = Hanging { inner: MemoryStore::new(1 << 24), hangs: Arc::clone(&hangs) };
    let policies = (TestGate::tenant(), zoomph());
    let gate = block_on(TestGate::over(policies, store, |gate| gate)).unwrap();
    let ada = gate.add("ada", "staff", PASSWORD);
    let issued = gate.sign_in("ada", PASSWORD);
    let _ = gate.recorded();
    hangs.store(true, Ordering::SeqCst);
    with_operator(&gate, |operator| {
        let mut disable = pin!(operator.disable(&ada));
        assert!(disable.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    hangs.store(false, Ordering::SeqCst);
    check(&gate, issued.token().expose()).unwrap();
    assert_eq!(block_on(gate.gate.upkeep()).records, 1);
    let outcomes: Vec<_> = gate.recorded().into_iter().map(|r| (r.operation, r.outcome)).collect();
    let unknown = Outcome::Failed(name!("outcome.unknown"));
    let disabled = Operation::Disabled;
    let used = (Operation::SessionUsed, Outcome::Succeeded);
    assert_eq!(outcomes, [(disabled, Outcome::Succeeded), used, (disabled, unknown)]);
}

struct NoMail;

impl Notify for NoMail {
    async fn send(&self, _: Mail) -> Result<(), HostError> {
        Err(HostError::new("the mailer is down"))
    }
}

/// A mail that could not be sent is in the log, whoever asked for it.
#[test]
fn a_mailer_that_is_down_is_recorded() {
    let policies = (TestGate::tenant(), zoomph());
    let store = MemoryStore::new(1 << 24);
    let gate = block_on(TestGate::over(policies, store, |gate| gate.notify(NoMail))).unwrap();
    let tenant = TestGate::tenant();
    let ada = gate.users.add(&tenant, "u-ada", "staff", &["ada@acme.example"]);
    let _ = gate.recorded();
    let failed = Outcome::Failed(name!("mail.failed"));
    let invited = with_operator(&gate, |operator| block_on(operator.invite(&ada)));
    assert_eq!(invited.unwrap_err().code(), Code::NotSent);
    let last = |gate: &TestGate| gate.recorded().pop().map(|r| (r.operation, r.outcome));
    assert_eq!(last(&gate), Some((Operation::Invited, failed.clone())));
    block_on(gate.gate.request_reset(&TestGate::attempt("ada@acme.example"))).unwrap();
    block_on(gate.gate.upkeep());
    assert_eq!(last(&gate), Some((Operation::ResetRequested, failed)));
}

/// Ending the other sessions needs one of one's own: a thief who ends it first gains nothing, and
/// no record says the contrary.
#[test]
fn ending_the_others_without_a_session_fails_and_says_so() {
    let (gate, ada) = gate();
    let (mine, thief) = (gate.sign_in("ada", PASSWORD), gate.sign_in("ada", PASSWORD));
    let call = TestGate::call();
    let acting = gate.gate.by(mine.principal(), &call).unwrap();
    let theirs = gate.gate.by(thief.principal(), &call).unwrap();
    block_on(theirs.end_session(&ada, mine.principal().session().id)).unwrap();
    let _ = gate.recorded();
    assert_eq!(block_on(acting.end_other_sessions()).unwrap_err().code(), Code::NoSession);
    let outcomes: Vec<_> = gate.recorded().into_iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused(name!("session.none"))]);
}

/// The token that a browser already had is in no `Debug`.
#[test]
fn the_replaced_token_is_not_printed() {
    let (gate, _) = gate();
    let issued = gate.sign_in("ada", PASSWORD);
    let token = issued.token().expose().to_owned();
    let attempt = TestGate::attempt("ada").replacing(Some(token.clone()));
    let authenticated = authenticated(&gate, &attempt);
    assert!(!format!("{attempt:?}{authenticated:?}").contains(&token));
    block_on(authenticated.open()).unwrap();
    assert_eq!(check(&gate, &token), Err(Code::NoSession), "and its session has ended");
}

/// What is not hashed is counted, not written one by one.
#[test]
fn floods_of_what_costs_nothing_are_one_record() {
    let (gate, _) = gate();
    let long = "x".repeat(2_000);
    let before = gate.gate.work().runs;
    for number in 0..200_u8 {
        let mut attempt = TestGate::attempt("ada");
        attempt.call = TestGate::call_from("10.0.0.1");
        let login = block_on(gate.gate.login(&attempt, long.clone()));
        assert!(
            matches!(login, Login::Refused(r) if r.code() == Code::WrongCredentials),
            "{number}"
        );
    }
    assert_eq!(gate.gate.work().runs, before);
    assert_eq!(gate.recorded().len(), 1);
    for _ in 0..100 {
        block_on(gate.gate.request_reset(&TestGate::attempt("ada"))).unwrap();
    }
    assert_eq!(gate.recorded().len(), 2, "one link, and one count of those that came too soon");
    block_on(gate.gate.close());
    let counted = gate.recorded().into_iter().filter(|r| r.operation != Operation::GateClosed);
    assert_eq!(counted.map(|record| record.repeats.get()).sum::<u32>(), 199 + 98);
}

/// A reset is no way in for somebody who was never invited, and a disabled user gets no link.
#[test]
fn links_are_for_those_who_may_use_them() {
    let (gate, ada) = gate();
    let tenant = TestGate::tenant();
    let _ = gate.users.add(&tenant, "u-bob", "staff", &["bob@acme.example"]);
    block_on(gate.gate.request_reset(&TestGate::attempt("bob@acme.example"))).unwrap();
    block_on(gate.gate.upkeep());
    assert!(gate.mail.take().is_empty());
    with_operator(&gate, |operator| {
        block_on(operator.disable(&ada)).unwrap();
        assert_eq!(block_on(operator.invite(&ada)).unwrap_err().code(), Code::Disabled);
        let nobody = UserId::new("u-nobody").unwrap();
        assert_eq!(block_on(operator.unlock(&nobody)).unwrap_err().code(), Code::NoUser);
        assert_eq!(block_on(operator.end_sessions(&nobody)).unwrap_err().code(), Code::NoUser);
        assert_eq!(block_on(operator.reclass(&nobody, "staff")).unwrap_err().code(), Code::NoUser);
    });
    assert!(gate.mail.take().is_empty());
}

/// A principal is as good as its check: after its session's end it acts no more.
#[test]
fn a_principal_does_not_outlive_its_session() {
    let (gate, _) = gate();
    let issued = gate.sign_in("ada", PASSWORD);
    let call = TestGate::call();
    assert!(gate.gate.by(issued.principal(), &call).is_ok());
    gate.clock.advance(Duration::from_secs(30 * 60));
    let refused = gate.gate.by(issued.principal(), &call).unwrap_err();
    assert_eq!(refused.code(), Code::NoSession);
}

/// The class of whoever changed their password is the one on record, not the one from before.
#[test]
fn a_changed_password_opens_a_session_of_the_present_class() {
    let (gate, ada) = gate();
    let issued = gate.sign_in("ada", PASSWORD);
    with_operator(&gate, |operator| block_on(operator.reclass(&ada, "client")).unwrap());
    let call = TestGate::call();
    let acting = gate.gate.by(issued.principal(), &call).unwrap();
    let changed = block_on(acting.change_password(PASSWORD.to_owned(), OTHER.to_owned()));
    match changed {
        Ok(issued) => assert_eq!(issued.principal().class(), "client"),
        Err(NotSet::Refused(refused)) => panic!("{}", refused.code()),
        Err(NotSet::Unmet(unmet)) => panic!("{unmet:?}"),
    }
}

/// What the host does itself is recorded before, and corrected when it was not done: by whom it lost
/// a race to, by a caller who went away, or while the log does not answer.
#[test]
fn what_the_host_performs_is_corrected_when_it_fails() {
    let (gate, _) = gate();
    let said = |gate: &TestGate| -> Vec<_> {
        gate.recorded().into_iter().map(|r| (r.operation, r.outcome)).collect()
    };
    let campaign = || Target::entity(name!("campaign"), "spring").unwrap();
    let free = AtomicBool::new(true);
    let created = (Operation::Created, Outcome::Succeeded);
    let not = (Operation::Created, Outcome::Failed(name!("action.failed")));
    with_operator(&gate, |operator| {
        let insert = || {
            let action = async { free.swap(false, Ordering::SeqCst).then_some(7).ok_or("taken") };
            operator.perform(Operation::Created, campaign(), action)
        };
        assert_eq!(block_on(insert()).unwrap(), Ok(7));
        assert_eq!(said(&gate), vec![created.clone()]);
        for _ in 0..7 {
            assert_eq!(block_on(insert()).unwrap(), Err("taken"));
            assert_eq!(said(&gate), [created.clone(), not.clone()]);
        }
        {
            let hangs = std::future::pending::<Result<(), ()>>();
            let mut cut = pin!(operator.perform(Operation::Created, campaign(), hangs));
            assert!(cut.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        block_on(gate.gate.upkeep());
        let unknown = (Operation::Created, Outcome::Failed(name!("outcome.unknown")));
        assert_eq!(said(&gate), [created, unknown]);
    });
    assert_eq!(block_on(gate.gate.upkeep()).records, 0);
}

/// What one gate checked is nothing to another, of the same tenant's name or not.
#[test]
fn a_principal_of_another_gate_is_nobody() {
    let (ours, theirs) = (gate().0, TestGate::open(zoomph()));
    let bob = theirs.add("bob", "staff", PASSWORD);
    let issued = ours.sign_in("ada", PASSWORD);
    let ada = issued.principal();
    let _ = theirs.recorded();
    let call = TestGate::call();
    let no_session =
        |refused: vouchsafe::gate::Refused| assert_eq!(refused.code(), Code::NoSession);
    no_session(theirs.gate.by(ada, &call).map(|_| ()).unwrap_err());
    no_session(block_on(theirs.gate.sign_out(ada.clone(), &call)).unwrap_err());
    theirs.clock.advance(Duration::from_secs(60));
    block_on(theirs.gate.upkeep());
    let said = theirs.recorded();
    let refused =
        |r: &vouchsafe::access_log::Record| r.outcome == Outcome::Refused(name!("session.none"));
    let nobody =
        |r: &vouchsafe::access_log::Record| matches!(r.actor, Actor::Unauthenticated { .. });
    assert!(said.iter().all(|record| refused(record) && nobody(record)), "{said:#?}");
    assert_eq!(said.iter().map(|record| record.repeats.get()).sum::<u32>(), 2);
    // A clone, and the same gate at another time, are the same gate.
    let clock: Arc<dyn vouchsafe::core::Clock> = ours.clock.clone();
    for same in [ours.gate.clone(), ours.gate.at_clock(clock)] {
        assert!(same.by(ada, &call).is_ok());
    }
    with_operator(&theirs, |operator| block_on(operator.disable(&bob)).unwrap());
    block_on(ours.gate.sign_out(ada.clone(), &call)).unwrap();
}

/// One session seen everywhere leaves every other its first record of the minute, with its name.
#[test]
fn a_session_from_everywhere_takes_no_name_from_others() {
    const FLOOD: u32 = 16_384;
    let tenants = ["acme", "zenith"].map(|tenant| TenantId::new(tenant).unwrap());
    let policies: Policies = tenants.iter().map(|tenant| (tenant.clone(), zoomph())).collect();
    let gate = block_on(TestGate::over(policies, MemoryStore::new(1 << 24), |gate| gate)).unwrap();
    let _ada = gate.add("ada", "staff", PASSWORD);
    let _eve = gate.add("eve", "staff", PASSWORD);
    let bob = gate.users.add(&tenants[1], "u-bob", "staff", &["bob"]);
    gate.activate(&tenants[1], &bob, PASSWORD);
    let mut attempt = TestGate::attempt("bob");
    attempt.tenant = tenants[1].clone();
    let Login::SignedIn(bobs) = block_on(gate.gate.login(&attempt, PASSWORD.to_owned())) else {
        panic!()
    };
    let (adas, eves) = (gate.sign_in("ada", PASSWORD), gate.sign_in("eve", PASSWORD));
    let _ = gate.recorded();
    for number in 0..FLOOD {
        let call =
            TestGate::call_from(&format!("2001:db8:{:x}:{:x}::1", number >> 8, number & 0xff));
        block_on(gate.gate.check(&tenants[0], adas.token().expose(), &call)).unwrap();
    }
    let flood = gate.recorded();
    assert_eq!(flood.len(), 17, "16 blocks, and the first of all others");
    for (tenant, issued) in [(&tenants[0], &eves), (&tenants[1], &bobs)] {
        let call = TestGate::call_from("192.0.2.7");
        block_on(gate.gate.check(tenant, issued.token().expose(), &call)).unwrap();
        let actors: Vec<_> = gate.recorded().into_iter().map(|record| record.actor).collect();
        assert_eq!(actors, [Actor::User(issued.principal().user().clone())]);
    }
    gate.clock.advance(Duration::from_secs(60));
    block_on(gate.gate.upkeep());
    let counted = gate.recorded();
    let ada = Actor::User(adas.principal().user().clone());
    assert_eq!(
        counted.iter().map(|r| (&r.actor, r.repeats.get())).collect::<Vec<_>>(),
        [(&ada, FLOOD - 17)]
    );
}
