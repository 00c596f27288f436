//! What holds of a host's column wherever it is.

use std::sync::Barrier;

use vouchsafe::access_log::{Operation, Outcome};
use vouchsafe::gate::{Code, Issued, Login, Next, NotSet, Purpose};
use vouchsafe::password::{Record, Stored};
use vouchsafe_testkit::{Fault, PostgresServer, TestGate, block_on, runs};

use super::network::Cut;
use super::{HOSTS, NEW, OLD, Place, THIRD, World, foreign};

pub type Link = (Purpose, String);

/// A way to a new password, or to a new hash of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Activation,
    Reset,
    Change,
    Due,
    Upgrade,
}

pub const DOORS: [Door; 5] =
    [Door::Activation, Door::Reset, Door::Change, Door::Due, Door::Upgrade];

/// What happens to the call through a door.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// The process ends at a call to the store or the table, and another one starts.
    Crash(Fault),
    /// The connection to the table is cut, and the gate goes on.
    Cut(Cut),
    /// The server of the table is killed; it is started again when the call has been answered.
    Killed(&'static PostgresServer),
}

/// Cuts the call through a door off at its call number `at`. False when it had ended by then.
pub fn cut_off(place: Place, door: Door, at: u64, how: How) -> bool {
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

    match how {
        How::Crash(fault) => world.faults.crash_at(at, fault),
        How::Cut(cut) => world.table.network().cut_at(at, cut),
        How::Killed(server) => world.table.network().at(at, move || server.kill()),
    }
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
    let ended = match how {
        How::Crash(_) => world.faults.calls() <= at,
        How::Cut(_) | How::Killed(_) => !world.table.network().happened(),
    };
    match how {
        How::Crash(_) => world.restart(),
        How::Cut(_) => {}
        How::Killed(server) if !ended => server.restart(),
        How::Killed(_) => {}
    }
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

/// Through every door, cut off at every call.
pub fn every_step(place: Place) {
    // A file is slow: of its steps each ordinary run takes some.
    let stride = if matches!(place, Place::Memory) { 1 } else { runs(6, 1) } as u64;
    let mut steps = 0;
    for (number, door) in DOORS.into_iter().enumerate() {
        for (way, how) in [Fault::Before, Fault::After].into_iter().enumerate() {
            let first = (2 * number + way) as u64 % stride;
            let cut = (first..200)
                .step_by(usize::try_from(stride).unwrap())
                .map(|at| cut_off(place, door, at, How::Crash(how)));
            steps += cut.take_while(|ended| !ended).count();
        }
    }
    assert!(steps as u64 * stride > 60, "{steps} places to be cut off at");
}

/// Two at once over the same account: what was acknowledged is in force, and nothing else.
pub fn race(place: Place, round: u32) {
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
    // Each on a node of its own, or both on one.
    let second = (round % 4 > 1).then(|| world.second());
    let second = second.as_ref().unwrap_or(&world.gate);
    let (reset, other) = std::thread::scope(|scope| {
        let reset = scope.spawn(|| world.redeem(&link, NEW).is_ok());
        let other = match &session {
            Some(session) => {
                let (tenant, call) = (TestGate::tenant(), TestGate::call());
                let checked = second.gate.check(&tenant, session.token().expose(), &call);
                let Ok(principal) = block_on(checked) else {
                    return (reset.join().unwrap(), false);
                };
                let acting = second.gate.by(&principal, &call).unwrap();
                let change = acting.change_password(OLD.to_owned(), THIRD.to_owned());
                block_on(change).is_ok()
            }
            None => {
                let _ = block_on(second.login("ada", OLD));
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

/// Two nodes set a password or upgrade one while the host sets its own: the host's stays, whenever it
/// came, and what was acknowledged was in the column before it.
pub fn race_with_the_host(place: Place, round: u32) {
    let change = round.is_multiple_of(2);
    let world = if change { World::active(place) } else { World::imported(place) };
    let link = world.gate.invite(&world.ada);
    let (second, call) = (world.second(), TestGate::call());
    let session = change.then(|| second.sign_in("ada", OLD));
    let (hosts, begin) = (foreign(HOSTS), Barrier::new(3));
    let (acknowledged, opened) = std::thread::scope(|scope| {
        let reset = scope.spawn(|| {
            begin.wait();
            world.redeem(&link, NEW).is_ok()
        });
        let host = scope.spawn(|| {
            begin.wait();
            world.table.update(&world.ada, Some(&hosts));
        });
        begin.wait();
        let (changed, opened) = match &session {
            Some(session) => {
                let acting = second.gate.by(session.principal(), &call).unwrap();
                let change = acting.change_password(OLD.to_owned(), THIRD.to_owned());
                let changed = block_on(change).ok();
                (changed.is_some(), changed)
            }
            None => match block_on(second.login("ada", OLD)) {
                Login::SignedIn(issued) => (false, Some(issued)),
                _ => (false, None),
            },
        };
        host.join().unwrap();
        (usize::from(reset.join().unwrap()) + usize::from(changed), opened)
    });
    let texts = world.table.network().texts();
    let (last, before) = texts.split_last().unwrap();
    assert_eq!(last.as_ref(), Some(&hosts), "{round}: nothing is written over the host's");
    let ours = |text: &&Option<String>| {
        text.as_ref().is_some_and(|text| text.parse::<Record>().is_ok_and(|text| text.is_bound()))
    };
    // An activation, or an upgrade that was quick enough.
    let earlier = usize::from(change);
    assert!(acknowledged <= 1, "{round}: one replaces the other");
    assert!(before.iter().filter(ours).count() >= earlier + acknowledged, "{round}: {texts:?}");
    let in_force = [OLD, NEW, THIRD, HOSTS].map(|word| world.lets_in(word));
    assert_eq!(in_force, [false, false, false, true], "{round}");
    for session in session.iter().chain(&opened) {
        assert!(!world.holds(session), "{round}: a session from before");
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T, NotSet>) -> Code {
    match answer {
        Err(NotSet::Refused(refused)) => refused.code(),
        other => panic!("{other:?}"),
    }
}

/// The host's own `UPDATE` gets between the cell and the column: it is the newest, and wins.
pub fn the_host_wins_over_a_reset(place: Place) {
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

pub fn the_host_wins_over_an_upgrade(place: Place) {
    let world = World::imported(place);
    let ada = world.ada.clone();
    world.table.before_swap(move |table| table.update(&ada, Some(&foreign(HOSTS))));
    let login = block_on(world.gate.login("ada", OLD));
    if let Login::SignedIn(issued) = login {
        assert!(!world.holds(&issued));
    }
    assert!(world.lets_in(HOSTS) && !world.lets_in(OLD));
}

/// What the host sets is noticed at the next look: everything from before is void, and recorded.
pub fn the_host_ends_what_was_before(place: Place) {
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
