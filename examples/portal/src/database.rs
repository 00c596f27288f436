//! The portal's own database file.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

/// Says whose file it is: "PRTL".
const APPLICATION: i32 = 0x5052_544c;
/// The layout of the tables below.
const SCHEMA: i32 = 1;

/// Tenants and ids stand in the clear; everything that people typed is sealed.
const TABLES: &str = "
    CREATE TABLE user (
        tenant TEXT NOT NULL, id TEXT NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE name (
        tenant TEXT NOT NULL, digest BLOB NOT NULL, user TEXT NOT NULL,
        PRIMARY KEY (tenant, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE campaign (
        tenant TEXT NOT NULL, id TEXT NOT NULL, changed INTEGER NOT NULL,
        title BLOB NOT NULL, notes BLOB NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE note (
        name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The operating system refused.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is not the portal's database", path = .0.display())]
    Foreign(PathBuf),
    /// It is of another version.
    #[error("{path} has the tables of version {found}; this is version {SCHEMA}", path = .path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version found.
        found: i32,
    },
    /// It is damaged.
    #[error("{path} is damaged: {reason}", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// SQLite refused.
    #[error("the portal's database: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// The portal's database. Cloning shares it.
#[derive(Clone)]
pub struct Database(Arc<Mutex<Connection>>);

impl Database {
    /// Opens the file, which is made when it is not there.
    ///
    /// # Errors
    /// [`DatabaseError`]; a file that is not whole is left as it is.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let file = |source| DatabaseError::File { path: path.to_owned(), source };
        let mut new = OpenOptions::new();
        let made = new.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let made = made.map_err(file)?;
        made.set_permissions(Permissions::from_mode(0o600)).map_err(file)?;
        let fresh = made.metadata().map_err(file)?.len() == 0;
        drop(made);
        let connection = Connection::open(path)?;
        prepare(&connection, fresh).map_err(|error| match error {
            DatabaseError::Foreign(_) => DatabaseError::Foreign(path.to_owned()),
            DatabaseError::Version { found, .. } => {
                DatabaseError::Version { path: path.to_owned(), found }
            }
            DatabaseError::Damaged { reason, .. } => {
                DatabaseError::Damaged { path: path.to_owned(), reason }
            }
            DatabaseError::Sqlite(error) if is_damage(&error) => {
                DatabaseError::Damaged { path: path.to_owned(), reason: error.to_string() }
            }
            other => other,
        })?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// The connection, for one piece of work.
    pub fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic left open is rolled back when it is dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was noted under this name.
    ///
    /// # Errors
    /// SQLite's.
    pub fn noted(&self, name: &str) -> Result<Option<String>, rusqlite::Error> {
        use rusqlite::OptionalExtension;
        let connection = self.lock();
        let mut select = connection.prepare_cached("SELECT value FROM note WHERE name = ?1")?;
        select.query_row([name], |row| row.get(0)).optional()
    }

    /// Notes `value` under this name; durable when this returns.
    ///
    /// # Errors
    /// SQLite's.
    pub fn note(&self, name: &str, value: &str) -> Result<(), rusqlite::Error> {
        self.lock().execute(
            "INSERT INTO note VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            [name, value],
        )?;
        Ok(())
    }
}

fn prepare(connection: &Connection, fresh: bool) -> Result<(), DatabaseError> {
    let nowhere = PathBuf::new;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let (application, version): (i32, i32) = (number("application_id")?, number("user_version")?);
    if !fresh && application != APPLICATION && (application, version) != (0, 0) {
        return Err(DatabaseError::Foreign(nowhere()));
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    if application == 0 {
        let tables: u32 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            return Err(DatabaseError::Foreign(nowhere()));
        }
        let numbers =
            format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA};");
        connection.execute_batch(&format!("BEGIN; {TABLES} {numbers} COMMIT;"))?;
        return Ok(());
    }
    if version != SCHEMA {
        return Err(DatabaseError::Version { path: nowhere(), found: version });
    }
    let check: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(DatabaseError::Damaged { path: nowhere(), reason: check });
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}
