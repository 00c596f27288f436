//! No guess over budget, no honest owner kept out: through the gate, on every store.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vouchsafe::core::{Space, TenantId};
use vouchsafe::gate::{Code, GateBuilder, Login};
use vouchsafe::password::{HashPolicy, PoolConfig};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on, runs};

const PASSWORD: &str = "Brass-Lantern7";
const WRONG: &str = "Copper-Kettle8";

fn over(store: impl Cells + 'static, more: impl FnOnce(GateBuilder) -> GateBuilder) -> TestGate {
    let policy = Policy::preset("zoomph-2018").unwrap();
    block_on(TestGate::over((TestGate::tenant(), policy), store, more)).unwrap()
}

fn memory() -> MemoryStore {
    MemoryStore::new(1 << 24)
}

fn code(login: &Login) -> Option<Code> {
    match login {
        Login::Refused(refused) => Some(refused.code()),
        Login::SignedIn(_) => None,
        Login::Next(next) => panic!("{next:?}"),
    }
}

/// Tries from `threads` threads at once and counts the answers.
fn storm(gate: &TestGate, tries: usize, threads: usize, password: &str, name: &str) -> Answers {
    let answers = Arc::new(Answers::default());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let answers = Arc::clone(&answers);
            scope.spawn(move || {
                for number in (thread..tries).step_by(threads) {
                    // Each from an address of its own: the throttle of sources is not the subject.
                    let [_, _, high, low] = u32::try_from(number).unwrap().to_be_bytes();
                    let mut attempt = TestGate::attempt(name);
                    attempt.call = TestGate::call_from(&format!("10.0.{high}.{low}"));
                    let login = block_on(gate.gate.login(&attempt, password.to_owned()));
                    answers.count(code(&login));
                }
            });
        }
    });
    Arc::into_inner(answers).unwrap()
}

#[derive(Debug, Default)]
struct Answers {
    signed_in: AtomicUsize,
    wrong: AtomicUsize,
    locked: AtomicUsize,
    busy: AtomicUsize,
    other: AtomicUsize,
}

impl Answers {
    fn count(&self, code: Option<Code>) {
        let counter = match code {
            None => &self.signed_in,
            Some(Code::WrongCredentials) => &self.wrong,
            Some(Code::Locked) => &self.locked,
            Some(Code::Busy) => &self.busy,
            Some(_) => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> [usize; 5] {
        [&self.signed_in, &self.wrong, &self.locked, &self.busy, &self.other]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// LK-1 through the gate: exactly five passwords are hashed, whoever counts.
fn exactly_five(gate: &TestGate, tries: usize) {
    gate.add("ada", "staff", PASSWORD);
    let before = gate.gate.work().runs;
    let answers = storm(gate, tries, 16, WRONG, "ada").all();
    let [signed_in, wrong, locked, busy, other] = answers;
    assert_eq!((signed_in, wrong, other), (0, 5, 0), "{answers:?}");
    assert_eq!(locked + busy, tries - 5, "{answers:?}");
    assert_eq!(gate.gate.work().runs - before, 5);
}

#[test]
fn ten_thousand_wrong_logins_hash_five_in_memory() {
    exactly_five(&over(memory(), |gate| gate), 10_000);
}

#[test]
fn ten_thousand_wrong_logins_hash_five_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(folder.path().join("cells.db"))
        .deadline(Duration::from_secs(60))
        .open()
        .unwrap();
    exactly_five(&over(store, |gate| gate), runs(2_000, 10_000));
}

/// LK-2: correct logins at once are never told that the account is locked.
#[test]
fn correct_logins_at_once_all_succeed() {
    let gate = over(memory(), |gate| {
        let policy = HashPolicy::danger_below_floor(8, 1).unwrap();
        gate.danger_pool_below_policy(PoolConfig::new(policy).queue(2_000))
    });
    gate.add("ada", "staff", PASSWORD);
    // Each thread is one caller, so the line is never longer than its 256 places.
    let answers = storm(&gate, runs(1_000, 10_000), 64, PASSWORD, "ada").all();
    assert_eq!(answers, [runs(1_000, 10_000), 0, 0, 0, 0]);
}

/// LK-9: locked with the right password, locked with a wrong one, and unknown and locked are told
/// apart by nothing: not the text, not the wait, not the work.
#[test]
fn locked_is_locked_whoever_asks() {
    let gate = over(memory(), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    for name in ["ada", "zoe"] {
        let before = gate.gate.work().runs;
        for _ in 0..5 {
            assert_eq!(code(&block_on(gate.login(name, WRONG))), Some(Code::WrongCredentials));
        }
        assert_eq!(gate.gate.work().runs - before, 5, "{name}: known or not, each try is hashed");
    }
    let before = gate.gate.work().runs;
    let told: Vec<_> = [("ada", PASSWORD), ("ada", WRONG), ("zoe", WRONG)]
        .into_iter()
        .map(|(name, password)| match block_on(gate.login(name, password)) {
            Login::Refused(refused) => {
                (refused.code(), refused.message(), refused.retry_after(), refused.to_string())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!(told[0].0, Code::Locked);
    assert_eq!(gate.gate.work().runs, before, "nothing is hashed for a locked name");
}

/// LK-26: case, blanks, Unicode forms, user name and e-mail are one account.
#[test]
fn wrong_guesses_over_aliases_lock_all_of_them() {
    let gate = over(memory(), |gate| gate);
    let tenant = TestGate::tenant();
    let names = ["zoë@acme.example", "zoe-l"];
    let user = gate.users.add(&tenant, "u-1", "staff", &names);
    gate.activate(&tenant, &user, PASSWORD);
    let aliases =
        ["ZOË@Acme.Example", " zoë@acme.example ", "zoe\u{308}@acme.example", "Zoe-L", "zoe-l"];
    for alias in aliases {
        assert_eq!(code(&block_on(gate.login(alias, WRONG))), Some(Code::WrongCredentials));
    }
    for alias in aliases.into_iter().chain(names) {
        assert_eq!(code(&block_on(gate.login(alias, PASSWORD))), Some(Code::Locked), "{alias}");
    }
    // The other spellings of an unknown name are one, too.
    for alias in ["nemo", "NEMO", " nemo", "Nemo ", "nemo"] {
        assert_eq!(code(&block_on(gate.login(alias, WRONG))), Some(Code::WrongCredentials));
    }
    assert_eq!(code(&block_on(gate.login("nEmO", WRONG))), Some(Code::Locked));
}

/// LK-27: attempts that were never verified leave no charge behind.
#[test]
fn overload_leaves_no_charge_behind() {
    let gate = over(memory(), |gate| {
        // Slow enough for the queue of one to be full.
        let policy = HashPolicy::danger_below_floor(16_384, 4).unwrap();
        gate.pool(PoolConfig::new(policy).workers(1).queue(1))
    });
    gate.add("ada", "staff", PASSWORD);
    for name in ["bob", "cleo"] {
        gate.add(name, "staff", PASSWORD);
    }
    let busy = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for name in ["ada", "bob", "cleo"] {
            for _ in 0..8 {
                let (gate, busy) = (&gate, &busy);
                scope.spawn(move || match code(&block_on(gate.login(name, PASSWORD))) {
                    None => {}
                    Some(Code::Busy) => {
                        busy.fetch_add(1, Ordering::Relaxed);
                    }
                    other => panic!("{other:?}"),
                });
            }
        }
    });
    assert!(busy.load(Ordering::Relaxed) >= 10, "the pool was not overloaded: {busy:?}");
    for name in ["ada", "bob", "cleo"] {
        let _ = gate.sign_in(name, PASSWORD);
    }
}

/// LK-27: a store whose answers get lost leaves no charge behind either.
#[test]
fn lost_answers_leave_no_charge_behind() {
    // Armed, the store answers one call, the load of the attempt, and does the others unanswered.
    let answered = Arc::new(AtomicUsize::new(usize::MAX));
    let plan = Arc::clone(&answered);
    let store = FaultyStore::new(memory(), move |_| {
        let left = |left: usize| left.checked_sub(1);
        plan.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err().then_some(Fault::After)
    });
    let gate = over(store, |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..10 {
        answered.store(1, Ordering::SeqCst);
        let refused = code(&block_on(gate.login("ada", PASSWORD)));
        assert!(matches!(refused, Some(Code::Unavailable)), "{refused:?}");
        answered.store(usize::MAX, Ordering::SeqCst);
        assert_eq!(block_on(gate.gate.upkeep()).refunds, 1);
    }
    let _ = gate.sign_in("ada", PASSWORD);
    for _ in 0..5 {
        assert_eq!(code(&block_on(gate.login("ada", WRONG))), Some(Code::WrongCredentials));
    }
    assert_eq!(code(&block_on(gate.login("ada", PASSWORD))), Some(Code::Locked));
}

/// LK-5 through the gate: the window is a day, to the microsecond.
#[test]
fn the_window_is_a_day() {
    let gate = over(memory(), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..5 {
        assert_eq!(code(&block_on(gate.login("ada", WRONG))), Some(Code::WrongCredentials));
    }
    gate.clock.advance(Duration::from_secs(86_400) - Duration::from_micros(1));
    assert_eq!(code(&block_on(gate.login("ada", PASSWORD))), Some(Code::Locked));
    gate.clock.advance(Duration::from_micros(1));
    assert_eq!(code(&block_on(gate.login("ada", PASSWORD))), None);
}

/// The gate does not serve tenants it was given no policy for.
#[test]
fn an_unknown_tenant_is_refused() {
    let gate = over(memory(), |gate| gate);
    let mut attempt = TestGate::attempt("ada");
    attempt.tenant = TenantId::new("other").unwrap();
    let login = block_on(gate.gate.login(&attempt, PASSWORD.to_owned()));
    assert_eq!(code(&login), Some(Code::WrongTenant));
}

#[test]
fn failures_may_be_kept_in_a_store_of_their_own() {
    let (counters, rest) =
        (Arc::new(MemoryStore::new(1 << 20)), Arc::new(MemoryStore::new(1 << 24)));
    let policy = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let apart = Arc::clone(&counters);
    let gate = TestGate::over(policy, Arc::clone(&rest), |gate| gate.counters(apart));
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..5 {
        let _wrong = block_on(gate.login("ada", "wrong"));
    }
    let Login::Refused(refused) = block_on(gate.login("ada", PASSWORD)) else { panic!("let in") };
    assert_eq!(refused.code(), Code::Locked);
    let cells = |store: &MemoryStore, space| block_on(store.scan(space, None, 100)).unwrap().len();
    assert!(cells(&counters, Space::Lockout) > 0 && cells(&rest, Space::Account) > 0);
    assert_eq!(cells(&rest, Space::Lockout), 0);
    assert_eq!(cells(&counters, Space::Account) + cells(&counters, Space::System), 0);
}
