//! Fresh bytes from the operating system.

use ring::rand::{SecureRandom, SystemRandom};
use vouchsafe_core::{Entropy, NoEntropy};

/// The operating system's generator. Nothing is kept in this process, so a fork repeats nothing.
#[derive(Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// The generator; opening it cannot fail, drawing from it can.
    #[must_use]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.fill(out).map_err(|_| NoEntropy)
    }
}
