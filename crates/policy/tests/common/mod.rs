//! Runs a comparison's witness through the engines themselves.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::time::Duration;

use vouchsafe_access_log::{
    Actor, Disposal, Field, Name, Operation, Outcome, Record, Target, Witness as Records,
};
use vouchsafe_core::{
    AccountDigest, Authenticated, ChargeId, ClauseId, Effect, Identifier, Machine, NotMatched,
    PolicyDigest, Source, Standing, TenantId, Timestamp, Unavailable, WrongDigest,
};
use vouchsafe_crypto::{MacKey, RootKey};
use vouchsafe_lockout::{
    Begin, Circumstance, DeviceEpoch, DeviceKey, LockoutEvent, LockoutMachine, LockoutPolicy,
    LockoutVerdict, MayRollBack, Outage,
};
use vouchsafe_password::{
    BreachBuilder, BreachFilter, BreachKey, FingerprintBits, Password, PasswordWitness,
};
use vouchsafe_policy::{ClassPolicy, Finding, Policy, Witness, compare};
use vouchsafe_session::{
    Label, LinkEvent, LinkMachine, LinkPolicy, LinkVerdict, LinkWitness, Requester, SessionEvent,
    SessionMachine, SessionPolicy, SessionVerdict, SessionWitness, TokenKeys,
};
use vouchsafe_testkit::SeededEntropy;

pub const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
/// Well after the epoch, so that nothing saturates.
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// One account's state, stepped as a store would.
struct Stepped<M: Machine> {
    machine: M,
    state: Option<M::State>,
}

impl<M: Machine> Stepped<M> {
    fn new(machine: M) -> Self {
        Self { machine, state: None }
    }

    fn send(&mut self, event: &M::Event, now: Timestamp) -> M::Verdict {
        let (effect, verdict) = self.machine.step(self.state.as_ref(), event, now).split();
        match effect {
            Effect::Keep => {}
            Effect::Save { state, .. } => self.state = Some(state),
            Effect::Erase => self.state = None,
        }
        verdict.committed()
    }
}

/// Every finding in both directions is shown by the engines: what the witness describes happens
/// under the weaker policy and not under the stronger one.
#[track_caller]
pub fn every_witness_shows(candidate: &Policy, baseline: &Policy) {
    let report = compare(candidate, baseline);
    for finding in report.weaker() {
        shows(candidate, baseline, finding);
    }
    for finding in report.stronger() {
        shows(baseline, candidate, finding);
    }
}

#[track_caller]
pub fn shows(weak: &Policy, strong: &Policy, finding: &Finding) {
    assert!(happens(weak, finding), "under the weaker policy: {finding}");
    assert!(!happens(strong, finding), "not under the stronger one: {finding}");
}

/// Whether what the witness describes happens under `policy`, according to the engine.
pub fn happens(policy: &Policy, finding: &Finding) -> bool {
    let class = || {
        let name = finding.section().strip_prefix("class.").unwrap();
        policy.class(name.split_once('.').unwrap().0).unwrap()
    };
    match finding.witness() {
        Witness::Lockout(witness) => all_admitted(policy.lockout(), witness),
        Witness::Password(witness) => {
            let password = Password::new(witness.password().to_owned()).unwrap();
            let rule = class().password();
            let checked = rule.check_against(&password, &witness.attributes(), &breach(witness));
            match witness {
                PasswordWitness::Accepted { .. } | PasswordWitness::Breached { .. } => {
                    checked.is_ok()
                }
                PasswordWitness::Again { after, .. } => {
                    checked.is_ok() && *after >= rule.remembers()
                }
                PasswordWitness::Refused { .. } => checked.is_err(),
            }
        }
        Witness::Hash(witness) => !class().hash().upgrades(witness.record),
        Witness::Session(witness) => session_holds(class().session(), witness),
        Witness::SignInRefused { sessions } => sign_in_refused(class().session(), *sessions),
        Witness::Links(witness) => link_holds(class().links(), *witness),
        Witness::Retention(witness) => record_may(class(), *witness),
        Witness::Envelope(weakness) => weakness.passes(class().envelope()),
        Witness::NoClass(name) => policy.class(name).is_err(),
        other => panic!("no engine for {other:?}"),
    }
}

/// A list of breached passwords: the witness's, where that is what it is about, or none.
fn breach(witness: &PasswordWitness) -> BreachFilter {
    let out = std::io::Cursor::new(Vec::new());
    let mut list = BreachBuilder::new(out, FingerprintBits::Sixteen, 1).unwrap();
    if let PasswordWitness::Breached { password } = witness {
        list.push(BreachKey::of(&Password::new(password.clone()).unwrap())).unwrap();
    }
    BreachFilter::from_bytes(list.finish().unwrap().0.into_inner()).unwrap()
}

/// Whether every attempt is admitted to verification.
#[allow(clippy::disallowed_methods, reason = "the test is the verifier")]
fn all_admitted(policy: &LockoutPolicy, witness: &vouchsafe_lockout::Witness) -> bool {
    // What a gate applies in these circumstances, if it opens and lets anybody by.
    let (policy, forgets) = match (witness.circumstance(), policy.when_store_is_down()) {
        (Circumstance::Usual, _) => (policy.clone(), false),
        (Circumstance::StoreDown, Outage::Refuse) => return false,
        (Circumstance::StoreDown, Outage::FailOpen) => return true,
        (Circumstance::StoreDown, _) => (policy.degraded().unwrap(), false),
        (Circumstance::CountersRolledBack, _) => {
            (policy.clone(), policy.may_roll_back() >= MayRollBack::Counters)
        }
        (Circumstance::StoreRolledBack, _) => {
            (policy.clone(), policy.may_roll_back() == MayRollBack::Everything)
        }
    };
    let mut account = Stepped::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    let key = DeviceKey::new(MacKey::new(&[9; 32]));
    (0..).zip(witness.attempts()).all(|(id, attempt)| {
        if forgets {
            account.state = None;
        }
        let now = START.after(attempt.after);
        let cookie =
            attempt.device.map(|device| key.issue(ACCOUNT, device, DeviceEpoch::new(0), now));
        let device = cookie
            .and_then(|cookie| key.verify(ACCOUNT, &cookie).unwrap().of_epoch(DeviceEpoch::new(0)));
        let begin = Begin::new(ACCOUNT, ChargeId::new(id)).from_device(device);
        let LockoutVerdict::Admitted(charged) = account.send(&LockoutEvent::Begin(begin), now)
        else {
            return false;
        };
        let settled = match (attempt.right, attempt.repeated) {
            (true, _) => {
                LockoutEvent::Matched(vouchsafe_core::Matched::assertion(charged, Standing::Chosen))
            }
            (false, true) => {
                let digest = WrongDigest::new([1; 6]);
                LockoutEvent::NotMatched(NotMatched::assertion(charged).with_digest(digest))
            }
            (false, false) => LockoutEvent::NotMatched(NotMatched::assertion(charged)),
        };
        account.send(&settled, now);
        true
    })
}

/// Whether an account that is locked gets in again after an unlock, and not before.
#[allow(clippy::disallowed_methods, reason = "the test is the verifier")]
pub fn an_unlock_lets_the_owner_in(policy: &LockoutPolicy) -> bool {
    let mut account = Stepped::new(LockoutMachine::new(policy.clone(), PolicyDigest::NONE));
    let begin = |id| LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(id)));
    let mut id = 0;
    while let LockoutVerdict::Admitted(charged) = account.send(&begin(id), START) {
        id += 1;
        assert!(id <= 64, "it never locks");
        account.send(&LockoutEvent::NotMatched(NotMatched::assertion(charged)), START);
    }
    account.send(&LockoutEvent::Unlock { account: ACCOUNT, id: ChargeId::new(1_000) }, START);
    matches!(account.send(&begin(2_000), START), LockoutVerdict::Admitted(_))
}

fn keys() -> (TokenKeys, SeededEntropy, TenantId) {
    let keys = TokenKeys::new(&RootKey::new(&[3; 32]));
    (keys, SeededEntropy::new(1), TenantId::new("acme").unwrap())
}

struct Sessions {
    account: Stepped<SessionMachine>,
    keys: (TokenKeys, SeededEntropy, TenantId),
}

impl Sessions {
    fn new(policy: &SessionPolicy) -> Self {
        let account = Stepped::new(SessionMachine::new(policy.clone(), ACCOUNT, 0));
        Self { account, keys: keys() }
    }

    /// A sign-in: whether it is let in, and the use of its session.
    #[allow(clippy::disallowed_methods, reason = "the test stands for sign-in")]
    fn open(&mut self, at: Timestamp) -> (bool, SessionEvent) {
        let (keys, entropy, tenant) = &self.keys;
        let (token, fresh) = keys.issue(tenant, ACCOUNT, entropy).unwrap();
        let secret = keys.open(tenant, token.expose().as_bytes()).unwrap().secret;
        let proof = Authenticated::assertion(ACCOUNT, PolicyDigest::NONE, at);
        let label = Label::default();
        let event = SessionEvent::Open { proof, generation: 0, fresh, replaces: None, label };
        let opened = matches!(self.account.send(&event, at), SessionVerdict::Opened { .. });
        (opened, SessionEvent::Check { secret })
    }

    fn is_active(&mut self, check: &SessionEvent, at: Timestamp) -> bool {
        matches!(self.account.send(check, at), SessionVerdict::Active(_))
    }
}

/// Whether one more sign-in is refused after so many.
fn sign_in_refused(policy: &SessionPolicy, sessions: u32) -> bool {
    let mut account = Sessions::new(policy);
    let all = (0..sessions).all(|_| account.open(START).0);
    all && !account.open(START).0
}

/// Whether the session is still accepted, or as many are alive at once.
fn session_holds(policy: &SessionPolicy, witness: &SessionWitness) -> bool {
    let mut account = Sessions::new(policy);
    match *witness {
        SessionWitness::Life { opened, every, last_activity, now } => {
            let (_, check) = account.open(opened);
            let mut at = opened.after(every);
            while at < last_activity {
                if !account.is_active(&check, at) {
                    return false;
                }
                at = at.after(every);
            }
            let used = last_activity == opened || account.is_active(&check, last_activity);
            used && account.is_active(&check, now)
        }
        SessionWitness::AtOnce { sessions } => {
            for _ in 0..sessions {
                account.open(START);
            }
            match account.account.send(&SessionEvent::List, START) {
                SessionVerdict::Listed(list) => list.len() >= sessions as usize,
                _ => false,
            }
        }
    }
}

/// Whether the link still works at that age, or a second one is sent so soon.
fn link_holds(policy: &LinkPolicy, witness: LinkWitness) -> bool {
    let (keys, entropy, tenant) = keys();
    let address = keys.address(&tenant, &Identifier::new("ann@example.org").unwrap());
    let mut account = Stepped::new(LinkMachine::new(policy.clone(), ACCOUNT, 0));
    let issue = |purpose| {
        let (token, fresh) = keys.issue_link(&tenant, ACCOUNT, purpose, &entropy).unwrap();
        let link = keys.open_link(&tenant, purpose, token.expose().as_bytes()).unwrap();
        (LinkEvent::Issue { fresh, address, by: Requester::Stranger }, link)
    };
    match witness {
        LinkWitness::Redeemed { purpose, age } => {
            let (event, link) = issue(purpose);
            assert!(matches!(account.send(&event, START), LinkVerdict::Issued { .. }));
            let redeem = LinkEvent::Redeem { link, address, id: 1 };
            account.send(&redeem, START.after(age)) == LinkVerdict::Redeemed
        }
        LinkWitness::Resent { gap } => {
            let purpose = vouchsafe_session::Purpose::Reset;
            assert!(matches!(account.send(&issue(purpose).0, START), LinkVerdict::Issued { .. }));
            let second = account.send(&issue(purpose).0, START.after(gap));
            matches!(second, LinkVerdict::Issued { .. })
        }
    }
}

/// Whether a record of that age, or lacking that, may be.
fn record_may(class: &ClassPolicy, witness: Records) -> bool {
    let retention = class.retention();
    let disposal = |age: Duration| retention.disposal(START, START.after(age));
    match witness {
        Records::ErasedEarly { age } => disposal(age) != Disposal::Keep,
        Records::KeptLate { age } => disposal(age) != Disposal::Overdue,
        Records::FieldMissing { field } => !retention.missing(&lacking(field)).contains(&field),
        Records::Unrecorded { operation } => !retention.requires(operation),
        other => panic!("no engine for {other:?}"),
    }
}

/// A record that lacks this field and no other.
fn lacking(field: Field) -> Record {
    let address = "192.0.2.7".parse::<std::net::IpAddr>().unwrap();
    let source = match field {
        Field::Address => Source::Unavailable(Unavailable::Local),
        _ => Source::Direct(address.into()),
    };
    let claimed = (field != Field::Claimed).then_some(ACCOUNT);
    Record {
        tenant: TenantId::new("acme").unwrap(),
        actor: Actor::Unauthenticated { claimed },
        target: Target::entity(Name::new("account").unwrap(), "7").unwrap(),
        operation: Operation::SignInRefused,
        outcome: Outcome::Failed(Name::new("wrong_password").unwrap()),
        application: Name::new("portal").unwrap(),
        source,
        shared_source: false,
        time: START,
        policy: if field == Field::Policy {
            PolicyDigest::NONE
        } else {
            PolicyDigest::new([1; 32])
        },
        clause: (field != Field::Clause).then(|| ClauseId::new("Z7.6").unwrap()),
        repeats: std::num::NonZeroU32::MIN,
    }
}

/// `policy` with one field of its canonical document set to another value.
#[track_caller]
pub fn with(policy: &Policy, path: &str, value: &str) -> Policy {
    Policy::parse(&edited(policy, path, value), "edited.toml").unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
pub fn edited(policy: &Policy, path: &str, value: &str) -> String {
    let (section, field) = path.rsplit_once('.').unwrap();
    let text = policy.to_toml();
    let (before, rest) = text.split_once(&format!("[{section}]\n")).expect(path);
    let (body, after) = rest.split_once("\n\n").expect(path);
    let key = format!("{field} = ");
    let line = body.lines().find(|line| line.starts_with(&key)).expect(path);
    let body = body.replacen(line, &format!("{key}{value}"), 1);
    format!("{before}[{section}]\n{body}\n\n{after}")
}

/// A document of one class around these lines.
pub fn document(lines: &str) -> String {
    format!("schema = 1\nname = \"test\"\ntitle = \"A test\"\n{lines}")
}

/// Runs the example: the one that cargo built beside this test, or else one built now.
pub fn run_example(args: &[&str]) -> std::process::Output {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap().with_file_name("examples").join("policy");
    if !built.exists() {
        let cargo = std::process::Command::new(env!("CARGO"))
            .args(["build", "-q", "-p", "vouchsafe-policy", "--example", "policy"])
            .status();
        assert!(cargo.unwrap().success());
    }
    std::process::Command::new(built).args(args).output().unwrap()
}
