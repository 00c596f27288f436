//! What somebody typed, normalised once.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::{IsNormalized, is_nfc_quick};
use vouchsafe_core::SecretString;

use crate::nfc::nfc;

/// A password as typed, and its NFC form, which is what is counted, checked and hashed.
///
/// Nothing is trimmed, case-folded or cut off; NUL, spaces and emoji are as good as letters. The
/// text is wiped when the last holder lets go of it, and never printed:
///
/// ```compile_fail
/// let password = vouchsafe_password::Password::new("hunter2".to_owned()).unwrap();
/// println!("{password}");
/// ```
/// ```compile_fail
/// let password = vouchsafe_password::Password::new("hunter2".to_owned()).unwrap();
/// let copy = password.clone();
/// ```
pub struct Password {
    nfc: Arc<SecretString>,
    /// As typed, where that differs.
    raw: Option<Arc<SecretString>>,
}

/// More bytes than [`Password::MAX_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has at most {} bytes", Password::MAX_BYTES)]
pub struct TooLong;

impl Password {
    /// Most bytes of UTF-8 once normalised: 256 code points of four bytes each. A bound keeps long
    /// inputs from costing work (CVE-2021-45115 and its like).
    pub const MAX_BYTES: usize = 1024;
    /// Most bytes as typed: in parts, as some keyboards send it, a text is up to three times as long
    /// (Unicode FAQ, Normalization).
    pub const MAX_TYPED_BYTES: usize = 3 * Self::MAX_BYTES;

    /// Takes the text over; it is wiped even when refused.
    ///
    /// # Errors
    /// [`TooLong`] for more than [`MAX_TYPED_BYTES`](Self::MAX_TYPED_BYTES), and for more than
    /// [`MAX_BYTES`](Self::MAX_BYTES) once normalised.
    pub fn new(text: impl Into<SecretString>) -> Result<Self, TooLong> {
        let raw = text.into();
        if raw.expose().len() > Self::MAX_TYPED_BYTES {
            return Err(TooLong);
        }
        if is_nfc_quick(raw.expose().chars()) == IsNormalized::Yes {
            if raw.expose().len() > Self::MAX_BYTES {
                return Err(TooLong);
            }
            return Ok(Self { nfc: Arc::new(raw), raw: None });
        }
        let mut nfc = nfc(raw.expose());
        if nfc.len() > Self::MAX_BYTES {
            return Err(TooLong);
        }
        let same = nfc.as_str() == raw.expose();
        let nfc = Arc::new(SecretString::new(std::mem::take(&mut *nfc)));
        Ok(Self { nfc, raw: (!same).then(|| Arc::new(raw)) })
    }

    /// Another handle on the same text.
    pub(crate) fn share(&self) -> Self {
        Self { nfc: Arc::clone(&self.nfc), raw: self.raw.clone() }
    }

    /// The normalised text.
    pub(crate) fn nfc(&self) -> &str {
        self.nfc.expose()
    }

    /// The text as typed.
    pub(crate) fn raw(&self) -> &str {
        self.raw.as_ref().unwrap_or(&self.nfc).expose()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
