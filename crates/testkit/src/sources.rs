//! A clock that stands until it is moved, and bytes that repeat from run to run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use vouchsafe_core::{Clock, Entropy, NoEntropy, Timestamp};

/// A clock that stands until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: AtomicI64,
    /// Microseconds that passed: what nobody can set.
    steady: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.micros()), steady: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let passed = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.steady.fetch_add(passed, Ordering::SeqCst);
        self.set(self.now().after(by));
    }

    /// Puts it anywhere, backwards too, without any time passing: the clock leaps.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.steady.load(Ordering::SeqCst)))
    }
}

/// Bytes that repeat from run to run, never inside one: SplitMix64 over a counter.
///
/// Predictable, so for tests only.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        let gamma = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(gamma, Ordering::Relaxed).wrapping_add(gamma);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in out.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
        Ok(())
    }
}

/// Bytes from another source, and how many were drawn.
#[derive(Debug)]
pub struct CountingEntropy<E> {
    inner: E,
    draws: AtomicU64,
    bytes: AtomicU64,
}

impl<E> CountingEntropy<E> {
    /// Counts what is drawn from `inner`.
    pub const fn new(inner: E) -> Self {
        Self { inner, draws: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// How often bytes were drawn.
    pub fn draws(&self) -> u64 {
        self.draws.load(Ordering::SeqCst)
    }

    /// How many bytes were drawn.
    pub fn drawn(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

impl<E: Entropy> Entropy for CountingEntropy<E> {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.draws.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(u64::try_from(out.len()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.inner.fill(out)
    }
}

/// A source that gives a number of draws, and then none.
#[derive(Debug)]
pub struct FailingEntropy<E> {
    inner: E,
    left: AtomicU64,
}

impl<E> FailingEntropy<E> {
    /// `draws` draws from `inner`, then none.
    pub const fn after(draws: u64, inner: E) -> Self {
        Self { inner, left: AtomicU64::new(draws) }
    }
}

impl<E: Entropy> Entropy for FailingEntropy<E> {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .map_err(|_| NoEntropy)?;
        self.inner.fill(out)
    }
}
