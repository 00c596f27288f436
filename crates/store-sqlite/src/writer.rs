//! The one thread that writes: it puts all swaps that wait into one transaction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use vouchsafe_core::{CellKey, Timestamp};
use vouchsafe_store::{Loaded, MAX_CELL, Put, StoreError, Stored, Swap, Version};

use crate::reply::{Reply, Waiting, channel};

/// Most requests that may wait for the writer.
const MAX_WAITING: usize = 4096;
/// Most requests in one transaction, so that none waits long for its neighbours.
const MAX_BATCH: usize = 512;

pub(crate) enum Job {
    Swap { key: CellKey, expected: Option<Version>, put: Put, reply: Reply<Swap> },
    Sweep { now: Timestamp, limit: usize, reply: Reply<usize> },
}

/// What a job came to, to be told once its transaction is durable.
enum Outcome {
    Swap(Result<Swap, StoreError>),
    Sweep(usize),
}

/// Why a transaction was not kept.
enum Failure {
    /// Nothing of it is there.
    Undone(rusqlite::Error),
    /// Committing it failed, perhaps too late.
    Unsure(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Undone(error)
    }
}

/// What waits for the writer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Jobs>,
    changed: Condvar,
    /// Transactions committed.
    pub(crate) commits: AtomicU64,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({} waiting)", self.lock().jobs.len())
    }
}

#[derive(Default)]
struct Jobs {
    jobs: Vec<Job>,
    closed: bool,
}

impl Queue {
    pub(crate) fn swap(&self, key: CellKey, expected: Option<Version>, put: Put) -> Waiting<Swap> {
        let (reply, waiting) = channel();
        self.push(Job::Swap { key, expected, put, reply });
        waiting
    }

    pub(crate) fn sweep(&self, now: Timestamp, limit: usize) -> Waiting<usize> {
        let (reply, waiting) = channel();
        self.push(Job::Sweep { now, limit, reply });
        waiting
    }

    fn push(&self, job: Job) {
        let mut queue = self.lock();
        if queue.closed || queue.jobs.len() >= MAX_WAITING {
            drop(queue);
            job.refuse("too many swaps are waiting");
            return;
        }
        queue.jobs.push(job);
        drop(queue);
        self.changed.notify_one();
    }

    /// The writer does what is waiting, and then ends.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// What waits, at most a batch; empty when the queue is closed and done.
    ///
    /// While a batch is being synced the next one gathers by itself, so nobody lingers.
    fn next(&self) -> Vec<Job> {
        let queue = self.lock();
        let mut queue = self
            .changed
            .wait_while(queue, |queue| queue.jobs.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let take = queue.jobs.len().min(MAX_BATCH);
        queue.jobs.drain(..take).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread.
    pub(crate) fn run(&self, connection: &mut Connection) {
        loop {
            let jobs = self.next();
            if jobs.is_empty() {
                return;
            }
            self.write(connection, jobs);
        }
    }

    fn write(&self, connection: &mut Connection, jobs: Vec<Job>) {
        match self.commit(connection, &jobs) {
            Ok(outcomes) => {
                jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| job.tell(outcome));
            }
            Err(Failure::Undone(error)) if is_full(&error) => {
                // One that takes no room, or frees some, is not to suffer for its neighbours.
                if jobs.len() > 1 {
                    jobs.into_iter().for_each(|job| self.write(connection, vec![job]));
                } else {
                    jobs.into_iter().for_each(|job| job.refuse_full(&error.to_string()));
                }
            }
            Err(Failure::Undone(error) | Failure::Unsure(error)) => {
                jobs.into_iter().for_each(|job| job.refuse(&error.to_string()));
            }
        }
    }

    fn commit(&self, connection: &mut Connection, jobs: &[Job]) -> Result<Vec<Outcome>, Failure> {
        // Immediate: the compare and its swap see the same file, whoever else writes it.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(job.apply(&transaction)?);
        }
        transaction.commit().map_err(Failure::Unsure)?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(outcomes)
    }
}

impl Job {
    fn apply(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Outcome> {
        match self {
            Self::Swap { key, expected, put, .. } => {
                swap(transaction, *key, *expected, put).map(Outcome::Swap)
            }
            Self::Sweep { now, limit, .. } => sweep(transaction, *now, *limit).map(Outcome::Sweep),
        }
    }

    fn tell(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Swap { reply, .. }, Outcome::Swap(answer)) => reply.send(answer),
            (Self::Sweep { reply, .. }, Outcome::Sweep(swept)) => reply.send(Ok(swept)),
            // Outcomes come in the order of their jobs; a reply that is dropped answers for itself.
            (Self::Swap { .. }, Outcome::Sweep(_)) | (Self::Sweep { .. }, Outcome::Swap(_)) => {}
        }
    }

    fn refuse(self, reason: &str) {
        match self {
            Self::Swap { reply, .. } => reply.send(Err(StoreError::unavailable(reason))),
            Self::Sweep { reply, .. } => reply.send(Err(StoreError::unavailable(reason))),
        }
    }

    fn refuse_full(self, reason: &str) {
        match self {
            Self::Swap { reply, .. } => reply.send(Ok(Swap::Full)),
            sweep @ Self::Sweep { .. } => sweep.refuse(reason),
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn swap(
    transaction: &Transaction<'_>,
    key: CellKey,
    expected: Option<Version>,
    put: &Put,
) -> rusqlite::Result<Result<Swap, StoreError>> {
    let loaded = match load(transaction, key)? {
        Ok(loaded) => loaded,
        Err(corrupt) => return Ok(Err(corrupt)),
    };
    if loaded.version() != expected {
        return Ok(Ok(Swap::Conflict(loaded)));
    }
    match put {
        Put::Save { bytes, until, version } => transaction
            .prepare_cached(
                "INSERT INTO cells (space, digest, version, until, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET version = ?3, until = ?4, bytes = ?5",
            )?
            .execute(params![
                key.space.code(),
                key.digest,
                version.as_bytes(),
                until.micros(),
                bytes
            ])?,
        Put::Erase => transaction
            .prepare_cached("DELETE FROM cells WHERE space = ?1 AND digest = ?2")?
            .execute(params![key.space.code(), key.digest])?,
    };
    Ok(Ok(Swap::Done))
}

fn sweep(transaction: &Transaction<'_>, now: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "DELETE FROM cells WHERE (space, digest) IN
                 (SELECT space, digest FROM cells WHERE until < ?1 LIMIT ?2)",
        )?
        .execute(params![now.micros(), i64::try_from(limit).unwrap_or(i64::MAX)])
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
