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

use column::{HOSTS, NEW, OLD, PLACES, Place, THIRD, World, foreign};
use vouchsafe::access_log::{Operation, Outcome};
use vouchsafe::gate::{Code, Issued, Login, Next, NotSet, Purpose};
use vouchsafe::password::{Record, Stored};
use vouchsafe_testkit::{Fault, TestGate, block_on, runs};

type Link = (Purpose, String);

/// A way to a new password, or to a new hash of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Activation,
    Reset,
    Change,
    Due,
    Upgrade,
}

const DOORS: [Door; 5] = [Door::Activation, Door::Reset, Door::Change, Door::Due, Door::Upgrade];

/// Cuts the call through a door off at its call number `at` to a store or the table, and starts anew.
/// False when it had ended by then.
fn cut_off(place: Place, door: Door, at: u64, how: Fault) -> bool {
    let what = format!("{place:?} {door:?} {at} {how:?}");
    let mut world = match door {
        Door::Activation => World::new(place),
        Door::Upgrade => World::imported(place),
        _ => World::active(place),
    };
    let signed_in = |world: &World| world.gate.sign_in("ada", OLD);
    let session: Option<Issued> =
        matches!(door, Door::Reset | Door::Change | Door::Due).then(|| signed_in(&world));
    let link: Option<Link> =
        matches!(door, Door::Activation | Door::Reset).then(|| world.gate.invite(&world.ada));
    let call = TestGate::call();
    let change = (door == Door::Due).then(|| {
        world.users.change(&TestGate::tenant(), &world.ada, |ada| {
            ada.attributes.push("Brass Lantern".to_owned());
        });
        match block_on(world.gate.login("ada", OLD)) {
            Login::Next(Next::ChangePassword(change)) => change,
            other => panic!("{what}: {other:?}"),
        }
    });
    let principal = session.as_ref().filter(|_| door == Door::Change).map(Issued::principal);
    let acting = principal.map(|principal| world.gate.gate.by(principal, &call).unwrap());

    world.faults.crash_at(at, how);
    let (acknowledged, opened) = match door {
        Door::Activation | Door::Reset => (world.redeem(link.as_ref().unwrap(), NEW).is_ok(), None),
        Door::Change => {
            let acting = acting.as_ref().unwrap();
            let changed = acting.change_password(OLD.to_owned(), NEW.to_owned());
            let changed = block_on(changed).ok();
            (changed.is_some(), changed)
        }
        Door::Due => (block_on(change.unwrap().set(NEW.to_owned())).is_ok(), None),
        Door::Upgrade => match block_on(world.gate.login("ada", OLD)) {
            Login::SignedIn(issued) => (true, Some(issued)),
            _ => (false, None),
        },
    };
    let ended = world.faults.calls() <= at;
    world.restart();
    // Whatever the rule says of the old one by now, it is the right one or not.
    world.users.change(&TestGate::tenant(), &world.ada, |ada| ada.attributes.clear());

    if door == Door::Upgrade {
        assert!(world.lets_in(OLD), "{what}");
        assert!(opened.is_none_or(|session| world.holds(&session)), "{what}");
        let text = world.table.text(&world.ada).unwrap();
        assert!(text.parse::<Record>().unwrap().is_bound(), "{what}: {text}");
        return ended;
    }
    let (old, new) = (door != Door::Activation && world.lets_in(OLD), world.lets_in(NEW));
    assert!(!(old && new), "{what}: both work");
    assert!(new || !acknowledged, "{what}: acknowledged and not in force");
    assert!(old || new || door == Door::Activation, "{what}: neither works");
    if let Some(session) = &session {
        assert_eq!(world.holds(session), !new, "{what}: the session from before");
    }
    if let Some(opened) = &opened {
        assert!(world.holds(opened), "{what}: the session that was opened");
    }
    // The look of the sign-in has finished what was left.
    if new {
        let text = world.table.text(&world.ada).unwrap();
        assert!(text.parse::<Record>().unwrap().is_bound(), "{what}: {text}");
    }
    if let Some(link) = &link {
        assert_eq!(world.works(link), !new, "{what}: the link");
    }
    ended
}

fn every_step(place: Place) {
    // A file is slow: of its steps each ordinary run takes some.
    let stride = if matches!(place, Place::Memory) { 1 } else { runs(6, 1) } as u64;
    let mut steps = 0;
    for (number, door) in DOORS.into_iter().enumerate() {
        for (way, how) in [Fault::Before, Fault::After].into_iter().enumerate() {
            let first = (2 * number + way) as u64 % stride;
            let cut = (first..200)
                .step_by(usize::try_from(stride).unwrap())
                .map(|at| cut_off(place, door, at, how));
            steps += cut.take_while(|ended| !ended).count();
        }
    }
    assert!(steps as u64 * stride > 60, "{steps} places to be cut off at");
}

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

fn code<T: std::fmt::Debug>(answer: Result<T, NotSet>) -> Code {
    match answer {
        Err(NotSet::Refused(refused)) => refused.code(),
        other => panic!("{other:?}"),
    }
}

/// The host's own `UPDATE` gets between the cell and the column: it is the newest, and wins.
#[test]
fn a_password_that_the_host_sets_meanwhile_wins_over_a_reset() {
    for place in PLACES {
        let world = World::active(place);
        let session = world.gate.sign_in("ada", OLD);
        let link = world.gate.invite(&world.ada);
        let ada = world.ada.clone();
        world.table.before_swap(move |table| table.update(&ada, Some(&foreign(HOSTS))));
        assert_eq!(code(world.redeem(&link, NEW)), Code::Raced);
        let last = world.recorded().pop().unwrap();
        assert!(matches!(last.outcome, Outcome::Failed(_)), "{last:?}");
        assert!(!world.holds(&session));
        assert!(!world.works(&link));
        assert!(world.lets_in(HOSTS) && !world.lets_in(OLD) && !world.lets_in(NEW));
    }
}

#[test]
fn a_password_that_the_host_sets_meanwhile_wins_over_an_upgrade() {
    for place in PLACES {
        let world = World::imported(place);
        let ada = world.ada.clone();
        world.table.before_swap(move |table| table.update(&ada, Some(&foreign(HOSTS))));
        let login = block_on(world.gate.login("ada", OLD));
        if let Login::SignedIn(issued) = login {
            assert!(!world.holds(&issued));
        }
        assert!(world.lets_in(HOSTS) && !world.lets_in(OLD));
    }
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

/// What the host sets is noticed at the next look: everything from before is void, and recorded.
#[test]
fn what_the_host_sets_ends_what_was_before() {
    for place in PLACES {
        let world = World::active(place);
        let session = world.gate.sign_in("ada", OLD);
        let link = world.gate.invite(&world.ada);
        world.table.update(&world.ada, Some(&foreign(HOSTS)));
        let _ = world.recorded();
        assert!(!world.lets_in(OLD), "the host's is in force at once");
        assert!(!world.holds(&session));
        assert!(!world.works(&link));
        let changed = |record: &vouchsafe::access_log::Record| {
            record.operation == Operation::PasswordChanged && record.outcome == Outcome::Succeeded
        };
        assert_eq!(world.recorded().iter().filter(|record| changed(record)).count(), 1);
        assert!(world.lets_in(HOSTS));
        let text = world.table.text(&world.ada).unwrap();
        assert!(matches!(Stored::read(Some(&text)), Stored::Record(record) if record.is_bound()));
        world.table.update(&world.ada, None);
        assert!(!world.lets_in(HOSTS));
        assert!(world.works(&world.gate.invite(&world.ada)));
        assert!(world.lets_in(THIRD));
    }
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

/// Two at once over the same account: what was acknowledged is in force, and nothing else.
fn race(place: Place, round: u32) {
    let world = match round % 2 {
        0 => World::active(place),
        _ => World::imported(place),
    };
    // The second round's sign-in is one that upgrades.
    let session = round.is_multiple_of(2).then(|| world.gate.sign_in("ada", OLD));
    let link = match &session {
        Some(_) => world.gate.invite(&world.ada),
        None => {
            block_on(world.gate.gate.request_reset(&TestGate::attempt("ada"))).unwrap();
            block_on(world.gate.gate.upkeep());
            (Purpose::Reset, world.gate.mail.token().unwrap())
        }
    };
    let (reset, other) = std::thread::scope(|scope| {
        let reset = scope.spawn(|| world.redeem(&link, NEW).is_ok());
        let other = match &session {
            Some(session) => {
                let call = TestGate::call();
                let acting = world.gate.gate.by(session.principal(), &call).unwrap();
                let change = acting.change_password(OLD.to_owned(), THIRD.to_owned());
                block_on(change).is_ok()
            }
            None => {
                let _ = block_on(world.gate.login("ada", OLD));
                false
            }
        };
        (reset.join().unwrap(), other)
    });
    assert!(!(reset && other), "one replaces the other");
    assert!(reset || other || session.is_some(), "the reset is newer than an upgrade");
    let in_force: Vec<_> = [OLD, NEW, THIRD].map(|word| world.lets_in(word)).into();
    assert_eq!(in_force, [!(reset || other), reset, other], "{place:?} {round}");
    if let Some(session) = session {
        assert_eq!(world.holds(&session), !(reset || other));
    }
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
