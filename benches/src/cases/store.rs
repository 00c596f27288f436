//! Durable writes to SQLite: ours, which shares a sync, against one row a commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use vouchsafe::core::{CellKey, Space, Timestamp};
use vouchsafe::os::SystemEntropy;
use vouchsafe::store::{Cells, Put, Version};
use vouchsafe::store_sqlite::SqliteStore;

use super::callers::{VALUE, swap_again};
use crate::draw::numbers;
use crate::measure::{Batch, Case, Sides, Unit};
use crate::{Error, Result};

const CALLERS: u64 = 64;
const SWAPS: u32 = 100;
const ROWS: u32 = 1_000;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "store/sqlite_swaps",
        peer: "rusqlite",
        wanted: 10.0,
        unit: Unit::PerSecond,
        pairs: 11,
        prepare: sqlite_swaps,
    },
    Case {
        name: "store/sqlite_bytes",
        peer: "rusqlite",
        wanted: 0.9,
        unit: Unit::Bytes,
        pairs: 9,
        prepare: sqlite_bytes,
    },
];

const CELLS: u64 = 20_000;

/// The deadline is for a disk that others use; here it is as busy as can be.
fn patient(path: PathBuf) -> Result<SqliteStore> {
    Ok(SqliteStore::builder(path).deadline(Duration::from_secs(10)).open()?)
}

/// What a cell of 200 bytes takes in a file, ours written by 64 tasks, theirs row by row in one
/// transaction.
fn sqlite_bytes() -> Result<Sides> {
    let folder = tempfile::tempdir_in(beside_the_program()?)?;
    let (own, raw) = (folder.path().join("ours.db"), folder.path().join("peer.db"));
    let store = Arc::new(patient(folder.path().join("grown.db"))?);
    Builder::new_current_thread().build()?.block_on(async {
        let write = |caller| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for cell in (caller..CELLS).step_by(usize::try_from(CALLERS)?) {
                    let key = CellKey::new(Space::Account, digest(cell));
                    let version = Version::fresh(&SystemEntropy::new())?;
                    let put = Put::save(vec![7; VALUE], Timestamp::MAX, version);
                    store.swap(key, None, put).await?;
                }
                Ok::<_, Error>(())
            })
        };
        for caller in (0..CALLERS).map(write).collect::<Vec<_>>() {
            caller.await??;
        }
        Ok::<_, Error>(())
    })?;
    store.backup(&own)?;
    let mut connection = Connection::open(&raw)?;
    connection.execute_batch(TABLE)?;
    let transaction = connection.transaction()?;
    for cell in 0..CELLS {
        let (version, digest) = (digest(cell + CELLS), digest(cell));
        let row = params![1, digest, version, i64::MAX, vec![7_u8; VALUE]];
        transaction.execute("INSERT INTO cells VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
    }
    transaction.commit()?;
    let size = |path| Ok::<_, Error>(usize::try_from(std::fs::metadata(path)?.len())?);
    let (ours, peer, cells) = (size(&own)?, size(&raw)?, u32::try_from(CELLS)?);
    Ok(Sides::new(move || Ok(Batch::bytes(cells, ours)), move || Ok(Batch::bytes(cells, peer))))
}

const TABLE: &str = "CREATE TABLE cells (space INTEGER, digest BLOB, version BLOB, until INTEGER,
     bytes BLOB, PRIMARY KEY (space, digest)) WITHOUT ROWID";

/// 64 tasks that each swap a cell of 200 bytes over and over, against rows as large written one a
/// commit (`journal_mode=WAL`, `synchronous=FULL`) by one connection.
fn sqlite_swaps() -> Result<Sides> {
    let folder = tempfile::tempdir_in(beside_the_program()?)?;
    let store = Arc::new(patient(folder.path().join("ours.db"))?);
    let runtime = Builder::new_current_thread().build()?;
    let peer = one_a_commit(&folder)?;
    let ours = move || {
        let _kept = &folder;
        swaps(&runtime, &store)
    };
    Ok(Sides::new(ours, peer))
}

fn swaps(runtime: &Runtime, store: &Arc<SqliteStore>) -> Result<Batch> {
    let again = |caller| {
        let key = CellKey::new(Space::Account, digest(caller));
        swap_again(Arc::clone(store), key, Timestamp::MAX, SWAPS)
    };
    let start = Instant::now();
    runtime.block_on(async {
        let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(again(caller))).collect();
        for caller in callers {
            caller.await??;
        }
        Ok::<_, Error>(())
    })?;
    Ok(Batch { operations: u32::try_from(CALLERS)? * SWAPS, took: start.elapsed() })
}

fn one_a_commit(folder: &TempDir) -> Result<impl FnMut() -> Result<Batch> + use<>> {
    let connection = Connection::open(folder.path().join("peer.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(TABLE)?;
    let mut versions = numbers(1, u64::MAX);
    Ok(move || {
        Batch::time(ROWS, |number| {
            let version = versions.next().unwrap_or_default().to_be_bytes().repeat(2);
            let digest = digest(u64::from(number) % CALLERS);
            connection
                .prepare_cached(
                    "INSERT INTO cells VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET version = ?3, until = ?4, bytes = ?5",
                )?
                .execute(params![1, digest, version, i64::MAX, vec![7_u8; VALUE]])?;
            Ok(())
        })
    })
}

fn digest(caller: u64) -> [u8; 16] {
    u128::from(numbers(caller, u64::MAX).next().unwrap_or_default()).to_be_bytes()
}

/// On the disk that the program was built on: a folder for temporary files may be memory.
fn beside_the_program() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().ok_or("a program without a folder")?.to_owned())
}
