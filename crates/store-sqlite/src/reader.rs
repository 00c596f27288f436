//! The threads that read, each over a connection of its own.

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use vouchsafe_core::{CellKey, Space};
use vouchsafe_store::{Loaded, MAX_CELL, StoreError, Stored, Version};

use crate::line::{Job, Line};
use crate::reply::Reply;
use crate::watch::Watch;

pub(crate) enum Read {
    Load { key: CellKey, reply: Reply<Loaded> },
    Scan { space: Space, after: Option<[u8; 16]>, limit: usize, reply: Reply<Vec<CellKey>> },
}

impl Job for Read {
    fn is_over(&self) -> bool {
        match self {
            Self::Load { reply, .. } => reply.is_over(),
            Self::Scan { reply, .. } => reply.is_over(),
        }
    }

    fn refuse(self, reason: &str) {
        match self {
            Self::Load { reply, .. } => reply.send(Err(StoreError::unavailable(reason))),
            Self::Scan { reply, .. } => reply.send(Err(StoreError::unavailable(reason))),
        }
    }
}

/// A reader's thread.
pub(crate) fn run(line: &Line<Read>, watch: &Watch, connection: &Connection) {
    loop {
        let reads = line.take(1);
        if reads.is_empty() {
            return;
        }
        watch.be_patient();
        for read in reads {
            match read {
                Read::Load { key, reply } => {
                    let loaded = load(connection, key);
                    reply.send(loaded.unwrap_or_else(|error| Err(load_error(key, &error))));
                }
                Read::Scan { space, after, limit, reply } => {
                    let keys = scan(connection, space, after, limit);
                    reply.send(keys.map_err(|error| StoreError::unavailable(error.to_string())));
                }
            }
        }
    }
}

fn load_error(key: CellKey, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(key),
        _ => StoreError::unavailable(error.to_string()),
    }
}

fn scan(
    connection: &Connection,
    space: Space,
    after: Option<[u8; 16]>,
    limit: usize,
) -> rusqlite::Result<Vec<CellKey>> {
    let after: &[u8] = after.as_ref().map_or(&[], <[u8; 16]>::as_slice);
    let mut query = connection.prepare_cached(
        "SELECT digest FROM cells WHERE space = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let digests = query.query_map(params![space.code(), after, limit], |row| row.get(0))?;
    digests.map(|digest| digest.map(|digest| CellKey::new(space, digest))).collect()
}

/// One cell. The inner error says that it is not what a writer wrote.
pub(crate) fn load(
    connection: &Connection,
    key: CellKey,
) -> rusqlite::Result<Result<Loaded, StoreError>> {
    let row = connection
        .prepare_cached("SELECT version, bytes FROM cells WHERE space = ?1 AND digest = ?2")?
        .query_row(params![key.space.code(), key.digest], |row| {
            let version: Option<[u8; 16]> =
                row.get_ref(0)?.as_blob().ok().and_then(|blob| blob.try_into().ok());
            let bytes = row
                .get_ref(1)?
                .as_blob()
                .ok()
                .filter(|blob| blob.len() <= MAX_CELL)
                .map(<[u8]>::to_vec);
            Ok(version.zip(bytes))
        })
        .optional()?;
    Ok(match row {
        None => Ok(Loaded::new(None)),
        Some(None) => Err(StoreError::Corrupt(key)),
        Some(Some((version, bytes))) => {
            Ok(Loaded::new(Some(Stored::new(bytes, Version::new(version)))))
        }
    })
}
