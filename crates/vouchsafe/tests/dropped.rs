//! SE-16: dropping a call at any of its await points.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod calls;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use calls::{Case, Kind, OTHER, PASSWORD, World, all};
use vouchsafe::access_log::{Outcome, Record, name};
use vouchsafe::core::Space;
use vouchsafe::gate::{Login, Next};
use vouchsafe_testkit::block_on;

struct Woken(Thread, AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Polls `future` whenever it asks to be, `polls` times at most, and drops it.
fn cut<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken(std::thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    for _ in 0..polls {
        while !woken.1.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
    }
    None
}

/// Ada can sign in, whatever became of her account, and with a few wrong guesses before: at most
/// one charge has stayed.
fn ada_signs_in(world: &World, case: &Case) {
    block_on(world.operator().enable(&world.ada)).unwrap();
    let guesses = if case.name == "acting.rs::unlock" { 0 } else { 3 };
    for _ in 0..guesses {
        let _ = block_on(world.gate.login("ada", "Wrong-Guess9"));
    }
    let logins = [PASSWORD, OTHER].map(|password| block_on(world.gate.login("ada", password)));
    let signed_in = logins.iter().any(|login| matches!(login, Login::SignedIn(_)));
    assert!(signed_in, "{}: {logins:?}", case.name);
}

/// Bob's link works, or Bob's password was set with it; Eve's password is due, or was changed.
fn the_others_get_in(world: &World, case: &Case) {
    let link = block_on(world.redeem(&world.link)).is_ok();
    let bob = block_on(world.gate.login("bob", OTHER));
    assert!(matches!(bob, Login::SignedIn(_)), "{}: link {link}, {bob:?}", case.name);
    let eve = [PASSWORD, OTHER].map(|password| block_on(world.gate.login("eve", password)));
    let gets_in =
        |login: &Login| matches!(login, Login::SignedIn(_) | Login::Next(Next::ChangePassword(_)));
    assert!(eve.iter().any(gets_in), "{}: {eve:?}", case.name);
}

/// Drops the call after `polls` polls. True when it had ended by then.
fn dropped_after(case: &Case, polls: usize) -> bool {
    let world = World::new();
    let run = (case.works)(&world);
    let held = world.other_holds();
    let _ = world.gate.recorded();
    let (accounts, failures) = (world.cells(Space::Account), world.cells(Space::Lockout));
    world.pauses.set(true);
    let output = cut(run, polls);
    world.pauses.set(false);
    let ended = output.is_some();
    let at = format!("{} after {polls} polls", case.name);
    if let Some(output) = output {
        output.unwrap_or_else(|code| panic!("{at}: {code}"));
    }

    let acted = world.cells(Space::Account) != accounts;
    let counted = world.cells(Space::Lockout) != failures;
    let (mut records, later) = world.said();
    let mailed = !world.gate.mail.take().is_empty();
    let is_done = |r: &&Record| r.operation == case.does && r.outcome == Outcome::Succeeded;
    let done = records.iter().filter(is_done).count();
    // Nothing was done that was not recorded before; and what was counted is not passed over.
    assert!(!(acted || mailed) || done == 1, "{at}: {records:#?}");
    records.extend(later);
    assert!(!counted || !records.is_empty(), "{at}: counted and not recorded");
    // Who has no answer knows no more than the log.
    let unknown = Outcome::Failed(name!("outcome.unknown"));
    let corrected = records.iter().any(|record| record.outcome == unknown);
    let looks = case.kind == Kind::Counted || case.name == "upkeep.rs::close";
    assert!(ended || done == 0 || looks || corrected, "{at}: {records:#?}");
    assert!(!ended || !corrected || case.kind == Kind::Unfinished, "{at}: {records:#?}");
    // Nothing that was acknowledged before is lost, and nothing is left locked.
    assert!(acted || !held || world.other_holds(), "{at}");
    ada_signs_in(&world, case);
    the_others_get_in(&world, case);
    let _ = world.said();
    assert!(!block_on(world.gate.gate.upkeep()).left, "{at}");
    ended
}

#[test]
fn dropping_at_every_await_point_loses_nothing_and_locks_nothing() {
    let mut points = 0;
    for case in all() {
        let polls = (0..200).find(|polls| dropped_after(&case, *polls)).expect(case.name);
        assert!(polls > 1, "{}: it never waited", case.name);
        points += polls;
    }
    println!("{points} places to be dropped at, in {} calls", all().len());
}
