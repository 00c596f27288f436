//! Where records go.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Record;

/// Takes records and says when each is kept.
pub trait RecordSink: Send + Sync {
    /// Appends one record. The receipt means that the record is kept as durably as this sink
    /// keeps anything; a caller that must not act unrecorded waits for it first.
    fn append(&self, record: Record) -> impl Future<Output = Result<Receipt, SinkError>> + Send;
}

/// Which record it is, and what commits to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    index: u64,
    leaf: Option<[u8; 32]>,
}

impl Receipt {
    /// The receipt for the record with this number, and its leaf hash where the log is a tree.
    #[must_use]
    pub const fn new(index: u64, leaf: Option<[u8; 32]>) -> Self {
        Self { index, leaf }
    }

    /// The record's number in the log, from 0, without gaps.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The RFC 6962 leaf hash of the entry, where the log has a tree.
    #[must_use]
    pub const fn leaf(&self) -> Option<&[u8; 32]> {
        self.leaf.as_ref()
    }
}

/// Why a record was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Too many records are waiting already; this one was not taken.
    #[error("too many records are waiting for the log")]
    Busy,
    /// There is no room.
    #[error("the log is full")]
    Full,
    /// It could not be written. Whether it was kept is not known; nothing is acknowledged any more.
    #[error("the log cannot be written: {0}")]
    Failed(Arc<str>),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl<S: RecordSink> RecordSink for Arc<S> {
    fn append(&self, record: Record) -> impl Future<Output = Result<Receipt, SinkError>> + Send {
        (**self).append(record)
    }
}

/// A bounded list in memory: for tests, and for hosts that pass records on themselves.
#[derive(Clone, Debug)]
pub struct VecSink {
    records: Arc<Mutex<Vec<Record>>>,
    most: usize,
}

impl VecSink {
    /// A sink for at most `most` records; then it is [`SinkError::Full`].
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { records: Arc::default(), most }
    }

    /// The records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the records out; numbering starts again.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RecordSink for VecSink {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= self.most {
            return Err(SinkError::Full);
        }
        let index = u64::try_from(records.len()).map_err(|_| SinkError::Full)?;
        records.push(record);
        Ok(Receipt::new(index, None))
    }
}

type Appending<'a> = Pin<Box<dyn Future<Output = Result<Receipt, SinkError>> + Send + 'a>>;

trait DynSink: Send + Sync {
    fn append_dyn(&self, record: Record) -> Appending<'_>;
}

impl<S: RecordSink> DynSink for S {
    fn append_dyn(&self, record: Record) -> Appending<'_> {
        Box::pin(self.append(record))
    }
}

/// Any sink, without its type. Cloning shares it.
#[derive(Clone)]
pub struct AnySink(Arc<dyn DynSink>);

impl AnySink {
    /// Takes a sink.
    #[must_use]
    pub fn new(sink: impl RecordSink + 'static) -> Self {
        Self(Arc::new(sink))
    }
}

impl RecordSink for AnySink {
    fn append(&self, record: Record) -> impl Future<Output = Result<Receipt, SinkError>> + Send {
        self.0.append_dyn(record)
    }
}

impl std::fmt::Debug for AnySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnySink(..)")
    }
}
