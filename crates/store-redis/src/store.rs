//! The store: a thread with a connection, and what is asked through it.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use redis::Value;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Durability, Loaded, MAX_CELL, Put, StoreError, Swap, Version};
use zeroize::Zeroizing;

use crate::RedisError;
use crate::dial::Dialer;
use crate::layout::{self, GROUPS, Group};
use crate::link::{Call, Failure};
use crate::route::Core;
use crate::scripts::Script;
use crate::server::{Degraded, OnDegraded};
use crate::tls::Given;

/// Fifty times what a server on the same network takes, and about one hash: a sign-in that is refused
/// for want of the store is refused no later than one with a wrong password.
const DEADLINE: Duration = Duration::from_millis(50);
/// Calls that wait for answers at once.
const WAITING: usize = 1024;
/// Most cells that one script looks at: some tenths of a millisecond of the server's time.
const PAGE: usize = 256;

/// Cells in a Redis or Valkey server, or in a cluster of them, for as many nodes as share it.
///
/// No runtime is needed: the connection lives on a thread of the store's own, which wakes whoever
/// waits. It is made again by itself after it broke.
///
/// The server's time comes back with every load and wins over the nodes'. Cells expire by it.
///
/// What a swap's answer is worth depends on the server ([`durability`](Cells::durability)): only
/// with `appendonly yes`, `appendfsync always` and no replica to fail over to is it on disk.
pub struct RedisStore {
    core: Arc<Core>,
    runtime: Handle,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
    waiting: Arc<Semaphore>,
    deadline: Duration,
    prefix: String,
}

/// How a store is opened; [`RedisStore::builder`] begins one.
#[must_use = "a store is there after `open`"]
pub struct RedisBuilder {
    address: String,
    others: Vec<String>,
    tls: Given,
    prefix: String,
    deadline: Duration,
    on_degraded: Option<OnDegraded>,
}

impl RedisBuilder {
    /// Another server of the same cluster, as `redis://host:port`, to open the store at when the first
    /// does not answer. The servers of a cluster name one another, so that one address is enough
    /// while it answers. Name, password and TLS are those of the first.
    pub fn node(mut self, address: impl Into<String>) -> Self {
        self.others.push(address.into());
        self
    }

    /// The authorities, as certificates in PEM, that may vouch for a server at a `rediss://` address.
    /// They have to be given, and there are no others: for those of the system, its file is read by
    /// the host. A server's certificate has to name it as the address does; those of a cluster name
    /// one another by IP addresses, unless their `cluster-preferred-endpoint-type` is `hostname`.
    pub fn trust(mut self, authorities: impl AsRef<[u8]>) -> Self {
        self.tls.authorities = Some(authorities.as_ref().to_vec());
        self
    }

    /// The store's own certificate and its chain, and the certificate's key, in PEM, for servers
    /// that ask for one (`tls-auth-clients`).
    pub fn identity(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let key = Zeroizing::new(key.as_ref().to_vec());
        self.tls.identity = Some((chain.as_ref().to_vec(), key));
        self
    }

    /// What the keys of all cells begin with; `vouchsafe` by default. Stores with different
    /// prefixes share a server without meeting.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a call may take, connecting included, before it is
    /// [`StoreError::Unavailable`]; 50 ms by default. A scan and a sweep make several calls.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Is told, on the store's thread, when acknowledged swaps may have been lost. Must not block.
    pub fn on_degraded(mut self, tell: impl Fn(&Degraded) + Send + Sync + 'static) -> Self {
        self.on_degraded = Some(Box::new(tell));
        self
    }

    /// Connects, which blocks for at most 5 s or the deadline, if that is longer, and looks at how the server is set up.
    ///
    /// # Errors
    /// [`RedisError`] for a server that does not answer, is too old, is a replica, or may drop
    /// cells for want of memory.
    pub fn open(self) -> Result<RedisStore, RedisError> {
        if self.prefix.contains(['{', '}']) {
            return Err(RedisError::Prefix);
        }
        let (dialer, first) = Dialer::new(&self.address, &self.tls)?;
        let others = self.others.iter().map(|other| dialer.another(other));
        let others: Vec<_> = others.collect::<Result<_, _>>()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new().name("vouchsafe-redis".to_owned()).spawn(move || {
            // The other end is never used, only dropped.
            let _dropped = runtime.block_on(stopped);
        })?;
        let core = Core::new(dialer, first, others, self.deadline, self.on_degraded);
        let core = Arc::new(core);
        let (answer, answered) = mpsc::channel();
        let opening = Arc::clone(&core);
        handle.spawn(async move {
            let _gone = answer.send(opening.open().await);
        });
        let ended = |_| RedisError::Unreachable("the store's thread ended".to_owned());
        answered.recv().map_err(ended)??;
        Ok(RedisStore {
            core,
            runtime: handle,
            _stop: stop,
            waiting: Arc::new(Semaphore::new(WAITING)),
            deadline: self.deadline,
            prefix: self.prefix,
        })
    }
}

impl RedisStore {
    /// Opens the store in the server at `address`, as `redis://user:password@host:6379/0`; with
    /// `rediss://` it is TLS, and takes a [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`RedisBuilder::open`].
    pub fn open(address: impl Into<String>) -> Result<Self, RedisError> {
        Self::builder(address).open()
    }

    /// Begins a store in the server at `address`.
    pub fn builder(address: impl Into<String>) -> RedisBuilder {
        RedisBuilder {
            address: address.into(),
            others: Vec::new(),
            tls: Given::default(),
            prefix: "vouchsafe".to_owned(),
            deadline: DEADLINE,
            on_degraded: None,
        }
    }

    /// How many times acknowledged swaps may have been lost since the store was opened: each time
    /// another server process was found behind an address, or a replica had taken over.
    #[must_use]
    pub fn degraded(&self) -> u64 {
        self.core.servers().degraded()
    }

    /// The scripts that the server is asked to run, by name, for whoever wants to read them. They
    /// change with any release.
    #[must_use]
    pub fn scripts() -> Vec<(&'static str, String)> {
        Script::ALL.into_iter().map(|script| (script.name(), script.text())).collect()
    }

    async fn ask(
        &self,
        script: Script,
        group: (Space, u8),
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Value, Failure> {
        let failed = |reason: &'static str| Failure::Store(StoreError::unavailable(reason));
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return Err(failed("too many calls wait already"));
        };
        let deadline = Instant::now().checked_add(self.deadline);
        let deadline = deadline.ok_or_else(|| failed("a deadline beyond all time"))?;
        let (core, call) = (Arc::clone(&self.core), Call { script, group, keys, arguments });
        let asking = self.runtime.spawn(async move {
            let answer = core.ask(call, deadline).await;
            drop(place);
            answer
        });
        asking.await.unwrap_or_else(|_| Err(failed("the store's thread ended")))
    }

    fn group(&self, (space, number): (Space, u8)) -> Group {
        Group::new(&self.prefix, space, number)
    }
}

impl Failure {
    fn of(self, key: CellKey) -> StoreError {
        match self {
            // No writer of ours writes anything but strings.
            Self::Server(error) if error.code() == Some("WRONGTYPE") => StoreError::Corrupt(key),
            other => other.into(),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Server(error) => Self::unavailable(error.to_string()),
            Failure::Store(error) => error,
        }
    }
}

impl Cells for RedisStore {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let place = (key.space, layout::group_of(key.digest));
        let cell = self.group(place).cell(key.digest);
        let answer = self.ask(Script::Load, place, vec![cell], Vec::new()).await;
        layout::loaded(key, answer.map_err(|failure| failure.of(key))?)
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let place = (key.space, layout::group_of(key.digest));
        let group = self.group(place);
        let keys = vec![group.cell(key.digest), group.order, group.due];
        let mut arguments = vec![layout::expected(expected), key.digest.to_vec()];
        let script = match put {
            Put::Save { bytes, .. } if bytes.len() > MAX_CELL => {
                return Err(StoreError::TooLarge { len: bytes.len(), max: MAX_CELL });
            }
            Put::Save { bytes, until, version } => {
                arguments.push(layout::stored(&bytes, until, version));
                arguments.push(layout::expiry(until).to_string().into_bytes());
                Script::Save
            }
            Put::Erase => Script::Erase,
        };
        match self.ask(script, place, keys, arguments).await.map_err(|failure| failure.of(key))? {
            Value::Int(1) => Ok(Swap::Done),
            Value::Int(0) => Ok(Swap::Full),
            answer => layout::loaded(key, answer).map(Swap::Conflict),
        }
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        let mut found: Vec<CellKey> = Vec::new();
        let mut after = after;
        for number in after.map_or(0, layout::group_of)..GROUPS {
            loop {
                let page = limit.saturating_sub(found.len()).min(PAGE);
                if page == 0 {
                    return Ok(found);
                }
                let group = self.group((space, number));
                let from = after.map_or_else(|| b"-".to_vec(), |after| [b"(", &after[..]].concat());
                let arguments = vec![from, page.to_string().into_bytes(), group.cells];
                let answer =
                    self.ask(Script::Scan, (space, number), vec![group.order], arguments).await?;
                let (looked_at, last, there) = layout::page(answer).ok_or_else(layout::unclear)?;
                found.extend(there.into_iter().map(|digest| CellKey::new(space, digest)));
                if looked_at < page {
                    break;
                }
                after = Some(last);
            }
        }
        Ok(found)
    }

    /// The server drops expired cells by itself and forgets nothing else; what a sweep drops is
    /// what expired by `now`, and what expired cells have left in the sets that scans walk.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0_usize;
        let (now, hour) = (now.micros().to_string(), layout::hour(now).to_string());
        let groups =
            Space::ALL.into_iter().flat_map(|space| (0..GROUPS).map(move |at| (space, at)));
        for (space, number) in groups {
            let mut kept = 0_usize;
            loop {
                let page = limit.saturating_sub(swept).min(PAGE);
                if page == 0 {
                    return Ok(swept);
                }
                let group = self.group((space, number));
                let numbers = [&now, &hour, &kept.to_string(), &page.to_string()];
                let mut arguments: Vec<Vec<u8>> =
                    numbers.into_iter().map(|number| number.clone().into_bytes()).collect();
                arguments.push(group.cells);
                let keys = vec![group.order, group.due];
                let answer = self.ask(Script::Sweep, (space, number), keys, arguments).await?;
                let (looked_at, dropped) = layout::swept(answer).ok_or_else(layout::unclear)?;
                swept = swept.saturating_add(dropped);
                kept = kept.saturating_add(looked_at.saturating_sub(dropped));
                if looked_at < page {
                    break;
                }
            }
        }
        Ok(swept)
    }

    /// As the server was set up when the connection was made last.
    fn durability(&self) -> Durability {
        if self.core.servers().are_durable() {
            Durability::Durable
        } else {
            Durability::MayRollBack
        }
    }

    fn losses(&self) -> u64 {
        self.degraded()
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
