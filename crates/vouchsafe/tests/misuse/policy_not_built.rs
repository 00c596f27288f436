//! A policy's parts, never put together.
//! error: unused_must_use
//! fix: `build` makes the policy
use std::time::Duration;
use vouchsafe::lockout::{Limit, LockoutPolicy};

pub fn five_a_day() -> Option<LockoutPolicy> {
    let day = Duration::from_secs(86_400);
    #[cfg(not(fixed))]
    LockoutPolicy::builder().limit(Limit::new(5, day));
    #[cfg(fixed)]
    return LockoutPolicy::builder().limit(Limit::new(5, day)).build().ok();
    #[cfg(not(fixed))]
    None
}
