//! The spray alarm among ten thousand users: raised in time, and never without cause.
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

use std::time::Duration;

use siege::attack::{Attack, Extent, sweep_begins};
use siege::honest::Honest;
use siege::replay::{Outcome, Scene, replay};
use siege::siege::Algorithm;
use siege::world::World;
use vouchsafe_testkit::runs;

const USERS: u32 = 10_000;

/// An attack on so many days of ten thousand users, so many of whom renew their password.
fn days(seed: u64, days: u32, renewals: u32, attack: Attack) -> Outcome {
    let world = World::with_renewals(seed, USERS, renewals);
    let honest = Honest::new(seed, &world, days);
    let extent = Extent { seed, days, burst: 10_000, names: 20_000 };
    let scene = Scene { world: &world, honest: &honest, attack, extent };
    let mut guard = Algorithm::Five.guard(&world).unwrap();
    replay(&scene, guard.as_mut(), &[], None)
}

#[test]
fn one_guess_on_each_account_raises_it_within_a_minute() {
    let found = days(1, 3, 100, Attack::Sweep);
    assert_eq!(found.guesses, 2, "at half past eight, and at three the night after");
    assert_eq!(found.alarms.len(), 3, "{:?}", found.alarms);
    for (day, raised) in found.alarms.iter().enumerate() {
        let began = sweep_begins(day as u32);
        assert!(*raised >= began, "a false alarm on day {day}");
        let took = raised.since(began);
        assert!(took <= Duration::from_secs(60), "day {day}: {took:?}");
    }
}

#[test]
fn a_week_of_honest_traffic_raises_none() {
    for seed in 1..=runs(1, 30) as u64 {
        // Once as ever, once with everybody's password expiring on the same morning, which leaves
        // two thousand programs behind that go on with the old one.
        for renewals in [100, 1_000] {
            let found = days(seed, 7, renewals, Attack::Peace);
            assert_eq!(found.alarms, [], "{seed} {renewals}");
            assert!(found.bystanders.of > 80_000, "{:?}", found.bystanders);
        }
    }
}
