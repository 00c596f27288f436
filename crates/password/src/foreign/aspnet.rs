//! ASP.NET Core Identity's formats, versions 2 and 3.

use base64ct::{Base64, Encoding};
use vouchsafe_crypto::Prf;

use crate::RecordError;
use crate::hashed::Hashed;

/// Version 2 is PBKDF2 with HMAC-SHA-1, 1 000 rounds, a salt of 16 bytes and a hash of 32; version 3
/// names which HMAC, how many rounds and how long the salt is, in big-endian numbers of 32 bits.
pub(super) fn read(text: &str) -> Result<Hashed, RecordError> {
    let bytes = Base64::decode_vec(text).map_err(|_| RecordError::NotARecord)?;
    match bytes.split_first() {
        Some((0, rest)) if rest.len() == 48 => {
            let (salt, hash) = rest.split_at(16);
            super::pbkdf2(Prf::Sha1, "1000", salt.to_vec(), hash.to_vec())
        }
        Some((1, rest)) => {
            let (head, rest) = rest.as_chunks::<4>().0.split_first_chunk::<3>().map_or_else(
                || Err(RecordError::NotARecord),
                |(head, _)| Ok((*head, rest.get(12..).unwrap_or_default())),
            )?;
            let [prf, rounds, salt] = head.map(u32::from_be_bytes);
            let prf = match prf {
                0 => Prf::Sha1,
                1 => Prf::Sha256,
                2 => Prf::Sha512,
                _ => return Err(RecordError::Field("algorithm")),
            };
            let salt = usize::try_from(salt).map_err(|_| RecordError::Field("salt"))?;
            let (salt, hash) = rest.split_at_checked(salt).ok_or(RecordError::Field("salt"))?;
            super::pbkdf2(prf, &rounds.to_string(), salt.to_vec(), hash.to_vec())
        }
        _ => Err(RecordError::NotARecord),
    }
}
