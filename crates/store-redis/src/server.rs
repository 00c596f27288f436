//! What kind of server it is, and whether it is another than before.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::RedisError;
use crate::dial::Address;

/// The first server whose scripts say what they may do (`#!lua`).
const OLDEST: &str = "7.0";

/// The server behind an address is another process than before, or was a replica meanwhile, or a
/// replica has taken over in a cluster: swaps that were acknowledged may be lost.
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

/// The servers that served.
pub(crate) struct Servers {
    seen: Mutex<HashMap<Address, Seen>>,
    degraded: AtomicU64,
    on_degraded: Option<OnDegraded>,
}

/// What a server was when it was connected to last.
#[derive(Clone)]
struct Seen {
    run_id: String,
    /// Its replication id, which a replica shares, and which ends when a replica is made a primary.
    history: String,
    /// It answered as a replica since.
    replica: bool,
    durable: bool,
}

impl Servers {
    pub(crate) fn new(on_degraded: Option<OnDegraded>) -> Self {
        Self { seen: Mutex::default(), degraded: AtomicU64::new(0), on_degraded }
    }

    pub(crate) fn degraded(&self) -> u64 {
        self.degraded.load(Ordering::SeqCst)
    }

    /// Whether none of them may lose what it acknowledged.
    pub(crate) fn are_durable(&self) -> bool {
        let seen = self.seen();
        !seen.is_empty() && seen.values().all(|seen| seen.durable)
    }

    /// Is this a server to keep cells in, and the same as before?
    pub(crate) fn check(
        &self,
        address: &Address,
        info: &str,
        fsync: Option<&str>,
    ) -> Result<(), RedisError> {
        let field = |name: &str| field(info, name);
        let version = field("redis_version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(RedisError::Version { found: version.to_owned(), oldest: OLDEST });
        }
        let mut seen = self.seen();
        if field("role") != "master" {
            if let Some(was) = seen.get_mut(address) {
                was.replica = true;
            }
            return Err(RedisError::Replica);
        }
        let policy = field("maxmemory_policy");
        if policy != "noeviction" {
            return Err(RedisError::Eviction { policy: policy.to_owned() });
        }
        let now = Seen {
            run_id: field("run_id").to_owned(),
            history: field("master_replid").to_owned(),
            replica: false,
            durable: field("aof_enabled") == "1"
                && fsync == Some("always")
                && field("connected_slaves") == "0",
        };
        let took_up = field("master_replid2");
        let was = before(&seen, address, &now, took_up);
        seen.insert(address.clone(), now.clone());
        drop(seen);
        if let Some(was) = was {
            self.degraded.fetch_add(1, Ordering::SeqCst);
            if let Some(tell) = &self.on_degraded {
                // A replica that has taken over has not got the files.
                let files = was.run_id != now.run_id && !was.replica && was.history != took_up;
                let was_durable = was.durable && files;
                tell(&Degraded { was: was.run_id, is: now.run_id, was_durable });
            }
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Address, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server whose place this one has taken with less, perhaps, than that one had. `took_up` is
/// the history that it took up when it was made a primary.
fn before(
    seen: &HashMap<Address, Seen>,
    address: &Address,
    now: &Seen,
    took_up: &str,
) -> Option<Seen> {
    let promoted = took_up.contains(|digit| digit != '0');
    match seen.get(address) {
        Some(was) if was.run_id != now.run_id || was.replica => Some(was.clone()),
        Some(was) if was.history == now.history || !promoted => None,
        // It was another's replica, and was not asked meanwhile.
        Some(was) => Some(was.clone()),
        None if promoted => seen.values().find(|was| was.history == took_up).cloned(),
        None => None,
    }
}

/// A field of what `INFO` says.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(field, value)| (field == name).then_some(value)).unwrap_or_default()
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").field("degraded", &self.degraded).finish_non_exhaustive()
    }
}
