//! Reading and writing the parts' bytes: fixed widths, big-endian, every byte accounted for.

use vouchsafe_core::{Corrupt, Timestamp};

pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Corrupt)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Corrupt> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Corrupt> {
        let micros = self.array().map(i64::from_be_bytes)?;
        let moment = Timestamp::from_micros(micros);
        if moment.micros() == micros { Ok(moment) } else { Err(Corrupt) }
    }

    /// `Some` of what follows a 1, `None` after a 0.
    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Corrupt>,
    ) -> Result<Option<T>, Corrupt> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Corrupt),
        }
    }

    pub(crate) const fn end(self) -> Result<(), Corrupt> {
        if self.0.is_empty() { Ok(()) } else { Err(Corrupt) }
    }
}

pub(crate) fn put_time(out: &mut Vec<u8>, moment: Timestamp) {
    out.extend_from_slice(&moment.micros().to_be_bytes());
}

pub(crate) fn put_option(out: &mut Vec<u8>, bytes: Option<[u8; 8]>) {
    out.push(u8::from(bytes.is_some()));
    out.extend(bytes.into_iter().flatten());
}
