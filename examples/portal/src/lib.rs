//! A web application for two tenants, each under a published security policy.
//!
//! | file | question it answers |
//! |---|---|
//! | `options` | what does the command line say |
//! | `setup` | what is made, read and checked on a start |
//! | `database`, `users`, `campaigns` | what does the portal itself keep, and how |
//! | `probes` | which promises are in force now |
//! | `web`, `form` | who asks, and may they |
//! | `html`, `pages` | what do they see |

pub mod campaigns;
pub mod database;
pub mod form;
pub mod html;
pub mod options;
pub mod pages;
pub mod probes;
pub mod setup;
pub mod users;
pub mod web;

pub use options::{Command, Options};
pub use setup::{Portal, SetupError};
pub use web::{router, serve};
