//! A charge is settled as a success, and nothing was verified.
//! error: E0308
//! fix: expected `Matched`, found `Charged`
use vouchsafe::core::{Charged, Matched};
use vouchsafe::lockout::LockoutEvent;

pub fn settle(charged: Charged, verified: Matched) -> LockoutEvent {
    #[cfg(not(fixed))]
    return LockoutEvent::Matched(charged);
    #[cfg(fixed)]
    return LockoutEvent::Matched(verified);
}
