//! LK-17: sign-ins while the store of the failures is gone, under a policy that asks for them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use vouchsafe::access_log::{Operation, Outcome, Record, Target, name};
use vouchsafe::core::Identifier;
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Attempt, Code, Login};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{RedisServer, TestGate, block_on};

const RIGHT: &str = "Brass-Lantern7";
const WRONG: &str = "Copper-Kettle8";
/// What a node counts by itself.
const OWN: usize = 2;
/// What a source may try in five minutes, by the preset.
const THROTTLE: usize = 300;

/// The preset, and what it does while failures cannot be counted.
fn policy(outage: &str) -> Policy {
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    let line = "when_store_is_down = \"refuse\"";
    assert!(text.contains(line), "{text}");
    let text = text.replace(line, &format!("when_store_is_down = {outage}"));
    Policy::parse(&text, "edited").unwrap()
}

/// Two nodes over one store of credentials, and one of counters on `server`.
struct Nodes {
    server: RedisServer,
    gates: [TestGate; 2],
}

impl Nodes {
    fn new(outage: &str) -> Self {
        let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
        let rest = Arc::new(MemoryStore::new(1 << 24));
        let keys = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
        let gates = [0, 1].map(|_| {
            // Wide enough for a crowded machine.
            let counters = RedisStore::builder(server.url()).deadline(Duration::from_secs(2));
            let counters = counters.open().unwrap();
            let policies = (TestGate::tenant(), policy(outage));
            let keys = Arc::clone(&keys);
            let gate = TestGate::over(policies, Arc::clone(&rest), |gate| {
                gate.keys(keys).counters(counters)
            });
            block_on(gate).unwrap()
        });
        for user in ["ada", "bob", "cyd"] {
            let id = gates
                .each_ref()
                .map(|gate| gate.users.add(&TestGate::tenant(), user, "staff", &[user]));
            gates[0].activate(&TestGate::tenant(), &id[0], RIGHT);
        }
        for gate in &gates {
            let _opened = gate.recorded();
        }
        Self { server, gates }
    }

    /// How many of so many wrong passwords for `user` were looked at, on each node.
    fn guesses(&self, user: &str, most: usize) -> [usize; 2] {
        self.gates.each_ref().map(|gate| {
            (0..most).filter(|_| told(gate, user, WRONG) == Some(Code::WrongCredentials)).count()
        })
    }

    fn restart(&self) {
        self.server.restart();
        for gate in &self.gates {
            // It is asked again once a second, by a clock that a test moves.
            assert!(eventually(|| {
                gate.clock.advance(Duration::from_secs(1));
                let _ = block_on(gate.gate.upkeep());
                gate.gate.counters_down().is_none()
            }));
        }
    }

    /// The outages that each node recorded: when one begins, and when one ends.
    fn recorded(&self) -> [(usize, usize); 2] {
        let about = |record: &Record| {
            let of = matches!(&record.target,
            Target::Entity { kind, .. } if *kind == name!("counters"));
            of && record.operation == Operation::Degraded
        };
        self.gates.each_ref().map(|gate| {
            let records: Vec<_> = gate.recorded().into_iter().filter(about).collect();
            let begun = Outcome::Failed(name!("counters.down"));
            let count = |outcome| records.iter().filter(|r| r.outcome == outcome).count();
            (count(begun), count(Outcome::Succeeded))
        })
    }
}

/// What a sign-in is told; `None` lets it in.
fn told(gate: &TestGate, user: &str, password: &str) -> Option<Code> {
    told_from(gate, user, password, TestGate::call())
}

fn told_from(
    gate: &TestGate,
    user: &str,
    password: &str,
    call: vouchsafe::gate::Call,
) -> Option<Code> {
    let attempt = Attempt::new(TestGate::tenant(), Identifier::new(user).unwrap(), call);
    match block_on(gate.gate.login(&attempt, password.to_owned())) {
        Login::SignedIn(_) => None,
        Login::Refused(refused) => Some(refused.code()),
        Login::Next(_) => panic!("something else is next"),
    }
}

/// Five failures lock. Each node adds its own two to them, once in an hour and not once an outage.
#[test]
fn counting_alone_gives_so_many_guesses_more_on_each_node() {
    let nodes = Nodes::new(&format!("{{ degraded = {{ failures = {OWN}, window = \"1h\" }} }}"));
    assert_eq!(nodes.guesses("ada", 1), [1, 1]);
    nodes.server.kill();
    assert_eq!(nodes.guesses("ada", 10), [OWN, OWN]);
    assert_eq!(told(&nodes.gates[0], "ada", RIGHT), Some(Code::Locked));
    // Nobody else is kept out.
    for gate in &nodes.gates {
        assert_eq!(told(gate, "bob", RIGHT), None);
        assert!(gate.gate.counters_down().is_some_and(|down| down.admitted == 3));
    }
    nodes.restart();
    // What the store had counted still counts: three are left to both together.
    let [first, second] = nodes.guesses("ada", 10);
    assert_eq!(first + second, 3);
    assert_eq!(nodes.recorded(), [(1, 1), (1, 1)]);
    // The next outage within the hour gives nothing more.
    nodes.server.kill();
    assert_eq!(nodes.guesses("ada", 10), [0, 0]);
    assert_eq!(told(&nodes.gates[1], "bob", RIGHT), None);
    nodes.restart();
    assert_eq!(nodes.recorded(), [(1, 1), (1, 1)]);
}

/// A charge that the store gave is not settled without it, and one of a node's own is not settled
/// in the store.
#[test]
fn a_charge_is_settled_where_it_was_given() {
    let nodes = Nodes::new(&format!("{{ degraded = {{ failures = {OWN}, window = \"1h\" }} }}"));
    let gate = &nodes.gates[0];
    let admit = || block_on(gate.gate.admit(&TestGate::attempt("ada"))).unwrap();
    let given = admit();
    nodes.server.kill();
    let refused = match block_on(given.password(RIGHT.to_owned())) {
        vouchsafe::gate::Checked::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused, Code::Unavailable);
    let own = admit();
    nodes.restart();
    match block_on(own.password(RIGHT.to_owned())) {
        vouchsafe::gate::Checked::Authenticated(right) => drop(block_on(right.open()).unwrap()),
        other => panic!("{other:?}"),
    }
    assert_eq!(told(gate, "ada", RIGHT), None);
}

/// Only the throttle of the source bounds what an outage then costs.
#[test]
fn failing_open_is_bounded_by_the_throttle_alone() {
    let nodes = Nodes::new("\"open\"");
    let call = || TestGate::call_from("192.0.2.7/32");
    nodes.server.kill();
    for gate in &nodes.gates {
        let wrong = || told_from(gate, "ada", WRONG, call());
        let looked_at = (0..2 * THROTTLE).take_while(|_| wrong() == Some(Code::WrongCredentials));
        assert_eq!(looked_at.count(), THROTTLE);
        assert_eq!(wrong(), Some(Code::Throttled));
        assert_eq!(told(gate, "ada", RIGHT), None);
    }
    nodes.restart();
    // Nothing of it is counted, and everything from now on is.
    let [first, second] = nodes.guesses("ada", 10);
    assert_eq!(first + second, 5);
    assert_eq!(nodes.recorded(), [(1, 1), (1, 1)]);
}

/// Unless the policy asks, nobody gets in.
#[test]
fn a_policy_that_does_not_ask_refuses() {
    let nodes = Nodes::new("\"refuse\"");
    nodes.server.kill();
    for gate in &nodes.gates {
        let work = gate.gate.work();
        for password in [RIGHT, WRONG] {
            assert_eq!(told(gate, "ada", password), Some(Code::Unavailable));
        }
        assert_eq!(gate.gate.work(), work);
        assert_eq!(gate.gate.counters_down(), None);
    }
    assert_eq!(nodes.recorded(), [(0, 0), (0, 0)]);
}

/// The refund of a charge that the store may have made is the store's, also while this process holds
/// one of its own for the same attempt.
#[test]
fn an_upkeep_in_the_middle_of_an_attempt_gives_no_guess_back() {
    let nodes = Nodes::new(&format!("{{ degraded = {{ failures = {OWN}, window = \"1h\" }} }}"));
    let gate = &nodes.gates[0];
    nodes.server.kill();
    let mut given = Vec::new();
    for _ in 0..2 * OWN {
        // The store is asked again, and does not answer.
        gate.clock.advance(Duration::from_secs(1));
        given.extend(block_on(gate.gate.admit(&TestGate::attempt("ada"))));
        let _ = block_on(gate.gate.upkeep());
    }
    nodes.restart();
    let work = gate.gate.work().runs;
    for admitted in given {
        drop(block_on(admitted.password(WRONG.to_owned())));
    }
    let hashed = gate.gate.work().runs - work;
    assert!(hashed <= OWN as u64, "{hashed} guesses, and none is counted");
    nodes.server.kill();
    gate.clock.advance(Duration::from_secs(1));
    assert_eq!(nodes.guesses("ada", 10)[0], OWN - usize::try_from(hashed).unwrap());
}
