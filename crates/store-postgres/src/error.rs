//! What can go wrong when a store is opened.

use std::time::Duration;

use crate::tls;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// An option that means nothing.
    #[error("{option}: {reason}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The server did not answer, or refused.
    #[error("PostgreSQL: {reason}")]
    Refused {
        /// What it said, without any value.
        reason: String,
    },
    /// Nobody that is trusted vouches for the server, or not under the name that it is called by.
    #[error("PostgreSQL: {reason}")]
    Untrusted {
        /// What is wrong with its certificate.
        reason: String,
    },
    /// What is given for TLS makes no sense, or nothing is given where it is asked for.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server did not answer in time.
    #[error("PostgreSQL did not answer within {0:?}")]
    Silent(Duration),
    /// The server may lose what it has acknowledged.
    #[error("PostgreSQL runs with {setting}=off: it may lose or damage what it has acknowledged")]
    Unsafe {
        /// Its setting.
        setting: &'static str,
    },
    /// The server only follows another one.
    #[error("PostgreSQL is a standby: it takes no writes")]
    Standby,
    /// The server is too old.
    #[error("PostgreSQL {found} is too old, {known} is the oldest that will do")]
    Version {
        /// Its major version.
        found: i32,
        /// The oldest that will do.
        known: i32,
    },
    /// The table is not there, and this store was told not to create it.
    #[error("there is no table {table}: run the statements of `PostgresStore::schema`")]
    Missing {
        /// The table.
        table: String,
    },
    /// There is a table of that name, and it is not this version's.
    #[error("{table} is of schema `{found}`, this version knows `{known}`")]
    Schema {
        /// The table.
        table: String,
        /// What its comment says; empty when there is none.
        found: String,
        /// What this version's says.
        known: &'static str,
    },
    /// The store's own thread did not start.
    #[error("no thread for the connections: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the server or the client says, without the values that were sent.
pub(crate) fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        // Detail, hint and context may quote a row.
        Some(error) => format!("{} (SQLSTATE {})", error.message(), error.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        match tls::untrusted(&error) {
            Some(reason) => Self::Untrusted { reason },
            None => Self::Refused { reason: reason(&error) },
        }
    }
}
