//! How long a call takes when there is no answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::time::{Duration, Instant};

use vouchsafe_core::{CellKey, Space};
use vouchsafe_store::Cells;
use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::{RedisServer, block_on};

/// 50 ms are the default deadline; a machine that is busy wakes up a little late.
#[test]
fn a_paused_server_is_unavailable_within_the_deadline() {
    let server = RedisServer::start();
    let store = RedisStore::open(server.url()).unwrap();
    let key = CellKey::new(Space::Lockout, [7; 16]);
    server.pause();
    let mut took: Vec<Duration> = (0..21)
        .map(|_| {
            let start = Instant::now();
            block_on(store.load(key)).unwrap_err();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("unavailable after {:?} (median), {:?} (worst)", took[10], took[20]);
    // Not because it gave up early, either.
    assert!((45..100).contains(&took[10].as_millis()), "{took:?}");
}
