//! What the tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::time::Duration;

use vouchsafe_core::{CellKey, Entropy, Space, Timestamp};
use vouchsafe_crypto::SystemEntropy;
use vouchsafe_store::{Cells, Put, StoreError, Swap, Version};
use vouchsafe_store_postgres::tokio_postgres::Config;
use vouchsafe_store_postgres::{PostgresBuilder, PostgresStore};
use vouchsafe_testkit::{PostgresServer, block_on};

/// A deadline that no slow machine misses.
pub const PATIENT: Duration = Duration::from_secs(60);

pub fn shared() -> &'static PostgresServer {
    PostgresServer::shared()
}

pub fn config(url: &str) -> Config {
    url.parse().unwrap()
}

/// A store in the schema `schema` of the server at `url`, with all the time there is.
pub fn builder(url: &str, schema: &str) -> PostgresBuilder {
    let builder = PostgresStore::builder(config(url)).schema(schema).connections(4);
    builder.deadline(PATIENT).connect_timeout(PATIENT)
}

pub fn open(builder: PostgresBuilder) -> PostgresStore {
    block_on(builder.open()).unwrap()
}

pub fn open_shared(schema: &str, max_bytes: Option<u64>) -> PostgresStore {
    let builder = builder(&shared().url(), schema).danger_accept_unsynced();
    open(match max_bytes {
        Some(bytes) => builder.max_bytes(bytes),
        None => builder,
    })
}

pub fn key(number: u64) -> CellKey {
    CellKey::new(Space::Account, u128::from(number).to_be_bytes())
}

pub fn fresh() -> Version {
    Version::new(SystemEntropy::new().bytes().unwrap())
}

pub fn put(bytes: &[u8]) -> Put {
    Put::save(bytes.to_vec(), Timestamp::MAX, fresh())
}

/// Writes over whatever is there.
pub fn save(store: &impl Cells, key: CellKey, bytes: &[u8]) -> Version {
    let was = block_on(store.load(key)).unwrap().version();
    let to = fresh();
    let put = Put::save(bytes.to_vec(), Timestamp::MAX, to);
    assert_eq!(block_on(store.swap(key, was, put)).unwrap(), Swap::Done);
    to
}

pub fn value(store: &impl Cells, key: CellKey) -> Option<Vec<u8>> {
    block_on(store.load(key)).unwrap().cell.map(|cell| cell.bytes)
}

pub fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}
