//! What can go wrong with a log on disk.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be opened, read or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The operating system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// Others than the owner have access: directories are 0700, files 0600.
    #[error("{} has mode {mode:04o}; nobody but its owner may have access", path.display())]
    Mode {
        /// Which file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something else where a directory or a regular file belongs. It was not opened.
    #[error("{} is {found}, not {expected}", path.display())]
    Kind {
        /// Which one.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A log's directory is not this process's own, or one of its files not the directory's owner's.
    #[error("{} belongs to user {owner}, not to user {expected}", path.display())]
    Owner {
        /// Which file or directory.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// Whose it should be.
        expected: u32,
    },
    /// Another process has the log open for writing.
    #[error("{} is open in another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// What is on disk is not what was written.
    #[error("the log is corrupt at record {index} (segment {segment}, byte {offset}): {what}")]
    Corrupt {
        /// The first bad record: the one that should stand where something else does. Where a
        /// checkpoint does not fit the records in front of it, or is missing, that is the first of
        /// its group: nothing vouches for any of them. So whoever holds the sealing key, and alters
        /// a record in place, is caught at the record's group.
        index: u64,
        /// The segment file.
        segment: u32,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The log ends before, or differs from, a head that was seen earlier.
    #[error("the log does not continue the known head of {expected} records: {what}")]
    Behind {
        /// The size of the known head.
        expected: u64,
        /// In which way.
        what: &'static str,
    },
    /// A name that cannot be a log's origin.
    #[error("an origin is 1 to 128 visible ASCII characters without `+`")]
    Origin,
    /// A setting out of its range.
    #[error("{0}")]
    Options(&'static str),
    /// A text that is not a signed checkpoint of this log.
    #[error("not a checkpoint of this log: {0}")]
    Checkpoint(&'static str),
    /// The sealer could not seal or open.
    #[error("the sealer failed")]
    Seal,
    /// No fresh random bytes.
    #[error("no fresh random bytes")]
    NoEntropy,
    /// An earlier write failed; what is on disk is known only after reopening.
    #[error("the log stopped after a failed write: {0}")]
    Stopped(String),
    /// An export that does not verify.
    #[error("line {line} of the export: {what}")]
    Export {
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl LedgerError {
    pub(crate) fn io<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}
