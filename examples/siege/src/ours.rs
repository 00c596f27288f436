//! Vouchsafe's own: the lockout engine over the memory store and the coarse counters for what it has no
//! room for, behind the source throttle and beside the spray detector, through their public items.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe::counting;
use vouchsafe_core::{
    AccountDigest, ChargeId, Charged, Identifier, Matched, NotMatched, PolicyDigest, Standing,
    TenantId, Timestamp, UserId,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{
    AccountKey, Begin, Device, DeviceEpoch, DeviceKey, Devices, LockoutEvent, LockoutMachine,
    LockoutPolicy, LockoutVerdict, Overflow, Seen, SourcePolicy, SourceThrottle, SprayDetector,
    SprayPolicy, Subject,
};
use vouchsafe_store::{Cells, MemoryStore};
use vouchsafe_testkit::{ManualClock, SeededEntropy, block_on};

use crate::guard::{Answer, Attempt, Guard, Name};
use crate::world::{DAY, START, World};

/// What one block of a source throttle takes: 100 000 take about 7 MiB, as its policy says.
const BLOCK: usize = 73;
/// What one account of a spray detector takes: 65 536 take about 4 MiB, as its policy says.
const WATCHED: usize = 64;

/// Devices of each user: at the desk, and a phone.
const DEVICES: usize = 2;
/// Nobody here voids cookies.
const EPOCH: DeviceEpoch = DeviceEpoch::new(0);

/// What is wrong with a name that was made here.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SetUpError(#[from] vouchsafe_core::IdError);

/// The engine, its store, its throttle and its clock.
pub struct Ours {
    machine: LockoutMachine,
    store: MemoryStore,
    overflow: Overflow,
    throttle: SourceThrottle,
    clock: Arc<ManualClock>,
    entropy: SeededEntropy,
    accounts: AccountKey,
    users: Vec<AccountDigest>,
    device_key: DeviceKey,
    /// What each user's devices present: none where the policy does not tell devices apart.
    cookies: Vec<Vec<String>>,
    open: HashMap<u64, Charged>,
    spray: SprayDetector,
    alarms: Vec<Timestamp>,
}

impl Ours {
    /// Under this policy, for the users of a world, in a store of so many bytes.
    ///
    /// # Errors
    /// When a name is refused, which would be a mistake here.
    pub fn new(policy: LockoutPolicy, world: &World, memory: usize) -> Result<Self, SetUpError> {
        Self::with_devices(policy, world, memory, DEVICES)
    }

    /// The same, where each user has signed in on so many devices.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_devices(
        policy: LockoutPolicy,
        world: &World,
        memory: usize,
        devices: usize,
    ) -> Result<Self, SetUpError> {
        let clock = Arc::new(ManualClock::at(START));
        let accounts = AccountKey::new(&MacKey::new(&[7; 32]), &TenantId::new("siege")?);
        let users = (0..world.len()).map(|number| {
            let user = UserId::new(&format!("user-{number}"))?;
            Ok(accounts.digest(Subject::User(&user)))
        });
        let users = users.collect::<Result<Vec<_>, SetUpError>>()?;
        let (entropy, device_key) = (SeededEntropy::new(1), DeviceKey::new(MacKey::new(&[8; 32])));
        // All have signed in on the day before.
        let known_since = START.before(DAY);
        let cookies = |user: &AccountDigest| {
            (0..devices)
                .map(|_| device_key.issue(*user, entropy.next(), EPOCH, known_since))
                .collect()
        };
        let cookies = match policy.devices() {
            Some(_) => users.iter().map(cookies).collect(),
            None => Vec::new(),
        };
        Ok(Self {
            machine: LockoutMachine::new(policy, PolicyDigest::NONE),
            store: MemoryStore::new(memory).with_clock(Arc::clone(&clock)),
            overflow: Overflow::default(),
            throttle: SourceThrottle::new(&SourcePolicy::default(), Arc::clone(&clock) as Arc<_>),
            clock,
            entropy,
            accounts,
            users,
            device_key,
            cookies,
            open: HashMap::new(),
            spray: SprayDetector::new(SprayPolicy::default()),
            alarms: Vec::new(),
        })
    }

    /// What the store keeps, in bytes.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.store.used()
    }

    fn account(&self, name: Name) -> Option<AccountDigest> {
        match name {
            Name::User(user) => self.users.get(usize::try_from(user).ok()?).copied(),
            Name::Nobody(number) => {
                let name = Identifier::new(&format!("nobody-{number}")).ok()?;
                Some(self.accounts.digest(Subject::Unknown(&name)))
            }
        }
    }

    /// The device that the attempt's cookie says it comes from.
    fn device(&self, account: AccountDigest, attempt: &Attempt) -> Option<Device> {
        let Name::User(user) = attempt.name else { return None };
        let cookies = self.cookies.get(usize::try_from(user).ok()?)?;
        let cookie = cookies.get(usize::from(attempt.device?))?;
        self.device_key.verify(account, cookie)?.of_epoch(EPOCH)
    }

    fn drive(&self, event: LockoutEvent, now: Timestamp) -> Option<LockoutVerdict> {
        let Self { store, overflow, entropy, machine, .. } = self;
        block_on(counting::drive(store, overflow, entropy, machine, event, now)).ok()
    }
}

impl Guard for Ours {
    fn begin(&mut self, attempt: &Attempt, now: Timestamp) -> Answer {
        self.clock.set(now);
        if self.throttle.check(&attempt.source).is_err() {
            return Answer::Refuse;
        }
        let Some(account) = self.account(attempt.name) else { return Answer::Refuse };
        let id = ChargeId::new(self.entropy.next());
        let begin = Begin::new(account, id).from_device(self.device(account, attempt));
        match self.drive(LockoutEvent::Begin(begin), now) {
            Some(LockoutVerdict::Admitted(charged)) => {
                self.open.insert(id.get(), charged);
                Answer::Verify(id.get())
            }
            Some(LockoutVerdict::Wait { .. }) => Answer::Wait,
            _ => Answer::Refuse,
        }
    }

    fn settle(&mut self, ticket: u64, attempt: &Attempt, right: bool, now: Timestamp) {
        self.clock.set(now);
        let Some(charged) = self.open.remove(&ticket) else { return };
        let seen = match (right, attempt.name) {
            (true, _) => Seen::SignedIn,
            (false, Name::User(_)) => Seen::Failed,
            (false, Name::Nobody(_)) => Seen::Unknown,
        };
        let raised = self.spray.observe(now, charged.account(), seen);
        self.alarms.extend(raised.map(|alarm| alarm.since));
        #[expect(clippy::disallowed_methods, reason = "the replay has compared the passwords")]
        let event = if right {
            LockoutEvent::Matched(Matched::assertion(charged, Standing::Chosen))
        } else {
            LockoutEvent::NotMatched(NotMatched::assertion(charged))
        };
        // A settlement that is lost leaves its charge, which is the safe side.
        let _ = self.drive(event, now);
    }

    fn bytes(&self) -> usize {
        let blocks = self.throttle.len().saturating_mul(BLOCK);
        let watched = self.spray.len().saturating_mul(WATCHED);
        self.store.used().saturating_add(blocks).saturating_add(watched)
    }

    fn alarms(&self) -> &[Timestamp] {
        &self.alarms
    }

    fn upkeep(&mut self, now: Timestamp) {
        self.clock.set(now);
        let _ = block_on(self.store.sweep(now, usize::MAX));
    }
}

/// `failures` in `window`, and counters of devices, for the table's rows.
///
/// # Errors
/// When the policy is not valid, which would be a mistake here.
pub fn policy(
    limits: &[(u32, Duration)],
    devices: Option<Devices>,
) -> Result<LockoutPolicy, Vec<vouchsafe_lockout::LockoutError>> {
    let builder = LockoutPolicy::builder();
    limits
        .iter()
        .fold(builder, |builder, (failures, window)| {
            builder.limit(vouchsafe_lockout::Limit::new(*failures, *window))
        })
        .devices(devices)
        .build()
}
