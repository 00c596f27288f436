//! Keys out of keys: HKDF (RFC 5869).

use std::fmt;

use ring::hkdf as ring_hkdf;
use vouchsafe_core::{Entropy, NoEntropy};
use zeroize::Zeroizing;

use crate::TooLong;
use crate::encode::encode;
use crate::wipe::{Wiped, scrubbed};

/// Which hash HKDF is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    const fn algorithm(self) -> ring_hkdf::Algorithm {
        match self {
            Self::Sha256 => ring_hkdf::HKDF_SHA256,
            Self::Sha512 => ring_hkdf::HKDF_SHA512,
        }
    }
}

/// HKDF-Extract, then HKDF-Expand: fills `out` from `secret`, which need not be uniform.
///
/// # Errors
/// [`TooLong`] for an `out` of more than 255 hash lengths.
pub fn hkdf(
    hash: Hash,
    salt: &[u8],
    secret: &[u8],
    info: &[u8],
    out: &mut [u8],
) -> Result<(), TooLong> {
    scrubbed(|| {
        let prk = ring_hkdf::Salt::new(hash.algorithm(), salt).extract(secret);
        fill(&prk, info, out)
    })
}

/// HKDF-Expand alone: fills `out` from `key`, which must be uniform.
///
/// # Errors
/// [`TooLong`] for an `out` of more than 255 hash lengths.
pub fn hkdf_expand(hash: Hash, key: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), TooLong> {
    scrubbed(|| fill(&ring_hkdf::Prk::new_less_safe(hash.algorithm(), key), info, out))
}

fn fill(prk: &ring_hkdf::Prk, info: &[u8], out: &mut [u8]) -> Result<(), TooLong> {
    struct Length(usize);
    impl ring_hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    prk.expand(&[info], Length(out.len()))
        .and_then(|material| material.fill(out))
        .map_err(|_| TooLong)
}

/// A key that other keys are derived from; overwritten when dropped.
pub struct RootKey(pub(crate) Wiped<ring_hkdf::Prk>);

impl RootKey {
    /// The key with these bytes, which must be uniform and stay the caller's to wipe.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Wiped::new(|| ring_hkdf::Prk::new_less_safe(ring_hkdf::HKDF_SHA256, secret)))
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

    /// The subkey for this label and context: HKDF-Expand-SHA-256 with
    /// [`encode(label, context)`](crate::encode) as info.
    #[must_use]
    pub fn derive(&self, label: &str, context: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let info = encode(label, context);
        let mut out = Zeroizing::new([0; 32]);
        let filled = scrubbed(|| fill(&self.0, &info, out.as_mut_slice()));
        #[expect(clippy::expect_used, reason = "32 bytes are less than 255 hash lengths")]
        filled.expect("one block of HKDF");
        out
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}
