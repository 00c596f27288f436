//! Coarse counters beside a store that has no room: together they are one count.
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

use std::time::Duration;

use common::*;
use vouchsafe_core::{AccountDigest, ChargeId, Charged, NotMatched, PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Begin, Consecutive, Crossing, CrossingKind, Device, Devices, Limit, LockoutEvent,
    LockoutMachine, LockoutPolicy, LockoutVerdict as V, Overflow, Release,
};

const D: Duration = Duration::from_secs(10);
const MICRO: Duration = Duration::from_micros(1);

/// One account in a store that has room for it, or has none.
struct Desk {
    overflow: Overflow,
    account: Account,
}

impl Desk {
    fn new(machine: LockoutMachine) -> Self {
        Self { overflow: Overflow::default(), account: Account::new(machine) }
    }

    fn begin(&mut self, id: u64, has_room: bool, now: Timestamp) -> V {
        match if has_room { self.account.send(begin(id), now) } else { self.coarse(id, now) } {
            V::Admitted(charged) if has_room => {
                let (machine, exact) = (&self.account.machine, self.account.state.as_ref());
                match self.overflow.beside(machine, &charged, exact, now) {
                    None => V::Admitted(charged),
                    Some(refused) => {
                        assert!(matches!(self.account.send(unverified(id), now), V::Refunded));
                        refused
                    }
                }
            }
            verdict => verdict,
        }
    }

    fn coarse(&self, id: u64, now: Timestamp) -> V {
        let attempt = || Begin::new(ACCOUNT, ChargeId::new(id));
        let (machine, exact) = (&self.account.machine, self.account.state.as_ref());
        assert!(self.overflow.charge(machine, &attempt(), now), "room here");
        self.overflow.admit(machine, attempt(), exact, now).unwrap()
    }

    fn settle(&mut self, event: LockoutEvent, now: Timestamp) -> V {
        match self.overflow.settle(&self.account.machine, event, now) {
            Ok(verdict) => verdict,
            Err(event) => self.account.send(event, now),
        }
    }

    /// Begins, and settles as wrong where admitted; whether it was.
    fn guess(&mut self, id: u64, has_room: bool, now: Timestamp) -> bool {
        let admitted = matches!(self.begin(id, has_room, now), V::Admitted(_));
        if admitted {
            assert!(matches!(self.settle(wrong(id), now), V::Failed { .. }));
        }
        admitted
    }
}

fn five_an_hour() -> LockoutMachine {
    machine(&[Limit::new(5, HOUR)])
}

#[test]
fn five_in_both_and_no_sixth_in_either() {
    for exact in 0..=5_u64 {
        let mut desk = Desk::new(five_an_hour().announcing());
        let lock = |desk: &Desk, now| {
            let (machine, exact) = (&desk.account.machine, desk.account.state.as_ref());
            desk.overflow.lock(machine, ACCOUNT, exact, now)
        };
        for id in 0..5 {
            assert_eq!(lock(&desk, START), None);
            // Those without room come first, and a millisecond apart.
            assert!(desk.guess(id, id >= 5 - exact, START.after(MS * id as u32)), "{exact} {id}");
        }
        let end = START.after(HOUR);
        for (id, now) in [(10, START.after(D)), (20, end.before(MICRO))] {
            assert!(!desk.guess(id, false, now) && !desk.guess(id + 1, true, now), "{exact}");
        }
        let found = lock(&desk, START.after(D));
        // The store alone knows of its own five.
        assert_eq!(found.is_some(), exact < 5);
        if let Some((lock, crossing)) = found {
            assert_eq!(lock.until, Some(end));
            let (id, kind) = (ChargeId::new(4), CrossingKind::Locked);
            assert_eq!(crossing, Some(Crossing { id, kind }));
            desk.account.machine = five_an_hour();
        }
        let plain = lock(&desk, START.after(D));
        assert!(plain.is_none_or(|(_, crossing)| crossing.is_none()), "nobody asked");
        assert!(desk.guess(30, exact % 2 == 0, end), "{exact}");
        assert!(!desk.guess(31, false, end), "the second is a millisecond younger");
    }
}

#[test]
fn who_is_being_verified_is_waited_for() {
    let mut desk = Desk::new(five_an_hour());
    for id in 0..5 {
        let V::Admitted(charged) = desk.begin(id, id == 4, START.after(MS * id as u32)) else {
            panic!("{id}")
        };
        assert_eq!(charged.deadline(), START.after(MS * id as u32 + D));
    }
    let now = START.after(MS * 5);
    for has_room in [true, false] {
        let V::Wait { until } = desk.begin(10, has_room, now) else { panic!("no wait") };
        assert_eq!(until, START.after(D), "when the first of them counts as failed");
    }
    // What is right or was never verified is taken back; what was wrong is not.
    assert!(matches!(desk.settle(right(0), now), V::Authenticated { .. }));
    assert!(matches!(desk.settle(unverified(1), now), V::Refunded));
    assert!(matches!(desk.settle(wrong(2), now), V::Failed { .. }));
    assert!(matches!(desk.settle(right(2), now), V::Authenticated { .. }));
    assert!(desk.guess(11, false, now) && desk.guess(12, true, now));
    assert!(!desk.guess(13, false, now) && !desk.guess(14, true, now));
    // Once more is the same one.
    assert!(matches!(desk.coarse(3, now), V::Admitted(_)));
    assert!(!desk.guess(13, false, START.after(D + MS * 4)), "unsettled is failed");
}

#[test]
fn it_is_idle_until_somebody_had_no_room_and_when_that_has_left_the_window() {
    let mut desk = Desk::new(machine(&[Limit::new(5, HOUR), Limit::new(9, HOUR * 2)]));
    assert!(desk.overflow.is_idle(START));
    assert!(desk.guess(0, true, START) && desk.overflow.is_idle(START));
    assert!(desk.guess(1, false, START));
    // Callers' clocks may be ten minutes apart.
    let end = START.after(HOUR * 2 + HOUR / 6);
    assert!(!desk.overflow.is_idle(START) && !desk.overflow.is_idle(end.before(MICRO)));
    assert!(desk.overflow.is_idle(end));
}

#[test]
fn what_is_counted_nowhere_is_refused() {
    let attempt = |id| Begin::new(ACCOUNT, ChargeId::new(id));
    let (overflow, many) = (Overflow::default(), machine(&[Limit::new(64, HOUR)]));
    for id in 0..128 {
        assert!(overflow.charge(&many, &attempt(id), START));
    }
    assert!(!overflow.charge(&many, &attempt(128), START), "two windows of the largest limit");
    assert!(!overflow.charge(&many, &attempt(128), START.after(HOUR).before(MICRO)));
    for id in 128..256 {
        assert!(overflow.charge(&many, &attempt(id), START.after(HOUR)));
    }
    // Those that have left the window are forgotten ten minutes later.
    let later = START.after(HOUR * 2);
    assert!(overflow.charge(&many, &attempt(256), later));
    // A run is not kept here.
    let builder = LockoutPolicy::builder().limit(Limit::new(5, HOUR));
    let policy = builder.consecutive(Consecutive::default()).build().unwrap();
    let runs = LockoutMachine::new(policy, PolicyDigest::NONE);
    assert!(!Overflow::default().charge(&runs, &attempt(0), START));
    // Nor is anything but attempts, and those that were charged here.
    let overflow = Overflow::default();
    for event in [unlock(1), begin(1), wrong(1), right(1), unverified(1)] {
        assert!(overflow.settle(&many, event, START).is_err());
    }
}

/// Half of what filled it could be forgotten before such a lock has ended.
#[test]
fn a_lock_that_outlasts_its_window_is_never_begun_here() {
    for release in [Release::After(HOUR * 5), Release::Admin] {
        let lasting = || machine(&[Limit::new(5, HOUR).with_release(release)]);
        let mut desk = Desk::new(lasting());
        let admitted = (0..9).filter(|id| desk.guess(*id, id % 2 == 0, START)).count();
        assert_eq!(admitted, 4, "{release:?}");
        assert!(desk.guess(10, false, START.after(HOUR)));
        // One that the store has begun holds here, too, as long as it lasts.
        let mut desk = Desk::new(lasting());
        assert!((0..5).all(|id| desk.guess(id, true, START)));
        assert!(!desk.guess(10, false, START.after(HOUR * 5).before(MICRO)), "{release:?}");
        let ends = release != Release::Admin;
        assert_eq!(desk.guess(11, false, START.after(HOUR * 5)), ends);
    }
}

/// Five an hour, and devices have eight counters.
fn with_devices() -> LockoutMachine {
    let builder = LockoutPolicy::builder().limit(Limit::new(5, HOUR));
    let devices = Devices { counters: 8, ..Devices::default() };
    LockoutMachine::new(builder.devices(devices).build().unwrap(), PolicyDigest::NONE)
}

/// How many of nine attempts are admitted where the store has no room, all of them wrong; in ids from
/// `first`.
fn of_nine(desk: &Desk, first: u64, device: Option<Device>, now: Timestamp) -> usize {
    let (overflow, machine) = (&desk.overflow, &desk.account.machine);
    let by = |id: &u64| {
        let attempt = || Begin::new(ACCOUNT, ChargeId::new(*id)).from_device(device);
        assert!(overflow.charge(machine, &attempt(), now));
        let verdict = overflow.admit(machine, attempt(), desk.account.state.as_ref(), now).unwrap();
        let by = matches!(verdict, V::Admitted(_));
        assert!(!by || matches!(overflow.settle(machine, wrong(*id), now), Ok(V::Failed { .. })));
        by
    };
    (first..first + 9).filter(by).count()
}

#[test]
fn devices_and_strangers_are_counted_apart_and_one_unlock_frees_them_all() {
    let (event, mut desk) = (unlock(1 << 40), Desk::new(with_devices()));
    let everybody = |desk: &Desk, first: u64| {
        let device = |id| Some(device_of(ACCOUNT, id, START.before(MS)));
        let devices = (0..8).map(|id| of_nine(desk, first + id * 10, device(id), START));
        let devices: Vec<usize> = devices.collect();
        // One that shares a counter with the first.
        let ninth = of_nine(desk, first + 80, device(8), START);
        (of_nine(desk, first + 90, None, START), devices, ninth)
    };
    assert_eq!(everybody(&desk, 100), (5, vec![5; 8], 0));
    assert_eq!(everybody(&desk, 200), (0, vec![0; 8], 0));
    let before = desk.overflow.before(&event, START).unwrap();
    assert!(matches!(desk.account.send(event, START), V::Unlocked));
    desk.overflow.unlocked(before, START);
    assert_eq!(everybody(&desk, 300), (5, vec![5; 8], 0));
    assert!(desk.overflow.before(&begin(1), START).is_none(), "an attempt frees nobody");
}

#[test]
fn whose_device_is_not_known_is_a_stranger_and_charged_nothing_as_a_device() {
    let now = START.after(MS);
    for (case, device) in [
        ("another's", device_of(AccountDigest::new([8; 16]), 1, START)),
        ("too old", device_of(ACCOUNT, 1, now.before(DAY * 180))),
    ] {
        let desk = Desk::new(with_devices());
        let (overflow, machine) = (&desk.overflow, &desk.account.machine);
        for id in 0..9 {
            let attempt = Begin::new(ACCOUNT, ChargeId::new(id)).from_device(Some(device));
            assert!(overflow.charge(machine, &attempt, now));
            let admitted = overflow.admit(machine, attempt, desk.account.state.as_ref(), now);
            let stranger = admitted.expect_err(case);
            assert!(overflow.charge(machine, &stranger, now));
            let verdict = overflow.admit(machine, stranger, desk.account.state.as_ref(), now);
            assert_eq!(matches!(verdict, Ok(V::Admitted(_))), id < 5, "{case}: {id}");
        }
        let known = Some(device_of(ACCOUNT, 1, now));
        assert_eq!(of_nine(&desk, 10, known, now), 5, "{case}");
    }
}

#[test]
fn so_many_unlocks_are_remembered_and_then_the_oldest_is_forgotten() {
    let five = five_an_hour();
    let overflow = Overflow::new(1);
    let account = |number: u8| AccountDigest::new([number; 16]);
    let event = |number| {
        let id = ChargeId::new(1_000 + u64::from(number));
        LockoutEvent::Unlock { account: account(number), id }
    };
    let is_done = |number| overflow.before(&event(number), START).unwrap().is_repeated();
    let unlocks = |number| {
        overflow.unlocked(overflow.before(&event(number), START).unwrap(), START);
        assert!(is_done(number));
    };
    let is_locked = |number| overflow.lock(&five, account(number), None, START).is_some();
    for id in 0..5 {
        let attempt = || Begin::new(account(0), ChargeId::new(id));
        assert!(overflow.charge(&five, &attempt(), START));
        assert!(matches!(overflow.admit(&five, attempt(), None, START), Ok(V::Admitted(_))));
        let charged =
            Charged::assertion(account(0), ChargeId::new(id), PolicyDigest::NONE, Timestamp::MAX);
        let wrong = LockoutEvent::NotMatched(NotMatched::assertion(charged));
        assert!(overflow.settle(&five, wrong, START).is_ok());
    }
    // All share the counter.
    assert!(is_locked(0) && is_locked(1) && !is_done(0));
    unlocks(0);
    assert!(!is_locked(0) && is_locked(1));
    (1..64).for_each(unlocks);
    // Once more is still one.
    unlocks(63);
    assert!((0..64).all(|number| is_done(number) && !is_locked(number)));
    unlocks(64);
    assert!(is_locked(0) && !is_done(0), "the oldest");
    assert!((1..65).all(|number| is_done(number) && !is_locked(number)));
}

#[test]
fn an_unlock_is_remembered_for_an_hour_and_as_long_as_there_is_something_before_it() {
    let five = machine(&[Limit::new(5, DAY)]);
    let (unlocked, end) = (START.after(MS), START.after(MS + HOUR));
    for earlier in [0, 5] {
        let mut desk = Desk::new(five.clone());
        assert!((0..earlier).all(|id| desk.guess(id, false, START)));
        desk.overflow.unlocked(desk.overflow.before(&unlock(99), START).unwrap(), unlocked);
        // Somebody came afterwards.
        assert!(desk.guess(10, false, unlocked));
        let is_done = |now| desk.overflow.before(&unlock(99), now).unwrap().is_repeated();
        assert!(is_done(end.before(MICRO)));
        assert_eq!(is_done(end), earlier > 0);
        assert!((11..15).all(|id| desk.guess(id, false, end)) && !desk.guess(15, false, end));
    }
}

/// Those that no longer count are not forgotten at once: there is a bound on them, too.
#[test]
fn what_is_not_forgotten_yet_takes_room() {
    let minute = Duration::from_secs(60);
    let (overflow, many) = (Overflow::default(), machine(&[Limit::new(64, minute)]));
    let charge = |id, now| overflow.charge(&many, &Begin::new(ACCOUNT, ChargeId::new(id)), now);
    assert!((0..128).all(|id| charge(id, START)));
    assert!((128..256).all(|id| charge(id, START.after(minute))));
    let forgotten = START.after(minute + HOUR / 6);
    assert!(!charge(256, START.after(minute * 2)) && !charge(256, forgotten.before(MICRO)));
    assert!((256..384).all(|id| charge(id, forgotten)) && !charge(384, forgotten));
}

#[test]
fn a_known_device_has_room_of_its_own() {
    let builder = LockoutPolicy::builder().limit(Limit::new(5, HOUR));
    let policy = builder.devices(Devices::default()).build().unwrap();
    let mut desk = Desk::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    assert!((0..5).all(|id| desk.guess(id, false, START)));
    let V::Admitted(charged) = desk.account.send(begin_from(10, 1), START) else { panic!() };
    let (machine, exact) = (&desk.account.machine, desk.account.state.as_ref());
    assert!(desk.overflow.beside(machine, &charged, exact, START).is_none());
    assert!(matches!(desk.begin(11, true, START), V::Locked { .. }));
}

#[test]
fn a_clock_that_was_wrong_locks_nobody_for_long() {
    let ten_minutes = HOUR / 6;
    for (ahead, end) in [(ten_minutes, HOUR + ten_minutes), (ten_minutes + MICRO, HOUR)] {
        let mut desk = Desk::new(five_an_hour());
        assert!((0..5).all(|id| desk.guess(id, false, START.after(ahead))));
        assert!(!desk.guess(10, false, START));
        assert!(!desk.guess(11, false, START.after(end).before(MICRO)), "{ahead:?}");
        assert!(desk.guess(12, false, START.after(end)), "{ahead:?}");
    }
}

#[test]
fn accounts_share_a_counter_and_only_that() {
    let five = five_an_hour();
    let fills = |overflow: &Overflow, number: u8| {
        let account = AccountDigest::new([number; 16]);
        let tried = (0..5_u64).filter(|id| {
            let attempt = || Begin::new(account, ChargeId::new(*id | u64::from(number) << 8));
            assert!(overflow.charge(&five, &attempt(), START));
            matches!(overflow.admit(&five, attempt(), None, START), Ok(V::Admitted(_)))
        });
        tried.count()
    };
    for (counters, second) in [(0, 0), (1, 0), (2, 5)] {
        let overflow = Overflow::new(counters);
        assert_eq!((fills(&overflow, 2), fills(&overflow, 3)), (5, second), "{counters}");
    }
    assert_eq!(format!("{:?}", Overflow::new(2)), "Overflow(2 counters)");
    assert_eq!(format!("{:?}", Overflow::default()), "Overflow(4096 counters)");
}
