#![doc = include_str!("../README.md")]

pub use vouchsafe_access_log as access_log;
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;
pub use vouchsafe_envelope as envelope;
#[cfg(feature = "ledger")]
pub use vouchsafe_ledger as ledger;
pub use vouchsafe_lockout as lockout;
pub use vouchsafe_password as password;
#[cfg(feature = "gate")]
pub use vouchsafe_policy as policy;
pub use vouchsafe_session as session;
#[cfg(feature = "gate")]
pub use vouchsafe_store as store;
#[cfg(feature = "postgres")]
pub use vouchsafe_store_postgres as store_postgres;
#[cfg(feature = "redis")]
pub use vouchsafe_store_redis as store_redis;
#[cfg(feature = "sqlite")]
pub use vouchsafe_store_sqlite as store_sqlite;

#[cfg(feature = "gate")]
pub mod counting;
#[cfg(feature = "gate")]
pub mod gate;
pub mod os;

#[cfg(feature = "gate")]
pub use gate::Gate;

#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
