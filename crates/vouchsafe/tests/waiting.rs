//! LK-2: how long an attempt waits for others, through the gate, on a timer that the test moves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod hourglass;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hourglass::{Hourglass, Waiting, poll};
use vouchsafe::core::CellKey;
use vouchsafe::gate::{Admitted, Checked, Code, Login};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const WRONG: &str = "Copper-Kettle8";
const TICK: Duration = Duration::from_micros(1);

fn code(login: Login) -> Option<Code> {
    match login {
        Login::Refused(refused) => Some(refused.code()),
        Login::SignedIn(_) => None,
        Login::Next(next) => panic!("{next:?}"),
    }
}

/// While others hold all charges, an attempt waits as long as the policy says, whether it stands
/// at the front or further back; then it is refused as busy, and was not counted.
#[test]
fn waiting_ends_with_its_time_and_counts_nothing() {
    let policy = Policy::preset("zoomph-2018").unwrap();
    let limit = policy.lockout().wait().time;
    let glass = Hourglass::default();
    let policies = (TestGate::tenant(), policy);
    let timer = glass.clone();
    let gate = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| gate.timer(timer));
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", PASSWORD);
    let attempt = TestGate::attempt("ada");
    let admit = || block_on(gate.gate.admit(&attempt)).unwrap();
    let mut held: Vec<Admitted> = (0..5).map(|_| admit()).collect();

    let login = |password: &'static str| -> Waiting<'_> { Box::pin(gate.login("ada", password)) };
    let hashed = gate.gate.work().runs;
    let mut first = login(PASSWORD);
    assert!(poll(&mut first).is_none());
    glass.pass(limit / 2);
    let mut second = login(PASSWORD);
    assert!(poll(&mut second).is_none());
    glass.pass(limit / 2 - TICK);
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    glass.pass(TICK);
    assert_eq!(poll(&mut first).and_then(code), Some(Code::Busy));
    // The one behind goes by its own time.
    assert!(poll(&mut second).is_none());
    let mut third = login(PASSWORD);
    assert!(poll(&mut third).is_none());
    glass.pass(limit / 2);
    assert_eq!(poll(&mut second).and_then(code), Some(Code::Busy));
    assert!(poll(&mut third).is_none());
    assert_eq!(gate.gate.work().runs, hashed, "nobody's password was looked at");

    // A settlement lets in who still waits, and leaves room for one wrong guess.
    let settle = |admitted: Admitted, password: &'static str| {
        matches!(block_on(admitted.password(password.to_owned())), Checked::Authenticated(_))
    };
    assert!(settle(held.pop().unwrap(), PASSWORD));
    assert_eq!(code(block_on(third)), None);
    // Four charges are held still: had a refused one stayed, this would be the sixth.
    assert_eq!(code(block_on(login(WRONG))), Some(Code::WrongCredentials));
    for admitted in held {
        assert!(!settle(admitted, WRONG));
    }
    assert_eq!(code(block_on(login(PASSWORD))), Some(Code::Locked));
}

/// A store whose swaps can be made to hang.
struct Hanging(MemoryStore, Arc<AtomicBool>);

impl Cells for Hanging {
    vouchsafe_testkit::pass_on!(0: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        if self.1.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.0.swap(key, expected, put).await
    }
}

/// Whoever stands behind somebody whom the store does not answer waits no longer than anybody.
#[test]
fn waiting_in_line_ends_with_its_time() {
    let policy = Policy::preset("zoomph-2018").unwrap();
    let limit = policy.lockout().wait().time;
    let (glass, hangs) = (Hourglass::default(), Arc::new(AtomicBool::new(false)));
    let store = Hanging(MemoryStore::new(1 << 24), Arc::clone(&hangs));
    let (policies, timer) = ((TestGate::tenant(), policy), glass.clone());
    let gate = block_on(TestGate::over(policies, store, |gate| gate.timer(timer))).unwrap();
    gate.add("ada", "staff", PASSWORD);
    hangs.store(true, Ordering::SeqCst);
    let mut stuck: Waiting<'_> = Box::pin(gate.login("ada", PASSWORD));
    let mut behind: Waiting<'_> = Box::pin(gate.login("ada", PASSWORD));
    assert!(poll(&mut stuck).is_none() && poll(&mut behind).is_none());
    glass.pass(limit - TICK);
    assert!(poll(&mut stuck).is_none() && poll(&mut behind).is_none());
    glass.pass(TICK);
    assert!(poll(&mut stuck).is_none());
    assert_eq!(poll(&mut behind).and_then(code), Some(Code::Busy));
    // Dropped, the one in front leaves the line.
    drop(stuck);
    hangs.store(false, Ordering::SeqCst);
    assert_eq!(code(block_on(gate.login("ada", PASSWORD))), None);
}
