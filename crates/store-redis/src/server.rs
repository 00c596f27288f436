//! What kind of server it is, and whether it is another than before.

use std::collections::HashMap;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NONE: &str = "0000000000000000000000000000000000000000";

    /// What `INFO` says of a server that syncs each swap, with these fields otherwise.
    fn info(other: &[(&str, &str)]) -> String {
        let ours = [
            ("redis_version", "7.0.15"),
            ("run_id", "one"),
            ("maxmemory_policy", "noeviction"),
            ("aof_enabled", "1"),
            ("role", "master"),
            ("connected_slaves", "0"),
            ("master_replid", "history"),
            ("master_replid2", NONE),
        ];
        let field = |(name, value): (&str, &str)| {
            let value = other
                .iter()
                .find_map(|(of, value)| (*of == name).then_some(*value))
                .unwrap_or(value);
            format!("{name}:{value}\r\n")
        };
        std::iter::once("# Server\r\n".to_owned()).chain(ours.map(field)).collect()
    }

    fn at(port: u16) -> Address {
        Address { host: "localhost".to_owned(), port }
    }

    fn check(servers: &Servers, port: u16, other: &[(&str, &str)]) -> Result<(), RedisError> {
        servers.check(&at(port), &info(other), Some("always"))
    }

    /// Servers, and what was told of them.
    fn servers() -> (Servers, Arc<Mutex<Vec<Degraded>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let tell = move |degraded: &Degraded| tell.lock().unwrap().push(degraded.clone());
        (Servers::new(Some(Box::new(tell))), told)
    }

    #[test]
    fn only_a_new_enough_primary_that_evicts_nothing_will_do() {
        let (servers, _) = servers();
        for version in ["7.0.0", "7.2.4", "8.0", "10.1.0"] {
            check(&servers, 1, &[("redis_version", version)]).unwrap();
        }
        for version in ["6.2.14", "5", "", "x.7"] {
            let refused = check(&servers, 1, &[("redis_version", version)]).unwrap_err();
            assert!(matches!(&refused, RedisError::Version { found, .. } if found == version));
        }
        let replica = check(&servers, 1, &[("role", "slave")]);
        assert!(matches!(replica, Err(RedisError::Replica)));
        let evicts = check(&servers, 1, &[("maxmemory_policy", "allkeys-lru")]);
        assert!(matches!(evicts, Err(RedisError::Eviction { policy }) if policy == "allkeys-lru"));
    }

    #[test]
    fn all_servers_have_to_sync_each_swap_and_fail_over_to_nobody() {
        let (none, _) = servers();
        assert!(!none.are_durable(), "none was seen");
        for other in [("aof_enabled", "0"), ("connected_slaves", "1")] {
            let (servers, _) = servers();
            check(&servers, 1, &[]).unwrap();
            assert!(servers.are_durable());
            check(&servers, 2, &[other]).unwrap();
            assert!(!servers.are_durable(), "{other:?}");
            check(&servers, 2, &[]).unwrap();
            assert!(servers.are_durable());
        }
        for fsync in [Some("everysec"), Some("no"), None] {
            let (servers, _) = servers();
            servers.check(&at(1), &info(&[]), fsync).unwrap();
            assert!(!servers.are_durable(), "{fsync:?}");
        }
    }

    #[test]
    fn a_server_that_may_have_less_than_before_is_told_and_no_other() {
        type Case<'a> = (u16, &'a [(&'a str, &'a str)], Option<bool>);
        let two = ("run_id", "two");
        let promoted = [two, ("master_replid", "new"), ("master_replid2", "history")];
        let stranger = [two, ("master_replid", "new"), ("master_replid2", "elsewhere")];
        let turned = [("master_replid", "new"), ("master_replid2", "elsewhere")];
        let fresh = [("master_replid", "new")];
        // Where it is seen, what it says, and whether what it had before is in its files.
        let cases: [Case<'_>; 8] = [
            (1, &[], None),
            (1, &fresh, None),
            (1, &[two], Some(true)),
            (1, &promoted, Some(false)),
            (1, &turned, Some(false)),
            (2, &promoted, Some(false)),
            (2, &[two], None),
            (2, &stranger, None),
        ];
        for (port, other, files) in cases {
            let (servers, told) = servers();
            check(&servers, 1, &[]).unwrap();
            check(&servers, port, other).unwrap();
            let told = told.lock().unwrap();
            let files_told: Vec<bool> = told.iter().map(|degraded| degraded.was_durable).collect();
            assert_eq!(files_told, Vec::from_iter(files), "{port} {other:?}");
            assert_eq!(servers.degraded(), u64::from(files.is_some()));
            for degraded in told.iter() {
                assert_eq!(degraded.was, "one");
                let is = if other.contains(&two) { "two" } else { "one" };
                assert_eq!(degraded.is, is);
            }
        }
    }

    #[test]
    fn servers_that_tell_no_history_have_none_in_common() {
        let (servers, _) = servers();
        let silent = [("master_replid", ""), ("master_replid2", "")];
        check(&servers, 1, &silent).unwrap();
        check(&servers, 2, &silent).unwrap();
        assert_eq!(servers.degraded(), 0);
    }

    #[test]
    fn one_that_was_a_replica_meanwhile_has_anothers_data() {
        let (servers, told) = servers();
        check(&servers, 1, &[]).unwrap();
        assert!(check(&servers, 1, &[("role", "slave")]).is_err());
        assert_eq!(servers.degraded(), 0);
        check(&servers, 1, &[]).unwrap();
        assert_eq!(servers.degraded(), 1);
        assert!(!told.lock().unwrap()[0].was_durable);
        // Told once.
        check(&servers, 1, &[]).unwrap();
        assert_eq!(servers.degraded(), 1);
        // One that did not sync has nothing in its files, whoever it is.
        servers.check(&at(2), &info(&[]), None).unwrap();
        check(&servers, 2, &[("run_id", "two")]).unwrap();
        assert!(!told.lock().unwrap()[1].was_durable);
    }
}
