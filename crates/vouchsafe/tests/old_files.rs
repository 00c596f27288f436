//! ST-12: what an earlier version left behind opens for ever: accounts, failures, sessions, links and
//! baselines, sealed, in the SQLite file and under the keyring of that time.
//!
//! The files under `fixtures/` are never written again. For a version whose formats are new, a folder
//! of its own is made by running this test with `VOUCHSAFE_NEW_FIXTURE` set to its name.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vouchsafe::core::SecretString;
use vouchsafe::envelope::{Cost, Keyring, Unlock};
use vouchsafe::gate::{Code, Login, Purpose};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const USERS: [&str; 3] = ["ada@acme.example", "bob@acme.example", "cyd@acme.example"];

fn unlock() -> Unlock {
    Unlock::passphrase(&SecretString::new("a passphrase for old files".to_owned())).unwrap()
}

fn open(store: SqliteStore, keys: Keyring) -> TestGate {
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let gate = block_on(TestGate::over(policies, store, |gate| gate.keys(keys))).unwrap();
    for user in USERS {
        gate.users.add(&TestGate::tenant(), &format!("u-{user}"), "staff", &[user]);
    }
    gate
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Ada is signed in, Bob is locked, Cyd was sent a link.
fn write(to: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(to).unwrap();
    let keys = Keyring::create(&to.join("keys"), &unlock(), Cost::MINIMUM, &SystemEntropy::new());
    let gate = open(
        SqliteStore::builder(scratch.path().join("db"))
            .deadline(Duration::from_secs(60))
            .open()
            .unwrap(),
        keys.unwrap(),
    );
    let users = USERS.map(|user| {
        block_on(async {
            let id = vouchsafe::core::UserId::new(&format!("u-{user}")).unwrap();
            if user != USERS[2] {
                gate.activate(&TestGate::tenant(), &id, PASSWORD);
            }
            id
        })
    });
    let session = gate.sign_in(USERS[0], PASSWORD);
    for _ in 0..5 {
        assert!(matches!(block_on(gate.login(USERS[1], "Wrong-Lantern7")), Login::Refused(_)));
    }
    let (_, link) = gate.invite(&users[2]);
    let tokens = format!("{}\n{link}\n", session.token().expose());
    std::fs::write(to.join("tokens"), tokens).unwrap();
    block_on(gate.gate.close());
    drop(gate);
    SqliteStore::builder(scratch.path().join("db"))
        .deadline(Duration::from_secs(60))
        .open()
        .unwrap()
        .backup(to.join("db"))
        .unwrap();
}

#[test]
fn what_was_left_behind_opens() {
    if let Some(name) = std::env::var_os("VOUCHSAFE_NEW_FIXTURE") {
        write(&fixtures().join(name));
    }
    let mut versions = 0;
    for version in std::fs::read_dir(fixtures()).unwrap() {
        let from = version.unwrap().path();
        let scratch = tempfile::tempdir().unwrap();
        for file in ["db", "keys"] {
            let to = scratch.path().join(file);
            std::fs::copy(from.join(file), &to).unwrap();
            // Which a checkout does not keep.
            std::fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
        }
        let keys = Keyring::open(&scratch.path().join("keys"), &unlock()).unwrap();
        let gate = open(
            SqliteStore::builder(scratch.path().join("db"))
                .deadline(Duration::from_secs(60))
                .open()
                .unwrap(),
            keys,
        );
        gate.clock.set(TestGate::start().after(Duration::from_secs(60)));
        let tokens = std::fs::read_to_string(from.join("tokens")).unwrap();
        let (session, link) = tokens.trim().split_once('\n').unwrap();
        let (tenant, call) = (TestGate::tenant(), TestGate::call());

        let ada = block_on(gate.gate.check(&tenant, session, &call)).unwrap();
        assert_eq!(ada.user().as_str(), "u-ada@acme.example");
        let wrong = block_on(gate.login(USERS[0], "Wrong-Lantern7"));
        assert!(
            matches!(wrong, Login::Refused(refused) if refused.code() == Code::WrongCredentials)
        );
        let _session = gate.sign_in(USERS[0], PASSWORD);

        let redeem =
            gate.gate.redeem(&tenant, Purpose::Activation, link, PASSWORD.to_owned(), &call);
        block_on(redeem).unwrap();
        let _first = gate.sign_in(USERS[2], PASSWORD);

        let bob = block_on(gate.login(USERS[1], PASSWORD));
        assert!(matches!(bob, Login::Refused(refused) if refused.code() == Code::Locked));
        gate.clock.set(TestGate::start().after(Duration::from_secs(86_400)));
        let _released = gate.sign_in(USERS[1], PASSWORD);
        versions += 1;
    }
    assert!(versions >= 1);
}
