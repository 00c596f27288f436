//! A record that was read back, or written by hand, is set as a new password.
//! error: E0308
//! fix: expected `NewRecord`, found `Record`
use vouchsafe::password::{CredentialEvent, NewRecord, Record};

pub fn set(by_hand: Record, from_pool: NewRecord) -> CredentialEvent {
    #[cfg(not(fixed))]
    let record = by_hand;
    #[cfg(fixed)]
    let record = from_pool;
    CredentialEvent::Set { expect: 1, record }
}
