//! The connection: made when needed, checked each time, given up when it fails.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use vouchsafe_store::StoreError;

use crate::RedisError;
use crate::scripts::Script;

/// The first server whose scripts say what they may do (`#!lua`).
const OLDEST: &str = "7.0";
/// Longest time that making a connection may take, if the deadline is not longer. It goes on when
/// the calls that wait for it have reached theirs.
const CONNECTING: Duration = Duration::from_secs(1);
/// The same for the first one, which the host waits for.
const OPENING: Duration = Duration::from_secs(5);
/// Requests that the connection takes in before it writes.
const BUFFERED: usize = 1024;
/// The server keeps a buffer as long as the longest argument of late.
const LONG: usize = 32 * 1024;

/// The server behind the address is another process than before, or was a replica meanwhile: swaps
/// that were acknowledged may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded {
    /// The `run_id` of the server before.
    pub was: String,
    /// The `run_id` of the server now.
    pub is: String,
    /// Whether the server before synced each swap to its disk and had no replicas, so that nothing
    /// is lost if this one has its files.
    pub was_durable: bool,
}

pub(crate) type OnDegraded = Box<dyn Fn(&Degraded) + Send + Sync>;

/// One request.
pub(crate) struct Call {
    pub(crate) script: Script,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
}

/// Why a request has no answer.
pub(crate) enum Failure {
    /// The server said so.
    Server(redis::RedisError),
    /// There was no server, or not in time.
    Store(StoreError),
}

#[derive(Clone)]
struct Link {
    number: u64,
    connection: MultiplexedConnection,
    hashes: Arc<[String]>,
}

type Made = Result<Link, Arc<RedisError>>;

enum Place {
    Empty,
    Making(watch::Receiver<Option<Made>>),
    Ready(Link),
}

/// Everything behind the store, on its own thread.
pub(crate) struct Core {
    client: Client,
    deadline: Duration,
    place: Mutex<Place>,
    links: AtomicU64,
    seen: Mutex<Seen>,
    durable: AtomicBool,
    degraded: AtomicU64,
    on_degraded: Option<OnDegraded>,
}

/// Which server it was last.
#[derive(Default)]
struct Seen {
    run_id: Option<String>,
    replica: bool,
}

impl Core {
    pub(crate) fn new(client: Client, deadline: Duration, on_degraded: Option<OnDegraded>) -> Self {
        Self {
            client,
            deadline,
            place: Mutex::new(Place::Empty),
            links: AtomicU64::new(0),
            seen: Mutex::default(),
            durable: AtomicBool::new(false),
            degraded: AtomicU64::new(0),
            on_degraded,
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durable.load(Ordering::SeqCst)
    }

    pub(crate) fn degraded(&self) -> u64 {
        self.degraded.load(Ordering::SeqCst)
    }

    /// Connects, for the first time.
    pub(crate) async fn open(&self) -> Result<(), RedisError> {
        let link = self.connect(OPENING.max(self.deadline)).await?;
        *self.place() = Place::Ready(link);
        Ok(())
    }

    /// Sends one request and waits for the answer, until `deadline`.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        call: Call,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let late = || Failure::Store(StoreError::unavailable("no answer within the deadline"));
        let link = timeout_at(deadline, self.link()).await.map_err(|_| late())?;
        let mut link = link.map_err(Failure::Store)?;
        let Ok(answer) = timeout_at(deadline, link.send(&call)).await else {
            self.give_up(&link);
            return Err(late());
        };
        let long = || call.arguments.iter().any(|argument| argument.len() > LONG);
        match &answer {
            Err(error) if is_cut(error) => self.give_up(&link),
            // In a full server the buffer would stand in the way of what frees memory.
            Ok(Value::Int(0)) if long() => self.give_up(&link),
            _ => {}
        }
        answer.map_err(Failure::Server)
    }

    /// The connection; a new one if there is none. All who need it wait for the same one, which is
    /// made even if nobody waits any more.
    async fn link(self: &Arc<Self>) -> Result<Link, StoreError> {
        let mut made = {
            let mut place = self.place();
            match &*place {
                Place::Ready(link) => return Ok(link.clone()),
                // Whoever was to make it is gone without a word: the host's callback panicked.
                Place::Making(made) if made.has_changed().is_ok() => made.clone(),
                Place::Making(_) | Place::Empty => {
                    let (tell, made) = watch::channel(None);
                    *place = Place::Making(made.clone());
                    tokio::spawn(Arc::clone(self).make(tell));
                    made
                }
            }
        };
        let made = made.wait_for(Option::is_some).await.map_err(StoreError::unavailable)?.clone();
        let gone = || StoreError::unavailable("no connection was made");
        made.ok_or_else(gone)?.map_err(StoreError::unavailable)
    }

    async fn make(self: Arc<Self>, tell: watch::Sender<Option<Made>>) {
        let made = self.connect(CONNECTING.max(self.deadline)).await.map_err(Arc::new);
        *self.place() = match &made {
            Ok(link) => Place::Ready(link.clone()),
            Err(_) => Place::Empty,
        };
        tell.send_replace(Some(made));
    }

    /// Lets go of a connection. Others that wait for its answers may still get them.
    fn give_up(&self, link: &Link) {
        let mut place = self.place();
        if matches!(&*place, Place::Ready(now) if now.number == link.number) {
            *place = Place::Empty;
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, within: Duration) -> Result<Link, RedisError> {
        match timeout(within, self.try_connect()).await {
            Ok(made) => made,
            Err(_) => Err(RedisError::Unreachable("no answer while connecting".to_owned())),
        }
    }

    async fn try_connect(&self) -> Result<Link, RedisError> {
        let failed = |error: redis::RedisError| RedisError::Unreachable(error.to_string());
        // The deadlines here are ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(BUFFERED);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(failed)?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await.map_err(failed)?;
        let mut fsync = redis::cmd("CONFIG");
        fsync.arg("GET").arg("appendfsync");
        // Where CONFIG is forbidden, nothing is promised.
        let fsync = fsync.query_async::<Vec<String>>(&mut connection).await.unwrap_or_default();
        self.check(&info, fsync.get(1).map(String::as_str))?;
        let mut loading = redis::pipe();
        for script in Script::ALL {
            loading.cmd("SCRIPT").arg("LOAD").arg(script.text());
        }
        let hashes: Vec<String> = loading.query_async(&mut connection).await.map_err(failed)?;
        let number = self.links.fetch_add(1, Ordering::Relaxed);
        Ok(Link { number, connection, hashes: hashes.into() })
    }

    /// Is this a server to keep cells in, and the same as before?
    fn check(&self, info: &str, fsync: Option<&str>) -> Result<(), RedisError> {
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(field, value)| (field == name).then_some(value)).unwrap_or_default()
        };
        let version = field("redis_version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(RedisError::Version { found: version.to_owned(), oldest: OLDEST });
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if field("role") != "master" {
            seen.replica = true;
            return Err(RedisError::Replica);
        }
        let policy = field("maxmemory_policy");
        if policy != "noeviction" {
            return Err(RedisError::Eviction { policy: policy.to_owned() });
        }
        let durable = field("aof_enabled") == "1"
            && fsync == Some("always")
            && field("connected_slaves") == "0";
        let was_durable = self.durable.swap(durable, Ordering::SeqCst);
        let (is, replica) = (field("run_id").to_owned(), std::mem::take(&mut seen.replica));
        let was = seen.run_id.replace(is.clone());
        drop(seen);
        if let Some(was) = was
            && (was != is || replica)
        {
            self.degraded.fetch_add(1, Ordering::SeqCst);
            if let Some(tell) = &self.on_degraded {
                tell(&Degraded { was, is, was_durable: was_durable && !replica });
            }
        }
        Ok(())
    }
}

impl Link {
    async fn send(&mut self, call: &Call) -> redis::RedisResult<Value> {
        match self.run(call.script, call).await {
            Err(error) if call.script == Script::Save && error.code() == Some("OOM") => {
                self.run(Script::Tight, call).await
            }
            answer => answer,
        }
    }

    async fn run(&mut self, script: Script, call: &Call) -> redis::RedisResult<Value> {
        let at = Script::ALL.iter().position(|known| *known == script);
        let hash = at.and_then(|at| self.hashes.get(at)).map_or("", String::as_str);
        match evaluate(&mut self.connection, "EVALSHA", hash, call).await {
            // Somebody emptied the server's cache of scripts: this fills it again.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                evaluate(&mut self.connection, "EVAL", &script.text(), call).await
            }
            answer => answer,
        }
    }
}

async fn evaluate(
    connection: &mut MultiplexedConnection,
    by: &str,
    script: &str,
    call: &Call,
) -> redis::RedisResult<Value> {
    let mut command = redis::cmd(by);
    command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.arguments);
    connection.send_packed_command(&command).await?.extract_error()
}

/// Whether a new connection may do better: this one broke, or leads to what is no primary any more.
fn is_cut(error: &redis::RedisError) -> bool {
    match error.code() {
        None => true,
        Some(code) => matches!(code, "READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH"),
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("Core").field("degraded", &self.degraded).finish_non_exhaustive()
    }
}
