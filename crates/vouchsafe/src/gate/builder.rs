//! What a gate needs, and what it refuses to start with.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use vouchsafe_access_log::{AnySink, Name, Operation, Outcome, RecordSink, Target, Text, name};
use vouchsafe_core::{Anchored, Clock, Entropy, PolicyDigest, TenantId, Timer};
use vouchsafe_crypto::MacKey;
use vouchsafe_envelope::Keyring;
use vouchsafe_lockout::{
    AccountKey, DeviceKey, MayRollBack, Overflow, SourceThrottle, SprayPolicy,
};
use vouchsafe_password::{Breached, HashPolicy, HashPool, Peppers, PoolConfig, PoolKeys};
use vouchsafe_policy::Policy;
use vouchsafe_session::{LinkOrigin, TokenKeys};
use vouchsafe_store::{AnyCells, Apart, Cells, Durability, Encrypted, MemoryStore, Turns};

use super::baseline::{Baselines, PROMISED};
use super::break_glass::BreakGlass;
use super::call::Draft;
use super::coalesce::Counts;
use super::generation::{Found, Generations};
use super::host::{Accounts, AnyAccounts, AnyCredentials, AnyNotify, Credentials, Notify};
use super::outage::Outages;
use super::restore::Parts;
use super::schedule::Schedule;
use super::sprays::Sprays;
use super::wait::Settlements;
use super::{AnyTimer, Gate, Inner, OpenError, Policies, Refused};
use crate::os::{SystemClock, SystemEntropy, ThreadTimer};

/// Kinds of refusals counted at once; about 4 MiB. Beyond 16 tenants, a sixteenth for each.
const REFUSALS: usize = 4_096;
/// Blocks of addresses told apart for each kind of refusal of one account in a minute.
const REFUSED_FROM: usize = 64;
/// Sessions in use, and links looked at, counted at once; about 16 MiB. Beyond 16 tenants, a
/// sixteenth for each.
const USES: usize = 16_384;
/// Blocks of addresses told apart for one session in a minute: more than a person moves through.
const USED_FROM: usize = 16;

/// Puts a [`Gate`] together. What has no safe default has to be given before
/// [`open`](Self::open).
#[must_use = "a gate is there after `open`"]
pub struct GateBuilder {
    policies: Policies,
    contracts: BTreeMap<TenantId, Vec<Policy>>,
    application: Name,
    origin: Option<LinkOrigin>,
    cells: Option<AnyCells>,
    counters: Option<AnyCells>,
    counter_memory: Option<usize>,
    may_roll_back: bool,
    after_restore: bool,
    keyring: Option<Arc<Keyring>>,
    accounts: Option<AnyAccounts>,
    notify: Option<AnyNotify>,
    credentials: Option<AnyCredentials>,
    sink: Option<AnySink>,
    pool: Option<PoolConfig>,
    pool_below_policy: bool,
    breached: Option<Arc<dyn Breached>>,
    peppers: Option<Arc<Peppers>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    timer: Option<AnyTimer>,
    break_glass: Option<BreakGlass>,
    spray: SprayPolicy,
    challenges: bool,
}

impl GateBuilder {
    pub(super) fn new(policies: Policies) -> Self {
        Self {
            policies,
            contracts: BTreeMap::new(),
            application: name!("vouchsafe"),
            origin: None,
            cells: None,
            counters: None,
            counter_memory: None,
            may_roll_back: false,
            after_restore: false,
            keyring: None,
            accounts: None,
            notify: None,
            credentials: None,
            sink: None,
            pool: None,
            pool_below_policy: false,
            breached: None,
            peppers: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
            timer: None,
            break_glass: None,
            spray: SprayPolicy::default(),
            challenges: false,
        }
    }

    /// Where accounts, failures and sessions are kept. Each value is sealed before it gets there.
    pub fn store(mut self, store: impl Cells + 'static) -> Self {
        self.cells = Some(AnyCells::new(store));
        self
    }

    /// A store of its own for the failures of accounts: one that all nodes share, say, beside
    /// credentials in a store that loses nothing. By default they are in the same one. One that may
    /// roll back ([`Durability::MayRollBack`]) has to be named by every policy in force:
    /// `lockout.may_roll_back = "counters"`. A `MemoryStore` ends with the process, of which nobody is
    /// told here: take [`counters_in_memory`](Self::counters_in_memory).
    pub fn counters(mut self, store: impl Cells + 'static) -> Self {
        self.counters = Some(AnyCells::new(store));
        self.counter_memory = None;
        self
    }

    /// The failures of accounts in at most so many bytes of this process's memory (64 MiB are a good
    /// choice): for one node, where nobody waits for a disk to be refused. They end with the process,
    /// so every policy in force has to name it: `lockout.may_roll_back = "counters"`.
    /// When an attacker's made-up names have filled it, the accounts without a counter of their own
    /// share coarse ones ([`Overflow`]), so that somebody may be refused for what others did, and
    /// nobody has more guesses than the policy says.
    pub fn counters_in_memory(mut self, bytes: usize) -> Self {
        self.counters = None;
        self.counter_memory = Some(bytes);
        self
    }

    /// Opens even over a store that may undo what it acknowledged ([`Durability::MayRollBack`]) and
    /// that not every policy in force names in `lockout.may_roll_back`. When
    /// it does, a used or revoked link works again, an ended session lives on, a password that was
    /// changed is the old one, and an account has as many more guesses as failures were undone. When
    /// such a store says that it may have happened, the upkeep records it, once each time
    /// ([`Operation::Degraded`]).
    pub fn danger_store_may_roll_back(mut self) -> Self {
        self.may_roll_back = true;
        self
    }

    /// For the one start after the store was put back from a copy, which is otherwise refused
    /// ([`OpenError::OlderStore`]): everything that was handed out before is void, which is sessions,
    /// links and device cookies, and whoever's password, rights or class changed since, by the log,
    /// chooses a new password by a mailed link. [`Gate::restored`] says who. No other gate may be
    /// open over the store meanwhile. Where nothing shows that the store is a copy, it does nothing.
    ///
    /// What a tenant was promised since has to be given again as a contract
    /// ([`OpenError::LostBaseline`]).
    ///
    /// What the log does not know stays lost: failures that were counted since are counted no more,
    /// and who was invited since has to be invited again.
    pub fn after_restore(mut self) -> Self {
        self.after_restore = true;
        self
    }

    /// The installation's keys.
    pub fn keys(mut self, keyring: impl Into<Arc<Keyring>>) -> Self {
        self.keyring = Some(keyring.into());
        self
    }

    /// Where access records go.
    pub fn records(mut self, sink: impl RecordSink + 'static) -> Self {
        self.sink = Some(AnySink::new(sink));
        self
    }

    /// The host's users.
    pub fn accounts(mut self, accounts: impl Accounts + 'static) -> Self {
        self.accounts = Some(AnyAccounts::new(accounts));
        self
    }

    /// The host's own column of passwords. Without it, they are in the store. A password that the
    /// store holds from before moves to the column at the next look, where that is empty.
    pub fn credentials(mut self, credentials: impl Credentials + 'static) -> Self {
        self.credentials = Some(AnyCredentials::new(credentials));
        self
    }

    /// How mail is sent.
    pub fn notify(mut self, notify: impl Notify + 'static) -> Self {
        self.notify = Some(AnyNotify::new(notify));
        self
    }

    /// Where links in mails lead: `<origin>/<tenant>/activate/<token>`, and `/reset/`. From
    /// configuration, never from a request.
    pub fn origin(mut self, origin: LinkOrigin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// What a tenant was promised: the gate refuses to start below it, now and ever after. Several
    /// contracts hold together. Without any, the policy of the first start is the promise.
    ///
    /// A contract whose Effective Date lies ahead holds from 00:00 UTC of that day on. A gate that is
    /// open then stays open, and its upkeep records that the contract came into force, or that the
    /// policy is below it ([`Gate::contracts_ahead`] says so in advance); the next start refuses.
    pub fn contract(mut self, tenant: TenantId, baseline: Policy) -> Self {
        self.contracts.entry(tenant).or_default().push(baseline);
        self
    }

    /// What the records name as the place where things happened; `vouchsafe` by default.
    pub fn application(mut self, application: Name) -> Self {
        self.application = application;
        self
    }

    /// Workers, memory and queue of the hash pool; by default one worker fewer than cores.
    ///
    /// It hashes as the strongest that any class of any tenant asks for, or as the pool's own policy
    /// where that is no weaker: one for all, so that the work does not tell whose account it is. A
    /// budget that is given has to allow that, or the gate does not open ([`OpenError::Password`]).
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = Some(pool);
        self.pool_below_policy = false;
        self
    }

    /// As [`pool`](Self::pool), hashing as the pool's own policy says, however much weaker it is than what
    /// the tenants' policies say: for tests that hash by the thousand.
    pub fn danger_pool_below_policy(mut self, pool: PoolConfig) -> Self {
        self.pool = Some(pool);
        self.pool_below_policy = true;
        self
    }

    /// The peppers that records of passwords are sealed with, in the store and in the host's column. A
    /// record under another is sealed anew when its owner signs in; `Peppers::rotate` seals a table
    /// without, and once it has, `Peppers::sealed_only` believes nothing else: another text in the host's
    /// column is one that cannot be read ([`Credentials`]). Without the pepper of a record its owner is told
    /// [`Code::Unavailable`](super::Code), and no attempt counts. By default there are none: the store's own
    /// cells are sealed anyway.
    ///
    /// Rotating the host's column ends nothing, as the gate finds the same hash under the new seal. Give
    /// both peppers to every gate first: one that cannot open a row takes it for a password that the host
    /// has set.
    pub fn peppers(mut self, peppers: Arc<Peppers>) -> Self {
        self.peppers = Some(peppers);
        self
    }

    /// The list of breached passwords, for the classes whose policy says `password.refuse_breached`:
    /// a [`BreachFilter`](vouchsafe_password::BreachFilter), or what is made of one. Where a policy
    /// says so, a gate does not open without it ([`OpenError::NoBreachList`]).
    ///
    /// New passwords that are on it are refused, and so are those that could not be looked up. Who
    /// signs in with one has to choose another, and so does, once, the one in 256 or 65 536 whose
    /// password looks alike: take fingerprints of 16 bits. A sign-in while the list cannot be read goes
    /// on, as the password was looked up when it was chosen.
    ///
    /// Where one class's policy says so, every sign-in asks it, also with an unknown name, and the answer
    /// counts for that class alone: so how long it takes does not tell of which class somebody is.
    ///
    /// It is asked on a thread of the hash pool. A filter in a file reads some kilobytes, mostly from the
    /// system's cache; where that disk may stand still, which keeps those threads from hashing, give
    /// one in memory (`BreachFilter::from_bytes`).
    pub fn breached(mut self, list: impl Breached + 'static) -> Self {
        self.breached = Some(Arc::new(list));
        self
    }

    /// Where the present moment comes from; the operating system by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where fresh bytes come from; the operating system by default.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// How to wait; a thread of its own by default.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Some(AnyTimer(Arc::new(timer)));
        self
    }

    /// A door of this machine's own, for when nothing else works; none by default.
    pub fn break_glass(mut self, glass: BreakGlass) -> Self {
        self.break_glass = Some(glass);
        self
    }

    /// When many accounts failing together are a spray; [`SprayPolicy::default`] by default. Each
    /// alarm is one record.
    pub fn spray(mut self, policy: SprayPolicy) -> Self {
        self.spray = policy;
        self
    }

    /// The host can ask people to show that they are no program. While somebody is trying
    /// passwords on many accounts of a tenant, its sign-in then refuses with
    /// [`Code::Challenge`](super::Code::Challenge) whoever has not, and is not known by a device
    /// cookie. Without it, an alarm is recorded and nobody is asked: refusing people who have no way
    /// to pass would keep everybody out.
    pub fn challenges(mut self) -> Self {
        self.challenges = true;
        self
    }

    /// Opens the gate.
    ///
    /// # Errors
    /// [`OpenError`]: a part is missing or does not answer, or a policy is weaker than what a
    /// tenant was promised, which is recorded.
    pub async fn open(self) -> Result<Gate, OpenError> {
        let Self { policies, contracts, clock, entropy, .. } = self;
        let cells = self.cells.ok_or(OpenError::Missing("a store"))?;
        let named = policies.iter().map(|(_, policy)| policy.lockout().may_roll_back()).min();
        let may = |what| self.may_roll_back || named.unwrap_or_default() >= what;
        let lasts = |store: &AnyCells| store.durability() == Durability::Durable;
        let makes_room_by = Arc::new(Anchored::new(Arc::clone(&clock)));
        let counters = self.counters.or_else(|| {
            let memory = MemoryStore::new(self.counter_memory?);
            Some(AnyCells::new(memory.with_clock(Arc::clone(&makes_room_by))))
        });
        // Those in memory end with the process, beside a store that does not.
        let counters_last = self.counter_memory.is_none() && counters.as_ref().is_none_or(lasts);
        if !(lasts(&cells) || may(MayRollBack::Everything))
            || !(counters_last || may(MayRollBack::Counters))
        {
            return Err(OpenError::MayRollBack);
        }
        let cells = match counters {
            Some(counters) => AnyCells::new(Apart::new(counters, cells)),
            None => cells,
        };
        let keyring = self.keyring.ok_or(OpenError::Missing("keys"))?;
        let accounts = self.accounts.ok_or(OpenError::Missing("the host's accounts"))?;
        let notify = self.notify.ok_or(OpenError::Missing("a way to send mail"))?;
        let sink = self.sink.ok_or(OpenError::Missing("somewhere to record"))?;
        let origin = self.origin.ok_or(OpenError::Missing("an origin for links"))?;
        if policies.tenants().next().is_none() {
            return Err(OpenError::NoTenants);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if let Some(tenant) = policies.tenants().find(|t| !t.as_str().bytes().all(plain)) {
            return Err(OpenError::TenantPath(tenant.clone()));
        }
        let asks = |policy: &Policy| policy.classes().any(|(_, c)| c.password().refuses_breached());
        let asking = policies.iter().find(|(_, policy)| asks(policy));
        if let (None, Some((tenant, _))) = (&self.breached, asking) {
            return Err(OpenError::NoBreachList(tenant.clone()));
        }
        let now = clock.now();
        let sealed = Encrypted::with_entropy(cells, keyring.store_root(), Arc::clone(&entropy));
        sealed.rotate(now);
        let sealed = Arc::new(sealed);
        let cells = AnyCells::new(Arc::clone(&sealed));
        let digests = keyring.digest_key();
        let mut baselines = Baselines::read(&cells, &sink, &digests, &entropy, now).await?;
        let mut found = Found::read(&cells, &sink, &digests).await?;
        let lost = match found.newer() {
            None => None,
            Some(newer) if self.after_restore => Some(found.lost(newer, &sink, &digests).await?),
            Some(newer) => {
                let store = found.cell.map_or(0, |cell| cell.number);
                return Err(OpenError::OlderStore { store, log: newer.number, at: newer.at });
            }
        };
        let mut checked = Vec::new();
        for (tenant, policy) in policies.iter() {
            let owed = contracts.get(tenant).map(Vec::as_slice).unwrap_or_default();
            let of = baselines.check(tenant, policy, owed).await;
            if let Err(OpenError::BelowBaseline { .. } | OpenError::OlderBaseline { .. }) = &of {
                let (operation, digest) = (Operation::PolicyRefused, policy.digest());
                let draft = own_draft(&self.application, tenant, operation, "policy", digest);
                let outcome = Outcome::Refused(super::upkeep::BELOW);
                // That the gate does not open does not hang on it.
                let _ = sink
                    .append(draft.record(&self.application, now, outcome, NonZeroU32::MIN))
                    .await;
            }
            checked.push((tenant.clone(), of?));
        }
        baselines.check_shared(&policies, &checked).await?;
        let mut restored = None;
        if let (Some(lost), Some(tenant)) = (lost, policies.tenants().next()) {
            baselines.check_lost(&lost.promised, &checked).await?;
            let (entropy, application) = (&entropy, &self.application);
            let (cells, sink, digests) = (&cells, &sink, &digests);
            let has_column = self.credentials.is_some();
            let parts = Parts {
                cells,
                sink,
                digests,
                entropy,
                accounts: &accounts,
                has_column,
                application,
                tenant,
                now,
            };
            restored = Some(parts.restore(&mut found, lost).await?);
        }
        let ahead = checked.iter().flat_map(|(_, of)| of.ahead.clone()).collect();
        checked.retain(|(_, of)| of.raised);
        for tenant in policies.tenants() {
            keyring.add_tenant(tenant, now, &*entropy)?;
        }
        let asked = strongest(&policies);
        let config = match self.pool {
            Some(config) if self.pool_below_policy => config,
            Some(config) => config.no_weaker_than(asked),
            None => PoolConfig::new(asked),
        };
        let throttles = policies.iter().map(|(tenant, policy)| {
            (tenant.clone(), SourceThrottle::new(policy.throttle(), Arc::clone(&clock)))
        });
        let account_keys =
            policies.tenants().map(|tenant| (tenant.clone(), AccountKey::new(&digests, tenant)));
        let somebody = policies.tenants().map(|tenant| (tenant.clone(), OnceLock::new()));
        let generations = Generations::new(&found, &digests, policies.tenants().next(), now);
        let root = found.cell.unwrap_or_default().root(keyring.token_root());
        let devices = MacKey::new(&root.derive("vouchsafe device cookies v1", &[]));
        let keys = PoolKeys::new().recognise_with(keyring.digest_key());
        let keys = keys.remember_with(keyring.digest_key());
        let keys = match self.peppers {
            Some(peppers) => keys.peppers(peppers),
            None => keys,
        };
        let inner = Inner {
            opened: Arc::new(()),
            throttles: throttles.collect(),
            devices: DeviceKey::new(devices),
            losses: AtomicU64::new(cells.losses()),
            sprays: Sprays::new(&policies, self.spray, self.challenges),
            application: self.application,
            origin,
            cells: cells.clone(),
            overflow: self.counter_memory.map(|_| Overflow::default()),
            sealed,
            account_keys: account_keys.collect(),
            somebody: somebody.collect(),
            digests: keyring.digest_key(),
            tokens: TokenKeys::new(&root),
            timer: match self.timer {
                Some(timer) => timer,
                None => AnyTimer(Arc::new(ThreadTimer::start()?)),
            },
            accounts,
            notify,
            credentials: self.credentials,
            sink,
            log_is_down: AtomicBool::default(),
            breached: self.breached,
            pool: HashPool::with_keys(config, Arc::clone(&clock), Arc::clone(&entropy), keys)?,
            keyring,
            entropy: Arc::clone(&entropy),
            turns: waiting_room(&policies),
            settlements: Settlements::default(),
            outages: Outages::new(&policies, &clock),
            refusals: Counts::new(REFUSALS, policies.tenants().count(), REFUSED_FROM),
            uses: Counts::new(USES, policies.tenants().count(), USED_FROM),
            later: Mutex::default(),
            makes_room_by,
            schedule: Schedule::new(&policies, now, found.last),
            generations,
            restored,
            era: found.cell.unwrap_or_default().era(),
            break_glass: self.break_glass,
            ahead,
            noted: Mutex::default(),
            policies,
        };
        let gate = Gate { inner: Arc::new(inner), clock };
        // Recorded first, then in force.
        for (tenant, of) in &checked {
            gate.note(tenant, Operation::PolicyLoaded, "baseline", of.baseline.digest()).await?;
            for document in &of.new {
                gate.note(tenant, Operation::PolicyLoaded, PROMISED, *document).await?;
            }
        }
        for (tenant, policy) in gate.inner.policies.iter() {
            gate.note(tenant, Operation::GateOpened, "gate", policy.digest()).await?;
        }
        for (tenant, of) in checked {
            baselines.keep(&tenant, of.kept).await?;
        }
        if !gate.raise_generation().await {
            return Err(OpenError::Generation);
        }
        Ok(gate)
    }
}

/// The parameters of every hash: no weaker than those of any class of any tenant.
fn strongest(policies: &Policies) -> HashPolicy {
    let classes = policies.iter().flat_map(|(_, policy)| policy.classes());
    let each = classes.map(|(_, class)| *class.hash());
    each.reduce(HashPolicy::join).unwrap_or_default()
}

/// Lines as long as the most generous policy lets them be.
fn waiting_room(policies: &Policies) -> Turns {
    let waits = || policies.iter().map(|(_, policy)| policy.lockout().wait());
    let most = |counts: &mut dyn Iterator<Item = u32>| {
        counts.max().and_then(|most| usize::try_from(most).ok()).unwrap_or_default()
    };
    // One more than may wait: the first in line is not waiting.
    let per_key = most(&mut waits().map(|wait| wait.per_key)).saturating_add(1);
    Turns::new(per_key, most(&mut waits().map(|wait| wait.per_process)).saturating_add(1))
}

impl Gate {
    /// Writes what the gate itself did about a policy.
    pub(super) async fn note(
        &self,
        tenant: &TenantId,
        operation: Operation,
        kind: &'static str,
        policy: PolicyDigest,
    ) -> Result<(), Refused> {
        let draft = own_draft(&self.inner.application, tenant, operation, kind, policy);
        self.append(&draft, Outcome::Succeeded).await
    }
}

/// What is written of what the gate itself did about a policy.
pub(super) fn own_draft(
    application: &Name,
    tenant: &TenantId,
    operation: Operation,
    kind: &'static str,
    policy: PolicyDigest,
) -> Draft {
    let id = Text::clipped(&format!("{kind} {policy}"));
    let target = Target::Entity { kind: name!("policy"), id };
    Draft::own(application, tenant, operation, target, policy)
}
