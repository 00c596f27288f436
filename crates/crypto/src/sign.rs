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
    /// The key with these bytes. Bytes that are no point of the curve verify nothing; nor does one
    /// of the eight points of small order, all zeros among them, under which anybody can sign.
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
        if self.is_of_small_order() {
            return Err(BadSignature);
        }
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}

impl PublicKey {
    fn is_of_small_order(self) -> bool {
        let mut y = self.0;
        // Without the sign of x.
        let [.., last] = &mut y;
        *last &= 0x7f;
        SMALL_ORDER.contains(&y)
    }
}

/// The y of the points of order 1, 2, 4 and 8, those of 0 and 1 also plus the field's prime.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    near_prime(0xec),
    near_prime(0xed),
    near_prime(0xee),
];

/// The field's prime, 2^255 - 19, but for its lowest byte.
const fn near_prime(low: u8) -> [u8; 32] {
    let mut y = [0xff; 32];
    [y[0], y[31]] = [low, 0x7f];
    y
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
