//! The store: a few connections that read, and one thread that writes.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, params};
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Loaded, MAX_CELL, Put, StoreError, Swap, Version};

use crate::database::Place;
use crate::writer::{Queue, load};
use crate::{SqliteError, backup};

/// Connections that read side by side.
const READERS: usize = 4;
/// Most cells one sweeping transaction drops, so that swaps do not wait long for it.
const SWEEP_BATCH: usize = 512;

/// Cells in one SQLite file.
///
/// A swap is durable before it is answered: the file is written ahead and synced
/// (`journal_mode=WAL`, `synchronous=FULL`). All swaps that wait go into one transaction. Several
/// processes of one machine may share the file; a network file system will not do.
///
/// No runtime is needed: swaps and sweeps are done by a thread of the store's own, which wakes
/// whoever waits. A load reads on the caller's thread; readers never wait for the writer.
///
/// Dropping the store finishes what was handed over and closes the file.
#[derive(Debug)]
pub struct SqliteStore {
    place: Place,
    readers: Vec<Mutex<Connection>>,
    turn: AtomicUsize,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the store in the file at `path`; makes one, for its owner only, if there is none.
    ///
    /// # Errors
    /// [`SqliteError`] for a file that cannot be used, that is open to all, or that is no store of
    /// this version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Self::start(path.as_ref(), None)
    }

    /// As [`open`](Self::open), for a file that this process lets grow to `max_bytes` and no
    /// further: beyond, swaps are answered [`Swap::Full`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_bounded(path: impl AsRef<Path>, max_bytes: u64) -> Result<Self, SqliteError> {
        Self::start(path.as_ref(), Some(max_bytes))
    }

    fn start(path: &Path, max_bytes: Option<u64>) -> Result<Self, SqliteError> {
        let place = Place::create(path)?;
        let mut connection = place.writer(max_bytes)?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            readers.push(Mutex::new(place.reader()?));
        }
        let queue = Arc::new(Queue::default());
        let writing = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("vouchsafe-sqlite".to_owned())
            .spawn(move || writing.run(&mut connection))
            .map_err(|source| SqliteError::File { path: path.to_owned(), source })?;
        Ok(Self { place, readers, turn: AtomicUsize::new(0), queue, writer: Some(writer) })
    }

    /// Copies the store to a new file at `to` while it is in use. The copy holds every swap that
    /// was acknowledged before this was called; it appears under its name only when complete and
    /// synced, for its owner only. Blocks until then.
    ///
    /// # Errors
    /// [`SqliteError`]; there is already a file at `to`, or at `to` with `.partial` added, which a
    /// copy that was cut short leaves behind, or it cannot be written.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<(), SqliteError> {
        backup::copy(&self.place, to.as_ref())
    }

    /// How many transactions were committed since the store was opened: less than the swaps when
    /// they come side by side.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.queue.commits.load(Ordering::Relaxed)
    }

    fn reader(&self) -> Option<MutexGuard<'_, Connection>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        free.or_else(|| {
            let reader = self.readers.get(turn.checked_rem(self.readers.len())?)?;
            Some(reader.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    fn load_now(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let reader = self.reader().ok_or(StoreError::Corrupt(key))?;
        load(&reader, key).map_err(|error| read_error(key, &error))?
    }

    fn scan_now(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> rusqlite::Result<Vec<CellKey>> {
        let Some(reader) = self.reader() else { return Ok(Vec::new()) };
        let after: &[u8] = after.as_ref().map_or(&[], <[u8; 16]>::as_slice);
        let mut query = reader.prepare_cached(
            "SELECT digest FROM cells WHERE space = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let digests = query.query_map(params![space.code(), after, limit], |row| row.get(0))?;
        digests.map(|digest| digest.map(|digest| CellKey::new(space, digest))).collect()
    }
}

fn read_error(key: CellKey, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(key),
        _ => StoreError::unavailable(error.to_string()),
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has answered everyone already, by dropping their replies.
            let _ended = writer.join();
        }
    }
}

impl Cells for SqliteStore {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.load_now(key)
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        if let Put::Save { bytes, .. } = &put
            && bytes.len() > MAX_CELL
        {
            return Err(StoreError::TooLarge { len: bytes.len(), max: MAX_CELL });
        }
        self.queue.swap(key, expected, put).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.scan_now(space, after, limit)
            .map_err(|error| StoreError::unavailable(error.to_string()))
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0_usize;
        while swept < limit {
            let batch = limit.saturating_sub(swept).min(SWEEP_BATCH);
            let dropped = self.queue.sweep(now, batch).await?;
            swept = swept.saturating_add(dropped);
            if dropped < batch {
                break;
            }
        }
        Ok(swept)
    }
}
