//! A store whose reader learns nothing.

mod keys;
mod rotate;

use vouchsafe_core::{CellKey, Entropy, Space, Timestamp};
use vouchsafe_crypto::{AeadKey, RootKey, SystemEntropy};

use self::keys::Keys;
pub use self::rotate::Resealed;
use crate::{Cells, Durability, Loaded, MAX_CELL, Put, StoreError, Stored, Swap, Version};

/// First byte of every value written here.
const FORMAT: u8 = 1;
/// Format, generation and nonce stand before the sealed bytes.
const HEADER: usize = 1 + 4 + AeadKey::NONCE;
/// The value's length stands before the value, inside.
const LENGTH: usize = 4;
/// The expiry stands behind it, in what was padding before it was kept there: 0 is none.
const UNTIL: usize = 8;
/// From here on sizes are padded to whole multiples, below to powers of two.
const PAGE: usize = 4096;
const SMALLEST: usize = 64;
/// What `until` is rounded up to: an hour.
const HOUR: i64 = 3_600_000_000;

/// Seals every value of a store that leaves the process, with AES-256-GCM bound to the cell's key
/// and version.
///
/// Who reads the store's bytes sees the keyed digest and the space of each cell, its version, its
/// size rounded up to a power of two (from 4 KiB on, to whole 4 KiB) and its expiry rounded up to
/// an hour. A value that was edited, or that stands under another key or version than it was
/// written for, is [`StoreError::Corrupt`], never an absent cell.
///
/// **Not detected:** a writer of the database may delete a cell, or put back a cell's older value
/// together with its version.
///
/// The arithmetic: nonces are random, so one key may seal 2^32 values (NIST SP 800-38D, 8.3, for a
/// chance of collision below 2^-32). Each space has 4 096 subkeys a generation, derived by HKDF and
/// chosen by the digest, and a generation lasts [`PERIOD`](Self::PERIOD): 2^44 swaps in 30 days
/// spread over many cells, or 1 600 a second of one single cell all the while. A nonce is drawn for
/// each swap and is never derived from a version or an event, so a step that runs again seals under
/// a new one.
///
/// Generations are told apart by the time ([`rotate`](Self::rotate)); a value says which one it was
/// sealed under, so what an older one sealed still opens, and is sealed under the newest when it is
/// next written, or by a walk ([`reseal`](Self::reseal)). All are derived from the one root key.
pub struct Encrypted<C> {
    inner: C,
    keys: Keys,
    entropy: Box<dyn Entropy>,
}

impl<C: Cells> Encrypted<C> {
    /// Longest value in bytes that still fits a cell when sealed.
    pub const MAX_VALUE: usize = MAX_CELL - PAGE - LENGTH - UNTIL;

    /// Seals what goes to `inner` under keys derived from `root`.
    #[must_use]
    pub fn new(inner: C, root: RootKey) -> Self {
        Self::with_entropy(inner, root, SystemEntropy::new())
    }

    /// As [`new`](Self::new), with nonces from `entropy`.
    #[must_use]
    pub fn with_entropy(inner: C, root: RootKey, entropy: impl Entropy + 'static) -> Self {
        Self { inner, keys: Keys::new(root), entropy: Box::new(entropy) }
    }

    /// The store that holds the sealed values.
    #[must_use]
    pub const fn inner(&self) -> &C {
        &self.inner
    }

    fn seal(
        &self,
        key: CellKey,
        version: Version,
        bytes: &[u8],
        until: Timestamp,
    ) -> Result<Vec<u8>, StoreError> {
        let too_large = || StoreError::TooLarge { len: bytes.len(), max: Self::MAX_VALUE };
        if bytes.len() > Self::MAX_VALUE {
            return Err(too_large());
        }
        let len = u32::try_from(bytes.len()).map_err(|_| too_large())?;
        let mut nonce = [0; AeadKey::NONCE];
        self.entropy.fill(&mut nonce)?;
        let generation = self.keys.newest();
        let padded = padded(bytes.len().saturating_add(LENGTH).saturating_add(UNTIL));
        let end = HEADER.saturating_add(padded);
        let mut value = Vec::with_capacity(end.saturating_add(AeadKey::OVERHEAD));
        value.push(FORMAT);
        value.extend_from_slice(&generation.to_be_bytes());
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&len.to_le_bytes());
        value.extend_from_slice(bytes);
        value.extend_from_slice(&until.micros().to_le_bytes());
        value.resize(end, 0);
        let body = value.get_mut(HEADER..).ok_or_else(too_large)?;
        let aad = associated(generation, key, version);
        let sealed = self.keys.with(generation, key, |key| key.seal_detached(nonce, &aad, body))?;
        value.extend_from_slice(&sealed.map_err(|_| too_large())?);
        Ok(value)
    }

    /// The value, and when it expires if it says so.
    fn open(
        &self,
        key: CellKey,
        sealed: Stored,
    ) -> Result<(Stored, Option<Timestamp>), StoreError> {
        let Stored { mut bytes, version } = sealed;
        let corrupt = || StoreError::Corrupt(key);
        let generation = generation_of(&bytes).ok_or_else(corrupt)?;
        let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or_else(corrupt)?;
        let &nonce = header.last_chunk::<{ AeadKey::NONCE }>().ok_or_else(corrupt)?;
        if generation < self.keys.oldest() {
            return Err(corrupt());
        }
        let aad = associated(generation, key, version);
        let opened: Result<_, StoreError> = self.keys.with(generation, key, |aead| {
            let opened =
                aead.open_within(nonce, &aad, &mut bytes, HEADER..).map_err(|_| corrupt())?;
            let (len, value) = opened.split_first_chunk::<LENGTH>().ok_or_else(corrupt)?;
            let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| corrupt())?;
            let (_, padding) = value.split_at_checked(len).ok_or_else(corrupt)?;
            let until = padding.first_chunk().map_or(0, |until| i64::from_le_bytes(*until));
            Ok((len, (until != 0).then(|| Timestamp::from_micros(until))))
        })?;
        let (len, until) = opened?;
        bytes.drain(..LENGTH);
        bytes.truncate(len);
        Ok((Stored { bytes, version }, until))
    }

    fn opened(&self, key: CellKey, loaded: Loaded) -> Result<Loaded, StoreError> {
        let Loaded { cell, time } = loaded;
        let cell = cell.map(|sealed| self.open(key, sealed)).transpose()?;
        let cell = cell.map(|(cell, _)| cell);
        Ok(Loaded { cell, time })
    }
}

/// What a sealed value belongs to: format and generation, the cell and the version.
fn associated(generation: u32, key: CellKey, version: Version) -> Vec<u8> {
    let mut aad = vec![FORMAT];
    aad.extend_from_slice(&generation.to_be_bytes());
    aad.push(key.space.code());
    aad.extend_from_slice(&key.digest);
    aad.extend_from_slice(version.as_bytes());
    aad
}

/// The generation that a sealed value says it was sealed under.
fn generation_of(sealed: &[u8]) -> Option<u32> {
    let (&[format], rest) = sealed.split_first_chunk()?;
    let generation = rest.first_chunk()?;
    (format == FORMAT).then(|| u32::from_be_bytes(*generation))
}

fn padded(len: usize) -> usize {
    if len > PAGE { len.next_multiple_of(PAGE) } else { len.next_power_of_two().max(SMALLEST) }
}

fn rounded_up(until: Timestamp) -> Timestamp {
    let past = until.micros().rem_euclid(HOUR);
    let missing = if past == 0 { 0 } else { HOUR.saturating_sub(past) };
    Timestamp::from_micros(until.micros().saturating_add(missing))
}

impl<C: Cells> Cells for Encrypted<C> {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let loaded = self.inner.load(key).await?;
        self.opened(key, loaded)
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let put = match put {
            Put::Save { bytes, until, version } => {
                Put::save(self.seal(key, version, &bytes, until)?, rounded_up(until), version)
            }
            Put::Erase => Put::Erase,
        };
        match self.inner.swap(key, expected, put).await? {
            Swap::Conflict(current) => Ok(Swap::Conflict(self.opened(key, current)?)),
            other => Ok(other),
        }
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.inner.scan(space, after, limit).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.rotate(now);
        self.inner.sweep(now, limit).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn losses(&self) -> u64 {
        self.inner.losses()
    }
}

impl<C: std::fmt::Debug> std::fmt::Debug for Encrypted<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Encrypted").field(&self.inner).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_padded_to_powers_of_two_then_pages() {
        let cases = [(0, 64), (64, 64), (65, 128), (4095, 4096), (4096, 4096), (4097, 8192)];
        for (len, to) in cases {
            assert_eq!(padded(len), to, "{len}");
        }
    }

    #[test]
    fn expiry_is_rounded_up_to_the_hour() {
        let cases =
            [(0, 0), (1, HOUR), (HOUR, HOUR), (HOUR + 1, 2 * HOUR), (-1, 0), (-HOUR, -HOUR)];
        for (until, to) in cases {
            assert_eq!(rounded_up(Timestamp::from_micros(until)).micros(), to, "{until}");
        }
        assert_eq!(rounded_up(Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn the_longest_value_fits_a_cell() {
        let longest = Encrypted::<crate::MemoryStore>::MAX_VALUE;
        assert!(HEADER + padded(longest + LENGTH + UNTIL) + AeadKey::OVERHEAD <= MAX_CELL);
        assert!(HEADER + padded(longest + LENGTH + UNTIL + 1) + AeadKey::OVERHEAD > MAX_CELL);
    }
}
