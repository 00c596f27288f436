//! A server's connection: made when needed, checked each time, given up when it fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use vouchsafe_core::Space;
use vouchsafe_store::StoreError;

use crate::RedisError;
use crate::dial::{Address, Dialer};
use crate::scripts::Script;
use crate::server::{Servers, field};

/// Longest time that making a connection may take, if the deadline is not longer. It goes on when
/// the calls that wait for it have reached theirs.
const CONNECTING: Duration = Duration::from_secs(1);
/// The server keeps a buffer as long as the longest argument of late.
const LONG: usize = 32 * 1024;
/// Most servers that a cluster is believed to have; Redis speaks of a thousand.
pub(crate) const MANY: usize = 2048;

/// One request.
pub(crate) struct Call {
    pub(crate) script: Script,
    /// Whose cells it is about: they are all on one server.
    pub(crate) group: (Space, u8),
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

/// What the connections to all servers have in common.
pub(crate) struct Shared {
    pub(crate) dialer: Dialer,
    pub(crate) deadline: Duration,
    pub(crate) servers: Servers,
    /// Whether several addresses were given, which only a cluster has.
    pub(crate) several: bool,
    /// The servers of the cluster as one of them told last, each with whether it is a primary.
    pub(crate) cluster: Mutex<Vec<(Address, bool)>>,
}

/// One server.
pub(crate) struct Node {
    pub(crate) address: Address,
    shared: Arc<Shared>,
    place: Mutex<Place>,
    links: AtomicU64,
    failed: AtomicBool,
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

impl Node {
    pub(crate) fn new(address: Address, shared: Arc<Shared>) -> Self {
        let (links, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { address, shared, place: Mutex::new(Place::Empty), links, failed }
    }

    /// Whether it did not serve when it was asked last.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Connects, for the first time.
    pub(crate) async fn open(&self, within: Duration) -> Result<(), RedisError> {
        if !matches!(*self.place(), Place::Ready(_)) {
            let link = self.connect(within).await?;
            *self.place() = Place::Ready(link);
        }
        Ok(())
    }

    /// Sends one request and waits for the answer, until `deadline`. `asking` says that another
    /// server has sent us.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        call: &Call,
        asking: bool,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let answer = self.try_ask(call, asking, deadline).await;
        let failed = match &answer {
            Err(Failure::Store(_)) => true,
            Err(Failure::Server(error)) => is_cut(error),
            Ok(_) => false,
        };
        self.failed.store(failed, Ordering::Relaxed);
        answer
    }

    async fn try_ask(
        self: &Arc<Self>,
        call: &Call,
        asking: bool,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let late = || Failure::Store(StoreError::unavailable("no answer within the deadline"));
        let link = timeout_at(deadline, self.link()).await.map_err(|_| late())?;
        let link = link.map_err(Failure::Store)?;
        let Ok(answer) = timeout_at(deadline, link.send(call, asking)).await else {
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
        let made = self.connect(CONNECTING.max(self.shared.deadline)).await.map_err(Arc::new);
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
        let mut connection = self.shared.dialer.dial(&self.address).await?;
        let info = redis::cmd("INFO").query_async::<String>(&mut connection).await;
        let info = info.map_err(RedisError::unreachable)?;
        let mut fsync = redis::cmd("CONFIG");
        fsync.arg("GET").arg("appendfsync");
        // Where CONFIG is forbidden, nothing is promised.
        let fsync = fsync.query_async::<Vec<String>>(&mut connection).await.unwrap_or_default();
        let servers = &self.shared.servers;
        servers.check(&self.address, &info, fsync.get(1).map(String::as_str))?;
        let mut loading = redis::pipe();
        for script in Script::ALL {
            loading.cmd("SCRIPT").arg("LOAD").arg(script.text());
        }
        let hashes: Vec<String> =
            loading.query_async(&mut connection).await.map_err(RedisError::unreachable)?;
        if field(&info, "cluster_enabled") == "1" {
            let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await;
            let servers = self.servers_of(slots.map_err(RedisError::unreachable)?);
            *self.shared.cluster.lock().unwrap_or_else(PoisonError::into_inner) = servers;
        } else if self.shared.several {
            return Err(RedisError::NotACluster);
        }
        let number = self.links.fetch_add(1, Ordering::Relaxed);
        Ok(Link { number, connection, hashes: hashes.into() })
    }

    /// Reads what `CLUSTER SLOTS` says: ranges of slots, each with its primary and its replicas.
    fn servers_of(&self, slots: Value) -> Vec<(Address, bool)> {
        let Value::Array(ranges) = slots else { return Vec::new() };
        let mut servers: Vec<(Address, bool)> = Vec::new();
        for range in ranges {
            let Value::Array(parts) = range else { continue };
            for (number, server) in parts.iter().skip(2).enumerate() {
                let Value::Array(words) = server else { continue };
                let [host, Value::Int(port), ..] = words.as_slice() else { continue };
                // A server that does not know its own address leaves it to us.
                let host = match host {
                    Value::BulkString(host) => String::from_utf8_lossy(host).into_owned(),
                    _ => String::new(),
                };
                let server = (self.address.said_by(&format!("{host}:{port}")), number == 0);
                let (Some(address), primary) = server else { continue };
                if servers.len() < MANY && !servers.iter().any(|(known, _)| *known == address) {
                    servers.push((address, primary));
                }
            }
        }
        servers
    }
}

impl Link {
    async fn send(&self, call: &Call, asking: bool) -> redis::RedisResult<Value> {
        match self.run(call.script, call, asking).await {
            Err(error) if call.script == Script::Save && error.code() == Some("OOM") => {
                self.run(Script::Tight, call, asking).await
            }
            answer => answer,
        }
    }

    async fn run(&self, script: Script, call: &Call, asking: bool) -> redis::RedisResult<Value> {
        let at = Script::ALL.iter().position(|known| *known == script);
        let hash = at.and_then(|at| self.hashes.get(at)).map_or("", String::as_str);
        match self.evaluate("EVALSHA", hash, call, asking).await {
            // Somebody emptied the server's cache of scripts: this fills it again.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.evaluate("EVAL", &script.text(), call, asking).await
            }
            answer => answer,
        }
    }

    async fn evaluate(
        &self,
        by: &str,
        script: &str,
        call: &Call,
        asking: bool,
    ) -> redis::RedisResult<Value> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd(by);
        command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.arguments);
        if !asking {
            return connection.send_packed_command(&command).await?.extract_error();
        }
        // It holds for the next command on the connection, so the two go together.
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(command);
        let answers = connection.send_packed_commands(&both, 1, 1).await?;
        answers.into_iter().next().unwrap_or(Value::Nil).extract_error()
    }
}

/// Whether a new connection may do better: this one broke, or leads to what is no primary any more.
fn is_cut(error: &redis::RedisError) -> bool {
    match error.code() {
        None => true,
        Some(code) => matches!(code, "READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Given;

    fn node() -> Node {
        let (dialer, address) = Dialer::new("redis://first:7000", &Given::default()).unwrap();
        let (servers, cluster) = (Servers::new(None), Mutex::default());
        let shared = Shared { dialer, deadline: Duration::ZERO, servers, several: false, cluster };
        Node::new(address, Arc::new(shared))
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn server(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])])
    }

    /// A range of slots, and who has them.
    fn range(servers: impl IntoIterator<Item = Value>) -> Value {
        Value::Array([Value::Int(0), Value::Int(99)].into_iter().chain(servers).collect())
    }

    fn read(ranges: Vec<Value>) -> Vec<(String, bool)> {
        let servers = node().servers_of(Value::Array(ranges)).into_iter();
        servers.map(|(address, primary)| (address.to_string(), primary)).collect()
    }

    #[test]
    fn a_clusters_servers_are_read_each_once_and_primaries_as_such() {
        let ranges = vec![
            range([server(text("a"), 7001), server(text("b"), 7002)]),
            range([server(text("::1"), 7003), server(text("d"), 7004), server(text("b"), 7002)]),
            range([server(text("a"), 7001)]),
        ];
        let servers = ["a:7001", "b:7002", "::1:7003", "d:7004"].map(str::to_owned);
        assert_eq!(
            read(ranges),
            Vec::from_iter(servers.into_iter().zip([true, false, true, false]))
        );
    }

    #[test]
    fn a_server_without_a_name_has_that_of_the_one_that_was_asked() {
        let ranges = vec![range([server(Value::Nil, 7001), server(text(""), 7002)])];
        let servers = [("first:7001".to_owned(), true), ("first:7002".to_owned(), false)];
        assert_eq!(read(ranges), servers);
    }

    #[test]
    fn what_does_not_read_as_a_server_is_passed_over() {
        let ranges = vec![
            Value::Nil,
            range([Value::Nil]),
            range([Value::Array(vec![text("a")])]),
            range([Value::Array(vec![text("a"), text("7001")])]),
            range([server(text("a"), 70_000), server(text("b"), 7002)]),
        ];
        assert_eq!(read(ranges), [("b:7002".to_owned(), false)]);
        assert_eq!(node().servers_of(Value::Nil), []);
    }

    #[test]
    fn no_more_servers_are_believed_than_a_cluster_may_have() {
        let many = i64::try_from(MANY).unwrap();
        let servers = read(vec![range((1..=many + 9).map(|port| server(text("a"), port)))]);
        assert_eq!(servers.len(), MANY);
        assert_eq!(servers.last(), Some(&(format!("a:{many}"), false)));
    }
}
