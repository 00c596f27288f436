//! The directory of a log: who may read it, which files it has, and how they come into being.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::LedgerError;

/// The largest segment file that is read: nothing longer is ever written.
pub(crate) const MAX_SEGMENT: u64 = 64 << 20;

const LOCK: &str = "lock";
/// A segment that is not whole yet.
const NEW: &str = "new-segment";
const SEGMENT: &str = "segment-";
const TAIL: &str = "tail-";

#[derive(Clone, Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    pub(crate) owner: u32,
}

impl Dir {
    /// Opens the directory; it and its files must be its owner's alone.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let metadata = path.symlink_metadata().map_err(LedgerError::io("look at", path))?;
        if !metadata.is_dir() {
            return Err(kind(path, &metadata, "a directory"));
        }
        private(path, &metadata)?;
        let dir = Self { path: path.to_owned(), owner: metadata.uid() };
        for name in dir.names()? {
            dir.listed(&name)?;
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
        self.path.join(segment_name(number))
    }

    /// Held as long as the returned file is. Refuses a directory of another owner than this
    /// process, which would otherwise leave files in it that its owner cannot read.
    pub(crate) fn lock(&self) -> Result<File, LedgerError> {
        self.look_at(OsStr::new(LOCK))?;
        let path = self.path.join(LOCK);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(LedgerError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(LedgerError::Locked { path: self.path.clone() });
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(LedgerError::io("lock", &path)(error));
            }
        }
        let uid = |file: &File| file.metadata().map(|metadata| metadata.uid());
        // Whom a file belongs to that this process makes is who this process is.
        let expected = uid(&self.fresh(NEW)?).map_err(LedgerError::io("look at", &self.path))?;
        self.remove(NEW)?;
        if expected == self.owner {
            return Ok(file);
        }
        if uid(&file).is_ok_and(|uid| uid == expected) {
            self.remove(LOCK)?;
        }
        Err(LedgerError::Owner { path: self.path.clone(), owner: self.owner, expected })
    }

    /// How many segments there are: every number below has its file, and none above.
    pub(crate) fn segments(&self) -> Result<u32, LedgerError> {
        let last = self.names()?.iter().filter_map(|name| segment_number(name)).max();
        Ok(last.map_or(0, |last| last.saturating_add(1)))
    }

    /// The whole of a segment; `None` when there is no such file.
    pub(crate) fn read(&self, number: u32) -> Result<Option<Vec<u8>>, LedgerError> {
        let path = self.segment_path(number);
        let Some(metadata) = self.look_at(OsStr::new(&segment_name(number)))? else {
            return Ok(None);
        };
        if metadata.len() > MAX_SEGMENT {
            let error = io::Error::new(io::ErrorKind::InvalidData, "larger than any segment");
            return Err(LedgerError::io("read", &path)(error));
        }
        std::fs::read(&path).map(Some).map_err(LedgerError::io("read", &path))
    }

    /// A segment's file, for reading.
    pub(crate) fn open_segment(&self, number: u32) -> Result<File, LedgerError> {
        self.look_at(OsStr::new(&segment_name(number)))?;
        let path = self.segment_path(number);
        File::open(&path).map_err(LedgerError::io("open", &path))
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
        let new = self.path.join(NEW);
        let mut file = self.fresh(NEW)?;
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
            let name = format!("{TAIL}{number:08}-{length}");
            let tail_path = self.path.join(&name);
            let mut file = self.fresh(&name)?;
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
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(LedgerError::io("sync", &self.path))
    }

    fn names(&self) -> Result<Vec<OsString>, LedgerError> {
        let entries = self.path.read_dir().map_err(LedgerError::io("list", &self.path))?;
        entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .map_err(LedgerError::io("list", &self.path))
    }

    /// Looks at what a listing named. It may be gone since: a live log's writer renames
    /// `new-segment`, whose records nobody was promised yet. A segment it never takes away.
    pub(crate) fn listed(&self, name: &OsStr) -> Result<(), LedgerError> {
        if self.look_at(name)?.is_none() && segment_number(name).is_some() {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            return Err(LedgerError::io("look at", &self.path.join(name))(gone));
        }
        Ok(())
    }

    /// What stands under a name, before it is opened: opening a FIFO could block for ever. A file
    /// of the log must be a regular one of the directory's owner; anything else is never opened,
    /// and only has to be private. `None` when there is nothing.
    fn look_at(&self, name: &OsStr) -> Result<Option<Metadata>, LedgerError> {
        let path = self.path.join(name);
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::io("look at", &path)(error)),
        };
        let of_log = is_of_log(name);
        if metadata.is_symlink() || of_log && !metadata.is_file() {
            return Err(kind(&path, &metadata, "a regular file"));
        }
        private(&path, &metadata)?;
        let owner = metadata.uid();
        if of_log && owner != self.owner {
            return Err(LedgerError::Owner { path, owner, expected: self.owner });
        }
        Ok(Some(metadata))
    }

    /// An empty file in place of what an earlier run may have left under this name.
    fn fresh(&self, name: &str) -> Result<File, LedgerError> {
        let path = self.path.join(name);
        if self.look_at(OsStr::new(name))?.is_some() {
            self.remove(name)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.map_err(LedgerError::io("create", &path))
    }

    fn remove(&self, name: &str) -> Result<(), LedgerError> {
        let path = self.path.join(name);
        std::fs::remove_file(&path).map_err(LedgerError::io("remove", &path))
    }
}

fn segment_name(number: u32) -> String {
    format!("{SEGMENT}{number:08}")
}

/// The number of a segment, whose name is spelled as the writer spells it.
fn segment_number(name: &OsStr) -> Option<u32> {
    let number = name.to_str()?.strip_prefix(SEGMENT)?.parse().ok()?;
    (name == segment_name(number).as_str()).then_some(number)
}

fn is_of_log(name: &OsStr) -> bool {
    let tail = name.to_str().is_some_and(|name| name.starts_with(TAIL));
    name == LOCK || name == NEW || tail || segment_number(name).is_some()
}

fn kind(path: &Path, metadata: &Metadata, expected: &'static str) -> LedgerError {
    let found = match metadata.file_type() {
        found if found.is_symlink() => "a symbolic link",
        found if found.is_dir() => "a directory",
        found if found.is_file() => "a regular file",
        found if found.is_fifo() => "a FIFO",
        _ => "a socket or a device",
    };
    LedgerError::Kind { path: path.to_owned(), found, expected }
}

fn private(path: &Path, metadata: &Metadata) -> Result<(), LedgerError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(LedgerError::Mode { path: path.to_owned(), mode }) }
}
