//! Who is next, and with which memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::bench::{Bench, caught};
use crate::hash::Memory;
use crate::job::Job;
use crate::ticket::Answer;
use crate::{Hashing, NotVerifiedReason, Work};

/// For how long nobody may come before the memory is wiped.
const IDLE: Duration = Duration::from_millis(100);
/// Longer than anybody waits for the next look at who waited too long.
const DAY: Duration = Duration::from_secs(86_400);

pub(crate) struct Config {
    pub(crate) length: usize,
    pub(crate) budget_kib: u32,
    pub(crate) max_wait: Duration,
}

pub(crate) struct Queue {
    config: Config,
    bench: Arc<Bench>,
    state: Mutex<State>,
    changed: Condvar,
    /// Somebody waits where nobody did, or it was stopped.
    waited_for: Condvar,
    refused: AtomicU64,
    somebody_left: Arc<AtomicBool>,
}

struct State {
    /// And since when, by the clock that nobody can set; `None` where that does not tell.
    waiting: VecDeque<(Job, Option<Duration>)>,
    free: Vec<Memory>,
    /// KiB of all memory there is or is about to be, free or in use.
    held_kib: u32,
    /// Of that, what is being given up for memory that is counted already.
    twice_kib: u32,
    stopped: bool,
}

/// What a worker does next.
enum Next {
    Run(Job, Place),
    TooLate(Job),
    Forget(Job),
    Wipe(Vec<Memory>),
    Wait { idle: bool },
    Stop,
}

/// Where the memory of a job comes from.
enum Place {
    Kept(Memory),
    /// Room for `kib` is taken already; these are to be given up first.
    Fresh {
        kib: u32,
        instead_of: Vec<Memory>,
    },
}

impl Queue {
    pub(crate) fn new(config: Config, bench: Arc<Bench>) -> Self {
        let waiting = VecDeque::new();
        let state = State { waiting, free: Vec::new(), held_kib: 0, twice_kib: 0, stopped: false };
        let (state, changed, waited_for) = (Mutex::new(state), Condvar::new(), Condvar::new());
        let (refused, somebody_left) = (AtomicU64::new(0), Arc::default());
        Self { config, bench, state, changed, waited_for, refused, somebody_left }
    }

    pub(crate) fn bench(&self) -> &Bench {
        &self.bench
    }

    /// Two ends of an answer to somebody who may go away.
    pub(crate) fn ticket<T>(&self) -> (Answer<T>, Hashing<T>) {
        Answer::pair(&self.somebody_left)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the job on, or answers it at once.
    pub(crate) fn push(&self, job: Job) {
        let now = self.bench.steady();
        let mut state = self.lock();
        let full = state.waiting.len() >= self.config.length;
        let mut left = VecDeque::new();
        if full && self.somebody_left.swap(false, Ordering::SeqCst) {
            // Whoever went away waits no more.
            let all = std::mem::take(&mut state.waiting).into_iter();
            (left, state.waiting) = all.partition(|(job, _)| job.is_abandoned());
        }
        let reason = if state.stopped {
            NotVerifiedReason::Stopped
        } else if state.waiting.len() >= self.config.length {
            NotVerifiedReason::Busy
        } else {
            let first = state.waiting.is_empty();
            state.waiting.push_back((job, now));
            drop(state);
            self.changed.notify_all();
            if first {
                self.waited_for.notify_one();
            }
            // Without the lock, as in `act`: a list may do anything when it goes.
            return gone(left);
        };
        drop(state);
        gone(left);
        self.refuse(job, reason);
    }

    fn refuse(&self, job: Job, reason: NotVerifiedReason) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        job.refuse(reason);
    }

    /// Takes on nothing more, and answers whoever waits: here, as the threads may all be busy, with a list
    /// that stands still for one.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        self.waited_for.notify_one();
        for (job, _) in waiting {
            survived(|| self.refuse(job, NotVerifiedReason::Stopped));
        }
    }

    pub(crate) fn stats(&self) -> Work {
        let (runs, blocks) = self.bench.done();
        let refused = self.refused.load(Ordering::Relaxed);
        let state = self.lock();
        let held_kib = state.held_kib.saturating_sub(state.twice_kib);
        Work { runs, blocks, refused, queued: state.waiting.len(), held_kib }
    }

    /// A worker's life.
    pub(crate) fn work(&self) {
        let mut state = self.lock();
        let mut idle_for_long = false;
        loop {
            let next = self.next(&mut state, idle_for_long);
            idle_for_long = false;
            match next {
                Next::Wait { idle: true } => {
                    let (guard, timeout) = self
                        .changed
                        .wait_timeout(state, IDLE)
                        .unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    idle_for_long = timeout.timed_out();
                    continue;
                }
                Next::Wait { idle: false } => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Next::Stop => return,
                other => {
                    drop(state);
                    self.act(other);
                    state = self.lock();
                }
            }
        }
    }

    /// The life of the thread that answers whoever waited too long while every worker is busy: a list
    /// may stand still, and a hash takes its time.
    pub(crate) fn expire(&self) {
        let mut state = self.lock();
        while !state.stopped {
            let Some((_, since)) = state.waiting.front() else {
                state = self.waited_for.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if let Some(left) = self.left(*since) {
                // Too long is longer than that.
                let next_look = left.min(DAY).saturating_add(Duration::from_millis(1));
                let waiting = self.waited_for.wait_timeout(state, next_look);
                state = waiting.unwrap_or_else(PoisonError::into_inner).0;
            } else if let Some((job, _)) = state.waiting.pop_front() {
                drop(state);
                self.act(Next::TooLate(job));
                state = self.lock();
            }
        }
    }

    /// For how long somebody may wait yet who has waited since then; `None` for longer than allowed.
    fn left(&self, since: Option<Duration>) -> Option<Duration> {
        let waited = self.bench.steady()?.saturating_sub(since?);
        self.config.max_wait.checked_sub(waited)
    }

    fn next(&self, state: &mut State, idle_for_long: bool) -> Next {
        let Some((job, since)) = state.waiting.front() else {
            return if state.stopped {
                Next::Stop
            } else if !state.free.iter().any(|memory| memory.dirty) {
                Next::Wait { idle: false }
            } else if idle_for_long {
                Next::Wipe(std::mem::take(&mut state.free))
            } else {
                Next::Wait { idle: true }
            };
        };
        let (abandoned, kib) = (job.is_abandoned(), job.kib(&self.bench));
        let waited = self.left(*since).is_none();
        if !abandoned && !waited {
            return match state.place(kib, self.config.budget_kib) {
                // It came off the front just now.
                Some(place) => match state.waiting.pop_front() {
                    Some((job, _)) => Next::Run(job, place),
                    None => Next::Wait { idle: false },
                },
                None => Next::Wait { idle: false },
            };
        }
        match state.waiting.pop_front() {
            Some((job, _)) if abandoned => Next::Forget(job),
            Some((job, _)) => Next::TooLate(job),
            None => Next::Wait { idle: false },
        }
    }

    /// Without the lock: answering wakes strangers, and memory takes time.
    fn act(&self, next: Next) {
        match next {
            Next::Run(job, place) => {
                let memory = match place {
                    Place::Kept(memory) => Some(memory),
                    Place::Fresh { kib, instead_of } => self.fresh(kib, instead_of),
                };
                match memory {
                    Some(mut memory) => {
                        survived(|| job.run(&self.bench, &mut memory));
                        // None at all is kept for nobody.
                        if memory.kib() > 0 {
                            self.lock().free.push(memory);
                        }
                    }
                    None => survived(|| self.refuse(job, NotVerifiedReason::Failed)),
                }
                self.changed.notify_all();
            }
            Next::TooLate(job) => {
                survived(|| self.refuse(job, NotVerifiedReason::Waited));
                // Who is next may need less memory.
                self.changed.notify_all();
            }
            Next::Forget(job) => {
                survived(|| drop(job));
                self.changed.notify_all();
            }
            Next::Wipe(mut free) => {
                free.iter_mut().for_each(Memory::wipe);
                self.lock().free.append(&mut free);
                self.changed.notify_all();
            }
            Next::Wait { .. } | Next::Stop => {}
        }
    }

    fn fresh(&self, kib: u32, instead_of: Vec<Memory>) -> Option<Memory> {
        let given_up = instead_of.iter().fold(0_u32, |sum, m| sum.saturating_add(m.kib()));
        drop(instead_of);
        let memory = Memory::new(kib);
        let not_got = if memory.is_some() { 0 } else { kib };
        let mut state = self.lock();
        state.held_kib = state.held_kib.saturating_sub(given_up).saturating_sub(not_got);
        state.twice_kib = state.twice_kib.saturating_sub(given_up);
        drop(state);
        // What was given up may be more than what was taken.
        self.changed.notify_all();
        memory
    }
}

/// A list that panics when it goes is none of the worker's business either.
fn survived(work: impl FnOnce()) {
    let _ = caught(|| {
        work();
        Ok(())
    });
}

/// One by one: two that panic at once end the process.
fn gone(jobs: VecDeque<(Job, Option<Duration>)>) {
    for job in jobs {
        survived(|| drop(job));
    }
}

impl State {
    /// Memory of at least `kib`: the smallest that is free, or new, in place of free ones where
    /// the budget wants that. `None` until others are done.
    fn place(&mut self, kib: u32, budget_kib: u32) -> Option<Place> {
        if kib == 0 {
            return Some(Place::Fresh { kib, instead_of: Vec::new() });
        }
        let fits = self.free.iter().enumerate().filter(|(_, memory)| memory.kib() >= kib);
        if let Some((at, _)) = fits.min_by_key(|(_, memory)| memory.kib()) {
            return Some(Place::Kept(self.free.swap_remove(at)));
        }
        let over = self.held_kib.saturating_add(kib).saturating_sub(budget_kib);
        let free = self.free.iter().fold(0_u32, |sum, m| sum.saturating_add(m.kib()));
        if free < over {
            return None;
        }
        let mut instead_of = Vec::new();
        let mut given_up = 0_u32;
        while given_up < over
            && let Some(memory) = self.free.pop()
        {
            given_up = given_up.saturating_add(memory.kib());
            instead_of.push(memory);
        }
        // Counted twice until they are gone, so that nobody takes the room in between.
        self.held_kib = self.held_kib.saturating_add(kib);
        self.twice_kib = self.twice_kib.saturating_add(given_up);
        Some(Place::Fresh { kib, instead_of })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use vouchsafe_core::{Standing, Timestamp};
    use vouchsafe_testkit::{ManualClock, SeededEntropy};
    use zeroize::Zeroizing;

    use super::*;
    use crate::config::PoolKeys;
    use crate::hashed::Input;
    use crate::job::WrapJob;
    use crate::{Binding, HashPolicy, PasswordError};

    /// Where nobody may wait.
    fn queue() -> (Queue, Arc<ManualClock>) {
        let policy = HashPolicy::danger_below_floor(64, 2).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let entropy = Arc::new(SeededEntropy::new(1));
        let keys = PoolKeys::new();
        let bench =
            Bench::new(policy, 64, Arc::<ManualClock>::clone(&clock), entropy, keys).unwrap();
        let config = Config { length: 1, budget_kib: 64, max_wait: Duration::ZERO };
        (Queue::new(config, Arc::new(bench)), clock)
    }

    /// By a worker, which may find them before the thread that looks for them.
    #[test]
    fn who_waited_too_long_is_told_and_who_went_away_is_forgotten() {
        let (queue, clock) = queue();
        let push = || {
            let (answer, hashing) = queue.ticket();
            let (digest, binding) = (Zeroizing::default(), Binding::nobody());
            let standing = Standing::Chosen;
            let job = WrapJob { input: Input::Plain, digest, standing, binding, answer };
            queue.push(Job::Wrap(job));
            hashing
        };
        let next = || queue.next(&mut queue.lock(), false);
        let waits = push();
        clock.advance(Duration::from_millis(1));
        let late = next();
        assert!(matches!(late, Next::TooLate(_)));
        queue.act(late);
        assert_eq!(waits.wait(), Err(PasswordError::NotHashed(NotVerifiedReason::Waited)));
        drop(push());
        assert!(matches!(next(), Next::Forget(_)));
    }

    /// The first time without work it waits for more, the second it wipes, and then waits for ever.
    #[test]
    fn memory_is_wiped_when_nobody_came() {
        let (queue, _) = queue();
        let next = |idle_for_long| queue.next(&mut queue.lock(), idle_for_long);
        assert!(matches!(next(true), Next::Wait { idle: false }));
        let mut used = Memory::new(8).unwrap();
        used.blocks_mut();
        queue.lock().free.push(used);
        assert!(matches!(next(false), Next::Wait { idle: true }));
        let wipe = next(true);
        assert!(matches!(&wipe, Next::Wipe(free) if free.len() == 1));
        assert!(queue.lock().free.is_empty());
        queue.act(wipe);
        let kept: Vec<_> = queue.lock().free.iter().map(|m| (m.kib(), m.dirty)).collect();
        assert_eq!(kept, [(8, false)]);
        assert!(matches!(next(true), Next::Wait { idle: false }));
        queue.stop();
        assert!(matches!(next(false), Next::Stop));
    }

    /// From these free memories under a budget of 64 KiB, with so much in use beside them: the memory
    /// that is kept, or what is given up for a new one.
    fn place(free: &[u32], used: u32, kib: u32) -> Option<Result<u32, Vec<u32>>> {
        let held_kib = used + free.iter().sum::<u32>();
        let free = free.iter().map(|kib| Memory::new(*kib).unwrap()).collect();
        let mut state =
            State { waiting: VecDeque::new(), free, held_kib, twice_kib: 0, stopped: false };
        let place = state.place(kib, 64)?;
        let grown = state.held_kib - held_kib;
        Some(match place {
            Place::Kept(memory) => {
                assert_eq!(grown, 0);
                Ok(memory.kib())
            }
            Place::Fresh { kib: fresh, instead_of } => {
                assert_eq!((fresh, grown), (kib, kib), "both are counted until one is gone");
                let given_up: Vec<u32> = instead_of.iter().map(Memory::kib).collect();
                assert_eq!(state.twice_kib, given_up.iter().sum::<u32>());
                assert!(state.held_kib - state.twice_kib <= 64, "over the budget");
                Err(given_up)
            }
        })
    }

    #[test]
    fn as_little_memory_as_will_do_and_no_more_given_up_than_must_be() {
        assert_eq!(place(&[32, 8, 16], 0, 8), Some(Ok(8)));
        assert_eq!(place(&[32, 8, 16], 0, 9), Some(Ok(16)));
        assert_eq!(place(&[8, 8], 0, 48), Some(Err(vec![])));
        assert_eq!(place(&[8, 8], 0, 49), Some(Err(vec![8])));
        assert_eq!(place(&[8, 8], 0, 56), Some(Err(vec![8])));
        assert_eq!(place(&[8, 8], 0, 64), Some(Err(vec![8, 8])));
        assert_eq!(place(&[8], 48, 16), Some(Err(vec![8])));
        assert_eq!(place(&[8], 48, 17), None);
        assert_eq!(place(&[], 0, 64), Some(Err(vec![])));
    }
}
