//! The name of a file where a store is meant.
//! error: E0277
//! fix: take `MemoryStore`, `SqliteStore`, `PostgresStore` or `RedisStore`, or implement `Cells`
use vouchsafe::Gate;
use vouchsafe::gate::{GateBuilder, Policies};
use vouchsafe::store::MemoryStore;

pub fn start(policies: Policies) -> GateBuilder {
    #[cfg(not(fixed))]
    return Gate::builder(policies).store("vouchsafe.db");
    #[cfg(fixed)]
    return Gate::builder(policies).store(MemoryStore::new(1 << 20));
}
