//! A Redis cluster of one test's own.

#![expect(clippy::expect_used, reason = "a cluster that does not form fails the test")]

use std::fs::File;

use crate::redis::RedisServer;
use crate::server::{eventually, free_port};

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// Three primaries of a Redis cluster, each with a third of the slots, and whatever replicas a test
/// adds. Nobody fails over by itself: see [`take_over`](Self::take_over).
#[derive(Debug)]
pub struct RedisCluster {
    primaries: Vec<RedisServer>,
    options: Vec<String>,
    /// Keeps the ports on which the servers talk to one another.
    claims: Vec<File>,
}

impl RedisCluster {
    /// Servers that keep their cells in memory only.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Servers with these options, as [`RedisServer::with`].
    pub fn with(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut cluster = Self { primaries: Vec::new(), options, claims: Vec::new() };
        let third = SLOTS.div_ceil(3);
        for number in 0..3_usize {
            let server = cluster.server();
            let first = number.saturating_mul(third);
            let last = first.saturating_add(third).min(SLOTS).saturating_sub(1);
            let epoch = number.saturating_add(1).to_string();
            done(&server, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            let range = [first.to_string(), last.to_string()];
            done(&server, &["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]);
            cluster.join(&server);
            cluster.primaries.push(server);
        }
        cluster.settled(3, &[]);
        cluster
    }

    fn server(&mut self) -> RedisServer {
        let (bus, claim) = free_port();
        self.claims.push(claim);
        // A busy machine shall not look like a dead server.
        let bus = format!("cluster-port {bus}");
        let ours = ["cluster-enabled yes", "cluster-node-timeout 60000", &bus];
        let more = ["cluster-require-full-coverage no", "repl-diskless-sync-delay 0"];
        let theirs: Vec<&str> = self.options.iter().map(String::as_str).collect();
        RedisServer::with(&[&ours[..], &more, &theirs].concat())
    }

    fn join(&self, server: &RedisServer) {
        let Some(first) = self.primaries.first() else { return };
        let (port, bus) = (first.port().to_string(), first.ask(&["CONFIG", "GET", "cluster-port"]));
        let bus = bus.lines().last().expect("a port");
        done(server, &["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
    }

    /// Waits until all know of so many servers, and that all slots are served.
    fn settled(&self, count: usize, more: &[&RedisServer]) {
        let known = format!("cluster_known_nodes:{count}\r");
        let servers = || self.primaries.iter().chain(more.iter().copied());
        let settled = eventually(|| {
            servers().all(|server| {
                let info = server.ask(&["CLUSTER", "INFO"]);
                let nodes = server.ask(&["CLUSTER", "NODES"]);
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_assigned:16384\r")
                    && info.contains(&known)
                    && !nodes.contains("handshake")
            })
        });
        assert!(settled, "the servers do not become a cluster");
    }

    /// The three.
    pub fn primaries(&self) -> &[RedisServer] {
        &self.primaries
    }

    /// Where a client finds the cluster: its first primary.
    pub fn url(&self) -> String {
        self.primaries.first().expect("three").url()
    }

    /// A replica of one of the primaries that has caught up with it.
    pub fn replica(&mut self, of: usize) -> RedisServer {
        let replica = self.server();
        self.join(&replica);
        self.settled(4, &[&replica]);
        let primary = self.primaries.get(of).expect("one of three");
        done(&replica, &["CLUSTER", "REPLICATE", &id(primary)]);
        let synced = eventually(|| {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
                && primary.ask(&["INFO", "replication"]).contains("state=online")
        });
        assert!(synced, "the replica does not reach its primary");
        replica
    }

    /// Has a replica take over from its primary, dead or alive, as it is.
    pub fn take_over(replica: &RedisServer) {
        done(replica, &["CLUSTER", "FAILOVER", "TAKEOVER"]);
        assert!(
            eventually(|| replica.ask(&["ROLE"]).starts_with("master")),
            "it remains a replica"
        );
    }

    /// Which of the primaries has the slot of this key, and the slot.
    pub fn owner(&self, key: &str) -> (usize, String) {
        let slot = self.primaries.first().expect("three").ask(&["CLUSTER", "KEYSLOT", key]);
        let owner = self.primaries.iter().position(|server| {
            // Whoever has it answers; the others say where it is.
            !server.ask(&["EXISTS", key]).starts_with('-')
        });
        (owner.expect("a slot that is served"), slot)
    }

    /// Moves a slot and all its keys from one primary to another, as resharding does. `meanwhile` is
    /// called once it has begun, and again after each key.
    ///
    /// Waits first until all know of the last move: a server that did not would take this slot over
    /// with an epoch that is too low, lose it to a late message of another, and drop its keys.
    pub fn move_slot(&self, slot: &str, from: usize, to: usize, mut meanwhile: impl FnMut()) {
        let epoch = |server: &RedisServer| {
            let info = server.ask(&["CLUSTER", "INFO"]);
            info.lines().find(|line| line.starts_with("cluster_current_epoch:")).map(str::to_owned)
        };
        let same = || {
            let mut epochs = self.primaries.iter().map(epoch);
            let first = epochs.next();
            epochs.all(|epoch| Some(epoch) == first)
        };
        assert!(eventually(same), "the servers do not agree");
        let server = |number: usize| self.primaries.get(number).expect("one of three");
        let (from, to) = (server(from), server(to));
        done(to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]);
        done(from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(to)]);
        meanwhile();
        loop {
            let keys = from.ask_bytes(&["CLUSTER", "GETKEYSINSLOT", slot, "1"]);
            let Some(key) = keys.first() else { break };
            let port = to.port().to_string();
            let words = [b"MIGRATE", &b"127.0.0.1"[..], port.as_bytes(), key, b"0", b"60000"];
            let moved = from.ask_bytes(&words).concat();
            // A key that expired meanwhile is gone.
            assert!(moved == b"OK" || moved == b"NOKEY", "{}", String::from_utf8_lossy(&moved));
            meanwhile();
        }
        done(to, &["CLUSTER", "SETSLOT", slot, "NODE", &id(to)]);
        for server in &self.primaries {
            done(server, &["CLUSTER", "SETSLOT", slot, "NODE", &id(to)]);
        }
    }
}

fn id(server: &RedisServer) -> String {
    server.ask(&["CLUSTER", "MYID"])
}

fn done(server: &RedisServer, words: &[&str]) {
    assert_eq!(server.ask(words), "OK", "{words:?}");
}
