//! AES-256-GCM.

use std::fmt;
use std::ops::RangeFrom;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use vouchsafe_core::{Entropy, NoEntropy};
use zeroize::Zeroizing;

use crate::wipe::Wiped;
use crate::{OpenError, TooLong};

/// A key for AES-256-GCM that is overwritten when dropped, key schedule included.
///
/// The caller chooses nonces, and must never seal twice under one: count them, or draw 96 random
/// bits for at most 2^32 messages (SP 800-38D 8.3). A sealed text does not commit to its key.
pub struct AeadKey(pub(crate) Wiped<LessSafeKey>);

impl AeadKey {
    /// Bytes that sealing adds: the tag.
    pub const OVERHEAD: usize = 16;
    /// Bytes of a nonce.
    pub const NONCE: usize = 12;

    /// The key with these bytes, which stay the caller's to wipe.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Wiped::new(|| {
            let key = UnboundKey::new(&AES_256_GCM, secret);
            #[expect(clippy::expect_used, reason = "32 bytes are what AES-256 takes")]
            LessSafeKey::new(key.expect("an AES-256 key of 32 bytes"))
        }))
    }

    /// A fresh key.
    ///
    /// # Errors
    /// [`NoEntropy`] when there are no fresh bytes.
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Result<Self, NoEntropy> {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice())?;
        Ok(Self::new(&secret))
    }

    /// Seals all of `data` where it lies, and appends the tag.
    ///
    /// # Errors
    /// [`TooLong`] for more than 2^36 - 32 bytes; `data` is then unchanged.
    pub fn seal_in_place(
        &self,
        nonce: [u8; Self::NONCE],
        aad: &[u8],
        data: &mut Vec<u8>,
    ) -> Result<(), TooLong> {
        let tag = self.seal_detached(nonce, aad, data)?;
        data.extend_from_slice(&tag);
        Ok(())
    }

    /// Seals `data` where it lies, and returns the tag.
    ///
    /// # Errors
    /// [`TooLong`] for more than 2^36 - 32 bytes; `data` is then unchanged.
    pub fn seal_detached(
        &self,
        nonce: [u8; Self::NONCE],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; Self::OVERHEAD], TooLong> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), data);
        let mut tag = [0; Self::OVERHEAD];
        tag.copy_from_slice(sealed.map_err(|_| TooLong)?.as_ref());
        Ok(tag)
    }

    /// Opens `data`, sealed bytes followed by their tag, where it lies; what it held is returned.
    ///
    /// # Errors
    /// [`OpenError`]; `data` then holds nothing of use.
    pub fn open_in_place<'a>(
        &self,
        nonce: [u8; Self::NONCE],
        aad: &[u8],
        data: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        self.open_within(nonce, aad, data, 0..)
    }

    /// As [`open_in_place`](Self::open_in_place) for sealed bytes that begin at `sealed.start`;
    /// what they held is moved to the front of `data`.
    ///
    /// # Errors
    /// [`OpenError`]; `data` then holds nothing of use.
    pub fn open_within<'a>(
        &self,
        nonce: [u8; Self::NONCE],
        aad: &[u8],
        data: &'a mut [u8],
        sealed: RangeFrom<usize>,
    ) -> Result<&'a mut [u8], OpenError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_within(nonce, Aad::from(aad), data, sealed).map_err(|_| OpenError)
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}
