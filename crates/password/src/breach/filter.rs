//! Looking keys up in a filter's file.

#[cfg(any(unix, windows))]
use std::fs::File;
use std::io::ErrorKind;
#[cfg(any(unix, windows))]
use std::path::Path;
use std::sync::Arc;

use super::build::number;
use super::format::{ENTRY, Fields, HEADER, Header, MAX_SHARD};
use super::shard::Shard;
use super::{BreachError, BreachKey, FingerprintBits};

/// The passwords of breaches, in a file that a [`BreachBuilder`](super::BreachBuilder) made.
///
/// What it holds it always recognises; of what it does not hold, one in 256 or in 65 536 looks as
/// if it were held ([`rate`](Self::rate)). A lookup reads one shard of some kilobytes and compares
/// its checksum with the one that was there when the filter was opened: a file that is damaged is an
/// error, when it is opened or at the lookup. The checksums (CRC-32C) show damage, and not what
/// somebody forged who can write the file.
#[derive(Debug)]
pub struct BreachFilter {
    header: Header,
    index: Vec<Entry>,
    source: Source,
}

/// Where a shard lies.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    length: u32,
    crc: u32,
}

enum Source {
    #[cfg(any(unix, windows))]
    File(File),
    Memory(Arc<[u8]>),
}

impl BreachFilter {
    /// Opens a file and reads the whole of it once, to see that it is sound: about a second for each
    /// gigabyte. In memory it keeps 16 bytes for each shard. The file may be replaced by renaming
    /// another one over it; this filter stays the one that was opened.
    ///
    /// # Errors
    /// [`BreachError`]: the file cannot be read, is no filter, or is damaged.
    #[cfg(any(unix, windows))]
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BreachError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Self::read(Source::File(file), length)
    }

    /// A filter that is in memory, where a lookup never waits for a disk.
    ///
    /// # Errors
    /// [`BreachError`]: it is no filter, or is damaged.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self, BreachError> {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::read(Source::Memory(bytes), length)
    }

    fn read(source: Source, is: u64) -> Result<Self, BreachError> {
        // The error of a file that ends before its header does, whatever it begins with.
        let short = BreachError::Length { said: HEADER as u64, is };
        let mut header = [0; HEADER];
        source.with(0, HEADER, |bytes| header.copy_from_slice(bytes)).map_err(|error| {
            if error == BreachError::Io(ErrorKind::UnexpectedEof) { short } else { error }
        })?;
        let header = Header::parse(&header)?;
        if header.length != is {
            return Err(BreachError::Length { said: header.length, is });
        }
        // Never more than the file has: an index of its length is looked for before it is read.
        let shards_from = (HEADER as u64).saturating_add(header.index() as u64);
        if shards_from > is {
            return Err(BreachError::Length { said: shards_from, is });
        }
        let index = source.with(HEADER as u64, header.index(), |bytes| {
            let sound = crc32c::crc32c(bytes) == header.index_crc;
            sound.then(|| entries(bytes, shards_from)).flatten().ok_or(BreachError::Index)
        })??;
        let end = index.last().map_or(shards_from, Entry::end);
        if end != is {
            return Err(BreachError::Length { said: end, is });
        }
        let filter = Self { header, index, source };
        let mut keys = 0_u64;
        for number in 0..filter.shards() {
            let held = filter.shard(number, |shard| shard.map_or(0, |shard| shard.keys))?;
            keys = keys.saturating_add(held.into());
        }
        if keys == header.keys { Ok(filter) } else { Err(BreachError::Header) }
    }

    /// Whether the filter holds `key`, or looks as if it did.
    ///
    /// Reads a file where it lies, and waits for the disk if it has to.
    ///
    /// # Errors
    /// [`BreachError::Shard`] when the file was changed since it was opened, [`BreachError::Io`]
    /// when it cannot be read any more.
    pub fn holds(&self, key: BreachKey) -> Result<bool, BreachError> {
        let key = key.bits();
        let number = number(key, self.header.shards_log);
        self.shard(number, |shard| shard.is_some_and(|shard| shard.holds(key)))
    }

    /// How many keys it holds.
    #[must_use]
    pub const fn keys(&self) -> u64 {
        self.header.keys
    }

    /// How many shards it has.
    #[must_use]
    pub fn shards(&self) -> u32 {
        u32::try_from(self.index.len()).unwrap_or(u32::MAX)
    }

    /// How long it is, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.header.length
    }

    /// How long its fingerprints are.
    #[must_use]
    pub const fn bits(&self) -> FingerprintBits {
        self.header.bits
    }

    /// How often a password that it does not hold looks as if it did.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.header.bits.rate()
    }

    /// Looks at a shard, once its checksum is the one in the index; `None` for one without keys.
    fn shard<T>(
        &self,
        number: u32,
        look: impl FnOnce(Option<Shard<'_>>) -> T,
    ) -> Result<T, BreachError> {
        let damaged = BreachError::Shard(number);
        let entry = usize::try_from(number).ok().and_then(|at| self.index.get(at));
        let entry = entry.ok_or(damaged)?;
        let length = usize::try_from(entry.length).map_err(|_| damaged)?;
        if length == 0 {
            return Ok(look(None));
        }
        let looked = self.source.with(entry.start, length, |bytes| {
            if crc32c::crc32c(bytes) != entry.crc {
                return Err(damaged);
            }
            let shard = Shard::parse(bytes, self.header.bits).ok_or(damaged)?;
            Ok(look(Some(shard)))
        });
        // The file ended where it did not end before.
        looked.map_err(|error| {
            if error == BreachError::Io(ErrorKind::UnexpectedEof) { damaged } else { error }
        })?
    }
}

impl Entry {
    const fn end(&self) -> u64 {
        self.start.saturating_add(self.length as u64)
    }
}

/// The entries of an index; `None` when a shard is longer than any.
fn entries(index: &[u8], mut start: u64) -> Option<Vec<Entry>> {
    let entry = |bytes: &[u8; ENTRY]| {
        let mut fields = Fields(bytes);
        let length = u32::from_be_bytes(fields.take()?);
        let crc = u32::from_be_bytes(fields.take()?);
        let entry = Entry { start, length, crc };
        start = entry.end();
        (length <= MAX_SHARD).then_some(entry)
    };
    index.as_chunks().0.iter().map(entry).collect()
}

impl Source {
    /// Exactly `length` bytes from `start` on; [`ErrorKind::UnexpectedEof`] when there are fewer.
    fn with<T>(
        &self,
        start: u64,
        length: usize,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BreachError> {
        match self {
            #[cfg(any(unix, windows))]
            Self::File(file) => {
                let mut bytes = vec![0; length];
                read_exact_at(file, &mut bytes, start)?;
                Ok(look(&bytes))
            }
            Self::Memory(bytes) => {
                let bytes = usize::try_from(start).ok().and_then(|start| {
                    let end = start.checked_add(length)?;
                    bytes.get(start..end)
                });
                bytes.map(look).ok_or(BreachError::Io(ErrorKind::UnexpectedEof))
            }
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

/// `seek_read` moves the file's own position, which nobody here uses.
#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut start: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, start) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = bytes.get_mut(read..).unwrap_or_default();
                start = start.saturating_add(read as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            #[cfg(any(unix, windows))]
            Self::File(_) => "File(..)",
            Self::Memory(_) => "Memory(..)",
        })
    }
}
