//! FA-6: hashes by other software, in a host's own column, upgraded at the first sign-in.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use migrate::{migrate, rows};
use vouchsafe_testkit::block_on;

const USERS: &str = include_str!("../users.csv");
const PASSWORDS: &str = include_str!("../passwords.csv");

#[test]
fn every_hash_is_upgraded_in_the_hosts_own_column() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = block_on(migrate(folder.path(), USERS, PASSWORDS)).unwrap();
    assert_eq!(migrated.len(), rows(USERS).unwrap().len());
    let mut schemes = Vec::new();
    for user in &migrated {
        println!("{user}");
        let [before, after] = &user.schemes;
        if user.name == "django-no-password" {
            assert_eq!((before == after, user.sign_in), (true, "credentials.wrong"), "{user}");
            continue;
        }
        assert!(!before.contains("bound"), "{user}");
        assert_eq!(after, "argon2id, bound", "{user}");
        assert!(["signed in", "right, to be changed"].contains(&user.sign_in), "{user}");
        schemes.push(before.as_str());
    }
    schemes.sort_unstable();
    schemes.dedup();
    assert!(schemes.len() >= 4, "{schemes:?}");
}

#[test]
fn a_wrong_password_upgrades_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: String = PASSWORDS.lines().map(|line| format!("{line}!\n")).collect();
    for user in block_on(migrate(folder.path(), USERS, &wrong)).unwrap() {
        assert_eq!(user.schemes[0], user.schemes[1], "{user}");
        assert_eq!(user.sign_in, "credentials.wrong", "{user}");
    }
}

#[test]
fn quoted_fields_are_read_as_they_were_written() {
    let read = |text: &str| rows(text).map(|rows| rows.concat());
    assert_eq!(read("a,b\n1,\"x,\"\"y\"\"\n\"\r\n").unwrap(), ["1", "x,\"y\"\n"]);
    assert_eq!(read("a\n\n").unwrap(), [""]);
    assert!(read("a\n\"x").is_err() && read("a\n\"x\"y").is_err());
}
