//! LK-17, LK-21: what holds, and is told, while the counters do not answer or are full.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod cookies;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cookies::{
    DEVICES, OTHER, PASSWORD, WRONG, cookie, link, login, memory, over, policy, refused, until,
};
use vouchsafe::access_log::{Receipt, Record, RecordSink, SinkError, Target, VecSink, name};
use vouchsafe::gate::{Code, Login, Purpose};
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

/// "failing open is bounded by the throttle alone", and the throttle lets every known browser by.
#[test]
fn failing_open_is_bounded_by_the_throttle_for_a_known_browser_too() {
    let down = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&down);
    let counters =
        FaultyStore::new(memory(), move |_| gone.load(Ordering::SeqCst).then_some(Fault::Before));
    let open = ("when_store_is_down = \"refuse\"", "when_store_is_down = \"open\"");
    let gate = over(policy(&[DEVICES, open]), memory(), |gate| gate.counters(counters));
    gate.add("ada", "staff", PASSWORD);
    let cookie = cookie(&gate, "ada", PASSWORD);
    down.store(true, Ordering::SeqCst);
    let from = || TestGate::call_from("192.0.2.7/32");
    let guesses = |call: &dyn Fn() -> vouchsafe::gate::Call| {
        let before = gate.gate.work().runs;
        for _ in 0..1_000 {
            let _ = refused(login(&gate, "ada", WRONG, call()));
        }
        gate.gate.work().runs - before
    };
    let known = guesses(&|| from().with_device(Some(cookie.clone())));
    assert!(known <= 300, "{known} guesses from one address in no time");
}

/// "The lock that keeps the user from signing in now, if there is one", where the counters are full.
#[test]
fn an_administrator_is_shown_the_lock_that_keeps_somebody_out() {
    let gate = over(policy(&[]), memory(), |gate| {
        gate.counters_in_memory(8 << 10).danger_store_may_roll_back()
    });
    let ada = gate.add("ada", "staff", PASSWORD);
    // Until what her activation has left in her counter is over.
    gate.clock.advance(Duration::from_secs(2 * 3_600));
    for name in 0..200 {
        let _ = refused(login(&gate, &format!("nobody-{name}"), WRONG, TestGate::call()));
    }
    for _ in 0..6 {
        let _ = refused(login(&gate, "ada", WRONG, TestGate::call()));
    }
    let told = refused(login(&gate, "ada", PASSWORD, TestGate::call()));
    assert_eq!(told.code(), Code::Locked);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let shown = block_on(operator.lock(&ada)).unwrap();
    assert!(shown.is_some(), "she cannot sign in, and the list says that she can");
}

/// "The answer is the same whether the account exists or not": and the work?
/// A sink that hangs on records of an outage.
#[derive(Clone)]
struct Slow(VecSink, Arc<AtomicBool>, Arc<AtomicBool>);

fn of_an_outage(record: &Record) -> bool {
    matches!(&record.target, Target::Entity { kind, .. } if *kind == name!("counters"))
}

impl RecordSink for Slow {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        if of_an_outage(&record) && self.1.load(Ordering::SeqCst) {
            self.2.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        self.0.append(record).await
    }
}

/// LK-21: `Degraded` is announced once. Whoever meets the outage first writes that it began; their
/// browser goes away meanwhile, and nobody does.
#[test]
fn an_outage_is_recorded_though_whoever_met_it_has_gone() {
    let down = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&down);
    let counters =
        FaultyStore::new(memory(), move |_| gone.load(Ordering::SeqCst).then_some(Fault::Before));
    let asks = "when_store_is_down = { degraded = { failures = 2, window = \"1h\" } }";
    let policy = policy(&[("when_store_is_down = \"refuse\"", asks)]);
    let (records, hangs, reached) = (VecSink::new(1 << 16), Arc::default(), Arc::default());
    let sink = Slow(records.clone(), Arc::clone(&hangs), Arc::clone(&reached));
    let gate = TestGate::recording((TestGate::tenant(), policy), memory(), sink, records, |gate| {
        gate.counters(counters)
    });
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", PASSWORD);
    down.store(true, Ordering::SeqCst);
    hangs.store(true, Ordering::SeqCst);
    until(gate.login("ada", PASSWORD), || reached.load(Ordering::SeqCst));
    hangs.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        gate.clock.advance(Duration::from_secs(2));
        block_on(gate.gate.upkeep());
        let _ = block_on(gate.login("ada", PASSWORD));
    }
    assert!(gate.gate.counters_down().is_some_and(|down| down.admitted > 0));
    let told = gate.recorded().iter().filter(|record| of_an_outage(record)).count();
    assert_eq!(told, 1, "people get in uncounted, and the log does not say so");
}

/// What waits for the store is asked of it one by one, each for as long as its deadline, whether or not
/// it answers: an outage makes the upkeep hang for as long as there were attempts.
#[test]
fn an_upkeep_does_not_ask_a_store_that_is_gone_thousands_of_times() {
    let down = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&down);
    let store = Arc::new(FaultyStore::new(memory(), move |_| {
        gone.load(Ordering::SeqCst).then_some(Fault::Before)
    }));
    let gate = over(policy(&[]), memory(), |gate| gate.counters(Arc::clone(&store)));
    gate.add("ada", "staff", PASSWORD);
    down.store(true, Ordering::SeqCst);
    for _ in 0..500 {
        let _ = refused(login(&gate, "ada", WRONG, TestGate::call()));
    }
    let before = store.calls();
    block_on(gate.gate.upkeep());
    let asked = store.calls() - before;
    assert!(asked < 50, "{asked} deadlines, one after the other");
}

/// LK-20: a new password lifts the lock, also the one that this process keeps by itself while the store
/// of the failures is gone.
#[test]
fn a_reset_during_an_outage_lifts_the_lock_of_this_process() {
    let down = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&down);
    let counters =
        FaultyStore::new(memory(), move |_| gone.load(Ordering::SeqCst).then_some(Fault::Before));
    let asks = "when_store_is_down = { degraded = { failures = 2, window = \"24h\" } }";
    let policy = policy(&[("when_store_is_down = \"refuse\"", asks)]);
    let gate = over(policy, memory(), |gate| gate.counters(counters));
    gate.add("ada", "staff", PASSWORD);
    down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let _ = refused(login(&gate, "ada", WRONG, TestGate::call()));
    }
    assert_eq!(refused(login(&gate, "ada", PASSWORD, TestGate::call())).code(), Code::Locked);
    let reset = link(&gate, Purpose::Reset);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    block_on(gate.gate.redeem(&tenant, Purpose::Reset, &reset, OTHER.to_owned(), &call)).unwrap();
    block_on(gate.gate.upkeep());
    let owner = login(&gate, "ada", OTHER, TestGate::call());
    assert!(matches!(owner, Login::SignedIn(_)), "{owner:?}");
}
