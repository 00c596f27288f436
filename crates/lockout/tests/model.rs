//! Every order of events in a small world: the machine and the protocol around it, exhaustively.
//!
//! N is two. What one client does is a load and a step, a swap, a hash, a settlement, each on its
//! own; others, the clock, an administrator, lost and late messages and crashes come in between.
//! `model/world.rs` has the world, `model/sketch.rs` faulty machines, which are caught.
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
#[path = "model/sketch.rs"]
mod sketch;
#[path = "model/world.rs"]
mod world;

use std::fmt::Debug;

use sketch::{Fault, Sketch};
use stateright::{Checker, HasDiscoveries, Model, Property};
use vouchsafe_core::{Cell, Machine, PolicyDigest};
use vouchsafe_lockout::{
    Limit, LockoutError, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutVerdict, OnSuccess,
};
use vouchsafe_testkit::is_long;
use world::{Left, Rule, TICK, World};

const N: usize = 2;

/// Where anybody may do anything.
const BOUND: &str = "never more than N wrong guesses are hashed in a window between unlocks";
const TIGHT: &str = "N wrong guesses are hashed in a window";
/// Where everybody is honest.
const NEVER_LOCKED: &str = "nobody is told that the account is locked";
const NEVER_STUCK: &str = "everybody is answered in the end";
const SIGNED_IN: &str = "everybody signs in";

trait Steps: Machine<Event = LockoutEvent, Verdict = LockoutVerdict, State: Cell> {}
impl<M: Machine<Event = LockoutEvent, Verdict = LockoutVerdict, State: Cell>> Steps for M {}

fn properties<M: Steps + Send + Sync + 'static>(rule: &Rule<M>) -> Vec<Property<Rule<M>>> {
    if rule.most.mishaps.is_none() {
        return vec![
            Property::always(BOUND, |rule: &Rule<M>, world: &World| {
                world.worst_window(rule.window) <= N
            }),
            Property::sometimes(TIGHT, |rule: &Rule<M>, world: &World| {
                world.worst_window(rule.window) == N
            }),
        ];
    }
    vec![
        Property::always(NEVER_LOCKED, |_, world: &World| !world.told_locked()),
        Property::always(NEVER_STUCK, |rule: &Rule<M>, world: &World| {
            !world.is_idle() || world.is_over() || !rule.next_states(world).is_empty()
        }),
        Property::sometimes(SIGNED_IN, |rule: &Rule<M>, world: &World| {
            world.signed_in() == rule.most.attempts
        }),
    ]
}

/// Explores all of it, and finds nothing wrong.
fn holds<M: Steps + Debug + Send + Sync + 'static>(what: &str, rule: Rule<M>) {
    let checker = rule.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    checker.assert_properties();
    assert!(checker.is_done());
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{what}: {states} states, at most {depth} actions");
}

/// Finds a shortest way to break `property`.
fn breaks<M: Steps + Debug + Send + Sync + 'static>(
    what: impl Debug,
    rule: Rule<M>,
    property: &'static str,
) {
    let checker = rule.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = checker.discovery(property).unwrap_or_else(|| panic!("{what:?}: not caught"));
    let states = checker.unique_state_count();
    println!("{what:?}: caught after {states} states: {:?}", found.into_actions());
}

/// Nobody does anything unusual.
const PLAIN: Left = Left {
    ticks: 2,
    attempts: 3,
    unlocks: 0,
    losses: 0,
    delays: 0,
    crashes: 0,
    strays: 0,
    mishaps: None,
};

fn ours(on_success: OnSuccess, clients: usize, most: Left) -> Rule<LockoutMachine> {
    timed(on_success, 2, 1, clients, most)
}

/// With a window of so many ticks, and so many to settle an attempt in.
fn timed(
    on_success: OnSuccess,
    window: u32,
    settle: u32,
    clients: usize,
    most: Left,
) -> Rule<LockoutMachine> {
    let policy = LockoutPolicy::builder()
        .limit(Limit::new(N as u32, TICK * window))
        .settle_within(TICK * settle)
        .on_success(on_success);
    Rule {
        machine: LockoutMachine::new(policy.build().unwrap(), PolicyDigest::NONE),
        window: window.into(),
        settle: settle.into(),
        clears: on_success == OnSuccess::OlderFailures,
        takes_back_guesses: false,
        clients,
        most,
    }
}

fn sketch(fault: Fault, clears: bool, most: Left) -> Rule<Sketch> {
    let machine = Sketch { fault, failures: N, window: TICK * 2, settle: TICK, clears };
    Rule { machine, window: 2, settle: 1, clears, takes_back_guesses: false, clients: 2, most }
}

fn no_guess_over_budget(on_success: OnSuccess) {
    let worlds = [
        ("more attempts", Left { attempts: 4, ..PLAIN }),
        ("unlocks and lost answers", Left { unlocks: 1, losses: 1, ..PLAIN }),
        ("crashes and lost answers", Left { crashes: 1, losses: 1, ..PLAIN }),
        ("late swaps", Left { delays: 1, ticks: 1, ..PLAIN }),
        ("stray refunds", Left { strays: 1, unlocks: 1, ..PLAIN }),
    ];
    for (what, most) in worlds {
        holds(what, ours(on_success, 2, most));
    }
    if is_long() {
        let all = Left { unlocks: 1, losses: 1, delays: 1, crashes: 1, strays: 1, ..PLAIN };
        let slow = Left { ticks: 4, delays: 0, ..all.clone() };
        let three = Left { delays: 0, crashes: 0, strays: 0, ..all.clone() };
        holds("all at once", ours(on_success, 2, all));
        holds("a longer time to settle", timed(on_success, 3, 2, 2, slow));
        holds("three clients", ours(on_success, 3, three));
    }
}

#[test]
fn no_order_of_events_lets_a_guess_too_many_by() {
    no_guess_over_budget(OnSuccess::OwnCharge);
}

#[test]
fn nor_where_a_success_forgets_older_failures() {
    no_guess_over_budget(OnSuccess::OlderFailures);
}

/// Why nobody begins to verify what the store may have forgotten: a swap that expects no cell may
/// arrive when the charges it did not see have left their window, and be in time for its hash.
#[test]
fn a_time_to_settle_beyond_the_window_is_caught() {
    let late = Left { delays: 1, ticks: 1, ..PLAIN };
    holds("as long as the window", timed(OnSuccess::OwnCharge, 1, 1, 2, late.clone()));
    let mut rule = sketch(Fault::ForgetsWithTheWindow, false, late);
    (rule.machine.window, rule.window, rule.machine.settle, rule.settle) = (TICK, 1, TICK * 2, 2);
    breaks("beyond the window", rule, BOUND);
    let policy = LockoutPolicy::builder().limit(Limit::new(2, TICK)).settle_within(TICK * 2);
    assert_eq!(policy.build(), Err(vec![LockoutError::SettleBeyondWindow { longest: TICK }]));
}

/// Fewer than N mishaps: a wrong password, a crash, a settlement that is given up.
fn honest(mishaps: u8) -> Left {
    Left { losses: 1, crashes: mishaps, mishaps: Some(mishaps), ..PLAIN }
}

#[test]
fn the_honest_are_never_told_locked_and_never_stuck() {
    for mishaps in 0..N as u8 {
        holds("two clients", ours(OnSuccess::OwnCharge, 2, honest(mishaps)));
        let most = Left { losses: u8::from(is_long()), ..honest(mishaps) };
        holds("three clients", ours(OnSuccess::OwnCharge, 3, most));
    }
    breaks("N mishaps lock", ours(OnSuccess::OwnCharge, 2, honest(N as u8)), NEVER_LOCKED);
}

/// What the worlds above are worth: every one of these faults is found in them.
#[test]
fn faulty_machines_are_caught() {
    let wild = Left { unlocks: 1, losses: 1, ..PLAIN };
    let faults = [
        (Fault::CountsLate, false, PLAIN),
        (Fault::RefundsFailures, false, Left { strays: 1, ..PLAIN }),
        (Fault::UnlocksAgain, false, wild.clone()),
        (Fault::ClearsAgain, true, Left { attempts: 4, losses: 1, ..PLAIN }),
        (Fault::ClearsNewer, true, Left { attempts: 4, ..PLAIN }),
    ];
    for (fault, clears, most) in faults {
        breaks(fault, sketch(fault, clears, most), BOUND);
    }
    breaks(Fault::KeepsUnverified, sketch(Fault::KeepsUnverified, false, honest(0)), NEVER_LOCKED);
    // It takes one more than N to find the log full of others.
    let three = Rule { clients: 3, ..sketch(Fault::LocksWhileVerifying, false, honest(0)) };
    breaks(Fault::LocksWhileVerifying, three, NEVER_LOCKED);
    // Without its faults the same machine holds.
    holds("no fault", sketch(Fault::Nothing, true, Left { losses: 1, strays: 1, ..PLAIN }));
    holds("no fault", sketch(Fault::Nothing, false, honest(0)));
}

/// Why a refund is a type of its own: a host that takes back what was hashed defeats any machine.
#[test]
fn a_host_that_takes_back_guesses_is_caught() {
    let mut rule = ours(OnSuccess::OwnCharge, 2, Left { losses: 1, ..PLAIN });
    rule.takes_back_guesses = true;
    breaks("takes back guesses", rule, BOUND);
}
