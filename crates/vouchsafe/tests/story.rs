//! The life of an account through the gate, and the record of each step.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::time::Duration;

use vouchsafe::access_log::{Actor, Operation, Outcome, Record};
use vouchsafe::gate::{Code, Login, Next, NotSet, Purpose};
use vouchsafe::policy::Policy;
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";

fn zoomph() -> TestGate {
    TestGate::open(Policy::preset("zoomph-2018").unwrap())
}

fn only(gate: &TestGate) -> Record {
    let mut records = gate.recorded();
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)
}

fn refused(login: Login) -> Code {
    match login {
        Login::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    }
}

/// FA-2: each call one record, with what it was, who did it and how it ended.
#[test]
fn every_step_writes_its_record() {
    let gate = zoomph();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let opened: Vec<_> = gate.recorded().iter().map(|record| record.operation).collect();
    let loaded = Operation::PolicyLoaded;
    assert_eq!(opened, [loaded, loaded, Operation::GateOpened], "the baseline and what it is of");

    let ada = gate.users.add(&tenant, "u-ada", "staff", &["ada@acme.example", "ada"]);
    let (purpose, token) = gate.invite(&ada);
    assert_eq!(purpose, Purpose::Activation);
    let record = only(&gate);
    assert_eq!((record.operation, &record.outcome), (Operation::Invited, &Outcome::Succeeded));
    assert!(matches!(record.actor, Actor::Service(_)));

    // SE-14: before a password is set there is nothing that lets her in.
    assert_eq!(refused(block_on(gate.login("ada", PASSWORD))), Code::WrongCredentials);
    assert_eq!(only(&gate).operation, Operation::SignInRefused);

    // SE-13: looking changes nothing, a rejected password keeps the link, using it uses it up.
    for _ in 0..100 {
        let view = block_on(gate.gate.peek(&tenant, purpose, &token, &call)).unwrap();
        assert_eq!(view.account.user, ada);
    }
    assert_eq!(only(&gate).operation, Operation::Read, "the first look; the others are counted");
    match block_on(gate.gate.redeem(&tenant, purpose, &token, "short".to_owned(), &call)) {
        Err(NotSet::Unmet(unmet)) => assert!(unmet.len() >= 3, "{unmet:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(only(&gate).outcome, Outcome::Refused("password.unmet".to_owned().try_into_name()));
    block_on(gate.gate.redeem(&tenant, purpose, &token, PASSWORD.to_owned(), &call)).unwrap();
    let record = only(&gate);
    assert_eq!((record.operation, record.actor), (Operation::Activated, Actor::User(ada.clone())));
    let again = block_on(gate.gate.redeem(&tenant, purpose, &token, OTHER.to_owned(), &call));
    assert!(matches!(again, Err(NotSet::Refused(refused)) if refused.code() == Code::NoLink));
    assert_eq!(only(&gate).operation, Operation::LinkRefused);

    let issued = gate.sign_in("ada@acme.example", PASSWORD);
    let record = only(&gate);
    assert_eq!((record.operation, &record.outcome), (Operation::SignedIn, &Outcome::Succeeded));
    assert_eq!(record.policy, gate.gate.policy(&tenant).unwrap().digest());

    let principal = block_on(gate.gate.check(&tenant, issued.token().expose(), &call)).unwrap();
    assert_eq!((principal.user(), principal.class()), (&ada, "staff"));
    let record = only(&gate);
    assert_eq!(
        (record.operation, record.actor),
        (Operation::SessionUsed, Actor::User(ada.clone()))
    );

    let acting = gate.gate.by(&principal, &call).unwrap();
    let changed = block_on(acting.change_password(PASSWORD.to_owned(), OTHER.to_owned())).unwrap();
    assert_eq!(only(&gate).operation, Operation::PasswordChanged);
    // SE-5, SE-9: the session from before is dead, the new one lives.
    let old = block_on(gate.gate.check(&tenant, issued.token().expose(), &call));
    assert_eq!(old.unwrap_err().code(), Code::NoSession);
    assert_eq!(only(&gate).operation, Operation::SessionRefused);
    let principal = block_on(gate.gate.check(&tenant, changed.token().expose(), &call)).unwrap();
    assert_eq!(only(&gate).operation, Operation::SessionUsed);

    block_on(gate.gate.sign_out(principal, &call)).unwrap();
    assert_eq!(only(&gate).operation, Operation::SignedOut);
    assert!(block_on(gate.gate.check(&tenant, changed.token().expose(), &call)).is_err());
    let _ = gate.recorded();

    // The try before she had a password was forgiven when she showed the link.
    for attempt in 1..=5 {
        assert_eq!(refused(block_on(gate.login("ada", "Wrong-Guess9"))), Code::WrongCredentials);
        gate.clock.advance(Duration::from_secs(60));
        let expected = if attempt == 5 { Operation::Locked } else { Operation::SignInRefused };
        assert_eq!(only(&gate).operation, expected);
    }
    let locked = match block_on(gate.login("ada", OTHER)) {
        Login::Refused(refused) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(locked.code(), Code::Locked);
    assert_eq!(locked.clause().map(ToString::to_string).as_deref(), Some("Z7.6"));
    assert_eq!(only(&gate).clause.map(|c| c.to_string()).as_deref(), Some("Z7.6"));

    let operator =
        gate.gate.operator(&tenant, vouchsafe::access_log::name!("console"), &call).unwrap();
    assert!(block_on(operator.lock(&ada)).unwrap().is_some());
    assert_eq!(only(&gate).operation, Operation::Read);
    block_on(operator.unlock(&ada)).unwrap();
    assert_eq!(only(&gate).operation, Operation::Unlocked);
    assert!(block_on(operator.lock(&ada)).unwrap().is_none());
    let _ = gate.sign_in("ada", OTHER);
}

trait IntoName {
    fn try_into_name(self) -> vouchsafe::access_log::Name;
}

impl IntoName for String {
    fn try_into_name(self) -> vouchsafe::access_log::Name {
        vouchsafe::access_log::Name::new(self).unwrap()
    }
}

/// SE-1 through the gate: an idle session ends after 30 minutes, and says by which promise.
#[test]
fn an_idle_session_ends_after_thirty_minutes() {
    let gate = zoomph();
    gate.add("ada", "staff", PASSWORD);
    let issued = gate.sign_in("ada", PASSWORD);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let check = || block_on(gate.gate.check(&tenant, issued.token().expose(), &call));
    gate.clock.advance(Duration::from_secs(29 * 60));
    check().unwrap();
    gate.clock.advance(Duration::from_secs(30 * 60) - Duration::from_micros(1));
    check().unwrap();
    gate.clock.advance(Duration::from_secs(30 * 60));
    let refused = check().unwrap_err();
    assert_eq!(refused.code(), Code::NoSession);
    assert_eq!(refused.clause().map(ToString::to_string).as_deref(), Some("Z7.7"));
}

/// PW-15: a password that today's rule refuses may be changed and nothing else.
#[test]
fn a_password_below_the_rule_can_only_be_changed() {
    let gate = zoomph();
    let ada = gate.add("ada", "staff", PASSWORD);
    // Her name is now part of the password: what it must not be made of has changed.
    gate.users.change(&TestGate::tenant(), &ada, |account| {
        account.attributes.push("Brass Lantern".to_owned());
    });
    let change = match block_on(gate.login("ada", PASSWORD)) {
        Login::Next(Next::ChangePassword(change)) => change,
        other => panic!("{other:?}"),
    };
    assert!(matches!(block_on(change.set("short".to_owned())), Err(NotSet::Unmet(_))));
    let change = match block_on(gate.login("ada", PASSWORD)) {
        Login::Next(Next::ChangePassword(change)) => change,
        other => panic!("{other:?}"),
    };
    block_on(change.set(OTHER.to_owned())).unwrap();
    let _ = gate.sign_in("ada", OTHER);
    assert_eq!(refused(block_on(gate.login("ada", PASSWORD))), Code::WrongCredentials);
}

/// SE-9: disabling ends sessions at the next check; a lockout never does.
#[test]
fn disabling_ends_sessions_and_a_lockout_does_not() {
    let gate = zoomph();
    let ada = gate.add("ada", "staff", PASSWORD);
    let issued = gate.sign_in("ada", PASSWORD);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let check = || block_on(gate.gate.check(&tenant, issued.token().expose(), &call));
    for _ in 0..6 {
        let _ = refused(block_on(gate.login("ada", "Wrong-Guess9")));
    }
    assert_eq!(refused(block_on(gate.login("ada", PASSWORD))), Code::Locked);
    check().unwrap();
    let name = vouchsafe::access_log::name!("console");
    let operator = gate.gate.operator(&tenant, name, &call).unwrap();
    block_on(operator.disable(&ada)).unwrap();
    assert_eq!(check().unwrap_err().code(), Code::NoSession);
    block_on(operator.unlock(&ada)).unwrap();
    assert_eq!(refused(block_on(gate.login("ada", PASSWORD))), Code::WrongCredentials);
    block_on(operator.enable(&ada)).unwrap();
    assert_eq!(check().unwrap_err().code(), Code::NoSession, "what was ended stays ended");
    let _ = gate.sign_in("ada", PASSWORD);
}

/// SE-13: what a stranger asks for does not say whether the account exists, nor end a link.
#[test]
fn asking_for_a_reset_tells_nothing_and_kills_nothing() {
    let gate = zoomph();
    let ada = gate.add("ada", "staff", PASSWORD);
    let _ = gate.recorded();
    let ask = |name: &str| {
        let asked = block_on(gate.gate.request_reset(&TestGate::attempt(name)));
        block_on(gate.gate.upkeep());
        asked
    };
    ask("ada").unwrap();
    let first = gate.mail.token().unwrap();
    assert_eq!(only(&gate).operation, Operation::ResetRequested);
    for _ in 0..3 {
        ask("ada").unwrap();
        ask("zoe").unwrap();
    }
    assert!(gate.mail.take().is_empty(), "not before the resend floor");
    for _ in 0..3 {
        gate.clock.advance(Duration::from_secs(301));
        ask("ada").unwrap();
    }
    assert_eq!(gate.mail.take().len(), 2, "three live links at most");
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let redeem = gate.gate.redeem(&tenant, Purpose::Reset, &first, OTHER.to_owned(), &call);
    assert_eq!(block_on(redeem).unwrap().user, ada);
    let _ = gate.sign_in("ada", OTHER);
}
