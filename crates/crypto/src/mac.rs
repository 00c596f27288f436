//! Keyed digests: HMAC-SHA-256 under a label, over parts that cannot be confused.

use std::fmt;

use subtle::ConstantTimeEq;
use vouchsafe_core::{Entropy, NoEntropy};
use zeroize::Zeroizing;

use crate::encode::for_each_piece;
use crate::hmac;
use crate::wipe::{Wiped, scrubbed_lightly};

/// A key for HMAC-SHA-256 that is overwritten when dropped.
///
/// Each use names a label; digests under different labels have nothing to do with one another, and
/// parts are taken with their lengths, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub struct MacKey(pub(crate) Wiped<hmac::Key>);

impl MacKey {
    /// The key with these bytes, which stay the caller's to wipe.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Wiped::new(|| hmac::Key::new(secret)))
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

    /// HMAC-SHA-256 over [`encode(label, parts)`](crate::encode).
    #[must_use]
    pub fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        scrubbed_lightly(|| {
            let mut message = self.0.message();
            for_each_piece(label, parts, |piece| message.update(piece));
            message.finish()
        })
    }

    /// The first 128 bits of [`mac`](Self::mac): for looking things up.
    #[must_use]
    pub fn digest(&self, label: &str, parts: &[&[u8]]) -> [u8; 16] {
        first_half(self.mac(label, parts))
    }

    /// The beginning of digests that share a label and all parts but the last: what they share is
    /// hashed once, and a short last part then takes two rounds.
    #[must_use]
    pub fn prefix(&self, label: &str, parts: &[&[u8]]) -> MacPrefix {
        MacPrefix(Wiped::new(|| {
            let mut message = self.0.message();
            for_each_piece(label, parts, |piece| message.update(piece));
            message
        }))
    }

    /// Whether `tag` is the whole [`mac`](Self::mac), compared in constant time.
    #[must_use]
    pub fn verify(&self, label: &str, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(label, parts).as_slice().ct_eq(tag).into()
    }
}

/// Digests of one [`MacKey`] that begin alike ([`MacKey::prefix`]); overwritten when dropped.
pub struct MacPrefix(pub(crate) Wiped<hmac::Message>);

impl MacPrefix {
    /// [`MacKey::digest`] with `part` after the parts of the prefix.
    #[must_use]
    pub fn digest(&self, part: &[u8]) -> [u8; 16] {
        scrubbed_lightly(|| {
            let mut message = self.0.clone();
            message.update(&(part.len() as u64).to_be_bytes());
            message.update(part);
            first_half(message.finish())
        })
    }
}

fn first_half(mac: [u8; 32]) -> [u8; 16] {
    mac.first_chunk().copied().unwrap_or_default()
}

impl fmt::Debug for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacPrefix(..)")
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}
