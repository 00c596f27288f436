//! An attempt is counted, and the count stored nowhere.
//! error: unused_must_use
//! fix: carry the effect out, then call `Pending::committed`
use vouchsafe::core::{Machine, Timestamp};
use vouchsafe::lockout::{LockoutEvent, LockoutMachine};

pub fn count(machine: &LockoutMachine, event: &LockoutEvent, now: Timestamp) {
    #[cfg(not(fixed))]
    machine.step(None, event, now);
    #[cfg(fixed)]
    {
        let (effect, pending) = machine.step(None, event, now).split();
        drop(effect); // a store's part
        let _verdict = pending.committed();
    }
}
