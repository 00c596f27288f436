//! What can go wrong when a store is opened or copied.

use std::path::PathBuf;

/// Why a store could not be opened or copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// The file, or its folder, cannot be read, written or created.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says; its kind tells a missing folder from missing rights.
        source: std::io::Error,
    },
    /// Others than owner and group may read or write the file.
    #[error("{path} is open to every user of the machine (mode {mode:o}): chmod it to 600 or 660",
        path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no SQLite database.
    #[error("{path} is not a SQLite database", path = path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database of something else.
    #[error("{path} is a database of something else (application id {application_id:#x})",
        path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it says it belongs to; 0 says nothing.
        application_id: i32,
    },
    /// Another version of this crate wrote the file.
    #[error("{path} has schema {found}, this version knows {known}", path = path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: i32,
        /// The one this version reads and writes.
        known: i32,
    },
    /// The database is damaged.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// SQLite refused for another reason.
    #[error("{path}: {reason}", path = path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
}
