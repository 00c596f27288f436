//! LK-20: a lock is lifted by an administrator, by a link, and by a new password.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe::access_log::{Operation, name};
use vouchsafe::core::UserId;
use vouchsafe::gate::{Code, Login, Mail, NotSet, Purpose};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

const PASSWORD: &str = "Correct-Horse-7";
const OTHER: &str = "Different-Horse-8";

fn code(login: Login) -> Code {
    match login {
        Login::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    }
}

fn lock(gate: &TestGate, name: &str) {
    for _ in 0..5 {
        assert_eq!(code(block_on(gate.login(name, "wrong"))), Code::WrongCredentials);
    }
    assert!(is_locked(gate, name));
}

fn is_locked(gate: &TestGate, name: &str) -> bool {
    match block_on(gate.login(name, PASSWORD)) {
        Login::SignedIn(_) => false,
        refused => code(refused) == Code::Locked,
    }
}

fn gate() -> (TestGate, UserId) {
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    let ada = gate.add("ada@acme.example", "staff", PASSWORD);
    (gate, ada)
}

fn token(mail: &Mail) -> String {
    mail.link.expose().rsplit('/').next().unwrap().to_owned()
}

/// Asks for a link of the kind, and takes it out of the mail.
fn link(gate: &TestGate, purpose: Purpose) -> String {
    let attempt = TestGate::attempt("ada@acme.example");
    let asked = match purpose {
        Purpose::Unlock => block_on(gate.gate.request_unlock(&attempt)),
        _ => block_on(gate.gate.request_reset(&attempt)),
    };
    asked.unwrap();
    block_on(gate.gate.upkeep());
    let mails = gate.mail.take();
    assert_eq!((mails.len(), mails[0].purpose), (1, purpose));
    assert_eq!(mails[0].to, "ada@acme.example");
    token(&mails[0])
}

#[test]
fn a_link_unlocks_once() {
    let (gate, ada) = gate();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    lock(&gate, "ada@acme.example");
    let unlock = link(&gate, Purpose::Unlock);
    let view = block_on(gate.gate.peek(&tenant, Purpose::Unlock, &unlock, &call)).unwrap();
    assert_eq!((view.account.user, view.purpose), (ada.clone(), Purpose::Unlock));
    assert!(is_locked(&gate, "ada@acme.example"), "looking at it changes nothing");
    let _earlier = gate.recorded();
    assert_eq!(block_on(gate.gate.unlock(&tenant, &unlock, &call)).unwrap(), ada);
    let recorded: Vec<_> = gate.recorded().into_iter().map(|record| record.operation).collect();
    assert_eq!(recorded, [Operation::Unlocked]);
    assert!(!is_locked(&gate, "ada@acme.example"));
    // Used up: the next lock stays.
    lock(&gate, "ada@acme.example");
    let again = block_on(gate.gate.unlock(&tenant, &unlock, &call)).unwrap_err();
    assert_eq!(again.code(), Code::NoLink);
    assert!(is_locked(&gate, "ada@acme.example"));
}

#[test]
fn a_new_password_unlocks() {
    let (gate, _) = gate();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    lock(&gate, "ada@acme.example");
    let reset = link(&gate, Purpose::Reset);
    block_on(gate.gate.redeem(&tenant, Purpose::Reset, &reset, OTHER.to_owned(), &call)).unwrap();
    let _session = gate.sign_in("ada@acme.example", OTHER);
}

#[test]
fn an_administrator_unlocks() {
    let (gate, ada) = gate();
    lock(&gate, "ada@acme.example");
    let call = TestGate::call();
    let operator = gate.gate.operator(&TestGate::tenant(), name!("console"), &call).unwrap();
    block_on(operator.unlock(&ada)).unwrap();
    assert!(!is_locked(&gate, "ada@acme.example"));
}

/// Each kind of link does what it is for, and nothing else; whoever asks learns nothing.
#[test]
fn links_of_other_kinds_do_not_unlock_nor_set_a_password() {
    let (gate, _) = gate();
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    lock(&gate, "ada@acme.example");
    let (unlock, reset) = (link(&gate, Purpose::Unlock), link(&gate, Purpose::Reset));
    for purpose in [Purpose::Unlock, Purpose::Reset, Purpose::Activation] {
        let set = gate.gate.redeem(&tenant, purpose, &unlock, OTHER.to_owned(), &call);
        match block_on(set).unwrap_err() {
            NotSet::Refused(refused) => assert_eq!(refused.code(), Code::NoLink),
            unmet => panic!("{unmet:?}"),
        }
    }
    let refused = block_on(gate.gate.unlock(&tenant, &reset, &call)).unwrap_err();
    assert_eq!(refused.code(), Code::NoLink);
    assert!(is_locked(&gate, "ada@acme.example"));
    block_on(gate.gate.request_unlock(&TestGate::attempt("nobody@acme.example"))).unwrap();
    block_on(gate.gate.upkeep());
    assert!(gate.mail.take().is_empty());
}

/// Wherever the store stops answering: no link unlocks and stays good, whoever is told that it
/// unlocked finds it so, and a link that is used up has unlocked in the end, unless the answer to
/// its use was lost.
#[test]
fn a_used_link_has_unlocked_whatever_fails() {
    let (mut used, mut unused) = (0, 0);
    for fault in [Fault::Before, Fault::After] {
        for at in 0..40 {
            let fails = Arc::new(AtomicU64::new(u64::MAX));
            let plan = Arc::clone(&fails);
            let store = FaultyStore::new(MemoryStore::new(1 << 24), move |_| {
                let count = |n: u64| if n == u64::MAX { None } else { n.checked_sub(1) };
                match plan.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) {
                    Ok(_) => None,
                    Err(u64::MAX) => None,
                    Err(_) => Some(fault),
                }
            });
            let policy = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
            let gate = block_on(TestGate::over(policy, store, |gate| gate)).unwrap();
            let _ada = gate.add("ada@acme.example", "staff", PASSWORD);
            lock(&gate, "ada@acme.example");
            let unlock = link(&gate, Purpose::Unlock);
            fails.store(at, Ordering::SeqCst);
            let told =
                block_on(gate.gate.unlock(&TestGate::tenant(), &unlock, &TestGate::call())).is_ok();
            fails.store(u64::MAX, Ordering::SeqCst);
            block_on(gate.gate.upkeep());
            let (tenant, call) = (TestGate::tenant(), TestGate::call());
            let works = block_on(gate.gate.peek(&tenant, Purpose::Unlock, &unlock, &call)).is_ok();
            let locked = is_locked(&gate, "ada@acme.example");
            assert!(locked || !works, "{fault:?} from call {at}: unlocked, and still good");
            assert!(!locked || !told, "{fault:?} from call {at}: told, and locked");
            assert!(
                !locked || works || matches!(fault, Fault::After),
                "used up for nothing from call {at}"
            );
            if works { unused += 1 } else { used += 1 }
        }
    }
    assert!(used > 10 && unused > 10, "{used} used, {unused} not");
}
