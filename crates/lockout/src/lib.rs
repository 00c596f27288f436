#![doc = include_str!("../README.md")]

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;

mod account;
mod budget;
mod bytes;
mod counters;
mod curve;
mod device;
mod error;
mod event;
mod machine;
mod order;
mod outage;
mod overflow;
mod policy;
mod replay;
mod rule;
mod schedule;
mod source;
mod spray;
mod state;

pub use account::{AccountKey, Subject};
pub use counters::{Consecutive, Devices};
pub use device::{Cookie, Device, DeviceEpoch, DeviceKey};
pub use error::LockoutError;
pub use event::{Begin, Crossing, CrossingKind, Lock, LockoutEvent, LockoutVerdict, Reason};
pub use machine::{LockoutMachine, retry_after};
pub use order::{Circumstance, Witness, WitnessStep};
pub use outage::{MayRollBack, Outage};
pub use overflow::{Before, Overflow};
pub use policy::{Limit, LockOn, LockoutPolicy, OnSuccess, PolicyBuilder, Release, Wait};
pub use source::{Rate, SourcePolicy, SourceThrottle, Throttled};
pub use spray::{Seen, SprayAlarm, SprayDetector, SprayPolicy};
pub use state::LockoutState;

#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
