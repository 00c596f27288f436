//! The one thread that writes: it takes what waits as a group, and makes it durable with one sync.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock};

use vouchsafe_access_log::{Receipt, SinkError};
use vouchsafe_core::Entropy;
use vouchsafe_crypto::SigningKey;

use crate::dir::Dir;
use crate::error::LedgerError;
use crate::frame::{CHECKPOINT, FRAME_HEADER, HEADER, RECORD, SegmentHeader, push_frame};
use crate::note::{Checkpoint, Identity};
use crate::queue::{Queue, Waiting};
use crate::scan::{MAX_GROUP, Place, SALT, Segment};
use crate::seal::Sealer;
use crate::tree::{BUNDLE, Hash, Tree, leaf_hash};

/// What is durable.
pub(crate) struct State {
    pub(crate) tree: Tree,
    pub(crate) bundles: Vec<Place>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) head: Option<Checkpoint>,
}

/// What the writer and the readers share.
pub(crate) struct Shared {
    pub(crate) dir: Dir,
    pub(crate) identity: Identity,
    pub(crate) sealer: Box<dyn Sealer>,
    pub(crate) state: RwLock<State>,
    pub(crate) queue: Queue,
}

impl Shared {
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A preallocated file that is written front to back.
pub(crate) trait Disk: Send {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes segment files.
pub(crate) type NewDisk =
    Box<dyn FnMut(&Dir, u32, &[u8], usize) -> Result<Box<dyn Disk>, LedgerError> + Send>;

pub(crate) fn new_file(
    dir: &Dir,
    number: u32,
    header: &[u8],
    length: usize,
) -> Result<Box<dyn Disk>, LedgerError> {
    Ok(Box::new(dir.create_segment(number, header, length)?))
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: SigningKey,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) segment_bytes: usize,
    pub(crate) new_disk: NewDisk,
    /// The segment this run writes to. A run never continues the segment of an earlier one, so
    /// that no index is sealed twice under one salt.
    pub(crate) current: Option<Current>,
}

pub(crate) struct Current {
    disk: Box<dyn Disk>,
    number: u32,
    segment: Segment,
}

/// However the writer ends, nobody is left waiting for it.
struct AtEnd(Arc<Shared>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        let reason = self.0.queue.ended();
        self.0.queue.fail(&reason.unwrap_or_else(|| SinkError::Failed("the writer ended".into())));
    }
}

impl Writer {
    pub(crate) fn run(mut self) {
        let _at_end = AtEnd(Arc::clone(&self.shared));
        let room = self.segment_bytes / 4;
        while let Some(group) = self.shared.queue.take(MAX_GROUP, room) {
            match self.commit(&group) {
                Ok(receipts) => {
                    for (waiting, receipt) in group.iter().zip(receipts) {
                        waiting.answer(Ok(receipt));
                    }
                }
                // What a failed write or sync left on disk is not known, and a second sync may
                // wrongly succeed (the pages count as clean): nothing is written any more.
                Err(error) => {
                    let error = sink_error(&error);
                    self.shared.queue.fail(&error);
                    group.iter().for_each(|waiting| waiting.answer(Err(error.clone())));
                    return;
                }
            }
        }
    }

    fn commit(&mut self, group: &[Waiting]) -> Result<Vec<Receipt>, LedgerError> {
        let mut frontier = self.shared.read(|state| state.tree.frontier().clone());
        let after = frontier.size();
        let mut current = self.segment_for(group, after, frontier.root())?;
        let (mut out, mut receipts, mut placed) = (Vec::new(), Vec::new(), Vec::new());
        let start = current.segment.used;
        for waiting in group {
            let index = frontier.size();
            let mut entry = self.fresh::<SALT>()?.to_vec();
            entry.extend_from_slice(&waiting.bytes);
            let leaf = leaf_hash(&entry);
            frontier.push(leaf);
            current.segment.sealer.seal(index, &mut entry).map_err(|_| LedgerError::Seal)?;
            let offset = start.saturating_add(out.len());
            placed.push((leaf, Place { segment: current.number, offset }));
            push_frame(&mut out, RECORD, &entry);
            receipts.push(Receipt::new(index, Some(leaf)));
        }
        let (size, root) = (frontier.size(), frontier.root());
        let head = Checkpoint::sign(&self.shared.identity, &self.key, size, root, after);
        push_frame(&mut out, CHECKPOINT, head.as_str().as_bytes());
        let path = self.shared.dir.segment_path(current.number);
        let offset = u64::try_from(start).unwrap_or(u64::MAX);
        current.disk.write_at(&out, offset).map_err(LedgerError::io("write", &path))?;
        current.disk.sync().map_err(LedgerError::io("sync", &path))?;
        current.segment.used = start.saturating_add(out.len());
        self.publish(placed, head, &current);
        self.current = Some(current);
        Ok(receipts)
    }

    /// The segment of this run with room for the group, or a new one.
    fn segment_for(
        &mut self,
        group: &[Waiting],
        first: u64,
        root: Hash,
    ) -> Result<Current, LedgerError> {
        // A frame's header, the entry's salt and up to 64 bytes of sealing for each record.
        let need =
            group.iter().fold(FRAME_HEADER.saturating_add(Checkpoint::MAX_LEN), |sum, waiting| {
                sum.saturating_add(waiting.bytes.len()).saturating_add(FRAME_HEADER + SALT + 64)
            });
        if let Some(current) = self.current.take()
            && current.segment.used.saturating_add(need) <= self.segment_bytes
        {
            return Ok(current);
        }
        let number = self.shared.read(|state| state.segments.len());
        let number =
            u32::try_from(number).map_err(|_| LedgerError::Options("too many segments"))?;
        let salt = self.fresh()?;
        let header = SegmentHeader { number, first, salt, root }.to_bytes();
        let disk = (self.new_disk)(&self.shared.dir, number, &header, self.segment_bytes)?;
        let sealer = self.shared.sealer.segment(self.shared.identity.origin(), &salt).into();
        Ok(Current { disk, number, segment: Segment { sealer, used: HEADER } })
    }

    fn fresh<const N: usize>(&self) -> Result<[u8; N], LedgerError> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes).map_err(|_| LedgerError::NoEntropy)?;
        Ok(bytes)
    }

    fn publish(&self, placed: Vec<(Hash, Place)>, head: Checkpoint, current: &Current) {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        for (leaf, place) in placed {
            if state.tree.size().is_multiple_of(BUNDLE) {
                state.bundles.push(place);
            }
            state.tree.push(leaf);
        }
        state.head = Some(head);
        match state.segments.get_mut(current.number as usize) {
            Some(segment) => segment.used = current.segment.used,
            None => state.segments.push(current.segment.clone()),
        }
    }
}

fn sink_error(error: &LedgerError) -> SinkError {
    match error {
        LedgerError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            SinkError::Full
        }
        other => SinkError::Failed(other.to_string().into()),
    }
}
