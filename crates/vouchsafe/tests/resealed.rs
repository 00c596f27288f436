//! FA-6, PW-11: peppers that are rotated over a host's own column change nobody's password.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

#[path = "column/memory.rs"]
mod memory;

use std::sync::Arc;

use memory::Column;
use vouchsafe::access_log::{Operation, VecSink};
use vouchsafe::core::UserId;
use vouchsafe::crypto::RootKey;
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Issued, Login, Purpose};
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::{Binding, Peppers, Record};
use vouchsafe::policy::Policy;
use vouchsafe::store::{AnyCells, MemoryStore};
use vouchsafe_testkit::{TestGate, Users, block_on};

const RIGHT: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";

/// What outlives a gate.
struct World {
    cells: AnyCells,
    column: Arc<Column>,
    keyring: Arc<Keyring>,
    users: Users,
    sink: VecSink,
    ada: UserId,
}

/// What Ada has: a session, and a link.
type Let = (Issued, (Purpose, String));

impl World {
    fn new() -> Self {
        let users = Users::default();
        Self {
            cells: AnyCells::new(MemoryStore::new(1 << 24)),
            column: Arc::new(Column::default()),
            keyring: Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap()),
            ada: users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]),
            users,
            sink: VecSink::new(1 << 20),
        }
    }

    fn gate(&self, peppers: Option<Peppers>) -> TestGate {
        let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
        let (cells, sink) = (self.cells.clone(), self.sink.clone());
        let gate = TestGate::recording(policies, cells, sink.clone(), sink, |gate| {
            let gate = gate.keys(Arc::clone(&self.keyring)).accounts(self.users.clone());
            let gate = gate.credentials(Arc::clone(&self.column));
            peppers.into_iter().fold(gate, |gate, peppers| gate.peppers(Arc::new(peppers)))
        });
        block_on(gate).unwrap()
    }

    fn text(&self) -> String {
        self.column.text.lock().unwrap().clone().unwrap()
    }

    fn write(&self, text: String) {
        *self.column.text.lock().unwrap() = Some(text);
    }

    /// As its documentation says, of the one row.
    fn rotate(&self, peppers: &Peppers) {
        let record: Record = self.text().parse().unwrap();
        let binding = Binding::new(&TestGate::tenant(), &self.ada);
        let upgrade = peppers.rotate(&record, &binding, &SystemEntropy::new()).unwrap().unwrap();
        assert_eq!(upgrade.expected_text(), self.text());
        self.write(upgrade.new_record().to_string());
    }

    fn active(&self, gate: &TestGate) -> Let {
        gate.activate(&TestGate::tenant(), &self.ada, RIGHT);
        (gate.sign_in("ada", RIGHT), gate.invite(&self.ada))
    }

    /// Signs in, and tells whether the session and the link from before still work, and how often it is
    /// recorded that the host changed the password.
    fn after(&self, gate: &TestGate, (session, link): &Let) -> (bool, bool, usize) {
        drop(self.sink.take());
        let login = block_on(gate.login("ada", RIGHT));
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let check = block_on(gate.gate.check(&tenant, session.token().expose(), &call));
        let peek = block_on(gate.gate.peek(&tenant, link.0, &link.1, &call));
        assert!(!matches!(login, Login::Refused(_)) || check.is_err(), "{login:?}");
        let recorded = self.sink.take();
        let changes = recorded.iter().filter(|r| r.operation == Operation::PasswordChanged);
        (check.is_ok(), peek.is_ok(), changes.count())
    }
}

fn key(byte: u8) -> RootKey {
    RootKey::new(&[byte; 32])
}

fn newer() -> Peppers {
    Peppers::new(&key(2)).with_older(&key(1))
}

#[test]
fn a_table_whose_peppers_were_rotated_holds_the_same_passwords() {
    for before in [None, Some(1)] {
        for only in [false, true] {
            let what = format!("{before:?} {only}");
            let world = World::new();
            let gate = world.gate(before.map(|byte| Peppers::new(&key(byte))));
            let has = world.active(&gate);
            drop(gate);
            let old = world.text();
            world.rotate(&newer());
            let new = world.text();
            let gate = world.gate(Some(if only { newer().sealed_only() } else { newer() }));
            assert_eq!(world.after(&gate, &has), (true, true, 0), "{what}");
            assert_eq!(world.text(), new, "{what}: and stays as it was rotated");
            // A copy of the table from before is another text of the same password, too.
            world.write(old);
            assert_eq!(world.after(&gate, &has), (true, true, 0), "{what}");
            assert_eq!(world.text(), new, "{what}");
        }
    }
}

/// What the host does besides is its own doing, and ends what was before.
#[test]
fn what_is_sealed_and_no_other_seal_of_the_same_is_the_hosts_own() {
    let world = World::new();
    let gate = world.gate(Some(Peppers::new(&key(1))));
    let has = world.active(&gate);
    drop(gate);
    world.rotate(&newer());
    let marked: Record = world.text().parse().unwrap();
    world.write(marked.must_change().to_string());
    let gate = world.gate(Some(newer()));
    // Once by the host, and once that it is to be changed.
    assert_eq!(world.after(&gate, &has), (false, false, 2), "marked to be changed");
    assert!(matches!(block_on(gate.login("ada", RIGHT)), Login::Next(_)));

    let (world, other) = (World::new(), World::new());
    let gate = other.gate(Some(newer()));
    gate.activate(&TestGate::tenant(), &other.ada, OTHER);
    let gate = world.gate(Some(newer()));
    let has = world.active(&gate);
    world.write(other.text());
    assert_eq!(world.after(&gate, &has), (false, false, 1), "another password");
    drop(gate.sign_in("ada", OTHER));

    // A gate that has not got the pepper yet cannot tell.
    let world = World::new();
    let gate = world.gate(Some(Peppers::new(&key(1))));
    let has = world.active(&gate);
    world.rotate(&newer());
    assert_eq!(world.after(&gate, &has), (false, false, 1), "no pepper");
    drop(gate);
    drop(world.gate(Some(newer())).sign_in("ada", RIGHT));

    // Emptied, which ended everything, and filled again with another seal: recorded as such.
    let world = World::new();
    let gate = world.gate(Some(Peppers::new(&key(1))));
    let has = world.active(&gate);
    let text = world.text();
    world.write(String::new());
    assert_eq!(world.after(&gate, &has), (false, false, 1));
    drop(gate);
    world.write(text);
    world.rotate(&newer());
    let gate = world.gate(Some(newer()));
    assert_eq!(world.after(&gate, &has), (false, false, 1), "filled again");
    drop(gate.sign_in("ada", RIGHT));
}
