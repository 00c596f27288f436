//! Redis: ours against `redis-benchmark`, which sends the same to the same private server.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use vouchsafe::core::{CellKey, Space, Timestamp};
use vouchsafe::os::SystemEntropy;
use vouchsafe::store::{Cells, Put, Swap, Version};
use vouchsafe::store_redis::RedisStore;
use vouchsafe_testkit::RedisServer;
use vouchsafe_testkit::server::find_program;

use super::callers::{VALUE, key, load_again, swap_again};
use crate::measure::{Batch, Case, Sides, Unit};
use crate::{Error, Result};

/// Our tasks, and the peer's connections.
const CALLERS: u8 = 64;
const EACH: u32 = 400;
/// Far away, and without a zero byte, which no argument of a program can have.
const UNTIL: Timestamp = Timestamp::from_micros(0x0102_0304_0506_0708);

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "store/redis_load",
        peer: "redis-benchmark",
        wanted: 0.7,
        unit: Unit::PerSecond,
        pairs: 11,
        prepare: loads,
    },
    Case {
        name: "store/redis_swap",
        peer: "redis-benchmark",
        wanted: 0.7,
        unit: Unit::PerSecond,
        pairs: 11,
        prepare: swaps,
    },
    Case {
        name: "store/redis_bytes",
        peer: "redis-benchmark",
        wanted: 0.5,
        unit: Unit::Bytes,
        pairs: 9,
        prepare: bytes,
    },
];

/// Cells for bytes a key.
const CELLS: u32 = 20_000;

/// What a cell of 200 bytes takes of the server's memory, against a plain key of 16 bytes that holds
/// as much and expires: the orders for walks and for sweeping are what ours has more.
fn bytes() -> Result<Sides> {
    let used = |server: &RedisServer| {
        let said = server.ask(&["INFO", "memory"]);
        let used = said.lines().find_map(|line| line.trim().strip_prefix("used_memory:"));
        Ok::<usize, Error>(used.ok_or("no figure")?.parse()?)
    };
    let (own, plain) = (RedisServer::start(), RedisServer::start());
    let store = RedisStore::builder(own.url()).deadline(Duration::from_secs(10)).open()?;
    let runtime = Builder::new_current_thread().build()?;
    let save = |number: u32| {
        let key = CellKey::new(Space::Account, u128::from(number).to_be_bytes().map(|b| b ^ 0xa5));
        let version = Version::new(u128::from(number).to_be_bytes());
        store.swap(key, None, Put::save(vec![7; VALUE], UNTIL, version))
    };
    // Connections and scripts are no cell's.
    runtime.block_on(save(CELLS))?;
    let before = used(&own)?;
    for number in 0..CELLS {
        match runtime.block_on(save(number))? {
            Swap::Done => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    let ours = used(&own)? - before;
    let script = format!(
        "for n = 1, {CELLS} do redis.call('SET', string.format('%016d', n), string.rep('x', {}), 'PX', \
         86400000) end",
        VALUE + 25
    );
    let before = used(&plain)?;
    plain.ask(&["EVAL", &script, "0"]);
    let peer = used(&plain)? - before;
    Ok(Sides::new(move || Ok(Batch::bytes(CELLS, ours)), move || Ok(Batch::bytes(CELLS, peer))))
}

/// 64 tasks that each load a cell of 200 bytes and the time, against 64 connections that `GET` a
/// value as large.
fn loads() -> Result<Sides> {
    let server = Arc::new(RedisServer::start());
    let sent = format!("SET peer {}", "x".repeat(VALUE + 25));
    server.ask(&sent.split(' ').collect::<Vec<_>>());
    let peer = benchmark(&server, vec!["GET".into(), "peer".into()]);
    Ok(Sides::new(callers(&server, |store, key| load_again(store, key, EACH))?, peer))
}

/// 64 tasks that each swap a cell of 200 bytes over and over, against 64 connections that run the
/// same script, on a cell that it swaps for itself.
fn swaps() -> Result<Sides> {
    let server = Arc::new(RedisServer::start());
    let script = RedisStore::scripts().into_iter().find(|(name, _)| *name == "save");
    let hash = server.ask(&["SCRIPT", "LOAD", &script.ok_or("no script to save")?.1]);
    let head = "\u{1}versionversion16";
    let until = str::from_utf8(&UNTIL.micros().to_be_bytes())?.to_owned();
    let value = [head, &until, &"x".repeat(VALUE)].concat();
    let millis = (UNTIL.micros() / 1000 + 1).to_string();
    let digest = "a-digest-of-peer";
    let keys = ["peer{020}:a-digest-of-peer", "peer{020}order", "peer{020}due"];
    let run = |expected: &str| {
        let words = [&["EVALSHA", &hash, "3"], &keys[..], &[expected, digest, &value, &millis]];
        words.concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let first = run("");
    let done = server.ask(&first.iter().map(String::as_str).collect::<Vec<_>>());
    let again = run(head);
    let same = server.ask(&again.iter().map(String::as_str).collect::<Vec<_>>());
    if (done.as_str(), same.as_str()) != ("1", "1") {
        return Err(format!("the peer's swap: {done}, {same}").into());
    }
    Ok(Sides::new(
        callers(&server, |store, key| swap_again(store, key, UNTIL, EACH))?,
        benchmark(&server, again),
    ))
}

fn callers<F>(
    server: &Arc<RedisServer>,
    again: impl Fn(Arc<RedisStore>, CellKey) -> F + 'static,
) -> Result<impl FnMut() -> Result<Batch> + 'static>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let kept = Arc::clone(server);
    // The deadline is for a server that others use; here everything is as busy as can be.
    let store = RedisStore::builder(server.url()).deadline(Duration::from_secs(10)).open()?;
    let store = Arc::new(store);
    let runtime = Builder::new_current_thread().build()?;
    runtime.block_on(async {
        for caller in 0..CALLERS {
            let put = Put::save(vec![7; VALUE], UNTIL, Version::fresh(&SystemEntropy::new())?);
            store.swap(key(caller), None, put).await?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(move || {
        let _server = &kept;
        let start = Instant::now();
        runtime.block_on(async {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| tokio::spawn(again(Arc::clone(&store), key(caller))))
                .collect();
            for caller in callers {
                caller.await??;
            }
            Ok::<_, Error>(())
        })?;
        Ok(Batch { operations: u32::from(CALLERS) * EACH, took: start.elapsed() })
    })
}

/// What `redis-benchmark` says it reaches with these words.
fn benchmark(
    server: &Arc<RedisServer>,
    words: Vec<String>,
) -> impl FnMut() -> Result<Batch> + 'static {
    let server = Arc::clone(server);
    let program = find_program("redis-benchmark", "redis-tools", &[]);
    let operations = u32::from(CALLERS) * EACH;
    move || {
        let output = Command::new(&program)
            .args(["-p", &server.port().to_string(), "-c", &CALLERS.to_string()])
            .args(["-n", &operations.to_string(), "--csv"])
            .args(&words)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        // "test","rps",...: the words may have commas, but no such number after them.
        let row = said.lines().last().ok_or("redis-benchmark said nothing")?;
        let fields: Vec<&str> = row.rsplit("\",\"").collect();
        let rate: f64 = fields.get(6).ok_or_else(|| format!("unclear: {said}"))?.parse()?;
        let took = Duration::from_secs_f64(f64::from(operations) / rate);
        Ok(Batch { operations, took })
    }
}
