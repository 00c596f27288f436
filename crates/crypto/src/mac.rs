//! Keyed digests: HMAC-SHA-256 under a label, over parts that cannot be confused.

use std::fmt;

use ring::hmac;
use subtle::ConstantTimeEq;
use vouchsafe_core::{Entropy, NoEntropy};
use zeroize::Zeroizing;

use crate::encode::for_each_piece;
use crate::wipe::{Wiped, scrubbed_lightly};

/// Pieces up to here are gathered.
const SHORT: usize = 192;

/// A key for HMAC-SHA-256 that is overwritten when dropped.
///
/// Each use names a label; digests under different labels have nothing to do with one another, and
/// parts are taken with their lengths, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub struct MacKey(pub(crate) Wiped<hmac::Key>);

impl MacKey {
    /// The key with these bytes, which stay the caller's to wipe.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Wiped::new(|| hmac::Key::new(hmac::HMAC_SHA256, secret)))
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
            let mut context = hmac::Context::with_key(&self.0);
            // Gathered first: most messages are short, and an update for each piece costs more.
            let (mut short, mut len) = ([0; SHORT], 0_usize);
            for_each_piece(label, parts, |piece| {
                let end = len.saturating_add(piece.len());
                if let Some(to) = short.get_mut(len..end) {
                    to.copy_from_slice(piece);
                    len = end;
                    return;
                }
                context.update(short.get(..len).unwrap_or_default());
                context.update(piece);
                len = 0;
            });
            context.update(short.get(..len).unwrap_or_default());
            let mut out = [0; 32];
            out.copy_from_slice(context.sign().as_ref());
            out
        })
    }

    /// The first 128 bits of [`mac`](Self::mac): for looking things up.
    #[must_use]
    pub fn digest(&self, label: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(self.mac(label, parts)) {
            *to = from;
        }
        out
    }

    /// Whether `tag` is the whole [`mac`](Self::mac), compared in constant time.
    #[must_use]
    pub fn verify(&self, label: &str, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(label, parts).as_slice().ct_eq(tag).into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}
