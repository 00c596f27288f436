//! FA-16, CO-1: the work in between is bounded, goes on where it stopped, and destroys nothing for
//! the sake of a clock that leapt.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod hourglass;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use hourglass::Hourglass;
use vouchsafe::access_log::{AnySink, Receipt, Record, RecordSink, SinkError, VecSink};
use vouchsafe::core::{Anchor, CellKey, Clock, Space, TenantId, UserId};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Code, Credentials, HostError, Login, OpenError, Swapped};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore, Put, Swap, Version};
use vouchsafe_testkit::{Fault, FaultyStore, ManualClock, TestGate, block_on, runs};

const FOR_A_MONTH: CellKey = CellKey::new(Space::Lockout, [9; 16]);
const PASSWORD: &str = "Correct-Horse-7";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// One installation over one store, which can be made to fail.
struct Installation {
    store: Arc<MemoryStore>,
    keyring: Arc<Keyring>,
    clock: Arc<ManualClock>,
    /// Calls of the store until it stops answering.
    left: Arc<AtomicU64>,
    /// The one log of all its starts; one for each, otherwise.
    log: Option<Readable>,
}

impl Installation {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new(1 << 24)),
            keyring: Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap()),
            clock: Arc::new(ManualClock::at(TestGate::start())),
            left: Arc::new(AtomicU64::new(u64::MAX)),
            log: None,
        }
    }

    fn open(&self) -> Result<TestGate, OpenError> {
        let policy = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
        let left = Arc::clone(&self.left);
        let store = FaultyStore::new(Arc::clone(&self.store), move |_| {
            let answers =
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            answers.is_err().then_some(Fault::Before)
        });
        let (keyring, clock) = (Arc::clone(&self.keyring), Arc::clone(&self.clock));
        let mut gate = block_on(TestGate::over(policy, store, |gate| {
            let gate = gate.keys(keyring).clock(clock);
            match &self.log {
                Some(log) => gate.records(AnySink::new(log.clone())),
                None => gate,
            }
        }))?;
        gate.clock = Arc::clone(&self.clock);
        Ok(gate)
    }

    fn fails_after(&self, calls: u64) {
        self.left.store(calls, Ordering::SeqCst);
    }

    /// Puts a cell into the store that matters for another month.
    fn keep_for_a_month(&self) {
        let put = Put::save(vec![1], self.clock.now().after(30 * DAY), Version::new([7; 16]));
        assert_eq!(block_on(self.store.swap(FOR_A_MONTH, None, put)).unwrap(), Swap::Done);
    }

    fn is_kept(&self) -> bool {
        block_on(self.store.load(FOR_A_MONTH)).unwrap().cell.is_some()
    }
}

fn code(login: Login) -> Code {
    match login {
        Login::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    }
}

/// Locks `ada`.
fn locked(gate: &TestGate) {
    for _ in 0..5 {
        assert_eq!(code(block_on(gate.login("ada@acme.example", "wrong"))), Code::WrongCredentials);
    }
    assert_eq!(code(block_on(gate.login("ada@acme.example", PASSWORD))), Code::Locked);
}

#[test]
fn what_a_leap_makes_look_expired_is_kept() {
    let all = Installation::new();
    let gate = all.open().unwrap();
    gate.add("ada@acme.example", "staff", PASSWORD);
    block_on(gate.gate.upkeep());
    all.keep_for_a_month();
    locked(&gate);
    let now = all.clock.now();
    all.clock.set(now.after(YEAR));
    let doubt = block_on(gate.gate.upkeep()).doubt.unwrap();
    assert!(doubt.ahead > YEAR - HOUR && doubt.ahead <= YEAR, "{doubt:?}");
    assert!(all.is_kept());
    // An hour of running says nothing yet.
    all.clock.advance(HOUR);
    assert!(block_on(gate.gate.upkeep()).doubt.is_some());
    assert!(all.is_kept());
    // The clock is put right: nothing was lost.
    all.clock.set(now.after(HOUR + MINUTE));
    assert_eq!(block_on(gate.gate.upkeep()).doubt, None);
    assert!(all.is_kept());
    assert_eq!(code(block_on(gate.login("ada@acme.example", PASSWORD))), Code::Locked);
}

#[test]
fn a_day_of_steady_running_or_an_operator_ends_the_doubt() {
    for confirmed in [false, true] {
        let all = Installation::new();
        let gate = all.open().unwrap();
        block_on(gate.gate.upkeep());
        all.keep_for_a_month();
        all.clock.set(all.clock.now().after(YEAR));
        assert!(block_on(gate.gate.upkeep()).doubt.is_some());
        if confirmed {
            let _earlier = gate.recorded();
            block_on(gate.gate.confirm_clock()).unwrap();
            assert_eq!(gate.recorded().len(), 1, "confirmed in writing");
        } else {
            all.clock.advance(DAY - MINUTE);
            assert!(block_on(gate.gate.upkeep()).doubt.is_some(), "a minute early");
            all.clock.advance(MINUTE);
        }
        assert!(all.is_kept());
        assert_eq!(block_on(gate.gate.upkeep()).doubt, None);
        assert!(!all.is_kept());
    }
}

/// While nothing ran nothing measured: a start long after the last one is no different from a leap.
#[test]
fn a_start_far_ahead_of_the_last_one_waits_too() {
    let all = Installation::new();
    let gate = all.open().unwrap();
    block_on(gate.gate.upkeep());
    all.keep_for_a_month();
    drop(gate);
    all.clock.set(all.clock.now().after(YEAR));
    // What is certain was written down without the tolerance: starting again and again gains nothing.
    for _ in 0..10 {
        let gate = all.open().unwrap();
        let done = block_on(gate.gate.upkeep());
        assert!(done.doubt.unwrap().ahead > YEAR - HOUR, "{done:?}");
        all.clock.advance(Anchor::TOLERANCE / 2);
    }
    let gate = all.open().unwrap();
    block_on(gate.gate.upkeep());
    all.clock.advance(DAY - MINUTE);
    assert!(block_on(gate.gate.upkeep()).doubt.is_some());
    assert!(all.is_kept());
    all.clock.advance(MINUTE);
    assert_eq!(block_on(gate.gate.upkeep()).doubt, None);
    assert!(!all.is_kept());
}

/// A log in memory that reads back.
#[derive(Clone)]
struct Readable(VecSink);

impl RecordSink for Readable {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        self.0.append(record).await
    }

    async fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> Result<Option<Vec<(u64, Record)>>, SinkError> {
        let numbered = (0_u64..).zip(self.0.records());
        let below = numbered.filter(|(number, _)| before.is_none_or(|before| *number < before));
        let mut newest: Vec<_> = below.collect();
        newest.reverse();
        newest.truncate(most);
        Ok(Some(newest))
    }
}

/// Where the store never said how far time had come, the log's last record does.
#[test]
fn a_start_far_ahead_of_the_last_record_waits_too() {
    let log = Readable(VecSink::new(1_000));
    let all = Installation { log: Some(log.clone()), ..Installation::new() };
    // Nothing is due in between, so nothing is written down.
    drop(all.open().unwrap());
    assert!(!log.0.records().is_empty());
    all.keep_for_a_month();
    let recorded = all.clock.now();
    all.clock.set(recorded.after(YEAR));
    let gate = all.open().unwrap();
    let done = block_on(gate.gate.upkeep());
    assert_eq!(done.doubt.unwrap().ahead, YEAR, "{done:?}");
    assert!(all.is_kept());
    // A clock that is right again is no earlier than the log.
    all.clock.set(recorded.after(MINUTE));
    assert_eq!(block_on(gate.gate.upkeep()).doubt, None);
    drop(gate);
    all.clock.set(recorded.after(YEAR));
    let gate = all.open().unwrap();
    all.clock.advance(DAY);
    let _ = block_on(gate.gate.upkeep());
    assert!(all.is_kept(), "nobody has watched the clock for that day");
    all.clock.advance(DAY);
    assert_eq!(block_on(gate.gate.upkeep()).doubt, None);
    assert!(!all.is_kept());
}

/// What is full makes room by what has certainly expired: a leap gives nobody his guesses back.
#[test]
fn counters_in_memory_make_no_room_by_a_clock_that_leapt() {
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let house = block_on(TestGate::over(policies, MemoryStore::new(1 << 24), |gate| {
        gate.counters_in_memory(8 << 10).danger_store_may_roll_back()
    }));
    let house = house.unwrap();
    house.add("ada", "staff", PASSWORD);
    let wrong = |name: &str| code(block_on(house.login(name, "Wrong-Anvil9")));
    for _ in 0..5 {
        assert_eq!(wrong("ada"), Code::WrongCredentials);
    }
    let fill = |names: std::ops::Range<u32>| {
        for name in names {
            let _ = wrong(&format!("nobody-{name}"));
        }
    };
    fill(0..200);
    let hashed_for_ada = || {
        let before = house.gate.work().runs;
        let locked = (0..10).all(|_| wrong("ada") == Code::Locked);
        (house.gate.work().runs - before, locked)
    };
    assert_eq!(hashed_for_ada(), (0, true));
    let right = house.clock.now();
    house.clock.set(right.after(YEAR));
    fill(200..400);
    house.clock.set(right);
    assert_eq!(hashed_for_ada(), (0, true), "her lock made room");
}

/// Whatever stops answering when: ended sessions go, in runs of a few accounts, and live ones stay.
#[test]
fn the_reaper_is_bounded_goes_on_and_survives_a_failing_store() {
    let all = Installation::new();
    let gate = all.open().unwrap();
    let people = runs(20, 200);
    let names: Vec<_> = (0..people).map(|n| format!("user{n}@acme.example")).collect();
    // No faster than one address may.
    let sign_in = |name: &String| {
        all.clock.advance(Duration::from_secs(2));
        gate.sign_in(name, PASSWORD)
    };
    for name in &names {
        gate.add(name, "staff", PASSWORD);
        let _session = sign_in(name);
    }
    all.clock.advance(2 * HOUR);
    let live: Vec<_> = names.iter().step_by(3).map(sign_in).collect();
    let mut reaped = 0;
    let mut rounds = 0_u64;
    loop {
        rounds += 1;
        assert!(rounds < 10_000, "it never ends");
        all.fails_after(rounds % 11);
        let done = block_on(gate.gate.upkeep_within(7));
        assert!(done.reaped <= 7, "{done:?}");
        reaped += done.reaped;
        all.fails_after(u64::MAX);
        if gate.gate.upkeep_due() > all.clock.now() {
            break;
        }
    }
    // Whoever signed in again has left no ended session behind: opening drops them.
    assert_eq!(reaped, names.len() - live.len());
    assert!(rounds > u64::try_from(people / 7).unwrap());
    for token in &live {
        block_on(gate.gate.check(&TestGate::tenant(), token.token().expose(), &TestGate::call()))
            .unwrap();
    }
    assert_eq!(block_on(gate.gate.upkeep()).reaped, 0);
}

#[test]
fn it_tells_when_it_is_due_and_by_how_much_it_is_late() {
    let all = Installation::new();
    let gate = all.open().unwrap();
    gate.add("ada@acme.example", "staff", PASSWORD);
    assert_eq!(gate.gate.upkeep_due(), all.clock.now(), "a first run looks at everything");
    block_on(gate.gate.upkeep());
    assert_eq!(gate.gate.upkeep_due(), all.clock.now().after(MINUTE));
    assert_eq!(gate.gate.upkeep_overdue(), Duration::ZERO);
    // A count is written when its minute is over.
    locked(&gate);
    all.clock.advance(10 * Duration::from_secs(1));
    assert_eq!(code(block_on(gate.login("ada@acme.example", PASSWORD))), Code::Locked);
    let minute = 60_000_000;
    let over = (all.clock.now().micros().div_euclid(minute) + 1) * minute;
    assert_eq!(gate.gate.upkeep_due().micros(), over);
    // A store that does not answer makes it late; it catches up once it does.
    all.fails_after(0);
    all.clock.advance(HOUR);
    assert!(block_on(gate.gate.upkeep()).left);
    all.clock.advance(HOUR);
    assert!(block_on(gate.gate.upkeep()).left);
    assert_eq!(gate.gate.upkeep_overdue(), 2 * HOUR + 10 * Duration::from_secs(1) - MINUTE);
    all.fails_after(u64::MAX);
    assert!(!block_on(gate.gate.upkeep()).left);
    assert_eq!(gate.gate.upkeep_overdue(), Duration::ZERO);
}

/// ST-10: what an older generation of keys sealed is sealed anew, a cell at a time.
#[test]
fn what_older_keys_sealed_is_sealed_anew() {
    let installation = Installation::new();
    let generations = |store: &MemoryStore| -> Vec<u32> {
        let keys = Space::ALL
            .into_iter()
            .flat_map(|space| block_on(store.scan(space, None, usize::MAX)).unwrap());
        let sealed = keys.map(|key| block_on(store.load(key)).unwrap().cell.unwrap().bytes);
        sealed.map(|bytes| u32::from_be_bytes(bytes[1..5].try_into().unwrap())).collect()
    };
    let gate = installation.open().unwrap();
    for name in ["ada@acme.example", "bob@acme.example"] {
        gate.add(name, "staff", PASSWORD);
    }
    let old = generations(&installation.store);
    assert!(old.len() >= 3 && old.iter().all(|generation| *generation == old[0]), "{old:?}");
    drop(gate);
    installation.clock.set(TestGate::start().after(40 * DAY));
    let gate = installation.open().unwrap();
    let (mut resealed, mut runs) = (0, 0);
    loop {
        let done = block_on(gate.gate.upkeep_within(1));
        assert!(done.resealed <= 1 && done.skipped == 0, "{done:?}");
        (resealed, runs) = (resealed + done.resealed, runs + 1);
        if !done.left {
            break;
        }
        // The store fails in between: nothing is lost, and the walk goes on.
        installation.fails_after(2);
        resealed += block_on(gate.gate.upkeep_within(1)).resealed;
        installation.fails_after(u64::MAX);
    }
    let new = generations(&installation.store);
    assert!(new.iter().all(|generation| *generation > old[0]), "{new:?}");
    assert!(resealed >= 2 && runs >= 3, "{resealed} in {runs}");
    gate.users.add(&TestGate::tenant(), "u-ada@acme.example", "staff", &["ada@acme.example"]);
    let _session = gate.sign_in("ada@acme.example", PASSWORD);
}

/// A host's column that takes a text, says that it does not, or hangs.
#[derive(Default)]
struct Table {
    texts: Mutex<BTreeMap<UserId, String>>,
    how: AtomicUsize,
    /// How often it was asked to.
    swaps: AtomicUsize,
}

const TAKES: usize = 0;
const FAILS: usize = 1;
const HANGS: usize = 2;

impl Credentials for Table {
    async fn load(&self, _: &TenantId, user: &UserId) -> Result<Option<String>, HostError> {
        Ok(self.texts.lock().unwrap().get(user).cloned())
    }

    async fn swap(
        &self,
        _: &TenantId,
        user: &UserId,
        _: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        self.swaps.fetch_add(1, Ordering::SeqCst);
        match self.how.load(Ordering::SeqCst) {
            TAKES => drop(self.texts.lock().unwrap().insert(user.clone(), new.to_owned())),
            FAILS => return Err(HostError::new("read-only")),
            _ => std::future::pending().await,
        }
        Ok(Swapped::Done)
    }
}

/// Many have set a password that the host's table did not take. A run waits for it once, whatever hangs,
/// and the next one begins with whoever was not tried.
#[test]
fn a_table_that_hangs_is_waited_for_once_a_run() {
    const USERS: usize = 40;
    let (table, glass) = (Arc::new(Table::default()), Hourglass::default());
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let opened = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| {
        gate.credentials(Arc::clone(&table)).timer(glass.clone())
    });
    let gate = block_on(opened).unwrap();
    table.how.store(FAILS, Ordering::SeqCst);
    for user in 0..USERS {
        gate.add(&format!("user{user}"), "staff", PASSWORD);
    }
    table.how.store(HANGS, Ordering::SeqCst);
    table.swaps.store(0, Ordering::SeqCst);
    for run in 1..=3 {
        let mut upkeep = pin!(gate.gate.upkeep());
        let mut poll = || upkeep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        glass.pass(Duration::from_secs(5));
        assert!(poll().is_ready(), "run {run}");
    }
    let tried = table.swaps.swap(0, Ordering::SeqCst);
    {
        let mut upkeep = pin!(gate.gate.upkeep());
        let pending = upkeep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(pending.is_pending(), "and is given up");
    }
    table.how.store(TAKES, Ordering::SeqCst);
    assert!(!block_on(gate.gate.upkeep()).left);
    assert_eq!(table.texts.lock().unwrap().len(), USERS);
    assert!(tried >= USERS, "{tried}");
}
