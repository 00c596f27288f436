//! FA-9: what a host's own test looks like, and how long it takes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::time::{Duration, Instant};

use vouchsafe::gate::Code;
use vouchsafe::policy::Policy;
use vouchsafe_testkit::{TestGate, block_on};

fn a_hosts_test() {
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    gate.add("ada", "staff", "Brass-Lantern7");
    let issued = gate.sign_in("ada", "Brass-Lantern7");
    let check = || {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        block_on(gate.gate.check(&tenant, issued.token().expose(), &call))
    };
    assert_eq!(check().unwrap().class(), "staff");
    gate.clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(check().unwrap_err().code(), Code::NoSession);
}

#[test]
fn a_user_signs_in_and_idles_out_in_under_fifty_milliseconds() {
    a_hosts_test();
    // The best of ten: the machine that runs the tests has other work, too.
    let best = (0..10).map(|_| {
        let start = Instant::now();
        a_hosts_test();
        start.elapsed()
    });
    let best = best.min().unwrap();
    println!("a host's test takes {best:?}");
    assert!(best < Duration::from_millis(50), "{best:?}");
}
