//! The store in memory under everything at once: its books balance, and what it drops had expired.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::collections::HashMap;
use std::sync::Arc;

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Change, MemoryStore, Put, Swap, Version};
use vouchsafe_testkit::{ManualClock, SeededEntropy, block_on, runs};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn key(shard: u8, number: u64) -> CellKey {
    let spread = SeededEntropy::new(number);
    let digest = (u128::from(spread.next()) << 64) | u128::from(spread.next());
    let mut digest = digest.to_be_bytes();
    digest[0] = digest[0] >> 1 | shard << 7;
    CellKey::new(Space::Lockout, digest)
}

fn save(store: &MemoryStore, key: CellKey, len: usize, until: Timestamp) -> Swap {
    let version = Version::new(key.digest);
    block_on(store.swap(key, None, Put::save(vec![1; len], until, version))).unwrap()
}

/// "At the bound, cells that have expired make room; when there are none, a swap is answered `Full`."
#[test]
fn expired_cells_elsewhere_make_room_too() {
    let clock = Arc::new(ManualClock::at(at(0)));
    // Two shards.
    let store = MemoryStore::new(200 << 10).with_clock(Arc::clone(&clock));
    assert_eq!(save(&store, key(0, 0), 50, at(10)), Swap::Done);
    let mut number = 1;
    for len in [5_000, 1_000, 500, 200, 100, 50, 20] {
        while save(&store, key(1, number), len, at(10)) == Swap::Done {
            number += 1;
        }
    }
    clock.set(at(11));
    // All of the store has expired.
    let swap = save(&store, key(0, 1 << 20), 1_500, at(20));
    assert_eq!(swap, Swap::Done, "{} of {} bytes are of expired cells", store.used(), 200 << 10);
}

/// "A cell that has not expired is never dropped."
#[test]
fn a_clock_that_was_wrong_once_drops_nothing_live_later() {
    let clock = Arc::new(ManualClock::at(at(0)));
    let store = MemoryStore::new(1 << 20).with_clock(Arc::clone(&clock));
    // One sweep while the clock stands wrong; nothing is there to be lost.
    assert_eq!(block_on(store.sweep(at(1_000_000), usize::MAX)).unwrap(), 0);
    clock.set(at(1));
    let mut number = 0;
    while save(&store, key(0, number), 50, at(1_000)) == Swap::Done {
        number += 1;
        assert!(number < 100_000, "it is never full: live cells make room");
    }
    for number in 0..number {
        let there = block_on(store.load(key(0, number))).unwrap().cell.is_some();
        assert!(there, "a live cell is gone");
    }
}

/// The same without a clock: "it goes by the last sweep".
#[test]
fn the_last_sweep_tells_the_time() {
    let store = MemoryStore::new(1 << 20);
    assert_eq!(block_on(store.sweep(at(1_000_000), usize::MAX)).unwrap(), 0);
    assert_eq!(block_on(store.sweep(at(1), usize::MAX)).unwrap(), 0);
    let mut number = 0;
    while save(&store, key(0, number), 50, at(1_000)) == Swap::Done {
        number += 1;
        assert!(number < 100_000, "it is never full: live cells make room");
    }
    assert!(block_on(store.load(key(0, 0))).unwrap().cell.is_some(), "a live cell is gone");
}

/// Random histories of everything, in stores of every size, against a map.
#[test]
fn whatever_is_done_it_is_a_map_and_its_books_balance() {
    for seed in 0..runs(60, 4_000) as u64 {
        let random = SeededEntropy::new(seed << 20);
        let limit = [4 << 10, 16 << 10, 70 << 10, 200 << 10, 1 << 20][(seed % 5) as usize];
        let clock = Arc::new(ManualClock::at(at(0)));
        let store = MemoryStore::new(limit).with_clock(Arc::clone(&clock));
        let mut model: HashMap<CellKey, (Vec<u8>, Version, i64)> = HashMap::new();
        let keys: Vec<CellKey> = (0..200)
            .map(|number| {
                let mut key = key(u8::from(number % 2 == 0), number / 3 + (seed << 10));
                key.space = Space::ALL[(number % 3) as usize];
                key
            })
            .collect();
        let mut now = 0_i64;
        let (mut fulls, mut moves) = (0, 0);
        for _ in 0..3_000 {
            let key = keys[random.below(keys.len() as u64) as usize];
            match random.below(40) {
                0 => {
                    now += random.below(30) as i64;
                    clock.set(at(now));
                }
                1 => {
                    let limit = random.below(20) as usize;
                    let gone = model.values().filter(|(.., until)| *until < now).count();
                    let swept = block_on(store.sweep(at(now), limit)).unwrap();
                    assert!(swept <= gone.min(limit));
                }
                2 => {
                    let space = Space::ALL[random.below(3) as usize];
                    let seen = block_on(store.scan(space, None, usize::MAX)).unwrap();
                    for (key, (.., until)) in &model {
                        if key.space == space && *until >= now {
                            assert!(seen.contains(key));
                        }
                    }
                    assert!(seen.iter().all(|key| model.contains_key(key)));
                    assert!(seen.is_sorted());
                }
                _ => {}
            }
            let there = block_on(store.load(key)).unwrap().cell;
            match (&there, model.get(&key)) {
                (Some(cell), Some((bytes, version, _))) => {
                    assert_eq!((&cell.bytes, cell.version), (bytes, *version), "{seed}");
                }
                (None, Some((.., until))) => {
                    assert!(*until < now, "a live cell is gone in {seed}");
                    model.remove(&key);
                }
                (Some(_), None) => panic!("a dead one is found in {seed}"),
                (None, None) => {}
            }
            let len = match random.below(6) {
                0 => random.below(30) as usize,
                1 => 28 + random.below(4) as usize,
                2 => 90 + random.below(8) as usize,
                3 => random.below(600) as usize,
                _ => random.below(100) as usize,
            };
            let was = there.as_ref().map_or(usize::MAX, |cell| cell.bytes.len());
            let until = now + random.below(60) as i64;
            let version = Version::fresh(&random).unwrap();
            let bytes = vec![random.below(256) as u8; len];
            let erase = random.below(5) == 0;
            if random.below(2) == 0 {
                let mut asked = 0;
                let done = store.alter(key, &mut |value, out| {
                    asked += 1;
                    assert_eq!(value, there.as_ref().map(|cell| &*cell.bytes));
                    assert!(out.is_empty());
                    out.extend_from_slice(&bytes);
                    Ok(if erase {
                        Change::Erase
                    } else {
                        Change::Save { until: at(until), version }
                    })
                });
                assert_eq!(asked, 1);
                match done {
                    Some(done) => {
                        done.unwrap();
                        if erase {
                            model.remove(&key);
                        } else {
                            moves += 1;
                            model.insert(key, (bytes, version, until));
                        }
                    }
                    None => {
                        fulls += 1;
                        assert!(!erase && len > was || was == usize::MAX, "{seed}: {was} to {len}");
                    }
                }
            } else {
                let put =
                    if erase { Put::Erase } else { Put::save(bytes.clone(), at(until), version) };
                let expected = there.as_ref().map(|cell| cell.version);
                match block_on(store.swap(key, expected, put)).unwrap() {
                    Swap::Done if erase => drop(model.remove(&key)),
                    Swap::Done => drop(model.insert(key, (bytes, version, until))),
                    Swap::Full => {
                        fulls += 1;
                        assert!(
                            !erase && (was == usize::MAX || len > was),
                            "{seed}: {was} to {len}"
                        );
                    }
                    Swap::Conflict(loaded) => {
                        // Reclaimed on the way: it had expired.
                        assert!(loaded.cell.is_none() && model.remove(&key).unwrap().2 < now);
                    }
                }
            }
            assert!(store.used() <= limit, "{seed}");
        }
        assert!(moves > 10 && (fulls > 0 || limit > 16 << 10), "{seed} {limit} {moves} {fulls}");
        // What it says it uses without a cell.
        for key in &keys {
            if let Some(cell) = block_on(store.load(*key)).unwrap().cell {
                let swap = store.swap(*key, Some(cell.version), Put::Erase);
                assert_eq!(block_on(swap).unwrap(), Swap::Done);
            }
        }
        assert_eq!(store.used(), 0, "{seed}");
    }
}

/// A panic of the machine or of the entropy while the cell is looked at leaves the store as it was.
#[test]
fn a_panic_in_the_middle_leaves_the_cell() {
    let store = MemoryStore::new(1 << 20);
    assert_eq!(save(&store, key(0, 1), 50, at(10)), Swap::Done);
    let used = store.used();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.alter(key(0, 1), &mut |_, out| {
            out.extend([7; 3]);
            panic!("a machine that panics")
        })
    }));
    assert!(panicked.is_err());
    let cell = block_on(store.load(key(0, 1))).unwrap().cell.unwrap();
    assert_eq!((cell.bytes, store.used()), (vec![1; 50], used));
    let done = store.alter(key(0, 1), &mut |value, out| {
        assert!(out.is_empty() && value.is_some());
        out.push(1);
        Ok(Change::Save { until: at(10), version: Version::new([3; 16]) })
    });
    done.unwrap().unwrap();
    assert_eq!(block_on(store.load(key(0, 1))).unwrap().cell.unwrap().bytes, [1]);
}
