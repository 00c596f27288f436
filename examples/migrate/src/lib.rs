//! Brings the password hashes of other software into a host's own table of users, puts a gate in front
//! of it, and signs everybody in: each hash becomes one of Vouchsafe's own, in the host's column.

mod csv;
mod table;

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe::Gate;
use vouchsafe::access_log::VecSink;
use vouchsafe::core::{Case, Identifier, Source, Standing, TenantId, Unavailable, UserId};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Attempt, Call, HostError, Login, Mail, Notify};
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::{Record, Stored};
use vouchsafe::policy::Policy;
use vouchsafe::session::LinkOrigin;
use vouchsafe::store_sqlite::SqliteStore;

/// Of a tool, which can wait longer for its disk than a server's visitors can.
const PATIENT: Duration = Duration::from_secs(5);

pub use csv::rows;
pub use table::{Table, User};

/// What became of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The user's name.
    pub name: String,
    /// What the column held, and what it holds.
    pub schemes: [String; 2],
    /// What came of the first sign-in.
    pub sign_in: &'static str,
}

/// Nobody is written to here.
struct NoMail;

impl Notify for NoMail {
    async fn send(&self, _: Mail) -> Result<(), HostError> {
        Ok(())
    }
}

/// Which hash a column holds.
fn scheme(text: Option<&str>) -> String {
    match Stored::import(text) {
        Stored::Record(record) if record.is_bound() => format!("{}, bound", record.scheme()),
        Stored::Record(record) => record.scheme().to_owned(),
        Stored::Absent => "none".to_owned(),
        Stored::Unusable(error) => error.to_string(),
    }
}

fn user(line: usize, [name, hash, secret]: &[String; 3]) -> Result<User, Box<dyn Error>> {
    let hash = match secret.as_str() {
        "" => hash.clone(),
        // Two columns of theirs in one of ours.
        secret => Record::from_keycloak(hash, secret, Standing::Chosen)?.to_string(),
    };
    let id = UserId::with_case(name, Case::Exact)?;
    Ok(User { line, id, known_by: Identifier::new(name)?, hash })
}

/// Imports `users` (name, hash, and Keycloak's second column) into a new table in `folder`, all of them or
/// none, and tries `passwords` (name, password) at a gate over it.
///
/// # Errors
/// What is wrong with a file and in which line, with the table or with the gate.
pub async fn migrate(
    folder: &Path,
    users: &str,
    passwords: &str,
) -> Result<Vec<Migrated>, Box<dyn Error>> {
    let mut attempts = Vec::new();
    let columns = ["name", "password"];
    for (line, [name, password]) in
        rows(passwords, columns).map_err(|it| format!("passwords: {it}"))?
    {
        let known_by =
            Identifier::new(&name).map_err(|it| format!("passwords: line {line}: {it}"))?;
        attempts.push((name, known_by, password));
    }
    let mut imported = Vec::new();
    let columns = ["name", "hash", "keycloak_secret_data"];
    for (line, row) in rows(users, columns).map_err(|it| format!("users: {it}"))? {
        imported.push(user(line, &row).map_err(|it| format!("users: line {line}: {it}"))?);
    }
    let table = Arc::new(Table::create(&folder.join("users.db"), &imported)?);

    let tenant = TenantId::new("acme")?;
    let gate = Gate::builder((tenant.clone(), Policy::preset("zoomph-2018")?))
        .store(SqliteStore::builder(folder.join("vouchsafe.db")).deadline(PATIENT).open()?)
        .keys(Keyring::ephemeral(&SystemEntropy::new())?)
        .records(VecSink::new(1 << 20))
        .accounts(Arc::clone(&table))
        .credentials(Arc::clone(&table))
        .notify(NoMail)
        .origin(LinkOrigin::new("https://portal.example")?)
        .open()
        .await?;

    let mut migrated = Vec::new();
    for (name, known_by, password) in attempts {
        let before = scheme(table.hash_of(&known_by)?.as_deref());
        let call = Call::from(Source::Unavailable(Unavailable::Local));
        let attempt = Attempt::new(tenant.clone(), known_by.clone(), call);
        let sign_in = match gate.login(&attempt, password).await {
            Login::SignedIn(_) => "signed in",
            // Right, and today's rule would not let it be chosen.
            Login::Next(_) => "right, to be changed",
            Login::Refused(refused) => refused.code().as_str(),
        };
        let after = scheme(table.hash_of(&known_by)?.as_deref());
        migrated.push(Migrated { name, schemes: [before, after], sign_in });
    }
    Ok(migrated)
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.schemes;
        write!(f, "{:<40} {before:<28} {after:<20} {}", self.name, self.sign_in)
    }
}
