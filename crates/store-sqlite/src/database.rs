//! The file: what it must be, and how a connection to it is set up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::SqliteError;

/// `VSc1`: which application a file belongs to, where `file(1)` and SQLite's own tools look.
const APPLICATION: i32 = 0x5653_6331;
/// The layout below. A file of another one is refused, never guessed at.
const SCHEMA: i32 = 1;
/// How long opening and copying wait for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);
/// What the write-ahead log shrinks to after a checkpoint, in bytes.
const LOG_LIMIT: i64 = 64 << 20;

/// The most pages SQLite's file format counts.
const MAX_PAGES: i64 = 0xFFFF_FFFE;

const TABLES: &str = "
CREATE TABLE cells (
    space INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 16),
    version BLOB NOT NULL CHECK (length(version) = 16),
    until INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (space, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX cells_until ON cells (until);
";

/// Where the file is: an absolute path, so that no name has a meaning of its own to SQLite.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Creates the file, for its owner only, if there is none.
    pub(crate) fn create(path: &Path) -> Result<Self, SqliteError> {
        let failed = |source| SqliteError::File { path: path.to_owned(), source };
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o007 != 0 {
                return Err(SqliteError::Exposed { path: path.to_owned(), mode });
            }
        }
        drop(file);
        path.canonicalize().map(Self).map_err(failed)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn error(&self, error: &rusqlite::Error) -> SqliteError {
        let (path, reason) = (self.0.clone(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => SqliteError::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => SqliteError::Damaged { path, reason },
            _ => SqliteError::Refused { path, reason },
        }
    }

    /// The connection that writes; it makes an empty file a store.
    pub(crate) fn writer(&self, max_bytes: Option<u64>) -> Result<Connection, SqliteError> {
        let mut connection = self.connect()?;
        self.prepare(&mut connection)?;
        let set_up = |connection: &Connection| -> rusqlite::Result<()> {
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
            if let Some(bytes) = max_bytes {
                let page: i64 =
                    connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                let pages = bytes.checked_div(page).unwrap_or(0).clamp(1, MAX_PAGES);
                connection.pragma_update(None, "max_page_count", pages)?;
            }
            Ok(())
        };
        set_up(&connection).map_err(|error| self.error(&error))?;
        Ok(connection)
    }

    /// A connection that only reads.
    pub(crate) fn reader(&self) -> Result<Connection, SqliteError> {
        let connection = self.connect()?;
        connection.pragma_update(None, "query_only", true).map_err(|error| self.error(&error))?;
        Ok(connection)
    }

    fn connect(&self) -> Result<Connection, SqliteError> {
        let connect = || -> rusqlite::Result<Connection> {
            // One lock of ours guards each connection, so SQLite needs none of its own.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.0, flags)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            Ok(connection)
        };
        connect().map_err(|error| self.error(&error))
    }

    fn prepare(&self, connection: &mut Connection) -> Result<(), SqliteError> {
        let failed = |error: rusqlite::Error| self.error(&error);
        // Before anything is written: is it ours to write?
        self.check(connection)?;
        self.use_log(connection)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Another process may have been first.
        if self.check(&transaction)? == Found::Empty {
            transaction.execute_batch(TABLES).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    fn check(&self, connection: &Connection) -> Result<Found, SqliteError> {
        let read = |name| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
                .map_err(|error| self.error(&error))
        };
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(|error| self.error(&error))?;
        let application_id = read("application_id")?;
        if tables == 0 && application_id == 0 {
            return Ok(Found::Empty);
        }
        if application_id != APPLICATION {
            return Err(SqliteError::Foreign { path: self.0.clone(), application_id });
        }
        match read("user_version")? {
            SCHEMA => Ok(Found::Store),
            found => Err(SqliteError::Schema { path: self.0.clone(), found, known: SCHEMA }),
        }
    }

    /// Write-ahead logging, for good: it is a property of the file.
    fn use_log(&self, connection: &Connection) -> Result<(), SqliteError> {
        // SQLite does not wait for another process that is switching too, so this does.
        let mut tries = 0_u32;
        loop {
            let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
                row.get::<_, String>(0)
            });
            match mode {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    let reason = format!("no write-ahead log here, only `{mode}`");
                    return Err(SqliteError::Refused { path: self.0.clone(), reason });
                }
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && tries < 250 =>
                {
                    tries = tries.saturating_add(1);
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(self.error(&error)),
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Found {
    Empty,
    Store,
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::create(&folder.path().join("cells.db")).unwrap();
        (folder, place)
    }

    #[test]
    fn connections_are_set_up_as_is_said() {
        let (_folder, place) = place();
        let (writer, reader) = (place.writer(None).unwrap(), place.reader().unwrap());
        let of = |connection: &Connection, name| {
            connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap()
        };
        // 2 is FULL: each transaction is synced.
        assert_eq!(of(&writer, "synchronous"), 2);
        assert_eq!(of(&writer, "journal_size_limit"), 64 * 1024 * 1024);
        assert_eq!((of(&writer, "query_only"), of(&reader, "query_only")), (0, 1));
        for connection in [&writer, &reader] {
            assert_eq!(
                (of(connection, "trusted_schema"), of(connection, "cell_size_check")),
                (0, 1)
            );
            assert_eq!(of(connection, "busy_timeout"), 5000);
        }
    }

    #[test]
    fn the_bound_is_in_whole_pages_and_at_least_one() {
        let bound = |bytes| {
            let (_folder, place) = place();
            drop(place.writer(None).unwrap());
            let writer = place.writer(Some(bytes)).unwrap();
            let read =
                |name| writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
            // SQLite itself goes no lower than what there is.
            (read("max_page_count"), read("page_count"))
        };
        assert_eq!(bound(4096 * 100).0, 100);
        assert_eq!(bound(4096 * 100 + 4095).0, 100);
        assert_eq!(bound(u64::MAX).0, MAX_PAGES);
        let (least, there) = bound(0);
        assert_eq!(least, there);
    }

    #[test]
    fn where_nothing_can_be_written_ahead_it_is_refused() {
        let (_folder, place) = place();
        let in_memory = Connection::open_in_memory().unwrap();
        let refused = place.use_log(&in_memory).unwrap_err();
        assert!(
            matches!(&refused, SqliteError::Refused { reason, .. } if reason.contains("`memory`"))
        );
    }

    /// A file that is no store yet, and that somebody else is writing to: SQLite does not wait for them.
    #[test]
    fn another_process_is_waited_for_when_the_log_is_switched_on() {
        let (_folder, place) = place();
        let other = Connection::open(place.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        #[expect(clippy::disallowed_methods, reason = "no sooner than it says")]
        let now = Instant::now;
        let began = now();
        let refused = place.writer(None).map(drop).unwrap_err();
        assert!(
            matches!(&refused, SqliteError::Refused { reason, .. } if reason.contains("locked"))
        );
        assert!(now() - began >= BUSY, "it gave up early");
        other.execute_batch("COMMIT").unwrap();
        place.writer(None).unwrap();
    }
}
