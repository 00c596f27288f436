//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use vouchsafe_core::{PolicyDigest, TenantId, Timestamp};
use vouchsafe_envelope::{About, Context, Envelope, Keyring};
use vouchsafe_testkit::SeededEntropy;

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// An envelope for two tenants, `acme` and `zoo`, the same in every run.
pub fn envelope(seed: u64) -> Envelope {
    let entropy = Arc::new(SeededEntropy::new(seed));
    let keyring = Keyring::ephemeral(&entropy).unwrap();
    for name in ["acme", "zoo"] {
        assert!(keyring.add_tenant(&tenant(name), Timestamp::EPOCH, &entropy).unwrap());
    }
    Envelope::with_entropy(Arc::new(keyring), entropy)
}

pub fn about() -> About {
    let created = Timestamp::from_micros(1_700_000_000_000_000);
    About { generation: 7, created, retention: 30, policy: PolicyDigest::new([9; 32]) }
}

pub fn place(tenant: &TenantId) -> Context<'_> {
    Context { tenant, table: "note", column: "body", row: b"1", purpose: "" }
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Runs PyPI's `cryptography`, which is kept in a virtual environment under the target folder.
pub fn python(script: &Path, arguments: &[&OsStr]) -> Output {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap();
    let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cryptography-50");
    let python = venv.join("bin/python");
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let there = "from cryptography.cobblestone import Cobblestone256Encryptor";
    if !run(&python, &["-c", there]) {
        let made = run(Path::new("python3"), &["-m", "venv", "--clear", venv.to_str().unwrap()])
            && run(&python, &["-m", "pip", "install", "--quiet", "cryptography>=50"]);
        assert!(
            made,
            "this test needs Python 3 and PyPI's `cryptography`: \
             apt-get install -y python3 python3-venv python3-pip, and access to a PyPI index"
        );
    }
    drop(guard);
    Command::new(python).arg(script).args(arguments).output().unwrap()
}
