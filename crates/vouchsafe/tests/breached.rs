//! The list of breached passwords behind a gate: asked for, given, and changed while the gate is open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use vouchsafe::gate::{Login, Next, NotSet, OpenError};
use vouchsafe::password::{
    BreachBuilder, BreachError, BreachFilter, BreachKey, Breached, FingerprintBits, Password, Unmet,
};
use vouchsafe::policy::Policy;
use vouchsafe_store::MemoryStore;
use vouchsafe_testkit::{TestGate, block_on};

const ADA: &str = "ada@acme.example";
const FIRST: &str = "Brass-Lantern7-Harbour";
const SECOND: &str = "Copper-Kettle8-Harbour";
const THIRD: &str = "Silver-Anchor9-Harbour";

/// As a host that loads a newer list does it; without any, it fails.
#[derive(Clone, Default)]
struct List(Arc<Mutex<Option<BreachFilter>>>, Arc<Mutex<Vec<String>>>);

impl List {
    fn of(&self, breached: &str) {
        let out = Cursor::new(Vec::new());
        let mut builder = BreachBuilder::new(out, FingerprintBits::Sixteen, 1).unwrap();
        builder.push(BreachKey::of(&Password::new(breached.to_owned()).unwrap())).unwrap();
        let filter = BreachFilter::from_bytes(builder.finish().unwrap().0.into_inner()).unwrap();
        *self.0.lock().unwrap() = Some(filter);
    }

    fn fail(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Breached for List {
    fn is_breached(&self, password: &Password) -> Result<bool, BreachError> {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.1.lock().unwrap().push(thread);
        match &*self.0.lock().unwrap() {
            Some(filter) => filter.is_breached(password),
            None => Err(BreachError::Io(std::io::ErrorKind::NotFound)),
        }
    }
}

fn policy(refuses: bool) -> Policy {
    let text = Policy::preset("vouchsafe").unwrap().to_toml();
    let (off, on) = ("refuse_breached = false", "refuse_breached = true");
    let text = if refuses { text.replace(off, on) } else { text };
    assert!(text.contains(if refuses { on } else { off }));
    Policy::parse(&text, "test.toml").unwrap()
}

fn gate(policy: Policy, list: Option<List>) -> Result<TestGate, OpenError> {
    let policies = (TestGate::tenant(), policy);
    block_on(TestGate::over(policies, MemoryStore::new(1 << 24), |gate| match list {
        Some(list) => gate.breached(list),
        None => gate,
    }))
}

fn class() -> String {
    policy(false).classes().next().unwrap().0.to_string()
}

#[test]
fn a_policy_that_asks_for_a_list_opens_no_gate_without_one() {
    let refused = gate(policy(true), None).err().unwrap();
    assert!(
        matches!(&refused, OpenError::NoBreachList(t) if *t == TestGate::tenant()),
        "{refused}"
    );
    assert!(gate(policy(false), None).is_ok());
    assert!(gate(policy(true), Some(List::default())).is_ok());
}

#[test]
fn new_passwords_are_looked_up_and_so_are_those_of_sign_ins() {
    let list = List::default();
    list.of(FIRST);
    let gate = gate(policy(true), Some(list.clone())).unwrap();
    let user = gate.users.add(&TestGate::tenant(), "u-ada", &class(), &[ADA]);
    let redeem = |password: &str| {
        let (purpose, token) = gate.invite(&user);
        let call = TestGate::call();
        let tenant = TestGate::tenant();
        block_on(gate.gate.redeem(&tenant, purpose, &token, password.to_owned(), &call))
    };
    let unmet = |password: &str| match redeem(password).err().unwrap() {
        NotSet::Unmet(unmet) => unmet,
        other => panic!("{other:?}"),
    };
    assert_eq!(unmet(FIRST), [Unmet::Breached]);
    list.fail();
    assert_eq!(unmet(SECOND), [Unmet::NotScreened]);
    list.of(FIRST);
    assert!(redeem(SECOND).is_ok());
    drop(gate.sign_in(ADA, SECOND));

    // Nobody is kept out because a disk stands still.
    list.fail();
    drop(gate.sign_in(ADA, SECOND));

    // It got around: good for nothing but choosing another, which is looked up, too.
    list.of(SECOND);
    let change = || match block_on(gate.login(ADA, SECOND)) {
        Login::Next(Next::ChangePassword(change)) => change,
        other => panic!("{other:?}"),
    };
    match block_on(change().set(SECOND.to_owned())) {
        Err(NotSet::Unmet(unmet)) => assert_eq!(unmet, [Unmet::Breached]),
        other => panic!("{other:?}"),
    }
    block_on(change().set(THIRD.to_owned())).unwrap();
    let issued = gate.sign_in(ADA, THIRD);
    let call = TestGate::call();
    let by = gate.gate.by(issued.principal(), &call).unwrap();
    let typed = Password::new(SECOND.to_owned()).unwrap();
    assert_eq!(block_on(by.unmet(&user, &typed)).unwrap(), [Unmet::Breached]);
    // Nobody's thread stands still while a disk does.
    let asked = list.1.lock().unwrap().clone();
    assert!(asked.len() > 8, "{asked:?}");
    assert!(asked.iter().all(|thread| thread.starts_with("password-hash-")), "{asked:?}");
}

#[test]
fn a_policy_that_does_not_ask_has_nothing_looked_up() {
    let list = List::default();
    list.of(FIRST);
    let gate = gate(policy(false), Some(list.clone())).unwrap();
    gate.add(ADA, &class(), FIRST);
    list.fail();
    drop(gate.sign_in(ADA, FIRST));
}
