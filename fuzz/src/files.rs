//! Files: damaged ones are refused, and left as they are.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use vouchsafe_access_log::{Actor, Operation, Outcome, Record, Target, name};
use vouchsafe_core::{
    CellKey, PolicyDigest, SecretString, Source, Space, Timestamp, Unavailable, UserId,
};
use vouchsafe_crypto::{RootKey, SigningKey};
use vouchsafe_envelope::{Cost, Keyring, Unlock};
use vouchsafe_ledger::{AeadSealer, Ledger, LedgerOptions, Origin, verify};
use vouchsafe_store::Cells;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, block_on};

use crate::keys::tenant;

/// A folder that goes away, for its owner only.
fn private_folder() -> tempfile::TempDir {
    let mode = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().expect("a folder")
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("for its owner");
}

/// A keyring file that we did not seal does not open, and asks for no more work than allowed.
pub fn envelope_keyring(data: &[u8]) {
    // Costly work is refused by its number; doing the allowed work each time would take seconds.
    let number = |at: usize| {
        let four = data.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(four))
    };
    if let (Some(memory), Some(passes), Some(lanes)) = (number(10), number(14), number(18)) {
        if Cost::new(memory, passes, lanes).is_some_and(|cost| cost != Cost::MINIMUM) {
            return;
        }
    }
    let folder = private_folder();
    let path = folder.path().join("keys");
    put(&path, data);
    let secret = SecretString::new("hostile bytes open nothing here".into());
    let unlock = Unlock::passphrase(&secret).expect("a passphrase");
    assert!(Keyring::open(&path, &unlock).is_err());
    assert_eq!(fs::read(&path).expect("still there"), data);
}

/// The files of a log, and how many records it has.
struct Log {
    files: BTreeMap<String, Vec<u8>>,
    size: u64,
}

fn options() -> LedgerOptions {
    LedgerOptions::new(Origin::new("fuzz.example/log").expect("an origin"), tenant())
        .segment_bytes(64 << 10)
}

fn open(folder: &Path) -> Result<Ledger, vouchsafe_ledger::LedgerError> {
    let key = SigningKey::from_seed(&[1; 32]);
    let sealer = AeadSealer::new(RootKey::new(&[2; 32]));
    Ledger::open(folder, options(), key, sealer, SeededEntropy::new(3), Timestamp::EPOCH)
}

fn record() -> Record {
    Record {
        tenant: tenant(),
        actor: Actor::User(UserId::new("u-17").expect("a user")),
        target: Target::entity(name!("campaign"), "42").expect("a target"),
        operation: Operation::Updated,
        outcome: Outcome::Succeeded,
        application: name!("fuzz"),
        source: Source::Unavailable(Unavailable::Local),
        shared_source: false,
        time: Timestamp::EPOCH,
        policy: PolicyDigest::NONE,
        clause: None,
        repeats: NonZeroU32::MIN,
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let folder = private_folder();
        let ledger = open(folder.path()).expect("a log");
        for _ in 0..5 {
            ledger.append(record()).wait().expect("a receipt");
        }
        drop(ledger);
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder.path()).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, fs::read(entry.path()).expect("a file"));
        }
        Log { files, size: 5 }
    })
}

/// Each four bytes change one byte of a log's files; a fifth at the end cuts the last file short.
/// It then verifies as a log that is no longer than ours, or not at all.
pub fn ledger_files(data: &[u8]) {
    let log = log();
    let folder = private_folder();
    let mut files = log.files.clone();
    let edits = data.chunks_exact(4);
    if let [cut, ..] = edits.remainder() {
        if let Some(file) = files.values_mut().next_back() {
            file.truncate(file.len() * usize::from(*cut) / 256);
        }
    }
    let names: Vec<String> = files.keys().cloned().collect();
    for edit in edits {
        let Some(name) = names.get(usize::from(edit[0]) % names.len()) else { continue };
        let Some(file) = files.get_mut(name).filter(|file| !file.is_empty()) else { continue };
        let at = usize::from(u16::from_be_bytes([edit[1], edit[2]])) % file.len();
        file[at] ^= edit[3];
    }
    for (name, bytes) in &files {
        put(&folder.path().join(name), bytes);
    }
    let key = SigningKey::from_seed(&[1; 32]);
    let origin = Origin::new("fuzz.example/log").expect("an origin");
    let identity = vouchsafe_ledger::Identity::new(origin, key.public());
    let sealer = AeadSealer::new(RootKey::new(&[2; 32]));
    let verified = verify(folder.path(), &identity, &sealer, None, &mut |_| ());
    if let Ok(verified) = &verified {
        assert!(verified.head.as_ref().is_none_or(|head| head.size() <= log.size));
    }
    match open(folder.path()) {
        Ok(_) => assert!(verified.is_ok()),
        Err(_) => {
            for (name, bytes) in &files {
                let left = fs::read(folder.path().join(name)).expect("still there");
                assert_eq!(left, *bytes, "{name} was changed");
            }
        }
    }
}

/// A file that may be no store: refused, or loads and scans answer.
pub fn sqlite_file(data: &[u8]) {
    let folder = private_folder();
    let path = folder.path().join("store.db");
    put(&path, data);
    if let Ok(store) = SqliteStore::open(&path) {
        let _ = block_on(store.load(CellKey::new(Space::Account, [0; 16])));
        let _ = block_on(store.scan(Space::Lockout, None, 10));
        let _ = block_on(store.sweep(Timestamp::MAX, 10));
    }
}
