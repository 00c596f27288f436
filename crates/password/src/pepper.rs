//! Keys that stored hashes are sealed with, so that a stolen table is of no use by itself.

use std::fmt;

use vouchsafe_core::{Entropy, NoEntropy, Standing};
use vouchsafe_crypto::{AeadKey, RootKey, encode};
use zeroize::Zeroizing;

use crate::record::{Body, Inner};
use crate::{Binding, Record, Upgrade};

const LABEL: &str = "vouchsafe password pepper v1";

/// Which pepper a record is sealed with: it follows from the key, so two keys never share one, and a
/// key that is not there is told from a record that was tampered with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PepperId([u8; 8]);

/// Sixteen hexadecimal digits, as in the record's text.
impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PepperId({self})")
    }
}

impl PepperId {
    /// Sixteen lower-case hexadecimal digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let id = u64::from_str_radix(text, 16).ok().filter(|_| plain && text.len() == 16);
        id.map(|id| Self(id.to_be_bytes()))
    }
}

/// The peppers in use: one that records are sealed with from now on, and older ones whose records
/// are still there.
///
/// A record is sealed with AES-256-GCM under a random nonce, bound to its tenant and account: a row
/// copied to another account does not open. Keep the keys apart from the table.
///
/// Under one pepper at most 2^32 records may be sealed, upgrades and changed passwords included
/// (NIST SP 800-38D, section 8.3).
pub struct Peppers {
    current: Pepper,
    older: Vec<Pepper>,
    sealed_only: bool,
}

struct Pepper {
    id: PepperId,
    key: AeadKey,
}

impl Pepper {
    fn new(root: &RootKey) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *root.derive("vouchsafe password pepper id v1", &[]);
        let key = AeadKey::new(&root.derive("vouchsafe password pepper key v1", &[]));
        Self { id: PepperId([a, b, c, d, e, f, g, h]), key }
    }
}

/// Why a sealed record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// Its pepper is not among those given.
    #[error("there is no pepper {0}")]
    NoPepper(PepperId),
    /// It was sealed for another account, or changed since.
    #[error("the record was sealed for another account, or tampered with")]
    Tampered,
    /// It is under no pepper, and only those that are sealed are believed ([`Peppers::sealed_only`]).
    #[error("the record is not sealed with a pepper, and only those that are count")]
    NotSealed,
    /// Sealed, it would be longer than a record may be ([`Record::MAX_LEN`]): long imports with many
    /// remembered passwords are. Its next successful use makes it shorter.
    #[error("sealed, the record would be longer than a record may be")]
    TooLong,
    /// No fresh bytes for a nonce.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl Peppers {
    /// Seals with `current`. Keys of this kind must be used for nothing else.
    #[must_use]
    pub fn new(current: &RootKey) -> Self {
        Self { current: Pepper::new(current), older: Vec::new(), sealed_only: false }
    }

    /// Opens records that were sealed with `older`, too.
    #[must_use]
    pub fn with_older(mut self, older: &RootKey) -> Self {
        self.older.push(Pepper::new(older));
        self
    }

    /// Believes no record that is not sealed: whoever can write to the table, and has no pepper, can put
    /// no hash of a password of their own there. Such a record never matches, at the work of a wrong
    /// password, and [`rotate`](Self::rotate) does not seal it.
    ///
    /// For when the whole table has been rotated, what is imported included.
    #[must_use]
    pub const fn sealed_only(mut self) -> Self {
        self.sealed_only = true;
        self
    }

    /// Which one records are sealed with.
    #[must_use]
    pub const fn current(&self) -> PepperId {
        self.current.id
    }

    /// The record of the account of `binding`, sealed with the current pepper: without anybody's
    /// password, also for one that was under no pepper. `None` where it is already.
    ///
    /// A table is rotated row by row, each with the compare-and-swap of [`Upgrade`]; what was
    /// rotated already is skipped, so a run that was cut off is simply begun again.
    ///
    /// # Errors
    /// [`PepperError`]; a record that cannot be opened stays as it is.
    pub fn rotate(
        &self,
        record: &Record,
        binding: &Binding,
        entropy: &dyn Entropy,
    ) -> Result<Option<Upgrade>, PepperError> {
        if record.pepper() == Some(self.current.id) {
            return Ok(None);
        }
        let (standing, inner) = open(Some(self), record, binding)?;
        let plain = Record::plain(standing, record.bound, record.form, inner);
        let new = self.seal(&plain, binding, entropy)?;
        if !new.fits() {
            return Err(PepperError::TooLong);
        }
        Ok(Some(Upgrade::new(record.clone(), new)))
    }

    /// `plain` sealed with the current pepper; one that is sealed stays as it is.
    pub(crate) fn seal(
        &self,
        plain: &Record,
        binding: &Binding,
        entropy: &dyn Entropy,
    ) -> Result<Record, NoEntropy> {
        let Body::Plain(inner) = &plain.body else { return Ok(plain.clone()) };
        let Pepper { id, key } = &self.current;
        let mut nonce = [0; AeadKey::NONCE];
        entropy.fill(&mut nonce)?;
        let mut sealed = inner.sealed_text(plain.standing).into_bytes();
        // Far shorter than what AES-GCM cannot seal.
        let _ = key.seal_in_place(nonce, &aad(plain, *id, binding), &mut sealed);
        let body = Body::Sealed(*id, [nonce.as_slice(), &sealed].concat());
        Ok(Record {
            standing: plain.standing,
            bound: plain.bound,
            form: plain.form,
            bare: false,
            body,
        })
    }

    fn find(&self, id: PepperId) -> Option<&Pepper> {
        std::iter::once(&self.current).chain(&self.older).find(|pepper| pepper.id == id)
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only = if self.sealed_only { ", sealed only" } else { "" };
        write!(f, "Peppers({}, {} older{only})", self.current.id, self.older.len())
    }
}

/// What entitles to what, and was hashed how.
pub(crate) fn open(
    peppers: Option<&Peppers>,
    record: &Record,
    binding: &Binding,
) -> Result<(Standing, Inner), PepperError> {
    let (id, bytes) = match &record.body {
        Body::Plain(_) if peppers.is_some_and(|peppers| peppers.sealed_only) => {
            return Err(PepperError::NotSealed);
        }
        Body::Plain(inner) => return Ok((record.standing, inner.clone())),
        Body::Sealed(id, bytes) => (*id, bytes),
    };
    let pepper = peppers.and_then(|peppers| peppers.find(id));
    let Pepper { key, .. } = pepper.ok_or(PepperError::NoPepper(id))?;
    let (nonce, sealed) = bytes.split_first_chunk().ok_or(PepperError::Tampered)?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let text = key
        .open_in_place(*nonce, &aad(record, id, binding), &mut sealed)
        .map_err(|_| PepperError::Tampered)?;
    let text = std::str::from_utf8(text).map_err(|_| PepperError::Tampered)?;
    let (sealed_as, inner) = Inner::from_sealed_text(text).ok_or(PepperError::Tampered)?;
    // Outside the seal a record can only be made worth less.
    let standing = match (sealed_as, record.standing) {
        (Standing::Chosen, Standing::Chosen) => Standing::Chosen,
        _ => Standing::MustChange,
    };
    Ok((standing, inner))
}

/// Whose record it is, and how its text reads, but for the standing: that is inside the seal.
fn aad(record: &Record, id: PepperId, binding: &Binding) -> Vec<u8> {
    let bound = if record.bound { "bound" } else { "free" };
    encode(LABEL, &[binding.as_bytes(), bound.as_bytes(), record.form.name().as_bytes(), &id.0])
}
