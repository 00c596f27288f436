//! The store: a few threads that read, one that writes, and one that minds the time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Loaded, MAX_CELL, Put, StoreError, Swap, Version};

use crate::database::Place;
use crate::line::Line;
use crate::reader::{self, Read};
use crate::watch::{Watch, bound_waiting};
use crate::writer::{Job, Writer};
use crate::{SqliteError, backup};

/// Threads that read side by side: one whose page is on a slow disk does not hold up the others.
const READERS: usize = 2;
/// Most keys one reading statement returns, and most cells one sweeping transaction drops: others
/// do not wait long for either.
const SCAN_BATCH: usize = 1000;
const SWEEP_BATCH: usize = 512;
/// How long a call waits for its answer, unless the builder says otherwise: what a person who signs
/// in does not notice.
const DEADLINE: Duration = Duration::from_millis(50);

/// How to open a [`SqliteStore`].
#[derive(Clone, Debug)]
#[must_use = "a store is there after `open`"]
pub struct SqliteBuilder {
    path: PathBuf,
    max_bytes: Option<u64>,
    deadline: Duration,
}

impl SqliteBuilder {
    /// Lets this process grow the file to `bytes` and no further: beyond, swaps are answered
    /// [`Swap::Full`]. By default the disk is the bound.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// The longest time a call waits for its answer; 50 ms by default. A call that has none by then
    /// is [`StoreError::Unavailable`], also when the disk stands still. A sweep or a scan is made of
    /// several, each with this deadline.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Opens the store; makes the file, for its owner only, if there is none. Waits up to 5 s for
    /// another process that holds it.
    ///
    /// # Errors
    /// [`SqliteError`] for a file that cannot be used, that is open to all, or that is no store of
    /// this version.
    pub fn open(self) -> Result<SqliteStore, SqliteError> {
        let place = Place::create(&self.path)?;
        let writer = place.writer(self.max_bytes)?;
        let readers = (0..READERS).map(|_| place.reader()).collect::<Result<_, _>>()?;
        SqliteStore::start(place, writer, readers, self.deadline)
    }
}

/// Cells in one SQLite file.
///
/// A swap is durable before it is answered: the file is written ahead and synced
/// (`journal_mode=WAL`, `synchronous=FULL`). All swaps that wait go into one transaction. Several
/// processes of one machine may share the file; a network file system will not do.
///
/// No runtime is needed, and no caller's thread ever waits for the disk: threads of the store's own
/// read and write, and wake whoever waits. Readers never wait for the writer.
///
/// Dropping the store finishes what was handed over and closes the file.
pub struct SqliteStore {
    place: Place,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    watcher: Option<JoinHandle<()>>,
}

struct Shared {
    reads: Line<Read>,
    writer: Writer,
    watch: Watch,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, waiting) = (self.place.path(), self.shared.writer.line.len());
        write!(f, "SqliteStore({}, {waiting} waiting)", path.display())
    }
}

impl SqliteStore {
    /// Opens the store in the file at `path`; makes one, for its owner only, if there is none.
    ///
    /// # Errors
    /// As [`SqliteBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Self::builder(path).open()
    }

    /// How to open the store in the file at `path`.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder { path: path.as_ref().to_owned(), max_bytes: None, deadline: DEADLINE }
    }

    pub(crate) fn start(
        place: Place,
        mut writer: Connection,
        mut readers: Vec<Connection>,
        deadline: Duration,
    ) -> Result<Self, SqliteError> {
        for connection in std::iter::once(&mut writer).chain(&mut readers) {
            bound_waiting(connection).map_err(|error| place.error(&error))?;
        }
        let shared = Arc::new(Shared {
            reads: Line::default(),
            writer: Writer::default(),
            watch: Watch::new(deadline),
        });
        // Whatever fails from here on, dropping the store ends the threads that there are.
        let mut store = Self { place, shared, threads: Vec::new(), watcher: None };
        store.watcher = Some(store.thread(|shared| shared.watch.run())?);
        for reader in readers {
            let reading =
                store.thread(move |shared| reader::run(&shared.reads, &shared.watch, &reader))?;
            store.threads.push(reading);
        }
        let writing = store.thread(move |shared| shared.writer.run(&shared.watch, &mut writer))?;
        store.threads.push(writing);
        Ok(store)
    }

    fn thread(
        &self,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<JoinHandle<()>, SqliteError> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("vouchsafe-sqlite".to_owned())
            .spawn(move || run(&shared))
            .map_err(|source| SqliteError::File { path: self.place.path().to_owned(), source })
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
        self.shared.writer.commits.load(Ordering::Relaxed)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // A caller's waker may hold the store, and drop it here: no thread waits for itself.
        let here = std::thread::current().id();
        let join = |thread: JoinHandle<()>| {
            if thread.thread().id() != here {
                // A thread that panicked has answered everyone already, by dropping their replies.
                let _ended = thread.join();
            }
        };
        // The writer goes last and alone: of connections that close at once, none would put what was
        // written ahead into the file.
        let writing = self.threads.pop();
        self.shared.reads.close();
        self.threads.drain(..).for_each(join);
        self.shared.writer.line.close();
        writing.into_iter().for_each(join);
        self.shared.watch.close();
        self.watcher.take().into_iter().for_each(join);
    }
}

impl Cells for SqliteStore {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        let (reply, waiting) = self.shared.watch.call();
        self.shared.reads.push(Read::Load { key, reply });
        waiting.await
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
        let (reply, waiting) = self.shared.watch.call();
        self.shared.writer.line.push(Job::Swap { key, expected, put, reply });
        waiting.await
    }

    async fn scan(
        &self,
        space: Space,
        mut after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        let mut keys = Vec::new();
        while keys.len() < limit {
            let batch = limit.saturating_sub(keys.len()).min(SCAN_BATCH);
            let (reply, waiting) = self.shared.watch.call();
            self.shared.reads.push(Read::Scan { space, after, limit: batch, reply });
            let found: Vec<CellKey> = waiting.await?;
            let all = found.len() < batch;
            after = found.last().map(|key| key.digest).or(after);
            keys.extend(found);
            if all {
                break;
            }
        }
        Ok(keys)
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0_usize;
        while swept < limit {
            let batch = limit.saturating_sub(swept).min(SWEEP_BATCH);
            let (reply, waiting) = self.shared.watch.call();
            self.shared.writer.line.push(Job::Sweep { now, limit: batch, reply });
            let dropped: usize = waiting.await?;
            swept = swept.saturating_add(dropped);
            if dropped < batch {
                break;
            }
        }
        Ok(swept)
    }
}
