//! Where records go.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Record;

/// Takes records and says when each is kept.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep records",
    note = "take a `Ledger`, a test's `VecSink`, or implement `RecordSink`"
)]
pub trait RecordSink: Send + Sync {
    /// Appends one record. The receipt means that the record is kept as durably as this sink
    /// keeps anything; a caller that must not act unrecorded waits for it first.
    fn append(&self, record: Record) -> impl Future<Output = Result<Receipt, SinkError>> + Send;

    /// Whether there is any record here already, which tells a first start from one whose store
    /// was lost. `None`, by default: this sink cannot say.
    ///
    /// # Errors
    /// [`SinkError`] when the sink does not answer.
    fn holds_records(&self) -> impl Future<Output = Result<Option<bool>, SinkError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Reads back what is kept, newest first: at most `most` records with numbers below `before`, or
    /// the newest ones, each with its number. None at all means that the log's beginning was reached.
    /// `None`, by default: this sink cannot be read back.
    ///
    /// # Errors
    /// [`SinkError`] when the sink does not answer, or what it kept does not verify.
    fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> impl Future<Output = Result<Option<Vec<(u64, Record)>>, SinkError>> + Send {
        let _ = (before, most);
        std::future::ready(Ok(None))
    }
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

    fn holds_records(&self) -> impl Future<Output = Result<Option<bool>, SinkError>> + Send {
        (**self).holds_records()
    }

    fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> impl Future<Output = Result<Option<Vec<(u64, Record)>>, SinkError>> + Send {
        (**self).read_back(before, most)
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

    async fn holds_records(&self) -> Result<Option<bool>, SinkError> {
        Ok(Some(!self.records.lock().unwrap_or_else(PoisonError::into_inner).is_empty()))
    }
}

type ReadBack = Option<Vec<(u64, Record)>>;
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SinkError>> + Send + 'a>>;

trait DynSink: Send + Sync {
    fn append_dyn(&self, record: Record) -> Answer<'_, Receipt>;
    fn holds_records_dyn(&self) -> Answer<'_, Option<bool>>;
    fn read_back_dyn(&self, before: Option<u64>, most: usize) -> Answer<'_, ReadBack>;
}

impl<S: RecordSink> DynSink for S {
    fn append_dyn(&self, record: Record) -> Answer<'_, Receipt> {
        Box::pin(self.append(record))
    }

    fn holds_records_dyn(&self) -> Answer<'_, Option<bool>> {
        Box::pin(self.holds_records())
    }

    fn read_back_dyn(&self, before: Option<u64>, most: usize) -> Answer<'_, ReadBack> {
        Box::pin(self.read_back(before, most))
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

    fn holds_records(&self) -> impl Future<Output = Result<Option<bool>, SinkError>> + Send {
        self.0.holds_records_dyn()
    }

    fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> impl Future<Output = Result<ReadBack, SinkError>> + Send {
        self.0.read_back_dyn(before, most)
    }
}

impl std::fmt::Debug for AnySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnySink(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use vouchsafe_core::{PolicyDigest, Source, TenantId, Timestamp, Unavailable};
    use vouchsafe_testkit::block_on;

    use super::*;
    use crate::{Actor, Operation, Outcome, Target, name};

    struct Mute;

    impl RecordSink for Mute {
        async fn append(&self, _: Record) -> Result<Receipt, SinkError> {
            Ok(Receipt::new(0, None))
        }
    }

    fn record() -> Record {
        Record {
            tenant: TenantId::new("acme").unwrap(),
            actor: Actor::Service(name!("portal")),
            target: Target::entity(name!("campaign"), "7").unwrap(),
            operation: Operation::Read,
            outcome: Outcome::Succeeded,
            application: name!("portal"),
            source: Source::Unavailable(Unavailable::Local),
            shared_source: false,
            time: Timestamp::EPOCH,
            policy: PolicyDigest::NONE,
            clause: None,
            repeats: NonZeroU32::MIN,
        }
    }

    /// The erased sink and the shared one pass the question on.
    #[test]
    fn a_sink_says_whether_it_holds_records_or_that_it_cannot_say() {
        let asked = |sink: &AnySink| block_on(sink.holds_records()).unwrap();
        assert_eq!(asked(&AnySink::new(Mute)), None);
        let records = Arc::new(VecSink::new(8));
        let sink = AnySink::new(Arc::clone(&records));
        assert_eq!(asked(&sink), Some(false));
        block_on(sink.append(record())).unwrap();
        assert_eq!(asked(&sink), Some(true));
        let _ = records.take();
        assert_eq!(asked(&sink), Some(false));
    }
}
