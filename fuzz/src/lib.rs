//! Hostile bytes for every parser: what comes from outside is refused or read, and never panics.
//!
//! Each body is a plain function of bytes. `fuzz_targets/` hands it to libFuzzer; `tests/replay.rs`
//! runs it over `seeds/` and over damaged copies of them on the stable compiler.

mod documents;
mod files;
mod keys;
mod states;
mod words;

pub use documents::{access_log_record, ledger_note, password_record, policy_document};
pub use files::{envelope_keyring, ledger_files, sqlite_file};
pub use keys::{envelope_edits, envelope_object, keyring, session_token, tenant};
pub use states::{lockout_state, password_state, session_links, session_state};
pub use words::{core_clause, core_ids, core_prefix, core_source, session_cookie};

/// A body.
pub type Body = fn(&[u8]);

/// Every target: the name of its program and of its folder in seeds/, and its body.
pub const TARGETS: &[(&str, Body)] = &[
    ("access_log_record", access_log_record),
    ("core_clause", core_clause),
    ("core_ids", core_ids),
    ("core_prefix", core_prefix),
    ("core_source", core_source),
    ("envelope_edits", envelope_edits),
    ("envelope_keyring", envelope_keyring),
    ("envelope_object", envelope_object),
    ("ledger_files", ledger_files),
    ("ledger_note", ledger_note),
    ("lockout_state", lockout_state),
    ("password_record", password_record),
    ("password_state", password_state),
    ("policy_document", policy_document),
    ("session_cookie", session_cookie),
    ("session_links", session_links),
    ("session_state", session_state),
    ("session_token", session_token),
    ("sqlite_file", sqlite_file),
];
