#![doc = include_str!("../README.md")]
#![doc = ""]
//! | file | question it answers |
//! |---|---|
//! | `record`, `operation` | what is an access |
//! | `text` | what text may stand in it, in which form |
//! | `cbor` | what are its canonical bytes |
//! | `json`, `csv` | how is it exported |
//! | `sink` | where does it go |
//! | `filter` | which records are asked for |
//! | `policy` | what has to be recorded, and how long is it kept |

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_core as core;

mod cbor;
mod csv;
mod error;
mod filter;
mod json;
mod operation;
mod policy;
mod record;
mod sink;
mod text;

pub use error::RecordError;
pub use filter::Filter;
pub use operation::Operation;
pub use policy::{Disposal, Field, PolicyError, RetentionPolicy, Witness};
pub use record::{Actor, Outcome, Record, Target, Url};
pub use sink::{AnySink, Receipt, RecordSink, SinkError, VecSink};
pub use text::{Name, Text};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
