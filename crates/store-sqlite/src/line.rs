//! What waits for a thread of the store's.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Most requests that may wait in one line.
const MAX_WAITING: usize = 4096;

/// Something a thread does for a caller.
pub(crate) trait Job {
    /// Nobody waits for it any more: its deadline has passed.
    fn is_over(&self) -> bool;
    /// It is not done, for this reason.
    fn refuse(self, reason: &str);
}

/// A bounded line of them.
pub(crate) struct Line<J> {
    waiting: Mutex<Jobs<J>>,
    changed: Condvar,
}

struct Jobs<J> {
    jobs: Vec<J>,
    closed: bool,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        let waiting = Mutex::new(Jobs { jobs: Vec::new(), closed: false });
        Self { waiting, changed: Condvar::new() }
    }
}

impl<J: Job> Line<J> {
    pub(crate) fn push(&self, job: J) {
        let mut line = self.lock();
        if line.jobs.len() >= MAX_WAITING {
            line.jobs.retain(|job| !job.is_over());
        }
        if line.closed || line.jobs.len() >= MAX_WAITING {
            drop(line);
            job.refuse("too many calls are waiting");
            return;
        }
        line.jobs.push(job);
        drop(line);
        self.changed.notify_one();
    }

    /// The threads do what is waiting, and then end.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// What waits, at most `most`; waits for it. Empty when the line is closed and done. What nobody
    /// waits for any more is not begun.
    pub(crate) fn take(&self, most: usize) -> Vec<J> {
        let mut line = self.lock();
        loop {
            line = self
                .changed
                .wait_while(line, |line| line.jobs.is_empty() && !line.closed)
                .unwrap_or_else(PoisonError::into_inner);
            if line.jobs.is_empty() {
                return Vec::new();
            }
            let take = line.jobs.len().min(most);
            let mut taken: Vec<J> = line.jobs.drain(..take).collect();
            taken.retain(|job| !job.is_over());
            if !taken.is_empty() {
                return taken;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    fn lock(&self) -> MutexGuard<'_, Jobs<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
