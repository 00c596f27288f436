//! FA-2: when the log refuses, the action does not happen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vouchsafe::access_log::{Outcome, Receipt, Record, RecordSink, SinkError, VecSink, name};
use vouchsafe::gate::{Code, Login, NotSet, Purpose};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";

/// A sink that can be told to fail.
#[derive(Clone)]
struct Switched {
    records: VecSink,
    down: Arc<AtomicBool>,
}

impl RecordSink for Switched {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(SinkError::Failed("told to".into()));
        }
        self.records.append(record).await
    }
}

fn policy() -> Policy {
    Policy::preset("zoomph-2018").unwrap()
}

#[test]
fn nothing_happens_unrecorded() {
    let records = VecSink::new(1 << 16);
    let down = Arc::new(AtomicBool::new(false));
    let sink = Switched { records: records.clone(), down: Arc::clone(&down) };
    let tenant = TestGate::tenant();
    let policies = (tenant.clone(), policy());
    let store = MemoryStore::new(1 << 24);
    let gate = block_on(TestGate::recording(policies, store, sink, records, |gate| gate)).unwrap();
    let call = TestGate::call();
    let ada = gate.add("ada", "staff", PASSWORD);
    let bob = gate.users.add(&tenant, "u-bob", "staff", &["bob@acme.example"]);
    let (_, link) = gate.invite(&bob);
    let issued = gate.sign_in("ada", PASSWORD);
    let principal = block_on(gate.gate.check(&tenant, issued.token().expose(), &call)).unwrap();
    let acting = gate.gate.by(&principal, &call).unwrap();
    let sessions_before = block_on(acting.sessions(&ada)).unwrap();
    let unavailable = |refused: vouchsafe::gate::Refused| {
        assert_eq!(refused.code(), Code::LogUnavailable);
    };
    let not_set = |outcome: Result<_, NotSet>| match outcome {
        Err(NotSet::Refused(refused)) => unavailable(refused),
        other => panic!("{:?}", other.map(|_: ()| ())),
    };

    down.store(true, Ordering::SeqCst);
    match block_on(gate.login("ada", PASSWORD)) {
        Login::Refused(refused) => unavailable(refused),
        other => panic!("{other:?}"),
    }
    unavailable(block_on(acting.invite(&ada)).unwrap_err());
    unavailable(block_on(acting.unlock(&ada)).unwrap_err());
    unavailable(block_on(acting.disable(&ada)).unwrap_err());
    unavailable(block_on(acting.reclass(&ada, "consumer")).unwrap_err());
    unavailable(block_on(acting.end_sessions(&ada)).unwrap_err());
    let changed = block_on(acting.change_password(PASSWORD.to_owned(), OTHER.to_owned()));
    not_set(changed.map(|_| ()));
    let redeem = gate.gate.redeem(&tenant, Purpose::Activation, &link, OTHER.to_owned(), &call);
    not_set(block_on(redeem).map(|_| ()));
    unavailable(block_on(gate.gate.sign_out(principal.clone(), &call)).unwrap_err());
    assert!(gate.mail.take().is_empty(), "no link was mailed");
    down.store(false, Ordering::SeqCst);

    // Nothing of it happened.
    let principal = block_on(gate.gate.check(&tenant, issued.token().expose(), &call)).unwrap();
    assert_eq!(principal.class(), "staff");
    let acting = gate.gate.by(&principal, &call).unwrap();
    assert_eq!(block_on(acting.sessions(&ada)).unwrap().len(), sessions_before.len());
    let redeem = gate.gate.redeem(&tenant, Purpose::Activation, &link, OTHER.to_owned(), &call);
    block_on(redeem).unwrap();
    let _ = gate.sign_in("ada", PASSWORD);
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
