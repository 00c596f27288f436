//! FA-3: nothing of one tenant opens anything of another.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;

use vouchsafe::access_log::{Operation, Outcome, name};
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::gate::{Attempt, Code, Login, Principal, Purpose};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{SeededEntropy, TestGate, block_on, runs};

const PASSWORDS: [&str; 2] = ["Brass-Lantern7-Harbour", "Copper-Kettle8-Orchard"];

struct Two {
    gate: TestGate,
    tenants: [TenantId; 2],
    users: [UserId; 2],
}

/// The same names and the same ids at two tenants.
fn two() -> Two {
    let tenants = ["amigo", "zoomph"].map(|tenant| TenantId::new(tenant).unwrap());
    let policies: vouchsafe::gate::Policies = tenants
        .iter()
        .cloned()
        .zip(["zoomph-2018", "vouchsafe"].map(|preset| Policy::preset(preset).unwrap()))
        .collect();
    let gate = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| gate);
    let gate = block_on(gate).unwrap();
    let users = [0, 1].map(|at| {
        let policy = gate.gate.policy(&tenants[at]).unwrap();
        let class = policy.classes().next().unwrap().0.to_owned();
        let names = ["ada@example.org", "ada"];
        let user = gate.users.add(&tenants[at], "u-ada", &class, &names);
        gate.activate(&tenants[at], &user, PASSWORDS[at]);
        user
    });
    Two { gate, tenants, users }
}

impl Two {
    fn attempt(&self, at: usize, number: u64) -> Attempt {
        let [.., high, low] = number.to_be_bytes();
        let mut attempt = TestGate::attempt("ada");
        attempt.tenant = self.tenants[at].clone();
        attempt.call = TestGate::call_from(&format!("10.0.{high}.{low}"));
        attempt
    }

    fn sign_in(&self, at: usize, number: u64) -> vouchsafe::gate::Issued {
        let attempt = self.attempt(at, number);
        match block_on(self.gate.gate.login(&attempt, PASSWORDS[at].to_owned())) {
            Login::SignedIn(issued) => issued,
            other => panic!("{other:?}"),
        }
    }

    fn check(&self, at: usize, token: &str) -> Result<Principal, Code> {
        let call = TestGate::call();
        let checked = block_on(self.gate.gate.check(&self.tenants[at], token, &call));
        checked.map_err(|refused| refused.code())
    }
}

/// Random calls with one tenant's credentials at the other: none is allowed, and all are recorded.
#[test]
fn random_cross_tenant_calls_are_refused_and_recorded() {
    let two = two();
    let call = TestGate::call();
    let random = SeededEntropy::new(7);
    let tokens: Vec<String> =
        (0..2).map(|at| two.sign_in(at, 0).token().expose().to_owned()).collect();
    let links: Vec<String> = (0..2)
        .map(|at| {
            let operator = two.gate.gate.operator(&two.tenants[at], name!("test"), &call).unwrap();
            block_on(operator.invite(&two.users[at])).unwrap();
            two.gate.mail.token().unwrap()
        })
        .collect();
    let _ = two.gate.recorded();
    let mut calls = 0_u32;
    let mut guesses = [0; 2];
    for number in 1..=u64::try_from(runs(10_000, 10_000)).unwrap() {
        let own = usize::try_from(random.below(2)).unwrap();
        let other = 1 - own;
        let tenant = &two.tenants[other];
        two.gate.clock.advance(std::time::Duration::from_millis(50));
        match random.below(4) {
            0 => assert_eq!(two.check(other, &tokens[own]).unwrap_err(), Code::NoSession),
            1 => {
                let peek = two.gate.gate.peek(tenant, Purpose::Reset, &links[own], &call);
                assert_eq!(block_on(peek).unwrap_err().code(), Code::NoLink);
            }
            2 => {
                let password = PASSWORDS[other].to_owned();
                let redeem =
                    two.gate.gate.redeem(tenant, Purpose::Reset, &links[own], password, &call);
                assert!(block_on(redeem).is_err());
            }
            _ if guesses[other] < 5 => {
                guesses[other] += 1;
                let attempt = two.attempt(other, number);
                let login = block_on(two.gate.gate.login(&attempt, PASSWORDS[own].to_owned()));
                assert!(matches!(login, Login::Refused(_)));
            }
            _ => continue,
        }
        calls += 1;
    }
    block_on(two.gate.gate.close());
    let mut records = two.gate.recorded();
    records.retain(|record| record.operation != Operation::GateClosed);
    assert!(records.iter().all(|record| record.outcome != Outcome::Succeeded));
    let recorded: u32 = records.iter().map(|record| record.repeats.get()).sum();
    assert_eq!(recorded, calls, "every call is in the log, counted where it was one of many");
    assert!(records.len() < 200, "and the log is not flooded: {}", records.len());
    for (at, token) in tokens.iter().enumerate() {
        assert_eq!(two.check(at, token).unwrap().tenant(), &two.tenants[at]);
    }
}

/// Locks, sessions and what a principal may ask for stay inside its tenant.
#[test]
fn whoever_acts_acts_in_one_tenant() {
    let two = two();
    let call = TestGate::call();
    let first = two.sign_in(0, 1);
    let second = two.sign_in(1, 2);
    for number in 10..16 {
        let _ = block_on(two.gate.gate.login(&two.attempt(0, number), "Wrong-Guess9".to_owned()));
    }
    let principal = two.check(0, first.token().expose()).unwrap();
    let acting = two.gate.gate.by(&principal, &call).unwrap();
    assert!(block_on(acting.lock(&two.users[1])).unwrap().is_some(), "the same id, its own tenant");
    block_on(acting.end_sessions(&two.users[1])).unwrap();
    assert!(two.check(0, first.token().expose()).is_err());
    let other = two.check(1, second.token().expose()).unwrap();
    let acting = two.gate.gate.by(&other, &call).unwrap();
    assert!(block_on(acting.lock(&two.users[0])).unwrap().is_none());
}

/// The text of a link leads to its tenant's page, at the configured origin, whatever was asked.
#[test]
fn links_lead_to_their_tenant() {
    let two = two();
    let call = TestGate::call();
    for at in 0..2 {
        let operator = two.gate.gate.operator(&two.tenants[at], name!("test"), &call).unwrap();
        block_on(operator.invite(&two.users[at])).unwrap();
        let mail = two.gate.mail.take().pop().unwrap();
        let start = format!("https://portal.example/{}/reset/", two.tenants[at]);
        assert!(mail.link.expose().starts_with(&start));
        assert_eq!(mail.to, "ada@example.org");
    }
    let _ = Arc::strong_count(two.gate.gate.keyring());
}
