//! The directory of a log: who may read it, which files it has, and how they come into being.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::LedgerError;

/// The largest segment file that is read: nothing longer is ever written.
pub(crate) const MAX_SEGMENT: u64 = 64 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Dir(PathBuf);

impl Dir {
    /// Opens the directory; it and its files must be the owner's alone.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        private(path)?;
        let dir = Self(path.to_owned());
        for entry in path.read_dir().map_err(LedgerError::io("list", path))? {
            private(&entry.map_err(LedgerError::io("list", path))?.path())?;
        }
        Ok(dir)
    }

    /// As [`open`](Self::open), after making it when it is not there.
    pub(crate) fn create(path: &Path) -> Result<Self, LedgerError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(LedgerError::io("create", path)(error))
            }
            _ => Self::open(path),
        }
    }

    pub(crate) fn segment_path(&self, number: u32) -> PathBuf {
        self.0.join(format!("segment-{number:08}"))
    }

    /// Held as long as the returned file is.
    pub(crate) fn lock(&self) -> Result<File, LedgerError> {
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(LedgerError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(LedgerError::Locked { path: self.0.clone() })
            }
            Err(std::fs::TryLockError::Error(error)) => Err(LedgerError::io("lock", &path)(error)),
        }
    }

    /// How many segments there are: every number below has its file, and none above.
    pub(crate) fn segments(&self) -> Result<u32, LedgerError> {
        let mut numbers = Vec::new();
        for entry in self.0.read_dir().map_err(LedgerError::io("list", &self.0))? {
            let name = entry.map_err(LedgerError::io("list", &self.0))?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix("segment-"));
            numbers.extend(digits.and_then(|digits| digits.parse::<u32>().ok()));
        }
        Ok(numbers.into_iter().max().map_or(0, |last| last.saturating_add(1)))
    }

    /// The whole of a segment; `None` when there is no such file.
    pub(crate) fn read(&self, number: u32) -> Result<Option<Vec<u8>>, LedgerError> {
        let path = self.segment_path(number);
        let length = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::io("look at", &path)(error)),
        };
        if length > MAX_SEGMENT {
            let error = io::Error::new(io::ErrorKind::InvalidData, "larger than any segment");
            return Err(LedgerError::io("read", &path)(error));
        }
        std::fs::read(&path).map(Some).map_err(LedgerError::io("read", &path))
    }

    /// A new segment of `length` bytes, zeros behind its header. It has its name only once all of
    /// it is durable: a segment that is there is whole.
    pub(crate) fn create_segment(
        &self,
        number: u32,
        header: &[u8],
        length: usize,
    ) -> Result<File, LedgerError> {
        let path = self.segment_path(number);
        let new = self.0.join("new-segment");
        let mut file = owned(&new).map_err(LedgerError::io("create", &new))?;
        let mut content = vec![0; length];
        content.iter_mut().zip(header).for_each(|(to, from)| *to = *from);
        file.write_all(&content)
            .and_then(|()| file.sync_all())
            .map_err(LedgerError::io("write", &new))?;
        std::fs::rename(&new, &path).map_err(LedgerError::io("rename", &new))?;
        self.sync()?;
        Ok(file)
    }

    /// Cuts a segment to `length`; a tail that is not empty is kept in a file of its own, whose
    /// name is returned.
    pub(crate) fn cut(
        &self,
        number: u32,
        length: usize,
        tail: &[u8],
    ) -> Result<Option<String>, LedgerError> {
        let path = self.segment_path(number);
        let mut kept = None;
        if !tail.is_empty() {
            let name = format!("tail-{number:08}-{length}");
            let tail_path = self.0.join(&name);
            let mut file = owned(&tail_path).map_err(LedgerError::io("create", &tail_path))?;
            file.write_all(tail)
                .and_then(|()| file.sync_all())
                .map_err(LedgerError::io("write", &tail_path))?;
            self.sync()?;
            kept = Some(name);
        }
        let file = OpenOptions::new().write(true).open(&path);
        file.and_then(|file| {
            file.set_len(u64::try_from(length).unwrap_or(u64::MAX))?;
            file.sync_all()
        })
        .map_err(LedgerError::io("cut", &path))?;
        Ok(kept)
    }

    fn sync(&self) -> Result<(), LedgerError> {
        File::open(&self.0).and_then(|dir| dir.sync_all()).map_err(LedgerError::io("sync", &self.0))
    }
}

fn owned(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn private(path: &Path) -> Result<(), LedgerError> {
    let metadata = path.symlink_metadata().map_err(LedgerError::io("look at", path))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(LedgerError::Mode { path: path.to_owned(), mode }) }
}
