//! Hashes by other software: what its texts say was computed.
//!
//! | what | as text |
//! |---|---|
//! | Argon2, PHC | `$argon2id$v=19$m=..,t=..,p=..$salt$hash`; `argon2i`, `argon2d`; without `v=` version 1.0 |
//! | bcrypt | `$2b$12$..`; `2a`, `2y` |
//! | PBKDF2, passlib | `$pbkdf2-sha256$rounds$salt$hash`; `pbkdf2-sha512`, `pbkdf2` (SHA-1) |
//! | scrypt, passlib and PHC | `$scrypt$ln=16,r=8,p=1$salt$hash` |
//! | passlib over bcrypt | `$bcrypt-sha256$v=2,t=2b,r=12$salt$hash`; version 1 `$bcrypt-sha256$2a,12$salt$hash` |
//! | Django | `pbkdf2_sha256$..`, `pbkdf2_sha1$..`, `argon2$argon2id$..`, `bcrypt_sha256$$2b$..`, `bcrypt$$2b$..`, `scrypt$..` |
//! | ASP.NET Identity | base64 of version 2 or 3 |
//!
//! Keycloak's two columns are made one of these ([`keycloak`]).

mod aspnet;
mod django;
#[cfg(feature = "import")]
mod keycloak;
mod passlib;

use std::num::NonZeroU32;

use base64ct::{Base64Unpadded, Encoding};
use vouchsafe_crypto::Prf;

#[cfg(feature = "import")]
pub(crate) use self::keycloak::as_text as keycloak;
use crate::hashed::{Hashed, Input, Kdf};
use crate::phc::{self, number};
use crate::{RecordError, scrypt};

/// Longest text of other software that is read, in bytes.
pub(crate) const MAX_LEN: usize = 512;
/// Most rounds of PBKDF2, those for each block of its output together: nearly three times what Django
/// 6.1 makes.
const MAX_ROUNDS: u32 = 4_000_000;
/// Least and most of bcrypt's cost: 4 is the least that it knows, and 16 takes seconds.
#[cfg(feature = "import")]
const BCRYPT: std::ops::RangeInclusive<u32> = 4..=16;
/// Longest salt in bytes.
const MAX_SALT: usize = 128;
/// What a hash may be: fewer bytes would be guessed before the password.
const HASH: std::ops::RangeInclusive<usize> = 16..=64;

/// What was computed, if `text` is of a format that is known.
pub(crate) fn read(text: &str) -> Result<Hashed, RecordError> {
    if text.len() > MAX_LEN {
        return Err(RecordError::TooLong { max: MAX_LEN });
    }
    // Django writes `!` and noise for a user who has no password.
    if text.starts_with('!') {
        return Err(RecordError::Disabled);
    }
    if is_bare_digest(text) {
        return Err(RecordError::BareDigest);
    }
    // In a record's own text these begin a history, and end a wrapped digest.
    if text.contains(';') || text.contains("!$") {
        return Err(RecordError::Field("salt"));
    }
    match text.strip_prefix('$') {
        Some(rest) => match rest.split_once('$').ok_or(RecordError::NotARecord)? {
            ("argon2id" | "argon2i" | "argon2d", _) => phc::argon2(text),
            ("2" | "2a" | "2b" | "2x" | "2y", _) => bcrypt(text, Input::Plain),
            ("bcrypt-sha256", rest) => passlib::bcrypt_sha256(rest),
            ("pbkdf2", rest) => passlib::pbkdf2(Prf::Sha1, rest),
            ("pbkdf2-sha256", rest) => passlib::pbkdf2(Prf::Sha256, rest),
            ("pbkdf2-sha512", rest) => passlib::pbkdf2(Prf::Sha512, rest),
            ("scrypt", rest) => passlib::scrypt(rest),
            _ => Err(RecordError::NotARecord),
        },
        None => match text.split_once('$') {
            Some((name, rest)) => django::read(name, rest),
            None => aspnet::read(text),
        },
    }
}

/// MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal.
fn is_bare_digest(text: &str) -> bool {
    matches!(text.len(), 32 | 40 | 64 | 128) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn pbkdf2(prf: Prf, rounds: &str, salt: Vec<u8>, hash: Vec<u8>) -> Result<Hashed, RecordError> {
    let rounds = number(rounds).ok_or(RecordError::Field("rounds"))?;
    let block = match prf {
        Prf::Sha1 => 20,
        Prf::Sha256 => 32,
        Prf::Sha512 => 64,
    };
    let blocks = u32::try_from(hash.len().div_ceil(block)).unwrap_or(u32::MAX);
    let rounds =
        NonZeroU32::new(rounds).filter(|rounds| rounds.get().saturating_mul(blocks) <= MAX_ROUNDS);
    let kdf = Kdf::Pbkdf2(prf, rounds.ok_or(RecordError::Params)?);
    hashed(kdf, salt, hash)
}

fn scrypt(log_n: u32, r: u32, p: u32, salt: Vec<u8>, hash: Vec<u8>) -> Result<Hashed, RecordError> {
    let cost = scrypt::Cost::new(log_n, r, p).ok_or(RecordError::Params)?;
    hashed(Kdf::Scrypt(cost), salt, hash)
}

fn hashed(kdf: Kdf, salt: Vec<u8>, hash: Vec<u8>) -> Result<Hashed, RecordError> {
    if salt.is_empty() || salt.len() > MAX_SALT {
        return Err(RecordError::Field("salt"));
    }
    if !HASH.contains(&hash.len()) {
        return Err(RecordError::Field("hash"));
    }
    Ok(Hashed { input: Input::Plain, kdf, salt, hash })
}

/// Base64 as in PHC strings.
fn unpadded(text: &str, field: &'static str) -> Result<Vec<u8>, RecordError> {
    Base64Unpadded::decode_vec(text).map_err(|_| RecordError::Field(field))
}

/// `$2b$12$` and 53 characters.
#[cfg(feature = "import")]
fn bcrypt(text: &str, input: Input) -> Result<Hashed, RecordError> {
    let mut parts = text.split('$').skip(1);
    let (version, cost, rest) = (parts.next(), parts.next(), parts.next());
    if !matches!(version, Some("2a" | "2b" | "2y")) {
        return Err(RecordError::Unsupported("bcrypt 2 and 2x, which are flawed"));
    }
    let plain = |cost: &&str| cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost = cost.filter(plain).and_then(|cost| cost.parse().ok());
    let cost = cost.ok_or(RecordError::Field("cost"))?;
    let rest = rest.filter(|rest| rest.len() == 53).ok_or(RecordError::Field("hash"))?;
    if parts.next().is_some() {
        return Err(RecordError::Field("hash"));
    }
    let (salt, hash) = rest.split_at_checked(22).ok_or(RecordError::Field("hash"))?;
    of_bcrypt(cost, salt, hash, input)
}

/// Salt and hash in bcrypt's own base64.
#[cfg(feature = "import")]
fn of_bcrypt(cost: u32, salt: &str, hash: &str, input: Input) -> Result<Hashed, RecordError> {
    if !BCRYPT.contains(&cost) {
        return Err(RecordError::Params);
    }
    let salt = bcrypt_base64(salt).filter(|salt| salt.len() == 16);
    let hash = bcrypt_base64(hash).filter(|hash| hash.len() == crate::bcrypt::HASH);
    let salt = salt.ok_or(RecordError::Field("salt"))?;
    let hash = hash.ok_or(RecordError::Field("hash"))?;
    Ok(Hashed { input, kdf: Kdf::Bcrypt { cost }, salt, hash })
}

#[cfg(not(feature = "import"))]
fn bcrypt(_: &str, _: Input) -> Result<Hashed, RecordError> {
    Err(RecordError::Unsupported("bcrypt without the feature `import`"))
}

#[cfg(not(feature = "import"))]
fn of_bcrypt(_: u32, _: &str, _: &str, _: Input) -> Result<Hashed, RecordError> {
    Err(RecordError::Unsupported("bcrypt without the feature `import`"))
}

/// Whole bytes only: the bits over are noise in what some software wrote.
#[cfg(feature = "import")]
fn bcrypt_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut filled) = (0_u32, 0_u32);
    let mut out = Vec::with_capacity(text.len());
    for character in text.bytes() {
        let value = match character {
            b'.' => 0,
            b'/' => 1,
            b'A'..=b'Z' => character.checked_sub(b'A')?.checked_add(2)?,
            b'a'..=b'z' => character.checked_sub(b'a')?.checked_add(28)?,
            b'0'..=b'9' => character.checked_sub(b'0')?.checked_add(54)?,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        filled = filled.saturating_add(6);
        if filled >= 8 {
            filled = filled.saturating_sub(8);
            out.push(u8::try_from(bits >> filled & 0xff).ok()?);
            bits &= 0xff;
        }
    }
    Some(out)
}
