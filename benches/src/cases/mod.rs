//! Which cases are there; one file a group.

mod callers;
mod crypto;
mod envelope;
mod lockout;
mod memory;
mod password;
mod policy;
mod postgres;
mod redis;
mod session;
mod store;

use crate::measure::Case;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        password::CASES,
        lockout::CASES,
        memory::CASES,
        store::CASES,
        postgres::CASES,
        redis::CASES,
        session::CASES,
        envelope::CASES,
        policy::CASES,
        crypto::CASES,
    ]
    .into_iter()
    .flatten()
}
