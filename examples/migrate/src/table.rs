//! The host's own table, with the host's own SQL.

use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use vouchsafe::core::{Case, Identifier, TenantId, UserId};
use vouchsafe::gate::{Account, Accounts, Credentials, HostError, Swapped};

/// A user to be imported.
#[derive(Clone, Debug)]
pub struct User {
    /// Where the file has it.
    pub line: usize,
    /// The name as it is written there.
    pub id: UserId,
    /// The name in canonical form, as a gate asks for it: whoever typed `ADA` is asked for as `ada`.
    pub known_by: Identifier,
    /// What the column is to hold.
    pub hash: String,
}

/// A table of users, one tenant's.
pub struct Table(Mutex<Connection>);

impl Table {
    /// A new table of these users in this file: all of them or none.
    ///
    /// # Errors
    /// [`rusqlite::Error`]; a table that is there already; users whose names are one to a gate.
    pub fn create(path: &Path, users: &[User]) -> Result<Self, Box<dyn Error>> {
        let mut database = Connection::open(path)?;
        let import = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if import.table_exists(None, "users")? {
            let there: i64 =
                import.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
            let path = path.display();
            return Err(format!("{path} has {there} users already: name another folder").into());
        }
        import.execute_batch(
            "CREATE TABLE users (name TEXT PRIMARY KEY, known_by TEXT NOT NULL UNIQUE,
                 password_hash TEXT) WITHOUT ROWID",
        )?;
        for User { line, id, known_by, hash } in users {
            let insert = "INSERT INTO users VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            if import.execute(insert, [id.as_str(), known_by.as_str(), hash])? == 0 {
                let name = known_by.as_str();
                return Err(format!("users: line {line}: there is another {name:?}").into());
            }
        }
        import.commit()?;
        Ok(Self(Mutex::new(database)))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first column of what `select` finds, if it finds a row and no `NULL`.
    fn text(&self, select: &str, key: &str) -> rusqlite::Result<Option<String>> {
        let row = self.database().query_row(select, [key], |row| row.get(0)).optional();
        row.map(Option::flatten)
    }

    /// What the column holds for whoever signs in so.
    ///
    /// # Errors
    /// [`rusqlite::Error`].
    pub fn hash_of(&self, known_by: &Identifier) -> rusqlite::Result<Option<String>> {
        self.text("SELECT password_hash FROM users WHERE known_by = ?1", known_by.as_str())
    }

    fn account(&self, select: &str, key: &str) -> Result<Option<Account>, HostError> {
        let Some(name) = self.text(select, key).map_err(HostError::new)? else { return Ok(None) };
        let user = UserId::with_case(&name, Case::Exact).map_err(HostError::new)?;
        Ok(Some(Account::new(user, "staff", format!("{name}@example.org"))))
    }
}

impl Accounts for Table {
    async fn resolve(&self, _: &TenantId, name: &Identifier) -> Result<Option<Account>, HostError> {
        self.account("SELECT name FROM users WHERE known_by = ?1", name.as_str())
    }

    async fn find(&self, _: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        self.account("SELECT name FROM users WHERE name = ?1", user.as_str())
    }
}

impl Credentials for Table {
    async fn load(&self, _: &TenantId, user: &UserId) -> Result<Option<String>, HostError> {
        let select = "SELECT password_hash FROM users WHERE name = ?1";
        self.text(select, user.as_str()).map_err(HostError::new)
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
