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

use memory::{Column, foreign};
use vouchsafe::access_log::{Operation, VecSink};
use vouchsafe::core::{Standing, UserId};
use vouchsafe::crypto::RootKey;
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Code, Issued, Login, NotSet, Purpose};
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::{Binding, Peppers, Record, Stored, Unmet};
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
        self.remembering(0, peppers)
    }

    /// A gate that remembers so many passwords.
    fn remembering(&self, most: u8, peppers: Option<Peppers>) -> TestGate {
        let text = Policy::preset("zoomph-2018").unwrap().to_toml();
        let text = text.replace("remember = 0", &format!("remember = {most}"));
        let policies = (TestGate::tenant(), Policy::parse(&text, "test").unwrap());
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
        let Stored::Record(record) = Stored::import(Some(&self.text())) else {
            panic!("no record")
        };
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

/// A hash that the host sets takes over what is remembered, also once it is sealed, or sealed at once.
#[test]
fn what_was_used_before_is_known_beside_a_hash_that_the_host_seals() {
    for noticed in [true, false] {
        let world = World::new();
        let gate = world.remembering(4, Some(newer()));
        let has = world.active(&gate);
        world.write(foreign(OTHER));
        if noticed {
            assert_eq!(world.after(&gate, &has), (false, false, 1), "by a wrong password");
        }
        world.rotate(&newer());
        // Only what the host set is its own doing, and that ends what was before.
        assert_eq!(world.after(&gate, &has), (false, false, usize::from(!noticed)), "{noticed}");
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let (purpose, link) = gate.invite(&world.ada);
        let redeem = |password: &str| {
            block_on(gate.gate.redeem(&tenant, purpose, &link, password.to_owned(), &call))
        };
        for password in [RIGHT, OTHER] {
            let set = redeem(password);
            let reused = matches!(&set, Err(NotSet::Unmet(unmet)) if *unmet == [Unmet::Reused]);
            assert!(reused, "{noticed} {set:?}");
        }
        drop(gate.sign_in("ada", OTHER));
    }
}

/// Damaged, somebody else's, or not sealed where only what is sealed counts: that is no decision of the
/// host's, and putting it right is enough.
#[test]
fn a_text_that_is_not_believed_changes_nothing() {
    let bob = UserId::new("u-bob").unwrap();
    for what in ["damaged", "somebody else's", "not sealed"] {
        let world = World::new();
        let gate = world.remembering(4, Some(newer().sealed_only()));
        let (session, _link) = world.active(&gate);
        let right = world.text();
        let wrong = match what {
            "damaged" => {
                let mut bytes = right.clone().into_bytes();
                let at = bytes.len() - 9;
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                String::from_utf8(bytes).unwrap()
            }
            "not sealed" => foreign(OTHER),
            _ => {
                let hosts = Record::import(&foreign(OTHER), Standing::Chosen).unwrap();
                let binding = Binding::new(&TestGate::tenant(), &bob);
                let sealed = newer().rotate(&hosts, &binding, &SystemEntropy::new());
                sealed.unwrap().unwrap().new_record().to_string()
            }
        };
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let is_open =
            || block_on(gate.gate.check(&tenant, session.token().expose(), &call)).is_ok();
        world.write(wrong.clone());
        for password in [RIGHT, OTHER, RIGHT] {
            let login = block_on(gate.login("ada", password));
            let Login::Refused(refused) = login else { panic!("{what}: {login:?}") };
            assert_eq!(refused.code(), Code::Corrupt, "{what}");
        }
        world.write(right.clone());
        drop(gate.sign_in("ada", RIGHT));
        assert!(is_open() && world.text() == right, "{what}");
        world.write(wrong);
        let (purpose, link) = gate.invite(&world.ada);
        let set = gate.gate.redeem(&tenant, purpose, &link, OTHER.to_owned(), &call);
        block_on(set).unwrap();
        drop(gate.sign_in("ada", OTHER));
        assert!(!is_open(), "{what}");
    }
}

/// Hashes by other software are what is sealed first.
#[test]
fn a_hash_of_other_software_is_sealed_and_stays_the_same_password() {
    for most in [0, 4] {
        let world = World::new();
        world.write(foreign(RIGHT));
        let gate = world.remembering(most, Some(newer()));
        let Login::Refused(_) = block_on(gate.login("ada", OTHER)) else { panic!("let in") };
        let link = gate.invite(&world.ada);
        world.rotate(&newer());
        drop(world.sink.take());
        let session = gate.sign_in("ada", RIGHT);
        assert_eq!(world.after(&gate, &(session, link)), (true, true, 0), "{most}");
    }
}
