#![doc = include_str!("../README.md")]
//!
//! ## Files
//!
//! | file | question it answers |
//! |---|---|
//! | `time` | when, and where time, fresh bytes and waiting come from |
//! | `ids` | which tenant, which user, under which name did somebody ask |
//! | `source` | from which address, and who says so |
//! | `proof` | what has been shown about this attempt so far |
//! | `machine` | what is a pure step, what is its effect, where is its state kept |
//! | `order` | is this policy weaker than that one, and what shows it |
//! | `clause` | which promise is a value taken from, which policy was in force |
//! | `secret` | bytes that must never be printed, copied or left behind |

#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}

mod anchor;
mod clause;
mod ids;
mod machine;
mod order;
mod proof;
mod secret;
mod source;
mod time;

pub use anchor::{Anchor, Anchored, Doubt};
pub use clause::{ClauseId, InvalidClause, PolicyDigest};
pub use ids::{Case, IdError, Identifier, TenantId, UserId};
pub use machine::{Cell, CellKey, Corrupt, Effect, Machine, Pending, Space, Step};
pub use order::{Comparison, Order, compare};
pub use proof::{
    AccountDigest, Authenticated, ChangeOnly, ChargeId, Charged, Matched, NotMatched, NotVerified,
    Standing, WrongDigest,
};
pub use secret::{SecretBytes, SecretString};
pub use source::{Address, Prefix, PrefixError, Source, TrustedProxies, Unavailable};
pub use time::{Clock, Entropy, NoEntropy, Timer, Timestamp};
