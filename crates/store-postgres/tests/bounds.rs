//! More cells than one statement reads, the longest value, and a limit to the byte.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::future::Future;
use std::task::{Context, Waker};

use common::{fresh, key, put, shared};
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Durability, MAX_CELL, Put, StoreError, Swap};
use vouchsafe_store_postgres::{PostgresError, PostgresStore};
use vouchsafe_testkit::{PostgresServer, block_on};

/// A value that PostgreSQL keeps in the row, so that some thousand of them take several walks.
const LEN: usize = 1_500;
/// What it is counted with.
const SIZE: u64 = 1_500 + 128;
const PAST: Timestamp = Timestamp::from_micros(11);

/// So many cells at once, that end at 10.
fn fill(schema: &str, count: u32, len: usize) {
    let (space, last) = (Space::Account.code(), count - 1);
    shared().psql(&format!(
        "INSERT INTO {schema}.vouchsafe_cells (digest, version, until, space, bytes)
         SELECT lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 10, {space},
             convert_to(repeat('x', {len}), 'UTF8') FROM generate_series(0, {last}) n"
    ));
}

fn open(schema: &str, max_bytes: Option<u64>) -> PostgresStore {
    common::open_shared(schema, max_bytes)
}

fn scanned(store: &PostgresStore, after: Option<[u8; 16]>, limit: usize) -> Vec<CellKey> {
    block_on(store.scan(Space::Account, after, limit)).unwrap()
}

#[test]
fn a_scan_goes_on_beyond_one_statement() {
    let schema = shared().fresh_schema();
    let store = open(&schema, None);
    fill(&schema, 20_001, 1);
    let all: Vec<CellKey> = (0..20_001).map(key).collect();
    for limit in [0, 1, 9_999, 10_000, 10_001, 20_000, 20_001, usize::MAX] {
        assert_eq!(scanned(&store, None, limit), all[..limit.min(20_001)], "{limit}");
    }
    assert_eq!(scanned(&store, Some(all[9_000].digest), usize::MAX), all[9_001..]);
    // Behind the last digest that there may be there is none.
    let last = CellKey::new(Space::Account, [0xFF; 16]);
    assert_eq!(block_on(store.swap(last, None, put(b"x"))).unwrap(), Swap::Done);
    assert_eq!(scanned(&store, Some(all[20_000].digest), 10), [last]);
    assert_eq!(scanned(&store, Some(last.digest), 10), []);
}

/// Even where the server does not walk the index.
#[test]
fn a_scan_is_in_order_however_the_server_finds_it() {
    let schema = shared().fresh_schema();
    drop(open(&schema, None));
    let mut config = common::config(&shared().url());
    let off =
        ["indexscan", "indexonlyscan", "bitmapscan"].map(|way| format!("-c enable_{way}=off"));
    config.options(off.join(" "));
    let builder = PostgresStore::builder(config).schema(&schema).danger_accept_unsynced();
    let builder = builder.deadline(common::PATIENT).connect_timeout(common::PATIENT);
    let store = common::open(builder);
    for number in (0..50).rev() {
        common::save(&store, key(number), b"x");
    }
    let all: Vec<CellKey> = (0..50).map(key).collect();
    for limit in [1, 7, 50] {
        assert_eq!(scanned(&store, None, limit), all[..limit], "{limit}");
    }
    assert_eq!(scanned(&store, Some(all[20].digest), 50), all[21..]);
}

#[test]
fn a_sweep_walks_the_whole_table_and_ends_at_its_limit() {
    let schema = shared().fresh_schema();
    let store = open(&schema, None);
    fill(&schema, 3_000, LEN);
    let size = shared().psql(&format!("SELECT pg_relation_size('{schema}.vouchsafe_cells')"));
    assert!(size.parse::<u64>().unwrap() > 3 << 20, "one statement reads 1 MiB");
    let sweep = |limit| block_on(store.sweep(PAST, limit)).unwrap();
    assert_eq!(sweep(0), 0);
    assert_eq!((sweep(511), sweep(512), sweep(513)), (511, 512, 513));
    assert_eq!(scanned(&store, None, usize::MAX).len(), 3_000 - 1_536);
    // From where the last one ended, once around.
    assert_eq!((sweep(usize::MAX), sweep(usize::MAX)), (3_000 - 1_536, 0));
    assert_eq!(scanned(&store, None, 1), []);
    assert_eq!(block_on(store.swap(key(1), None, put(b"x"))).unwrap(), Swap::Done);
    assert_eq!(sweep(usize::MAX), 0);
}

/// Those in the blocks of one statement are more than it drops.
#[test]
fn a_sweep_goes_on_where_it_dropped_as_many_as_it_may() {
    let schema = shared().fresh_schema();
    let store = open(&schema, None);
    fill(&schema, 3_000, 1);
    assert_eq!(block_on(store.sweep(PAST, usize::MAX)).unwrap(), 3_000);
    assert_eq!(scanned(&store, None, 1), []);
}

#[test]
fn a_limit_holds_to_the_byte_over_the_whole_table() {
    let schema = shared().fresh_schema();
    drop(open(&schema, None));
    fill(&schema, 3_000, LEN);
    let store = open(&schema, Some(3_000 * SIZE + 1_000));
    let save = |number: u64, len: usize| {
        block_on(store.swap(key(10_000 + number), None, put(&vec![7; len]))).unwrap()
    };
    assert_eq!(save(0, 873), Swap::Full);
    assert_eq!(save(0, 872), Swap::Done);
    assert_eq!(save(1, 0), Swap::Full);
    // Ten that are swept make room for so many bytes as they were counted with.
    assert_eq!(block_on(store.sweep(PAST, 10)).unwrap(), 10);
    let fits = (1..100).take_while(|number| save(*number, 1_000 - 128) == Swap::Done).count();
    assert_eq!(fits, 16);
    assert_eq!(save(100, 280 - 127), Swap::Full);
    assert_eq!(save(100, 280 - 128), Swap::Done);
    // One that shrinks makes room, too, and an erase makes all of it.
    let was = block_on(store.load(key(10_000))).unwrap().version();
    let (to, shorter) = (fresh(), vec![7; 372]);
    let put_shorter = Put::save(shorter, Timestamp::MAX, to);
    assert_eq!(block_on(store.swap(key(10_000), was, put_shorter)).unwrap(), Swap::Done);
    assert_eq!((save(101, 373), save(101, 372)), (Swap::Full, Swap::Done));
    assert_eq!(block_on(store.swap(key(10_000), Some(to), Put::Erase)).unwrap(), Swap::Done);
    assert_eq!((save(102, 373), save(102, 372)), (Swap::Full, Swap::Done));
    // A swap that was not done has taken no room.
    assert_eq!(block_on(store.sweep(PAST, 1)).unwrap(), 1);
    for _ in 0..20 {
        let conflict = block_on(store.swap(key(10_101), None, put(&[7; 372]))).unwrap();
        assert!(matches!(conflict, Swap::Conflict(_)));
    }
    assert_eq!((save(103, 1_501), save(103, 1_500)), (Swap::Full, Swap::Done));
}

#[test]
fn the_longest_value_fits() {
    let store = open(&shared().fresh_schema(), None);
    let refused = block_on(store.swap(key(1), None, put(&vec![7; MAX_CELL + 1]))).unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { max: MAX_CELL, .. }));
    assert_eq!(block_on(store.swap(key(1), None, put(&vec![7; MAX_CELL]))).unwrap(), Swap::Done);
    assert_eq!(common::value(&store, key(1)).unwrap().len(), MAX_CELL);
    let Swap::Conflict(shown) = block_on(store.swap(key(1), None, Put::Erase)).unwrap() else {
        panic!("it is there")
    };
    assert_eq!(shown.cell.unwrap().bytes.len(), MAX_CELL);
}

/// Beyond so many that wait, a call is refused at once.
#[test]
fn the_calls_that_wait_are_bounded() {
    let server = PostgresServer::start();
    let store = common::open(common::builder(&server.url(), "public"));
    server.pause();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..4096).map(|_| Box::pin(store.load(key(1)))).collect();
    for load in &mut waiting {
        assert!(load.as_mut().poll(&mut context).is_pending());
    }
    let refused = block_on(store.load(key(1))).unwrap_err().to_string();
    assert!(refused.contains("too many calls"), "{refused}");
    // One that is given up makes room for another.
    drop(waiting.pop());
    waiting.push(Box::pin(store.load(key(1))));
    assert!(waiting.last_mut().unwrap().as_mut().poll(&mut context).is_pending());
    server.resume();
    for load in waiting {
        block_on(load).unwrap();
    }
    block_on(store.load(key(1))).unwrap();
}

#[test]
fn a_server_that_may_tear_its_pages_is_refused_or_named() {
    let server = PostgresServer::with(&["full_page_writes=off"]);
    let builder = || common::builder(&server.url(), "public");
    let refused = block_on(builder().open()).unwrap_err();
    assert!(matches!(refused, PostgresError::Unsafe { setting: "full_page_writes" }), "{refused}");
    let accepted = common::open(builder().danger_accept_unsynced());
    assert_eq!(accepted.durability(), Durability::MayRollBack);
}
