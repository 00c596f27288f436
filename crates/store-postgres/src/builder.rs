//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};
use zeroize::Zeroizing;

use crate::session::{Dial, Opening, dial};
use crate::tls::{Given, Tls, wrong};
use crate::{PostgresError, PostgresStore, schema};

/// Most connections of one store.
const MAX_CONNECTIONS: usize = 64;

/// How a store is opened: made by [`PostgresStore::builder`], and ended by
/// [`open`](Self::open).
pub struct PostgresBuilder {
    config: Config,
    /// With a host's own TLS.
    dial: Option<Dial>,
    given: Given,
    pub(crate) schema: String,
    pub(crate) connections: usize,
    pub(crate) deadline: Duration,
    pub(crate) opening: Duration,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) migrate: bool,
    pub(crate) unsynced: bool,
}

impl std::fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("deadline", &self.deadline)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl PostgresBuilder {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            dial: None,
            given: Given::default(),
            schema: "public".to_owned(),
            connections: 8,
            deadline: Duration::from_millis(50),
            opening: Duration::from_secs(10),
            max_bytes: None,
            migrate: true,
            unsynced: false,
        }
    }

    /// Encrypts the connections, to a server that one of these authorities vouches for: certificates
    /// in PEM. There are no others: for those of the system, its file is read by the host. The
    /// server's certificate has to name it as the configuration does, by `host` and not by
    /// `hostaddr`. Nothing falls back to plain text (`sslmode=require`).
    ///
    /// Without this and [`tls`](Self::tls), connections are not encrypted, and a configuration that
    /// requires it is refused.
    #[must_use]
    pub fn trust(mut self, authorities: impl AsRef<[u8]>) -> Self {
        self.given.authorities = Some(authorities.as_ref().to_vec());
        self
    }

    /// The store's own certificate and its chain, and the certificate's key, in PEM, for servers
    /// that ask for one (`clientcert`, or the method `cert`).
    #[must_use]
    pub fn identity(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let key = Zeroizing::new(key.as_ref().to_vec());
        self.given.identity = Some((chain.as_ref().to_vec(), key));
        self
    }

    /// Encrypts the connections by a TLS of the host's own, as `tokio-postgres-rustls` or
    /// `postgres-native-tls` make it, in place of [`trust`](Self::trust). Set the configuration's
    /// `ssl_mode` to `Require` as well: it is `Prefer` by default, which goes on without where the
    /// server has none.
    #[must_use]
    pub fn tls<T>(self, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { dial: Some(dial(tls)), ..self }
    }

    /// The schema that holds the table, `public` by default: lower-case letters, digits and `_`,
    /// at most 63, no digit first.
    #[must_use]
    pub fn schema(self, name: impl Into<String>) -> Self {
        Self { schema: name.into(), ..self }
    }

    /// How many connections the store keeps, 8 by default, at most 64. Each carries any number of
    /// calls; durable swaps on different connections share the server's syncs.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// How long a call may take, 50 ms by default: a sign-in that waits longer is refused instead.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// How long opening the store, and each later connecting, may take: 10 s by default.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { opening: timeout, ..self }
    }

    /// Beyond so many bytes a swap that adds to them is answered
    /// [`Swap::Full`](vouchsafe_store::Swap::Full). Counted are the values and 128 bytes for each
    /// cell. What other nodes add is learnt at each full sweep.
    #[must_use]
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }

    /// Creates nothing: the host has run the statements of [`PostgresStore::schema`] itself.
    #[must_use]
    pub fn no_migration(self) -> Self {
        Self { migrate: false, ..self }
    }

    /// Accepts a server whose `fsync` or `full_page_writes` is off: after a crash of its machine
    /// charges, locks and ended sessions may be undone, or the table be damaged.
    #[must_use]
    pub fn danger_accept_unsynced(self) -> Self {
        Self { unsynced: true, ..self }
    }

    /// Opens the store: connects, creates the table where there is none, and starts the thread
    /// that keeps the connections. Runs on any executor.
    ///
    /// # Errors
    /// [`PostgresError`] for an option that means nothing, a server that does not answer or is not
    /// safe to write to, and a table of another version.
    pub async fn open(self) -> Result<PostgresStore, PostgresError> {
        schema::validate(&self.schema)?;
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            let reason = format!("{} is not in 1..={MAX_CONNECTIONS}", self.connections);
            return Err(PostgresError::Option { option: "connections", reason });
        }
        for (option, time) in [("deadline", self.deadline), ("connect_timeout", self.opening)] {
            if !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&time) {
                let reason = format!("{time:?} is not in 1 ms..=1 h");
                return Err(PostgresError::Option { option, reason });
            }
        }
        PostgresStore::start(self).await
    }

    /// The configuration to connect by, and how.
    fn dial(&self) -> Result<(Config, Dial), PostgresError> {
        let (mut config, mode) = (self.config.clone(), self.config.get_ssl_mode());
        let dial = match (&self.dial, self.given.is_nothing()) {
            (Some(_), false) => {
                return Err(wrong("both a TLS of the host's own and something for ours"));
            }
            (Some(own), true) => Arc::clone(own),
            (None, false) if mode == SslMode::Disable => {
                return Err(wrong("somebody to trust, and sslmode=disable"));
            }
            (None, false) => {
                config.ssl_mode(SslMode::Require);
                dial(Tls::new(&self.given)?)
            }
            (None, true) if mode == SslMode::Require => {
                return Err(wrong("sslmode=require, and nobody to trust"));
            }
            (None, true) => dial(NoTls),
        };
        Ok((config, dial))
    }

    pub(crate) fn opening(&self) -> Result<Arc<Opening>, PostgresError> {
        let (config, dial) = self.dial()?;
        Ok(Arc::new(Opening {
            config,
            dial,
            schema: self.schema.clone(),
            statement_timeout: self.deadline.mul_f32(0.8),
            timeout: self.opening,
            unsynced: self.unsynced,
        }))
    }
}
