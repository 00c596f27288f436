//! FA-2: when the log refuses, the action does not happen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod calls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use calls::{Kind, PASSWORD, World};
use vouchsafe::access_log::{Outcome, name};
use vouchsafe::core::Space;
use vouchsafe::gate::Code;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

fn policy() -> Policy {
    Policy::preset("zoomph-2018").unwrap()
}

/// Whatever is called while the log refuses: the store holds what it held, no mail is sent, and when
/// the log answers again, one record says that the call was refused.
#[test]
fn nothing_happens_unrecorded() {
    for case in calls::all() {
        let world = World::new();
        let run = (case.works)(&world);
        let _ = world.gate.recorded();
        let accounts = world.cells(Space::Account);
        let failures = world.cells(Space::Lockout);
        world.down.store(true, Ordering::SeqCst);
        let outcome = block_on(run);
        // The first two steps of a sign-in let nobody in.
        let expected = match case.kind {
            Kind::Unfinished => Ok(()),
            _ => Err(Code::LogUnavailable),
        };
        assert_eq!(outcome, expected, "{}", case.name);
        block_on(world.gate.gate.upkeep());
        assert!(world.cells(Space::Account) == accounts, "{} changed an account", case.name);
        if !case.door {
            assert!(world.cells(Space::Lockout) == failures, "{} changed a count", case.name);
        }
        assert!(world.gate.mail.take().is_empty(), "{} sent a mail", case.name);
        assert!(world.gate.recorded().is_empty());

        world.down.store(false, Ordering::SeqCst);
        let (at_once, later) = world.said();
        assert!(at_once.is_empty());
        if case.name == "upkeep.rs::close" {
            continue;
        }
        let reason = match case.kind {
            Kind::Unfinished => Outcome::Failed(name!("outcome.unknown")),
            _ => Outcome::Refused(name!("log.unavailable")),
        };
        let said: Vec<_> =
            later.iter().map(|r| (r.operation, &r.outcome, r.repeats.get())).collect();
        assert_eq!(said, [(case.does, &reason, 1)], "{}", case.name);
    }
}

/// What was recorded and then failed is corrected: the log never says what did not happen.
#[test]
fn a_store_that_fails_after_the_record_is_recorded_too() {
    let from = Arc::new(AtomicU64::new(u64::MAX));
    let plan = Arc::clone(&from);
    let store = Arc::new(FaultyStore::new(MemoryStore::new(1 << 24), move |call| {
        (call >= plan.load(Ordering::SeqCst)).then_some(Fault::Before)
    }));
    let policies = (TestGate::tenant(), policy());
    let gate = block_on(TestGate::over(policies, Arc::clone(&store), |gate| gate)).unwrap();
    let ada = gate.add("ada", "staff", PASSWORD);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    let _ = gate.recorded();
    // What would become of it is still answered; then the store is gone.
    from.store(store.calls() + 1, Ordering::SeqCst);
    assert_eq!(block_on(operator.disable(&ada)).unwrap_err().code(), Code::Unavailable);
    let outcomes: Vec<_> = gate.recorded().into_iter().map(|record| record.outcome).collect();
    // A store that does not answer may have done it: the log does not say more than is known.
    assert_eq!(outcomes, [Outcome::Succeeded, Outcome::Failed(name!("outcome.unknown"))]);
    from.store(u64::MAX, Ordering::SeqCst);
    let _ = gate.sign_in("ada", PASSWORD);
}
