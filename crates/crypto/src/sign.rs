//! Ed25519 signatures.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use vouchsafe_core::{Entropy, NoEntropy};
use zeroize::Zeroizing;

use crate::BadSignature;
use crate::wipe::{Wiped, scrubbed};

/// A signing key for Ed25519 that is overwritten when dropped.
pub struct SigningKey(pub(crate) Wiped<Ed25519KeyPair>);

impl SigningKey {
    /// The key of this seed, which stays the caller's to wipe.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Wiped::new(|| {
            let pair = Ed25519KeyPair::from_seed_unchecked(seed);
            #[expect(clippy::expect_used, reason = "any 32 bytes are a seed")]
            pair.expect("an Ed25519 seed of 32 bytes")
        }))
    }

    /// A fresh key.
    ///
    /// # Errors
    /// [`NoEntropy`] when there are no fresh bytes.
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Result<Self, NoEntropy> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed))
    }

    /// The key that verifies this one's signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        // The secret nonce that signing leaves on the stack gives the key away.
        scrubbed(|| {
            let mut out = [0; 64];
            out.copy_from_slice(self.0.sign(message).as_ref());
            out
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, ..)", self.public())
    }
}

/// The public half of a signing key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these bytes. Bytes that are no point of the curve verify nothing.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that `signature` is this key's over `message`.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}
