#![doc = include_str!("../README.md")]

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;

mod account;
mod error;
mod machine;
mod order;
mod policy;
mod source;
mod spray;
mod state;

pub use account::{Subject, account_digest};
pub use error::LockoutError;
pub use machine::{Begin, Lock, LockoutEvent, LockoutMachine, LockoutVerdict, retry_after};
pub use order::{Witness, WitnessStep};
pub use policy::{Limit, LockOn, LockoutPolicy, OnSuccess, PolicyBuilder, Release, Wait};
pub use source::{Rate, SourcePolicy, SourceThrottle, Throttled};
pub use spray::{Seen, SprayAlarm, SprayDetector, SprayPolicy};
pub use state::LockoutState;

#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
