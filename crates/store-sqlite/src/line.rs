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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Ask(usize);

    /// Nobody waits for the odd ones.
    impl Job for (Ask, Arc<Mutex<Vec<usize>>>) {
        fn is_over(&self) -> bool {
            self.0.0 % 2 == 1
        }

        fn refuse(self, _: &str) {
            self.1.lock().unwrap().push(self.0.0);
        }
    }

    type Asks = Line<(Ask, Arc<Mutex<Vec<usize>>>)>;

    fn push(line: &Asks, numbers: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let refused = Arc::default();
        numbers.into_iter().for_each(|number| line.push((Ask(number), Arc::clone(&refused))));
        let refused = refused.lock().unwrap();
        refused.clone()
    }

    fn take(line: &Asks, most: usize) -> Vec<usize> {
        line.take(most).into_iter().map(|(Ask(number), _)| number).collect()
    }

    #[test]
    fn it_is_bounded_and_open_again_when_one_was_taken() {
        let line = Asks::default();
        let even = |numbers: std::ops::Range<usize>| numbers.map(|number| number * 2);
        assert!(push(&line, even(0..MAX_WAITING)).is_empty());
        assert_eq!(line.len(), MAX_WAITING);
        assert_eq!(push(&line, [8]), [8]);
        assert_eq!(take(&line, 1), [0]);
        assert_eq!(push(&line, [8, 10]), [10]);
        assert_eq!(line.len(), MAX_WAITING);
    }

    #[test]
    fn when_it_is_full_those_that_are_over_make_room() {
        let line = Asks::default();
        assert!(push(&line, 0..MAX_WAITING).is_empty());
        assert_eq!(line.len(), MAX_WAITING);
        assert!(push(&line, [2]).is_empty());
        assert_eq!(line.len(), MAX_WAITING / 2 + 1);
    }

    #[test]
    fn they_are_taken_in_order_and_those_that_are_over_are_not_begun() {
        let line = Asks::default();
        push(&line, [1, 3, 0, 2, 5, 4, 6]);
        // The first two are over: it goes on to the next.
        assert_eq!(take(&line, 2), [0, 2]);
        assert_eq!(take(&line, 10), [4, 6]);
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn closed_it_takes_nothing_more_and_what_waits_is_done() {
        let line = Asks::default();
        push(&line, [0, 2]);
        line.close();
        assert_eq!(push(&line, [4]), [4]);
        assert_eq!((take(&line, 1), take(&line, 1)), (vec![0], vec![2]));
        assert!(take(&line, 1).is_empty());
    }

    #[test]
    fn whoever_takes_waits_for_one() {
        let line = Asks::default();
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| (take(&line, 1), take(&line, 1)));
            push(&line, [1, 2]);
            line.close();
            assert_eq!(taken.join().unwrap(), (vec![2], vec![]));
        });
    }
}
