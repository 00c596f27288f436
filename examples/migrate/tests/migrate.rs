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
/// Of the passwords.
const HEADER: &str = "name,password";
const BCRYPT: &str = "$2b$05$......................AesgC8c2NCv6R248WVftVw.gqvWdlCq";

#[test]
fn every_hash_is_upgraded_in_the_hosts_own_column() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = block_on(migrate(folder.path(), USERS, PASSWORDS)).unwrap();
    assert_eq!(migrated.len(), USERS.lines().count() - 1);
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
    let mut wrong: String = PASSWORDS.lines().map(|line| format!("{line}!\n")).collect();
    wrong.replace_range(..HEADER.len() + 1, HEADER);
    for user in block_on(migrate(folder.path(), USERS, &wrong)).unwrap() {
        assert_eq!(user.schemes[0], user.schemes[1], "{user}");
        assert_eq!(user.sign_in, "credentials.wrong", "{user}");
    }
}

#[test]
fn quoted_fields_are_read_as_they_were_written() {
    let read = |text: &str| rows(text, ["a", "b"]);
    let row = |line, a: &str, b: &str| (line, [a.to_owned(), b.to_owned()]);
    let text = "\u{feff}a,b\r\n\r\n1,\"x,\"\"y\"\"\n\"\r\n \n\"\",\n,2";
    let read_back = [row(3, "1", "x,\"y\"\n"), row(6, "", ""), row(7, "", "2")];
    assert_eq!(read(text).unwrap(), read_back);
    assert_eq!(rows("a\n\"\"\n\n", ["a"]).unwrap(), [(2, [String::new()])]);
    for (text, error) in [
        ("", "the first line must be a,b"),
        ("1,2\n3,4", "the first line must be a,b"),
        ("a,b\n1,2\n3", "line 3: 1 columns, and 2 are wanted"),
        ("a,b\n1,2,3", "line 2: 3 columns, and 2 are wanted"),
        ("a,b\n1,\"x\n\n", "line 2: a quotation mark is not closed"),
        ("a,b\n1,\"x\"y", "line 2: something follows a closed quotation mark"),
    ] {
        assert_eq!(read(text).unwrap_err(), error);
    }
}

fn users(rows: &[&str]) -> String {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    format!("name,hash,keycloak_secret_data\n{rows}")
}

#[test]
fn names_sign_in_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    let users = users(&["Ada,BCRYPT,", "Straße@Example.org,BCRYPT,"]).replace("BCRYPT", BCRYPT);
    let typed = ["Ada", "aDA", "STRASSE@example.ORG"];
    let password = ",correct horse battery staple\n";
    let passwords = typed.map(|name| format!("{name}{password}")).concat();
    let migrated = block_on(migrate(folder.path(), &users, &format!("{HEADER}\n{passwords}")));
    let migrated = migrated.unwrap();
    assert_eq!(migrated.len(), typed.len());
    for user in &migrated {
        assert_eq!(user.schemes[1], "argon2id, bound", "{user}");
        assert_ne!(user.sign_in, "credentials.wrong", "{user}");
    }
}

#[test]
fn a_file_with_a_wrong_line_leaves_nothing_and_is_read_once_mended() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |users: &str, passwords: &str| {
        block_on(migrate(folder.path(), users, passwords)).unwrap_err().to_string()
    };
    let header = refusal("ada,hash,\ngrace,hash,", PASSWORDS);
    assert_eq!(header, "users: the first line must be name,hash,keycloak_secret_data");
    let wrong = [
        ("grace,hash", "2 columns, and 3 are wanted"),
        ("guest,hash,", "the identifier is a shared marker"),
        ("grace,hash,{}", "malformed"),
        ("ADA,hash,", "there is another \"ada\""),
        ("ada,hash,", "there is another \"ada\""),
    ];
    for (row, error) in wrong {
        let refused = refusal(&users(&["ada,hash,", "", row]), PASSWORDS);
        assert!(refused.starts_with("users: line 4: ") && refused.contains(error), "{refused}");
    }
    let refused = refusal(USERS, "name,password\nada");
    assert_eq!(refused, "passwords: line 2: 1 columns, and 2 are wanted");
    let refused = refusal(USERS, "name,password\nguest,secret");
    assert!(refused.starts_with("passwords: line 2: the identifier"), "{refused}");

    let (users, passwords) = (format!("{USERS}\n"), format!("{HEADER}\n\n"));
    assert_eq!(block_on(migrate(folder.path(), &users, &passwords)).unwrap(), []);
    let refused = refusal(&users, &passwords);
    assert!(refused.ends_with("users.db has 14 users already: name another folder"), "{refused}");
}

/// Real users are not tried with passwords that are not theirs.
#[test]
fn users_come_with_their_passwords_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (new, file) = (folder.path().join("new"), folder.path().join("users.csv"));
    std::fs::write(&file, USERS).unwrap();
    for arguments in [vec![], vec![&new, &file], vec![&new, &file, &file, &file]] {
        let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_migrate"));
        let ran = run.args(&arguments).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(
            !ran.status.success() && said.contains("migrate FOLDER ["),
            "{arguments:?}: {said}"
        );
        assert!(!new.exists(), "{arguments:?}");
    }
}
