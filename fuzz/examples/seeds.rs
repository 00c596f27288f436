//! Writes what the parsers accept into seeds/: `cargo run --example seeds` in fuzz/. What older versions
//! wrote (`version_1`) stays there as it is.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use vouchsafe_access_log::{Actor, Operation, Outcome, Record, Target, Url, name};
use vouchsafe_core::{
    AccountDigest, Authenticated, Cell, ChargeId, Charged, ClauseId, Effect, Machine, NotMatched,
    PolicyDigest, Source, TenantId, Timestamp, UserId, WrongDigest,
};
use vouchsafe_crypto::{MacKey, RootKey, SigningKey};
use vouchsafe_envelope::{About, Context, Envelope};
use vouchsafe_fuzz::{keyring, tenant};
use vouchsafe_ledger::{Identity, Origin};
use vouchsafe_lockout::{
    Begin, Consecutive, DeviceEpoch, DeviceKey, Devices, Limit, LockoutEvent, LockoutMachine,
    LockoutPolicy, LockoutState,
};
use vouchsafe_policy::Policy;
use vouchsafe_session::{
    Label, LinkEvent, LinkMachine, LinkPolicy, Purpose, Requester, SessionEvent, SessionMachine,
    SessionPolicy, Sessions, TokenKeys,
};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::SeededEntropy;

const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
const NOW: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

fn keep(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a seed");
}

fn saved<S>(effect: Effect<S>) -> S {
    match effect {
        Effect::Save { state, .. } => state,
        _ => panic!("nothing to save"),
    }
}

fn main() {
    words();
    states();
    records();
    sealed();
}

fn words() {
    keep("core_ids", "name", "Zoe\u{308} Straße@example.com");
    keep("core_ids", "odd", "\u{FDFA}\u{345}ǰŉ　①\u{200B}");
    keep("core_source", "chain", "8.8.8.8, 203.0.113.9:80\n[2001:db8::7]:443, ::ffff:10.0.0.2");
    keep("core_source", "hidden", "unknown, _x,, fe80::1%3");
    keep("core_prefix", "v4", "10.0.0.0/8");
    keep("core_prefix", "mapped", "::ffff:10.0.0.0/104");
    keep("core_clause", "source", "Z10.3a");
    keep("session_cookie", "two", "a=b; __Host-Http-sid=abc-_09\n__Host-Http-sid=\"x\"; c");
}

/// An account with failures of strangers and of a device, a run of them, remembered wrong secrets and
/// a lock that nobody has announced.
fn every_counter() -> LockoutState {
    let policy = LockoutPolicy::builder()
        .limit(Limit::new(3, Duration::from_secs(86_400)))
        .devices(Devices::default())
        .consecutive(Consecutive::default())
        .repeats(20);
    let policy = policy.build().expect("a policy");
    let lockout = LockoutMachine::new(policy, PolicyDigest::NONE).announcing();
    let cookies = DeviceKey::new(MacKey::new(&[9; 32]));
    let mut state: Option<LockoutState> = None;
    let mut step = |event: &LockoutEvent| {
        let (effect, _) = lockout.step(state.as_ref(), event, NOW).split();
        state = Some(saved(effect));
        state.clone().expect("a state")
    };
    let device = |id| {
        let epoch = DeviceEpoch::new(0);
        cookies.verify(ACCOUNT, &cookies.issue(ACCOUNT, id, epoch, NOW))?.of_epoch(epoch)
    };
    for id in 1..=5 {
        let device = (id > 3).then(|| device(id)).flatten();
        let id = ChargeId::new(id);
        step(&LockoutEvent::Begin(Begin::new(ACCOUNT, id).from_device(device)));
        let charge = Charged::assertion(ACCOUNT, id, PolicyDigest::NONE, Timestamp::MAX);
        let wrong =
            NotMatched::assertion(charge).with_digest(WrongDigest::new([id.get() as u8; 6]));
        step(&LockoutEvent::NotMatched(wrong));
    }
    step(&LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(6)).from_device(device(4))))
}

fn states() {
    let policy = LockoutPolicy::builder().limit(Limit::new(5, Duration::from_secs(86_400)));
    let lockout = LockoutMachine::new(policy.build().expect("a policy"), PolicyDigest::NONE);
    let mut state: Option<LockoutState> = None;
    for id in 1..=3 {
        let begin = LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(id)));
        state = Some(saved(lockout.step(state.as_ref(), &begin, NOW).split().0));
    }
    keep("lockout_state", "three", state.expect("a state").into_bytes());
    keep("lockout_state", "every_counter", every_counter().into_bytes());

    let entropy = SeededEntropy::new(5);
    let keys = TokenKeys::new(&RootKey::new(&[4; 32]));
    let sessions = SessionMachine::new(SessionPolicy::default(), ACCOUNT, 0);
    let mut state: Option<Sessions> = None;
    for _ in 0..2 {
        let (token, fresh) = keys.issue(&tenant(), ACCOUNT, &entropy).expect("a token");
        let another = TenantId::new("other").expect("a tenant");
        drop(token);
        let (token, _) = keys.issue(&another, ACCOUNT, &entropy).expect("a token");
        keep("session_token", "another_tenants", token.expose());
        let open = SessionEvent::Open {
            proof: Authenticated::assertion(ACCOUNT, PolicyDigest::NONE, NOW),
            generation: 0,
            fresh,
            replaces: None,
            label: Label::new("a browser"),
        };
        state = Some(saved(sessions.step(state.as_ref(), &open, NOW).split().0));
    }
    keep("session_state", "two", state.expect("a state").to_bytes());

    let links = LinkMachine::new(LinkPolicy::default(), ACCOUNT, 0);
    let (_, fresh) =
        keys.issue_link(&tenant(), ACCOUNT, Purpose::ALL[0], &entropy).expect("a link");
    let address = vouchsafe_core::Identifier::new("zoe@example.com").expect("an address");
    let address = keys.address(&tenant(), &address);
    let issue = LinkEvent::Issue { fresh, address, by: Requester::Authority };
    keep("session_links", "one", saved(links.step(None, &issue, NOW).split().0).to_bytes());
}

fn records() {
    let mut record = Record {
        tenant: tenant(),
        actor: Actor::User(UserId::new("u-17").expect("a user")),
        target: Target::entity(name!("campaign"), "42").expect("a target"),
        operation: Operation::Updated,
        outcome: Outcome::Succeeded,
        application: name!("portal"),
        source: Source::Direct(std::net::IpAddr::from([203, 0, 113, 9]).into()),
        shared_source: true,
        time: NOW,
        policy: PolicyDigest::new([1; 32]),
        clause: Some(ClauseId::new("A1.4a").expect("a clause")),
        repeats: NonZeroU32::MIN,
    };
    keep("access_log_record", "entity", record.to_bytes());
    let url = Url::new("/campaigns/{id}").expect("a template");
    record.target = Target::Url(url.with_query("page=2&secret=x", &[name!("page")]));
    record.actor = Actor::Unauthenticated { claimed: Some(ACCOUNT) };
    keep("access_log_record", "url", record.to_bytes());

    for preset in ["amigo", "zoomph-2018", "vouchsafe"] {
        keep("policy_document", preset, Policy::preset(preset).expect("a preset").to_toml());
    }
    let origin = Origin::new("fuzz.example/log").expect("an origin");
    let other = Identity::new(origin, SigningKey::from_seed(&[9; 32]).public());
    keep("ledger_note", "verifier_key", other.to_string());
    keep("ledger_note", "note", "fuzz.example/log\n5\nAAAA\n\n— fuzz.example/log AAAA\n");
    let record = "vouchsafe:1:chosen:free:nfc:-:$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                  $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    keep("password_record", "record", record);
    keep("password_record", "phc", record.split_once("-:").expect("a hash").1);
    let mut state = vec![1, 0, 0, 0, 0, 0, 0, 0, 3, 0];
    state.extend_from_slice(record.as_bytes());
    keep("password_state", "record", state);
}

fn sealed() {
    let entropy = std::sync::Arc::new(SeededEntropy::new(6));
    let envelope = Envelope::with_entropy(keyring(), entropy.clone());
    let about = About { generation: 1, created: NOW, retention: 0, policy: PolicyDigest::NONE };
    let tenant = tenant();
    let context = Context { tenant: &tenant, table: "t", column: "c", row: b"2", purpose: "" };
    keep("envelope_object", "another_row", envelope.seal(&context, &about, b"x").expect("sealed"));
    keep("envelope_edits", "two", [0, 9, 1, 0, 90, 0x80]);
    keep("ledger_files", "edits", [0, 0, 40, 1, 1, 2, 0, 0x80, 200]);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    let secret = vouchsafe_core::SecretString::new("another secret than the fuzzer's".into());
    let unlock = vouchsafe_envelope::Unlock::passphrase(&secret).expect("a passphrase");
    let cost = vouchsafe_envelope::Cost::MINIMUM;
    vouchsafe_envelope::Keyring::create(&path, &unlock, cost, &*entropy).expect("a keyring");
    keep("envelope_keyring", "fresh", fs::read(&path).expect("a file"));

    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path).expect("a store"));
    keep("sqlite_file", "empty", fs::read(&path).expect("a file"));
}
