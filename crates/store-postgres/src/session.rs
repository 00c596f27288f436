//! One connection, set up and prepared.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Error, Socket, Statement};

use crate::{PostgresError, schema};

/// The oldest major version that walks a range of blocks without reading the rest.
const OLDEST: i32 = 14;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Connects: a client, and the work of its connection.
pub(crate) type Dial =
    Arc<dyn Fn(Config) -> Boxed<Result<(Client, Boxed<()>), Error>> + Send + Sync>;

/// Connects by way of `tls`, whose type is erased.
pub(crate) fn dial<T>(tls: T) -> Dial
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move |config| {
        let tls = tls.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(tls).await?;
            let work: Boxed<()> = Box::pin(async move {
                // Whoever waits for an answer is told by the client.
                let _ended = connection.await;
            });
            Ok((client, work))
        })
    })
}

/// How connections are made.
pub(crate) struct Opening {
    pub(crate) config: Config,
    pub(crate) dial: Dial,
    pub(crate) schema: String,
    pub(crate) statement_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) unsynced: bool,
}

/// A prepared connection.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) load: Statement,
    pub(crate) swap: Statement,
    pub(crate) scan: Statement,
    pub(crate) blocks: Statement,
    pub(crate) sweep: Statement,
    pub(crate) measure: Statement,
    /// Calls on it that have no answer yet.
    pub(crate) calls: AtomicUsize,
    /// Whether the server may fail over to one that has not got all of it.
    pub(crate) may_roll_back: bool,
    cut: AtomicBool,
    work: AbortHandle,
}

impl Session {
    /// Closes the connection as it stands: what was not sent yet never will be.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.work.abort();
    }

    pub(crate) fn is_usable(&self) -> bool {
        !self.cut.load(Ordering::Relaxed) && !self.client.is_closed()
    }
}

impl Opening {
    /// A connection that serves calls, and its work, which ends when it is dropped.
    pub(crate) async fn session(&self) -> Result<(Session, JoinSet<()>), PostgresError> {
        let (client, work) = (self.dial)(self.config.clone()).await?;
        let mut running = JoinSet::new();
        let work = running.spawn(work);
        self.set_up(&client, self.statement_timeout).await?;
        let may_roll_back = self.check(&client).await?;
        schema::check(&client, &self.schema).await?;
        let cells = format!("{}.vouchsafe_cells", schema::quoted(&self.schema));
        let swap = format!("{}.vouchsafe_swap", schema::quoted(&self.schema));
        let (cut, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        let session = Session {
            load: client.prepare(&statements::load(&cells)).await?,
            swap: client.prepare(&statements::swap(&swap)).await?,
            scan: client.prepare(&statements::scan(&cells)).await?,
            blocks: client.prepare(&statements::blocks(&cells)).await?,
            sweep: client
                .prepare_typed(&statements::sweep(&cells), &[Type::TID, Type::TID])
                .await?,
            measure: client
                .prepare_typed(&statements::measure(&cells), &[Type::TID, Type::TID])
                .await?,
            may_roll_back,
            cut,
            calls,
            work,
            client,
        };
        Ok((session, running))
    }

    /// Sees to it that the server is fit and has the table. `migrate` creates it where there is
    /// none.
    pub(crate) async fn prepare(&self, migrate: bool) -> Result<(), PostgresError> {
        let (mut client, work) = (self.dial)(self.config.clone()).await?;
        let mut running = JoinSet::new();
        running.spawn(work);
        self.set_up(&client, self.timeout).await?;
        self.check(&client).await?;
        if migrate {
            schema::migrate(&mut client, &self.schema).await?;
        }
        schema::check(&client, &self.schema).await
    }

    /// What the database or the role may have set otherwise. A commit that waits for standbys
    /// (`remote_apply`) is not made weaker.
    async fn set_up(&self, client: &Client, timeout: Duration) -> Result<(), PostgresError> {
        let millis = timeout.as_millis().max(1);
        let settings = format!(
            "SET search_path = pg_catalog;
             SET statement_timeout = {millis};
             SET lock_timeout = {millis};
             SET default_transaction_isolation = 'read committed';
             SET default_transaction_read_only = off;
             SET idle_session_timeout = 0;
             SET plan_cache_mode = force_generic_plan;
             SET jit = off;
             SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') <> 'remote_apply'"
        );
        Ok(client.batch_execute(&settings).await?)
    }

    /// Refuses a server that is not fit; says whether a swap that it acknowledged may be undone.
    async fn check(&self, client: &Client) -> Result<bool, PostgresError> {
        let query = "SELECT current_setting('server_version_num')::int,
            pg_is_in_recovery(), current_setting('fsync')::bool,
            current_setting('full_page_writes')::bool,
            current_setting('synchronous_standby_names') = ''
                AND EXISTS (SELECT FROM pg_stat_replication)";
        let row = client.query_one(query, &[]).await?;
        new_enough(row.try_get(0)?)?;
        if row.try_get(1)? {
            return Err(PostgresError::Standby);
        }
        let mut synced = true;
        for (column, setting) in [(2, "fsync"), (3, "full_page_writes")] {
            synced &= row.try_get::<_, bool>(column)?;
            if !synced && !self.unsynced {
                return Err(PostgresError::Unsafe { setting });
            }
        }
        Ok(!synced || row.try_get(4)?)
    }
}

/// `number` is the server's `server_version_num`.
fn new_enough(number: i32) -> Result<(), PostgresError> {
    let found = number.div_euclid(10_000);
    if found < OLDEST {
        return Err(PostgresError::Version { found, known: OLDEST });
    }
    Ok(())
}

/// One statement a call.
mod statements {
    pub(super) fn load(cells: &str) -> String {
        format!(
            "SELECT clock_timestamp(), c.version,
                 CASE WHEN octet_length(c.bytes) <= 1048576 THEN c.bytes END
             FROM (VALUES (1)) AS one (row)
             LEFT JOIN {cells} c ON c.space = $1 AND c.digest = $2"
        )
    }

    pub(super) fn swap(function: &str) -> String {
        format!(
            "SELECT outcome, grown, is_version, is_bytes, is_at
             FROM {function}($1, $2, $3, $4, $5, $6, $7)"
        )
    }

    pub(super) fn scan(cells: &str) -> String {
        format!(
            "SELECT digest FROM {cells} WHERE space = $1 AND digest >= $2
             ORDER BY digest LIMIT $3"
        )
    }

    /// How many blocks the table has.
    pub(super) fn blocks(cells: &str) -> String {
        format!("SELECT pg_relation_size('{cells}') / current_setting('block_size')::bigint")
    }

    /// Some blocks of it. A cell that somebody is changing is left to the next sweep.
    pub(super) fn sweep(cells: &str) -> String {
        format!(
            "WITH gone AS (
                 DELETE FROM {cells} WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM {cells} WHERE ctid >= $1 AND ctid < $2 AND until < $3
                     LIMIT $4 FOR UPDATE SKIP LOCKED))
                 RETURNING octet_length(bytes) + 128 AS size)
             SELECT count(*), coalesce(sum(size), 0)::bigint FROM gone"
        )
    }

    /// What some blocks of it hold.
    pub(super) fn measure(cells: &str) -> String {
        format!(
            "SELECT coalesce(sum(octet_length(bytes) + 128), 0)::bigint
             FROM {cells} WHERE ctid >= $1 AND ctid < $2"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused() {
        for (number, major) in [(90_624, 9), (130_000, 13), (130_022, 13)] {
            match new_enough(number) {
                Err(PostgresError::Version { found, known: 14 }) => assert_eq!(found, major),
                other => panic!("{number}: {other:?}"),
            }
        }
        for number in [140_000, 150_018, 180_000] {
            new_enough(number).unwrap();
        }
    }
}
