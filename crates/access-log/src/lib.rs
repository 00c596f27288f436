//! Access records as types: who did what to which thing from where, in one canonical form.

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
