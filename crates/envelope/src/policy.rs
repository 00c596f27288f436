//! What must be encrypted, and how strongly.

use std::fmt;

use vouchsafe_core::Order;

/// What must be encrypted, and how strongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopePolicy {
    at_rest: bool,
    symmetric_bits: u16,
    public_keys: KeyFloor,
}

/// A policy that no cipher can fulfil, or that asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// Outside 80 to 256 bits.
    #[error("a symmetric strength lies between 80 and 256 bits")]
    SymmetricBits,
    /// Outside 1024 to 16384 bits.
    #[error("an RSA modulus lies between 1024 and 16384 bits")]
    RsaBits,
}

impl EnvelopePolicy {
    /// Whether stored data must be encrypted, the least strength of a symmetric cipher in bits,
    /// and the weakest public key for key exchange and signatures.
    ///
    /// # Errors
    /// [`InvalidPolicy`], every problem, for numbers that no cipher reaches or that are none.
    pub fn new(
        at_rest: bool,
        symmetric_bits: u16,
        weakest_key: PublicKeyKind,
    ) -> Result<Self, Vec<InvalidPolicy>> {
        let mut problems = Vec::new();
        if !(80..=256).contains(&symmetric_bits) {
            problems.push(InvalidPolicy::SymmetricBits);
        }
        if matches!(weakest_key, PublicKeyKind::Rsa(bits) if !(1024..=16_384).contains(&bits)) {
            problems.push(InvalidPolicy::RsaBits);
        }
        if problems.is_empty() {
            Ok(Self { at_rest, symmetric_bits, public_keys: KeyFloor::at(weakest_key) })
        } else {
            Err(problems)
        }
    }

    /// Whether stored data must be encrypted, under a secret that does not lie beside it.
    #[must_use]
    pub const fn at_rest(&self) -> bool {
        self.at_rest
    }

    /// Least strength of a symmetric cipher, in bits.
    #[must_use]
    pub const fn symmetric_bits(&self) -> u16 {
        self.symmetric_bits
    }

    /// The weakest public keys accepted.
    #[must_use]
    pub const fn public_keys(&self) -> KeyFloor {
        self.public_keys
    }

    /// Whether a cipher of this many bits may be used. What this crate seals has 256.
    #[must_use]
    pub const fn admits_cipher(&self, bits: u16) -> bool {
        bits >= self.symmetric_bits
    }

    /// Whether data may be stored, given whether it is encrypted at rest.
    #[must_use]
    pub const fn admits_storage(&self, encrypted_at_rest: bool) -> bool {
        encrypted_at_rest || !self.at_rest
    }

    /// The weakest policy that is as strong as both.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            at_rest: self.at_rest || other.at_rest,
            symmetric_bits: self.symmetric_bits.max(other.symmetric_bits),
            public_keys: self.public_keys.join(other.public_keys),
        }
    }
}

/// A kind of public key, by size or curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicKeyKind {
    /// RSA, or finite-field Diffie-Hellman, with a modulus of this many bits.
    Rsa(u16),
    /// A key on this curve.
    Curve(Curve),
}

/// The curves in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-224.
    P224,
    /// NIST P-256.
    P256,
    /// X25519 and Ed25519.
    Curve25519,
    /// NIST P-384.
    P384,
    /// X448 and Ed448.
    Curve448,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// Security strength in bits (SP 800-57 part 1 revision 5, table 2; SP 800-186 table 1).
    #[must_use]
    pub const fn strength(self) -> u16 {
        match self {
            Self::P224 => 112,
            Self::P256 | Self::Curve25519 => 128,
            Self::P384 => 192,
            Self::Curve448 => 224,
            Self::P521 => 256,
        }
    }
}

impl PublicKeyKind {
    /// Security strength in bits (SP 800-57 part 1 revision 5, table 2). A size between two rows
    /// counts as the lower one; below the first row it is none.
    #[must_use]
    pub const fn strength(self) -> u16 {
        match self {
            Self::Rsa(..=1023) => 0,
            Self::Rsa(1024..=2047) => 80,
            Self::Rsa(2048..=3071) => 112,
            Self::Rsa(3072..=7679) => 128,
            Self::Rsa(7680..=15_359) => 192,
            Self::Rsa(15_360..) => 256,
            Self::Curve(curve) => curve.strength(),
        }
    }
}

impl fmt::Display for PublicKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::Curve(Curve::P224) => f.write_str("P-224"),
            Self::Curve(Curve::P256) => f.write_str("P-256"),
            Self::Curve(Curve::Curve25519) => f.write_str("Curve25519"),
            Self::Curve(Curve::P384) => f.write_str("P-384"),
            Self::Curve(Curve::Curve448) => f.write_str("Curve448"),
            Self::Curve(Curve::P521) => f.write_str("P-521"),
        }
    }
}

/// The weakest keys accepted: a modulus in bits for RSA, a strength in bits for curves.
///
/// Saying "at least P-256" asks for RSA of at least its strength, and the other way round; so
/// RSA-2048 (112 bits) is less than P-256 (128 bits), whatever the numbers in their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFloor {
    rsa_bits: u16,
    curve_strength: u16,
}

impl KeyFloor {
    /// As strong as `weakest`, and no weaker key of the other kind.
    #[must_use]
    pub const fn at(weakest: PublicKeyKind) -> Self {
        let strength = weakest.strength();
        // There is no weaker curve, so a lower floor would be the same one written differently.
        let curve_strength = if strength < 112 { 112 } else { strength };
        let rsa_bits = match weakest {
            PublicKeyKind::Rsa(bits) => bits,
            PublicKeyKind::Curve(_) => match curve_strength {
                ..=112 => 2048,
                113..=128 => 3072,
                129..=192 => 7680,
                193.. => 15_360,
            },
        };
        Self { rsa_bits, curve_strength }
    }

    /// The smallest RSA modulus, in bits.
    #[must_use]
    pub const fn rsa_bits(self) -> u16 {
        self.rsa_bits
    }

    /// The least strength of a curve, in bits.
    #[must_use]
    pub const fn curve_strength(self) -> u16 {
        self.curve_strength
    }

    /// Whether a key of this kind may be used.
    #[must_use]
    pub const fn admits(self, key: PublicKeyKind) -> bool {
        match key {
            PublicKeyKind::Rsa(bits) => bits >= self.rsa_bits,
            PublicKeyKind::Curve(curve) => curve.strength() >= self.curve_strength,
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            rsa_bits: self.rsa_bits.max(other.rsa_bits),
            curve_strength: self.curve_strength.max(other.curve_strength),
        }
    }
}

/// Something that one policy lets pass and the other refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Data that is not encrypted at rest is stored.
    PlainStorage,
    /// A symmetric cipher of this many bits is used.
    Cipher(u16),
    /// A public key of this kind is used.
    Key(PublicKeyKind),
}

impl Weakness {
    /// Whether `policy` lets it pass.
    #[must_use]
    pub const fn passes(self, policy: &EnvelopePolicy) -> bool {
        match self {
            Self::PlainStorage => policy.admits_storage(false),
            Self::Cipher(bits) => policy.admits_cipher(bits),
            Self::Key(key) => policy.public_keys.admits(key),
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainStorage => f.write_str("data is stored that is not encrypted at rest"),
            Self::Cipher(bits) => write!(f, "a cipher of {bits} bits is used"),
            Self::Key(key) => write!(f, "a key of kind {key} is used"),
        }
    }
}

/// Weaker first.
const CURVES: [Curve; 6] =
    [Curve::P224, Curve::P256, Curve::Curve25519, Curve::P384, Curve::Curve448, Curve::P521];

impl Order for EnvelopePolicy {
    type Witness = Weakness;

    fn weakening(&self, baseline: &Self) -> Option<Weakness> {
        let curves = CURVES.map(|curve| Weakness::Key(PublicKeyKind::Curve(curve)));
        [
            Weakness::PlainStorage,
            Weakness::Cipher(self.symmetric_bits),
            Weakness::Key(PublicKeyKind::Rsa(self.public_keys.rsa_bits)),
        ]
        .into_iter()
        .chain(curves)
        .find(|weakness| weakness.passes(self) && !weakness.passes(baseline))
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_core::{Comparison, compare};

    use super::*;
    use Curve::{Curve448, Curve25519, P224, P256, P384, P521};
    use PublicKeyKind::{Curve as On, Rsa};

    fn policy(at_rest: bool, bits: u16, key: PublicKeyKind) -> EnvelopePolicy {
        EnvelopePolicy::new(at_rest, bits, key).unwrap()
    }

    /// A spread of policies: every kind of key, sizes around the table's rows.
    fn policies() -> Vec<EnvelopePolicy> {
        let sizes = [1024, 1025, 2047, 2048, 3071, 3072, 4096, 7680, 15_360];
        let keys = sizes.map(Rsa).into_iter().chain(CURVES.map(On));
        let combine = |key| {
            [80, 112, 127, 128, 129, 256]
                .into_iter()
                .flat_map(move |bits| [true, false].map(|at_rest| policy(at_rest, bits, key)))
        };
        keys.flat_map(combine).collect()
    }

    #[test]
    fn strength_is_not_the_number_in_the_name() {
        let (rsa, curve) = (policy(true, 128, Rsa(2048)), policy(true, 128, On(P256)));
        assert_eq!(compare(&rsa, &curve), Comparison::Weaker(Weakness::Key(Rsa(2048))));
        assert_eq!(compare(&curve, &rsa), Comparison::NoWeaker);
        let strengths = [(Rsa(1023), 0), (Rsa(1024), 80), (Rsa(2047), 80), (Rsa(2048), 112)]
            .into_iter()
            .chain([(Rsa(3071), 112), (Rsa(3072), 128), (Rsa(7680), 192), (Rsa(15_360), 256)])
            .chain([(On(P224), 112), (On(P256), 128), (On(Curve25519), 128), (On(P384), 192)])
            .chain([(On(Curve448), 224), (On(P521), 256)]);
        for (key, strength) in strengths {
            assert_eq!(key.strength(), strength, "{key}");
        }
    }

    #[test]
    fn a_floor_admits_what_it_says() {
        let source = policy(true, 128, Rsa(1024));
        for (key, passes) in [(Rsa(1023), false), (Rsa(1024), true), (On(P224), true)] {
            assert_eq!(source.public_keys().admits(key), passes, "{key}");
        }
        let modern = policy(true, 128, On(P256));
        for (key, passes) in
            [(Rsa(3071), false), (Rsa(3072), true), (On(P224), false), (On(Curve25519), true)]
        {
            assert_eq!(modern.public_keys().admits(key), passes, "{key}");
        }
        assert!(!source.admits_cipher(127) && source.admits_cipher(128));
        assert!(!source.admits_storage(false) && source.admits_storage(true));
        assert!(policy(false, 128, Rsa(1024)).admits_storage(false));
    }

    /// An independent oracle: everything a policy lets pass, listed.
    fn passes(policy: &EnvelopePolicy) -> Vec<bool> {
        let ciphers = (0..=256).map(|bits| policy.admits_cipher(bits));
        let moduli = (0..=16_384).map(|bits| policy.public_keys().admits(Rsa(bits)));
        let curves = CURVES.map(|curve| policy.public_keys().admits(On(curve)));
        ciphers.chain(moduli).chain(curves).chain([policy.admits_storage(false)]).collect()
    }

    #[test]
    fn the_order_is_about_what_passes() {
        let policies = policies();
        let listed: Vec<_> = policies.iter().map(passes).collect();
        for (left, left_passes) in policies.iter().zip(&listed) {
            for (right, right_passes) in policies.iter().zip(&listed) {
                let weaker = left_passes.iter().zip(right_passes).any(|(l, r)| *l && !*r);
                let witness = left.weakening(right);
                assert_eq!(witness.is_some(), weaker, "{left:?} against {right:?}");
                if let Some(witness) = witness {
                    assert!(witness.passes(left) && !witness.passes(right), "{witness}");
                    assert!(!witness.to_string().is_empty());
                }
                if !weaker && right.weakening(left).is_none() {
                    assert_eq!(left, right, "one behaviour, one form");
                }
            }
        }
    }

    #[test]
    fn a_join_is_the_least_upper_bound() {
        let policies: Vec<_> = policies().into_iter().step_by(7).collect();
        for left in &policies {
            for right in &policies {
                let join = left.join(right);
                assert_eq!(join, right.join(left));
                assert_eq!(join.join(left), join);
                assert_eq!(join.weakening(left).or(join.weakening(right)), None);
                for other in &policies {
                    assert_eq!(join.join(other), left.join(&right.join(other)));
                    if other.weakening(left).is_none() && other.weakening(right).is_none() {
                        assert_eq!(other.weakening(&join), None, "{other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn all_problems_at_once() {
        let problems = EnvelopePolicy::new(true, 79, Rsa(1023)).unwrap_err();
        assert_eq!(problems, [InvalidPolicy::SymmetricBits, InvalidPolicy::RsaBits]);
        assert!(EnvelopePolicy::new(true, 257, Rsa(16_385)).is_err());
        assert!(EnvelopePolicy::new(true, 80, Rsa(1024)).is_ok());
        assert!(EnvelopePolicy::new(true, 256, Rsa(16_384)).is_ok());
    }
}
