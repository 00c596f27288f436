//! Texts and records.

use vouchsafe_access_log::Record;
use vouchsafe_core::Standing;
use vouchsafe_crypto::SigningKey;
use vouchsafe_ledger::{Checkpoint, Identity, Origin, verify_export};
use vouchsafe_password::{Record as PasswordRecord, Stored};
use vouchsafe_policy::{Policy, Verdict, compare};

use crate::keys::tenant;

/// A record has one spelling, and what leaves the log stays on its line.
pub fn access_log_record(data: &[u8]) {
    let Ok(record) = Record::from_bytes(data) else { return };
    assert_eq!(record.to_bytes(), data);
    assert!(!record.to_json(None).chars().any(char::is_control));
    assert!(!record.to_csv(Some(1)).trim_end().chars().any(char::is_control));
}

/// A stored password record reads back as it prints.
pub fn password_record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Stored::Record(record) = Stored::import(Some(&text)) {
        assert_eq!(record.to_string(), text);
    }
    for record in
        [text.parse(), PasswordRecord::import(&text, Standing::Chosen)].into_iter().flatten()
    {
        let printed = record.to_string();
        let again: PasswordRecord = printed.parse().expect("what was printed");
        assert_eq!(again.to_string(), printed);
    }
}

/// A document that loads is as strong as what it prints.
pub fn policy_document(data: &[u8]) {
    let Ok(policy) = Policy::parse(&String::from_utf8_lossy(data), "fuzz") else { return };
    let again = Policy::parse(&policy.to_toml(), "again").expect("what was printed");
    assert_eq!(compare(&again, &policy).verdict(), Verdict::NoWeaker);
    assert_eq!(compare(&policy, &again).verdict(), Verdict::NoWeaker);
    assert_eq!(again.to_toml(), policy.to_toml());
}

/// Signed notes, verifier keys and exports.
pub fn ledger_note(data: &[u8]) {
    let key = SigningKey::from_seed(&[1; 32]);
    let identity = Identity::new(Origin::new("fuzz.example/log").expect("an origin"), key.public());
    let text = String::from_utf8_lossy(data);
    // Nobody signs for us.
    assert!(Checkpoint::parse(&text, &identity).is_err());
    if let Ok(parsed) = Identity::parse(&text) {
        assert_eq!(parsed.to_string(), text);
    }
    assert!(verify_export(&mut &*data, &identity, &tenant()).is_err());
}
