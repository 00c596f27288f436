//! What server it takes, what a call costs it, and what it makes of what it finds there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Durability, MAX_CELL, Put, StoreError, Swap, Version, drive};
use vouchsafe_store_redis::{RedisError, RedisStore};
use vouchsafe_testkit::server::{eventually, free_port};
use vouchsafe_testkit::{RedisServer, SeededEntropy, Tally, TallyEvent, block_on};

const KEY: CellKey = CellKey::new(Space::Account, [7; 16]);
/// The key of `KEY`: its space, and its group by the first four bits of the digest.
const PLACE: &str = "vouchsafe{010}:";

fn patient(server: &RedisServer) -> RedisStore {
    RedisStore::builder(server.url()).deadline(Duration::from_secs(60)).open().unwrap()
}

fn place() -> String {
    PLACE.to_owned() + str::from_utf8(&[7; 16]).unwrap()
}

fn refused(server: &RedisServer) -> RedisError {
    RedisStore::open(server.url()).map(drop).unwrap_err()
}

fn version(number: u128) -> Version {
    Version::new(number.to_be_bytes())
}

fn save(store: &impl Cells, key: CellKey, was: Option<Version>, until: Timestamp) -> Version {
    let to =
        Version::new((was.map_or(0, |was| u128::from_be_bytes(*was.as_bytes())) + 1).to_be_bytes());
    let put = Put::save(b"value".to_vec(), until, to);
    assert_eq!(block_on(store.swap(key, was, put)).unwrap(), Swap::Done);
    to
}

/// Minutes from now.
fn soon(minutes: i64) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap() + minutes * 60_000_000)
}

#[test]
fn a_server_that_may_evict_is_refused() {
    for policy in ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"] {
        let server = RedisServer::with(&[&format!("maxmemory-policy {policy}")]);
        match refused(&server) {
            RedisError::Eviction { policy: found } => assert_eq!(found, policy),
            other => panic!("{other}"),
        }
        // As soon as it does not, it will do.
        server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        drop(RedisStore::open(server.url()).unwrap());
    }
}

#[test]
fn a_replica_a_wrong_address_and_a_prefix_with_braces_are_refused() {
    let server = RedisServer::start();
    assert!(matches!(refused(&server.replica()), RedisError::Replica));
    let braces = RedisStore::builder(server.url()).prefix("a{b}").open();
    assert!(matches!(braces, Err(RedisError::Prefix)));
    for address in ["nonsense", "redis+unix:///tmp/socket", "redis://", "rediss://"] {
        assert!(matches!(RedisStore::open(address), Err(RedisError::Address(_))), "{address}");
    }
    server.kill();
    match refused(&server) {
        RedisError::Unreachable(why) => {
            assert!(why.contains(&format!("127.0.0.1:{}", server.port())), "{why}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn only_a_server_that_syncs_each_swap_and_has_no_replica_counts_as_durable() {
    let durability = |options: &[&str]| patient(&RedisServer::with(options)).durability();
    assert_eq!(durability(&[]), Durability::MayRollBack);
    assert_eq!(durability(&["appendonly yes"]), Durability::MayRollBack);
    let always = ["appendonly yes", "appendfsync always"];
    assert_eq!(durability(&always), Durability::Durable);
    let server = RedisServer::with(&always);
    let _replica = server.replica();
    assert_eq!(patient(&server).durability(), Durability::MayRollBack);
}

/// How often the server ran each command, by its own statistics.
fn calls(server: &RedisServer) -> BTreeMap<String, u64> {
    let text = server.ask(&["INFO", "commandstats"]);
    let lines =
        text.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
    let count = |rest: &str| rest.split(',').next().unwrap().parse().unwrap();
    lines.map(|(name, rest)| (name.to_owned(), count(rest))).collect()
}

#[test]
fn a_load_and_a_swap_are_one_round_trip_each() {
    let server = RedisServer::start();
    let store = patient(&server);
    server.ask(&["CONFIG", "RESETSTAT"]);
    let mut was = None;
    for _ in 0..10 {
        assert_eq!(block_on(store.load(KEY)).unwrap().version(), was);
        was = Some(save(&store, KEY, was, Timestamp::MAX));
    }
    let all = calls(&server);
    let sent = |name: &str| all.get(name).copied().unwrap_or(0);
    // Each was one EVALSHA; what the scripts called is counted too, and costs no trip.
    assert_eq!(sent("evalsha"), 20, "{all:?}");
    assert_eq!((sent("get"), sent("set"), sent("time")), (20, 10, 10), "{all:?}");
    // Only the new cell went into its group's sets.
    assert_eq!(sent("zadd"), 2, "{all:?}");
    let known = ["evalsha", "get", "set", "time", "zadd", "config|resetstat", "info"];
    assert!(all.keys().all(|name| known.contains(&name.as_str())), "{all:?}");
}

#[test]
fn an_attempt_is_two_round_trips_and_a_lost_race_one_more() {
    let server = RedisServer::start();
    let (store, entropy) = (patient(&server), SeededEntropy::new(1));
    let add = |id| {
        let event = TallyEvent::Add(id);
        block_on(drive(&store, &entropy, KEY, &Tally, event, Timestamp::EPOCH)).unwrap();
    };
    server.ask(&["CONFIG", "RESETSTAT"]);
    add(1);
    assert_eq!(calls(&server)["evalsha"], 2);
    // A conflict brings the cell and the time along.
    let put = Put::save(Vec::new(), Timestamp::MAX, version(9));
    let Swap::Conflict(current) = block_on(store.swap(KEY, Some(version(8)), put)).unwrap() else {
        panic!("swapped")
    };
    assert_eq!(calls(&server)["evalsha"], 3);
    assert!(current.cell.is_some() && current.time.is_some());
}

#[test]
fn scripts_that_the_server_forgot_are_sent_again() {
    let server = RedisServer::start();
    let store = patient(&server);
    let was = save(&store, KEY, None, Timestamp::MAX);
    server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(block_on(store.load(KEY)).unwrap().version(), Some(was));
    save(&store, KEY, Some(was), Timestamp::MAX);
    server.ask(&["CONFIG", "RESETSTAT"]);
    block_on(store.load(KEY)).unwrap();
    assert_eq!(calls(&server)["evalsha"], 1);
}

#[test]
fn the_scripts_that_are_shown_are_those_that_run() {
    let (ours, other) = (RedisServer::start(), RedisServer::start());
    let _store = patient(&ours);
    let names = RedisStore::scripts().into_iter().map(|(name, text)| {
        let hash = other.ask(&["SCRIPT", "LOAD", &text]);
        assert_eq!(ours.ask(&["SCRIPT", "EXISTS", &hash]), "1", "{name}");
        name
    });
    assert!(names.eq(["load", "save", "tight", "erase", "scan", "sweep"]));
}

#[test]
fn the_time_is_the_servers() {
    let server = RedisServer::start();
    let store = patient(&server);
    let now = || {
        let time = server.ask(&["TIME"]);
        let (seconds, micros) = time.split_once('\n').unwrap();
        let seconds: i64 = seconds.parse().unwrap();
        Timestamp::from_micros(seconds * 1_000_000 + micros.parse::<i64>().unwrap())
    };
    save(&store, KEY, None, Timestamp::MAX);
    let before = now();
    let loaded = block_on(store.load(KEY)).unwrap().time.unwrap();
    let between = now();
    let Swap::Conflict(shown) = block_on(store.swap(KEY, None, Put::Erase)).unwrap() else {
        panic!("it is there")
    };
    let shown = shown.time.unwrap();
    assert!(before <= loaded && loaded <= between && between <= shown && shown <= now());
}

#[test]
fn a_cell_expires_by_itself_and_a_sweep_takes_it_out_of_the_sets() {
    let server = RedisServer::start();
    let store = patient(&server);
    let key = |number: u8| CellKey::new(Space::Lockout, [number; 16]);
    for number in 0..100 {
        // Of long ago: gone at once. The others are due in the hours to come.
        let until = match number % 4 {
            0 => Timestamp::EPOCH,
            2 => Timestamp::from_micros(-7_200_000_001),
            _ => soon(60),
        };
        save(&store, key(number), None, until);
    }
    for number in 0..100 {
        let there = block_on(store.load(key(number))).unwrap().cell.is_some();
        assert_eq!(there, number % 2 == 1, "{number}");
    }
    let scan = || block_on(store.scan(Space::Lockout, None, 1000)).unwrap();
    assert_eq!(scan().len(), 50, "what expired is not scanned");
    // Nor does it end a scan that had to pass it.
    for limit in [1, 2, 3, 49] {
        let found = block_on(store.scan(Space::Lockout, None, limit)).unwrap();
        assert_eq!(found, scan()[..limit], "{limit}");
    }
    server.ask(&["CONFIG", "RESETSTAT"]);
    assert_eq!(block_on(store.sweep(soon(0), 1000)).unwrap(), 50);
    assert_eq!(block_on(store.sweep(soon(0), 1000)).unwrap(), 0);
    assert_eq!(calls(&server)["getrange"], 50, "those of later hours are not looked at");
    assert_eq!(scan().len(), 50);
    // Nothing is left of them but the fifty that are there: a key each, and two sets a group.
    let keys = server.ask(&["KEYS", "*"]);
    let sets = |name: &str| {
        let sets = keys.lines().filter(|key| key.ends_with(name));
        sets.map(|set| server.ask(&["ZCARD", set]).parse::<usize>().unwrap()).sum::<usize>()
    };
    assert_eq!((sets("order"), sets("due")), (50, 50));
    // By a later clock these have expired too, whatever the server thinks.
    assert_eq!(block_on(store.sweep(soon(61), 1000)).unwrap(), 50);
    assert_eq!(server.ask(&["DBSIZE"]), "0");
}

/// One script looks at 256 cells at most.
#[test]
fn a_scan_and_a_sweep_go_on_beyond_one_script() {
    const GONE: u128 = 300;
    let server = RedisServer::start();
    let store = patient(&server);
    // All in one group, due in the same hour and half of them by now.
    let hour = soon(600).micros() / 3_600_000_000 * 3_600_000_000;
    let minutes = |after: i64| Timestamp::from_micros(hour + after * 60_000_000);
    let key = |number: u128| CellKey::new(Space::Lockout, number.to_be_bytes());
    for number in 0..2 * GONE {
        let until = minutes(if number % 2 == 0 { 10 } else { 50 });
        save(&store, key(number), None, until);
    }
    let all: Vec<CellKey> = (0..2 * GONE).map(key).collect();
    let scan = |limit| block_on(store.scan(Space::Lockout, None, limit)).unwrap();
    for limit in [255, 256, 257, 512, 513, 1000] {
        assert_eq!(scan(limit), all[..limit.min(600)], "{limit}");
    }
    let sweep = |limit| block_on(store.sweep(minutes(30), limit)).unwrap();
    assert_eq!((sweep(7), sweep(256), sweep(usize::MAX), sweep(10)), (7, 256, 37, 0));
    let kept: Vec<CellKey> = (0..2 * GONE).filter(|number| number % 2 == 1).map(key).collect();
    assert_eq!(scan(1000), kept);
    // What is no cell of ours is left alone, and does not stand in the way of the others.
    let of = |key: CellKey| {
        let digest = key.digest;
        [b"vouchsafe{020}:".as_slice(), &digest].concat()
    };
    let place = of(kept[0]);
    server.ask_bytes(&[b"DEL".as_slice(), &place]);
    server.ask_bytes(&[b"RPUSH".as_slice(), &place, b"another type"]);
    let place = of(kept[1]);
    server.ask_bytes(&[b"SET".as_slice(), &place, b"short"]);
    let later = block_on(store.sweep(minutes(70), usize::MAX)).unwrap();
    assert_eq!(later, kept.len() - 2);
    assert_eq!(scan(1000), kept[..2]);
}

#[test]
fn a_cell_does_not_expire_before_its_until() {
    let server = RedisServer::start();
    let store = patient(&server);
    // A microsecond into its last millisecond.
    let until = Timestamp::from_micros(soon(10).micros() / 1000 * 1000 + 1);
    save(&store, KEY, None, until);
    let expires: i64 = server.ask(&["PEXPIRETIME", &place()]).parse().unwrap();
    assert_eq!(expires, until.micros() / 1000 + 1);
    // Nor is it looked for before the hour in which it does.
    let digest = str::from_utf8(&KEY.digest).unwrap();
    let due = || server.ask(&["ZSCORE", "vouchsafe{010}due", digest]).parse::<i64>().unwrap();
    let hour = until.micros() / 3_600_000_000 + 1;
    assert_eq!(due(), hour);
    let mut was = Some(version(1));
    for (micros, in_hour) in [(0, hour), (1, hour + 1), (-1, hour), (0, hour), (1, hour + 1)] {
        let until = Timestamp::from_micros(hour * 3_600_000_000 + micros);
        was = Some(save(&store, KEY, was, until));
        assert_eq!(due(), in_hour, "{micros}");
    }
}

#[test]
fn what_no_writer_wrote_is_corrupt_and_never_absent() {
    let server = RedisServer::start();
    let store = patient(&server);
    let corrupt = || {
        let loaded = block_on(store.load(KEY));
        assert!(matches!(loaded, Err(StoreError::Corrupt(KEY))), "{loaded:?}");
        for was in [None, Some(version(1))] {
            for put in [Put::save(vec![1], Timestamp::MAX, version(9)), Put::Erase] {
                let swapped = block_on(store.swap(KEY, was, put));
                assert!(matches!(swapped, Err(StoreError::Corrupt(KEY))), "{swapped:?}");
            }
        }
    };
    let place = place();
    for text in ["", "short", "a string that is long enough to be one of ours, and is none"] {
        server.ask(&["SET", &place, text]);
        corrupt();
        assert_eq!(server.ask(&["GET", &place]), text, "kept for whoever looks into it");
    }
    server.ask(&["DEL", &place]);
    server.ask(&["RPUSH", &place, "another type"]);
    corrupt();
    server.ask(&["DEL", &place]);
    // Longer than any cell: it does not even come here.
    server.ask(&["SETRANGE", &place, &(MAX_CELL + 100).to_string(), "x"]);
    corrupt();
    server.ask(&["DEL", &place]);
    save(&store, KEY, None, Timestamp::MAX);
    server.ask(&["SETRANGE", &place, "0", "\u{2}"]);
    corrupt();
    // One of ours that somebody has made longer than any.
    server.ask(&["DEL", &place]);
    save(&store, KEY, None, Timestamp::MAX);
    server.ask(&["SETRANGE", &place, &(MAX_CELL + 25).to_string(), "x"]);
    corrupt();
}

#[test]
fn the_longest_value_fits() {
    let server = RedisServer::start();
    let store = patient(&server);
    let put = |len| Put::save(vec![7; len], Timestamp::MAX, version(1));
    let refused = block_on(store.swap(KEY, None, put(MAX_CELL + 1))).unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { max: MAX_CELL, .. }));
    assert_eq!(block_on(store.swap(KEY, None, put(MAX_CELL))).unwrap(), Swap::Done);
    let Swap::Conflict(shown) = block_on(store.swap(KEY, None, Put::Erase)).unwrap() else {
        panic!("it is there")
    };
    assert_eq!(shown.cell.unwrap().bytes.len(), MAX_CELL);
    assert_eq!(block_on(store.load(KEY)).unwrap().cell.unwrap().bytes.len(), MAX_CELL);
}

/// What a cell takes beside the same bytes under the same kind of key.
#[test]
fn the_bytes_of_a_cell_are_measured() {
    const CELLS: u128 = 2000;
    let used = |server: &RedisServer| -> u64 {
        let info = server.ask(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().parse().unwrap()
    };
    let (ours, raw) = (RedisServer::start(), RedisServer::start());
    let store = patient(&ours);
    let before = (used(&ours), used(&raw));
    for number in 0..CELLS {
        let key = CellKey::new(Space::Lockout, (number << 112 | number).to_be_bytes());
        let put = Put::save(vec![7; 96], soon(60), version(number + 1));
        assert_eq!(block_on(store.swap(key, None, put)).unwrap(), Swap::Done);
        let name = format!("vouchsafe{{020}}:{number:016}");
        assert_eq!(raw.ask(&["SET", &name, &"x".repeat(96), "EX", "3600"]), "OK");
    }
    let each = |used: u64| used / u64::try_from(CELLS).unwrap();
    let (ours, raw) = (each(used(&ours) - before.0), each(used(&raw) - before.1));
    println!("a cell of 96 bytes takes {ours} bytes, the same bytes under a key {raw}");
    assert!(ours < raw + 400, "{ours} and {raw}");
}

#[test]
fn on_a_cluster_every_script_keeps_to_one_slot() {
    let (bus, _claim) = free_port();
    let server = RedisServer::with(&["cluster-enabled yes", &format!("cluster-port {bus}")]);
    assert_eq!(server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    let up = || server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
    assert!(eventually(up));
    let store = patient(&server);
    let keys: Vec<CellKey> =
        (0..=255).map(|first| CellKey::new(Space::Account, [first; 16])).collect();
    for key in &keys {
        save(&store, *key, None, soon(60));
    }
    assert_eq!(block_on(store.scan(Space::Account, None, 1000)).unwrap(), keys);
    assert_eq!(block_on(store.swap(keys[3], Some(version(1)), Put::Erase)).unwrap(), Swap::Done);
    assert_eq!(block_on(store.sweep(soon(61), 1000)).unwrap(), 255);
    assert_eq!(server.ask(&["DBSIZE"]), "0");
}
