//! What has ended stays ended, whatever else is in flight.
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

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::*;
use vouchsafe_core::{Effect, Machine, Timestamp};
use vouchsafe_session::{
    SecretDigest, SessionEvent, SessionId, SessionPolicy, SessionRefusal, SessionVerdict,
};
use vouchsafe_store::Cells;
use vouchsafe_testkit::runs;

/// How a swap behaves in the model.
#[derive(Clone, Copy, PartialEq)]
enum Store {
    /// Compares the version, as ours do.
    CompareAndSwap,
    /// Writes whatever it is given, as stores with a `save(record)` do.
    Upsert,
}

/// How far one caller has come.
#[derive(Clone)]
enum Progress {
    Start,
    Loaded { account: Account, version: u64 },
    Done,
}

#[derive(Clone)]
struct World {
    account: Account,
    version: u64,
    callers: Vec<Progress>,
    ended: BTreeSet<SessionId>,
    /// Sessions ended before the caller began, by caller.
    dead_at_start: Vec<bool>,
}

struct Schedules<'a> {
    machine: AccountMachine,
    store: Store,
    events: &'a [AccountEvent],
    now: Timestamp,
    victim: SecretDigest,
    victim_id: SessionId,
    explored: u64,
    resurrections: u64,
}

impl Schedules<'_> {
    /// Runs every interleaving of the callers' loads and swaps from `world` on.
    fn explore(&mut self, world: &World) {
        let mut finished = true;
        for caller in 0..self.events.len() {
            let mut next = world.clone();
            if self.advance(&mut next, caller) {
                finished = false;
                self.explore(&next);
            }
        }
        if finished {
            self.explored += 1;
            let verdict = self.present(world);
            let back = world.ended.contains(&self.victim_id)
                && matches!(verdict, AccountVerdict::Session(SessionVerdict::Active(_)));
            self.resurrections += u64::from(back);
        }
    }

    fn present(&self, world: &World) -> AccountVerdict {
        let event = AccountEvent::Session(check(self.victim));
        let (_, verdict) = self.machine.step(Some(&world.account), &event, self.now).split();
        verdict.committed()
    }

    /// One atomic action of one caller; false when it has none left.
    fn advance(&mut self, world: &mut World, caller: usize) -> bool {
        let progress = std::mem::replace(&mut world.callers[caller], Progress::Done);
        let (account, version) = match progress {
            Progress::Done => return false,
            Progress::Start => {
                world.dead_at_start[caller] = world.ended.contains(&self.victim_id);
                let (account, version) = (world.account.clone(), world.version);
                world.callers[caller] = Progress::Loaded { account, version };
                return true;
            }
            Progress::Loaded { account, version } => (account, version),
        };
        let event = &self.events[caller];
        let (effect, pending) = self.machine.step(Some(&account), event, self.now).split();
        if let Effect::Save { state, .. } = effect {
            if self.store == Store::CompareAndSwap && version != world.version {
                let (account, version) = (world.account.clone(), world.version);
                world.callers[caller] = Progress::Loaded { account, version };
                return true;
            }
            world.account = state;
            world.version += 1;
        }
        match pending.committed() {
            AccountVerdict::Session(SessionVerdict::Ended(ids)) => world.ended.extend(ids),
            AccountVerdict::Session(SessionVerdict::Active(session)) => {
                let late = session.id == self.victim_id && world.dead_at_start[caller];
                self.resurrections += u64::from(late);
            }
            AccountVerdict::Raised => {
                world.ended.insert(self.victim_id);
            }
            _ => {}
        }
        true
    }
}

/// Two sessions, the first of them the victim, and the schedules of `events`.
fn schedules(
    store: Store,
    events: impl FnOnce(SecretDigest, SecretDigest, SessionId) -> Vec<AccountEvent>,
) -> (u64, u64) {
    let sessions = SessionPolicy::builder(MINUTE * 30).granularity(MICRO).build().unwrap();
    let machine = AccountMachine { sessions, ..AccountMachine::default() };
    let random = seeded(5);
    let (_, first) = fresh(&random);
    let (_, second) = fresh(&random);
    let (victim, other, victim_id) = (*first.secret(), *second.secret(), first.id());
    let mut account = None;
    for new in [first, second] {
        apply(&machine, &mut account, &AccountEvent::Session(open(new, 0, at(0))), at(0));
    }
    let events = events(victim, other, victim_id);
    let world = World {
        account: account.unwrap(),
        version: 1,
        callers: vec![Progress::Start; events.len()],
        ended: BTreeSet::new(),
        dead_at_start: vec![false; events.len()],
    };
    let now = at(60_000_000);
    let (explored, resurrections) = (0, 0);
    let events = &events[..];
    let mut all =
        Schedules { machine, store, events, now, victim, victim_id, explored, resurrections };
    all.explore(&world);
    (all.explored, all.resurrections)
}

type Story = fn(SecretDigest, SecretDigest, SessionId) -> Vec<AccountEvent>;

/// Touches of both sessions in flight while the first is ended, in each of the ways there are.
const STORIES: [(&str, Story); 5] = [
    ("sign out", |victim, other, _| {
        session([check(victim), SessionEvent::SignOut { secret: victim }, check(other)])
    }),
    ("revoke", |victim, other, id| {
        session([check(victim), check(other), SessionEvent::Revoke { id }, check(victim)])
    }),
    ("revoke others", |victim, other, _| {
        session([check(victim), SessionEvent::RevokeOthers { secret: other }, check(other)])
    }),
    ("revoke all, and sign in again", |victim, other, _| {
        let again = open(fresh(&seeded(77)).1, 0, at(0));
        session([check(victim), SessionEvent::RevokeAll, check(other), again])
    }),
    ("change the password", |victim, other, _| {
        let mut events = session([check(victim), check(other)]);
        events.push(AccountEvent::RaiseGeneration);
        events
    }),
];

fn session<const N: usize>(events: [SessionEvent; N]) -> Vec<AccountEvent> {
    events.into_iter().map(AccountEvent::Session).collect()
}

#[test]
fn no_interleaving_brings_a_session_back() {
    for (name, story) in STORIES {
        let (explored, resurrections) = schedules(Store::CompareAndSwap, story);
        assert!(explored >= 90, "{name}: only {explored} schedules");
        assert_eq!(resurrections, 0, "{name}, in {explored} schedules");
    }
}

#[test]
fn a_plain_save_brings_it_back() {
    for (name, story) in STORIES {
        let (_, resurrections) = schedules(Store::Upsert, story);
        assert!(resurrections > 0, "{name}: the test would not notice");
    }
}

/// Threads use a session while one ends it: whoever begins after the end was acknowledged is
/// refused, and the record is gone at the end.
fn race<C: Cells>(cells: &C, number: u64, how: usize) {
    let sessions = SessionPolicy::builder(MINUTE * 30).granularity(Duration::ZERO).build().unwrap();
    let machine = AccountMachine { sessions, ..AccountMachine::default() };
    let random = seeded(number);
    let (_, first) = fresh(&random);
    let (_, second) = fresh(&random);
    let (victim, other, id) = (*first.secret(), *second.secret(), first.id());
    for new in [first, second] {
        let event = AccountEvent::Session(open(new, 0, at(0)));
        deliver(cells, &machine, number, event, at(0));
    }
    let clock = AtomicU64::new(1);
    let (ended, start) = (AtomicBool::new(false), Barrier::new(4));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                start.wait();
                let mut after_the_end = 0;
                while after_the_end < 5 {
                    let was_ended = ended.load(Ordering::SeqCst);
                    // Each check is later than all before it, so each of them writes.
                    let now = at(clock.fetch_add(1, Ordering::SeqCst));
                    let event = AccountEvent::Session(check(victim));
                    let verdict = deliver(cells, &machine, number, event, now);
                    if was_ended {
                        after_the_end += 1;
                        assert!(
                            matches!(verdict, AccountVerdict::Session(SessionVerdict::Refused(_))),
                            "{verdict:?}"
                        );
                    }
                }
            });
        }
        scope.spawn(|| {
            start.wait();
            // Somewhere in the middle of the others' checks.
            let begin = 4 + number % 24;
            while clock.load(Ordering::SeqCst) < begin {
                std::thread::yield_now();
            }
            let event = match how {
                0 => AccountEvent::Session(SessionEvent::SignOut { secret: victim }),
                1 => AccountEvent::Session(SessionEvent::Revoke { id }),
                2 => AccountEvent::Session(SessionEvent::RevokeOthers { secret: other }),
                3 => AccountEvent::Session(SessionEvent::RevokeAll),
                _ => AccountEvent::RaiseGeneration,
            };
            let now = at(clock.fetch_add(1, Ordering::SeqCst));
            deliver(cells, &machine, number, event, now);
            ended.store(true, Ordering::SeqCst);
        });
    });
    let now = at(clock.load(Ordering::SeqCst));
    let event = AccountEvent::Session(check(victim));
    let verdict = deliver(cells, &machine, number, event, now);
    let reason = if how < 4 { SessionRefusal::Unknown } else { SessionRefusal::CredentialChanged };
    assert_eq!(verdict, AccountVerdict::Session(SessionVerdict::Refused(reason)));
}

#[test]
fn racing_threads_in_memory() {
    let store = memory();
    for round in 0..runs(60, 20_000) {
        race(&store, round as u64, round % 5);
    }
}

#[test]
fn racing_threads_on_sqlite() {
    let (_dir, store) = sqlite();
    for round in 0..runs(20, 2_000) {
        race(&store, round as u64, round % 5);
    }
}
