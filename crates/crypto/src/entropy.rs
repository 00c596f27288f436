//! Fresh bytes from the operating system.

use std::cell::RefCell;

use ring::rand::{SecureRandom, SystemRandom};
use vouchsafe_core::{Entropy, NoEntropy};
use zeroize::Zeroize;

use crate::AeadKey;

/// The operating system's generator.
///
/// Keys, secrets and nonces are drawn when they are asked for, and nothing of them is kept in this
/// process. Ids ([`Entropy::fill_id`]) come out of a batch of each thread's own, since a system call
/// for each costs more than most of what is done with them; a process that was forked begins a batch
/// of its own, and what was handed out is wiped.
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

impl SystemEntropy {
    /// Fills a batch with AES-256 in counter mode under a key that is fresh, used once and wiped: a
    /// tenth of the time that as many of the system's own bytes take.
    fn expand(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let key = AeadKey::generate(self)?;
        out.fill(0);
        key.seal_detached([0; AeadKey::NONCE], b"", out).map_err(|_| NoEntropy)?;
        Ok(())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.fill(out).map_err(|_| NoEntropy)
    }

    fn fill_id(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let draw = |bytes: &mut [u8]| self.expand(bytes);
        let taken = BATCH.with(|batch| match batch.try_borrow_mut().as_deref_mut() {
            Ok((batch, forks)) => batch.take(out, forks.happened(), draw),
            Err(_) => Ok(false),
        })?;
        if taken { Ok(()) } else { self.fill(out) }
    }
}

/// Bytes drawn at once: with 16 of them an id, the system call is shared by 256.
const BATCH_BYTES: usize = 4_096;
/// What is longer is drawn by itself.
const LONGEST: usize = 32;

thread_local! {
    static BATCH: RefCell<(Batch, Forks)> = RefCell::new((Batch::new(), Forks::watched()));
}

/// Whether this process has become another one, with the same memory. Asking for the process id
/// says so, too, and is a system call.
#[cfg(unix)]
struct Forks(Option<forkguard::atfork::Guard>);

#[cfg(unix)]
impl Forks {
    fn watched() -> Self {
        Self(forkguard::atfork::Guard::try_new().ok())
    }

    /// Since it was last asked. Where it cannot be known: yes.
    fn happened(&mut self) -> bool {
        self.0.as_mut().is_none_or(forkguard::atfork::Guard::detected_fork)
    }
}

/// There are no forks elsewhere.
#[cfg(not(unix))]
struct Forks;

#[cfg(not(unix))]
impl Forks {
    const fn watched() -> Self {
        Self
    }

    const fn happened(&mut self) -> bool {
        false
    }
}

/// Fresh bytes, of which the first `used` were handed out.
struct Batch {
    bytes: [u8; BATCH_BYTES],
    used: usize,
}

impl Batch {
    const fn new() -> Self {
        Self { bytes: [0; BATCH_BYTES], used: BATCH_BYTES }
    }

    /// Moves as many bytes as it holds to `out`, unless that is too long. After a fork they are the
    /// other process's, too.
    fn take(
        &mut self,
        out: &mut [u8],
        forked: bool,
        draw: impl FnOnce(&mut [u8]) -> Result<(), NoEntropy>,
    ) -> Result<bool, NoEntropy> {
        if forked {
            self.used = self.bytes.len();
        }
        if out.len() > LONGEST {
            return Ok(false);
        }
        if self.bytes.len().saturating_sub(self.used) < out.len() {
            // A draw that fails leaves a batch of which nothing is left.
            self.used = self.bytes.len();
            draw(&mut self.bytes)?;
            self.used = 0;
        }
        let fresh = self.bytes.get_mut(self.used..).and_then(|rest| rest.get_mut(..out.len()));
        let Some(fresh) = fresh else { return Ok(false) };
        out.copy_from_slice(fresh);
        fresh.zeroize();
        self.used = self.used.saturating_add(out.len());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first pair of the second batch.
    const SECOND: u16 = (BATCH_BYTES / 2) as u16 + 1;

    /// Draws 1, 2, 3, ...: no byte pair comes twice in a batch or in the next.
    fn counting() -> impl FnMut(&mut [u8]) -> Result<(), NoEntropy> {
        let mut next = 0_u16;
        move |out| {
            for pair in out.as_chunks_mut::<2>().0 {
                next = next.wrapping_add(1);
                *pair = next.to_le_bytes();
            }
            Ok(())
        }
    }

    fn taken(
        batch: &mut Batch,
        forked: bool,
        draw: &mut dyn FnMut(&mut [u8]) -> Result<(), NoEntropy>,
    ) -> u16 {
        let mut out = [0; 2];
        assert!(batch.take(&mut out, forked, draw).unwrap());
        u16::from_le_bytes(out)
    }

    #[test]
    fn each_byte_is_handed_out_once_and_wiped() {
        let (mut batch, mut draw) = (Batch::new(), counting());
        for expected in 1..=SECOND * 3 {
            assert_eq!(taken(&mut batch, false, &mut draw), expected);
            assert!(batch.bytes[..batch.used].iter().all(|byte| *byte == 0), "{expected} stays");
        }
    }

    #[test]
    fn what_does_not_fit_into_the_rest_starts_a_batch() {
        let (mut batch, mut draw) = (Batch::new(), counting());
        for _ in 0..BATCH_BYTES / 30 {
            assert!(batch.take(&mut [0; 30], false, &mut draw).unwrap());
        }
        let mut out = [0; 32];
        assert!(batch.take(&mut out, false, &mut draw).unwrap());
        assert_eq!(out[..2], SECOND.to_le_bytes());
        assert!(!batch.take(&mut [0; LONGEST + 1], false, &mut draw).unwrap());
        assert_eq!(batch.used, 32);
    }

    #[test]
    fn another_process_starts_a_batch() {
        let (mut batch, mut draw) = (Batch::new(), counting());
        assert_eq!(taken(&mut batch, false, &mut draw), 1);
        assert_eq!(taken(&mut batch, true, &mut draw), SECOND);
        assert_eq!(taken(&mut batch, false, &mut draw), SECOND + 1);
        // What is drawn by itself does not hide a fork.
        assert!(!batch.take(&mut [0; LONGEST + 1], true, &mut draw).unwrap());
        assert_eq!(taken(&mut batch, false, &mut draw), SECOND * 2 - 1);
    }

    #[test]
    fn a_draw_that_fails_hands_out_nothing() {
        let (mut batch, mut draw) = (Batch::new(), counting());
        assert_eq!(taken(&mut batch, false, &mut draw), 1);
        let half = |out: &mut [u8]| {
            out[..100].fill(9);
            Err(NoEntropy)
        };
        let mut out = [0; 2];
        assert_eq!(batch.take(&mut out, true, half), Err(NoEntropy));
        assert_eq!(batch.take(&mut out, false, half), Err(NoEntropy));
        assert_eq!(out, [0; 2]);
        assert_eq!(taken(&mut batch, false, &mut draw), SECOND);
    }
}
