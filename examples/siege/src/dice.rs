//! Where chance comes from: one seed, and one stream for each use of it.

use std::time::Duration;

use vouchsafe_testkit::SeededEntropy;

/// A stream of chance that repeats from run to run.
#[derive(Debug)]
pub struct Dice(SeededEntropy);

impl Dice {
    /// The stream for one use of a seed. What one use draws does not move another's stream.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mixed = SeededEntropy::new(seed.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ purpose).next();
        Self(SeededEntropy::new(mixed))
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Whether something that happens `parts` times in a thousand happens.
    pub fn per_mille(&self, parts: u32) -> bool {
        self.below(1_000) < u64::from(parts)
    }

    /// A moment between `from` and `to`, after some beginning.
    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from).as_micros();
        from.saturating_add(Duration::from_micros(self.below(u64::try_from(span).unwrap_or(0))))
    }

    /// A number in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn unit(&self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
