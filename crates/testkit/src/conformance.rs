//! What every store must do. [`suite!`](crate::suite) makes a test of each function.
//!
//! Each takes a function that opens the store; opened again, a persistent store is as it was left.

#![expect(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a failed test is a panic, and its numbers are small"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use vouchsafe_core::{Cell, CellKey, Effect, Machine, Space, Timestamp};
use vouchsafe_store::{
    Cells, Loaded, MAX_CELL, Put, StoreError, Stored, Swap, Undelivered, Version, drive,
};

use crate::history::{Call, What, is_linearisable};
use crate::{
    CountingStore, Fault, FaultyStore, SeededEntropy, Tallied, Tally, TallyEvent, block_on, runs,
};

/// A whole hour, so that a store which rounds an expiry up to hours keeps it; in 2198, so that a
/// store which drops by its own clock keeps it.
const UNTIL: Timestamp = Timestamp::from_micros(2_000_000 * 3_600_000_000);
const KEY: CellKey = CellKey::new(Space::Account, [7; 16]);

fn version(number: u128) -> Version {
    Version::new(number.to_be_bytes())
}

fn key(space: Space, number: u16) -> CellKey {
    // Spread over the whole range, and over the last bits as well.
    let spread = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let digest = (u128::from(spread) << 64) | u128::from(number);
    CellKey::new(space, digest.to_be_bytes())
}

fn load(cells: &impl Cells, key: CellKey) -> Option<Stored> {
    block_on(cells.load(key)).expect("load").cell
}

fn swap(cells: &impl Cells, key: CellKey, expected: Option<Version>, put: Put) -> Swap {
    block_on(cells.swap(key, expected, put)).expect("swap")
}

fn save(cells: &impl Cells, key: CellKey, expected: Option<Version>, bytes: &[u8], to: Version) {
    let swapped = swap(cells, key, expected, Put::save(bytes.to_vec(), UNTIL, to));
    assert!(matches!(swapped, Swap::Done), "{swapped:?}");
}

fn conflict(swapped: Swap) -> Loaded {
    match swapped {
        Swap::Conflict(loaded) => Some(loaded),
        Swap::Done | Swap::Full => None,
    }
    .expect("a conflict")
}

fn tally(cells: &impl Cells, key: CellKey) -> Vec<u64> {
    load(cells, key)
        .map_or_else(Vec::new, |cell| Tallied::from_bytes(cell.bytes).expect("a tally").ids)
}

fn deliver(
    cells: &impl Cells,
    entropy: &SeededEntropy,
    event: TallyEvent,
) -> Result<usize, Undelivered<TallyEvent>> {
    block_on(drive(cells, entropy, KEY, &Tally, event, Timestamp::EPOCH))
}

/// A cell that was never written is absent.
pub fn nothing_is_there_at_first<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    for space in Space::ALL {
        assert_eq!(load(&cells, CellKey::new(space, [7; 16])), None);
        assert_eq!(block_on(cells.scan(space, None, 10)).expect("scan"), []);
    }
    assert_eq!(block_on(cells.sweep(Timestamp::MAX, 10)).expect("sweep"), 0);
}

/// What was saved is loaded, with the version its writer chose.
pub fn a_load_sees_the_last_swap<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    for (number, len) in [(1, 0), (2, 1), (3, 63), (4, 64), (5, 4096), (6, 600_000), (7, 3)] {
        let bytes: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[0]).collect();
        let was = load(&cells, KEY).map(|cell| cell.version);
        save(&cells, KEY, was, &bytes, version(number));
        assert_eq!(load(&cells, KEY), Some(Stored::new(bytes, version(number))));
    }
    assert_eq!(swap(&cells, KEY, Some(version(7)), Put::Erase), Swap::Done);
    assert_eq!(load(&cells, KEY), None);
}

/// A swap that expects anything else than what is there changes nothing, and is shown what is.
pub fn a_swap_compares<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    let put = || Put::save(b"other".to_vec(), UNTIL, version(9));
    for (expected, put) in [(version(1), put()), (version(1), Put::Erase)] {
        assert_eq!(conflict(swap(&cells, KEY, Some(expected), put)).cell, None);
    }
    assert_eq!(load(&cells, KEY), None);
    save(&cells, KEY, None, b"first", version(1));
    for expected in [None, Some(version(2))] {
        for put in [put(), Put::Erase] {
            let shown = conflict(swap(&cells, KEY, expected, put));
            assert_eq!(shown.cell, Some(Stored::new(b"first".to_vec(), version(1))));
        }
    }
    assert_eq!(load(&cells, KEY), Some(Stored::new(b"first".to_vec(), version(1))));
    assert_eq!(swap(&cells, key(Space::Account, 1), None, Put::Erase), Swap::Done);
}

/// A version that was replaced or erased never fits again, even for equal bytes.
pub fn versions_are_never_reused<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    save(&cells, KEY, None, b"same", version(1));
    assert_eq!(swap(&cells, KEY, Some(version(1)), Put::Erase), Swap::Done);
    save(&cells, KEY, None, b"same", version(2));
    let put = Put::save(b"late".to_vec(), UNTIL, version(3));
    let shown = conflict(swap(&cells, KEY, Some(version(1)), put));
    assert_eq!(shown.version(), Some(version(2)), "an erased cell's version fits the new one");
    save(&cells, KEY, Some(version(2)), b"same", version(4));
    conflict(swap(&cells, KEY, Some(version(2)), Put::Erase));
    assert_eq!(load(&cells, KEY).map(|cell| cell.version), Some(version(4)));
}

/// The same digest in another space is another cell, even under the same version.
pub fn spaces_are_apart<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    for space in Space::ALL {
        save(&cells, CellKey::new(space, [7; 16]), None, &[space.code()], version(1));
    }
    let erased = CellKey::new(Space::Lockout, [7; 16]);
    assert_eq!(swap(&cells, erased, Some(version(1)), Put::Erase), Swap::Done);
    let changed = CellKey::new(Space::Account, [7; 16]);
    save(&cells, changed, Some(version(1)), b"changed", version(2));
    for space in Space::ALL {
        let key = CellKey::new(space, [7; 16]);
        let there = load(&cells, key);
        let expected = match key {
            key if key == erased => None,
            key if key == changed => Some(Stored::new(b"changed".to_vec(), version(2))),
            _ => Some(Stored::new(vec![space.code()], version(1))),
        };
        assert_eq!(there, expected);
        let keys = block_on(cells.scan(space, None, 10)).expect("scan");
        assert_eq!(keys, if key == erased { vec![] } else { vec![key] });
    }
}

/// A cell is kept to the end of `until` and dropped by a sweep afterwards, each by its last one.
pub fn a_sweep_drops_what_expired_and_nothing_else<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    let later = UNTIL.after(Duration::from_secs(3600));
    for number in 0..100 {
        let until = if number < 60 { UNTIL } else { later };
        let put = Put::save(vec![1], until, version(u128::from(number) + 1));
        assert_eq!(swap(&cells, key(Space::Lockout, number), None, put), Swap::Done);
    }
    // One that would have expired, and was prolonged.
    let put = Put::save(vec![2], later, version(1000));
    assert_eq!(swap(&cells, key(Space::Lockout, 0), Some(version(1)), put), Swap::Done);
    let left =
        || (0..100).filter(|number| load(&cells, key(Space::Lockout, *number)).is_some()).count();
    assert_eq!(block_on(cells.sweep(UNTIL, 1000)).expect("sweep"), 0);
    assert_eq!(left(), 100, "dropped at `until` itself");
    let past = UNTIL.after(Duration::from_micros(1));
    assert_eq!(block_on(cells.sweep(past, 0)).expect("sweep"), 0);
    assert_eq!(block_on(cells.sweep(past, 25)).expect("sweep"), 25);
    assert_eq!(left(), 75);
    assert_eq!(block_on(cells.sweep(past, 1000)).expect("sweep"), 34);
    assert_eq!(left(), 41);
    assert_eq!(block_on(cells.sweep(past, 1000)).expect("sweep"), 0);
    assert!(load(&cells, key(Space::Lockout, 0)).is_some(), "dropped though prolonged");
    // What was swept is absent like what never was.
    save(&cells, key(Space::Lockout, 5), None, b"new", version(2000));
}

/// A scan walks one space in order of digest, in pages of any size.
pub fn a_scan_walks_in_order_and_resumes<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    let mut all: Vec<CellKey> = (0..200).map(|number| key(Space::Account, number)).collect();
    for (number, key) in all.iter().enumerate() {
        save(&cells, *key, None, b"x", version(u128::try_from(number).expect("small") + 1));
        save(&cells, CellKey::new(Space::System, key.digest), None, b"y", version(1 << 100));
    }
    all.sort_unstable();
    for page in [1, 7, 199, 200, 201] {
        let mut seen: Vec<CellKey> = Vec::new();
        loop {
            let after = seen.last().map(|key| key.digest);
            let mut keys = block_on(cells.scan(Space::Account, after, page)).expect("scan");
            assert!(keys.len() <= page);
            let more = keys.len() == page;
            seen.append(&mut keys);
            if !more {
                break;
            }
        }
        assert_eq!(seen, all, "in pages of {page}");
    }
}

/// What is longer than a cell may be is refused, and changes nothing.
pub fn too_large_a_value_is_refused<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    save(&cells, KEY, None, b"first", version(1));
    let put = Put::save(vec![0; MAX_CELL + 1], UNTIL, version(2));
    let refused = block_on(cells.swap(KEY, Some(version(1)), put));
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    assert_eq!(load(&cells, KEY).map(|cell| cell.version), Some(version(1)));
}

/// The same event delivered again is counted once.
pub fn an_event_counts_once<C: Cells>(open: &impl Fn() -> C) {
    let (cells, entropy) = (open(), SeededEntropy::new(1));
    for (id, place) in [(10, 1), (20, 2), (10, 1), (30, 3), (20, 2)] {
        assert_eq!(deliver(&cells, &entropy, TallyEvent::Add(id)).expect("verdict"), place);
    }
    assert_eq!(tally(&cells, KEY), [10, 20, 30]);
    assert_eq!(deliver(&cells, &entropy, TallyEvent::Clear).expect("verdict"), 0);
    assert_eq!(load(&cells, KEY), None);
    assert_eq!(deliver(&cells, &entropy, TallyEvent::Add(10)).expect("verdict"), 1);
}

/// A lone event costs one load and one swap; a lost race one more swap and no load.
pub fn a_lost_race_costs_one_swap<C: Cells>(open: &impl Fn() -> C) {
    let entropy = SeededEntropy::new(1);
    let cells = CountingStore::new(open());
    deliver(&cells, &entropy, TallyEvent::Add(1)).expect("verdict");
    assert_eq!((cells.loads(), cells.swaps()), (1, 1));

    let racing = Racing { cells: &cells, rival: Mutex::new(Some(2)), entropy: &entropy };
    assert_eq!(deliver(&racing, &entropy, TallyEvent::Add(3)).expect("verdict"), 3);
    assert_eq!((cells.loads(), cells.swaps()), (2, 3));
    assert_eq!(tally(cells.inner(), KEY), [1, 2, 3]);
}

/// A rival who swaps between a load and the swap that follows it, uncounted.
struct Racing<'a, C> {
    cells: &'a CountingStore<C>,
    rival: Mutex<Option<u64>>,
    entropy: &'a SeededEntropy,
}

impl<C: Cells> Cells for Racing<'_, C> {
    crate::pass_on!(cells: swap scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let loaded = self.cells.load(key).await?;
        let rival = self.rival.lock().expect("rival").take();
        if let Some(id) = rival {
            let inner = self.cells.inner();
            drive(inner, self.entropy, key, &Tally, TallyEvent::Add(id), Timestamp::EPOCH)
                .await
                .map_err(|undelivered| undelivered.error)?;
        }
        Ok(loaded)
    }
}

/// A swap whose answer was lost is recognised by its version: loaded again, not swapped again.
pub fn an_unanswered_swap_is_recognised<C: Cells>(open: &impl Fn() -> C) {
    let entropy = SeededEntropy::new(1);
    for fault in [Fault::Before, Fault::After] {
        let cells = CountingStore::new(open());
        let was = tally(&cells, KEY).len();
        let before = (cells.loads(), cells.swaps());
        let faulty = FaultyStore::new(&cells, move |call| (call == 1).then_some(fault));
        let id = entropy.next();
        assert_eq!(deliver(&faulty, &entropy, TallyEvent::Add(id)).expect("verdict"), was + 1);
        // One swap reached the store either way; a second load told what had become of it.
        assert_eq!((cells.loads() - before.0, cells.swaps() - before.1), (2, 1), "{fault:?}");
        assert_eq!(tally(&cells, KEY).last(), Some(&id));
    }
}

/// Whichever call fails, before or after the store: delivered again, an event counts once, and one
/// that came back undelivered may be delivered again.
pub fn no_single_fault_loses_or_doubles_an_event<C: Cells>(open: &impl Fn() -> C) {
    let (cells, entropy) = (open(), SeededEntropy::new(1));
    let mut expected = Vec::new();
    for faults in 1..=4 {
        for first in 0..8_u64 {
            for fault in [Fault::Before, Fault::After] {
                let fails = first..first + faults;
                let faulty =
                    FaultyStore::new(&cells, move |call| fails.contains(&call).then_some(fault));
                let id = entropy.next();
                let mut event = TallyEvent::Add(id);
                let mut tries = 0;
                let place = loop {
                    tries += 1;
                    assert!(tries < 20, "never delivered");
                    match deliver(&faulty, &entropy, event) {
                        Ok(place) => break place,
                        Err(undelivered) => {
                            assert!(matches!(undelivered.error, StoreError::Unavailable(_)));
                            event = undelivered.event;
                        }
                    }
                };
                expected.push(id);
                assert_eq!(place, expected.len(), "{fault:?} from call {first}");
                assert_eq!(tally(&cells, KEY), expected);
            }
        }
    }
}

/// Sixty-four at once, one cell: every event counts exactly once, in one order.
pub fn sixty_four_racers_lose_nothing<C: Cells>(open: &impl Fn() -> C) {
    let (cells, entropy) = (Hesitating(open()), SeededEntropy::new(1));
    let each = u64::try_from(runs(4, 40)).expect("small");
    let places = Mutex::new(Vec::new());
    let start = std::sync::Barrier::new(64);
    std::thread::scope(|scope| {
        for racer in 0..64_u64 {
            let (cells, entropy, places, start) = (&cells, &entropy, &places, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..each {
                    let mut event = TallyEvent::Add(racer * each + round);
                    let place = loop {
                        match deliver(cells, entropy, event) {
                            Ok(place) => break place,
                            Err(Undelivered { error, event: back }) => {
                                // Without a line to stand in they may starve one another.
                                assert!(matches!(error, StoreError::Contended { .. }), "{error}");
                                event = back;
                            }
                        }
                    };
                    places.lock().expect("places").push(place);
                }
            });
        }
    });
    let all = usize::try_from(64 * each).expect("small");
    let mut ids = tally(&cells, KEY);
    assert_eq!(ids.len(), all, "lost or doubled");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "doubled");
    let mut places = places.into_inner().expect("places");
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=all), "two events were told the same place");
}

/// Lets others go first between a load and what follows it: where races are lost.
struct Hesitating<C>(C);

impl<C: Cells> Cells for Hesitating<C> {
    crate::pass_on!(0: swap scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let loaded = self.0.load(key).await;
        std::thread::yield_now();
        loaded
    }
}

/// Sixty-four swaps that expect the same: one is done, and all others are shown it.
pub fn one_of_sixty_four_swaps_wins<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    let mut was = None;
    for round in 0..u128::try_from(runs(5, 100)).expect("small") {
        let start = std::sync::Barrier::new(64);
        let swapped = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for racer in 1..=64_u128 {
                let (cells, start, swapped) = (&cells, &start, &swapped);
                scope.spawn(move || {
                    let to = version(round * 64 + racer);
                    start.wait();
                    let answer = swap(cells, KEY, was, Put::save(vec![1; 40], UNTIL, to));
                    swapped.lock().expect("swapped").push((to, answer));
                });
            }
        });
        let swapped = swapped.into_inner().expect("swapped");
        let winners: Vec<_> =
            swapped.iter().filter(|(_, answer)| *answer == Swap::Done).map(|(to, _)| *to).collect();
        assert_eq!(winners.len(), 1, "winners");
        was = winners.first().copied();
        assert_eq!(load(&cells, KEY).map(|cell| cell.version), was);
        for (_, answer) in swapped {
            if let Swap::Conflict(shown) = answer {
                assert_eq!(shown.version(), was);
            }
        }
    }
}

/// Recorded histories of four callers on one cell are linearisable.
pub fn each_cell_is_linearisable<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    let clock = AtomicU64::new(0);
    for round in 0..u16::try_from(runs(40, 2000)).expect("small") {
        let key = key(Space::System, round);
        let calls = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for caller in 0..4_u64 {
                let (cells, clock, calls) = (&cells, &clock, &calls);
                let random = SeededEntropy::new(u64::from(round) * 4 + caller);
                scope.spawn(move || {
                    let mut seen = None;
                    for _ in 0..10 {
                        let began = clock.fetch_add(1, Ordering::SeqCst);
                        let what = random_call(cells, key, seen, &random);
                        let ended = clock.fetch_add(1, Ordering::SeqCst);
                        seen = match what {
                            What::Saw(at) | What::Refused { saw: at, .. } => at,
                            What::Swapped { to, .. } => to,
                        };
                        calls.lock().expect("calls").push(Call { began, ended, what });
                    }
                });
            }
        });
        let calls = calls.into_inner().expect("calls");
        assert!(is_linearisable(&calls), "no order explains {calls:#?}");
    }
}

fn random_call(
    cells: &impl Cells,
    key: CellKey,
    seen: Option<Version>,
    random: &SeededEntropy,
) -> What {
    let put = match random.below(4) {
        0 => return What::Saw(load(cells, key).map(|cell| cell.version)),
        1 => Put::Erase,
        _ => {
            let version = Version::fresh(random).expect("entropy");
            Put::save(random.next().to_le_bytes().to_vec(), UNTIL, version)
        }
    };
    let to = match &put {
        Put::Save { version, .. } => Some(*version),
        Put::Erase => None,
    };
    match swap(cells, key, seen, put) {
        Swap::Done => What::Swapped { from: seen, to },
        swapped => What::Refused { from: seen, saw: conflict(swapped).version() },
    }
}

/// A call given up half-way leaves the cell as it was or as it was to be, and the store in order.
pub fn a_dropped_future_leaves_the_cell_whole<C: Cells>(open: &impl Fn() -> C) {
    let (cells, entropy) = (open(), SeededEntropy::new(1));
    let mut context = Context::from_waker(Waker::noop());
    for polls in [0, 1, 1, 0, 1] {
        let was = tally(&cells, KEY);
        let id = entropy.next();
        let event = TallyEvent::Add(id);
        {
            let mut driven = pin!(drive(&cells, &entropy, KEY, &Tally, event, Timestamp::EPOCH));
            for _ in 0..polls {
                let _ready = driven.as_mut().poll(&mut context);
            }
        }
        // The write behind it stands in the same line, so what was handed over is done by now.
        deliver(&cells, &entropy, event).expect("verdict");
        let mut expected = was;
        expected.push(id);
        assert_eq!(tally(&cells, KEY), expected);
    }
}

/// A full store says so, keeps everything it has, and takes more once there is room.
pub fn full_is_an_answer_and_drops_nothing<C: Cells>(open: &impl Fn() -> C) {
    let cells = open();
    let mut kept = 0_u16;
    let put = |number: u16, until| Put::save(vec![5; 4000], until, version(u128::from(number) + 1));
    while swap(&cells, key(Space::Lockout, kept), None, put(kept, UNTIL)) == Swap::Done {
        kept += 1;
        assert!(kept < u16::MAX, "never full");
    }
    assert!(kept > 10, "full after {kept} cells");
    let all_there = |from: u16| {
        for number in from..kept {
            let there = load(&cells, key(Space::Lockout, number)).map(|cell| cell.version);
            assert_eq!(there, Some(version(u128::from(number) + 1)), "cell {number} of {kept}");
        }
    };
    all_there(0);
    assert_eq!(load(&cells, key(Space::Lockout, kept)), None);
    // One that is there cannot grow much, and stays as it is.
    let large = Put::save(vec![6; 900_000], UNTIL, version(1 << 90));
    assert_eq!(swap(&cells, key(Space::Lockout, 0), Some(version(1)), large), Swap::Full);
    all_there(0);
    // It can be rewritten.
    let again = Put::save(vec![7; 4000], UNTIL, version(1 << 91));
    assert_eq!(swap(&cells, key(Space::Lockout, 0), Some(version(1)), again), Swap::Done);
    // Erasing makes room, though perhaps not at once: a store may count in steps of many cells.
    let soon = UNTIL.before(Duration::from_secs(3600));
    let fits =
        |number| swap(&cells, key(Space::Account, number), None, put(number, soon)) == Swap::Done;
    let mut left = 1;
    let mut erase = || {
        let was = Some(version(u128::from(left) + 1));
        assert_eq!(swap(&cells, key(Space::Lockout, left), was, Put::Erase), Swap::Done);
        left += 1;
        assert!(left < 100, "erasing makes no room");
    };
    while !fits(0) {
        erase();
    }
    (0..16).for_each(|_| erase());
    let mut filled = 1;
    while fits(filled) {
        filled += 1;
        assert!(filled < 200, "more room than was made");
    }
    all_there(left);
    // What expired makes room too.
    assert_eq!(block_on(cells.sweep(UNTIL, 1000)).expect("sweep"), usize::from(filled));
    assert_eq!(swap(&cells, key(Space::Account, 0), None, put(0, UNTIL)), Swap::Done);
    all_there(left);
}

/// Closed and opened again, the store is as it was left.
pub fn a_restart_changes_nothing<C: Cells>(open: &impl Fn() -> C) {
    let entropy = SeededEntropy::new(1);
    let mut expected = Vec::new();
    for _ in 0..5 {
        let cells = open();
        assert_eq!(tally(&cells, KEY), expected);
        for number in 0..50 {
            let there = load(&cells, key(Space::System, number));
            let gone = expected.is_empty() || number % 5 == 0;
            assert_eq!(there.is_none(), gone, "cell {number}");
            let was = there.map(|cell| cell.version);
            let to = Version::fresh(&entropy).expect("entropy");
            save(&cells, key(Space::System, number), was, &number.to_le_bytes(), to);
            if number % 5 == 0 {
                let erased = swap(&cells, key(Space::System, number), Some(to), Put::Erase);
                assert_eq!(erased, Swap::Done);
            }
        }
        let id = entropy.next();
        expected.push(id);
        deliver(&cells, &entropy, TallyEvent::Add(id)).expect("verdict");
    }
}

/// A step that changes nothing costs no swap.
pub fn a_keep_costs_no_swap<C: Cells>(open: &impl Fn() -> C) {
    let entropy = SeededEntropy::new(1);
    let cells = CountingStore::new(open());
    deliver(&cells, &entropy, TallyEvent::Add(1)).expect("verdict");
    let (effect, _) =
        Tally.step(Some(&Tallied { ids: vec![1] }), &TallyEvent::Add(1), Timestamp::EPOCH).split();
    assert!(matches!(effect, Effect::Keep));
    deliver(&cells, &entropy, TallyEvent::Add(1)).expect("verdict");
    assert_eq!((cells.loads(), cells.swaps()), (2, 1));
}
