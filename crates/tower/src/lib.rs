#![doc = include_str!("../README.md")]
//!
//! ## Files
//!
//! | file | question it answers |
//! |---|---|
//! | `web` | what is configured, and in which order do the layers stand |
//! | `transport` | is this connection private, and where does the request come from |
//! | `limit` | how long may a body be |
//! | `session` | whose cookie is this, and which cookies go back |
//! | `csrf` | did our own page send this |
//! | `headers`, `csp` | what is the browser told to refuse |
//! | `field` | how does a password field look |
//! | `extract` | what handlers may ask for |
//! | `refusal` | which status and text does a refusal get |
//! | `complete` | what must not stop half-way |
//! | `around` | how a step becomes a layer |

mod around;
mod complete;
mod csp;
mod csrf;
mod error;
mod extract;
mod field;
mod headers;
mod limit;
mod refusal;
mod session;
mod transport;
mod web;

pub use around::{Around, AroundService, Step};
pub use complete::complete;
pub use csp::{Csp, CspSource, Directive};
pub use csrf::{CSRF_FIELD, CSRF_HEADER, CsrfStep, CsrfToken};
pub use error::BuildError;
pub use extract::{Call, OptionalPrincipal, Presented, Principal, Source, Tenant};
pub use field::{PasswordField, SHOW_PASSWORD_SCRIPT};
pub use headers::{HeadersStep, SecurityHeaders};
pub use limit::LimitStep;
pub use refusal::{Reason, Refusal};
pub use session::{Cookies, SessionStep};
pub use transport::{Connection, TransportStep};
pub use web::{Web, WebBuilder, first_segment};

#[doc = include_str!("../docs/refusals.md")]
pub mod refusals {}

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
