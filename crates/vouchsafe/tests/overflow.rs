//! A store that fills up and drains: whatever is counted where, no account gets a guess too many by.
#![cfg(feature = "gate")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

#[path = "overflow/desk.rs"]
mod desk;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe::core::{AccountDigest, Cell, CellKey, ChargeId, Charged};
use vouchsafe::counting::drive;
use vouchsafe::crypto::MacKey;
use vouchsafe::gate::{Code, Login};
use vouchsafe::lockout::{
    Begin, DeviceEpoch, DeviceKey, Devices, Limit, LockoutEvent, LockoutMachine, LockoutState,
    LockoutVerdict as V, OnSuccess, Overflow, Release,
};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, Loaded, MemoryStore, Put, StoreError, Swap, Undelivered, Version};
use vouchsafe_testkit::{Fault, FaultyStore, SeededEntropy, TestGate, block_on, runs};

use desk::{Desk, HOUR, Junk, Oracle, START, account, knowing, machine, right, unverified, wrong};

#[derive(Default)]
struct Seen {
    exact: usize,
    coarse: usize,
    both: usize,
    taken_back: usize,
    unlocked: usize,
    full: usize,
    devices: usize,
    too_old: usize,
}

/// One history on a few accounts, in a store of a few KiB.
fn history(seed: u64, seen: &mut Seen) {
    let random = SeededEntropy::new(seed);
    let pick = |from: &[u64]| from[usize::try_from(random.below(from.len() as u64)).unwrap()];
    let limits: Vec<Limit> = (0..1 + random.below(2))
        .map(|_| {
            let window = Duration::from_secs(pick(&[10, 60, 3_600]));
            let limit = Limit::new(u32::try_from(1 + random.below(5)).unwrap(), window);
            match random.below(6) {
                0 => limit.with_release(Release::After(window * 2)),
                1 => limit.with_release(Release::Admin),
                _ => limit,
            }
        })
        .collect();
    let clears = random.below(3) == 0;
    let on_success = if clears { OnSuccess::OlderFailures } else { OnSuccess::OwnCharge };
    let devices = Devices { counters: 2, ..Devices::default() };
    let devices = (random.below(2) == 0).then_some(devices);
    let key = DeviceKey::new(MacKey::new(&[7; 32]));
    let desk = Desk {
        cells: MemoryStore::new(8 << 10),
        overflow: Overflow::new(usize::try_from(pick(&[1, 2, 64])).unwrap()),
        machine: knowing(&limits, on_success, devices),
        entropy: SeededEntropy::new(seed + 1),
    };
    let accounts = 4;
    let mut oracles = vec![Oracle::default(); accounts];
    let mut coarse = vec![false; accounts];
    let (mut junk, mut now) = (Junk::default(), START);
    let mut open: Vec<(usize, Charged)> = Vec::new();
    for _ in 0..150 {
        let who = usize::try_from(random.below(accounts as u64)).unwrap();
        match random.below(20) {
            0 | 1 => junk.fill(&desk.cells, &random),
            2 => junk.drain(&desk.cells, &random, pick(&[1, 3, 500])),
            3 => now = now.after(Duration::from_secs(pick(&[1, 9, 10, 59, 3_599]))),
            4 => now = now.after(Duration::from_millis(random.below(5_000))),
            5 => drop(block_on(desk.cells.sweep(now, usize::MAX)).unwrap()),
            6 if random.below(4) == 0 => {
                let (account, id) = (account(who as u64), ChargeId::new(desk.entropy.next()));
                match desk.send(LockoutEvent::Unlock { account, id }, now) {
                    Ok(V::Unlocked) => {
                        oracles[who].0.clear();
                        seen.unlocked += usize::from(!desk.overflow.is_idle(now));
                        // One guess is never coarse where a lock may outlast its window.
                        if limits
                            .iter()
                            .any(|l| l.capacity() == 1 && l.release() != Release::WindowSlides)
                        {
                            continue;
                        }
                        // Whatever others have left in its coarse counter.
                        let again = desk.begin(account, now);
                        let Ok(V::Admitted(charged)) = again else { panic!("{again:?} in {seed}") };
                        oracles[who].0.push((now, charged.id(), true, false, 0));
                        open.push((who, charged));
                    }
                    // No room to say so, and something there to be forgotten, or nothing anywhere.
                    Err(StoreError::Full) => seen.full += 1,
                    other => panic!("{other:?} in {seed}"),
                }
            }
            6..12 if !open.is_empty() => {
                let at = usize::try_from(random.below(open.len() as u64)).unwrap();
                let (who, charged) = open.swap_remove(at);
                let id = charged.id();
                let how = random.below(6);
                let event = match how {
                    0 => right(charged),
                    1 => unverified(charged),
                    _ => wrong(charged),
                };
                match (desk.send(event, now), how) {
                    (Ok(V::Authenticated(_)), 0) => oracles[who].settle(id, false, clears),
                    (Ok(V::Refunded), 1) => oracles[who].settle(id, false, false),
                    (Ok(V::Failed { .. }), 2..) => oracles[who].settle(id, true, false),
                    // Settled in the store, which had no room to say so: the charge stays.
                    (Err(StoreError::Full), _) => {}
                    (other, _) => panic!("{other:?} in {seed}"),
                }
            }
            _ => {
                let (before, idle) = (desk.exact(account(who as u64)), desk.overflow.is_idle(now));
                let account = account(who as u64);
                let (too_old, epoch) = (random.below(2) == 0, DeviceEpoch::new(1));
                let issued = if too_old { now.before(Devices::default().valid_for) } else { now };
                let cookie = key.issue(account, random.below(4), epoch, issued);
                let device = (random.below(2) == 0)
                    .then(|| key.verify(account, &cookie).unwrap().of_epoch(epoch).unwrap());
                // Two of them share a counter, and a cookie that is too old is none.
                let lane = device.filter(|_| devices.is_some() && !too_old);
                let lane = lane.map_or(0, |device| 1 + device.id() % 2);
                seen.too_old += usize::from(devices.is_some() && device.is_some() && lane == 0);
                let allowed = oracles[who].admits(&limits, lane, now);
                match desk.begin_from(account, device, now) {
                    Ok(V::Admitted(charged)) => {
                        assert!(allowed, "a guess too many in {seed}");
                        let is_coarse = desk.exact(account) == before;
                        seen.devices += usize::from(is_coarse && lane > 0);
                        seen.coarse += usize::from(is_coarse);
                        seen.exact += usize::from(!is_coarse);
                        seen.both += usize::from(coarse[who] && !is_coarse);
                        coarse[who] |= is_coarse;
                        oracles[who].0.push((now, charged.id(), true, false, lane));
                        open.push((who, charged));
                    }
                    Ok(V::Locked { .. } | V::Wait { .. }) => {
                        let released = |l: &Limit| l.release() == Release::WindowSlides;
                        let exact = idle && desk.overflow.is_idle(now);
                        assert!(
                            !(exact && allowed && limits.iter().all(released)),
                            "refused with room for it in {seed}"
                        );
                        seen.taken_back += usize::from(allowed && !exact);
                    }
                    // Never where there is room here.
                    other => panic!("{other:?} in {seed}"),
                }
            }
        }
    }
}

#[test]
fn in_whatever_order_cells_fill_and_drain_no_account_gets_more_by() {
    let mut seen = Seen::default();
    for seed in 0..u64::try_from(runs(3_000, 300_000)).unwrap() {
        history(seed << 8, &mut seen);
    }
    let Seen { exact, coarse, both, taken_back, unlocked, full, devices, too_old } = seen;
    println!("{exact} exact, {coarse} coarse, {both} of both, {taken_back} refused for others");
    println!("{unlocked} unlocked, {full} not for want of room");
    println!("{devices} coarse of devices; {too_old} cookies were too old");
    assert!(devices > 500 && too_old > 100);
    assert!(exact > 1_000 && coarse > 1_000 && both > 100 && taken_back > 100 && unlocked > 100);
}

/// A store with room or without, and something that happens before or after one of its calls.
struct Meddled {
    cells: MemoryStore,
    full: AtomicBool,
    calls: AtomicUsize,
    #[expect(clippy::type_complexity, reason = "one closure")]
    meddle: Mutex<Option<(usize, Box<dyn FnOnce() + Send>)>>,
}

impl Meddled {
    fn call(&self) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let due = self.meddle.lock().unwrap().take_if(|(at, _)| *at == call);
        if let Some((_, meddle)) = due {
            meddle();
        }
    }
}

impl Cells for Meddled {
    vouchsafe_testkit::pass_on!(cells: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.call();
        let loaded = self.cells.load(key).await;
        self.call();
        loaded
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.call();
        let there = self.cells.load(key).await?.cell.map_or(0, |cell| cell.bytes.len());
        let full = self.full.load(Ordering::SeqCst);
        let swapped = match &put {
            Put::Save { bytes, .. } if full && bytes.len() > there => Ok(Swap::Full),
            _ => self.cells.swap(key, expected, put).await,
        };
        self.call();
        swapped
    }
}

impl Desk<Meddled> {
    /// With room, and nobody in the middle yet.
    fn meddled(machine: LockoutMachine) -> Self {
        let cells = Meddled {
            cells: MemoryStore::new(1 << 20),
            full: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            meddle: Mutex::new(None),
        };
        Self { cells, overflow: Overflow::default(), machine, entropy: SeededEntropy::new(1) }
    }
}

/// Two attempts on an account with one guess left, the second in the middle of the first, while room
/// comes and goes: all places, all mixtures of what was counted before.
#[test]
fn of_two_at_once_the_last_charged_sees_the_other() {
    let five = machine(&[Limit::new(5, HOUR)], OnSuccess::OwnCharge);
    let (mut one, mut none) = (0, 0);
    for before in 0..5_u32 {
        for rooms in 0..8_u32 {
            for place in 0..14_usize {
                let desk = Arc::new(Desk::meddled(five.clone()));
                let room = |full: bool| desk.cells.full.store(full, Ordering::SeqCst);
                for guess in 0..4 {
                    room(guess < before);
                    let Ok(V::Admitted(charged)) = desk.begin(account(1), START) else { panic!() };
                    assert!(matches!(desk.send(wrong(charged), START), Ok(V::Failed { .. })));
                }
                room(rooms & 1 != 0);
                let admitted = Arc::new(AtomicUsize::new(0));
                let (other, count) = (Arc::clone(&desk), Arc::clone(&admitted));
                let meddle = move || {
                    other.cells.full.store(rooms & 2 != 0, Ordering::SeqCst);
                    let verdict = other.begin(account(1), START).unwrap();
                    count.fetch_add(
                        usize::from(matches!(verdict, V::Admitted(_))),
                        Ordering::SeqCst,
                    );
                    other.cells.full.store(rooms & 4 != 0, Ordering::SeqCst);
                };
                desk.cells.calls.store(0, Ordering::SeqCst);
                *desk.cells.meddle.lock().unwrap() = Some((place, Box::new(meddle)));
                let verdict = desk.begin(account(1), START).unwrap();
                admitted
                    .fetch_add(usize::from(matches!(verdict, V::Admitted(_))), Ordering::SeqCst);
                match admitted.load(Ordering::SeqCst) {
                    0 => none += 1,
                    1 => one += 1,
                    more => panic!("{more} more guesses: {before}, {rooms}, {place}"),
                }
            }
        }
    }
    println!("one more guess {one} times, none {none} times");
    assert!(one > none && one > 200);
}

/// An attempt that the store has charged, and that has no room beside it: whatever call fails, the charge
/// is taken back, or comes back to be.
#[test]
fn a_charge_that_cannot_be_taken_back_is_given_back_for_later() {
    let mut given_back = 0;
    for first in 0..12_u64 {
        let broken = Arc::new(AtomicBool::new(false));
        let (since, now) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&broken));
        let plan = move |_| {
            // From one call on, until it is mended.
            let breaks =
                now.load(Ordering::SeqCst) && since.fetch_add(1, Ordering::SeqCst) as u64 >= first;
            breaks.then_some(Fault::Before)
        };
        let Desk { cells, overflow, machine, entropy } =
            Desk::meddled(machine(&[Limit::new(5, HOUR)], OnSuccess::OwnCharge));
        let desk = Desk { cells: FaultyStore::new(cells, plan), overflow, machine, entropy };
        let full = &desk.cells.inner().full;
        full.store(true, Ordering::SeqCst);
        assert!((0..5).all(|_| matches!(desk.begin(account(1), START), Ok(V::Admitted(_)))));
        full.store(false, Ordering::SeqCst);
        broken.store(true, Ordering::SeqCst);
        let begin = LockoutEvent::Begin(Begin::new(account(1), ChargeId::new(7)));
        let driven = drive(&desk.cells, &desk.overflow, &desk.entropy, &desk.machine, begin, START);
        let driven = block_on(driven);
        broken.store(false, Ordering::SeqCst);
        match driven {
            Err(Undelivered { event: LockoutEvent::Begin(begin), .. }) => {
                given_back += usize::from(desk.exact(account(1)).is_some());
                let back = LockoutEvent::NotVerified(begin.withdraw());
                assert!(matches!(desk.send(back, START), Ok(V::Refunded)));
            }
            Ok(V::Wait { .. }) => {}
            other => panic!("{other:?} from call {first} on"),
        }
        assert_eq!(desk.exact(account(1)), None, "from call {first} on");
    }
    assert!(given_back >= 3, "before the look beside it, and before both calls of the withdrawal");
}

/// An unlock in the middle of which somebody guesses as often as he may, and afterwards again, while
/// room comes and goes: no more by before it is in the store, nor from then on.
#[test]
fn an_unlock_gives_back_what_was_before_it_and_nothing_else() {
    let five = machine(&[Limit::new(5, HOUR)], OnSuccess::OwnCharge);
    let (mut freed, mut unwritten) = (0, 0);
    // With whom it shares a coarse counter: one of four thousand.
    let place = |of: &AccountDigest| u128::from_be_bytes(*of.as_bytes()) % 4_096;
    let neighbour = (2..).map(account).find(|other| place(other) == place(&account(1)));
    for before in 0..6_u32 {
        for rooms in 0..8_u32 {
            for place in 0..6_usize {
                let desk = Arc::new(Desk::meddled(five.clone()));
                let room = |full: bool| desk.cells.full.store(full, Ordering::SeqCst);
                let guesses = |desk: &Desk<Meddled>| {
                    let admitted =
                        |_: &u32| matches!(desk.begin(account(1), START), Ok(V::Admitted(_)));
                    (0..8).filter(admitted).count()
                };
                let mut earlier = 0;
                for guess in 0..5 {
                    room(guess < before);
                    earlier +=
                        usize::from(matches!(desk.begin(account(1), START), Ok(V::Admitted(_))));
                }
                assert_eq!(earlier, 5);
                room(true);
                let neighbours = |desk: &Desk<Meddled>| {
                    matches!(desk.begin(neighbour.unwrap(), START), Ok(V::Admitted(_)))
                };
                let free = neighbours(&desk);
                assert_eq!(free, before < 5, "where a charge is in the store");
                room(rooms & 1 != 0);
                let middle = Arc::new(AtomicUsize::new(0));
                let (other, count) = (Arc::clone(&desk), Arc::clone(&middle));
                let meddle = move || {
                    other.cells.full.store(rooms & 2 != 0, Ordering::SeqCst);
                    count.fetch_add(guesses(&other), Ordering::SeqCst);
                    other.cells.full.store(rooms & 4 != 0, Ordering::SeqCst);
                };
                desk.cells.calls.store(0, Ordering::SeqCst);
                *desk.cells.meddle.lock().unwrap() = Some((place, Box::new(meddle)));
                let id = ChargeId::new(desk.entropy.next());
                let unlock = || LockoutEvent::Unlock { account: account(1), id };
                let verdict = desk.send(unlock(), START);
                let case = format!("{before}, {rooms}, {place}: {verdict:?}");
                let done = match verdict {
                    Ok(V::Unlocked) => true,
                    Err(StoreError::Full) => false,
                    _ => panic!("{case}"),
                };
                *desk.cells.meddle.lock().unwrap() = None;
                let middle = middle.load(Ordering::SeqCst);
                room(rooms & 4 != 0);
                let mut after = guesses(&desk);
                if done {
                    // The same one again.
                    let again = desk.send(unlock(), START);
                    assert!(matches!(again, Ok(V::Unlocked) | Err(StoreError::Full)), "{case}");
                    after += guesses(&desk);
                }
                assert!(
                    middle + after <= 5 && (done || middle + after == 0),
                    "{case}: {middle}, {after}"
                );
                freed += usize::from(done && middle + after == 5);
                unwritten += usize::from(!done);
                // What is the neighbour's stays the neighbour's: five in all.
                room(true);
                let more = (0..8).filter(|_| neighbours(&desk)).count();
                assert!(usize::from(free) + more <= 5, "{case}: {more}");
            }
        }
    }
    println!("freed for five {freed} times, not written {unwritten} times");
    assert!(freed > 100);
}

#[test]
fn ten_thousand_at_once_get_five_by_while_room_comes_and_goes() {
    const ACCOUNTS: u64 = 5;
    let (mut hashed_coarse, rounds) = (0, runs(40, 1_000));
    for round in 0..u64::try_from(rounds).unwrap() {
        let desk = Desk {
            cells: MemoryStore::new(8 << 10),
            overflow: Overflow::default(),
            machine: machine(&[Limit::new(5, HOUR)], OnSuccess::OwnCharge),
            entropy: SeededEntropy::new(round << 20),
        };
        let hashed = [const { AtomicUsize::new(0) }; ACCOUNTS as usize];
        let (mut junk, random) = (Junk::default(), SeededEntropy::new(round + 1));
        junk.fill(&desk.cells, &random);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4_u64)
                .map(|thread| {
                    let (desk, hashed) = (&desk, &hashed);
                    scope.spawn(move || {
                        for attempt in 0..2_500_u64 / 40 {
                            let who = (thread + attempt) % ACCOUNTS;
                            match desk.begin(account(who), START) {
                                Ok(V::Admitted(charged)) if attempt % 5 == 0 => {
                                    desk.send(unverified(charged), START).unwrap();
                                }
                                Ok(V::Admitted(charged)) => {
                                    hashed[who as usize].fetch_add(1, Ordering::SeqCst);
                                    // Nobody ever hears of some.
                                    if attempt % 3 != 0 {
                                        let _ = desk.send(wrong(charged), START);
                                    }
                                }
                                Ok(_) => {}
                                other => panic!("{other:?}"),
                            }
                        }
                    })
                })
                .collect();
            let (desk, over) = (&desk, &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    junk.fill(&desk.cells, &random);
                    junk.drain(&desk.cells, &random, 1 + random.below(3));
                }
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::SeqCst);
        });
        for (who, hashed) in hashed.iter().enumerate() {
            let hashed = hashed.load(Ordering::SeqCst);
            assert!(hashed <= 5, "{hashed} guesses on account {who} in round {round}");
            let exact = desk.exact(account(who as u64));
            let exact = exact.map_or(0, |bytes| LockoutState::from_bytes(bytes).unwrap().len());
            hashed_coarse += hashed.saturating_sub(exact);
        }
    }
    println!("{hashed_coarse} guesses on coarse counters");
    assert!(hashed_coarse > 0, "the store was never full");
}

/// Through the gate: an attacker's names fill the counters, and neither is anybody let by nor the gate
/// of no use.
#[test]
fn a_gate_counts_on_when_made_up_names_have_filled_its_counters() {
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let store = MemoryStore::new(1 << 24);
    let house = TestGate::over(policies, store, |gate| {
        gate.counters_in_memory(8 << 10).danger_store_may_roll_back()
    });
    let house = block_on(house).unwrap();
    house.add("ada", "staff", "Brass-Lantern7");
    let wrong = |name: &str| match block_on(house.login(name, "Wrong-Anvil9")) {
        Login::Refused(refused) => refused.code(),
        other => panic!("{other:?}"),
    };
    // Many more than have room.
    for name in 0..200 {
        assert_eq!(wrong(&format!("nobody-{name}")), Code::WrongCredentials, "{name}");
    }
    let before = house.gate.work().runs;
    let refused = (0..20).filter(|_| wrong("ada") == Code::Locked).count();
    let hashed = house.gate.work().runs - before;
    // Fewer where names share her coarse counter: of four thousand counters, three hardly ever do.
    assert!((3..=5).contains(&hashed) && refused as u64 + hashed == 20, "{hashed}, {refused}");
    let served = |name| wrong(&format!("nobody-{name}")) == Code::WrongCredentials;
    assert!((200..203).any(served));
    // Until the window is over.
    house.clock.advance(HOUR * 24);
    let _ = house.sign_in("ada", "Brass-Lantern7");
}

/// A lock that an administrator has to lift, of which nobody was told, and no room to say that
/// somebody is: the store answers `Full` to whoever meets it, and the coarse counters know nothing of
/// it once its window has gone.
#[test]
fn a_lock_that_outlasts_its_window_holds_in_a_full_store() {
    for release in [Release::Admin, Release::After(HOUR * 48)] {
        let limit = Limit::new(5, HOUR).with_release(release);
        let desk = Desk::meddled(machine(&[limit], OnSuccess::OwnCharge).announcing());
        // Nobody settles: the last of them fills the limit, and announces nothing.
        for _ in 0..5 {
            assert!(matches!(desk.begin(account(1), START), Ok(V::Admitted(_))));
        }
        desk.cells.full.store(true, Ordering::SeqCst);
        for hours in [0, 2, 24] {
            let now = START.after(HOUR * hours + Duration::from_secs(60));
            let verdict = desk.begin(account(1), now);
            assert!(matches!(verdict, Ok(V::Locked { .. })), "{release:?}, {hours}: {verdict:?}");
        }
    }
}
