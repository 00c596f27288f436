//! How far time has certainly come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Clock, Timestamp};

/// Tells a clock that leapt from time that passed, for whatever cannot be undone.
///
/// A clock that is suddenly a year ahead makes everything look expired. So what destroys (sweeps,
/// pruning, the end of keys) does not ask the clock, but this: [`observe`](Self::observe) never runs
/// more than [`TOLERANCE`](Self::TOLERANCE) ahead of what a steady clock has measured since the time
/// was last certain. A leap is believed after [`CONFIRMED_BY`](Self::CONFIRMED_BY) of steady running,
/// or when another clock or an operator [confirms](Self::confirm) it. A clock that goes backwards is
/// followed at once: destroying later destroys nothing.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// What the clock showed at the steady clock's zero, in microseconds: as last confirmed.
    certain: i64,
    /// As last seen.
    seen: i64,
    /// Since when, by the steady clock, it has been seen so.
    since: Duration,
}

/// A clock held against the steady one beside it: what it shows may be destroyed by. For a store that
/// makes room by a clock of its own.
///
/// It begins with what the clock shows when this is made, and where there is no steady clock it is the
/// clock.
#[derive(Debug)]
pub struct Anchored<C> {
    clock: C,
    anchor: Mutex<Option<Anchor>>,
}

impl<C: Clock> Anchored<C> {
    /// Anchored at what `clock` shows now.
    #[must_use]
    pub fn new(clock: C) -> Self {
        let anchored = Self { clock, anchor: Mutex::new(None) };
        anchored.confirm();
        anchored
    }

    /// Somebody who knows says that the clock is right.
    pub fn confirm(&self) {
        let now = self.clock.now();
        *self.anchor() = self.clock.steady().map(|steady| Anchor::new(now, steady));
    }

    fn anchor(&self) -> MutexGuard<'_, Option<Anchor>> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock> Clock for Anchored<C> {
    fn now(&self) -> Timestamp {
        let mut anchor = self.anchor();
        let (now, steady) = (self.clock.now(), self.clock.steady());
        match (anchor.as_mut(), steady) {
            (Some(anchor), Some(steady)) => anchor.observe(now, steady),
            _ => now,
        }
    }

    fn steady(&self) -> Option<Duration> {
        self.clock.steady()
    }
}

/// A clock that is ahead of what is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// By how much.
    pub ahead: Duration,
    /// How much longer it has to run steadily to be believed.
    pub confirmed_in: Duration,
}

impl Anchor {
    /// How far a clock may be ahead: corrections by a time server are smaller, and nothing is kept
    /// for so short a time that losing it ten minutes early would matter.
    pub const TOLERANCE: Duration = Duration::from_secs(600);
    /// For how long a clock that leapt has to run steadily to be believed: a day, in which somebody
    /// notices.
    pub const CONFIRMED_BY: Duration = Duration::from_secs(86_400);

    /// At `steady` of the steady clock, it was certainly `certain`: what a time server, a store, or
    /// the last entry of a log says. A moment that is too early is safe.
    #[must_use]
    pub fn new(certain: Timestamp, steady: Duration) -> Self {
        let line = line(certain, steady);
        Self { certain: line, seen: line, since: steady }
    }

    /// The clock shows `now` at `steady` of the steady clock. What expired before the answer may be
    /// destroyed.
    pub fn observe(&mut self, now: Timestamp, steady: Duration) -> Timestamp {
        let line = line(now, steady);
        if line.abs_diff(self.seen) > micros(Self::TOLERANCE).unsigned_abs() {
            (self.seen, self.since) = (line, steady);
        } else if steady.saturating_sub(self.since) >= Self::CONFIRMED_BY {
            (self.certain, self.seen, self.since) = (line, line, steady);
        }
        now.min(self.reached(steady))
    }

    /// Another clock, or an operator, confirms that it is `now` at `steady` of the steady clock.
    pub fn confirm(&mut self, now: Timestamp, steady: Duration) {
        *self = Self::new(now, steady);
    }

    /// Whether a clock that shows `now` at `steady` is further ahead than is certain.
    #[must_use]
    pub fn doubt(&self, now: Timestamp, steady: Duration) -> Option<Doubt> {
        let ahead = now.since(self.reached(steady));
        (!ahead.is_zero()).then(|| Doubt {
            ahead: ahead.saturating_add(Self::TOLERANCE),
            confirmed_in: Self::CONFIRMED_BY.saturating_sub(steady.saturating_sub(self.since)),
        })
    }

    fn reached(&self, steady: Duration) -> Timestamp {
        Timestamp::from_micros(self.certain).after(steady).after(Self::TOLERANCE)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn line(now: Timestamp, steady: Duration) -> i64 {
    now.micros().saturating_sub(micros(steady))
}
