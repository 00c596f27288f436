//! What can go wrong. Nothing here says why in a way that helps an attacker.

/// The bytes were not sealed under this key, nonce and associated data, or were changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open: wrong key, wrong context, or changed bytes")]
pub struct OpenError;

/// The signature is not this key's over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// More bytes than the algorithm takes (2^36 - 32 in one AES-GCM message, SP 800-38D 5.2.1.1) or
/// gives (255 hash lengths out of one HKDF, RFC 5869 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more bytes than the algorithm handles at once")]
pub struct TooLong;
