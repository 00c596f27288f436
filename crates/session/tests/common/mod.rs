//! An account composed of a credential's generation, sessions and links, as a host would keep it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::time::Duration;

use vouchsafe_core::{
    AccountDigest, Authenticated, Cell, CellKey, Corrupt, Effect, Entropy, Machine, PolicyDigest,
    Space, Step, TenantId, Timestamp,
};
use vouchsafe_crypto::RootKey;
use vouchsafe_session::{
    Fresh, Label, LinkEvent, LinkMachine, LinkPolicy, LinkRefusal, LinkVerdict, Links,
    SecretDigest, SessionEvent, SessionMachine, SessionPolicy, SessionVerdict, Sessions, Token,
    TokenKeys,
};
use vouchsafe_store::{Cells, MemoryStore, StoreError, Undelivered, drive};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{SeededEntropy, block_on};

pub const ACCOUNT: AccountDigest = AccountDigest::new([0xA1; 16]);
pub const MICRO: Duration = Duration::from_micros(1);
pub const MINUTE: Duration = Duration::from_secs(60);

pub fn at(micros: u64) -> Timestamp {
    Timestamp::EPOCH.after(Duration::from_micros(micros))
}

pub fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub fn keys() -> TokenKeys {
    TokenKeys::new(&RootKey::new(&[3; 32]))
}

pub fn proof(account: AccountDigest, now: Timestamp) -> Authenticated {
    Authenticated::assertion(account, PolicyDigest::NONE, now)
}

pub fn fresh(entropy: &impl Entropy) -> (Token, Fresh) {
    keys().issue(&tenant(), ACCOUNT, entropy).unwrap()
}

pub fn open(fresh: Fresh, generation: u64, now: Timestamp) -> SessionEvent {
    let label = Label::new("a browser");
    SessionEvent::Open { proof: proof(ACCOUNT, now), generation, fresh, replaces: None, label }
}

pub fn check(secret: SecretDigest) -> SessionEvent {
    SessionEvent::Check { secret }
}

/// Carries a pure step out on a state in a variable.
pub fn apply<M: Machine>(
    machine: &M,
    state: &mut Option<M::State>,
    event: &M::Event,
    now: Timestamp,
) -> M::Verdict {
    apply_counting(machine, state, event, now).0
}

/// The same, and whether it wrote.
pub fn apply_counting<M: Machine>(
    machine: &M,
    state: &mut Option<M::State>,
    event: &M::Event,
    now: Timestamp,
) -> (M::Verdict, bool) {
    let (effect, pending) = machine.step(state.as_ref(), event, now).split();
    let wrote = !matches!(effect, Effect::Keep);
    match effect {
        Effect::Keep => {}
        Effect::Save { state: new, .. } => *state = Some(new),
        Effect::Erase => *state = None,
    }
    (pending.committed(), wrote)
}

/// One account's cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub generation: u64,
    pub password: Option<String>,
    pub sessions: Option<Sessions>,
    pub links: Option<Links>,
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    let bytes = bytes.unwrap_or_default();
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Corrupt> {
    let ([there], rest) = bytes.split_first_chunk().ok_or(Corrupt)?;
    let (length, rest) = rest.split_first_chunk().ok_or(Corrupt)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (part, rest) = rest.split_at_checked(length).ok_or(Corrupt)?;
    Ok(((*there == 1).then_some(part), rest))
}

impl Cell for Account {
    const SPACE: Space = Space::Account;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let (generation, rest) = bytes.split_first_chunk().ok_or(Corrupt)?;
        let (password, rest) = take(rest)?;
        let (sessions, rest) = take(rest)?;
        let (links, _) = take(rest)?;
        Ok(Self {
            generation: u64::from_be_bytes(*generation),
            password: password.map(|text| String::from_utf8(text.to_vec()).unwrap()),
            sessions: sessions.map(Sessions::from_bytes).transpose()?,
            links: links.map(Links::from_bytes).transpose()?,
        })
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut out = self.generation.to_be_bytes().to_vec();
        put(&mut out, self.password.as_deref().map(str::as_bytes));
        put(&mut out, self.sessions.map(|part| part.to_bytes()).as_deref());
        put(&mut out, self.links.map(|part| part.to_bytes()).as_deref());
        out
    }
}

#[derive(Debug)]
pub enum AccountEvent {
    Session(SessionEvent),
    Link(LinkEvent),
    /// Redeem the link, set the password and end the sessions.
    SetByLink {
        redeem: LinkEvent,
        password: String,
    },
    /// The owner changes the password, or an administrator disables the account.
    RaiseGeneration,
}

#[derive(Debug, PartialEq, Eq)]
pub enum AccountVerdict {
    Session(SessionVerdict),
    Link(LinkVerdict),
    PasswordSet,
    /// Shorter than eight characters: the link stays.
    PasswordRejected,
    NotRedeemed(LinkRefusal),
    Raised,
}

/// The parts, composed.
#[derive(Clone, Debug, Default)]
pub struct AccountMachine {
    pub sessions: SessionPolicy,
    pub links: LinkPolicy,
}

impl AccountMachine {
    fn set_by_link(
        &self,
        was: &Account,
        redeem: &LinkEvent,
        password: &str,
        now: Timestamp,
    ) -> Step<Account, AccountVerdict> {
        if password.len() < 8 {
            return Step::keep(AccountVerdict::PasswordRejected);
        }
        let machine = LinkMachine::new(self.links.clone(), ACCOUNT, was.generation);
        let (effect, pending) = machine.step(was.links.as_ref(), redeem, now).split();
        let verdict = match pending.committed() {
            LinkVerdict::Redeemed => AccountVerdict::PasswordSet,
            LinkVerdict::Refused(refusal) => {
                return Step::keep(AccountVerdict::NotRedeemed(refusal));
            }
            other => panic!("{other:?}"),
        };
        let Effect::Save { state: links, .. } = effect else { return Step::keep(verdict) };
        let changed = Account {
            generation: was.generation + 1,
            password: Some(password.to_owned()),
            sessions: None,
            links: Some(links),
        };
        Step::save(changed, Timestamp::MAX, verdict)
    }
}

impl Machine for AccountMachine {
    type State = Account;
    type Event = AccountEvent;
    type Verdict = AccountVerdict;

    fn step(
        &self,
        was: Option<&Account>,
        event: &AccountEvent,
        now: Timestamp,
    ) -> Step<Account, AccountVerdict> {
        let was = was.cloned().unwrap_or_default();
        match event {
            AccountEvent::Session(event) => {
                SessionMachine::new(self.sessions.clone(), ACCOUNT, was.generation)
                    .step(was.sessions.as_ref(), event, now)
                    .map(
                        |part| Account { sessions: Some(part), ..was.clone() },
                        AccountVerdict::Session,
                    )
                    .kept_until(Timestamp::MAX)
            }
            AccountEvent::Link(event) => {
                LinkMachine::new(self.links.clone(), ACCOUNT, was.generation)
                    .step(was.links.as_ref(), event, now)
                    .map(|part| Account { links: Some(part), ..was.clone() }, AccountVerdict::Link)
                    .kept_until(Timestamp::MAX)
            }
            AccountEvent::SetByLink { redeem, password } => {
                self.set_by_link(&was, redeem, password, now)
            }
            AccountEvent::RaiseGeneration => {
                let changed = Account { generation: was.generation + 1, ..was };
                Step::save(changed, Timestamp::MAX, AccountVerdict::Raised)
            }
        }
    }
}

/// Delivers an event to account number `number` in a store.
pub fn deliver<C: Cells>(
    cells: &C,
    machine: &AccountMachine,
    number: u64,
    event: AccountEvent,
    now: Timestamp,
) -> AccountVerdict {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    let key = CellKey::new(Space::Account, digest);
    let mut event = event;
    loop {
        let driven = drive(cells, &SystemEntropyForVersions, key, machine, event, now);
        match block_on(driven) {
            Ok(verdict) => return verdict,
            // Nobody stands in line here, so a caller may lose every race it is allowed.
            Err(Undelivered { error: StoreError::Contended { .. }, event: back }) => event = back,
            Err(undelivered) => panic!("{undelivered:?}"),
        }
    }
}

/// Versions must never repeat, so they come from the real source.
struct SystemEntropyForVersions;

impl Entropy for SystemEntropyForVersions {
    fn fill(&self, out: &mut [u8]) -> Result<(), vouchsafe_core::NoEntropy> {
        vouchsafe_crypto::SystemEntropy::new().fill(out)
    }
}

pub fn memory() -> MemoryStore {
    MemoryStore::new(1 << 26)
}

pub fn sqlite() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(dir.path().join("cells.db"))
        .deadline(Duration::from_secs(60))
        .open()
        .unwrap();
    (dir, store)
}

pub fn seeded(seed: u64) -> SeededEntropy {
    SeededEntropy::new(seed)
}
