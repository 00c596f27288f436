//! The head and the index of the file; docs/breach-filter.md has them byte by byte.

use super::BreachError;

const MAGIC: [u8; 8] = *b"VSBREACH";
const VERSION: u16 = 1;
/// Length of the header in bytes.
pub(super) const HEADER: usize = 36;
/// Length of an index entry in bytes.
pub(super) const ENTRY: usize = 8;
/// 2^20 shards hold more than five thousand million keys.
pub(super) const MAX_SHARDS_LOG: u8 = 20;
/// Longest shard in bytes; what builders make of 65 536 keys is shorter.
pub(super) const MAX_SHARD: u32 = 1 << 20;

/// How long the fingerprint of a key is, and with it how often a password that is not in the filter
/// looks as if it were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FingerprintBits {
    /// 8 bits: 1 in 256 passwords is refused without reason; about 10 bits a key.
    Eight,
    /// 16 bits: 1 in 65 536; about 20 bits a key.
    Sixteen,
}

impl FingerprintBits {
    /// 8 or 16.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }

    /// How often a password that is not in the filter looks as if it were.
    #[must_use]
    pub fn rate(self) -> f64 {
        match self {
            Self::Eight => 1.0 / 256.0,
            Self::Sixteen => 1.0 / 65_536.0,
        }
    }

    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// What the file says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) bits: FingerprintBits,
    /// There are two to the power of this many shards.
    pub(super) shards_log: u8,
    pub(super) keys: u64,
    /// Of the whole file, in bytes.
    pub(super) length: u64,
    pub(super) index_crc: u32,
}

impl Header {
    /// Length of the index in bytes.
    pub(super) const fn index(&self) -> usize {
        ENTRY << self.shards_log
    }

    pub(super) fn parse(bytes: &[u8; HEADER]) -> Result<Self, BreachError> {
        let (said, crc) = bytes.split_last_chunk::<4>().ok_or(BreachError::Header)?;
        let mut fields = Fields(bytes);
        if fields.take() != Some(MAGIC) {
            return Err(BreachError::NotAFilter);
        }
        let version = fields.take().map(u16::from_be_bytes);
        if version != Some(VERSION) {
            return Err(BreachError::Version(version.unwrap_or_default()));
        }
        if crc32c::crc32c(said) != u32::from_be_bytes(*crc) {
            return Err(BreachError::Header);
        }
        let header = (|| {
            let bits = match fields.take()? {
                [8] => FingerprintBits::Eight,
                [16] => FingerprintBits::Sixteen,
                _ => return None,
            };
            let [shards_log] = fields.take()?;
            Some(Self {
                bits,
                shards_log: Some(shards_log).filter(|log| *log <= MAX_SHARDS_LOG)?,
                keys: u64::from_be_bytes(fields.take()?),
                length: u64::from_be_bytes(fields.take()?),
                index_crc: u32::from_be_bytes(fields.take()?),
            })
        })();
        header.ok_or(BreachError::Header)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([self.bits.bits(), self.shards_log]);
        bytes.extend(self.keys.to_be_bytes());
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.index_crc.to_be_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }
}

/// Takes fields of fixed length off the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}
