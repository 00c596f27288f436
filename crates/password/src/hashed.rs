//! What was computed of a password, by this crate or by other software, and what came out.

use std::num::NonZeroU32;

use argon2::{Algorithm, Version};
use base64ct::{Base64, Encoding};
use vouchsafe_crypto::{Prf, hmac_sha256, pbkdf2, sha1, sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::hash::{self, Memory, NotRun, Variant};
use crate::{Binding, Params, Password, scrypt};

/// A hash, and how to compute it again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub(crate) input: Input,
    pub(crate) kdf: Kdf,
    pub(crate) salt: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

/// What of the password goes into the hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The password itself.
    Plain,
    /// Its SHA-256 in lower-case hexadecimal (Django's `bcrypt_sha256`).
    Sha256Hex,
    /// Its SHA-256 in base64 (passlib's `bcrypt-sha256`, version 1).
    Sha256Base64,
    /// Its HMAC-SHA-256 in base64, under the salt as text (passlib's `bcrypt-sha256`, version 2).
    HmacBase64(String),
    /// A digest that was kept bare once, in lower-case hexadecimal.
    Digest(Digest, Affixes),
}

/// What was hashed together with a password, in a digest that was kept bare once.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Affixes {
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

/// A digest that is no password hash: too quick, and often without a salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Digest {
    /// MD5, 16 bytes.
    #[cfg(feature = "import")]
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl Digest {
    /// Bytes of a digest.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            #[cfg(feature = "import")]
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// As it stands in a record.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "import")]
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            #[cfg(feature = "import")]
            "md5" => Some(Self::Md5),
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn of(self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            #[cfg(feature = "import")]
            Self::Md5 => <md5::Md5 as md5::Digest>::digest(text).to_vec(),
            Self::Sha1 => sha1(text).to_vec(),
            Self::Sha256 => sha256(text).to_vec(),
        })
    }
}

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kdf {
    Argon2(Variant, Params),
    Scrypt(scrypt::Cost),
    #[cfg(feature = "import")]
    Bcrypt {
        cost: u32,
    },
    Pbkdf2(Prf, NonZeroU32),
}

impl Kdf {
    /// What new records are made with.
    pub(crate) const fn new(params: Params) -> Self {
        Self::Argon2(Variant::NEW, params)
    }

    /// Memory that it needs, in KiB.
    pub(crate) fn kib(self) -> u32 {
        match self {
            Self::Argon2(_, params) => params.memory_kib(),
            Self::Scrypt(cost) => cost.kib(),
            #[cfg(feature = "import")]
            Self::Bcrypt { .. } => 0,
            Self::Pbkdf2(..) => 0,
        }
    }

    /// 1 KiB blocks of that memory that are computed.
    pub(crate) fn blocks(self) -> u64 {
        match self {
            Self::Argon2(_, params) => params.blocks(),
            Self::Scrypt(cost) => cost.blocks(),
            #[cfg(feature = "import")]
            Self::Bcrypt { .. } => 0,
            Self::Pbkdf2(..) => 0,
        }
    }

    /// As in the texts that name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Argon2(variant, _) => match variant.algorithm {
                Algorithm::Argon2d => "argon2d",
                Algorithm::Argon2i => "argon2i",
                Algorithm::Argon2id => "argon2id",
            },
            Self::Scrypt(_) => "scrypt",
            #[cfg(feature = "import")]
            Self::Bcrypt { .. } => "bcrypt",
            Self::Pbkdf2(Prf::Sha1, _) => "pbkdf2-sha1",
            Self::Pbkdf2(Prf::Sha256, _) => "pbkdf2-sha256",
            Self::Pbkdf2(Prf::Sha512, _) => "pbkdf2-sha512",
        }
    }
}

impl Hashed {
    /// Argon2id's parameters, where it is Argon2id 1.3.
    pub(crate) fn argon2id(&self) -> Option<Params> {
        match self.kdf {
            Kdf::Argon2(Variant { algorithm: Algorithm::Argon2id, version: Version::V0x13 }, p) => {
                Some(p)
            }
            _ => None,
        }
    }

    /// Whether it tells `text` from every other. HMAC fills its key up with NULs, and bcrypt ends its key
    /// with one and repeats it: a text with a NUL in it agrees with one that has fewer.
    pub(crate) fn tells(&self, text: &str) -> bool {
        let argon2 = matches!(self.kdf, Kdf::Argon2(..));
        argon2 || self.input != Input::Plain || !text.contains('\0')
    }

    /// Whether a match says what the password is, all of it. bcrypt does not look behind 72 bytes, of
    /// which the closing NUL is one. HMAC takes the digest of a key that is longer than its block: as long as
    /// a digest, or longer than a block, there may be two.
    pub(crate) fn pins_down(&self, password: &Password) -> bool {
        let (block, digest) = match self.kdf {
            _ if self.input != Input::Plain => return true,
            Kdf::Argon2(..) => return true,
            #[cfg(feature = "import")]
            Kdf::Bcrypt { .. } => (crate::bcrypt::WHOLE, usize::MAX),
            Kdf::Pbkdf2(Prf::Sha1, _) => (64, 20),
            Kdf::Pbkdf2(Prf::Sha256, _) | Kdf::Scrypt(_) => (64, 32),
            Kdf::Pbkdf2(Prf::Sha512, _) => (128, 64),
        };
        let lengths = [password.raw().len(), password.nfc().len()];
        lengths.iter().all(|length| *length <= block && *length != digest)
    }

    /// The same of `password`, bound to `binding` where that is given.
    pub(crate) fn again(
        &self,
        password: &str,
        binding: Option<&Binding>,
        memory: &mut Memory,
    ) -> Result<Zeroizing<Vec<u8>>, NotRun> {
        let mut tag = Zeroizing::new(vec![0; self.hash.len()]);
        let done = self.input.of(password, |input| {
            let salt = &self.salt;
            match self.kdf {
                Kdf::Argon2(variant, params) => {
                    hash::argon2(variant, params, salt, binding, input, memory, &mut tag)
                }
                Kdf::Scrypt(cost) => scrypt::run(cost, salt, input, memory.blocks_mut(), &mut tag),
                #[cfg(feature = "import")]
                Kdf::Bcrypt { cost } => {
                    let salt = salt.first_chunk().ok_or(NotRun)?;
                    let tag = tag.first_chunk_mut().ok_or(NotRun)?;
                    crate::bcrypt::run(cost, salt, input, tag);
                    Ok(())
                }
                Kdf::Pbkdf2(prf, rounds) => {
                    pbkdf2(prf, rounds, salt, input, &mut tag);
                    Ok(())
                }
            }
        });
        hash::scrub_stack();
        done.map(|()| tag)
    }
}

impl Input {
    /// Hands what goes into the hash to `then`, and wipes it.
    fn of<T>(&self, password: &str, then: impl FnOnce(&[u8]) -> T) -> T {
        let text = password.as_bytes();
        match self {
            Self::Plain => then(text),
            Self::Sha256Hex => then(&hex(&Digest::Sha256.of(text))),
            Self::Sha256Base64 => then(&base64(sha256(text))),
            Self::HmacBase64(key) => then(&base64(hmac_sha256(key.as_bytes(), text))),
            Self::Digest(digest, Affixes { before, after }) => {
                let mut whole = Zeroizing::new(Vec::with_capacity(
                    before.len().saturating_add(text.len()).saturating_add(after.len()),
                ));
                for part in [before, text, after] {
                    whole.extend_from_slice(part);
                }
                then(&hex(&digest.of(&whole)))
            }
        }
    }
}

fn base64(mut bytes: [u8; 32]) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(Base64::encode_string(&bytes).into_bytes());
    bytes.zeroize();
    text
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0'.saturating_add(nibble),
        _ => b'a'.saturating_add(nibble.saturating_sub(10)),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_mul(2)));
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}
