//! The host's own table, with the host's own SQL.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use vouchsafe::core::{Case, Identifier, TenantId, UserId};
use vouchsafe::gate::{Account, Accounts, Credentials, HostError, Swapped};

/// A table of users, one tenant's.
pub struct Table(Mutex<Connection>);

impl Table {
    /// A new table in this file.
    ///
    /// # Errors
    /// [`rusqlite::Error`], also when there is one already.
    pub fn create(path: &Path) -> rusqlite::Result<Self> {
        let database = Connection::open(path)?;
        database.execute_batch(
            "CREATE TABLE users (name TEXT PRIMARY KEY, password_hash TEXT) WITHOUT ROWID",
        )?;
        Ok(Self(Mutex::new(database)))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`rusqlite::Error`], also for a name that is there already.
    pub fn insert(&self, name: &str, hash: &str) -> rusqlite::Result<()> {
        self.database().execute("INSERT INTO users VALUES (?1, ?2)", [name, hash]).map(drop)
    }

    /// What the column holds.
    ///
    /// # Errors
    /// [`rusqlite::Error`].
    pub fn hash(&self, name: &str) -> rusqlite::Result<Option<String>> {
        let select = "SELECT password_hash FROM users WHERE name = ?1";
        let row = self.database().query_row(select, [name], |row| row.get(0)).optional();
        row.map(Option::flatten)
    }

    fn account(&self, name: &str) -> Result<Option<Account>, HostError> {
        let count = "SELECT count(*) FROM users WHERE name = ?1";
        let found = self.database().query_row(count, [name], |row| row.get::<_, i64>(0));
        if found.map_err(HostError::new)? == 0 {
            return Ok(None);
        }
        let user = UserId::with_case(name, Case::Exact).map_err(HostError::new)?;
        Ok(Some(Account::new(user, "staff", format!("{name}@example.org"))))
    }
}

impl Accounts for Table {
    async fn resolve(&self, _: &TenantId, name: &Identifier) -> Result<Option<Account>, HostError> {
        self.account(name.as_str())
    }

    async fn find(&self, _: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        self.account(user.as_str())
    }
}

impl Credentials for Table {
    async fn load(&self, _: &TenantId, user: &UserId) -> Result<Option<String>, HostError> {
        self.hash(user.as_str()).map_err(HostError::new)
    }

    async fn swap(
        &self,
        _: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        // `IS` and not `=`: a user without a password has NULL there.
        let update = "UPDATE users SET password_hash = ?3 WHERE name = ?1 AND password_hash IS ?2";
        let changed = self.database().execute(update, params![user.as_str(), expected, new]);
        match changed.map_err(HostError::new)? {
            0 => Ok(Swapped::Superseded),
            _ => Ok(Swapped::Done),
        }
    }
}
