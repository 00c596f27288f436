//! PostgreSQL: ours against `pgbench`, which runs the same statements on the same private server.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use vouchsafe::core::{CellKey, Timestamp};
use vouchsafe::os::SystemEntropy;
use vouchsafe::store::{Cells, Put, Version};
use vouchsafe::store_postgres::PostgresStore;
use vouchsafe_testkit::PostgresServer;

use super::callers::{VALUE, key, load_again, swap_again};
use crate::measure::{Batch, Case, Sides, Unit};
use crate::{Error, Result};

/// Our tasks and connections, and the peer's.
const CALLERS: u8 = 16;
const LOADS: u32 = 500;
const SWAPS: u32 = 100;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "store/postgres_load",
        peer: "pgbench",
        wanted: 0.7,
        unit: Unit::PerSecond,
        pairs: 11,
        prepare: loads,
    },
    Case {
        name: "store/postgres_swap",
        peer: "pgbench",
        wanted: 0.7,
        unit: Unit::PerSecond,
        pairs: 11,
        prepare: swaps,
    },
    Case {
        name: "store/postgres_bytes",
        peer: "pgbench",
        wanted: 0.5,
        unit: Unit::Bytes,
        pairs: 9,
        prepare: bytes,
    },
];

/// Cells for bytes a key.
const CELLS: u32 = 20_000;

/// What a cell of 200 bytes takes in our table, its indexes included, against the same columns in a
/// plain table with its primary key; rows are put in as a bulk either way.
fn bytes() -> Result<Sides> {
    let server = PostgresServer::start();
    let runtime = Builder::new_current_thread().build()?;
    runtime.block_on(async {
        PostgresStore::builder(server.url().parse()?).open().await?;
        Ok::<_, Error>(())
    })?;
    let rows = format!(
        "SELECT 1, md5(n::text)::uuid, md5(n::text)::uuid, n, decode(repeat('07', {VALUE}), 'hex')
         FROM generate_series(1, {CELLS}) AS n"
    );
    server.psql(&format!(
        "CREATE TABLE plain (space smallint, digest uuid, version uuid, until bigint, bytes bytea,
             PRIMARY KEY (space, digest));
         INSERT INTO plain {rows};
         INSERT INTO vouchsafe_cells (space, digest, version, until, bytes) {rows}"
    ));
    let size = |table: &str| {
        let size = server.psql(&format!("SELECT pg_total_relation_size('{table}')"));
        let size = size.lines().last().unwrap_or_default().trim().parse::<usize>();
        size.map_err(Error::from)
    };
    let (ours, peer) = (size("vouchsafe_cells")?, size("plain")?);
    Ok(Sides::new(move || Ok(Batch::bytes(CELLS, ours)), move || Ok(Batch::bytes(CELLS, peer))))
}

/// A cell of each of the peer's clients.
const OF_CLIENT: &str = "md5(:client_id::text)::uuid";

/// 16 tasks that each load a cell of 200 bytes and the time, against 16 clients that select the
/// same.
fn loads() -> Result<Sides> {
    let server = Arc::new(PostgresServer::start());
    let ours = callers(&server, LOADS, |store, key| load_again(store, key, LOADS))?;
    let statement = format!(
        "SELECT clock_timestamp(), c.version,
             CASE WHEN octet_length(c.bytes) <= 1048576 THEN c.bytes END
         FROM (VALUES (1)) AS one (row)
         LEFT JOIN public.vouchsafe_cells c ON c.space = 1 AND c.digest = {OF_CLIENT};"
    );
    Ok(Sides::new(ours, pgbench(&server, LOADS, &statement)?))
}

/// 16 tasks that each swap a cell of 200 bytes over and over, against 16 clients that call the same
/// function, each on a cell that it swaps for itself.
fn swaps() -> Result<Sides> {
    let server = Arc::new(PostgresServer::start());
    let ours = callers(&server, SWAPS, |store, key| swap_again(store, key, Timestamp::MAX, SWAPS))?;
    let statement = format!(
        "SELECT outcome, grown, is_version, is_bytes, is_at FROM public.vouchsafe_swap(
             1::smallint, {OF_CLIENT}, {OF_CLIENT}, {OF_CLIENT}, {}, decode(repeat('07', {VALUE}), 'hex'),
             NULL);",
        i64::MAX
    );
    Ok(Sides::new(ours, pgbench(&server, SWAPS, &statement)?))
}

fn callers<F>(
    server: &Arc<PostgresServer>,
    each: u32,
    again: impl Fn(Arc<PostgresStore>, CellKey) -> F + 'static,
) -> Result<impl FnMut() -> Result<Batch> + 'static>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let kept = Arc::clone(server);
    let runtime = Builder::new_current_thread().build()?;
    let store = runtime.block_on(async {
        // The deadline is for a server that others use; here everything is as busy as can be.
        let builder = PostgresStore::builder(kept.url().parse()?).connections(CALLERS.into());
        let store = builder.deadline(Duration::from_secs(10)).open().await?;
        for caller in 0..CALLERS {
            let version = Version::fresh(&SystemEntropy::new())?;
            let put = Put::save(vec![7; VALUE], Timestamp::MAX, version);
            store.swap(key(caller), None, put).await?;
        }
        Ok::<_, Error>(Arc::new(store))
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
        Ok(Batch { operations: u32::from(CALLERS) * each, took: start.elapsed() })
    })
}

/// What `pgbench` says it reaches with this statement, prepared, on sessions that are set up as ours
/// are.
fn pgbench(
    server: &Arc<PostgresServer>,
    each: u32,
    statement: &str,
) -> Result<impl FnMut() -> Result<Batch> + 'static> {
    server.psql(&format!(
        "INSERT INTO vouchsafe_cells (space, digest, version, until, bytes)
         SELECT 1, md5(n::text)::uuid, md5(n::text)::uuid, 0, decode(repeat('07', {VALUE}), 'hex')
         FROM generate_series(0, {CALLERS} - 1) AS n"
    ));
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script.sql");
    // A statement may stand on several lines; a variable's value is a parameter.
    std::fs::write(&script, statement)?;
    let server = Arc::clone(server);
    let operations = u32::from(CALLERS) * each;
    Ok(move || {
        let _kept = &folder;
        let output = Command::new(PostgresServer::program("pgbench"))
            .env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan -c jit=off")
            .args(["-n", "-M", "prepared", "-h", "127.0.0.1", "-p", &server.port().to_string()])
            .args(["-U", "vouchsafe", "-c", &CALLERS.to_string(), "-t", &each.to_string(), "-f"])
            .arg(&script)
            .arg("vouchsafe")
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rest| rest.split(' ').next());
        let failed = || format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        let rate: f64 = rate.filter(|_| output.status.success()).ok_or_else(failed)?.parse()?;
        Ok(Batch { operations, took: Duration::from_secs_f64(f64::from(operations) / rate) })
    })
}
