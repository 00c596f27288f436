//! LK-17: a gate over Redis while the server stands still, and when it is gone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::sync::Arc;
use std::time::Duration;

use vouchsafe::access_log::{Operation, Target};
use vouchsafe::gate::{Code, Login};
use vouchsafe::os::SystemClock;
use vouchsafe::policy::Policy;
use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{RedisServer, TestGate, block_on};

const RIGHT: &str = "Brass-Lantern7";

/// What a sign-in with the right password is told; `None` lets it in.
fn told(gate: &TestGate) -> Option<Code> {
    match block_on(gate.login("ada", RIGHT)) {
        Login::SignedIn(_) => None,
        Login::Refused(refused) => Some(refused.code()),
        Login::Next(_) => panic!("something else is next"),
    }
}

#[test]
fn nobody_gets_in_while_the_server_stands_still_or_is_gone() {
    let server = RedisServer::start();
    // Wide enough for a crowded machine; how soon it is over is shown where time is measured.
    let store = RedisStore::builder(server.url()).deadline(Duration::from_secs(2)).open().unwrap();
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let gate = TestGate::over(policies, store, |gate| {
        gate.danger_store_may_roll_back().clock(Arc::new(SystemClock))
    });
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", RIGHT);
    let issued = gate.sign_in("ada", RIGHT);
    let check = || {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        block_on(gate.gate.check(&tenant, issued.token().expose(), &call)).err().map(|r| r.code())
    };
    assert_eq!((told(&gate), check()), (None, None));
    for _ in 0..2 {
        server.pause();
        assert_eq!(told(&gate), Some(Code::Unavailable));
        assert_eq!(check(), Some(Code::Unavailable));
        server.resume();
        assert!(eventually(|| (told(&gate), check()) == (None, None)));
    }
    server.kill();
    assert_eq!(told(&gate), Some(Code::Unavailable));
    assert_eq!(check(), Some(Code::Unavailable));
}

/// LK-18: a server that comes back with nothing has lost the counters; the log says so once.
#[test]
fn a_store_that_lost_its_counters_is_in_the_log_once() {
    let server = RedisServer::start();
    let counters = RedisStore::builder(server.url()).deadline(Duration::from_secs(60));
    let counters = counters.open().unwrap();
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    let text = text.replace("may_roll_back = \"nothing\"", "may_roll_back = \"counters\"");
    let policies = (TestGate::tenant(), Policy::parse(&text, "test").unwrap());
    let rest = vouchsafe::store::MemoryStore::new(1 << 24);
    let gate =
        TestGate::over(policies, rest, |gate| gate.counters(counters).clock(Arc::new(SystemClock)));
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", RIGHT);
    assert_eq!(told(&gate), None);
    let said = || {
        block_on(gate.gate.upkeep());
        let degraded = |record: &vouchsafe::access_log::Record| match &record.target {
            Target::Entity { kind, id } if record.operation == Operation::Degraded => {
                assert_eq!(kind.as_str(), "store");
                Some(id.as_str().to_owned())
            }
            _ => None,
        };
        gate.recorded().iter().filter_map(degraded).collect::<Vec<_>>()
    };
    assert_eq!(said(), Vec::<String>::new());
    for loss in 1..=2 {
        server.restart();
        assert!(eventually(|| told(&gate).is_none()));
        assert!(gate.gate.upkeep_overdue() > Duration::ZERO || gate.gate.upkeep_due() <= now());
        let said_once = said();
        assert_eq!(said_once.len(), 1, "{said_once:?}");
        assert!(said_once[0].starts_with(&format!("{loss:016x}  ")), "{said_once:?}");
        assert_eq!(told(&gate), None);
        assert_eq!(said(), Vec::<String>::new());
    }
}

fn now() -> vouchsafe::core::Timestamp {
    use vouchsafe::core::Clock;
    SystemClock.now()
}
