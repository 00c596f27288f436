//! Keeps a database field and an object sealed, over a rotation of the key.

use std::sync::Arc;

use vouchsafe_envelope::core::{PolicyDigest, SecretString, TenantId, Timestamp};
use vouchsafe_envelope::crypto::SystemEntropy;
use vouchsafe_envelope::{About, Context, Cost, Envelope, Keyring, Unlock};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("consumer-envelope-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = seal_and_open(&folder.join("keys"));
    std::fs::remove_dir_all(&folder)?;
    done
}

fn seal_and_open(file: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let (entropy, now) = (SystemEntropy::new(), Timestamp::from_micros(1_523_232_000_000_000));
    let unlock = Unlock::passphrase(&SecretString::new("a long and secret sentence".into()))?;
    let tenant = TenantId::new("acme")?;
    let keyring = Keyring::create(file, &unlock, Cost::MINIMUM, &entropy)?;
    keyring.add_tenant(&tenant, now, &entropy)?;
    drop(keyring);

    // Another start of the program.
    let keyring = Arc::new(Keyring::open(file, &unlock)?);
    let envelope = Envelope::new(Arc::clone(&keyring));
    let notes = envelope.fields(&tenant, "campaign", "notes", "")?;
    let sealed = notes.seal(b"row 7", b"launch in May")?;
    assert!(!sealed.windows(6).any(|part| part == b"launch"));

    let about = About { generation: 1, created: now, retention: 0, policy: PolicyDigest::NONE };
    let place = Context { tenant: &tenant, table: "file", column: "body", row: b"1", purpose: "" };
    let object = envelope.seal(&place, &about, &[42; 100_000])?;

    keyring.rotate(&tenant, now, &entropy)?;
    let notes = envelope.fields(&tenant, "campaign", "notes", "")?;
    assert_eq!(notes.open(b"row 7", &sealed)?, b"launch in May");
    assert!(notes.open(b"row 8", &sealed).is_err());
    assert_eq!(*envelope.open(&place, &object)?.plaintext, [42; 100_000]);
    assert!(envelope.open(&Context { row: b"2", ..place }, &object).is_err());

    let wrong = Unlock::passphrase(&SecretString::new("another long sentence".into()))?;
    assert!(Keyring::open(file, &wrong).is_err());
    Ok(())
}
