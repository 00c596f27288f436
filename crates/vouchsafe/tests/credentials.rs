//! FA-6: passwords in a column of the host's own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod column;

use column::suite::{
    every_step, race, the_host_ends_what_was_before, the_host_wins_over_a_reset,
    the_host_wins_over_an_upgrade,
};
use column::{OLD, PLACES, Place, World, foreign};
use vouchsafe::gate::{Code, Login, Purpose};
use vouchsafe::password::Record;
use vouchsafe_testkit::{TestGate, block_on, runs};

#[test]
fn cut_off_at_any_step_one_password_is_in_force_in_memory() {
    every_step(Place::Memory);
}

#[test]
fn cut_off_at_any_step_one_password_is_in_force_on_sqlite() {
    every_step(Place::Beside);
}

#[test]
fn cut_off_at_any_step_one_password_is_in_force_in_one_file() {
    every_step(Place::Within);
}

#[test]
fn a_password_that_the_host_sets_meanwhile_wins_over_a_reset() {
    PLACES.into_iter().for_each(the_host_wins_over_a_reset);
}

#[test]
fn a_password_that_the_host_sets_meanwhile_wins_over_an_upgrade() {
    PLACES.into_iter().for_each(the_host_wins_over_an_upgrade);
}

#[test]
fn what_the_host_sets_ends_what_was_before() {
    PLACES.into_iter().for_each(the_host_ends_what_was_before);
}

/// The table does not take the upgrade: who has the right password is let in all the same.
#[test]
fn a_failed_upgrade_fails_no_sign_in() {
    let world = World::imported(Place::Memory);
    let before = world.table.text(&world.ada);
    let broken = world.table.clone();
    world.table.before_swap(move |_| broken.hang(true));
    world.table.hang(false);
    let login = block_on(world.gate.login("ada", OLD));
    assert!(matches!(login, Login::SignedIn(_)), "{login:?}");
    assert_eq!(world.table.text(&world.ada), before);
    world.table.hang(false);
    assert!(world.lets_in(OLD));
    assert_ne!(world.table.text(&world.ada), before);
}

/// A table that hangs: nobody is let in, nobody is told that the password was wrong, and no guess is
/// used up.
#[test]
fn a_table_that_hangs_is_waited_for_so_long_and_no_longer() {
    let world = World::active(Place::Memory);
    world.table.hang(true);
    match block_on(world.gate.login("ada", OLD)) {
        Login::Refused(refused) => assert_eq!(refused.code(), Code::Unavailable),
        other => panic!("{other:?}"),
    }
    world.table.hang(false);
    for _ in 0..4 {
        assert!(!world.lets_in("Wrong-Guess9"));
    }
    assert!(world.lets_in(OLD));
}

/// Passwords that the store has from before move into the column.
#[test]
fn passwords_move_from_the_store_into_the_column() {
    let mut world = World::new(Place::Memory);
    world.gate = world.another(false);
    world.gate.activate(&TestGate::tenant(), &world.ada, OLD);
    let session = world.gate.sign_in("ada", OLD);
    assert_eq!(world.table.text(&world.ada), None);
    world.restart();
    assert!(world.lets_in(OLD));
    assert!(world.table.text(&world.ada).unwrap().parse::<Record>().unwrap().is_bound());
    assert!(world.holds(&session), "nothing has changed but the place");
}

#[test]
fn of_two_at_once_the_one_that_was_acknowledged_is_in_force() {
    for round in 0..u32::try_from(runs(40, 1_000)).unwrap() {
        race(Place::Memory, round);
    }
    for round in 0..4 {
        race(Place::Within, round);
    }
}

/// The list that a portal shows knows who has a password in the column, and changes nothing.
#[test]
fn a_list_of_users_knows_the_column() {
    let world = World::imported(Place::Memory);
    let (call, tenant) = (TestGate::call(), TestGate::tenant());
    let name = vouchsafe::access_log::name!("console");
    let operator = world.gate.gate.operator(&tenant, name, &call).unwrap();
    assert!(block_on(operator.is_active(&world.ada)).unwrap());
    world.table.update(&world.ada, Some("garbage"));
    assert!(!block_on(operator.is_active(&world.ada)).unwrap());
    world.table.update(&world.ada, Some(&foreign(OLD)));
    block_on(operator.invite(&world.ada)).unwrap();
    assert_eq!(world.gate.mail.take()[0].purpose, Purpose::Reset);
    block_on(operator.disable(&world.ada)).unwrap();
    assert!(!world.lets_in(OLD) && !block_on(operator.is_active(&world.ada)).unwrap());
    block_on(operator.enable(&world.ada)).unwrap();
    assert!(world.lets_in(OLD));
}

/// Whoever has a password in the column can be disabled before they ever come.
#[test]
fn somebody_who_never_came_can_be_disabled() {
    let world = World::imported(Place::Memory);
    let call = TestGate::call();
    let name = vouchsafe::access_log::name!("console");
    let operator = world.gate.gate.operator(&TestGate::tenant(), name, &call).unwrap();
    block_on(operator.disable(&world.ada)).unwrap();
    assert!(!world.lets_in(OLD) && !block_on(operator.is_active(&world.ada)).unwrap());
    block_on(operator.enable(&world.ada)).unwrap();
    assert!(world.lets_in(OLD));
}
