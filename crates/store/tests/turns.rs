//! The line is fair, bounded and safe to leave.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Held, LineFull, MemoryStore, Turn, Turns, drive};
use vouchsafe_testkit::{CountingStore, SeededEntropy, Tally, TallyEvent, block_on, runs};

const KEY: CellKey = CellKey::new(Space::Lockout, [7; 16]);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A caller in line, polled by hand.
struct Caller<'a> {
    turn: Option<Pin<Box<Turn<'a>>>>,
    woken: Arc<Count>,
}

impl<'a> Caller<'a> {
    fn new(turns: &'a Turns, key: CellKey) -> Self {
        Self { turn: Some(Box::pin(turns.take(key))), woken: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Result<Held<'a>, LineFull>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.turn.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn held(&mut self) -> Held<'a> {
        match self.poll() {
            Poll::Ready(held) => held.unwrap(),
            Poll::Pending => panic!("not its turn"),
        }
    }

    fn wakes(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }
}

#[test]
fn first_come_first_served() {
    let turns = Turns::new(100, 100);
    let mut callers: Vec<_> = (0..20).map(|_| Caller::new(&turns, KEY)).collect();
    assert!(turns.is_empty(), "a turn is taken by polling it");
    let mut held = callers[0].held();
    assert!(!turns.is_empty());
    assert!(callers.iter_mut().skip(1).all(|caller| caller.poll().is_pending()));
    for at in 1..20 {
        assert_eq!(callers[at].wakes(), 0);
        drop(held);
        assert_eq!(callers[at].wakes(), 1, "the next is woken, once");
        assert!(callers.iter().skip(at + 1).all(|caller| caller.wakes() == 0), "and no other");
        if at + 1 < 20 {
            assert!(callers[at + 1].poll().is_pending(), "and nobody overtakes");
        }
        held = callers[at].held();
    }
    drop(held);
    assert!(turns.is_empty());
}

#[test]
fn leaving_passes_the_turn_on() {
    let turns = Turns::new(100, 100);
    let mut callers: Vec<_> = (0..4).map(|_| Caller::new(&turns, KEY)).collect();
    let held = callers[0].held();
    assert!(callers.iter_mut().skip(1).all(|caller| caller.poll().is_pending()));
    // One from the middle leaves, and nobody is woken for that.
    callers[2].turn = None;
    assert_eq!(turns.len(), 3);
    assert_eq!(callers[3].wakes(), 0);
    // The next is woken and leaves before it takes its turn.
    drop(held);
    assert_eq!(callers[1].wakes(), 1);
    callers[1].turn = None;
    assert_eq!(callers[3].wakes(), 1);
    drop(callers[3].held());
    assert!(turns.is_empty());
}

/// A task may be polled by one executor and then by another: the last one is told, and only of its turn.
#[test]
fn whoever_polled_last_is_woken() {
    let turns = Turns::new(100, 100);
    let mut callers: Vec<_> = (0..3).map(|_| Caller::new(&turns, KEY)).collect();
    let held = callers[0].held();
    assert!(callers.iter_mut().skip(1).all(|caller| caller.poll().is_pending()));
    let before: Vec<_> = callers.iter().map(|caller| Arc::clone(&caller.woken)).collect();
    for caller in callers.iter_mut().skip(1) {
        caller.woken = Arc::default();
        assert!(caller.poll().is_pending());
    }
    drop(held);
    assert_eq!(callers.iter().map(Caller::wakes).collect::<Vec<_>>(), [0, 1, 0]);
    drop(callers[1].held());
    assert_eq!(callers.iter().map(Caller::wakes).collect::<Vec<_>>(), [0, 1, 1]);
    assert!(before.iter().all(|woken| woken.0.load(Ordering::SeqCst) == 0), "who polled before");
    drop(callers[2].held());
}

#[test]
fn lines_are_bounded_each_and_together() {
    let turns = Turns::new(2, 3);
    let key = |number| CellKey::new(Space::Lockout, [number; 16]);
    let mut callers: Vec<_> =
        [1, 1, 1, 2, 2].iter().map(|number| Caller::new(&turns, key(*number))).collect();
    let first = callers[0].held();
    assert!(callers[1].poll().is_pending());
    assert!(matches!(callers[2].poll(), Poll::Ready(Err(LineFull))), "the third of one line");
    let second = callers[3].held();
    assert!(matches!(callers[4].poll(), Poll::Ready(Err(LineFull))), "the fourth of all");
    assert_eq!(turns.len(), 3);
    drop((first, second));
    drop(callers[1].held());
    assert!(turns.is_empty());
}

/// What the line is for: with it, no swap of one node loses a race.
#[test]
fn in_line_nobody_races() {
    let turns = Turns::new(64, 64);
    let cells = CountingStore::new(MemoryStore::new(1 << 20));
    let entropy = SeededEntropy::new(1);
    let each = u64::try_from(runs(50, 1000)).unwrap();
    std::thread::scope(|scope| {
        for racer in 0..64_u64 {
            let (turns, cells, entropy) = (&turns, &cells, &entropy);
            scope.spawn(move || {
                for round in 0..each {
                    block_on(async {
                        let held = turns.take(KEY).await.unwrap();
                        let event = TallyEvent::Add(racer * each + round);
                        drive(cells, entropy, KEY, &Tally, event, Timestamp::EPOCH).await.unwrap();
                        drop(held);
                    });
                }
            });
        }
    });
    assert_eq!((cells.loads(), cells.swaps()), (64 * each, 64 * each));
    assert!(turns.is_empty());
}

#[test]
fn a_crowd_elsewhere_keeps_nobody_from_an_empty_line() {
    let turns = Turns::new(4, 2);
    let key = |byte| CellKey::new(Space::Lockout, [byte; 16]);
    let first = block_on(turns.take(key(1))).unwrap();
    let mut waiting = Box::pin(turns.take(key(1)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert!(block_on(turns.take(key(1))).is_err(), "two stand already");
    let other = block_on(turns.take(key(2))).unwrap();
    assert_eq!(turns.len(), 3);
    drop((first, waiting, other));
    assert!(turns.is_empty());
}
