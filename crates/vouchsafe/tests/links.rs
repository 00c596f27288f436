//! One-time links through the gate.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vouchsafe::access_log::name;
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::gate::{Code, NotSet, Purpose, Refused};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";

fn zoomph() -> Policy {
    Policy::preset("zoomph-2018").unwrap()
}

fn over(store: impl Cells + 'static) -> TestGate {
    let other = TenantId::new("other").unwrap();
    let policies: vouchsafe::gate::Policies =
        [(TestGate::tenant(), zoomph()), (other, zoomph())].into_iter().collect();
    block_on(TestGate::over(policies, store, |gate| gate)).unwrap()
}

/// SE-13: of 64 racing redeems one wins, and its password is the one that is set.
fn one_of_sixty_four(gate: &TestGate) {
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let ada = gate.users.add(&tenant, "u-ada", "staff", &["ada@acme.example"]);
    let (purpose, token) = gate.invite(&ada);
    let (won, lost, busy) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let winner = AtomicUsize::new(usize::MAX);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (won, lost, busy, winner) = (&won, &lost, &busy, &winner);
            let (tenant, token, call) = (&tenant, &token, &call);
            scope.spawn(move || {
                let password = format!("Racing-Lantern-{number}");
                let redeem = gate.gate.redeem(tenant, purpose, token, password, call);
                match block_on(redeem) {
                    Ok(_) => {
                        won.fetch_add(1, Ordering::SeqCst);
                        winner.store(number, Ordering::SeqCst);
                    }
                    Err(NotSet::Refused(refused)) => match refused.code() {
                        Code::NoLink | Code::Locked | Code::Raced => {
                            lost.fetch_add(1, Ordering::SeqCst);
                        }
                        Code::Busy => {
                            busy.fetch_add(1, Ordering::SeqCst);
                        }
                        code => panic!("{code}"),
                    },
                    Err(NotSet::Unmet(unmet)) => panic!("{unmet:?}"),
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 1);
    assert_eq!(lost.into_inner() + busy.into_inner(), 63);
    let _ = gate.sign_in("ada@acme.example", &format!("Racing-Lantern-{}", winner.into_inner()));
}

#[test]
fn of_sixty_four_racing_redeems_one_wins_in_memory() {
    one_of_sixty_four(&over(MemoryStore::new(1 << 24)));
}

#[test]
fn of_sixty_four_racing_redeems_one_wins_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    one_of_sixty_four(&over(
        SqliteStore::builder(folder.path().join("cells.db"))
            .deadline(Duration::from_secs(60))
            .open()
            .unwrap(),
    ));
}

/// Makes a link useless, and says where it is then tried.
type Spoil<'a> = dyn Fn(&TestGate, &UserId, &str) -> (TenantId, Purpose) + 'a;

/// SE-13: wrong purpose, tenant or address, superseded, used and expired are refused alike.
#[test]
fn links_that_do_not_work_are_refused_alike() {
    let told = |name: &str, spoil: &Spoil<'_>| {
        let gate = over(MemoryStore::new(1 << 24));
        let tenant = TestGate::tenant();
        let ada = gate.users.add(&tenant, "u-ada", "staff", &["ada@acme.example"]);
        let (_, token) = gate.invite(&ada);
        let (tenant, purpose) = spoil(&gate, &ada, &token);
        let call = TestGate::call();
        let peek = block_on(gate.gate.peek(&tenant, purpose, &token, &call)).unwrap_err();
        let redeem = gate.gate.redeem(&tenant, purpose, &token, PASSWORD.to_owned(), &call);
        let redeem = match block_on(redeem) {
            Err(NotSet::Refused(refused)) => refused,
            other => panic!("{name}: {other:?}"),
        };
        [peek, redeem]
            .map(|r: Refused| (r.code(), r.message(), r.retry_after(), r.clause().cloned()))
    };
    let acme = TestGate::tenant;
    let plain = (acme(), Purpose::Activation);
    let spoils: [(&str, &Spoil<'_>); 6] = [
        ("purpose", &|_, _, _| (acme(), Purpose::Reset)),
        ("tenant", &|_, _, _| (TenantId::new("other").unwrap(), Purpose::Activation)),
        ("address", &|gate, ada, _| {
            let moved = |account: &mut vouchsafe::gate::Account| {
                account.address = "ada@elsewhere.example".into();
            };
            gate.users.change(&acme(), ada, moved);
            plain.clone()
        }),
        ("superseded", &|gate, ada, _| {
            let _ = gate.invite(ada);
            plain.clone()
        }),
        ("used", &|gate, _, token| {
            let (tenant, call) = (acme(), TestGate::call());
            let password = PASSWORD.to_owned();
            block_on(gate.gate.redeem(&tenant, Purpose::Activation, token, password, &call))
                .unwrap();
            plain.clone()
        }),
        ("expired", &|gate, _, _| {
            gate.clock.advance(Duration::from_secs(24 * 60 * 60));
            plain.clone()
        }),
    ];
    let answers: Vec<_> = spoils.iter().map(|(name, spoil)| (*name, told(name, spoil))).collect();
    for (name, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{name}");
        assert!(answer.iter().all(|told| told.0 == Code::NoLink), "{name}");
    }
}

/// SE-6, PW-16: no token, password or link is in a record, its exports, or any `Debug`.
#[test]
fn secrets_are_in_no_record_and_no_debug() {
    let gate = over(MemoryStore::new(1 << 24));
    let tenant = TestGate::tenant();
    let ada = gate.users.add(&tenant, "u-ada", "staff", &["ada@acme.example"]);
    let (purpose, link) = gate.invite(&ada);
    let call = TestGate::call();
    let wrong = "Copper-Kettle8";
    let view = block_on(gate.gate.peek(&tenant, purpose, &link, &call)).unwrap();
    block_on(gate.gate.redeem(&tenant, purpose, &link, PASSWORD.to_owned(), &call)).unwrap();
    let login = block_on(gate.login("ada@acme.example", wrong));
    let issued = gate.sign_in("ada@acme.example", PASSWORD);
    let token = issued.token().expose();
    let principal = block_on(gate.gate.check(&tenant, token, &call)).unwrap();
    let acting = gate.gate.by(&principal, &call).unwrap();
    block_on(acting.invite(&ada)).unwrap();
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let mut text = format!(
        "{gate:?}{view:?}{login:?}{issued:?}{principal:?}{acting:?}{operator:?}{mail:?}",
        gate = gate.gate,
        mail = gate.mail.take(),
    );
    for (index, record) in (0..).zip(gate.recorded()) {
        text += &format!("{record:?}{}{}", record.to_json(Some(index)), record.to_csv(Some(index)));
    }
    assert!(text.len() > 2_000, "there is something to search");
    for secret in [PASSWORD, wrong, &link, token] {
        for piece in [secret, &secret[..secret.len() / 2], &secret[secret.len() / 2..]] {
            assert!(!text.contains(piece), "{piece} in {text}");
        }
    }
}
