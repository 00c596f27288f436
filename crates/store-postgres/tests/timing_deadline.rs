//! A server that does not answer keeps nobody longer than the deadline.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::time::{Duration, Instant};

use vouchsafe_store::Cells;
use vouchsafe_store_postgres::PostgresStore;
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{PostgresServer, block_on};

#[test]
fn a_paused_server_is_unavailable_within_the_deadline() {
    let server = PostgresServer::start();
    let open = |deadline: Option<Duration>| {
        let builder = PostgresStore::builder(common::config(&server.url()));
        let builder = builder.connect_timeout(common::PATIENT);
        common::open(match deadline {
            Some(deadline) => builder.deadline(deadline),
            None => builder,
        })
    };
    // The default, 50 ms, and one that is eight times as long.
    let stores = [open(None), open(Some(Duration::from_millis(400)))];
    for store in &stores {
        assert!(eventually(|| block_on(store.load(common::key(1))).is_ok()));
    }
    server.pause();
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..11 {
        for (store, took) in stores.iter().zip(&mut took) {
            let began = Instant::now();
            // The first ones wait for an answer, later ones for a connection.
            let refused = if round % 2 == 0 {
                common::is_unavailable(&block_on(store.load(common::key(1))))
            } else {
                let put = common::put(b"x");
                common::is_unavailable(&block_on(store.swap(common::key(2), None, put)))
            };
            assert!(refused, "an answer from a paused server");
            took.push(began.elapsed());
        }
    }
    server.resume();
    let medians = took.map(|mut took| {
        took.sort_unstable();
        took[took.len() / 2]
    });
    // No sooner than the deadline, which is what is waited for, and nothing besides.
    assert!(medians[0] >= Duration::from_millis(50), "{medians:?}");
    assert!(medians[1] >= Duration::from_millis(400), "{medians:?}");
    assert!(medians[0] < medians[1] / 4, "{medians:?}");
}
