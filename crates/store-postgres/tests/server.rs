//! A server that is paused, killed or cut off.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{fresh, is_unavailable, key, put, save, value};
use vouchsafe_core::{CellKey, Entropy, Timestamp};
use vouchsafe_crypto::SystemEntropy;
use vouchsafe_store::{Cells, Durability, Loaded, Put, StoreError, Swap, Version, drive};
use vouchsafe_store_postgres::{PostgresError, PostgresStore};
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{
    CountingStore, PostgresServer, SeededEntropy, Tallied, Tally, TallyEvent, block_on, runs,
};

#[test]
fn paused_it_is_unavailable_and_continued_it_serves() {
    let server = PostgresServer::start();
    let patient = common::open(common::builder(&server.url(), "public"));
    save(&patient, key(1), b"before");
    // The default deadline: a paused server never meets it.
    let builder = PostgresStore::builder(common::config(&server.url()));
    let store = common::open(builder.connect_timeout(common::PATIENT));
    assert!(eventually(|| block_on(store.load(key(1))).is_ok()));
    server.pause();
    for _ in 0..20 {
        assert!(is_unavailable(&block_on(store.load(key(1)))));
        assert!(is_unavailable(&block_on(store.swap(key(2), None, put(b"x")))));
        assert!(is_unavailable(&block_on(store.scan(key(1).space, None, 10))));
        assert!(is_unavailable(&block_on(store.sweep(Timestamp::EPOCH, 10))));
    }
    server.resume();
    assert!(eventually(|| block_on(store.load(key(1))).is_ok()));
    let was = eventually(|| {
        let Ok(loaded) = block_on(store.load(key(3))) else { return false };
        matches!(block_on(store.swap(key(3), loaded.version(), put(b"after"))), Ok(Swap::Done))
    });
    assert!(was, "it does not come back");
    // Who had time waited, and lost nothing.
    assert_eq!(value(&patient, key(1)).unwrap(), b"before");
    assert_eq!(value(&patient, key(3)).unwrap(), b"after");
}

#[test]
fn while_it_is_down_calls_are_unavailable_and_afterwards_they_are_served() {
    let server = PostgresServer::start();
    let store = common::open(
        common::builder(&server.url(), "public").deadline(std::time::Duration::from_millis(200)),
    );
    let saved = || {
        let Ok(loaded) = block_on(store.load(key(1))) else { return false };
        matches!(block_on(store.swap(key(1), loaded.version(), put(b"kept"))), Ok(Swap::Done))
    };
    assert!(eventually(saved));
    server.kill();
    let refused = block_on(store.load(key(1)));
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(is_unavailable(&block_on(store.swap(key(2), None, put(b"x")))));
    server.restart();
    assert!(eventually(|| {
        block_on(store.load(key(1)))
            .is_ok_and(|loaded| loaded.cell.is_some_and(|cell| cell.bytes == b"kept"))
    }));
}

/// What is known of one cell: the number acknowledged last, and one that had no answer.
#[derive(Clone, Copy, Default)]
struct Known {
    acknowledged: u64,
    asked: u64,
    version: Option<Version>,
}

#[test]
fn kill_9_of_the_server_loses_no_acknowledged_swap() {
    let server = PostgresServer::start();
    let random = SeededEntropy::new(1);
    let store = common::open(common::builder(&server.url(), "public"));
    let mut known: BTreeMap<CellKey, Known> = (0..8).map(|n| (key(n), Known::default())).collect();
    let mut total = 0;
    for run in 0..runs(5, 200) {
        let kill_after = usize::try_from(random.below(60)).unwrap();
        let acks = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (number, (key, known)) in known.iter_mut().enumerate() {
                let (store, acks) = (&store, &acks);
                scope.spawn(move || {
                    let padding = SeededEntropy::new(u64::try_from(run * 8 + number).unwrap());
                    loop {
                        known.asked = known.acknowledged + 1;
                        let mut bytes = known.asked.to_le_bytes().to_vec();
                        let len = 8 + usize::try_from(padding.below(6000)).unwrap();
                        bytes.resize(len, bytes[0]);
                        let to = fresh();
                        let put = Put::save(bytes, Timestamp::MAX, to);
                        match block_on(store.swap(*key, known.version, put)) {
                            Ok(Swap::Done) => {
                                known.acknowledged = known.asked;
                                known.version = Some(to);
                                acks.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(StoreError::Unavailable(_)) => break,
                            other => panic!("{other:?}"),
                        }
                    }
                });
            }
            // After so many acknowledgements, which is at some moment of the next swaps.
            assert!(eventually(|| acks.load(Ordering::SeqCst) >= kill_after));
            server.kill();
        });
        total += acks.into_inner();
        server.restart();
        for (key, known) in &mut known {
            let cell = block_on(store.load(*key)).unwrap().cell;
            let there = cell.as_ref().map_or(0, |cell| {
                // The number, and padding that would show a torn write.
                assert!(cell.bytes[8..].iter().all(|byte| *byte == cell.bytes[0]), "torn");
                u64::from_le_bytes(cell.bytes[..8].try_into().unwrap())
            });
            assert!(
                there == known.acknowledged || there == known.asked,
                "run {run}: {there} there, {} acknowledged",
                known.acknowledged
            );
            *known =
                Known { acknowledged: there, asked: there, version: cell.map(|cell| cell.version) };
        }
    }
    assert!(total > 0, "nothing was ever acknowledged");
}

#[test]
fn only_a_server_that_syncs_and_fails_over_to_nobody_counts_as_durable() {
    let server = PostgresServer::start();
    let durability = |server: &PostgresServer| {
        common::open(common::builder(&server.url(), "public")).durability()
    };
    assert_eq!(durability(&server), Durability::Durable);
    let unsynced = common::open_shared(&common::shared().fresh_schema(), None);
    assert_eq!(unsynced.durability(), Durability::MayRollBack);
    // A standby that nobody waits for may take over without what it has not got.
    let standby = server.standby();
    assert_eq!(durability(&server), Durability::MayRollBack);
    let refused = block_on(common::builder(&standby.url(), "public").open()).unwrap_err();
    assert!(matches!(refused, PostgresError::Standby), "{refused}");
    // One that is waited for has it all.
    server.psql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.psql("SELECT pg_reload_conf()");
    assert!(eventually(|| durability(&server) == Durability::Durable));
}

/// Between the store and its server: passes everything on, until it is told to lose an answer.
struct Proxy {
    port: u16,
    lose: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    /// Connections that the store has ended.
    ended: Arc<AtomicUsize>,
}

impl Proxy {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lose, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let ended = Arc::new(AtomicUsize::new(0));
        let (to_lose, has_lost) = (Arc::clone(&lose), Arc::clone(&lost));
        let this = Self { port, lose: to_lose, lost: has_lost, ended: Arc::clone(&ended) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let ended = Arc::clone(&ended);
                std::thread::spawn(move || {
                    pass(from, to, || false);
                    ended.fetch_add(1, Ordering::SeqCst);
                });
                let (lose, lost) = (Arc::clone(&lose), Arc::clone(&lost));
                std::thread::spawn(move || {
                    pass(server, client, || {
                        let now = lose.swap(false, Ordering::SeqCst);
                        lost.fetch_add(usize::from(now), Ordering::SeqCst);
                        now
                    });
                });
            }
        });
        this
    }

    fn url(&self) -> String {
        format!("postgres://vouchsafe@127.0.0.1:{}/vouchsafe", self.port)
    }
}

/// Until either side ends, or `lose` says of what has just come that it is to be lost.
fn pass(mut from: TcpStream, mut to: TcpStream, lose: impl Fn() -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len) = from.read(&mut buffer)
        && len > 0
        && !lose()
        && to.write_all(&buffer[..len]).is_ok()
    {}
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Loses the answers to the first swaps.
struct Losing<C> {
    cells: C,
    proxy: Proxy,
    times: Mutex<u32>,
}

impl<C: Cells> Cells for Losing<C> {
    vouchsafe_testkit::pass_on!(cells: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        {
            let mut times = self.times.lock().unwrap();
            if *times > 0 {
                *times -= 1;
                self.proxy.lose.store(true, Ordering::SeqCst);
            }
        }
        self.cells.swap(key, expected, put).await
    }
}

#[test]
fn a_lost_reply_is_recognised_by_its_version() {
    let server = common::shared();
    let schema = server.fresh_schema();
    let entropy = SystemEntropy::new();
    for times in [1, 3] {
        let proxy = Proxy::to(server.port());
        let builder = common::builder(&proxy.url(), &schema).danger_accept_unsynced();
        // One connection: all that comes is this call's answer.
        let store = CountingStore::new(common::open(builder.connections(1)));
        let losing = Losing { cells: store, proxy, times: Mutex::new(1) };
        let at = CellKey::new(vouchsafe_core::Space::Lockout, [times; 16]);
        for round in 1..=u64::from(times) {
            *losing.times.lock().unwrap() = 1;
            let event = TallyEvent::Add(round);
            let place = block_on(drive(&losing, &entropy, at, &Tally, event, Timestamp::EPOCH));
            assert_eq!(u64::try_from(place.unwrap()).unwrap(), round);
            // The swap was done and its answer lost; a second load showed it.
            let rounds = usize::try_from(round).unwrap();
            assert_eq!(losing.proxy.lost.load(Ordering::SeqCst), rounds);
            assert_eq!((losing.cells.loads(), losing.cells.swaps()), (2 * round, round));
        }
        let loaded: Loaded = block_on(losing.cells.load(at)).unwrap();
        let tally = <Tallied as vouchsafe_core::Cell>::from_bytes(loaded.cell.unwrap().bytes);
        assert!(tally.unwrap().ids.into_iter().eq(1..=u64::from(times)));
    }
    let _bytes: [u8; 16] = entropy.bytes().unwrap();
}

/// A read has no effect: it is sent once more where a swap is not.
#[test]
fn a_read_whose_answer_was_lost_is_asked_again() {
    let server = common::shared();
    let proxy = Proxy::to(server.port());
    let builder = common::builder(&proxy.url(), &server.fresh_schema()).danger_accept_unsynced();
    // One connection: all that comes is this call's answer.
    let store = common::open(builder.connections(1));
    save(&store, key(1), b"x");
    for lost in 1..=5 {
        proxy.lose.store(true, Ordering::SeqCst);
        assert_eq!(value(&store, key(1)).unwrap(), b"x");
        assert_eq!(proxy.lost.load(Ordering::SeqCst), lost);
    }
    proxy.lose.store(true, Ordering::SeqCst);
    assert!(is_unavailable(&block_on(store.swap(key(2), None, put(b"y")))));
    assert_eq!(value(&store, key(2)).unwrap(), b"y");
}

/// A connection that was given up is closed, not left open until its server continues.
#[test]
fn a_paused_server_is_left() {
    let server = PostgresServer::start();
    let proxy = Proxy::to(server.port());
    let config = common::config(&proxy.url());
    let builder = PostgresStore::builder(config).connections(1).connect_timeout(common::PATIENT);
    let store = common::open(builder);
    let before = proxy.ended.load(Ordering::SeqCst);
    assert!(eventually(|| block_on(store.load(key(1))).is_ok()));
    server.pause();
    assert!(is_unavailable(&block_on(store.load(key(1)))));
    assert!(eventually(|| proxy.ended.load(Ordering::SeqCst) > before));
    server.resume();
}
