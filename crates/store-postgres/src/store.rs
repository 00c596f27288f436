//! The store: what each call says to the server, and what its answers mean.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{
    Cells, Durability, Loaded, MAX_CELL, Put, StoreError, Stored, Swap, Version,
};

use crate::error::reason;
use crate::pool::{Failure, Keeper, Kind};
use crate::room::Room;
use crate::wire::{Block, Id, Moment, Value};
use crate::{PostgresBuilder, PostgresError, schema};

/// Most keys one scanning statement returns.
const SCAN_BATCH: usize = 10_000;
/// Most cells one sweeping statement drops, so that swaps do not wait long for it.
const SWEEP_BATCH: usize = 512;
/// Blocks that one sweeping or measuring statement reads: 1 MiB.
const PAGE: u32 = 128;

/// Cells in one table of a PostgreSQL database.
///
/// A swap is durable before it is answered: connections run with `synchronous_commit=on`, whatever
/// the database says, and a server without `fsync` or `full_page_writes` is refused. Each call is
/// one statement and one transaction of its own, on the store's own connections: nothing that the
/// host does or undoes in its transactions reaches it. The server's time comes back with each cell.
///
/// No runtime is needed: a thread of the store's own keeps the connections, and wakes whoever
/// waits. Dropping the store finishes what was handed over, for as long as its deadline.
pub struct PostgresStore {
    keeper: Keeper,
    room: Option<Room>,
    /// Where the last sweep ended, in blocks.
    swept: AtomicU32,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("room", &self.room).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store in the database that `config` names, with the default options.
    ///
    /// # Errors
    /// As [`PostgresBuilder::open`].
    pub async fn open(config: Config) -> Result<Self, PostgresError> {
        Self::builder(config).open().await
    }

    /// How to open the store in the database that `config` names.
    #[must_use]
    pub fn builder(config: Config) -> PostgresBuilder {
        PostgresBuilder::new(config)
    }

    /// The statements that create the table and its function in the schema `name`, for a host that
    /// runs its migrations itself: see [`PostgresBuilder::no_migration`].
    ///
    /// # Errors
    /// [`PostgresError::Option`] for a name that [`PostgresBuilder::schema`] does not take.
    pub fn schema(name: &str) -> Result<String, PostgresError> {
        schema::validate(name)?;
        Ok(schema::statements(name))
    }

    pub(crate) async fn start(builder: PostgresBuilder) -> Result<Self, PostgresError> {
        let keeper = Keeper::start(&builder).await?;
        let room = builder.max_bytes.map(Room::new);
        let store = Self { keeper, room, swept: AtomicU32::new(0) };
        let measured = store.measure().await;
        measured.map_err(|error| PostgresError::Refused { reason: error.to_string() })?;
        Ok(store)
    }

    /// Counts the bytes of all cells anew, where they are limited.
    async fn measure(&self) -> Result<(), StoreError> {
        let Some(room) = &self.room else { return Ok(()) };
        let before = room.used();
        let blocks = self.blocks().await?;
        let mut bytes = 0_i64;
        for page in 0..blocks.div_ceil(PAGE) {
            let at = page.saturating_mul(PAGE);
            let next = at.saturating_add(PAGE);
            let row = self.keeper.call(Kind::Read, |session| async move {
                session.client.query_one(&session.measure, &[&Block(at), &Block(next)]).await
            });
            bytes = bytes.saturating_add(column(&row.await?, 0)?);
        }
        room.measured(bytes, before);
        Ok(())
    }

    /// How many blocks the table has.
    async fn blocks(&self) -> Result<u32, StoreError> {
        let row = self.keeper.call(Kind::Read, |session| async move {
            session.client.query_one(&session.blocks, &[]).await
        });
        let blocks: i64 = column(&row.await?, 0)?;
        Ok(u32::try_from(blocks).unwrap_or(u32::MAX))
    }

    /// Drops expired cells of some blocks; how many, and how many bytes.
    async fn sweep_page(&self, at: u32, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let next = at.saturating_add(PAGE);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let row = self.keeper.call(Kind::Write, |session| async move {
            let values: [&(dyn ToSql + Sync); 4] =
                [&Block(at), &Block(next), &now.micros(), &limit];
            session.client.query_one(&session.sweep, &values).await
        });
        let row = row.await?;
        let (dropped, bytes): (i64, i64) = (column(&row, 0)?, column(&row, 1)?);
        if let Some(room) = &self.room {
            room.grew(bytes.saturating_neg());
        }
        Ok(usize::try_from(dropped).unwrap_or(0))
    }
}

impl Cells for PostgresStore {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let row = self.keeper.call(Kind::Read, |session| async move {
            let (space, digest) = (i16::from(key.space.code()), Id(key.digest));
            session.client.query_one(&session.load, &[&space, &digest]).await
        });
        loaded(key, &row.await?, [0, 1, 2])
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let (version, until, bytes) = match &put {
            Put::Save { bytes, .. } if bytes.len() > MAX_CELL => {
                return Err(StoreError::TooLarge { len: bytes.len(), max: MAX_CELL });
            }
            Put::Save { bytes, until, version } => {
                (Some(Id(*version.as_bytes())), Some(until.micros()), Some(bytes.as_slice()))
            }
            Put::Erase => (None, None, None),
        };
        let (space, digest) = (i16::from(key.space.code()), Id(key.digest));
        let expected = expected.map(|version| Id(*version.as_bytes()));
        let value = bytes.map(Value);
        let kept = self.room.as_ref().map(|room| room.keep(bytes.map(<[u8]>::len)));
        let left = kept.as_ref().map(|kept| kept.left);
        let row = self.keeper.call(Kind::Write, |session| async move {
            let values: [&(dyn ToSql + Sync); 7] =
                [&space, &digest, &expected, &version, &until, &value, &left];
            session.client.query_one(&session.swap, &values).await
        });
        let row = match row.await {
            Ok(row) => row,
            Err(Failure::Full) => return Ok(Swap::Full),
            Err(failure) => return Err(failure.into()),
        };
        match column::<i16>(&row, 0)? {
            0 => {
                if let (Some(kept), Some(grown)) = (kept, column(&row, 1)?) {
                    kept.settle(grown);
                }
                Ok(Swap::Done)
            }
            1 => loaded(key, &row, [4, 2, 3]).map(Swap::Conflict),
            2 => Ok(Swap::Full),
            other => Err(StoreError::unavailable(format!("an outcome of {other}"))),
        }
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        let mut keys: Vec<CellKey> = Vec::new();
        let mut after = after;
        while keys.len() < limit {
            let first = match after.map(u128::from_be_bytes).map(|last| last.checked_add(1)) {
                None => 0,
                Some(Some(next)) => next,
                Some(None) => break,
            };
            let batch = limit.saturating_sub(keys.len()).min(SCAN_BATCH);
            let rows = self.keeper.call(Kind::Read, |session| async move {
                let (space, first) = (i16::from(space.code()), Id(first.to_be_bytes()));
                let batch = i64::try_from(batch).unwrap_or(i64::MAX);
                session.client.query(&session.scan, &[&space, &first, &batch]).await
            });
            let rows = rows.await?;
            for row in &rows {
                let Id(digest) = column(row, 0)?;
                keys.push(CellKey::new(space, digest));
                after = Some(digest);
            }
            if rows.len() < batch {
                break;
            }
        }
        Ok(keys)
    }

    /// Walks the table once around, from where the last sweep ended.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let blocks = self.blocks().await?;
        let mut at = self.swept.load(Ordering::Relaxed);
        let (mut swept, mut walked) = (0_usize, 0_u32);
        while swept < limit {
            if at >= blocks {
                at = 0;
            }
            if walked >= blocks {
                self.measure().await?;
                break;
            }
            let batch = limit.saturating_sub(swept).min(SWEEP_BATCH);
            let dropped = self.sweep_page(at, now, batch).await?;
            swept = swept.saturating_add(dropped);
            if dropped < batch {
                at = at.saturating_add(PAGE);
                walked = walked.saturating_add(PAGE);
                self.swept.store(at, Ordering::Relaxed);
            }
        }
        Ok(swept)
    }

    /// May roll back without `fsync` or `full_page_writes`, and where a standby may take over that
    /// is not waited for.
    fn durability(&self) -> Durability {
        if self.keeper.may_roll_back() { Durability::MayRollBack } else { Durability::Durable }
    }
}

/// The cell, from its time, version and value.
fn loaded(
    key: CellKey,
    row: &Row,
    [time, version, bytes]: [usize; 3],
) -> Result<Loaded, StoreError> {
    let Moment(time) = column(row, time)?;
    let version: Option<Id> = column(row, version)?;
    let bytes: Option<&[u8]> = row.try_get(bytes).map_err(unreadable)?;
    let cell = match (version, bytes) {
        (None, _) => None,
        (Some(Id(version)), Some(bytes)) => {
            Some(Stored::new(bytes.to_vec(), Version::new(version)))
        }
        // Longer than a cell may be: the server does not even send it.
        (Some(_), None) => return Err(StoreError::Corrupt(key)),
    };
    Ok(Loaded::new(cell).at(time))
}

fn column<T>(row: &Row, at: usize) -> Result<T, StoreError>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    row.try_get(at).map_err(unreadable)
}

fn unreadable(error: tokio_postgres::Error) -> StoreError {
    StoreError::unavailable(reason(&error))
}
