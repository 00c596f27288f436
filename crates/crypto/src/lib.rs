#![doc = include_str!("../README.md")]

mod aead;
mod encode;
mod entropy;
mod error;
mod hash;
mod hkdf;
mod hmac;
mod legacy;
mod mac;
mod sign;
mod wipe;

pub use aead::AeadKey;
pub use encode::encode;
pub use entropy::SystemEntropy;
pub use error::{BadSignature, OpenError, TooLong};
pub use hash::{Sha256, sha256};
pub use hkdf::{Hash, RootKey, hkdf, hkdf_expand};
pub use legacy::{Prf, hmac_sha256, pbkdf2, sha1};
pub use mac::{MacKey, MacPrefix};
pub use sign::{PublicKey, SigningKey};

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
