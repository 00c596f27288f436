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

pub use password::{CHILD as VERIFY_CHILD, verify_for_each_line};

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

#[cfg(test)]
mod tests {
    #[test]
    fn every_store_has_its_speed_and_its_size() {
        for case in [
            "memory_swaps",
            "memory_swaps_two_threads",
            "memory_bytes",
            "sqlite_swaps",
            "sqlite_bytes",
            "postgres_load",
            "postgres_swap",
            "postgres_bytes",
            "redis_load",
            "redis_swap",
            "redis_bytes",
        ] {
            let name = format!("store/{case}");
            assert_eq!(super::all().filter(|case| case.name == name).count(), 1, "{name}");
        }
    }
}
