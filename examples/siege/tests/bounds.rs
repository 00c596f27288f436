//! Ours keeps its bound in every trace, and shuts nobody out who was not attacked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use common::{outcome, small};
use siege::attack::{Attack, Extent};
use siege::guard::Name;
use siege::monitor::Monitor;
use siege::siege::{Algorithm, Scale, run};
use siege::table::table;
use siege::world::{DAY, START, minutes};
use vouchsafe_testkit::runs;

const OURS: [Algorithm; 2] = [Algorithm::Five, Algorithm::TenAndThirty];

#[test]
fn no_trace_gets_more_by_than_the_rule_says() {
    for seed in 1..=runs(2, 40) as u64 {
        let rows = run(small(seed), &Attack::ALL, &OURS, None, |_, _| {}).unwrap();
        assert_eq!(rows.len(), 2 * Attack::ALL.len());
        for row in rows {
            let limits = row.algorithm.limits();
            assert_eq!(row.outcome.wrong.len(), limits.len());
            for (seen, (most, window)) in row.outcome.wrong.iter().zip(limits) {
                let most = *most as usize;
                assert!(*seen <= most, "{seed} {row:?}: {seen} in {window:?}");
                if row.attack == Attack::Relentless {
                    assert_eq!(*seen, most, "{seed} {row:?}: the trace is not hard enough");
                }
            }
        }
    }
}

#[test]
fn a_burst_gets_five_by_and_the_others_behind_it_none() {
    let burst = outcome(small(3), Attack::Burst, Algorithm::Five);
    assert_eq!((burst.guesses, burst.wrong[0]), (5, 5));
}

/// LK-14: an office of 500 on a Monday morning, a machine among them guessing all the while.
#[test]
fn five_hundred_behind_one_address_sign_in_during_an_attack() {
    // The first 500 are the office; the attacked accounts are the 20 of another one.
    let scale = Scale { users: 520, ..small(1) };
    for attack in [Attack::Inside, Attack::Spray, Attack::Botnet] {
        for algorithm in OURS {
            let found = outcome(scale, attack, algorithm);
            assert!(found.guesses > 0, "{attack} did not happen");
            let share = found.bystanders;
            if attack == Attack::Inside {
                assert!(share.of > 1_000, "{share:?}: too few came");
            }
            assert!(share.percent().unwrap() >= 99.0, "{attack}: {share:?}");
        }
        // By address, the same office is out.
        let banned = outcome(scale, attack, Algorithm::Axes).bystanders;
        assert!(banned.percent().unwrap() < 50.0, "{attack}: {banned:?}");
    }
}

#[test]
fn nobody_sees_the_difference_of_two_runs_of_a_seed() {
    let scale = |seed| {
        let extent = Extent { seed, days: 1, burst: 500, names: 1_000 };
        Scale { users: 510, extent }
    };
    let print = |scale| table(&run(scale, &Attack::ALL, &Algorithm::ALL, None, |_, _| {}).unwrap());
    let first = print(scale(5));
    assert_eq!(first, print(scale(5)));
    assert_eq!(first.lines().count(), 2 + Attack::ALL.len() * Algorithm::ALL.len());
    assert_ne!(first, print(scale(6)));
}

#[test]
fn the_monitor_counts_by_the_definition() {
    let (name, mut monitor) = (Name::User(1), Monitor::new(DAY));
    for at in [START, START.after(minutes(1)), START.after(DAY)] {
        monitor.saw(name, at);
        monitor.saw(Name::User(2), at);
    }
    // What is exactly a day old is outside.
    assert_eq!(monitor.most(), 2);
    monitor.saw(name, START.after(DAY).after(minutes(1) / 2));
    assert_eq!(monitor.most(), 3);
}
