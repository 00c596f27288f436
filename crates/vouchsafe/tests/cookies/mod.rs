//! Browsers that are known by a cookie, at a gate.
#![allow(dead_code, reason = "each test file uses its part")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use vouchsafe::access_log::name;
use vouchsafe::core::{SecretString, UserId};
use vouchsafe::gate::{Attempt, Call, Code, GateBuilder, Login, Purpose, Refused};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_testkit::{TestGate, block_on};

pub const PASSWORD: &str = "Brass-Lantern7";
pub const OTHER: &str = "Copper-Kettle8";
pub const WRONG: &str = "Wrong-Guess9";
pub const DAY: Duration = Duration::from_secs(24 * 3_600);
pub const DEVICES: (&str, &str) =
    ("devices = \"none\"", "devices = { counters = 4, valid_for = \"180d\" }");

/// Zoomph's, with these fields of `[lockout]`.
pub fn policy(fields: &[(&str, &str)]) -> Policy {
    let mut text = Policy::preset("zoomph-2018").unwrap().to_toml();
    for (was, is) in fields {
        assert!(text.contains(was), "{was} in {text}");
        text = text.replace(was, is);
    }
    Policy::parse(&text, "test").unwrap()
}

pub fn with_devices() -> Policy {
    policy(&[DEVICES])
}

pub fn over(
    policy: Policy,
    store: impl Cells + 'static,
    more: impl FnOnce(GateBuilder) -> GateBuilder,
) -> TestGate {
    block_on(TestGate::over((TestGate::tenant(), policy), store, more)).unwrap()
}

pub fn memory() -> MemoryStore {
    MemoryStore::new(1 << 24)
}

pub fn attempt(name: &str, call: Call) -> Attempt {
    let mut attempt = TestGate::attempt(name);
    attempt.call = call;
    attempt
}

pub fn login(gate: &TestGate, name: &str, password: &str, call: Call) -> Login {
    block_on(gate.gate.login(&attempt(name, call), SecretString::new(password.to_owned())))
}

pub fn refused(login: Login) -> Refused {
    match login {
        Login::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

/// Signs in from nowhere in particular, and gives the device cookie.
pub fn cookie(gate: &TestGate, name: &str, password: &str) -> String {
    // Later than whatever forgot the others.
    gate.clock.advance(Duration::from_secs(1));
    let issued = gate.sign_in(name, password);
    let device = issued.device().unwrap();
    assert_eq!(device.valid_for(), 180 * DAY);
    device.expose().to_owned()
}

pub fn with(cookie: &str) -> Call {
    TestGate::call().with_device(Some(cookie.to_owned()))
}

/// Five wrong guesses of strangers.
pub fn lock(gate: &TestGate, name: &str) {
    for _ in 0..5 {
        let wrong = refused(login(gate, name, WRONG, TestGate::call()));
        assert_eq!(wrong.code(), Code::WrongCredentials);
    }
    assert_eq!(refused(login(gate, name, PASSWORD, TestGate::call())).code(), Code::Locked);
}

pub fn forget(gate: &TestGate, user: &UserId) {
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
    block_on(operator.forget_devices(user)).unwrap();
}

/// Polls until `over`, and drops it there.
pub fn until<F: Future>(future: F, over: impl Fn() -> bool) {
    let mut future = pin!(future);
    while !over() {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(_) => panic!("it got through"),
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// The link that the owner asks for.
pub fn link(gate: &TestGate, purpose: Purpose) -> String {
    let attempt = TestGate::attempt("ada");
    match purpose {
        Purpose::Unlock => block_on(gate.gate.request_unlock(&attempt)).unwrap(),
        _ => block_on(gate.gate.request_reset(&attempt)).unwrap(),
    }
    block_on(gate.gate.upkeep());
    gate.mail.token().unwrap()
}
