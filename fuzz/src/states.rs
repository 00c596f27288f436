//! Stored states: what is read is what was written, and can be stepped.

use std::time::Duration;

use vouchsafe_core::{AccountDigest, Cell, ChargeId, Effect, Machine, PolicyDigest, Timestamp};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{
    Begin, Consecutive, Crossing, CrossingKind, DeviceEpoch, DeviceKey, Devices, Limit,
    LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState, Release,
};
use vouchsafe_password::Credential;
use vouchsafe_session::{Links, SessionEvent, SessionMachine, SessionPolicy, Sessions};

const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
const NOW: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

/// Machines that step what was read: one with a single limit, one with every counter there is.
fn lockouts() -> [LockoutMachine; 2] {
    let day = Duration::from_secs(86_400);
    let simple = LockoutPolicy::builder().limit(Limit::new(5, day));
    let whole = simple
        .clone()
        .limit(Limit::new(3, day / 24).with_release(Release::Admin))
        .devices(Devices::default())
        .consecutive(Consecutive::default())
        .repeats(LockoutPolicy::MAX_REPEATS);
    [simple, whole].map(|policy| {
        LockoutMachine::new(policy.build().expect("a policy"), PolicyDigest::NONE).announcing()
    })
}

fn lockout_events() -> [LockoutEvent; 5] {
    let id = ChargeId::new(1);
    let key = DeviceKey::new(MacKey::new(&[9; 32]));
    let epoch = DeviceEpoch::new(0);
    let cookie = key.verify(ACCOUNT, &key.issue(ACCOUNT, 3, epoch, NOW));
    let device = cookie.and_then(|cookie| cookie.of_epoch(epoch));
    let crossing = Crossing { id, kind: CrossingKind::Locked };
    [
        LockoutEvent::Begin(Begin::new(ACCOUNT, id)),
        LockoutEvent::Begin(Begin::new(ACCOUNT, id).from_device(device)),
        LockoutEvent::NotVerified(Begin::new(ACCOUNT, id).withdraw()),
        LockoutEvent::Unlock { account: ACCOUNT, id },
        LockoutEvent::Announced { account: ACCOUNT, crossing },
    ]
}

/// Whatever is read as a state steps without a panic, into what is read again, and is written back
/// alike: in the present format, which reads as the same state. What has another since is written in it.
pub fn lockout_state(data: &[u8]) {
    let Ok(state) = LockoutState::from_bytes(data.to_vec()) else { return };
    for machine in lockouts() {
        for event in lockout_events() {
            for now in [Timestamp::MIN, NOW, Timestamp::MAX] {
                let (effect, _) = machine.step(Some(&state), &event, now).split();
                if let Effect::Save { state, .. } = effect {
                    let written = state.clone().into_bytes();
                    assert_eq!(LockoutState::from_bytes(written), Ok(state));
                }
            }
        }
    }
    let written = state.clone().into_bytes();
    let moment_of_voiding = matches!(data, [2, parts, ..] if parts & 2 != 0);
    assert!(data.first() == Some(&1) || moment_of_voiding || written == data);
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
