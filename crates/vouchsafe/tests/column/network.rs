//! A host's column in PostgreSQL, with the host's own SQL, and what can happen to a connection to it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use tokio::runtime::{Builder, Handle};
use tokio::sync::Mutex as Turn;
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::gate::{HostError, Swapped};
use vouchsafe_store_postgres::tokio_postgres::{Client, Config, Error, NoTls, Statement};
use vouchsafe_testkit::{PostgresServer, block_on};

/// What drives the connections of all tests.
static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

/// The table, and beside it every text that was ever in its column, in the order of the writes.
const CREATE: &str = "
    CREATE TABLE users
        (tenant text, id text, password_hash varchar(1024), PRIMARY KEY (tenant, id));
    CREATE TABLE texts (number bigserial PRIMARY KEY, password_hash text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO texts (password_hash) VALUES (NEW.password_hash); RETURN NULL; END';
    CREATE TRIGGER noted AFTER INSERT OR UPDATE ON users
        FOR EACH ROW EXECUTE FUNCTION note()";
const SELECT: &str = "SELECT password_hash FROM users WHERE tenant = $1 AND id = $2";
const UPDATE: &str = "UPDATE users SET password_hash = $4
    WHERE tenant = $1 AND id = $2 AND password_hash IS NOT DISTINCT FROM $3";
const UPSERT: &str = "INSERT INTO users VALUES ('acme', $1, $2)
    ON CONFLICT (tenant, id) DO UPDATE SET password_hash = excluded.password_hash";

/// Where a connection is cut: the server ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Ahead of a statement.
    Before,
    /// While the statement waits for a lock: it changes nothing.
    Within,
    /// When the statement is committed, ahead of the answer. A statement that changes nothing is cut
    /// within.
    Behind,
}

type Hook = Box<dyn FnOnce() + Send>;

enum Event {
    Cut(Cut),
    Run(Hook),
}

/// One connection, made anew when it is gone.
pub struct Line {
    config: Config,
    open: Turn<Option<Arc<Open>>>,
}

/// What a connection pool keeps: the statements are prepared once, and a call is one message.
struct Open {
    client: Client,
    select: Statement,
    update: Statement,
}

impl Line {
    fn new(config: &Config) -> Self {
        Self { config: config.clone(), open: Turn::default() }
    }

    async fn open(&self) -> Result<Arc<Open>, HostError> {
        let mut kept = self.open.lock().await;
        if let Some(open) = kept.as_ref().filter(|open| !open.client.is_closed()) {
            return Ok(Arc::clone(open));
        }
        let client = connect(&self.config).await?;
        let select = client.prepare(SELECT).await.map_err(HostError::new)?;
        let update = client.prepare(UPDATE).await.map_err(HostError::new)?;
        Ok(Arc::clone(kept.insert(Arc::new(Open { client, select, update }))))
    }

    /// A connection that failed once is not used again.
    async fn forget(&self) {
        *self.open.lock().await = None;
    }
}

async fn connect(config: &Config) -> Result<Client, HostError> {
    let config = config.clone();
    let connected = RUNTIME.spawn(async move { config.connect(NoTls).await });
    let (client, connection) = connected.await.map_err(HostError::new)?.map_err(HostError::new)?;
    RUNTIME.spawn(connection);
    Ok(client)
}

pub struct Network {
    config: Config,
    /// The gate's.
    line: Line,
    calls: AtomicU64,
    writes: AtomicU64,
    next: Mutex<Option<(u64, Event)>>,
}

impl Network {
    /// A table in a schema of its own.
    pub fn create(server: &PostgresServer) -> Self {
        let schema = server.fresh_schema();
        server.psql(&format!("CREATE SCHEMA {schema}"));
        let mut config: Config = server.url().parse().unwrap();
        config.options(format!("-c search_path={schema}"));
        let this = Self::over(&config);
        this.host().run(CREATE);
        this
    }

    fn over(config: &Config) -> Self {
        let [calls, writes] = [const { AtomicU64::new(0) }; 2];
        let (line, next) = (Line::new(config), Mutex::default());
        Self { config: config.clone(), line, calls, writes, next }
    }

    /// The same table, over connections of its own.
    pub fn again(&self) -> Self {
        Self::over(&self.config)
    }

    /// A connection of the host's own.
    pub fn host(&self) -> Host {
        Host(block_on(connect(&self.config)).unwrap())
    }

    /// At call number `at`, counted from now, the connection is cut.
    pub fn cut_at(&self, at: u64, cut: Cut) {
        self.plan(at, Event::Cut(cut));
    }

    /// Ahead of call number `at`, counted from now, this happens.
    pub fn at(&self, at: u64, hook: impl FnOnce() + Send + 'static) {
        self.plan(at, Event::Run(Box::new(hook)));
    }

    fn plan(&self, at: u64, event: Event) {
        self.calls.store(0, Ordering::SeqCst);
        *self.next.lock().unwrap() = Some((at, event));
    }

    /// Whether what was planned has happened; it is not going to any more.
    pub fn happened(&self) -> bool {
        self.next.lock().unwrap().take().is_none()
    }

    /// How often the gate has asked.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// How often it has written.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub fn upsert(&self, user: &UserId, text: Option<&str>) {
        let host = self.host();
        block_on(host.0.execute(UPSERT, &[&user.as_str(), &text])).unwrap();
    }

    pub fn text(&self, user: &UserId) -> Option<String> {
        let host = self.host();
        let row = block_on(host.0.query_opt(SELECT, &[&"acme", &user.as_str()])).unwrap();
        row.and_then(|row| row.get(0))
    }

    /// Every text that was in the column, first to last.
    pub fn texts(&self) -> Vec<Option<String>> {
        let host = self.host();
        let select = "SELECT password_hash FROM texts ORDER BY number";
        block_on(host.0.query(select, &[])).unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub async fn load(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<String>, HostError> {
        let (tenant, user) = (tenant.as_str(), user.as_str());
        let row = self.call(false, |line| async move {
            line.client.query_opt(&line.select, &[&tenant, &user]).await
        });
        Ok(row.await?.and_then(|row| row.get(0)))
    }

    pub async fn swap(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        let (tenant, user) = (tenant.as_str(), user.as_str());
        let changed = self.call(true, |line| async move {
            line.client.execute(&line.update, &[&tenant, &user, &expected, &new]).await
        });
        match changed.await? {
            0 => Ok(Swapped::Superseded),
            _ => Ok(Swapped::Done),
        }
    }

    fn next(&self) -> Option<Event> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.next.lock().unwrap().take_if(|(at, _)| *at == call).map(|(_, event)| event)
    }

    async fn call<T, F>(
        &self,
        writes: bool,
        query: impl FnOnce(Arc<Open>) -> F + Send,
    ) -> Result<T, HostError>
    where
        T: Send,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let cut = match self.next() {
            Some(Event::Cut(cut)) => Some(cut),
            Some(Event::Run(hook)) => {
                hook();
                None
            }
            None => None,
        };
        let line = self.line.open().await?;
        self.writes.fetch_add(u64::from(writes), Ordering::SeqCst);
        let answer = match cut {
            None => query(line).await,
            Some(cut) => self.cut(cut, writes, line, query).await,
        };
        if answer.is_err() {
            self.line.forget().await;
        }
        answer.map_err(HostError::new)
    }

    async fn cut<T, F>(
        &self,
        cut: Cut,
        writes: bool,
        line: Arc<Open>,
        query: impl FnOnce(Arc<Open>) -> F + Send,
    ) -> Result<T, Error>
    where
        T: Send,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let backend: i32 = line.client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let other = connect(&self.config).await.unwrap();
        let holder = connect(&self.config).await.unwrap();
        let waits_for = match (cut, writes) {
            (Cut::Before, _) => {
                end(&other, backend).await;
                return lost(query(line).await);
            }
            (Cut::Behind, true) => {
                // No server of this name ever says that it has a copy.
                line.client.batch_execute("SET synchronous_commit = on").await?;
                "IPC"
            }
            (_, writes) => {
                let lock = match writes {
                    true => "BEGIN; SELECT FROM users FOR UPDATE",
                    false => "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE",
                };
                holder.batch_execute(lock).await.unwrap();
                "Lock"
            }
        };
        let cutter = RUNTIME.spawn(async move {
            let waits = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1";
            loop {
                let row = other.query_one(waits, &[&backend]).await.unwrap();
                if row.get::<_, Option<&str>>(0) == Some(waits_for) {
                    break;
                }
            }
            end(&other, backend).await;
        });
        let answer = query(line).await;
        cutter.await.unwrap();
        holder.batch_execute("ROLLBACK").await.unwrap();
        lost(answer)
    }
}

/// A connection of the host's own.
pub struct Host(Client);

impl Host {
    pub fn run(&self, statements: &str) {
        block_on(self.0.batch_execute(statements)).unwrap();
    }
}

/// The server ends the connection, and has.
async fn end(client: &Client, backend: i32) {
    let ended = client.query_one("SELECT pg_terminate_backend($1, 60000)", &[&backend]).await;
    assert!(ended.unwrap().get::<_, bool>(0));
}

/// That it was cut off is no test's imagination.
fn lost<T>(answer: Result<T, Error>) -> Result<T, Error> {
    assert!(answer.is_err());
    answer
}
