//! FA-6: passwords in a column of the host's own, in a PostgreSQL database over a network.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod column;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use column::hourglass::Hourglass;
use column::network::{Cut, Network};
use column::suite::{
    DOORS, Door, How, cut_off, every_step, race, race_with_the_host, the_host_ends_what_was_before,
    the_host_wins_over_a_reset, the_host_wins_over_an_upgrade,
};
use column::{HOSTS, NEW, OLD, Place, World, foreign};
use vouchsafe::access_log::{Operation, Outcome};
use vouchsafe::gate::{Code, Login, NotSet};
use vouchsafe::password::Record;
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{PostgresServer, TestGate, block_on, runs};

/// What a gate gives the host's column for an answer.
const LIMIT: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_micros(1);

fn shared() -> Place {
    Place::Network(PostgresServer::shared())
}

/// A server of one test's own, until the process ends.
fn own(settings: &[&str]) -> &'static PostgresServer {
    Box::leak(Box::new(PostgresServer::with(settings)))
}

fn is_ours(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.parse::<Record>().is_ok_and(|record| record.is_bound()))
}

fn code<T: std::fmt::Debug>(answer: Result<T, NotSet>) -> Code {
    match answer {
        Err(NotSet::Refused(refused)) => refused.code(),
        other => panic!("{other:?}"),
    }
}

/// What Django wrote for [`OLD`] is replaced at the first sign-in, and at no other.
#[test]
fn a_hash_of_djangos_is_upgraded_once() {
    let world = World::new(shared());
    // Of `OLD`, as Django's `PBKDF2PasswordHasher` writes it.
    let django = "pbkdf2_sha256$1000$saltofdjango$bgcJ7M3X26jrQDJiwTiHBYlYwV640RIrLLfgqUzjdGY=";
    world.table.update(&world.ada, Some(django));
    assert!(!world.lets_in("Wrong-Guess9"));
    assert_eq!(world.table.text(&world.ada).as_deref(), Some(django));
    let second = world.second();
    for _ in 0..2 {
        assert!(world.lets_in(OLD));
        let _session = second.sign_in("ada", OLD);
    }
    let texts = world.table.network().texts();
    let [None, Some(before), Some(after)] = texts.as_slice() else { panic!("{texts:?}") };
    assert_eq!(before, django);
    assert!(is_ours(Some(after)));
}

#[test]
fn cut_off_at_any_step_one_password_is_in_force_over_a_network() {
    every_step(shared());
}

/// The server ends the connection ahead of a statement, in the middle of one, and when it is
/// committed: the gate goes on, and one password is in force.
#[test]
fn a_connection_that_is_cut_at_any_step_leaves_one_password_in_force() {
    let server =
        own(&["fsync=off", "synchronous_standby_names=nobody", "synchronous_commit=local"]);
    let mut cuts = 0;
    for door in DOORS {
        for cut in [Cut::Before, Cut::Within, Cut::Behind] {
            let place = Place::Network(server);
            let steps = (0..50).map(|at| cut_off(place, door, at, How::Cut(cut)));
            cuts += steps.take_while(|ended| !ended).count();
        }
    }
    assert!(cuts > 30, "{cuts} places to be cut at");
}

/// The server is killed at each statement of a change of password, and started again.
#[test]
fn a_server_that_is_killed_at_any_step_leaves_one_password_in_force() {
    let server = own(&[]);
    let mut kills = 0;
    for door in [Door::Change, Door::Reset] {
        let place = Place::Network(server);
        let steps = (0..50).map(|at| cut_off(place, door, at, How::Killed(server)));
        kills += steps.take_while(|ended| !ended).count();
    }
    assert!(kills > 5, "{kills} places to be killed at");
}

#[test]
fn a_password_that_the_host_sets_meanwhile_wins_over_a_network() {
    the_host_wins_over_a_reset(shared());
    the_host_wins_over_an_upgrade(shared());
    the_host_ends_what_was_before(shared());
}

#[test]
fn of_two_nodes_at_once_the_one_that_was_acknowledged_is_in_force() {
    for round in 0..u32::try_from(runs(24, 1_000)).unwrap() {
        race(shared(), round);
    }
}

#[test]
fn what_the_host_sets_while_two_nodes_do_is_never_written_over() {
    for round in 0..u32::try_from(runs(40, 2_000)).unwrap() {
        race_with_the_host(shared(), round);
    }
}

/// Else how long an answer takes would say who is there.
#[test]
fn an_unknown_name_asks_the_column_as_often_as_a_known_one() {
    let world = World::active(shared());
    let asked = |user| {
        let before = world.table.network().calls();
        let _refused = block_on(world.gate.login(user, "Wrong-Guess9"));
        block_on(world.gate.gate.request_reset(&TestGate::attempt(user))).unwrap();
        world.table.network().calls() - before
    };
    assert_eq!((asked("ada"), asked("zoe")), (2, 2));
}

/// Whether somebody is right, wrong or unknown, the answer is the same; it is recorded, and costs no
/// guess. Who is signed in stays so, and a link is not used up.
#[test]
fn a_server_that_is_away_is_told_as_such_and_costs_nobody_a_guess() {
    let server = own(&["fsync=off"]);
    let world = World::active(Place::Network(server));
    let (session, link) = (world.gate.sign_in("ada", OLD), world.gate.invite(&world.ada));
    let call = TestGate::call();
    let acting = world.gate.gate.by(session.principal(), &call).unwrap();
    let before = world.gate.gate.work().runs;
    server.kill();
    let _ = world.recorded();
    for _ in 0..6 {
        for (user, password) in [("ada", OLD), ("ada", "Wrong-Guess9"), ("zoe", OLD)] {
            match block_on(world.gate.login(user, password)) {
                Login::Refused(refused) => assert_eq!(refused.code(), Code::Unavailable, "{user}"),
                other => panic!("{other:?}"),
            }
        }
        let change = acting.change_password(OLD.to_owned(), NEW.to_owned());
        assert_eq!(code(block_on(change)), Code::Unavailable);
        assert_eq!(code(world.redeem(&link, NEW)), Code::Unavailable);
    }
    assert_eq!(world.gate.gate.work().runs, before, "nothing was hashed");
    assert!(world.holds(&session));
    world.gate.clock.advance(Duration::from_secs(120));
    block_on(world.gate.gate.upkeep());
    let told = |record: vouchsafe::access_log::Record| match record.outcome {
        Outcome::Refused(name) if name.as_str() == Code::Unavailable.as_str() => {
            Some((record.operation, record.repeats.get()))
        }
        _ => None,
    };
    let told: Vec<_> = world.recorded().into_iter().filter_map(told).collect();
    let of = |operation| {
        told.iter().filter(|(of, _)| *of == operation).map(|(_, repeats)| repeats).sum::<u32>()
    };
    assert_eq!(of(Operation::SignInRefused), 18, "{told:?}");
    assert_eq!(of(Operation::PasswordChangeRefused), 6, "{told:?}");
    assert_eq!(of(Operation::LinkRefused), 6, "{told:?}");

    server.restart();
    for _ in 0..4 {
        assert!(!world.lets_in("Wrong-Guess9"));
    }
    assert!(world.lets_in(OLD));
    assert!(world.works(&link));
}

/// A new password that could not be written is in force all the same, and the upkeep writes it.
#[test]
fn what_a_server_missed_is_written_when_it_is_back() {
    let server = own(&["fsync=off"]);
    let world = World::active(Place::Network(server));
    let link = world.gate.invite(&world.ada);
    world.table.before_swap(move |_| server.kill());
    world.redeem(&link, NEW).unwrap();
    server.restart();
    let before = world.table.text(&world.ada);
    block_on(world.gate.gate.upkeep());
    assert_ne!(world.table.text(&world.ada), before);
    assert!(world.lets_in(NEW) && !world.lets_in(OLD));
}

/// A call whose last question to the column, counted by `asked`, nobody answers: it is over when the
/// hourglass has run through, and not before.
fn given_up<T>(
    world: &World,
    glass: &Hourglass,
    asked: fn(&Network) -> u64,
    call: impl Future<Output = T>,
) -> T {
    let mut call = pin!(call);
    let mut answer = None;
    let mut is_over = || {
        if let Poll::Ready(ready) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            answer = Some(ready);
            return true;
        }
        false
    };
    let network = world.table.network();
    let before = asked(network);
    assert!(eventually(|| is_over() || asked(network) > before));
    glass.pass(LIMIT - TICK);
    assert!(!is_over(), "it is given up too early");
    glass.pass(TICK);
    assert!(eventually(is_over), "it is not given up");
    answer.unwrap()
}

#[test]
fn a_server_that_stands_still_is_given_up_in_time_and_comes_back() {
    let (server, glass) = (own(&["fsync=off"]), Hourglass::default());
    let world = World::timed(Place::Network(server), &glass);
    world.gate.activate(&TestGate::tenant(), &world.ada, OLD);
    let (session, call) = (world.gate.sign_in("ada", OLD), TestGate::call());
    for _ in 0..2 {
        server.pause();
        for (user, password) in [("ada", OLD), ("ada", "Wrong-Guess9"), ("zoe", OLD)] {
            match given_up(&world, &glass, Network::calls, world.gate.login(user, password)) {
                Login::Refused(refused) => assert_eq!(refused.code(), Code::Unavailable, "{user}"),
                other => panic!("{other:?}"),
            }
        }
        let acting = world.gate.gate.by(session.principal(), &call).unwrap();
        let change = acting.change_password(OLD.to_owned(), NEW.to_owned());
        assert_eq!(code(given_up(&world, &glass, Network::calls, change)), Code::Unavailable);
        server.resume();
        assert!(eventually(|| world.refuses(OLD).is_none()));
    }
    for _ in 0..4 {
        assert!(!world.lets_in("Wrong-Guess9"));
    }
    assert!(world.lets_in(OLD) && world.holds(&session));
}

/// The write that was given up happens when the server goes on: it is the one that was meant.
#[test]
fn a_write_that_was_given_up_and_happens_late_does_no_harm() {
    let (server, glass) = (own(&["fsync=off"]), Hourglass::default());
    let world = World::timed(Place::Network(server), &glass);
    world.gate.activate(&TestGate::tenant(), &world.ada, OLD);
    let link = world.gate.invite(&world.ada);
    let before = world.table.text(&world.ada);
    world.table.before_swap(move |_| server.pause());
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let redeem = world.gate.gate.redeem(&tenant, link.0, &link.1, NEW.to_owned(), &call);
    // It is in force, and to be written later.
    given_up(&world, &glass, Network::writes, redeem).unwrap();
    server.resume();
    assert!(eventually(|| world.table.text(&world.ada) != before));
    assert!(world.lets_in(NEW) && !world.lets_in(OLD));
    assert!(is_ours(world.table.text(&world.ada).as_deref()));
}

/// The host's own transaction holds the row: the gate does not wait for its end, and then the host's
/// password wins, if it was one.
#[test]
fn a_transaction_of_the_hosts_that_is_open_decides_when_it_ends() {
    for commits in [true, false] {
        let glass = Hourglass::default();
        let world = World::timed(shared(), &glass);
        world.gate.activate(&TestGate::tenant(), &world.ada, OLD);
        let link = world.gate.invite(&world.ada);
        let before = world.table.text(&world.ada);
        let (host, hosts) = (world.table.network().host(), foreign(HOSTS));
        host.run(&format!("BEGIN; UPDATE users SET password_hash = '{hosts}'"));
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let redeem = world.gate.gate.redeem(&tenant, link.0, &link.1, NEW.to_owned(), &call);
        given_up(&world, &glass, Network::writes, redeem).unwrap();
        host.run(if commits { "COMMIT" } else { "ROLLBACK" });
        // The write that waits for the row finds it as it is now.
        assert!(eventually(|| world.table.text(&world.ada) != before));
        let in_force = [OLD, NEW, HOSTS].map(|password| world.lets_in(password));
        assert_eq!(in_force, [false, !commits, commits]);
        assert!(is_ours(world.table.text(&world.ada).as_deref()));
    }
}
