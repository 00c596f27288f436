//! LK-24: very many names that nobody has, in bounded memory.
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

use std::time::Instant;

use siege::attack::{Attack, Extent};
use siege::honest::Honest;
use siege::ours::{Ours, policy};
use siege::replay::{Scene, replay};
use siege::siege::MEMORY;
use siege::world::{DAY, World};
use vouchsafe_lockout::Devices;
use vouchsafe_testkit::runs;

/// The throttle's blocks and the detector's accounts, which have bounds of their own.
const BESIDE: usize = (100_000 * 73) + (65_536 * 64);

fn nanos() -> u64 {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// All day, from midnight: the store is full in the second hour, and the strangers' coarse counters
/// soon after. Whoever signs in on a device of theirs is verified all the same.
#[test]
fn ten_million_random_names_stay_within_memory() {
    let names = runs(200_000, 10_000_000) as u64;
    // As much memory for each name as ten million have in 64 MiB: for one in ten or so.
    let cap = runs(MEMORY / 50, MEMORY);
    let world = World::new(1, 500);
    let extent = Extent { seed: 1, days: 1, burst: 0, names };
    let honest = Honest::new(1, &world, extent.days);
    let scene = Scene { world: &world, honest: &honest, attack: Attack::Names, extent };
    let [strangers, owners] = [None, Some(Devices::default())].map(|devices| {
        let mut guard = Ours::new(policy(&[(5, DAY)], devices).unwrap(), &world, cap).unwrap();
        within_memory(&scene, &mut guard, cap)
    });
    assert!(strangers < 50.0, "{strangers}: not so many names");
    // All but those on strange devices.
    assert!(owners >= 95.0, "{owners}");
}

/// How many in a hundred visits of honest users end signed in.
fn within_memory(scene: &Scene<'_>, guard: &mut Ours, cap: usize) -> f64 {
    let found = replay(scene, guard, &[], Some(nanos));
    println!(
        "{} names in {} KiB of {} and {}; honest visits in: {:.2} %; p99 {} ns",
        scene.extent.names,
        found.bytes >> 10,
        cap >> 10,
        BESIDE >> 10,
        found.bystanders.percent().unwrap(),
        found.p99.unwrap(),
    );
    assert!(found.bytes <= cap + BESIDE, "{}", found.bytes);
    let stored = guard.stored();
    assert!(stored <= cap && stored > cap / 10 * 9, "{stored} of {cap}");
    assert!(found.guesses <= 5);
    found.bystanders.percent().unwrap()
}
