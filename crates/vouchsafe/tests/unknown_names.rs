//! PW-9, FA-6: an unknown name has the host's column and the list of breached passwords asked as a known
//! one does, and is told the same when they do not answer.
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
use std::time::Duration;

use vouchsafe::access_log::{Operation, Receipt, Record, RecordSink, SinkError, VecSink};
use vouchsafe::core::{Identifier, TenantId, UserId};
use vouchsafe::gate::{Attempt, Credentials, HostError, Login, Swapped};
use vouchsafe::password::{BreachError, Breached, Password};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{TestGate, block_on};

const KNOWN: &str = "ada@acme.example";
const CONSUMER: &str = "bob@acme.example";
const UNKNOWN: &str = "zoe@acme.example";

/// A host's column that nobody has a password in: how often it was asked, and whether it is down.
#[derive(Default)]
struct Counted {
    loads: AtomicU64,
    down: AtomicBool,
}

impl Credentials for Counted {
    async fn load(&self, _: &TenantId, user: &UserId) -> Result<Option<String>, HostError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        assert!(["u-ada", "vouchsafe-nobody"].contains(&user.as_str()), "{}", user.as_str());
        match self.down.load(Ordering::SeqCst) {
            true => Err(HostError::new("the table is gone")),
            false => Ok(None),
        }
    }

    async fn swap(
        &self,
        _: &TenantId,
        _: &UserId,
        _: Option<&str>,
        _: &str,
    ) -> Result<Swapped, HostError> {
        Ok(Swapped::Superseded)
    }
}

fn over(column: &Arc<Counted>) -> TestGate {
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let column = Arc::clone(column);
    let gate = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| gate.credentials(column));
    let gate = block_on(gate).unwrap();
    gate.users.add(&TestGate::tenant(), "u-ada", "staff", &[KNOWN]);
    gate
}

fn code(gate: &TestGate, name: &str) -> &'static str {
    match block_on(gate.login(name, "Brass-Lantern7")) {
        Login::Refused(refused) => refused.code().as_str(),
        other => panic!("{other:?}"),
    }
}

/// Whoever is asked about first.
const ORDERS: [[&str; 4]; 2] =
    [[UNKNOWN, UNKNOWN, KNOWN, UNKNOWN], [KNOWN, UNKNOWN, KNOWN, UNKNOWN]];

#[test]
fn an_unknown_name_asks_the_column_as_often_as_a_known_one() {
    for names in ORDERS {
        let column = Arc::new(Counted::default());
        let gate = over(&column);
        for name in names {
            assert_eq!(code(&gate, name), "credentials.wrong", "{name}");
            assert_eq!(column.loads.swap(0, Ordering::SeqCst), 1, "{name} in {names:?}");
        }
    }
}

/// Nor does the column tell of whom a link is asked for.
#[test]
fn a_link_for_an_unknown_name_asks_the_column_as_often_as_for_a_known_one() {
    for names in ORDERS {
        let column = Arc::new(Counted::default());
        let gate = over(&column);
        for name in names {
            let name = Identifier::new(name).unwrap();
            let attempt = Attempt::new(TestGate::tenant(), name, TestGate::call());
            block_on(gate.gate.request_reset(&attempt)).unwrap();
            assert_eq!(column.loads.swap(0, Ordering::SeqCst), 1, "{names:?}");
        }
    }
}

#[test]
fn a_column_that_does_not_answer_tells_nobody_who_is_known() {
    for names in ORDERS {
        let column = Arc::new(Counted::default());
        let gate = over(&column);
        column.down.store(true, Ordering::SeqCst);
        assert_eq!(names.map(|name| code(&gate, name)), ["gate.unavailable"; 4], "{names:?}");
        column.down.store(false, Ordering::SeqCst);
        assert_eq!(names.map(|name| code(&gate, name)), ["credentials.wrong"; 4], "{names:?}");
    }
}

#[derive(Clone, Default)]
struct Asked(Arc<AtomicU64>);

impl Breached for Asked {
    fn is_breached(&self, _: &Password) -> Result<bool, BreachError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }
}

#[test]
fn a_list_that_one_class_asks_for_is_asked_for_everybody_and_counts_for_that_class() {
    const OFF: &str = "refuse_breached = false";
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    let (before, staff) = text.split_once("[class.staff.password]").unwrap();
    let staff = staff.replacen(OFF, "refuse_breached = true", 1);
    assert!(before.contains(OFF) && staff.contains("refuse_breached = true"));
    let policy = Policy::parse(&format!("{before}[class.staff.password]{staff}"), "test").unwrap();
    let list = Asked::default();
    let given = list.clone();
    let policies = (TestGate::tenant(), policy);
    let gate = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| gate.breached(given));
    let gate = block_on(gate).unwrap();
    gate.users.add(&TestGate::tenant(), "u-ada", "staff", &[KNOWN]);
    gate.add(CONSUMER, "consumer", "Brass-Lantern7");
    list.0.store(0, Ordering::SeqCst);
    for name in [KNOWN, UNKNOWN] {
        assert_eq!(code(&gate, name), "credentials.wrong");
        assert_eq!(list.0.swap(0, Ordering::SeqCst), 1, "{name}");
    }
    drop(gate.sign_in(CONSUMER, "Brass-Lantern7"));
    assert_eq!(list.0.swap(0, Ordering::SeqCst), 1, "and it keeps no consumer out");
}

/// A log that refuses while it is down.
struct Log(VecSink, Arc<AtomicBool>);

impl RecordSink for Log {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(SinkError::Closed),
            false => self.0.append(record).await,
        }
    }
}

/// However often somebody asks, and whether or not calls alike are counted by then.
#[test]
fn a_log_that_does_not_answer_tells_nobody_who_is_known() {
    let (records, down) = (VecSink::new(1 << 10), Arc::new(AtomicBool::new(false)));
    let log = Log(records.clone(), Arc::clone(&down));
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let store = MemoryStore::new(1 << 24);
    let gate = block_on(TestGate::recording(policies, store, log, records, |gate| gate)).unwrap();
    gate.add(KNOWN, "staff", "Brass-Lantern7");
    let asks = |name: &str| {
        let attempt =
            Attempt::new(TestGate::tenant(), Identifier::new(name).unwrap(), TestGate::call());
        block_on(gate.gate.request_reset(&attempt)).map_err(|refused| refused.code().as_str())
    };
    for names in [[KNOWN, UNKNOWN], [UNKNOWN, KNOWN]] {
        for is_down in [true, false] {
            down.store(is_down, Ordering::SeqCst);
            let told = if is_down { Err("log.unavailable") } else { Ok(()) };
            for name in names {
                assert_eq!([asks(name), asks(name), asks(name)], [told; 3], "{name}");
            }
        }
        gate.clock.advance(Duration::from_secs(86_400));
    }
    block_on(gate.gate.upkeep());
    let recorded = gate.recorded();
    let asked = recorded.iter().filter(|record| record.operation == Operation::ResetRequested);
    assert_eq!(asked.map(|record| record.repeats.get()).sum::<u32>(), 24, "each is recorded");
}
