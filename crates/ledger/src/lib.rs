#![doc = include_str!("../README.md")]
#![doc = ""]
//! | file | question it answers |
//! |---|---|
//! | `ledger` | how is a log opened, written to and closed |
//! | `queue`, `writer` | how does a record become durable, and when is it acknowledged |
//! | `frame`, `dir` | what do the files look like, who may read them |
//! | `scan` | is what is there what was written |
//! | `tree`, `note` | what does a checkpoint commit to, and how is it proven |
//! | `seal` | what can be read off the disk |
//! | `query`, `export` | how is it looked at, what does a tenant take away |

#[cfg(not(unix))]
compile_error!("the ledger relies on Unix file modes to keep its directory private");

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_access_log as access_log;
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;

mod dir;
mod error;
mod export;
mod frame;
mod ledger;
mod note;
mod query;
mod queue;
mod scan;
mod seal;
mod tree;
mod writer;

#[cfg(test)]
mod tests;

pub use error::LedgerError;
pub use export::{ExportReport, verify_export};
pub use ledger::{Ledger, LedgerOptions, Opened, SetAside};
pub use note::{Checkpoint, Identity, Origin};
pub use query::{Cursor, Found, Page};
pub use queue::Append;
pub use scan::{Progress, Verified, verify};
pub use seal::{AeadSealer, SealFailed, Sealer, SegmentSealer};
pub use tree::{Hash, leaf_hash, verify_inclusion};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
