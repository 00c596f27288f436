#![doc = include_str!("../README.md")]

#[cfg(feature = "servers")]
mod authority;
mod child;
pub mod conformance;
mod counts;
#[cfg(feature = "gate")]
mod gate;
pub mod history;
#[cfg(feature = "servers")]
mod postgres;
#[cfg(feature = "servers")]
mod redis;
#[cfg(feature = "servers")]
mod redis_cluster;
mod run;
#[cfg(feature = "servers")]
pub mod server;
mod sources;
mod stores;
mod suite;
mod tally;
mod task;

#[cfg(feature = "servers")]
pub use authority::Authority;
pub use child::ChildTest;
pub use counts::{is_long, runs};
#[cfg(feature = "gate")]
pub use gate::{Postbag, TestGate, Users};
#[cfg(feature = "servers")]
pub use postgres::PostgresServer;
#[cfg(feature = "servers")]
pub use redis::RedisServer;
#[cfg(feature = "servers")]
pub use redis_cluster::RedisCluster;
pub use run::block_on;
#[cfg(feature = "servers")]
pub use server::PrivateServer;
pub use sources::{CountingEntropy, FailingEntropy, ManualClock, SeededEntropy};
pub use stores::{CountingStore, Fault, FaultyStore};
pub use tally::{Tallied, Tally, TallyEvent};
pub use task::abandon;

#[doc(hidden)]
pub mod reexport {
    //! What `pass_on!` names, wherever it is used.
    pub use vouchsafe_core::{CellKey, Space, Timestamp};
    pub use vouchsafe_store::{Durability, Loaded, Put, StoreError, Swap, Version};
}
