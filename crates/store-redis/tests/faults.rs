//! A server that is paused, killed or cut off: calls end, nothing is done twice, and it recovers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use vouchsafe_core::{Cell, CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Put, StoreError, Swap, Version, drive};
use vouchsafe_store_redis::RedisStore;
use vouchsafe_testkit::server::{eventually, free_port};
use vouchsafe_testkit::{RedisServer, SeededEntropy, Tallied, Tally, TallyEvent, block_on, runs};

const KEY: CellKey = CellKey::new(Space::Lockout, [7; 16]);

fn patient(url: impl Into<String>) -> RedisStore {
    RedisStore::builder(url).deadline(Duration::from_secs(60)).open().unwrap()
}

fn add(cells: &impl Cells, entropy: &SeededEntropy, id: u64) -> Result<usize, StoreError> {
    let event = TallyEvent::Add(id);
    let driven = drive(cells, entropy, KEY, &Tally, event, Timestamp::EPOCH);
    block_on(driven).map_err(|undelivered| undelivered.error)
}

fn tally(cells: &impl Cells) -> Vec<u64> {
    let cell = block_on(cells.load(KEY)).unwrap().cell.unwrap();
    Tallied::from_bytes(cell.bytes).unwrap().ids
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Every call comes back while the server still stands still; by itself it works afterwards.
#[test]
fn a_paused_server_is_unavailable_and_then_recovers() {
    let server = RedisServer::start();
    let store = RedisStore::open(server.url()).unwrap();
    let entropy = SeededEntropy::new(1);
    for round in 0..3 {
        assert!(eventually(|| add(&store, &entropy, round).is_ok()));
        server.pause();
        for _ in 0..5 {
            assert!(is_unavailable(block_on(store.load(KEY))));
            assert!(is_unavailable(block_on(store.scan(Space::Lockout, None, 10))));
            assert!(is_unavailable(block_on(store.sweep(Timestamp::EPOCH, 10))));
            assert!(is_unavailable(block_on(store.swap(KEY, None, Put::Erase))));
            assert!(is_unavailable(add(&store, &entropy, 100)));
        }
        server.resume();
        assert!(eventually(|| block_on(store.load(KEY)).is_ok()));
    }
    // It was the same server all along.
    assert_eq!(store.degraded(), 0);
    let patient = patient(server.url());
    assert_eq!(tally(&patient)[..3], [0, 1, 2]);
}

/// What stood in line when the server was paused may be done when it continues, and only once.
#[test]
fn a_swap_that_was_given_up_is_done_once_or_not_at_all() {
    let server = RedisServer::start();
    let (store, entropy) = (RedisStore::open(server.url()).unwrap(), SeededEntropy::new(1));
    let patient = patient(server.url());
    let mut done = Tallied::default();
    for id in 0..u64::try_from(runs(10, 200)).unwrap() {
        let was = block_on(patient.load(KEY)).unwrap().version();
        done.ids.push(id);
        let version = Version::fresh(&entropy).unwrap();
        let put = Put::save(done.clone().into_bytes(), Timestamp::MAX, version);
        server.pause();
        let given_up = block_on(store.swap(KEY, was, put));
        assert!(is_unavailable(given_up), "the server stands still");
        server.resume();
        // Delivered again, it counts once, whichever of the two comes first.
        add(&patient, &entropy, id).unwrap();
        assert!(eventually(|| block_on(store.load(KEY)).is_ok()));
        assert_eq!(tally(&patient), done.ids);
    }
}

#[test]
fn a_killed_server_is_unavailable_and_found_again() {
    let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    let store = RedisStore::builder(server.url())
        .on_degraded(move |degraded| {
            assert_ne!(degraded.was, degraded.is);
            assert!(degraded.was_durable);
            tell.store(true, Ordering::SeqCst);
        })
        .open()
        .unwrap();
    let entropy = SeededEntropy::new(1);
    for round in 0..3 {
        assert!(eventually(|| add(&store, &entropy, round).is_ok()));
        server.kill();
        assert!(is_unavailable(block_on(store.load(KEY))));
        assert!(is_unavailable(add(&store, &entropy, 100)));
        server.restart();
        assert!(eventually(|| block_on(store.load(KEY)).is_ok()));
        assert_eq!(store.degraded(), round + 1);
        assert!(told.swap(false, Ordering::SeqCst));
        assert_eq!(tally(&patient(server.url())), (0..=round).collect::<Vec<_>>());
    }
}

/// With `appendfsync always`, what was acknowledged is there after the server was killed.
#[test]
fn a_durable_server_that_is_killed_loses_no_acknowledged_swap() {
    let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
    for round in 0..u64::try_from(runs(3, 50)).unwrap() {
        let store = patient(server.url());
        assert_eq!(store.durability(), vouchsafe_store::Durability::Durable);
        let acknowledged = write_until_killed(&server, &store, round);
        server.restart();
        let store = patient(server.url());
        for (thread, last) in acknowledged.into_iter().enumerate() {
            let there = counted(&store, thread);
            // One more may have been done and not answered.
            assert!(there == last || there == last + 1, "{there} there, {last} acknowledged");
        }
    }
}

fn counter(thread: usize) -> CellKey {
    CellKey::new(Space::System, [u8::try_from(thread).unwrap() << 4; 16])
}

fn counted(store: &RedisStore, thread: usize) -> u64 {
    let cell = block_on(store.load(counter(thread))).unwrap().cell;
    cell.map_or(0, |cell| u64::from_be_bytes(cell.bytes.try_into().unwrap()))
}

/// Four threads count up until the server is killed under them: how far each was told it is.
fn write_until_killed(server: &RedisServer, store: &RedisStore, seed: u64) -> Vec<u64> {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let enough = &enough;
                scope.spawn(move || {
                    let entropy = SeededEntropy::new(seed * 4 + thread as u64);
                    let mut was = block_on(store.load(counter(thread))).unwrap().version();
                    let mut count = counted(store, thread);
                    let from = count;
                    loop {
                        let to = Version::fresh(&entropy).unwrap();
                        let bytes = (count + 1).to_be_bytes().to_vec();
                        let put = Put::save(bytes, Timestamp::MAX, to);
                        match block_on(store.swap(counter(thread), was, put)) {
                            Ok(Swap::Done) => (count, was) = (count + 1, Some(to)),
                            Ok(other) => panic!("{other:?}"),
                            Err(_) => return count,
                        }
                        if count == from + 20 {
                            enough.store(true, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        assert!(eventually(|| enough.load(Ordering::SeqCst)));
        server.kill();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

/// Stands between store and server, and can give another answer than the server's, or none.
struct Proxy {
    port: u16,
    answers: Arc<Answers>,
    /// Connections that the store has ended.
    ended: Arc<AtomicU64>,
}

#[derive(Default)]
struct Answers {
    /// Instead of what comes next from the server; nothing ends the connection.
    next: Mutex<Option<String>>,
    /// Instead of all that comes from it, and how often it was given.
    all: Mutex<Option<String>>,
    given: AtomicU64,
}

impl Answers {
    fn instead(&self) -> Option<String> {
        let all = self.all.lock().unwrap().clone();
        self.given.fetch_add(u64::from(all.is_some()), Ordering::SeqCst);
        all.or_else(|| self.next.lock().unwrap().take())
    }
}

impl Proxy {
    fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), server.port());
        let this = Self { port, answers: Arc::default(), ended: Arc::default() };
        let (answers, ended) = (Arc::clone(&this.answers), Arc::clone(&this.ended));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { return };
                let (from, back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let ended = Arc::clone(&ended);
                thread::spawn(move || {
                    pass(from, back, &Answers::default());
                    ended.fetch_add(1, Ordering::SeqCst);
                });
                let answers = Arc::clone(&answers);
                thread::spawn(move || pass(far, near, &answers));
            }
        });
        this
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn answer_next(&self, instead: Option<&str>) {
        *self.answers.next.lock().unwrap() = instead.map(str::to_owned);
    }

    fn answer_all(&self, instead: Option<String>) {
        *self.answers.all.lock().unwrap() = instead;
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, answers: &Answers) {
    let mut bytes = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        let passed = match answers.instead() {
            None => to.write_all(&bytes[..len]),
            Some(nothing) if nothing.is_empty() => break,
            Some(answer) => to.write_all(answer.as_bytes()),
        };
        if passed.is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Has the answers of some of its swaps lost on the way.
struct Losing {
    store: RedisStore,
    proxy: Proxy,
    next: AtomicBool,
}

impl Cells for Losing {
    vouchsafe_testkit::pass_on!(store: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let lose = self.next.swap(false, Ordering::SeqCst);
        self.proxy.answer_next(lose.then_some(""));
        let swapped = self.store.swap(key, expected, put).await;
        assert_eq!(swapped.is_err(), lose, "{swapped:?}");
        swapped
    }
}

#[test]
fn a_swap_whose_answer_was_lost_on_the_way_is_recognised() {
    let server = RedisServer::start();
    let proxy = Proxy::before(&server);
    let store = patient(proxy.url());
    let losing = Losing { store, proxy, next: AtomicBool::new(false) };
    let entropy = SeededEntropy::new(1);
    server.ask(&["CONFIG", "RESETSTAT"]);
    for id in 0..20 {
        losing.next.store(id % 2 == 0, Ordering::SeqCst);
        assert_eq!(add(&losing, &entropy, id).unwrap(), usize::try_from(id).unwrap() + 1);
    }
    assert_eq!(tally(&losing), (0..20).collect::<Vec<_>>());
    // None was swapped twice, by the server's own count.
    let stats = server.ask(&["INFO", "commandstats"]);
    let sets = stats.lines().find(|line| line.starts_with("cmdstat_set:")).unwrap();
    assert!(sets.starts_with("cmdstat_set:calls=20,"), "{sets}");
}

/// Whoever answers in the place of a server of no cluster sends nobody elsewhere.
#[test]
fn a_server_of_no_cluster_sends_nobody_elsewhere() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::before(&server);
    let (store, entropy) = (patient(proxy.url()), SeededEntropy::new(1));
    add(&store, &entropy, 1).unwrap();
    let mut was = block_on(store.load(KEY)).unwrap().version();
    let there = format!("127.0.0.1:{}", other.port());
    for answer in [format!("MOVED 7 {there}"), format!("ASK 7 {there}"), "TRYAGAIN now".into()] {
        let code = answer.split(' ').next().unwrap();
        let refused = |answer: Result<(), StoreError>| match answer {
            Err(StoreError::Unavailable(reason)) => {
                assert!(reason.to_string().to_uppercase().contains(code), "{reason}");
            }
            answer => panic!("{code}: {answer:?}"),
        };
        proxy.answer_next(Some(&format!("-{answer}\r\n")));
        refused(block_on(store.load(KEY)).map(drop));
        proxy.answer_next(Some(&format!("-{answer}\r\n")));
        refused(block_on(store.swap(KEY, was, Put::Erase)).map(drop));
        // A save is not sent again as if the server were full.
        let (beside, version) = (CellKey::new(Space::Lockout, [8; 16]), Version::new([1; 16]));
        proxy.answer_next(Some(&format!("-{answer}\r\n")));
        let saved = block_on(store.swap(beside, None, Put::save(vec![], Timestamp::MAX, version)));
        refused(saved.map(drop));
        // Nor are they believed afterwards. The erase was done: its answer alone was another.
        add(&store, &entropy, 1).unwrap();
        assert_eq!(tally(&store), [1]);
        was = block_on(store.load(KEY)).unwrap().version();
    }
    let stats = other.ask(&["INFO", "commandstats"]);
    assert!(!stats.contains("evalsha") && !stats.contains("cmdstat_script"), "{stats}");
}

/// Beyond so many that wait, a call is refused at once.
#[test]
fn the_calls_that_wait_are_bounded() {
    let server = RedisServer::start();
    let store = patient(server.url());
    server.pause();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..1024).map(|_| Box::pin(store.load(KEY))).collect();
    for load in &mut waiting {
        assert!(load.as_mut().poll(&mut context).is_pending());
    }
    assert!(is_unavailable(block_on(store.load(KEY))));
    server.resume();
    for load in waiting {
        block_on(load).unwrap();
    }
    block_on(store.load(KEY)).unwrap();
}

/// How many connections were made to the server, this one included.
fn connections(server: &RedisServer) -> u64 {
    let stats = server.ask(&["INFO", "stats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().parse().unwrap()
}

#[test]
fn all_who_need_a_connection_wait_for_the_same_one() {
    let server = RedisServer::start();
    let store = patient(server.url());
    server.kill();
    assert!(is_unavailable(block_on(store.load(KEY))));
    server.restart();
    let before = connections(&server);
    let mut context = Context::from_waker(Waker::noop());
    let mut loads: Vec<_> = (0..100).map(|_| Box::pin(store.load(KEY))).collect();
    // Whoever is asked after the connection stands is answered at once.
    loads.retain_mut(|load| match load.as_mut().poll(&mut context) {
        Poll::Ready(loaded) => loaded.map(|_| false).unwrap(),
        Poll::Pending => true,
    });
    for load in loads {
        block_on(load).unwrap();
    }
    assert_eq!(connections(&server), before + 2);
}

/// What the host is told it may answer with a panic: the next call makes a new connection.
#[test]
fn a_callback_that_panics_costs_a_call_and_no_more() {
    let server = RedisServer::start();
    let first = AtomicBool::new(true);
    let store = RedisStore::builder(server.url())
        .deadline(Duration::from_secs(60))
        .on_degraded(move |_| assert!(!first.swap(false, Ordering::SeqCst), "as it is meant to"))
        .open()
        .unwrap();
    server.restart();
    assert!(eventually(|| block_on(store.load(KEY)).is_ok()));
    assert_eq!(store.degraded(), 1);
}

/// A connection that was given up is closed, not left open until its server continues.
#[test]
fn a_paused_server_is_left() {
    let server = RedisServer::start();
    let proxy = Proxy::before(&server);
    let store = RedisStore::builder(proxy.url()).open().unwrap();
    server.pause();
    assert!(is_unavailable(block_on(store.load(KEY))));
    assert!(eventually(|| proxy.ended.load(Ordering::SeqCst) == 1));
    server.resume();
}

/// A cluster that sends its callers in circles is asked every now and then, until the deadline.
#[test]
fn in_circles_there_is_no_haste() {
    let (bus, _claim) = free_port();
    let server = RedisServer::with(&["cluster-enabled yes", &format!("cluster-port {bus}")]);
    assert_eq!(server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    assert!(eventually(|| server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")));
    let proxy = Proxy::before(&server);
    // As the server says it of itself, too.
    let port = proxy.port.to_string();
    assert_eq!(server.ask(&["CONFIG", "SET", "cluster-announce-port", &port]), "OK");
    let store = RedisStore::builder(proxy.url()).deadline(Duration::from_secs(1)).open().unwrap();
    for code in ["MOVED", "TRYAGAIN"] {
        let before = proxy.answers.given.load(Ordering::SeqCst);
        proxy.answer_all(Some(format!("-{code} 7 127.0.0.1:{port}\r\n")));
        assert!(is_unavailable(block_on(store.load(KEY))));
        proxy.answer_all(None);
        // A few times at once, and then each 5 ms of its second.
        let given = proxy.answers.given.load(Ordering::SeqCst) - before;
        assert!(given <= 205, "{code}: {given}");
        assert!(eventually(|| block_on(store.load(KEY)).is_ok()));
    }
}

/// In a full server a long request is not left in the buffer of its connection.
#[test]
fn a_long_value_that_finds_no_room_costs_the_connection_and_a_short_one_does_not() {
    /// With what stands before a value.
    const LONGEST: usize = 32 * 1024 - 25;
    let server = RedisServer::with(&["maxmemory 16mb"]);
    let store = patient(server.url());
    server.ask(&["SETRANGE", "full", "32000000", "x"]);
    let made = |len: usize| {
        let before = connections(&server);
        let put = Put::save(vec![7; len], Timestamp::MAX, Version::new([1; 16]));
        assert_eq!(block_on(store.swap(KEY, None, put)).unwrap(), Swap::Full);
        assert_eq!(block_on(store.load(KEY)).unwrap().cell, None);
        connections(&server) - before - 1
    };
    assert_eq!([made(1), made(LONGEST), made(LONGEST + 1), made(900_000)], [0, 0, 1, 1]);
    // What makes room, and what looks for it, needs none.
    assert_eq!(block_on(store.scan(KEY.space, None, 10)).unwrap(), []);
    assert_eq!(block_on(store.sweep(Timestamp::MAX, 10)).unwrap(), 0);
    assert_eq!(block_on(store.swap(KEY, None, Put::Erase)).unwrap(), Swap::Done);
}
