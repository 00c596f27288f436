//! One gate for every door where a credential is checked.
//!
//! Each call resolves, counts, verifies, records and only then lets in; what is refused says why
//! to the log and to the host, and as little as it can to the person at the screen.
//!
//! | file | question it answers |
//! |---|---|
//! | `builder` | what does a gate need, and what does it refuse to start with |
//! | `baseline`, `terms` | is the policy still what was promised |
//! | `signin` | may this person in |
//! | `sessions` | whose token is this |
//! | `links` | invitation, reset, and setting the password with them |
//! | `acting` | what a signed-in person or an operator may ask for |
//! | `devices` | is this a browser that has signed in before |
//! | `crossings`, `sprays`, `events` | what is announced, and when more is asked for |
//! | `account` | what is one account's state, and what changes in one swap |
//! | `account_bytes` | how is that written |
//! | `column`, `column_texts` | how a host's own column of passwords is kept in step with it |
//! | `refusal`, `call` | what is said about a call, and what is written |
//! | `generation`, `restore` | is the store the latest, and what if not |
//! | `outage` | what is counted while the store of the failures does not answer |
//! | `coalesce`, `wait`, `upkeep` | floods, queues and the work in between |
//! | `host`, `outbox` | what the host brings |

mod account;
mod account_bytes;
mod acting;
mod baseline;
mod break_glass;
mod builder;
mod call;
mod coalesce;
mod column;
mod column_texts;
mod crossings;
mod devices;
mod events;
mod generation;
mod host;
mod links;
mod open_error;
mod outage;
mod outbox;
mod password;
mod policies;
mod refusal;
mod restore;
mod schedule;
mod sessions;
mod signin;
mod sprays;
mod terms;
mod unlock;
mod upkeep;
mod wait;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use vouchsafe_access_log::{AnySink, Name, Operation, Outcome, RecordSink};
use vouchsafe_core::{
    AccountDigest, Anchored, CellKey, ChargeId, Clock, Entropy, Machine, Space, TenantId, Timer,
    Timestamp, UserId,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_envelope::Keyring;
use vouchsafe_lockout::{
    AccountKey, DeviceKey, LockoutMachine, LockoutVerdict, Overflow, SourceThrottle, Subject,
};
use vouchsafe_password::{Breached, HashPool, Work};
use vouchsafe_policy::Policy;
use vouchsafe_session::{LinkOrigin, TokenKeys};
use vouchsafe_store::{AnyCells, Encrypted, StoreError, Turns, Undelivered, drive};

use crate::counting;

pub use acting::{Acting, NotSet, UserState};
pub use baseline::Ahead;
pub use break_glass::BreakGlass;
pub use builder::GateBuilder;
pub use call::{Attempt, Call};
pub use devices::DeviceCookie;
pub use host::{Account, Accounts, Credentials, HostError, Mail, Notify, Purpose, Swapped};
pub use links::{LinkView, Redeemed, link_path};
pub use open_error::OpenError;
pub use outage::CountersDown;
pub use outbox::Outbox;
pub use policies::Policies;
pub use refusal::{Code, Refused};
pub use restore::Restored;
pub use sessions::{Issued, Principal};
pub use signin::{Admitted, Authenticated, ChangePassword, Checked, Login, Next};
pub use upkeep::Upkeep;

use account::{AccountEvent, AccountMachine, AccountVerdict, Answer, Ask, View};
use call::{Draft, failed, refused};
use coalesce::Counts;
use crossings::Crossed;
use generation::Generations;
use host::{AnyAccounts, AnyCredentials, AnyNotify};
use outage::Outages;
use schedule::Schedule;
use sprays::Sprays;
use wait::Settlements;

/// One gate for every door where a credential is checked. Cloning shares it.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
    clock: Arc<dyn Clock>,
}

struct Inner {
    /// Which opening of a gate this is: it is where it is in memory, as long as anybody has it.
    opened: Arc<()>,
    policies: Policies,
    application: Name,
    origin: LinkOrigin,
    cells: AnyCells,
    /// Where counters are in this process's memory: for the accounts that have no room there.
    overflow: Option<Overflow>,
    /// The same store, where its sealing matters.
    sealed: Arc<Encrypted<AnyCells>>,
    keyring: Arc<Keyring>,
    digests: MacKey,
    account_keys: BTreeMap<TenantId, AccountKey>,
    /// For whom the host's column is asked when a name is unknown: whoever was looked up first.
    somebody: BTreeMap<TenantId, OnceLock<UserId>>,
    tokens: TokenKeys,
    entropy: Arc<dyn Entropy>,
    timer: AnyTimer,
    accounts: AnyAccounts,
    notify: AnyNotify,
    /// Where the host keeps records itself.
    credentials: Option<AnyCredentials>,
    sink: AnySink,
    /// It did not take the last record.
    log_is_down: AtomicBool,
    pool: HashPool,
    /// The list of breached passwords.
    breached: Option<Arc<dyn Breached>>,
    turns: Turns,
    settlements: Settlements,
    outages: Outages,
    throttles: BTreeMap<TenantId, SourceThrottle>,
    devices: DeviceKey,
    sprays: Sprays,
    /// How many losses of the store are in the log.
    losses: AtomicU64,
    refusals: Counts,
    /// Calls that were answered: apart, so that a crowd of them pushes out no refusal.
    uses: Counts,
    later: Mutex<VecDeque<Later>>,
    schedule: Schedule,
    /// The clock of counters in this process's memory.
    makes_room_by: Arc<Anchored<Arc<dyn Clock>>>,
    /// Where the log reads back.
    generations: Option<Generations>,
    restored: Option<Restored>,
    era: u64,
    break_glass: Option<BreakGlass>,
    ahead: Vec<Ahead>,
    /// Which of those ahead have come into force and are recorded.
    noted: Mutex<BTreeSet<usize>>,
}

/// What could not be done at once, and is tried again by the upkeep.
enum Later {
    /// A charge, or a lock, is to be taken back once the store answers again; or an account's
    /// counter is to be told something else that cannot wait for ever.
    Settle { policy: Arc<Policy>, event: vouchsafe_lockout::LockoutEvent },
    /// A record of something that did not happen, or of which nobody knows, is to be corrected.
    Correct { draft: Box<Draft>, outcome: Outcome },
    /// A lock is to be announced once the log answers again.
    Announce { policy: Arc<Policy>, draft: Box<Draft>, outcome: Outcome, crossed: Crossed },
    /// A mail that a stranger asked for: how long it takes is not for them to see.
    Send { draft: Box<Draft>, mail: Box<Mail> },
    /// A password that is in force is to be written into the host's column.
    Write { policy: Arc<Policy>, tenant: TenantId, account: AccountDigest, user: Box<Account> },
}

/// Most things that wait for the upkeep. Beyond it a charge stays until it leaves its window, a
/// mail is not sent, and a correction is lost: each errs to the safe side but the last.
const MAX_LATER: usize = 65_536;

impl Inner {
    /// Where everything of `subject` is counted and kept.
    fn account(&self, tenant: &TenantId, subject: Subject<'_>) -> AccountDigest {
        match self.account_keys.get(tenant) {
            Some(key) => key.digest(subject),
            None => AccountKey::new(&self.digests, tenant).digest(subject),
        }
    }

    fn later(&self) -> MutexGuard<'_, VecDeque<Later>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves something for the upkeep; false when there is no room.
    fn leave(&self, what: Later) -> bool {
        let mut later = self.later();
        let room = later.len() < MAX_LATER;
        if room {
            later.push_back(what);
        }
        room
    }
}

/// A record that says "succeeded" of what has not ended yet. Dropped before it has, it is
/// corrected.
struct Unfinished<'a> {
    inner: &'a Inner,
    draft: &'a Draft,
    correction: Option<Outcome>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.correction.take() {
            let draft = Box::new(self.draft.clone());
            self.inner.leave(Later::Correct { draft, outcome });
        }
    }
}

/// An attempt from before its charge until its record. Dropped in between, its charge stays, and
/// it is counted as one of which nobody learnt how it ended.
struct Underway {
    gate: Gate,
    draft: Draft,
    ended: bool,
}

impl Underway {
    fn new(gate: &Gate, draft: &Draft) -> Self {
        Self { gate: gate.clone(), draft: draft.clone(), ended: false }
    }

    /// It is recorded, or about to be by something that does not forget it.
    fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.ended {
            let unknown = Outcome::Failed(call::UNKNOWN);
            self.gate.inner.refusals.count(&self.draft, &unknown, self.gate.now());
        }
    }
}

impl std::fmt::Debug for Underway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Underway").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Any timer, boxed once.
#[derive(Clone)]
struct AnyTimer(Arc<dyn DynTimer>);

trait DynTimer: Send + Sync {
    fn sleep_boxed(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<T: Timer> DynTimer for T {
    fn sleep_boxed(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.sleep(duration))
    }
}

impl Gate {
    /// A gate under one policy, or a policy per tenant.
    pub fn builder(policies: impl Into<Policies>) -> GateBuilder {
        GateBuilder::new(policies.into())
    }

    /// The same gate, store, keys and policy, seen at another time: what would happen then?
    ///
    /// Whoever holds it decides what time it is, and what it does is done and stamped with that
    /// time, so it is for probes with accounts of their own, and for tests.
    #[must_use]
    pub fn at_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self { inner: Arc::clone(&self.inner), clock }
    }

    /// What the hash pool has done: how many passwords were hashed, how many refused unhashed.
    #[must_use]
    pub fn work(&self) -> Work {
        self.inner.pool.work()
    }

    /// The policy in force for `tenant`.
    ///
    /// # Errors
    /// [`Code::WrongTenant`] for a tenant the gate does not know.
    pub fn policy(&self, tenant: &TenantId) -> Result<Arc<Policy>, Refused> {
        self.inner
            .policies
            .get(tenant)
            .ok_or_else(|| Refused::new(Code::WrongTenant, vouchsafe_core::PolicyDigest::NONE))
    }

    /// The tenants the gate knows.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.inner.policies.tenants()
    }

    /// The contracts whose Effective Dates lay ahead when this gate was opened, and where the policy
    /// that is served is below them: to be shown to whoever can change it in time.
    #[must_use]
    pub fn contracts_ahead(&self) -> &[Ahead] {
        &self.inner.ahead
    }

    /// What [`GateBuilder::after_restore`] did when this gate was opened; `None` when the store was
    /// the latest.
    #[must_use]
    pub fn restored(&self) -> Option<&Restored> {
        self.inner.restored.as_ref()
    }

    /// Where links lead.
    #[must_use]
    pub fn origin(&self) -> &LinkOrigin {
        &self.inner.origin
    }

    /// The installation's keys, for sealing what belongs to the host.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn fresh_id(&self, policy: &Policy) -> Result<ChargeId, Refused> {
        let bytes = self.inner.entropy.id::<8>();
        let bytes = bytes.map_err(|_| Refused::new(Code::Unavailable, policy.digest()))?;
        Ok(ChargeId::new(u64::from_be_bytes(bytes)))
    }

    /// Drives an event on one account's lockout counter.
    async fn lockout(
        &self,
        policy: &Policy,
        event: vouchsafe_lockout::LockoutEvent,
    ) -> Result<LockoutVerdict, Undelivered<vouchsafe_lockout::LockoutEvent>> {
        let machine = counting_by(policy).announcing();
        self.counted(policy, &machine, event).await
    }

    /// Drives an event on its counter in the store, and beside it where the store is full.
    async fn count(
        &self,
        machine: &LockoutMachine,
        event: vouchsafe_lockout::LockoutEvent,
    ) -> Result<LockoutVerdict, Undelivered<vouchsafe_lockout::LockoutEvent>> {
        let (key, asked) = (event.cell(), self.now());
        let Inner { cells, entropy, overflow, .. } = &*self.inner;
        let counted = match overflow {
            None => drive(cells, entropy, key, machine, event, asked).await,
            Some(overflow) => {
                counting::drive(cells, overflow, entropy, machine, event, asked).await
            }
        };
        Ok(match counted? {
            // By the store's time, where it has one, of which the hash pool knows nothing.
            LockoutVerdict::Admitted(charged) => {
                LockoutVerdict::Admitted(charged.due(asked.after(machine.policy().settle_within())))
            }
            verdict => verdict,
        })
    }

    /// Does `event` to one account.
    async fn account(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        event: AccountEvent,
    ) -> Result<AccountVerdict, Refused> {
        let matters = generation::matters(&event);
        match self.ask(policy, account, Ask::Do(event)).await? {
            Answer::Done(verdict) => {
                if matters {
                    self.store_changed().await;
                }
                Ok(verdict)
            }
            _ => Err(Refused::new(Code::Corrupt, policy.digest())),
        }
    }

    /// What would become of `event`, and whether it would change anything.
    async fn would(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        event: AccountEvent,
    ) -> Result<(AccountVerdict, bool), Refused> {
        match self.ask(policy, account, Ask::Would(event)).await? {
            Answer::Would(verdict, changes) => Ok((verdict, changes)),
            _ => Err(Refused::new(Code::Corrupt, policy.digest())),
        }
    }

    /// An account as it stands, found or not: the same load either way.
    async fn view(&self, policy: &Arc<Policy>, account: AccountDigest) -> Result<View, Refused> {
        match self.ask(policy, account, Ask::Read).await? {
            Answer::View(view) => Ok(view),
            _ => Err(Refused::new(Code::Corrupt, policy.digest())),
        }
    }

    async fn ask(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        ask: Ask,
    ) -> Result<Answer, Refused> {
        let machine = AccountMachine { account, policy: Arc::clone(policy), era: self.inner.era };
        let key = CellKey::new(Space::Account, *account.as_bytes());
        let answer = self.drive(key, &machine, ask).await;
        answer.map_err(|undelivered| store_refusal(&undelivered.error, policy))
    }

    async fn drive<M>(
        &self,
        key: CellKey,
        machine: &M,
        event: M::Event,
    ) -> Result<M::Verdict, Undelivered<M::Event>>
    where
        M: Machine,
        M::State: vouchsafe_core::Cell,
    {
        drive(&self.inner.cells, &self.inner.entropy, key, machine, event, self.now()).await
    }

    /// Ahead of everything that costs: is this source trying too often?
    fn throttle(&self, tenant: &TenantId, policy: &Policy, call: &Call) -> Result<(), Refused> {
        let throttle = self.inner.throttles.get(tenant);
        match throttle.map(|throttle| throttle.check(&call.source())) {
            Some(Err(throttled)) => {
                Err(Refused::new(Code::Throttled, policy.digest()).after(throttled.retry_after))
            }
            _ => Ok(()),
        }
    }

    async fn append(&self, draft: &Draft, outcome: Outcome) -> Result<(), Refused> {
        let record = draft.record(&self.inner.application, self.now(), outcome, NonZeroU32::MIN);
        let written = self.inner.sink.append(record).await;
        self.inner.log_is_down.store(written.is_err(), Ordering::Relaxed);
        match written {
            Ok(_) => Ok(()),
            Err(_) => Err(Refused::new(Code::LogUnavailable, draft.policy)),
        }
    }

    /// Writes one record; without it, nothing may happen. That it was not taken is counted, to be
    /// written when the log answers again.
    async fn record(&self, draft: &Draft, outcome: Outcome) -> Result<(), Refused> {
        let written = self.append(draft, outcome).await;
        if let Err(unwritten) = &written {
            self.inner.refusals.count(draft, &refused(unwritten.code()), self.now());
        }
        written
    }

    /// Writes that `draft` succeeds, or counts it: of those alike, the first in a minute is written
    /// before it is answered, and the others are counted.
    async fn used(&self, draft: &Draft) -> Result<(), Refused> {
        let now = self.now();
        if !self.inner.uses.counted(draft, &Outcome::Succeeded, now) {
            self.record(draft, Outcome::Succeeded).await?;
            self.inner.uses.open(draft, &Outcome::Succeeded, now);
        }
        Ok(())
    }

    /// Writes that `draft` was refused, or counts it beside others alike, and says so.
    async fn refuse(&self, draft: &Draft, refusal: Refused) -> Refused {
        let draft = draft.clone().under(refusal.clause().cloned());
        let (outcome, now) = (refused(refusal.code()), self.now());
        let refusals = &self.inner.refusals;
        // Who asks for a link and is not refused is told that the log is down: so is, each time, who is,
        // or that would tell which names nobody has.
        let link =
            matches!(draft.operation, Operation::ResetRequested | Operation::UnlockRequested);
        let told = link
            && refusal.code() != Code::Throttled
            && self.inner.log_is_down.load(Ordering::Relaxed);
        if !told && refusals.counted(&draft, &outcome, now) {
            return refusal;
        }
        // Nothing is let in by it, so the others need not wait for the first.
        refusals.open(&draft, &outcome, now);
        match self.append(&draft, outcome.clone()).await {
            Ok(()) => refusal,
            Err(unwritten) => {
                refusals.count(&draft, &outcome, now);
                unwritten
            }
        }
    }

    /// What was prepared, or that it was refused, in writing.
    async fn or_refuse<T>(
        &self,
        draft: &Draft,
        prepared: Result<T, Refused>,
    ) -> Result<T, Refused> {
        match prepared {
            Ok(prepared) => Ok(prepared),
            Err(refusal) => Err(self.refuse(draft, refusal).await),
        }
    }

    /// Writes that `draft` succeeds, then makes it so. Should it then fail after all (the store
    /// stopped answering, another change won, the caller went away), a second record corrects the
    /// first: nothing ever happens unrecorded.
    async fn recorded<T>(
        &self,
        draft: &Draft,
        action: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        self.recorded_or(draft, action, failed).await?
    }

    /// As [`recorded`](Self::recorded), for an action that fails in its own way, and what the
    /// correction then says.
    async fn recorded_or<T, E>(
        &self,
        draft: &Draft,
        action: impl Future<Output = Result<T, E>>,
        failed: impl FnOnce(&E) -> Outcome,
    ) -> Result<Result<T, E>, Refused> {
        let correction = Some(Outcome::Failed(call::UNKNOWN));
        let mut unfinished = Unfinished { inner: &self.inner, draft, correction };
        if let Err(unwritten) = self.record(draft, Outcome::Succeeded).await {
            unfinished.correction = None;
            return Err(unwritten);
        }
        let ended = action.await;
        unfinished.correction = ended.as_ref().err().map(failed);
        if let Some(outcome) = unfinished.correction.clone()
            && self.append(draft, outcome).await.is_ok()
        {
            unfinished.correction = None;
        }
        Ok(ended)
    }
}

/// The rules by which an account's failures are counted.
fn counting_by(policy: &Policy) -> LockoutMachine {
    LockoutMachine::new(policy.lockout().clone(), policy.digest())
}

/// The refusal for a store that did not do its part.
fn store_refusal(error: &StoreError, policy: &Policy) -> Refused {
    let code = match error {
        StoreError::Corrupt(_) => Code::Corrupt,
        StoreError::Contended { .. } => Code::Busy,
        _ => Code::Unavailable,
    };
    Refused::new(code, policy.digest())
}

fn host_refusal(policy: &Policy) -> Refused {
    Refused::new(Code::Unavailable, policy.digest())
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("policies", &self.inner.policies).finish_non_exhaustive()
    }
}
