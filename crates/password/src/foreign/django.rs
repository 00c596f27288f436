//! Django's formats: a name, and what its hasher writes.

use base64ct::{Base64, Encoding};
use vouchsafe_crypto::Prf;

use super::bcrypt;
use crate::RecordError;
use crate::hashed::{Hashed, Input};
use crate::phc::{self, number};

pub(super) fn read(name: &str, rest: &str) -> Result<Hashed, RecordError> {
    match name {
        "pbkdf2_sha256" => pbkdf2(Prf::Sha256, rest),
        "pbkdf2_sha1" => pbkdf2(Prf::Sha1, rest),
        "argon2" => phc::argon2(&format!("${rest}")),
        "bcrypt" => bcrypt(rest, Input::Plain),
        "bcrypt_sha256" => bcrypt(rest, Input::Sha256Hex),
        "scrypt" => scrypt(rest),
        "md5" | "sha1" | "unsalted_md5" | "unsalted_sha1" => Err(RecordError::BareDigest),
        _ => Err(RecordError::NotARecord),
    }
}

/// `rounds$salt$hash`: the salt is text, the hash base64.
fn pbkdf2(prf: Prf, rest: &str) -> Result<Hashed, RecordError> {
    let mut parts = rest.splitn(3, '$');
    let mut part = |name| parts.next().ok_or(RecordError::Field(name));
    let (rounds, salt, hash) = (part("rounds")?, part("salt")?, part("hash")?);
    super::pbkdf2(prf, rounds, salt.into(), padded(hash)?)
}

/// `n$salt$r$p$hash`.
fn scrypt(rest: &str) -> Result<Hashed, RecordError> {
    let mut parts = rest.splitn(5, '$');
    let mut part = |name| parts.next().ok_or(RecordError::Field(name));
    let (n, salt) = (part("parameters")?, part("salt")?);
    let (r, p, hash) = (part("parameters")?, part("parameters")?, part("hash")?);
    let of = |digits| number(digits).ok_or(RecordError::Field("parameters"));
    let n = of(n)?;
    if !n.is_power_of_two() {
        return Err(RecordError::Params);
    }
    super::scrypt(n.trailing_zeros(), of(r)?, of(p)?, salt.into(), padded(hash)?)
}

fn padded(text: &str) -> Result<Vec<u8>, RecordError> {
    Base64::decode_vec(text).map_err(|_| RecordError::Field("hash"))
}
