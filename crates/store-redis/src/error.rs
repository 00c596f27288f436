//! What can go wrong when a store is opened.

/// Why a server cannot keep cells.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address does not read as `redis://[user:password@]host[:port][/database]`, or `rediss://`
    /// for TLS.
    #[error("no address of a Redis server: {0}")]
    Address(String),
    /// The prefix has a brace, which would move its keys to other nodes of a cluster.
    #[error("a prefix of keys has no braces")]
    Prefix,
    /// What was given for TLS does not read, or does not go with the address.
    #[error("no TLS to Redis: {0}")]
    Tls(String),
    /// The server does not answer, or not as one should.
    #[error("the Redis server does not serve: {0}")]
    Unreachable(String),
    /// The server may throw away cells when its memory is full.
    #[error("maxmemory-policy is {policy}, which drops what is still needed: set it to noeviction")]
    Eviction {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// The server is too old.
    #[error("the Redis server has version {found}, older than {oldest}")]
    Version {
        /// What it says.
        found: String,
        /// The oldest that will do.
        oldest: &'static str,
    },
    /// The server is a replica: it takes no swaps, and its loads may be stale.
    #[error("the Redis server is a replica")]
    Replica,
    /// Several addresses were given, and a server behind one of them is of no cluster.
    #[error("several addresses were given, and the Redis server is of no cluster")]
    NotACluster,
    /// No thread could be started.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl RedisError {
    pub(crate) fn unreachable(error: redis::RedisError) -> Self {
        Self::Unreachable(error.to_string())
    }
}
