//! The memory store's bound, and what happens at it.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Change, MAX_CELL, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{ManualClock, SeededEntropy, block_on, runs};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn key(number: u64) -> CellKey {
    let spread = SeededEntropy::new(number);
    let digest = (u128::from(spread.next()) << 64) | u128::from(spread.next());
    CellKey::new(Space::Lockout, digest.to_be_bytes())
}

fn save(store: &MemoryStore, number: u64, len: usize, until: Timestamp) -> Swap {
    let version = Version::new(u128::from(number).to_be_bytes());
    block_on(store.swap(key(number), None, Put::save(vec![1; len], until, version))).unwrap()
}

fn filled(store: &MemoryStore, from: u64, until: impl Fn(u64) -> Timestamp) -> u64 {
    let mut number = from;
    while save(store, number, 50, until(number)) == Swap::Done {
        number += 1;
    }
    number - from
}

#[test]
fn expired_cells_make_room_at_once_by_the_clock() {
    let clock = Arc::new(ManualClock::at(at(0)));
    let store = MemoryStore::new(1 << 20).with_clock(Arc::clone(&clock));
    // One in three expires at 10, the others at 20.
    let until = |number| if number % 3 == 0 { at(10) } else { at(20) };
    let kept = filled(&store, 0, until);
    clock.set(at(10));
    assert_eq!(save(&store, kept, 50, at(20)), Swap::Full, "at `until` itself it is live");
    clock.set(at(11));
    let more = filled(&store, kept, |_| at(20));
    let expired = kept.div_ceil(3);
    assert!((expired * 9 / 10..=expired * 11 / 10).contains(&more), "{more} for {expired}");
    for number in 0..kept {
        let there = block_on(store.load(key(number))).unwrap().cell.is_some();
        assert!(there || number % 3 == 0, "a live cell is gone");
    }
}

#[test]
fn without_a_clock_it_goes_by_the_last_sweep() {
    let store = MemoryStore::new(1 << 20);
    let kept = filled(&store, 0, |_| at(10));
    assert_eq!(block_on(store.sweep(at(11), 1)).unwrap(), 1);
    assert_eq!(save(&store, kept, 50, at(20)), Swap::Done);
    assert_eq!(save(&store, kept + 1, 50, at(20)), Swap::Done, "known to have expired");
}

#[test]
fn a_flood_takes_nothing_from_those_who_were_there() {
    let store = MemoryStore::new(1 << 20);
    for number in 0..1000 {
        assert_eq!(save(&store, number, 50, at(10)), Swap::Done);
    }
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (store, refused) = (&store, &refused);
            scope.spawn(move || {
                for number in 0..u64::try_from(runs(20_000, 1_000_000)).unwrap() {
                    let flood = (thread + 1) << 40 | number;
                    let len = if number % 2 == 0 { 20 } else { 50 };
                    if save(store, flood, len, at(10)) == Swap::Full {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(store.used() <= 1 << 20);
                }
            });
        }
    });
    assert!(refused.load(Ordering::Relaxed) > 0);
    for number in 0..1000 {
        assert!(block_on(store.load(key(number))).unwrap().cell.is_some(), "evicted");
    }
}

#[test]
fn bookkeeping_comes_back_to_nothing() {
    let store = MemoryStore::new(1 << 20);
    let random = SeededEntropy::new(3);
    for _ in 0..20_000 {
        let key = key(random.below(300));
        let was = block_on(store.load(key)).unwrap().version();
        let put = if random.below(3) == 0 {
            Put::Erase
        } else {
            let len = usize::try_from(random.below(2000)).unwrap();
            Put::save(vec![1; len], at(10), Version::fresh(&random).unwrap())
        };
        assert_eq!(block_on(store.swap(key, was, put)).unwrap(), Swap::Done);
    }
    let left = block_on(store.scan(Space::Lockout, None, usize::MAX)).unwrap().len();
    assert!(left > 0 && store.used() > left * 50);
    assert_eq!(block_on(store.sweep(Timestamp::MAX, usize::MAX)).unwrap(), left);
    assert_eq!(store.used(), 0);
}

#[test]
fn the_longest_value_fits() {
    let store = MemoryStore::new(4 << 20);
    let put = |len| Put::save(vec![7; len], at(10), Version::new([1; 16]));
    let refused = block_on(store.swap(key(1), None, put(MAX_CELL + 1))).unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { max: MAX_CELL, .. }));
    assert_eq!(block_on(store.swap(key(1), None, put(MAX_CELL))).unwrap(), Swap::Done);
    let alter = |len| {
        store.alter(key(2), &mut |_, value| {
            value.resize(len, 7);
            Ok(Change::Save { until: at(10), version: Version::new([1; 16]) })
        })
    };
    assert!(alter(MAX_CELL + 1).is_none());
    alter(MAX_CELL).unwrap().unwrap();
    for number in [1, 2] {
        let there = block_on(store.load(key(number))).unwrap().cell.unwrap();
        assert_eq!(there.bytes.len(), MAX_CELL);
    }
}

#[test]
fn a_value_lies_in_the_smallest_slot_that_it_fits() {
    let used = |len| {
        let store = MemoryStore::new(1 << 20);
        (0..1_000).for_each(|number| assert_eq!(save(&store, number, len, at(10)), Swap::Done));
        store.used()
    };
    assert!(used(0) == used(29) && used(29) < used(30));
    assert!(used(30) == used(93) && used(93) < used(94));
}

/// A refund is such a swap.
#[test]
fn what_takes_less_room_is_never_refused() {
    let (store, random) = (MemoryStore::new(1 << 20), SeededEntropy::new(7));
    let mut lens: Vec<usize> = Vec::new();
    let len_of = |number: usize| if number.is_multiple_of(2) { 20 } else { 120 };
    while save(&store, lens.len() as u64, len_of(lens.len()), at(10)) == Swap::Done {
        lens.push(len_of(lens.len()));
    }
    let (mut refused, mut shrunk) = (0, 0);
    for _ in 0..runs(60_000, 600_000) {
        let number = usize::try_from(random.below(lens.len() as u64)).unwrap();
        let len = usize::try_from(random.below(200)).unwrap();
        let was = block_on(store.load(key(number as u64))).unwrap().version();
        let put = Put::save(vec![1; len], at(10), Version::fresh(&random).unwrap());
        match block_on(store.swap(key(number as u64), was, put)).unwrap() {
            Swap::Done => {
                shrunk += usize::from(len < lens[number]);
                lens[number] = len;
            }
            Swap::Full => {
                assert!(len > lens[number], "{len} bytes for {} refused", lens[number]);
                refused += 1;
            }
            Swap::Conflict(now) => panic!("{now:?}"),
        }
        assert!(store.used() <= 1 << 20);
    }
    assert!(refused > 100 && shrunk > 100, "{refused} refused, {shrunk} shrunk");
}

/// Cells come, change, expire and go; what is there is always what a map has.
#[test]
fn it_holds_what_a_map_holds() {
    let (store, random) = (MemoryStore::new(1 << 20), SeededEntropy::new(5));
    let mut model: HashMap<CellKey, (Vec<u8>, Version, Timestamp)> = HashMap::new();
    let mut now = 0;
    for step in 0..runs(60_000, 2_000_000) {
        let key = key(random.below(2_500));
        let was = model.get(&key).map(|(_, version, _)| *version);
        match random.below(1_000) {
            0 => {
                now += 10;
                model.retain(|_, (.., until)| *until >= at(now));
                block_on(store.sweep(at(now), usize::MAX)).unwrap();
            }
            1..300 => {
                assert_eq!(block_on(store.swap(key, was, Put::Erase)).unwrap(), Swap::Done);
                model.remove(&key);
            }
            _ => {
                // In small slots, in large ones, and outside; at both sides of each bound.
                let len = usize::try_from(random.below(130)).unwrap();
                let bytes = vec![u8::try_from(step % 251).unwrap(); len];
                let (until, version) = (at(now + 40), Version::fresh(&random).unwrap());
                let put = Put::save(bytes.clone(), until, version);
                assert_eq!(block_on(store.swap(key, was, put)).unwrap(), Swap::Done);
                model.insert(key, (bytes, version, until));
            }
        }
        let loaded = block_on(store.load(key)).unwrap().cell;
        let expected = model.get(&key).map(|(bytes, version, _)| (bytes, *version));
        assert_eq!(loaded.as_ref().map(|cell| (&cell.bytes, cell.version)), expected);
    }
    for (key, (bytes, ..)) in &model {
        assert_eq!(&block_on(store.load(*key)).unwrap().cell.unwrap().bytes, bytes);
    }
    let mut keys: Vec<_> = model.into_keys().collect();
    keys.sort_unstable();
    assert!(keys.len() > 500, "{}", keys.len());
    assert_eq!(block_on(store.scan(Space::Lockout, None, usize::MAX)).unwrap(), keys);
}

/// The bound is on memory, so what the store says it uses is at least what the process takes.
#[cfg(target_os = "linux")]
#[test]
fn the_bound_covers_what_the_process_takes() {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let limit = 64 << 20;
    let before = resident();
    let store = MemoryStore::new(limit);
    let kept = filled(&store, 0, |_| at(10));
    let taken = resident() - before;
    // Other tests of this file run beside it and take some MiB of their own.
    assert!(taken < limit + (16 << 20), "{taken} bytes for {kept} cells under {limit}");
}
