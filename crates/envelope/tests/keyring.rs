//! The keyring file: made once, opened under its secret only, never half written.
#![cfg(feature = "keyring")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{about, place, tenant};
use vouchsafe_core::{SecretString, Timestamp};
use vouchsafe_crypto::SystemEntropy;
use vouchsafe_envelope::EnvelopeError::{
    self, Cost as BadCost, Damaged, Exists, Malformed, RolledBack, SecretLength, SecretReadable,
    Truncated, WrongSecret,
};
use vouchsafe_envelope::{AtRest, Cost, Envelope, Exposure, Keyring, Unlock};

const NOW: Timestamp = Timestamp::EPOCH;

fn unlock(text: &str) -> Unlock {
    Unlock::passphrase(&SecretString::new(text.to_owned())).unwrap()
}

fn secret() -> Unlock {
    unlock("correct horse battery staple")
}

fn create(path: &Path) -> Keyring {
    Keyring::create(path, &secret(), Cost::MINIMUM, &SystemEntropy::new()).unwrap()
}

/// What each derived key does, without showing it.
fn prints(keyring: &Keyring) -> Vec<Vec<u8>> {
    vec![
        keyring.store_root().derive("x", &[]).to_vec(),
        keyring.token_root().derive("x", &[]).to_vec(),
        keyring.ledger_root().derive("x", &[]).to_vec(),
        keyring.digest_key().mac("x", &[]).to_vec(),
        keyring.ledger_signing(1).public().as_bytes().to_vec(),
        keyring.ledger_signing(2).public().as_bytes().to_vec(),
    ]
}

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vouchsafe.keys");
    let entropy = SystemEntropy::new();
    let (acme, zoo) = (tenant("acme"), tenant("zoo"));
    let (before, sealed) = {
        let keyring = Arc::new(create(&path));
        assert!(keyring.add_tenant(&acme, NOW, &entropy).unwrap());
        assert!(!keyring.add_tenant(&acme, NOW, &entropy).unwrap());
        assert!(keyring.add_tenant(&zoo, NOW, &entropy).unwrap());
        let sealed = Envelope::new(keyring.clone()).seal(&place(&acme), &about(), b"x").unwrap();
        assert_eq!(keyring.rotate(&acme, NOW, &entropy).unwrap(), 2);
        (prints(&keyring), sealed)
    };
    let keyring = Arc::new(Keyring::open(&path, &secret()).unwrap());
    assert_eq!(keyring.tenants(), [acme.clone(), zoo.clone()]);
    assert_eq!((keyring.version(&acme), keyring.version(&zoo)), (Some(2), Some(1)));
    assert_eq!(prints(&keyring), before);
    let distinct: std::collections::HashSet<_> = before.iter().collect();
    assert_eq!(distinct.len(), before.len(), "each part has a key of its own");
    assert_eq!(*Envelope::new(keyring).open(&place(&acme), &sealed).unwrap().plaintext, b"x");
    let text = format!("{:?}", Keyring::open(&path, &secret()).unwrap());
    assert_eq!(text, r#"Keyring { tenants: [TenantId("acme"), TenantId("zoo")], .. }"#);
}

#[test]
fn it_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vouchsafe.keys");
    create(&path).add_tenant(&tenant("acme"), NOW, &SystemEntropy::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let again = Keyring::create(&path, &secret(), Cost::MINIMUM, &SystemEntropy::new());
    assert!(matches!(again, Err(Exists(_))));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    #[cfg(unix)]
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[test]
fn a_wrong_secret_a_cut_and_a_change_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vouchsafe.keys");
    create(&path).add_tenant(&tenant("acme"), NOW, &SystemEntropy::new()).unwrap();
    let good = std::fs::read(&path).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Keyring::open(&path, &secret()).unwrap_err()
    };
    let wrong = Keyring::open(&path, &unlock("correct horse battery stapler"));
    assert!(matches!(wrong, Err(WrongSecret(_))));
    // Neither the head nor a cut costs any Argon2.
    for len in 0..good.len() {
        assert!(matches!(open(&good[..len]), Truncated(_)), "cut to {len}");
    }
    assert!(matches!(open(&[good.as_slice(), &[0]].concat()), Malformed { what: "end", .. }));
    for (at, what) in [(0, "magic"), (8, "version"), (9, "kdf")] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        assert!(matches!(open(&damaged), Malformed { what: found, .. } if found == what));
    }
    let body = 42;
    for (at, expected) in [
        (22, "WrongSecret"),         // the salt of Argon2id
        (body, "WrongSecret"),       // the salt of the body
        (body + 24, "WrongSecret"),  // the commitment
        (body + 56, "Damaged"),      // the keys
        (good.len() - 1, "Damaged"), // their tag
    ] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        let error = open(&damaged);
        let matched = match expected {
            "WrongSecret" => matches!(error, WrongSecret(_)),
            _ => matches!(error, Damaged(_)),
        };
        assert!(matched, "byte {at}: {error}");
    }
    std::fs::write(&path, &good).unwrap();
    Keyring::open(&path, &secret()).unwrap();
}

/// A file that asks for terabytes, hours or nothing at all is refused before any work.
#[test]
fn hostile_costs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vouchsafe.keys");
    drop(create(&path));
    let good = std::fs::read(&path).unwrap();
    let costs: [(u32, u32, u32); 10] = [
        (u32::MAX, 1, 1),
        (512 * 1024 + 1, 2, 1),
        (0, 2, 1),
        (19 * 1024 - 1, 2, 1),
        (19 * 1024, 1, 1),
        (19 * 1024, 0, 1),
        (19 * 1024, u32::MAX, 1),
        (512 * 1024, 9, 1),
        (19 * 1024, 2, 0),
        (19 * 1024, 2, 17),
    ];
    for (memory, passes, lanes) in costs {
        assert_eq!(Cost::new(memory, passes, lanes), None);
        let mut hostile = good.clone();
        for (at, number) in [(10, memory), (14, passes), (18, lanes)] {
            hostile[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        std::fs::write(&path, hostile).unwrap();
        assert!(matches!(Keyring::open(&path, &secret()), Err(BadCost(_))));
    }
    for (memory, passes, lanes) in [(19 * 1024, 2, 1), (512 * 1024, 8, 16)] {
        assert!(Cost::new(memory, passes, lanes).is_some());
    }
    // A length of 4 GiB with nothing behind it takes no memory either.
    let mut hostile = good;
    hostile[38..42].copy_from_slice(&u32::MAX.to_be_bytes());
    std::fs::write(&path, hostile).unwrap();
    assert!(matches!(Keyring::open(&path, &secret()), Err(Truncated(_))));
}

/// Two keyrings over one file, as in two processes: neither loses the other's tenants.
#[test]
fn writers_do_not_lose_each_others_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vouchsafe.keys");
    drop(create(&path));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let keyring = Keyring::open(&path, &secret()).unwrap();
            std::thread::spawn(move || {
                for number in 0..10 {
                    let tenant = tenant(&format!("t{writer}-{number}"));
                    assert!(keyring.add_tenant(&tenant, NOW, &SystemEntropy::new()).unwrap());
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(Keyring::open(&path, &secret()).unwrap().tenants().len(), 40);
}

#[test]
fn a_failed_write_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vouchsafe.keys");
    let keyring = create(&path);
    let (acme, entropy) = (tenant("acme"), SystemEntropy::new());
    keyring.add_tenant(&acme, NOW, &entropy).unwrap();
    let first = std::fs::read(&path).unwrap();
    // A folder where the new file would be written: the write fails.
    let new = folder.path().join("vouchsafe.keys.new");
    std::fs::create_dir(&new).unwrap();
    assert!(matches!(keyring.rotate(&acme, NOW, &entropy), Err(EnvelopeError::Io { .. })));
    assert_eq!(keyring.version(&acme), Some(1));
    assert_eq!(std::fs::read(&path).unwrap(), first);
    std::fs::remove_dir(&new).unwrap();
    // A new file that was left half written, by a process that was killed, is replaced.
    std::fs::write(&new, b"half").unwrap();
    assert_eq!(keyring.rotate(&acme, NOW, &entropy).unwrap(), 2);
    assert!(!new.exists());
    // An older file, put back while we run, is not built upon.
    std::fs::write(&path, first).unwrap();
    assert!(matches!(keyring.rotate(&acme, NOW, &entropy), Err(RolledBack(_))));
    assert_eq!(keyring.version(&acme), Some(2));
}

#[test]
fn a_secret_file_is_private_and_opens_unattended() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, data) = (folder.path().join("unlock"), folder.path().join("data"));
    std::fs::create_dir(&data).unwrap();
    let entropy = SystemEntropy::new();
    let unlock = Unlock::create_file(&secret, &entropy).unwrap();
    assert!(matches!(Unlock::create_file(&secret, &entropy), Err(Exists(_))));
    assert!(!format!("{unlock:?}").contains(std::fs::read_to_string(&secret).unwrap().trim()));
    let path = data.join("vouchsafe.keys");
    drop(Keyring::create(&path, &unlock, Cost::MINIMUM, &entropy).unwrap());
    // The restart: nothing but the two files.
    let keyring = Keyring::open(&path, &Unlock::from_file(&secret).unwrap()).unwrap();
    assert_eq!(keyring.at_rest(&[&data]), AtRest::Satisfied);
    #[cfg(unix)]
    for mode in [0o640, 0o604, 0o644] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(mode)).unwrap();
        assert!(matches!(Unlock::from_file(&secret), Err(SecretReadable(_))), "{mode:o}");
    }
}

#[test]
fn a_secret_beside_the_data_is_not_encryption_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let [data, keys, apart] = ["data", "keys", "apart"].map(|name| folder.path().join(name));
    for folder in [&data, &keys, &apart] {
        std::fs::create_dir_all(folder.join("deep")).unwrap();
    }
    let entropy = SystemEntropy::new();
    let at_rest = |secret: &Path| {
        let unlock = Unlock::create_file(secret, &entropy).unwrap();
        let path = keys.join(format!("{}.keys", secret.file_name().unwrap().display()));
        let keyring = Keyring::create(&path, &unlock, Cost::MINIMUM, &entropy).unwrap();
        keyring.at_rest(&[&data])
    };
    for (number, beside) in [data.clone(), data.join("deep"), keys.clone()].iter().enumerate() {
        let found = at_rest(&beside.join(format!("beside{number}")));
        assert!(matches!(&found, AtRest::NotSatisfied(Exposure::Beside { .. })), "{found:?}");
        assert!(!found.is_satisfied());
    }
    assert!(at_rest(&apart.join("good")).is_satisfied());
    // The folder's other names do not hide it.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&data, apart.join("alias")).unwrap();
        let found = at_rest(&apart.join("alias/linked"));
        assert!(matches!(found, AtRest::NotSatisfied(Exposure::Beside { .. })), "{found:?}");
        let path = keys.join("hard.keys");
        let unlock = Unlock::create_file(&apart.join("hard"), &entropy).unwrap();
        let keyring = Keyring::create(&path, &unlock, Cost::MINIMUM, &entropy).unwrap();
        assert!(keyring.at_rest(&[&data]).is_satisfied());
        std::fs::hard_link(apart.join("hard"), data.join("copy")).unwrap();
        let found = keyring.at_rest(&[&data]);
        assert!(matches!(found, AtRest::NotSatisfied(Exposure::OtherNames { .. })), "{found:?}");
    }
    // What cannot be looked at is not claimed.
    let unlock = Unlock::create_file(&apart.join("last"), &entropy).unwrap();
    let keyring =
        Keyring::create(&keys.join("last.keys"), &unlock, Cost::MINIMUM, &entropy).unwrap();
    let nowhere = folder.path().join("nowhere");
    let found = keyring.at_rest(&[&nowhere]);
    assert_eq!(found, AtRest::NotSatisfied(Exposure::Unknown { path: nowhere }));
    // A passphrase that somebody types lies nowhere.
    assert!(create(&data.join("typed.keys")).at_rest(&[&data]).is_satisfied());
}

#[test]
fn secrets_have_bounds() {
    let read = |bytes: &[u8]| Unlock::read(bytes);
    assert!(read(&[b'x'; 15]).is_ok());
    assert!(read(&[&[b'x'; 1024][..], b"\r\nmore"].concat()).is_ok());
    assert!(matches!(read(&[b'x'; 14]), Err(SecretLength { min: 15, max: 1024 })));
    assert!(matches!(read(&[b'x'; 1025]), Err(SecretLength { .. })));
    assert!(matches!(read(b"short\nand a long second line"), Err(SecretLength { .. })));
    assert!(matches!(Unlock::read(std::io::repeat(b'x')), Err(SecretLength { .. })));
}
