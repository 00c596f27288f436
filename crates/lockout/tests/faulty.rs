//! How others count, put through what our machine is put through: each lets more than five by.
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

use std::collections::VecDeque;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use common::*;
use vouchsafe_core::Timestamp;
use vouchsafe_lockout::LockoutVerdict as V;

/// Five failures in 24 hours, somehow.
trait Counter: Send {
    /// May this attempt be verified?
    fn begin(&mut self, id: u64, now: Timestamp) -> bool;
    /// It was verified, and was wrong.
    fn failed(&mut self, id: u64, now: Timestamp);
}

impl Counter for Account {
    fn begin(&mut self, id: u64, now: Timestamp) -> bool {
        matches!(self.send(begin(id), now), V::Admitted(_))
    }

    fn failed(&mut self, id: u64, now: Timestamp) {
        self.send(wrong(id), now);
    }
}

/// A log as exact as ours, written after the verification.
#[derive(Default)]
struct CheckVerifyCount(VecDeque<Timestamp>);

impl Counter for CheckVerifyCount {
    fn begin(&mut self, _: u64, now: Timestamp) -> bool {
        self.0.retain(|at| *at > now.before(DAY));
        self.0.len() < 5
    }

    fn failed(&mut self, _: u64, now: Timestamp) {
        self.0.push_back(now);
    }
}

/// A counter for each calendar day.
#[derive(Default)]
struct FixedWindow {
    day: i64,
    count: u32,
}

impl Counter for FixedWindow {
    fn begin(&mut self, _: u64, now: Timestamp) -> bool {
        let day = now.micros() / DAY.as_micros() as i64;
        if day != self.day {
            *self = Self { day, count: 0 };
        }
        self.count += 1;
        self.count <= 5
    }

    fn failed(&mut self, _: u64, _: Timestamp) {}
}

/// The generic cell rate algorithm: a burst of five, one more each 4.8 hours.
#[derive(Default)]
struct Gcra {
    due: Timestamp,
}

impl Counter for Gcra {
    fn begin(&mut self, _: u64, now: Timestamp) -> bool {
        let each = DAY / 5;
        let due = self.due.max(now);
        if due.before(each * 4) > now {
            return false;
        }
        self.due = due.after(each);
        true
    }

    fn failed(&mut self, _: u64, _: Timestamp) {}
}

/// The most verified guesses in any half-open day.
fn worst_day(verified: &[Timestamp]) -> usize {
    let in_day_before =
        |end: &Timestamp| verified.iter().filter(|at| *at <= end && **at > end.before(DAY)).count();
    verified.iter().map(in_day_before).max().unwrap_or(0)
}

/// One guess after the other: a burst at the end of a day, one at its turn, then a steady drip.
fn one_by_one(mut counter: impl Counter) -> usize {
    let burst = |from: Timestamp| (0..50_u32).map(move |n| from.after(MS * n));
    let drip = (1..500_u32).map(|n| START.after(DAY + Duration::from_secs(600) * n));
    let times = burst(START.after(DAY).before(HOUR)).chain(burst(START.after(DAY))).chain(drip);
    let mut verified = Vec::new();
    for (id, now) in times.enumerate() {
        if counter.begin(id as u64, now) {
            counter.failed(id as u64, now);
            verified.push(now);
        }
    }
    worst_day(&verified)
}

/// Fifty threads at once, none of which has finished verifying before all have begun.
fn at_once(counter: impl Counter) -> usize {
    let (counter, begun) = (Mutex::new(counter), Barrier::new(50));
    thread::scope(|scope| {
        let each = |id: u64| {
            let (counter, begun) = (&counter, &begun);
            scope.spawn(move || {
                let admitted = counter.lock().unwrap().begin(id, START);
                begun.wait();
                if admitted {
                    counter.lock().unwrap().failed(id, START);
                }
                admitted
            })
        };
        let guesses: Vec<_> = (0..50).map(each).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).filter(|admitted| *admitted).count()
    })
}

#[test]
fn ours_lets_five_by() {
    assert_eq!(one_by_one(Account::new(five_a_day())), 5);
    assert_eq!(at_once(Account::new(five_a_day())), 5);
}

#[test]
fn check_verify_count_fails_at_once() {
    assert_eq!(one_by_one(CheckVerifyCount::default()), 5);
    assert_eq!(at_once(CheckVerifyCount::default()), 50);
}

#[test]
fn a_fixed_window_fails_at_the_turn_of_the_day() {
    assert_eq!(one_by_one(FixedWindow::default()), 10);
    assert_eq!(at_once(FixedWindow::default()), 5);
}

#[test]
fn gcra_fails_over_a_day() {
    assert_eq!(one_by_one(Gcra::default()), 9);
    assert_eq!(at_once(Gcra::default()), 5);
}
