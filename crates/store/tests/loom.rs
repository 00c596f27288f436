//! Every interleaving of small cases: `RUSTFLAGS="--cfg loom" cargo test -p vouchsafe-store --test
//! loom --release`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, LineFull, MemoryStore, Put, Swap, Turns, Version, drive};
use vouchsafe_testkit::{CountingStore, SeededEntropy, Tally, TallyEvent};

const KEY: CellKey = CellKey::new(Space::Lockout, [7; 16]);
const OTHER: CellKey = CellKey::new(Space::Lockout, [8; 16]);

fn bounded(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

fn save(number: u8, until: i64) -> Put {
    Put::save(vec![number; 8], Timestamp::from_micros(until), Version::new([number; 16]))
}

#[test]
fn one_holder_at_a_time_and_nobody_sleeps_on() {
    bounded(|| {
        let turns = Arc::new(Turns::new(8, 8));
        let inside = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (turns, inside) = (Arc::clone(&turns), Arc::clone(&inside));
                thread::spawn(move || {
                    let held = block_on(turns.take(KEY)).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two at once");
                    inside.fetch_sub(1, Ordering::Relaxed);
                    drop(held);
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(turns.is_empty());
    });
}

#[test]
fn one_who_leaves_the_line_passes_the_turn_on() {
    bounded(|| {
        let turns = Arc::new(Turns::new(8, 8));
        let first = block_on(turns.take(KEY)).unwrap();
        let leaving = {
            let turns = Arc::clone(&turns);
            thread::spawn(move || {
                let mut turn = pin!(turns.take(KEY));
                let mut context = Context::from_waker(Waker::noop());
                // Dropped while waiting, or right when it has become its turn.
                let _polled = turn.as_mut().poll(&mut context);
            })
        };
        let staying = {
            let turns = Arc::clone(&turns);
            thread::spawn(move || drop(block_on(turns.take(KEY)).unwrap()))
        };
        drop(first);
        leaving.join().unwrap();
        staying.join().unwrap();
        assert!(turns.is_empty());
    });
}

#[test]
fn lines_stay_within_their_bounds() {
    bounded(|| {
        // Two may stand in a line, but only one in all lines together, besides whoever finds none.
        let turns = Arc::new(Turns::new(2, 1));
        let admitted = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = [KEY, KEY, OTHER]
            .into_iter()
            .map(|key| {
                let (turns, admitted) = (Arc::clone(&turns), Arc::clone(&admitted));
                thread::spawn(move || match block_on(turns.take(key)) {
                    Ok(held) => {
                        assert!((1..=2).contains(&turns.len()));
                        admitted.fetch_add(1, Ordering::Relaxed);
                        drop(held);
                    }
                    Err(LineFull) => assert_eq!(key, KEY, "an empty line is open"),
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(admitted.load(Ordering::Relaxed) >= 2);
        assert!(turns.is_empty());
    });
}

/// The same line with the usual mistake: it looks, lets go of the lock, and then leaves its waker.
struct Forgetful {
    taken: Mutex<bool>,
    waker: Mutex<Option<Waker>>,
}

impl Forgetful {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut *self.taken.lock().unwrap(), true) {
            return Poll::Ready(());
        }
        *self.waker.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    }

    fn leave(&self) {
        *self.taken.lock().unwrap() = false;
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}

/// Two callers poll once each. One who is told to wait, and stays, must be woken by the time the
/// other is done.
fn whoever_waits_is_woken<L: Sync + Send + 'static>(
    line: fn() -> L,
    poll_once: fn(&L, &mut Context<'_>) -> Poll<()>,
) {
    bounded(move || {
        let line = Arc::new(line());
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let line = Arc::clone(&line);
                thread::spawn(move || {
                    let woken = std::sync::Arc::new(Woken::default());
                    let waker = Waker::from(std::sync::Arc::clone(&woken));
                    (poll_once(&line, &mut Context::from_waker(&waker)), woken)
                })
            })
            .collect();
        let done: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        for (polled, woken) in done {
            let woken = woken.0.load(std::sync::atomic::Ordering::SeqCst);
            assert!(polled.is_ready() || woken, "a lost wakeup");
        }
    });
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn no_wakeup_is_lost() {
    whoever_waits_is_woken(
        || Turns::new(8, 8),
        |turns, context| {
            let mut turn = Box::pin(turns.take(KEY));
            match turn.as_mut().poll(context) {
                Poll::Ready(held) => {
                    drop(held.unwrap());
                    Poll::Ready(())
                }
                Poll::Pending => {
                    // It stays in line.
                    std::mem::forget(turn);
                    Poll::Pending
                }
            }
        },
    );
}

#[test]
#[should_panic(expected = "a lost wakeup")]
fn a_lost_wakeup_would_be_found() {
    whoever_waits_is_woken(
        || Forgetful { taken: Mutex::new(false), waker: Mutex::new(None) },
        |line, context| {
            let polled = line.poll(context);
            if polled.is_ready() {
                line.leave();
            }
            polled
        },
    );
}

#[test]
fn one_of_two_swaps_wins_and_the_other_sees_it() {
    bounded(|| {
        let store = Arc::new(MemoryStore::new(1 << 20));
        let rival = {
            let store = Arc::clone(&store);
            thread::spawn(move || block_on(store.swap(KEY, None, save(1, 9))).unwrap())
        };
        let mine = block_on(store.swap(KEY, None, save(2, 9))).unwrap();
        let theirs = rival.join().unwrap();
        let there = block_on(store.load(KEY)).unwrap();
        match (mine, theirs) {
            (Swap::Done, Swap::Conflict(shown)) => {
                assert_eq!(shown, there);
                assert_eq!(there.version(), Some(Version::new([2; 16])));
            }
            (Swap::Conflict(shown), Swap::Done) => {
                assert_eq!(shown, there);
                assert_eq!(there.version(), Some(Version::new([1; 16])));
            }
            other => unreachable!("{other:?}"),
        }
    });
}

/// Two events, each where the cell lies or, by a store that cannot do that, with a load and a swap.
fn neither_lost_nor_doubled(swaps: [bool; 2]) {
    bounded(move || {
        let store = Arc::new(MemoryStore::new(1 << 20));
        let add = move |store: &MemoryStore, id: u64, swap: bool| {
            let entropy = SeededEntropy::new(id);
            let event = TallyEvent::Add(id);
            if swap {
                let store = CountingStore::new(store);
                let driven = drive(&store, &entropy, KEY, &Tally, event, Timestamp::EPOCH);
                let place = block_on(driven).unwrap();
                assert!(store.loads() > 0);
                return place;
            }
            block_on(drive(store, &entropy, KEY, &Tally, event, Timestamp::EPOCH)).unwrap()
        };
        let rival = {
            let store = Arc::clone(&store);
            thread::spawn(move || add(&store, 1, swaps[0]))
        };
        let mut places = [add(&store, 2, swaps[1]), rival.join().unwrap()];
        places.sort_unstable();
        assert_eq!(places, [1, 2]);
        let again = add(&store, 1, swaps[1]) + add(&store, 2, swaps[0]);
        assert_eq!(again, 3, "told otherwise the second time");
    });
}

#[test]
fn driven_events_are_neither_lost_nor_doubled() {
    neither_lost_nor_doubled([true, true]);
}

#[test]
fn nor_are_those_where_the_cell_lies() {
    neither_lost_nor_doubled([false, false]);
}

#[test]
fn nor_are_those_of_either_kind_beside_the_other() {
    neither_lost_nor_doubled([true, false]);
}

#[test]
fn the_bound_holds_while_two_fill_the_store() {
    bounded(|| {
        // Room for one cell of a thousand bytes, and for what the first cell brings with it.
        let store = Arc::new(MemoryStore::new(4_000));
        let large = |number| {
            let (until, version) = (Timestamp::from_micros(9), Version::new([number; 16]));
            Put::save(vec![number; 1_000], until, version)
        };
        let rival = {
            let store = Arc::clone(&store);
            thread::spawn(move || block_on(store.swap(KEY, None, large(1))).unwrap())
        };
        let mine = block_on(store.swap(OTHER, None, large(2))).unwrap();
        let theirs = rival.join().unwrap();
        assert!(store.used() <= 4_000);
        let done = [&mine, &theirs].into_iter().filter(|swap| **swap == Swap::Done).count();
        assert_eq!(done, 1, "{mine:?} {theirs:?}");
        let there = |key| block_on(store.load(key)).unwrap().cell.is_some();
        assert_eq!((there(OTHER), there(KEY)), (mine == Swap::Done, theirs == Swap::Done));
    });
}

#[test]
fn a_sweep_never_takes_what_was_just_prolonged() {
    bounded(|| {
        let store = Arc::new(MemoryStore::new(1 << 20));
        block_on(store.swap(KEY, None, save(1, 5))).unwrap();
        let sweeping = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                block_on(store.sweep(Timestamp::from_micros(6), usize::MAX)).unwrap()
            })
        };
        let prolonged = block_on(store.swap(KEY, Some(Version::new([1; 16])), save(2, 9))).unwrap();
        let swept = sweeping.join().unwrap();
        match prolonged {
            Swap::Done => {
                assert_eq!(swept, 0);
                let there = block_on(store.load(KEY)).unwrap();
                assert_eq!(there.version(), Some(Version::new([2; 16])));
                assert!(store.used() > 0);
            }
            Swap::Conflict(shown) => {
                assert_eq!((shown.cell, swept, store.used()), (None, 1, 0));
            }
            Swap::Full => unreachable!(),
        }
    });
}
