//! Look whether there is a lock, verify, then count: as almost everybody does.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use vouchsafe_core::Timestamp;

use super::{By, Key};
use crate::guard::{Answer, Attempt, Guard, map_bytes};

/// When failures that did not lock are forgotten.
#[derive(Clone, Copy, Debug)]
pub enum Forget {
    /// Never.
    Never,
    /// All of them, so long after the last one.
    AfterQuiet(Duration),
    /// Each, when it is so old.
    Each(Duration),
}

/// The parameters in which the programs differ.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What failures are counted under.
    pub by: By,
    /// How many lock.
    pub limit: u32,
    /// When they are forgotten.
    pub forget: Forget,
    /// How long a lock lasts; none: until somebody ends it.
    pub lock: Option<Duration>,
    /// Whether an attempt during the lock begins it anew.
    pub extends: bool,
    /// Whether a right password clears the count.
    pub success_clears: bool,
    /// Whether the count is written back only if nobody else wrote since it was read.
    pub optimistic: bool,
}

#[derive(Default)]
struct Row {
    failures: u32,
    /// With [`Forget::Each`]: when they were.
    log: VecDeque<Timestamp>,
    last: Timestamp,
    locked: Option<Timestamp>,
    version: u64,
}

/// Counts after verifying.
pub struct CountAfter {
    rule: Rule,
    rows: HashMap<Key, Row>,
}

impl CountAfter {
    /// With these parameters.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, rows: HashMap::new() }
    }

    fn locked_from(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.rule.lock.map_or(Timestamp::MAX, |lock| now.after(lock)))
    }
}

impl Row {
    /// Forgets what is over.
    fn age(&mut self, forget: Forget, now: Timestamp) {
        if self.locked.is_some_and(|until| until <= now) {
            (self.locked, self.failures) = (None, 0);
            self.log.clear();
        }
        match forget {
            Forget::Never => {}
            Forget::AfterQuiet(quiet) if self.last.after(quiet) <= now => self.failures = 0,
            Forget::AfterQuiet(_) => {}
            Forget::Each(age) => {
                while self.log.front().is_some_and(|first| first.after(age) <= now) {
                    self.log.pop_front();
                }
                self.failures = u32::try_from(self.log.len()).unwrap_or(u32::MAX);
            }
        }
    }
}

impl Guard for CountAfter {
    fn begin(&mut self, attempt: &Attempt, now: Timestamp) -> Answer {
        let Some(key) = self.rule.by.key(attempt) else { return Answer::Verify(0) };
        let anew = self.locked_from(now);
        let Some(row) = self.rows.get_mut(&key) else { return Answer::Verify(0) };
        row.age(self.rule.forget, now);
        if row.locked.is_none() {
            return Answer::Verify(row.version);
        }
        if self.rule.extends {
            (row.locked, row.last) = (anew, now);
        }
        Answer::Refuse
    }

    fn settle(&mut self, ticket: u64, attempt: &Attempt, right: bool, now: Timestamp) {
        let Some(key) = self.rule.by.key(attempt) else { return };
        if right {
            if self.rule.success_clears {
                self.rows.remove(&key);
            }
            return;
        }
        let until = self.locked_from(now);
        let row = self.rows.entry(key).or_default();
        if self.rule.optimistic && row.version != ticket {
            return;
        }
        row.age(self.rule.forget, now);
        (row.version, row.last) = (row.version.wrapping_add(1), now);
        row.failures = row.failures.saturating_add(1);
        if let Forget::Each(_) = self.rule.forget {
            row.log.push_back(now);
        }
        if row.failures >= self.rule.limit && (row.locked.is_none() || self.rule.extends) {
            row.locked = until;
        }
    }

    fn bytes(&self) -> usize {
        let logs: usize = self.rows.values().map(|row| row.log.capacity()).sum();
        map_bytes::<(Key, Row)>(self.rows.len())
            .saturating_add(logs.saturating_mul(size_of::<Timestamp>()))
    }

    fn upkeep(&mut self, now: Timestamp) {
        let forget = self.rule.forget;
        self.rows.retain(|_, row| {
            row.age(forget, now);
            row.failures > 0 || row.locked.is_some()
        });
    }
}
