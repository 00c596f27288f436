//! How often may one source try at all.
//!
//! Approximate on purpose, and ahead of the exact counting: it keeps floods off the hashing
//! threads, it does not decide whether an account is locked.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use vouchsafe_core::{Clock, Prefix, Source, Timestamp, Unavailable};

use crate::LockoutError;

/// So many attempts at once, refilled evenly over the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    attempts: u32,
    per: Duration,
}

impl Rate {
    /// Most attempts of a rate.
    pub const MAX_ATTEMPTS: u32 = 1_000_000;
    /// Shortest period.
    pub const MIN_PERIOD: Duration = Duration::from_secs(1);
    /// Longest period: a day.
    pub const MAX_PERIOD: Duration = Duration::from_secs(86_400);

    /// `attempts` in each `per`.
    ///
    /// # Errors
    /// [`LockoutError::Rate`] when a number is out of bounds.
    pub fn new(attempts: u32, per: Duration) -> Result<Self, LockoutError> {
        let (min, max) = (Self::MIN_PERIOD, Self::MAX_PERIOD);
        if attempts == 0 || attempts > Self::MAX_ATTEMPTS || per < min || per > max {
            return Err(LockoutError::Rate { max_attempts: Self::MAX_ATTEMPTS, min, max });
        }
        Ok(Self { attempts, per })
    }

    /// How many attempts.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// In what time.
    #[must_use]
    pub const fn per(&self) -> Duration {
        self.per
    }

    fn quota(self) -> Option<Quota> {
        let each = self.per.checked_div(self.attempts)?;
        Some(Quota::with_period(each)?.allow_burst(NonZeroU32::new(self.attempts)?))
    }
}

/// How often one source may try, by the size of the block it is seen as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePolicy {
    narrow: Rate,
    middle: Rate,
    wide: Rate,
    max_sources: usize,
}

impl SourcePolicy {
    /// Fewest sources to keep apart.
    pub const MIN_SOURCES: usize = 16;
    /// Most sources to keep apart: about 64 MiB on each of the three steps.
    pub const MAX_SOURCES: usize = 1 << 20;

    /// Rates for one IPv4 address or IPv6 /64, for an IPv6 /56 and for an IPv6 /48, and how many
    /// blocks of each size are kept apart.
    ///
    /// # Errors
    /// [`LockoutError::MaxSources`] when the cap is out of bounds.
    pub fn new(
        narrow: Rate,
        middle: Rate,
        wide: Rate,
        max_sources: usize,
    ) -> Result<Self, LockoutError> {
        let (min, max) = (Self::MIN_SOURCES, Self::MAX_SOURCES);
        if max_sources < min || max_sources > max {
            return Err(LockoutError::MaxSources { min, max });
        }
        Ok(Self { narrow, middle, wide, max_sources })
    }

    /// The rate for one IPv4 address or IPv6 /64.
    #[must_use]
    pub const fn narrow(&self) -> Rate {
        self.narrow
    }

    /// The rate for an IPv6 /56.
    #[must_use]
    pub const fn middle(&self) -> Rate {
        self.middle
    }

    /// The rate for an IPv6 /48.
    #[must_use]
    pub const fn wide(&self) -> Rate {
        self.wide
    }

    /// How many blocks of each size are kept apart.
    #[must_use]
    pub const fn max_sources(&self) -> usize {
        self.max_sources
    }
}

impl Default for SourcePolicy {
    /// 300, 400 and 500 attempts in five minutes: an office of 500 behind one address signs in
    /// within ten minutes, and one machine gets no more than one hash a second in the long run.
    /// 100 000 blocks of each size, about 7 MiB.
    fn default() -> Self {
        let rate = |attempts| Rate { attempts, per: Duration::from_secs(300) };
        Self { narrow: rate(300), middle: rate(400), wide: rate(500), max_sources: 100_000 }
    }
}

/// Refused for the sake of its source; nothing was charged to any account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts from one source")]
pub struct Throttled {
    /// How long to wait, absent other attempts from there.
    pub retry_after: Duration,
    /// How many leading bits of the address the refusing block has; `None` when the source has no
    /// address, or shares a block because the map was full.
    pub block: Option<u8>,
}

/// What attempts are counted under.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Block(Prefix),
    Nowhere(Unavailable),
}

/// Throttles attempts by source, in memory of a fixed size.
///
/// An IPv4 address is one source. An IPv6 address counts under its /64, /56 and /48, narrowest
/// first, and the first that refuses ends it: one subscriber's flood does not spend what the wider
/// block has. Attempts without an address share one count for each reason, so hiding it gains
/// nothing.
///
/// When a map is full, blocks that have refilled are dropped; if none has, **new blocks share one
/// count** until there is room again. So a flood from very many blocks makes the throttle stricter
/// for newcomers, never laxer, and never larger. The counts are this process's and start afresh
/// with it.
pub struct SourceThrottle {
    steps: [Step; 3],
    time: Elapsed,
    swept: Mutex<Nanos>,
}

type Limiter = RateLimiter<Key, Capped, Elapsed, NoOpMiddleware<Nanos>>;

struct Step {
    limiter: Limiter,
    store: Capped,
}

impl SourceThrottle {
    /// How often refilled blocks are looked for, and dropped.
    pub const SWEEP: Duration = Duration::from_secs(60);

    /// A throttle that takes the time from `clock`. A clock that goes backwards stands still for
    /// it: nobody waits for the clock to catch up.
    #[must_use]
    pub fn new(policy: &SourcePolicy, clock: Arc<dyn Clock>) -> Self {
        let time = Elapsed::new(clock);
        let step = |rate: Rate| {
            let store = Capped::new(policy.max_sources);
            // A `Rate` is never zero, so the fallback is never taken.
            let quota = rate.quota().unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN));
            Step { limiter: RateLimiter::new(quota, store.clone(), time.clone()), store }
        };
        let steps = [step(policy.narrow), step(policy.middle), step(policy.wide)];
        Self { steps, time, swept: Mutex::new(Nanos::default()) }
    }

    /// Counts one attempt from `source`.
    ///
    /// # Errors
    /// [`Throttled`] when it is one too many.
    pub fn check(&self, source: &Source) -> Result<(), Throttled> {
        self.sweep_when_due();
        let keys: Vec<(Key, Option<u8>)> = match source {
            Source::Unavailable(reason) => vec![(Key::Nowhere(*reason), None)],
            Source::Direct(client) | Source::Forwarded { client, .. } => client
                .ladder()
                .into_iter()
                .map(|block| (Key::Block(block), Some(block.length())))
                .collect(),
        };
        for ((key, bits), step) in keys.iter().zip(&self.steps) {
            if let Err(refused) = step.limiter.check_key(key) {
                let shared = !step.store.holds(key);
                return Err(Throttled {
                    retry_after: refused.wait_time_from(self.time.now()),
                    block: if shared { None } else { *bits },
                });
            }
        }
        Ok(())
    }

    /// How many blocks are kept apart now, on all steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.iter().map(|step| step.limiter.len()).fold(0, usize::saturating_add)
    }

    /// Whether no block is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| step.limiter.is_empty())
    }

    fn sweep_when_due(&self) {
        let now = self.time.now();
        let mut swept = lock(&self.swept);
        // A full map is worth a second look soon, but not at every attempt of a flood.
        let full = self.steps.iter().any(|step| step.store.is_full());
        let pause = if full { Duration::from_secs(1) } else { Self::SWEEP };
        if now.duration_since(*swept) >= Nanos::from(pause) {
            *swept = now;
            for step in &self.steps {
                step.limiter.retain_recent();
            }
        }
    }
}

impl std::fmt::Debug for SourceThrottle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceThrottle({} blocks)", self.len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time since the throttle began, by a clock that may step.
#[derive(Clone)]
struct Elapsed {
    clock: Arc<dyn Clock>,
    read: Arc<Mutex<(Timestamp, Duration)>>,
}

impl Elapsed {
    /// A century of 366-day years: what a clock that leaps further adds is dropped, as 64 bits hold 584 years of
    /// nanoseconds.
    const LONGEST: Duration = Duration::from_secs(3_162_240_000);

    fn new(clock: Arc<dyn Clock>) -> Self {
        let began = clock.now();
        Self { clock, read: Arc::new(Mutex::new((began, Duration::ZERO))) }
    }
}

impl governor::clock::Clock for Elapsed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut read = lock(&self.read);
        // Read inside the lock: two threads must not take each other's order for a step back.
        let now = self.clock.now();
        let elapsed = read.1.saturating_add(now.since(read.0)).min(Self::LONGEST);
        *read = (now, elapsed);
        Nanos::from(elapsed)
    }
}

/// A map of at most so many keys, and one shared count for the rest.
#[derive(Clone)]
struct Capped {
    kept: Arc<Mutex<Kept>>,
    cap: usize,
}

#[derive(Default)]
struct Kept {
    own: HashMap<Key, Nanos>,
    shared: Option<Nanos>,
}

impl Capped {
    fn new(cap: usize) -> Self {
        Self { kept: Arc::default(), cap }
    }

    fn holds(&self, key: &Key) -> bool {
        lock(&self.kept).own.contains_key(key)
    }

    fn is_full(&self) -> bool {
        lock(&self.kept).own.len() >= self.cap
    }
}

impl StateStore for Capped {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, step: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut kept = lock(&self.kept);
        if let Some(time) = kept.own.get_mut(key) {
            let (verdict, next) = step(Some(*time))?;
            *time = next;
            return Ok(verdict);
        }
        if kept.own.len() < self.cap {
            let (verdict, next) = step(None)?;
            kept.own.insert(*key, next);
            return Ok(verdict);
        }
        let (verdict, next) = step(kept.shared)?;
        kept.shared = Some(next);
        Ok(verdict)
    }
}

impl ShrinkableKeyedStateStore<Key> for Capped {
    fn retain_recent(&self, drop_below: Nanos) {
        lock(&self.kept).own.retain(|_, time| *time > drop_below);
    }

    fn len(&self) -> usize {
        lock(&self.kept).own.len()
    }

    fn is_empty(&self) -> bool {
        lock(&self.kept).own.is_empty()
    }
}
