//! PW-9, FA-6: what a guess is made of does not tell by how long it takes whether the name is known.
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

use vouchsafe::gate::Login;
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{TestGate, block_on};

/// One name eight times, each time behind another letter: 255 ways to find it, none of which leaves what
/// is easy to guess, and as many again in two other spellings.
const GUESS: &str = "18273645ésmithösmithqsmithxsmithzsmithksmithvsmithwsmithqxzkv18273645";

#[test]
fn a_guess_made_of_a_name_takes_no_longer_where_somebody_has_it() {
    let policies = (TestGate::tenant(), Policy::preset("vouchsafe").unwrap());
    let gate = TestGate::over(policies, MemoryStore::new(1 << 24), |gate| gate);
    let gate = block_on(gate).unwrap();
    gate.users.add(&TestGate::tenant(), "u-smith", "consumer", &["smith@acme.example"]);
    gate.users.add(&TestGate::tenant(), "u-jones", "consumer", &["jones@acme.example"]);
    let names = ["smith@acme.example", "jones@acme.example", "nobody@acme.example"];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..7 {
        for (name, times) in names.iter().zip(&mut times) {
            let begun = Instant::now();
            let login = block_on(gate.login(name, GUESS));
            times.push(begun.elapsed());
            let Login::Refused(refused) = login else { panic!("{login:?}") };
            assert_eq!(refused.code().as_str(), "credentials.wrong", "{name}");
        }
        gate.clock.advance(Duration::from_secs(86_400));
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let apart = medians[0].abs_diff(medians[2]);
    assert!(apart < Duration::from_millis(2), "{medians:?}");
}
