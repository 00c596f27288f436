//! How many guesses were looked at, counted by nobody's algorithm.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use vouchsafe_core::Timestamp;

use crate::guard::Name;

/// The most events of one account in any half-open window (t − W, t], by the definition.
#[derive(Debug)]
pub struct Monitor {
    window: Duration,
    recent: HashMap<Name, VecDeque<Timestamp>>,
    most: usize,
}

impl Monitor {
    /// A monitor of windows of this length.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { window, recent: HashMap::new(), most: 0 }
    }

    /// One more event, not before the last one of the same account.
    pub fn saw(&mut self, name: Name, at: Timestamp) {
        let recent = self.recent.entry(name).or_default();
        while recent.front().is_some_and(|first| first.after(self.window) <= at) {
            recent.pop_front();
        }
        recent.push_back(at);
        self.most = self.most.max(recent.len());
    }

    /// The most there were in one window.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }
}
