#![doc = include_str!("../README.md")]

mod compare;
mod error;
mod join;
mod load;
mod policy;
mod presets;
mod print;
mod promise;
mod read;
mod section;
mod units;
mod value;

#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}

pub use compare::{Changed, Finding, Report, Verdict, Witness, compare};
pub use error::{PolicyError, Problem, Problems};
pub use join::{Contradiction, join};
pub use policy::{ClassPolicy, Policy};
pub use promise::{Claim, Interpretation, Kind, Modality, Promise, Substance, Support, Term};
pub use value::Value;
