//! The log as its owner sees it: open, append, look, close.

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use vouchsafe_access_log::{
    Actor, Operation, Outcome, Receipt, Record, RecordSink, SinkError, Target, Text, name,
};
use vouchsafe_core::{Entropy, PolicyDigest, Source, TenantId, Timestamp, Unavailable};
use vouchsafe_crypto::SigningKey;

use crate::dir::{Dir, MAX_SEGMENT};
use crate::error::LedgerError;
use crate::note::{Checkpoint, Identity, Origin};
use crate::queue::{Append, Queue};
use crate::scan::Scan;
use crate::seal::Sealer;
use crate::writer::{NewDisk, Shared, State, Writer, new_file};

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    origin: Origin,
    operator: TenantId,
    segment_bytes: usize,
    queue: usize,
    known: Option<Checkpoint>,
}

impl LedgerOptions {
    /// For the log named `origin`. What the log records about itself is filed under `operator`.
    #[must_use]
    pub const fn new(origin: Origin, operator: TenantId) -> Self {
        Self { origin, operator, segment_bytes: 8 << 20, queue: 4096, known: None }
    }

    /// The size of a segment file, 64 KiB to 64 MiB; 8 MiB by default.
    #[must_use]
    pub const fn segment_bytes(mut self, bytes: usize) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How many records may wait for the writer, 1 to 65 536; 4096 by default. Behind that,
    /// appends are refused as [`SinkError::Busy`].
    #[must_use]
    pub const fn queue(mut self, records: usize) -> Self {
        self.queue = records;
        self
    }

    /// A head of this log that was kept elsewhere: a log that does not continue it is not opened.
    #[must_use]
    pub fn known_head(mut self, head: Checkpoint) -> Self {
        self.known = Some(head);
        self
    }

    fn check(&self) -> Result<(), LedgerError> {
        let max = usize::try_from(MAX_SEGMENT).unwrap_or(usize::MAX);
        if !(64 << 10..=max).contains(&self.segment_bytes) {
            return Err(LedgerError::Options("a segment has 64 KiB to 64 MiB"));
        }
        if !(1..=65_536).contains(&self.queue) {
            return Err(LedgerError::Options("1 to 65536 records may wait"));
        }
        Ok(())
    }
}

/// What was found on opening.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// How many records there were.
    pub records: u64,
    /// What a crash had left unfinished, if anything.
    pub set_aside: Option<SetAside>,
}

/// A tail behind the last checkpoint: none of it was acknowledged. It is kept in a file beside
/// the segments, and a record says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The file's name in the log's directory.
    pub file: String,
    /// How many bytes.
    pub bytes: usize,
}

/// A tamper-evident log in a directory of its own, open for writing.
///
/// Dropping it serves what waits, then closes it.
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
    opened: Opened,
    writer: Option<JoinHandle<()>>,
    _lock: File,
}

impl Ledger {
    /// Opens the log in `dir`, which is made when it is not there, after verifying all of it.
    ///
    /// `now` dates the record that is written when a crash had left something unfinished.
    ///
    /// The directory must be this process's own, with mode 0700 and no symbolic link; what is in
    /// it under a name that the log does not use is ignored.
    ///
    /// # Errors
    /// [`LedgerError`]; a log that does not verify is left as it is.
    pub fn open(
        dir: impl AsRef<Path>,
        options: LedgerOptions,
        key: SigningKey,
        sealer: impl Sealer + 'static,
        entropy: impl Entropy + 'static,
        now: Timestamp,
    ) -> Result<Self, LedgerError> {
        let boxed = (Box::new(sealer), Box::new(entropy));
        Self::open_on(dir.as_ref(), options, key, boxed.0, boxed.1, now, Box::new(new_file))
    }

    pub(crate) fn open_on(
        dir: &Path,
        options: LedgerOptions,
        key: SigningKey,
        sealer: Box<dyn Sealer>,
        entropy: Box<dyn Entropy>,
        now: Timestamp,
        new_disk: NewDisk,
    ) -> Result<Self, LedgerError> {
        options.check()?;
        let dir = Dir::create(dir)?;
        let lock = dir.lock()?;
        let identity = Identity::new(options.origin, key.public());
        let scan = Scan::run(&dir, &identity, &*sealer, options.known.as_ref(), &mut |_| ())?;
        let mut set_aside = None;
        if let Some(last) = scan.segments.last() {
            let number = u32::try_from(scan.segments.len()).unwrap_or(u32::MAX).saturating_sub(1);
            let bytes = scan.tail.len();
            set_aside =
                dir.cut(number, last.used, &scan.tail)?.map(|file| SetAside { file, bytes });
        }
        let opened = Opened { records: scan.tree.size(), set_aside };
        let Scan { tree, bundles, segments, head, .. } = scan;
        let shared = Arc::new(Shared {
            dir,
            identity,
            sealer,
            state: RwLock::new(State { tree, bundles, segments, head }),
            queue: Queue::new(options.queue),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            key,
            entropy,
            segment_bytes: options.segment_bytes,
            new_disk,
            current: None,
        };
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run())
            .map_err(|source| LedgerError::Io {
                what: "start the writer of",
                path: shared.dir.segment_path(0),
                source,
            })?;
        let ledger = Self { shared, opened, writer: Some(thread), _lock: lock };
        ledger.record_tail(options.operator, now)?;
        Ok(ledger)
    }

    fn record_tail(&self, operator: TenantId, now: Timestamp) -> Result<(), LedgerError> {
        let Some(set_aside) = &self.opened.set_aside else { return Ok(()) };
        let record = Record {
            tenant: operator,
            actor: Actor::Service(name!("ledger")),
            target: Target::Entity { kind: name!("file"), id: Text::clipped(&set_aside.file) },
            operation: Operation::TailSetAside,
            outcome: Outcome::Succeeded,
            application: name!("ledger"),
            source: Source::Unavailable(Unavailable::Local),
            shared_source: false,
            time: now,
            policy: PolicyDigest::NONE,
            clause: None,
            repeats: std::num::NonZeroU32::MIN,
        };
        let kept = self.append(record).wait();
        kept.map(|_| ()).map_err(|error| LedgerError::Stopped(error.to_string()))
    }

    /// What was found on opening.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Who this log is: what a verifier has to know.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// The last durable checkpoint; `None` before the first record. Kept elsewhere, it shows later
    /// whether the log was cut or replaced.
    #[must_use]
    pub fn head(&self) -> Option<Checkpoint> {
        self.shared.read(|state| state.head.clone())
    }

    /// Hands a record to the writer. The receipt comes once it is durable; the record is on its
    /// way whether or not the answer is waited for.
    pub fn append(&self, record: Record) -> Append {
        self.shared.queue.push(record.to_bytes())
    }

    /// Serves what waits, then closes. The same as dropping, said aloud.
    pub fn close(self) {}
}

impl RecordSink for Ledger {
    fn append(&self, record: Record) -> impl Future<Output = Result<Receipt, SinkError>> + Send {
        Self::append(self, record)
    }

    fn holds_records(&self) -> impl Future<Output = Result<Option<bool>, SinkError>> + Send {
        std::future::ready(Ok(Some(self.head().is_some())))
    }

    fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> impl Future<Output = Result<Option<Vec<(u64, Record)>>, SinkError>> + Send {
        let read = self.back(before, most);
        let read = read.map_err(|error| SinkError::Failed(error.to_string().into()));
        std::future::ready(read.map(Some))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.queue.end(SinkError::Closed);
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has answered everybody already.
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.shared.identity)
    }
}
