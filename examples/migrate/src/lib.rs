//! Brings the password hashes of other software into a host's own table of users, puts a gate in front
//! of it, and signs everybody in: each hash becomes one of Vouchsafe's own, in the host's column.

mod csv;
mod table;

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use vouchsafe::Gate;
use vouchsafe::access_log::VecSink;
use vouchsafe::core::{Identifier, Source, Standing, TenantId, Unavailable};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Attempt, Call, HostError, Login, Mail, Notify};
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::{Record, Stored};
use vouchsafe::policy::Policy;
use vouchsafe::session::LinkOrigin;
use vouchsafe::store_sqlite::SqliteStore;

pub use csv::rows;
pub use table::Table;

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

/// Imports `users` (name, hash, and Keycloak's second column) into a new table in `folder`, and tries
/// `passwords` (name, password) at a gate over it.
///
/// # Errors
/// What is wrong with a file, with the table or with the gate.
pub async fn migrate(
    folder: &Path,
    users: &str,
    passwords: &str,
) -> Result<Vec<Migrated>, Box<dyn Error>> {
    let table = Arc::new(Table::create(&folder.join("users.db"))?);
    for row in rows(users)? {
        let [name, hash, secret_data] = row.try_into().map_err(|_| "three columns a user")?;
        let hash = match secret_data.as_str() {
            "" => hash,
            // Two columns of theirs in one of ours.
            secret => Record::from_keycloak(&hash, secret, Standing::Chosen)?.to_string(),
        };
        table.insert(&name, &hash)?;
    }

    let tenant = TenantId::new("acme")?;
    let gate = Gate::builder((tenant.clone(), Policy::preset("zoomph-2018")?))
        .store(SqliteStore::open(folder.join("vouchsafe.db"))?)
        .keys(Keyring::ephemeral(&SystemEntropy::new())?)
        .records(VecSink::new(1 << 20))
        .accounts(Arc::clone(&table))
        .credentials(Arc::clone(&table))
        .notify(NoMail)
        .origin(LinkOrigin::new("https://portal.example")?)
        .open()
        .await?;

    let mut migrated = Vec::new();
    for row in rows(passwords)? {
        let [name, password] = row.try_into().map_err(|_| "two columns a password")?;
        let before = scheme(table.hash(&name)?.as_deref());
        let call = Call::from(Source::Unavailable(Unavailable::Local));
        let attempt = Attempt::new(tenant.clone(), Identifier::new(&name)?, call);
        let sign_in = match gate.login(&attempt, password).await {
            Login::SignedIn(_) => "signed in",
            // Right, and today's rule would not let it be chosen.
            Login::Next(_) => "right, to be changed",
            Login::Refused(refused) => refused.code().as_str(),
        };
        let after = scheme(table.hash(&name)?.as_deref());
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
