//! Stored states: what is read is what was written, and can be stepped.

use vouchsafe_core::{AccountDigest, Cell, ChargeId, Machine, PolicyDigest, Timestamp};
use vouchsafe_lockout::{Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState};
use vouchsafe_password::Credential;
use vouchsafe_session::{Links, SessionEvent, SessionMachine, SessionPolicy, Sessions};

const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
const NOW: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

/// The machine that steps what was read.
fn lockout() -> LockoutMachine {
    let day = std::time::Duration::from_secs(86_400);
    let policy = LockoutPolicy::builder().limit(Limit::new(5, day)).build().expect("a policy");
    LockoutMachine::new(policy, PolicyDigest::NONE)
}

/// Whatever is read as a state steps without a panic, and is written back alike: in the present
/// format, which reads as the same state.
pub fn lockout_state(data: &[u8]) {
    let Ok(state) = LockoutState::from_bytes(data.to_vec()) else { return };
    let event = LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(1)));
    for now in [Timestamp::MIN, NOW, Timestamp::MAX] {
        let _ = lockout().step(Some(&state), &event, now);
    }
    let written = state.clone().into_bytes();
    assert!(data.first() == Some(&1) || written == data);
    assert_eq!(LockoutState::from_bytes(written), Ok(state));
}

/// Whatever is read as a state is written back alike, and steps without a panic.
pub fn session_state(data: &[u8]) {
    let Ok(state) = Sessions::from_bytes(data) else { return };
    assert_eq!(state.to_bytes(), data);
    let machine = SessionMachine::new(SessionPolicy::default(), ACCOUNT, 0);
    for now in [Timestamp::MIN, NOW, Timestamp::MAX] {
        let _ = machine.step(Some(&state), &SessionEvent::List, now);
    }
}

/// What is read is written back alike.
pub fn session_links(data: &[u8]) {
    if let Ok(links) = Links::from_bytes(data) {
        assert_eq!(links.to_bytes(), data);
        assert!(data.len() <= Links::MAX_BYTES);
    }
}

/// What is read is written back alike.
pub fn password_state(data: &[u8]) {
    if let Ok(credential) = Credential::from_bytes(data) {
        assert_eq!(credential.to_bytes(), data);
        let _ = credential.stored();
    }
}
