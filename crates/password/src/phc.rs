//! Argon2 in PHC's string format.

use argon2::{Algorithm, Version};
use base64ct::{Base64Unpadded as Base64, Encoding};

use crate::hash::Variant;
use crate::hashed::{Hashed, Input, Kdf};
use crate::{Params, RecordError};

/// `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`. A text that names no version is of version 1.0: 1.3
/// brought the field.
pub(crate) fn argon2(text: &str) -> Result<Hashed, RecordError> {
    let mut parts = text.split('$').skip(1).peekable();
    let algorithm = match parts.next() {
        Some("argon2id") => Algorithm::Argon2id,
        Some("argon2i") => Algorithm::Argon2i,
        Some("argon2d") => Algorithm::Argon2d,
        _ => return Err(RecordError::Field("algorithm")),
    };
    let version = match parts.next_if(|part| part.starts_with("v=")) {
        Some("v=19") => Version::V0x13,
        Some("v=16") | None => Version::V0x10,
        Some(_) => return Err(RecordError::Field("algorithm")),
    };
    let mut part = |name| parts.next().ok_or(RecordError::Field(name));
    let (params, salt, hash) = (part("parameters")?, part("salt")?, part("hash")?);
    if parts.next().is_some() {
        return Err(RecordError::Field("hash"));
    }
    let [memory, passes, lanes] = numbers(params, ["m=", "t=", "p="])?;
    let params = Params::new(memory, passes, lanes).ok_or(RecordError::Params)?;
    // Argon2 knows no shorter salt; a hash under 16 bytes would be guessed before the password.
    let salt = Base64::decode_vec(salt).ok().filter(|s| (8..=64).contains(&s.len()));
    let hash = Base64::decode_vec(hash).ok().filter(|h| (16..=64).contains(&h.len()));
    let salt = salt.ok_or(RecordError::Field("salt"))?;
    let hash = hash.ok_or(RecordError::Field("hash"))?;
    let kdf = Kdf::Argon2(Variant { algorithm, version }, params);
    Ok(Hashed { input: Input::Plain, kdf, salt, hash })
}

/// `m=1,t=2,p=3`: the numbers under these names, in this order.
pub(crate) fn numbers<const N: usize>(
    text: &str,
    names: [&str; N],
) -> Result<[u32; N], RecordError> {
    let mut parts = text.split(',');
    let mut out = [0; N];
    for (to, name) in out.iter_mut().zip(names) {
        let digits = parts.next().and_then(|part| part.strip_prefix(name));
        *to = digits.and_then(number).ok_or(RecordError::Field("parameters"))?;
    }
    if parts.next().is_some() { Err(RecordError::Field("parameters")) } else { Ok(out) }
}

/// Decimal digits without a leading zero.
pub(crate) fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    (plain && (digits == "0" || !digits.starts_with('0'))).then(|| digits.parse().ok()).flatten()
}
