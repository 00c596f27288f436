//! Reading bytes that somebody else may have written.

use crate::EnvelopeError;

/// A cursor that never reads past the end and never allocates.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    #[cfg(feature = "keyring")]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn malformed(&self, what: &'static str) -> EnvelopeError {
        EnvelopeError::Malformed { what, at: self.at }
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], EnvelopeError> {
        let (first, rest) = self.rest.split_first_chunk().ok_or_else(|| self.malformed(what))?;
        (self.rest, self.at) = (rest, self.at.saturating_add(N));
        Ok(*first)
    }

    pub(crate) fn bytes(
        &mut self,
        len: usize,
        what: &'static str,
    ) -> Result<&'a [u8], EnvelopeError> {
        let (first, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.malformed(what))?;
        (self.rest, self.at) = (rest, self.at.saturating_add(len));
        Ok(first)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, EnvelopeError> {
        self.array(what).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, EnvelopeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, EnvelopeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, EnvelopeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, EnvelopeError> {
        self.array(what).map(i64::from_be_bytes)
    }
}
