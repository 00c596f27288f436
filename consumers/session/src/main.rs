//! A session that lasts half an hour after its last use and no longer, and ends at sign-out.

use vouchsafe_session::core::{
    AccountDigest, Authenticated, Effect, Machine, PolicyDigest, TenantId, Timestamp,
};
use vouchsafe_session::crypto::{RootKey, SystemEntropy};
use vouchsafe_session::{
    Cookie, SessionEvent, SessionMachine, SessionPolicy, SessionRefusal, SessionVerdict, Sessions,
    TokenKeys,
};

/// One account's sessions, where a service would have a row.
struct Account {
    machine: SessionMachine,
    state: Option<Sessions>,
}

impl Account {
    fn step(&mut self, event: &SessionEvent, now: Timestamp) -> SessionVerdict {
        let (effect, pending) = self.machine.step(self.state.as_ref(), event, now).split();
        match effect {
            Effect::Keep => {}
            Effect::Save { state, .. } => self.state = Some(state),
            Effect::Erase => self.state = None,
        }
        pending.committed()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = TokenKeys::new(&RootKey::generate(&SystemEntropy::new())?);
    let (tenant, id) = (TenantId::new("acme")?, AccountDigest::new([7; 16]));
    let policy = SessionPolicy::default();
    let idle = policy.idle();
    let mut account = Account { machine: SessionMachine::new(policy, id, 0), state: None };
    let start = Timestamp::from_micros(1_523_232_000_000_000);

    // Somebody signed in; this program stands in for what checked the password.
    let proof = Authenticated::assertion(id, PolicyDigest::NONE, start);
    let (token, fresh) = keys.issue(&tenant, id, &SystemEntropy::new())?;
    let label = Default::default();
    let open = SessionEvent::Open { proof, generation: 0, fresh, replaces: None, label };
    assert!(matches!(account.step(&open, start), SessionVerdict::Opened { .. }));

    // The browser is given a cookie, and sends it back.
    let set = Cookie::session().set(&token, None)?;
    let sent = set.expose().split(';').next().ok_or("no cookie")?.to_owned();
    let (_, value) = sent.split_once('=').ok_or("no value")?;
    let check = |keys: &TokenKeys| -> Result<SessionEvent, Box<dyn std::error::Error>> {
        Ok(SessionEvent::Check { secret: keys.open(&tenant, value.as_bytes())?.secret })
    };

    let second = std::time::Duration::from_secs(60);
    let used = start.after(idle - second);
    assert!(matches!(account.step(&check(&keys)?, used), SessionVerdict::Active(_)));
    let late = account.step(&check(&keys)?, used.after(idle));
    assert_eq!(late, SessionVerdict::Refused(SessionRefusal::Idle));
    Ok(())
}
