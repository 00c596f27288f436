//! Rate limits put before a door: they count requests, not failures, and cannot give one back.

use std::collections::HashMap;
use std::time::Duration;

use vouchsafe_core::Timestamp;

use super::{By, Key};
use crate::guard::{Answer, Attempt, Guard, map_bytes};

/// So many requests in each period since the epoch, for each of some keys.
pub struct FixedWindow {
    by: Vec<By>,
    limit: u32,
    period: Duration,
    counts: HashMap<Key, (i64, u32)>,
}

impl FixedWindow {
    /// `limit` in each `period`, counted under each of `by`.
    #[must_use]
    pub fn new(by: &[By], limit: u32, period: Duration) -> Self {
        Self { by: by.to_vec(), limit, period, counts: HashMap::new() }
    }

    fn number(&self, now: Timestamp) -> i64 {
        let period = i64::try_from(self.period.as_micros()).unwrap_or(i64::MAX);
        now.micros().checked_div_euclid(period).unwrap_or(0)
    }
}

impl Guard for FixedWindow {
    fn begin(&mut self, attempt: &Attempt, now: Timestamp) -> Answer {
        let number = self.number(now);
        let mut answer = Answer::Verify(0);
        for key in self.by.iter().filter_map(|by| by.key(attempt)) {
            let count = self.counts.entry(key).or_insert((number, 0));
            if count.0 != number {
                *count = (number, 0);
            }
            count.1 = count.1.saturating_add(1);
            if count.1 > self.limit {
                answer = Answer::Refuse;
            }
        }
        answer
    }

    fn settle(&mut self, _: u64, _: &Attempt, _: bool, _: Timestamp) {}

    fn bytes(&self) -> usize {
        map_bytes::<(Key, (i64, u32))>(self.counts.len())
    }

    fn upkeep(&mut self, now: Timestamp) {
        let number = self.number(now);
        self.counts.retain(|_, count| count.0 == number);
    }
}

/// The generic cell rate algorithm: a burst, refilled evenly, in one moment a key.
pub struct Gcra {
    /// One more every so often.
    each: Duration,
    /// How far ahead of now the arrival time may be.
    tolerance: Duration,
    arrivals: HashMap<Key, Timestamp>,
}

impl Gcra {
    /// `burst` at once, refilled over `period`, by name.
    #[must_use]
    pub fn new(burst: u32, period: Duration) -> Self {
        let each = period.checked_div(burst).unwrap_or(period);
        let tolerance = each.saturating_mul(burst.saturating_sub(1));
        Self { each, tolerance, arrivals: HashMap::new() }
    }
}

impl Guard for Gcra {
    fn begin(&mut self, attempt: &Attempt, now: Timestamp) -> Answer {
        let Some(key) = By::Name.key(attempt) else { return Answer::Refuse };
        let arrival = self.arrivals.entry(key).or_insert(now);
        let due = (*arrival).max(now);
        if due > now.after(self.tolerance) {
            return Answer::Refuse;
        }
        *arrival = due.after(self.each);
        Answer::Verify(0)
    }

    fn settle(&mut self, _: u64, _: &Attempt, _: bool, _: Timestamp) {}

    fn bytes(&self) -> usize {
        map_bytes::<(Key, Timestamp)>(self.arrivals.len())
    }

    fn upkeep(&mut self, now: Timestamp) {
        self.arrivals.retain(|_, arrival| *arrival > now);
    }
}
