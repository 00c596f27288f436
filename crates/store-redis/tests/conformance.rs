//! The Redis store does what every store must.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::RedisServer;

/// One server for all; each test has a prefix of its own.
fn open() -> impl Fn() -> RedisStore {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let url = SERVER.get_or_init(RedisServer::start).url();
    let prefix = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    move || patient(&url, &prefix)
}

/// What is tested here is not how quick a crowded machine is.
fn patient(url: &str, prefix: &str) -> RedisStore {
    RedisStore::builder(url).prefix(prefix).deadline(Duration::from_secs(60)).open().unwrap()
}

/// A server that is full at 16 MiB.
fn small() -> impl Fn() -> RedisStore {
    let server = RedisServer::with(&["maxmemory 16mb"]);
    move || patient(&server.url(), "small")
}

mod redis {
    use super::*;

    vouchsafe_testkit::suite!(open, persistent);

    #[test]
    fn full_is_an_answer_and_drops_nothing() {
        vouchsafe_testkit::conformance::full_is_an_answer_and_drops_nothing(&small());
    }
}

mod sealed_redis {
    use super::*;
    use vouchsafe_crypto::RootKey;
    use vouchsafe_store::Encrypted;

    fn make() -> impl Fn() -> Encrypted<RedisStore> {
        let open = open();
        move || Encrypted::new(open(), RootKey::new(&[1; 32]))
    }

    vouchsafe_testkit::suite!(make, persistent);

    #[test]
    fn full_is_an_answer_and_drops_nothing() {
        let small = small();
        let make = move || Encrypted::new(small(), RootKey::new(&[1; 32]));
        vouchsafe_testkit::conformance::full_is_an_answer_and_drops_nothing(&make);
    }
}

mod erased_redis {
    use super::*;
    use vouchsafe_store::AnyCells;

    fn make() -> impl Fn() -> AnyCells {
        let open = open();
        move || AnyCells::new(open())
    }

    vouchsafe_testkit::suite!(make, persistent);
}
