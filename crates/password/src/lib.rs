#![doc = include_str!("../README.md")]
//!
//! | file | question it answers |
//! |---|---|
//! | `policy`, `rules` | which rules does a new password fail |
//! | `common`, `guessable` | is it one that everybody tries first |
//! | `spelling` | how else may a name be typed |
//! | `breach` | is it known from a breach |
//! | `password`, `nfc` | what counts as the password that was typed |
//! | `params` | what does a hash cost, and which costs are weaker |
//! | `calibrate` | what may a hash cost on this machine |
//! | `record`, `hashed`, `phc` | what does a host keep |
//! | `foreign`, `bcrypt`, `scrypt` | what did other software keep, and how is it verified |
//! | `pepper` | of what use is a stolen table |
//! | `change`, `history` | was it used before |
//! | `renewal` | what becomes of a record that is weaker than the policy |
//! | `carried` | is what the host's table holds now the same password, and what of the old ones |
//! | `pool`, `config`, `queue`, `ticket` | hashing in bounded memory |
//! | `job`, `bench`, `hash` | what one piece of its work does |
//! | `prompt` | how is a password asked for on a terminal (feature `prompt`, Unix) |
//! | `verify`, `owner` | what came of a verification, and who chose the password |
//! | `state`, `machine` | how one account's credential changes |

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;

#[cfg(feature = "import")]
mod bcrypt;
mod bench;
mod breach;
mod calibrate;
mod carried;
mod change;
mod common;
mod config;
mod error;
mod foreign;
mod guessable;
mod hash;
mod hashed;
mod history;
mod job;
mod machine;
mod nfc;
mod owner;
mod params;
mod password;
mod pepper;
mod phc;
mod policy;
mod pool;
#[cfg(all(unix, feature = "prompt"))]
mod prompt;
mod queue;
mod record;
mod renewal;
mod rules;
mod scrypt;
mod spelling;
mod state;
mod ticket;
mod verify;

pub use breach::{BreachBuilder, BreachError, BreachFilter, BreachKey, Breached, FingerprintBits};
pub use calibrate::{Calibration, Fit, Trial, calibrate, calibrate_with};
pub use common::CommonPasswords;
pub use config::{PoolConfig, PoolKeys};
pub use error::{PasswordError, PolicyProblem, RecordError};
pub use guessable::Guessable;
pub use hashed::Digest;
pub use machine::{CredentialEvent, CredentialMachine, CredentialVerdict};
pub use owner::OwnerPresent;
pub use params::{HashPolicy, HashWitness, Params};
pub use password::{Password, TooLong};
pub use pepper::{PepperError, PepperId, Peppers};
pub use policy::{
    Accepted, Attributes, Deficit, PasswordPolicy, PasswordPolicyBuilder, PasswordWitness,
};
pub use pool::{BareDigest, HashPool, Work};
#[cfg(all(unix, feature = "prompt"))]
pub use prompt::{PromptError, prompt, prompt_new};
pub use record::{Record, Stored};
pub use rules::{Kind, Unmet};
pub use state::Credential;
pub use ticket::Hashing;
pub use verify::{Binding, NewRecord, NotVerifiedReason, Upgrade, Verified};

#[doc = include_str!("../docs/formats.md")]
pub mod formats {}

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
