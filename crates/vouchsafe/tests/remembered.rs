//! PW-14, PW-11 and LK-27 at the gate: passwords that were used before, and records under a pepper.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

#[path = "column/memory.rs"]
mod column;

use std::sync::Arc;

use column::{Column, foreign};
use vouchsafe::core::{AccountDigest, UserId};
use vouchsafe::crypto::RootKey;
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Code, Issued, Login, Next, NotSet, Purpose, Refused};
use vouchsafe::os::{SystemClock, SystemEntropy};
use vouchsafe::password::{
    Attributes, Binding, HashPolicy, HashPool, OwnerPresent, Password, PasswordError,
    PasswordPolicy, Peppers, PoolConfig, Stored, Unmet,
};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{TestGate, block_on};

/// Zoomph's, which remembers this many passwords.
fn policy(remember: u8) -> Policy {
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    assert!(text.contains("remember = 0"));
    Policy::parse(&text.replace("remember = 0", &format!("remember = {remember}")), "test").unwrap()
}

fn numbered(number: u32) -> String {
    format!("Brass-Lantern7{number}")
}

fn change(gate: &TestGate, issued: &Issued, old: u32, new: u32) -> Result<Issued, NotSet> {
    let call = TestGate::call();
    let by = gate.gate.by(issued.principal(), &call).unwrap();
    block_on(by.change_password(numbered(old), numbered(new)))
}

fn reset(gate: &TestGate, new: u32) -> Result<(), NotSet> {
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    gate.clock.advance(std::time::Duration::from_secs(25 * 3_600));
    block_on(gate.gate.request_reset(&TestGate::attempt("ada"))).unwrap();
    block_on(gate.gate.upkeep());
    let token = gate.mail.token().unwrap();
    let redeem = gate.gate.redeem(&tenant, Purpose::Reset, &token, numbered(new), &call);
    block_on(redeem).map(|_| ())
}

fn is_reused<T: std::fmt::Debug>(set: Result<T, NotSet>) -> bool {
    match set {
        Ok(_) => false,
        Err(NotSet::Unmet(unmet)) => {
            assert_eq!(unmet, [Unmet::Reused]);
            true
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// By its owner's change or by a mailed link: the last four are refused, and the fifth is not.
#[test]
fn the_last_passwords_are_not_taken_again_by_any_door() {
    let gate = TestGate::open(policy(4));
    gate.add("ada", "staff", &numbered(0));
    let mut issued = gate.sign_in("ada", &numbered(0));
    for new in 1..=4 {
        assert!(is_reused(change(&gate, &issued, new - 1, new - 1)), "{new}");
        issued = change(&gate, &issued, new - 1, new).unwrap();
    }
    for old in 1..=4 {
        assert!(is_reused(change(&gate, &issued, 4, old)), "{old} by its owner");
    }
    for old in 1..=4 {
        assert!(is_reused(reset(&gate, old)), "{old} by a link");
    }
    assert!(!is_reused(reset(&gate, 0)));
    let issued = gate.sign_in("ada", &numbered(0));
    assert!(is_reused(change(&gate, &issued, 0, 4)));
    assert!(!is_reused(change(&gate, &issued, 0, 1)));
}

#[test]
fn where_nothing_is_remembered_everything_is_taken() {
    let gate = TestGate::open(policy(0));
    gate.add("ada", "staff", &numbered(0));
    let issued = gate.sign_in("ada", &numbered(0));
    assert!(!is_reused(change(&gate, &issued, 0, 0)));
    assert!(!is_reused(reset(&gate, 0)));
}

/// What stands in the host's column without a pepper is no use for guessing at what was used before: a
/// pool without the gate's key cannot so much as compare.
#[test]
fn what_a_gate_remembers_is_keyed() {
    let column = Arc::new(Column::default());
    let opened =
        TestGate::over((TestGate::tenant(), policy(4)), MemoryStore::new(1 << 24), |gate| {
            gate.credentials(Arc::clone(&column))
        });
    let gate = block_on(opened).unwrap();
    let ada = gate.add("ada", "staff", &numbered(0));
    let issued = gate.sign_in("ada", &numbered(0));
    let issued = change(&gate, &issued, 0, 1).unwrap();
    assert!(is_reused(change(&gate, &issued, 1, 0)));
    let text = column.text.lock().unwrap().clone().unwrap();
    assert!(text.contains(":-:$argon2id$"), "under no pepper: {text}");

    let config = PoolConfig::new(HashPolicy::danger_below_floor(8, 1).unwrap()).workers(1);
    let entropy = Arc::new(SystemEntropy::new());
    let alone = HashPool::new(config, Arc::new(SystemClock), entropy).unwrap();
    let rule = PasswordPolicy::builder().refuse_common(false).remember(4).build().unwrap();
    let typed = Password::new(numbered(0)).unwrap();
    let accepted = rule.check(&typed, &Attributes::none()).unwrap();
    let owner = OwnerPresent::assertion(AccountDigest::new([7; 16]));
    let binding = Binding::new(&TestGate::tenant(), &ada);
    let replaced = alone.replace(accepted, owner, binding, Stored::read(Some(&text))).wait();
    assert_eq!(replaced.err(), Some(PasswordError::PreviousKey));
}

/// Replaced by whoever has just shown it: one that the host has set is known afterwards.
#[test]
fn a_password_that_is_due_is_known_once_it_was_changed() {
    let column = Arc::new(Column::default());
    let policies = (TestGate::tenant(), policy(4));
    let opened = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| {
        gate.credentials(Arc::clone(&column))
    });
    let gate = block_on(opened).unwrap();
    gate.add("ada", "staff", &numbered(9));
    let due = format!("vouchsafe:1:change:free:raw:-:{}", foreign(&numbered(0)));
    *column.text.lock().unwrap() = Some(due);
    let Login::Next(Next::ChangePassword(due)) = block_on(gate.login("ada", &numbered(0))) else {
        panic!("it is not due")
    };
    block_on(due.set(numbered(1))).unwrap();
    let issued = gate.sign_in("ada", &numbered(1));
    assert!(is_reused(change(&gate, &issued, 1, 0)));
}

/// The column outlives the keyring: its owner signs in, and what was used before cannot be compared with.
/// That is no outage, which would pass.
#[test]
fn what_cannot_be_compared_with_is_told_as_such() {
    let column = Arc::new(Column::default());
    let open = || {
        let policies = (TestGate::tenant(), policy(4));
        let opened = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| {
            gate.credentials(Arc::clone(&column))
        });
        block_on(opened).unwrap()
    };
    open().add("ada", "staff", &numbered(0));
    let later = open();
    let ada = later.users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
    let issued = later.sign_in("ada", &numbered(0));
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let (purpose, link) = later.invite(&ada);
    let by_link = || later.gate.redeem(&tenant, purpose, &link, numbered(1), &call);
    for set in [change(&later, &issued, 0, 1).map(|_| ()), block_on(by_link()).map(|_| ())] {
        let told = matches!(&set, Err(NotSet::Refused(refused)) if refused.code() == Code::Corrupt);
        assert!(told, "{set:?}");
    }
    let _still = later.sign_in("ada", &numbered(0));
}

/// A gate over the same store each time, with these peppers.
struct House {
    store: Arc<MemoryStore>,
    keyring: Arc<Keyring>,
}

impl House {
    fn open(&self, peppers: Option<Peppers>) -> TestGate {
        let policies = (TestGate::tenant(), policy(4));
        let opened = TestGate::over(policies, Arc::clone(&self.store), |gate| {
            let gate = gate.keys(Arc::clone(&self.keyring));
            match peppers {
                Some(peppers) => gate.peppers(Arc::new(peppers)),
                None => gate,
            }
        });
        let gate = block_on(opened).unwrap();
        gate.users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
        gate
    }
}

fn pepper(number: u8) -> RootKey {
    RootKey::new(&[number; 32])
}

fn refused(login: Login) -> Refused {
    match login {
        Login::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

/// Ten attempts while the pepper is missing are none: nobody learns anything, and nobody is locked out.
#[test]
fn a_missing_pepper_counts_nobodys_attempts() {
    let store = Arc::new(MemoryStore::new(1 << 24));
    let keyring = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
    let house = House { store, keyring };
    let first = house.open(Some(Peppers::new(&pepper(1))));
    let user = UserId::new("u-ada").unwrap();
    first.activate(&TestGate::tenant(), &user, &numbered(0));
    let _session = first.sign_in("ada", &numbered(0));
    drop(first);
    for others in [None, Some(Peppers::new(&pepper(2)))] {
        let without = house.open(others);
        for typed in [numbered(0), numbered(9)].iter().cycle().take(10) {
            let refused = refused(block_on(without.login("ada", typed)));
            assert_eq!(refused.code(), Code::Unavailable, "{typed}");
        }
        assert_eq!(without.gate.work().runs, 0, "nothing was hashed");
    }
    // Wrong ones count again as soon as it is back, from none; the right one is let in.
    let rotated = house.open(Some(Peppers::new(&pepper(2)).with_older(&pepper(1))));
    for _ in 0..4 {
        let refused = refused(block_on(rotated.login("ada", &numbered(9))));
        assert_eq!(refused.code(), Code::WrongCredentials);
    }
    let issued = rotated.sign_in("ada", &numbered(0));
    // What it remembers came along under the new pepper.
    assert!(is_reused(change(&rotated, &issued, 0, 0)));
    drop(rotated);
    let last = house.open(Some(Peppers::new(&pepper(2))));
    let _session = last.sign_in("ada", &numbered(0));
}
