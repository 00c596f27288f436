//! LK-20: a way in that depends on nothing shared.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vouchsafe::access_log::{Actor, Operation, name};
use vouchsafe::core::SecretString;
use vouchsafe::crypto::RootKey;
use vouchsafe::gate::{BreakGlass, Code, Login};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

const PASSWORD: &str = "Correct-Horse-7";

/// A gate whose shared store can be switched off, with a break-glass door over `glass`.
fn gate(glass: Option<BreakGlass>) -> (TestGate, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let store = FaultyStore::new(MemoryStore::new(1 << 24), move |_| {
        is_down.load(Ordering::SeqCst).then_some(Fault::Before)
    });
    let policy = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let opened = TestGate::over(policy, store, |gate| match glass {
        Some(glass) => gate.break_glass(glass),
        None => gate,
    });
    (block_on(opened).unwrap(), down)
}

fn in_memory() -> BreakGlass {
    let entropy = SystemEntropy::new();
    BreakGlass::new(MemoryStore::new(1 << 20), &RootKey::generate(&entropy).unwrap(), entropy)
}

fn new_code(gate: &TestGate) -> String {
    let call = TestGate::call();
    let operator = gate.gate.operator(&TestGate::tenant(), name!("console"), &call).unwrap();
    block_on(operator.renew_break_glass()).unwrap().expose().to_owned()
}

fn enter(gate: &TestGate, code: &str) -> Result<(), Code> {
    let code = SecretString::new(code.to_owned());
    let call = TestGate::call();
    let entered = block_on(gate.gate.break_glass(&TestGate::tenant(), code, &call));
    entered.map(|_| ()).map_err(|refused| refused.code())
}

fn lock(gate: &TestGate, name: &str) {
    for _ in 0..5 {
        let Login::Refused(_) = block_on(gate.login(name, "wrong")) else { panic!("let in") };
    }
    let Login::Refused(refused) = block_on(gate.login(name, PASSWORD)) else { panic!("let in") };
    assert_eq!(refused.code(), Code::Locked);
}

#[test]
fn it_works_with_the_store_down_and_every_administrator_locked() {
    let (gate, down) = gate(Some(in_memory()));
    let ada = gate.add("ada@acme.example", "staff", PASSWORD);
    let code = new_code(&gate);
    lock(&gate, "ada@acme.example");
    down.store(true, Ordering::SeqCst);
    let Login::Refused(refused) = block_on(gate.login("ada@acme.example", PASSWORD)) else {
        panic!("let in")
    };
    assert_eq!(refused.code(), Code::Unavailable);
    let _earlier = gate.recorded();
    enter(&gate, &code).unwrap();
    let recorded = gate.recorded();
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].operation, Operation::SignedIn);
    assert_eq!(recorded[0].actor, Actor::Service(name!("break-glass")));
    // The store is back: whoever is inside lifts the locks.
    down.store(false, Ordering::SeqCst);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let acting = block_on(gate.gate.break_glass(&tenant, code.to_lowercase(), &call)).unwrap();
    block_on(acting.unlock(&ada)).unwrap();
    let _session = gate.sign_in("ada@acme.example", PASSWORD);
}

#[test]
fn wrong_codes_shut_it_for_a_minute_and_nobody_else() {
    let (gate, _) = gate(Some(in_memory()));
    let code = new_code(&gate);
    gate.add("ada@acme.example", "staff", PASSWORD);
    let mut almost = code.clone().into_bytes();
    almost[0] = if almost[0] == b'2' { b'3' } else { b'2' };
    let almost = String::from_utf8(almost).unwrap();
    for wrong in [almost.as_str(), "", "0000", &code[1..], &code.repeat(2)] {
        assert_eq!(enter(&gate, wrong), Err(Code::WrongCredentials));
    }
    assert_eq!(enter(&gate, &code), Err(Code::Locked), "the right one too");
    // Its count is its own.
    let _session = gate.sign_in("ada@acme.example", PASSWORD);
    gate.clock.advance(Duration::from_micros(59_999_999));
    assert_eq!(enter(&gate, &code), Err(Code::Locked));
    gate.clock.advance(Duration::from_micros(1));
    assert_eq!(enter(&gate, &code), Ok(()));
}

#[test]
fn a_new_code_voids_the_one_before_and_without_any_all_are_wrong() {
    let (gate, _) = gate(Some(in_memory()));
    assert_eq!(
        enter(&gate, "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ"),
        Err(Code::WrongCredentials)
    );
    let (first, second) = (new_code(&gate), new_code(&gate));
    assert_ne!(first, second);
    assert_eq!(enter(&gate, &first), Err(Code::WrongCredentials));
    assert_eq!(enter(&gate, &second), Ok(()));
    // Neither a code nor a part of one is in the records.
    let records = format!("{:?}", gate.recorded());
    assert!(!records.contains(&second[..9]) && !records.contains(&first[..9]));
    let (bare, _) = self::gate(None);
    assert_eq!(enter(&bare, &second), Err(Code::WrongCredentials));
}

/// On a file of this machine's own, under a key of its own.
#[test]
fn it_outlives_the_process_and_opens_with_its_own_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("glass.db");
    let open = |root: &RootKey| {
        BreakGlass::new(
            SqliteStore::builder(&file).deadline(Duration::from_secs(60)).open().unwrap(),
            root,
            SystemEntropy::new(),
        )
    };
    let root = RootKey::generate(&SystemEntropy::new()).unwrap();
    let (first, _) = gate(Some(open(&root)));
    let code = new_code(&first);
    drop(first);
    let (again, _) = gate(Some(open(&root)));
    assert_eq!(enter(&again, &code), Ok(()));
    drop(again);
    let other = RootKey::generate(&SystemEntropy::new()).unwrap();
    let (strange, _) = gate(Some(open(&other)));
    assert_eq!(enter(&strange, &code), Err(Code::Corrupt));
}
