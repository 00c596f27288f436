//! The one thread that writes: it puts all swaps that wait into one transaction.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use vouchsafe_core::{CellKey, Timestamp};
use vouchsafe_store::{Put, StoreError, Swap, Version};

use crate::line::{self, Job as _, Line};
use crate::reader::load;
use crate::reply::Reply;
use crate::watch::Watch;

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

/// The writer: what waits for it, and what it has done.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) line: Line<Job>,
    /// Transactions committed.
    pub(crate) commits: AtomicU64,
}

impl Writer {
    /// Its thread. While a batch is being synced the next one gathers by itself, so nobody lingers.
    pub(crate) fn run(&self, watch: &Watch, connection: &mut Connection) {
        loop {
            let jobs = self.line.take(MAX_BATCH);
            if jobs.is_empty() {
                return;
            }
            watch.be_patient();
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

impl line::Job for Job {
    fn is_over(&self) -> bool {
        match self {
            Self::Swap { reply, .. } => reply.is_over(),
            Self::Sweep { reply, .. } => reply.is_over(),
        }
    }

    fn refuse(self, reason: &str) {
        match self {
            Self::Swap { reply, .. } => reply.send(Err(StoreError::unavailable(reason))),
            Self::Sweep { reply, .. } => reply.send(Err(StoreError::unavailable(reason))),
        }
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
