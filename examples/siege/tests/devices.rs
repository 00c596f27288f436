//! LK-12: whoever has signed in on a device before gets in on it during an attack.
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

use siege::attack::{Attack, Extent};
use siege::honest::Honest;
use siege::replay::{Outcome, Scene, Share, replay};
use siege::siege::Algorithm;
use siege::world::World;
use vouchsafe_testkit::runs;

/// A week of attacks on owners whose programs know the password: no device of theirs attacks them.
fn outcome(world: &World, attack: Attack, algorithm: Algorithm) -> Outcome {
    let extent = Extent { seed: 1, days: 7, burst: 1_000, names: 0 };
    let honest = Honest::new(extent.seed, world, extent.days);
    let scene = Scene { world, honest: &honest, attack, extent };
    replay(&scene, algorithm.guard(world).unwrap().as_mut(), &[], None)
}

#[test]
fn owners_sign_in_on_their_devices_during_an_attack() {
    let world = World::with_renewals(1, runs(1_000, 20_000) as u32, 0);
    let mut all = Share::default();
    for attack in [Attack::Denial, Attack::Botnet, Attack::Relentless, Attack::Burst, Attack::Spray]
    {
        let [with, without] = [Algorithm::FiveOfDevices, Algorithm::Five]
            .map(|algorithm| outcome(&world, attack, algorithm));
        println!("{attack}: {:?} with cookies, {:?} without", with.known, without.known);
        assert!(with.guesses > 0 && with.guesses <= 5, "{attack}: {}", with.guesses);
        all.part += with.known.part;
        all.of += with.known.of;
        if attack == Attack::Denial {
            // Elsewhere nothing is gained, and without the cookies the desk is out, too.
            let percent = |share: Share| share.percent().unwrap();
            assert!(percent(without.known) < 10.0, "{:?}", without.known);
            assert!(percent(with.elsewhere) < 10.0, "{:?}", with.elsewhere);
        }
    }
    let percent = all.percent().unwrap();
    println!("{percent:.3} % of {} visits on known devices during attacks ended signed in", all.of);
    assert!(all.of > 5_000 && percent >= 99.9, "{all:?}");
}
