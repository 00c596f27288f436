//! passlib's own formats.

use vouchsafe_crypto::Prf;

use super::{of_bcrypt, unpadded};
use crate::RecordError;
use crate::hashed::{Hashed, Input};
use crate::phc::{number, numbers};

/// `rounds$salt$hash`, in base64 with `.` for `+`.
pub(super) fn pbkdf2(prf: Prf, rest: &str) -> Result<Hashed, RecordError> {
    let [rounds, salt, hash] = parts(rest)?;
    let bytes = |text: &str, field| unpadded(&text.replace('.', "+"), field);
    super::pbkdf2(prf, rounds, bytes(salt, "salt")?, bytes(hash, "hash")?)
}

/// `ln=16,r=8,p=1$salt$hash`.
pub(super) fn scrypt(rest: &str) -> Result<Hashed, RecordError> {
    let [cost, salt, hash] = parts(rest)?;
    let [log_n, r, p] = numbers(cost, ["ln=", "r=", "p="])?;
    super::scrypt(log_n, r, p, unpadded(salt, "salt")?, unpadded(hash, "hash")?)
}

/// `v=2,t=2b,r=12$salt$hash`, or `2a,12$salt$hash` for version 1.
pub(super) fn bcrypt_sha256(rest: &str) -> Result<Hashed, RecordError> {
    let [cost, salt, hash] = parts(rest)?;
    let (input, cost) = if let Some(cost) = cost.strip_prefix("v=2,t=2b,r=") {
        (Input::HmacBase64(salt.to_owned()), cost)
    } else {
        let cost = cost.strip_prefix("2a,").or_else(|| cost.strip_prefix("2b,"));
        (Input::Sha256Base64, cost.ok_or(RecordError::Field("parameters"))?)
    };
    let cost = number(cost).ok_or(RecordError::Field("parameters"))?;
    of_bcrypt(cost, salt, hash, input)
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], RecordError> {
    let parts: Vec<&str> = text.split('$').collect();
    parts.try_into().map_err(|_| RecordError::Field("hash"))
}
