//! The payload: Cobblestone-256 of [C2SP chunked-encryption](https://c2sp.org/chunked-encryption),
//! byte for byte, so that other people's readers open it.
//!
//! A file is a salt (24 bytes), a commitment to key and context (32), and chunks of 16 KiB, each
//! with a tag (16); the last chunk is always shorter, so a cut at a chunk's end shows.

use std::fmt;

use subtle::ConstantTimeEq;
use vouchsafe_core::Entropy;
use vouchsafe_crypto::{AeadKey, Hash, hkdf_expand};
use zeroize::{Zeroize, Zeroizing};

use crate::EnvelopeError;

/// Plain bytes in each chunk but the last.
pub const CHUNK: usize = 16 * 1024;
/// Bytes before the first chunk.
pub const HEADER: usize = SALT + COMMITMENT;
/// Bytes that each chunk grows by.
pub const TAG: usize = AeadKey::OVERHEAD;

const SALT: usize = 24;
const COMMITMENT: usize = 32;
const SEALED_CHUNK: usize = CHUNK + TAG;
/// Chunks of one message, the last included: 4 PiB.
const MAX_CHUNKS: u64 = 1 << 38;
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// How long the sealed form of `plain` bytes is.
#[must_use]
pub const fn sealed_len(plain: usize) -> usize {
    let tags = (plain / CHUNK).saturating_add(1).saturating_mul(TAG);
    plain.saturating_add(HEADER).saturating_add(tags)
}

/// Seals all of `plain` at once.
///
/// # Errors
/// [`EnvelopeError::NoEntropy`] when there is no fresh salt, [`EnvelopeError::TooMany`] above 4 PiB.
pub fn seal_all(
    key: &[u8; 32],
    context: &[u8],
    plain: &[u8],
    entropy: &(impl Entropy + ?Sized),
) -> Result<Vec<u8>, EnvelopeError> {
    let mut out = Vec::with_capacity(sealed_len(plain.len()));
    let mut sealer = Sealer::start(key, context, entropy, &mut out)?;
    sealer.update(plain, &mut out)?;
    sealer.finish(&mut out)?;
    Ok(out)
}

/// Opens all of `sealed` at once, and gives nothing out before its end is verified.
///
/// # Errors
/// [`EnvelopeError::Refused`] for anything that was not sealed under this key and context.
pub fn open_all(
    key: &[u8; 32],
    context: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let mut out = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let mut opener = Opener::new(key, context);
    opener.update(sealed, &mut out)?;
    opener.finish(&mut out)?;
    Ok(out)
}

/// Seals a message that comes in pieces.
pub struct Sealer {
    chunks: Chunks,
    next: u64,
    pending: Zeroizing<Vec<u8>>,
}

impl Sealer {
    /// Begins a message: draws its salt and appends salt and commitment to `out`.
    ///
    /// # Errors
    /// [`EnvelopeError::NoEntropy`] when there is no fresh salt.
    pub fn start(
        key: &[u8; 32],
        context: &[u8],
        entropy: &(impl Entropy + ?Sized),
        out: &mut Vec<u8>,
    ) -> Result<Self, EnvelopeError> {
        let mut salt = [0; SALT];
        entropy.fill(&mut salt)?;
        let (chunks, commitment) = derive(key, &salt, context)?;
        out.extend_from_slice(&salt);
        out.extend_from_slice(&commitment);
        Ok(Self { chunks, next: 0, pending: Zeroizing::new(Vec::with_capacity(CHUNK)) })
    }

    /// Takes the next piece and appends what can be sealed of it to `out`.
    ///
    /// # Errors
    /// [`EnvelopeError::TooMany`] above 4 PiB.
    pub fn update(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        if !self.pending.is_empty() {
            plain = fill_up(&mut self.pending, CHUNK, plain);
            if self.pending.len() < CHUNK {
                return Ok(());
            }
            self.chunks.seal(next(&mut self.next)?, &self.pending, out)?;
            self.pending.zeroize();
        }
        let (whole, rest) = plain.as_chunks::<CHUNK>();
        for chunk in whole {
            self.chunks.seal(next(&mut self.next)?, chunk, out)?;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the message: appends its last chunk to `out`.
    ///
    /// # Errors
    /// [`EnvelopeError::TooMany`] above 4 PiB.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.chunks.seal(next(&mut self.next)?, &self.pending, out)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Opens a message that comes in pieces.
///
/// What it gives out is a prefix of what was sealed; only [`finish`](Self::finish) says that it is
/// all. After an error every further call is refused.
pub struct Opener {
    state: State,
    next: u64,
    pending: Vec<u8>,
}

enum State {
    /// Salt and commitment have not arrived in full.
    Start {
        key: Box<Zeroizing<[u8; 32]>>,
        context: Vec<u8>,
    },
    Body(Chunks),
    Failed,
}

impl Opener {
    /// Opens what was sealed under this key and context.
    #[must_use]
    pub fn new(key: &[u8; 32], context: &[u8]) -> Self {
        let mut own = Box::new(Zeroizing::new([0; 32]));
        own.copy_from_slice(key);
        let state = State::Start { key: own, context: context.to_vec() };
        Self { state, next: 0, pending: Vec::with_capacity(SEALED_CHUNK) }
    }

    /// Takes the next piece of the sealed message and appends what is verified of it to `out`.
    ///
    /// # Errors
    /// [`EnvelopeError::Refused`], now and from now on, for anything that was not sealed under
    /// this key and context.
    pub fn update(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let result = self.take(sealed, out);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    fn take(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        if matches!(self.state, State::Start { .. }) {
            sealed = fill_up(&mut self.pending, HEADER, sealed);
        }
        if let State::Start { key, context } = &self.state {
            let Some(header) = self.pending.first_chunk::<HEADER>() else {
                return Ok(());
            };
            let (salt, commitment) = header.split_at(SALT);
            let (chunks, expected) = derive(key, salt, context)?;
            if !bool::from(expected.as_slice().ct_eq(commitment)) {
                return Err(EnvelopeError::Refused);
            }
            self.state = State::Body(chunks);
            self.pending.clear();
        }
        let State::Body(chunks) = &self.state else {
            return Err(EnvelopeError::Refused);
        };
        if !self.pending.is_empty() {
            sealed = fill_up(&mut self.pending, SEALED_CHUNK, sealed);
            if self.pending.len() < SEALED_CHUNK {
                return Ok(());
            }
            chunks.open(next(&mut self.next)?, &self.pending, out)?;
            self.pending.clear();
        }
        let (whole, rest) = sealed.as_chunks::<SEALED_CHUNK>();
        for chunk in whole {
            chunks.open(next(&mut self.next)?, chunk, out)?;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Says that the message is over, and appends its last chunk to `out`. Only after this is it
    /// known to be whole.
    ///
    /// # Errors
    /// [`EnvelopeError::Refused`] when it was cut off, or an earlier call was refused.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let State::Body(chunks) = &self.state else {
            return Err(EnvelopeError::Refused);
        };
        chunks.open(next(&mut self.next)?, &self.pending, out)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("next", &self.next).finish_non_exhaustive()
    }
}

/// One message's chunk key and base nonce.
struct Chunks {
    key: AeadKey,
    base_nonce: [u8; AeadKey::NONCE],
}

impl Chunks {
    /// The base nonce with the chunk's number, big-endian, XORed into its end.
    fn nonce(&self, number: u64) -> [u8; AeadKey::NONCE] {
        let mut nonce = self.base_nonce;
        for (byte, counter) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= counter;
        }
        nonce
    }

    fn seal(&self, number: u64, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let start = out.len();
        out.extend_from_slice(plain);
        let (_, chunk) = out.split_at_mut(start);
        let tag = self.key.seal_detached(self.nonce(number), &[], chunk)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    fn open(&self, number: u64, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let start = out.len();
        out.extend_from_slice(sealed);
        let (_, chunk) = out.split_at_mut(start);
        let opened =
            self.key.open_in_place(self.nonce(number), &[], chunk).map(|plain| plain.len());
        if opened.is_err() {
            chunk.zeroize();
        }
        out.truncate(start.saturating_add(*opened.as_ref().unwrap_or(&0)));
        opened.map(drop).map_err(EnvelopeError::from)
    }
}

/// Moves bytes of `piece` to `buffer` until it has `len`; returns what is left of the piece.
fn fill_up<'a>(buffer: &mut Vec<u8>, len: usize, piece: &'a [u8]) -> &'a [u8] {
    let missing = len.saturating_sub(buffer.len());
    let (now, later) = piece.split_at_checked(missing).unwrap_or((piece, &[]));
    buffer.extend_from_slice(now);
    later
}

/// The number of the next chunk.
fn next(counter: &mut u64) -> Result<u64, EnvelopeError> {
    let number = *counter;
    if number >= MAX_CHUNKS {
        return Err(EnvelopeError::TooMany { what: "chunks of 16 KiB", max: MAX_CHUNKS });
    }
    *counter = number.saturating_add(1);
    Ok(number)
}

/// Chunk key, base nonce and commitment of the message with this salt.
fn derive(
    key: &[u8; 32],
    salt: &[u8],
    context: &[u8],
) -> Result<(Chunks, [u8; COMMITMENT]), EnvelopeError> {
    let info = [LABEL, salt, context].concat();
    let mut material = Zeroizing::new([0; 32 + AeadKey::NONCE + COMMITMENT]);
    hkdf_expand(Hash::Sha512, key, &info, material.as_mut_slice())?;
    let parts = material.split_first_chunk().and_then(|(chunk_key, rest)| {
        let (base_nonce, commitment) = rest.split_first_chunk()?;
        let chunks = Chunks { key: AeadKey::new(chunk_key), base_nonce: *base_nonce };
        Some((chunks, *commitment.first_chunk()?))
    });
    parts.ok_or(EnvelopeError::Refused)
}
