//! Reading a whole log: what is there, and is it what was written.

use std::path::Path;
use std::sync::Arc;

use vouchsafe_access_log::Record;

use crate::dir::Dir;
use crate::error::LedgerError;
use crate::frame::{CHECKPOINT, FRAME_HEADER, HEADER, Piece, SegmentHeader, is_torn, piece_at};
use crate::note::{Checkpoint, Identity};
use crate::seal::{Sealer, SegmentSealer};
use crate::tree::{BUNDLE, Hash, Tree, leaf_hash};

/// The most records one group may have.
pub(crate) const MAX_GROUP: usize = 1024;
/// The length of the salt in front of each record.
pub(crate) const SALT: usize = 16;

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Segment files done.
    pub segments: u32,
    /// Segment files there are.
    pub of_segments: u32,
    /// Entries verified.
    pub records: u64,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The last checkpoint; `None` for a log that was never written to.
    pub head: Option<Checkpoint>,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many segment files.
    pub segments: u32,
    /// Bytes behind the last checkpoint: a group that is being written, or that a crash left
    /// unfinished. Nothing in them was acknowledged.
    pub tail: u64,
}

/// Verifies the log in a directory: every frame, every entry, every checkpoint. Reads only, one
/// segment at a time.
///
/// With a `known` head, which an earlier verification or somebody else kept, the log must also
/// continue it: a log that was cut or replaced does not.
///
/// # Errors
/// [`LedgerError::Corrupt`] names the first bad record; [`LedgerError::Behind`] a broken promise
/// to the known head.
pub fn verify(
    dir: &Path,
    identity: &Identity,
    sealer: &dyn Sealer,
    known: Option<&Checkpoint>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, LedgerError> {
    let scan = Scan::run(&Dir::open(dir)?, identity, sealer, known, progress)?;
    Ok(Verified {
        head: scan.head,
        checkpoints: scan.checkpoints,
        segments: u32::try_from(scan.segments.len()).unwrap_or(u32::MAX),
        tail: u64::try_from(scan.tail.len()).unwrap_or(u64::MAX),
    })
}

/// One segment, as far as it is durable.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) sealer: Arc<dyn SegmentSealer>,
    pub(crate) used: usize,
}

/// Where an entry's frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: usize,
}

pub(crate) struct Scan {
    pub(crate) tree: Tree,
    /// Where each bundle starts.
    pub(crate) bundles: Vec<Place>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) head: Option<Checkpoint>,
    /// What stands behind the last checkpoint in the last segment.
    pub(crate) tail: Vec<u8>,
    checkpoints: u64,
    group: Vec<(Hash, Place)>,
}

impl Scan {
    pub(crate) fn run(
        dir: &Dir,
        identity: &Identity,
        sealer: &dyn Sealer,
        known: Option<&Checkpoint>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, LedgerError> {
        let mut scan = Self {
            tree: Tree::default(),
            bundles: Vec::new(),
            segments: Vec::new(),
            head: None,
            tail: Vec::new(),
            checkpoints: 0,
            group: Vec::new(),
        };
        let of_segments = dir.segments()?;
        for number in 0..of_segments {
            let last = number.saturating_add(1) == of_segments;
            let bytes = dir.read(number)?;
            let Some(bytes) = bytes else {
                return Err(scan.corrupt(start(number), "the segment file is missing"));
            };
            scan.segment(number, &bytes, last, identity, sealer, known)?;
            let records = scan.tree.size();
            progress(Progress { segments: number.saturating_add(1), of_segments, records });
        }
        match known {
            Some(known) if known.size() > scan.tree.size() => Err(LedgerError::Behind {
                expected: known.size(),
                what: "records are missing at its end",
            }),
            _ => Ok(scan),
        }
    }

    fn segment(
        &mut self,
        number: u32,
        bytes: &[u8],
        last: bool,
        identity: &Identity,
        sealer: &dyn Sealer,
        known: Option<&Checkpoint>,
    ) -> Result<(), LedgerError> {
        let header = SegmentHeader::from_bytes(bytes)
            .ok_or_else(|| self.corrupt(start(number), "the segment's header is not one"))?;
        let root = self.tree.frontier().root();
        if header.number != number || header.first != self.tree.size() || header.root != root {
            return Err(self.corrupt(start(number), "the segment belongs elsewhere"));
        }
        let sealer: Arc<dyn SegmentSealer> = sealer.segment(identity.origin(), &header.salt).into();
        let mut place = Place { segment: number, offset: HEADER };
        let mut committed = HEADER;
        let piece = loop {
            match piece_at(bytes, place.offset) {
                Piece::Frame { kind: CHECKPOINT, payload, end } => {
                    self.checkpoint(payload, place, identity, known)?;
                    committed = end;
                    place.offset = end;
                }
                Piece::Frame { payload, end, .. } => {
                    self.record(payload, place, &*sealer)?;
                    place.offset = end;
                }
                other => break other,
            }
        };
        // Behind the last whole frame there may be unwritten space, or what a crash left of the
        // last group; anything else is corruption.
        let rest = bytes.get(committed..).unwrap_or_default();
        let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at.saturating_add(1));
        let tail = rest.get(..used).unwrap_or_default();
        if !tail.is_empty() {
            let at = place.offset;
            let behind = bytes.get(at..).unwrap_or_default();
            let torn = match piece {
                Piece::Broken { end } => is_torn(bytes, at, end),
                // Zeros where the next frame would be; at the file's very end nothing was cut off
                // by a crash, which does not shorten files.
                _ => at < bytes.len(),
            };
            if !last || !torn || self.is_continued(behind, identity) {
                let ended = committed.saturating_add(used) <= at;
                return Err(if ended || is_checkpoint(behind, identity) {
                    self.corrupt_group(place, "the checkpoint is missing or damaged")
                } else {
                    self.corrupt(place, "not what was written")
                });
            }
        }
        self.tail = tail.to_vec();
        self.group.clear();
        self.segments.push(Segment { sealer, used: committed });
        Ok(())
    }

    fn record(
        &mut self,
        payload: &[u8],
        place: Place,
        sealer: &dyn SegmentSealer,
    ) -> Result<(), LedgerError> {
        if self.group.len() >= MAX_GROUP {
            return Err(self.corrupt_group(place, "more records than a group has"));
        }
        let mut entry = payload.to_vec();
        sealer
            .open(self.next(), &mut entry)
            .map_err(|_| self.corrupt(place, "the entry is not what was sealed here"))?;
        entry_record(&entry).ok_or_else(|| self.corrupt(place, "the entry is not a record"))?;
        self.group.push((leaf_hash(&entry), place));
        Ok(())
    }

    fn checkpoint(
        &mut self,
        payload: &[u8],
        place: Place,
        identity: &Identity,
        known: Option<&Checkpoint>,
    ) -> Result<(), LedgerError> {
        let in_group = |scan: &Self, what| Err(scan.corrupt_group(place, what));
        let note = std::str::from_utf8(payload).ok();
        let Some(head) = note.and_then(|note| Checkpoint::parse(note, identity).ok()) else {
            return in_group(self, "the checkpoint is not ours");
        };
        if head.after() != self.tree.size() {
            return in_group(self, "the checkpoint closes another group");
        }
        if head.size() > self.next() {
            return Err(self.corrupt(place, "records are missing in front of the checkpoint"));
        }
        if head.size() < self.next() {
            return in_group(self, "the checkpoint is for fewer records");
        }
        if self.group.is_empty() {
            return in_group(self, "a checkpoint without records");
        }
        for (leaf, at) in std::mem::take(&mut self.group) {
            if self.tree.size().is_multiple_of(BUNDLE) {
                self.bundles.push(at);
            }
            self.tree.push(leaf);
            let root = || self.tree.frontier().root();
            if known
                .is_some_and(|known| known.size() == self.tree.size() && *known.root() != root())
            {
                return in_group(self, "the records are not those of the known head");
            }
        }
        if *head.root() != self.tree.frontier().root() {
            return in_group(self, "the records are not those that were signed");
        }
        self.head = Some(head);
        self.checkpoints = self.checkpoints.saturating_add(1);
        Ok(())
    }

    fn next(&self) -> u64 {
        self.tree.size().saturating_add(u64::try_from(self.group.len()).unwrap_or(u64::MAX))
    }

    /// Whether a signed checkpoint of a later size stands anywhere in `rest`: then records were
    /// acknowledged behind this place, and no crash took them away.
    fn is_continued(&self, rest: &[u8], identity: &Identity) -> bool {
        let start = origin_line(identity);
        let mut rest = rest;
        while let Some(at) = find(rest, &start) {
            let note = rest.get(at..).unwrap_or_default();
            // A note is six lines: origin, size, root, extension, an empty one, the signature.
            let end = note.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(5);
            let text = end
                .and_then(|(end, _)| note.get(..=end))
                .filter(|note| note.len() <= Checkpoint::MAX_LEN);
            let parsed = text.and_then(|text| std::str::from_utf8(text).ok());
            let head = parsed.and_then(|text| Checkpoint::parse(text, identity).ok());
            if head.is_some_and(|head| head.size() > self.tree.size()) {
                return true;
            }
            rest = note.get(1..).unwrap_or_default();
        }
        false
    }

    /// What stands here is not the next record.
    fn corrupt(&self, place: Place, what: &'static str) -> LedgerError {
        corrupt(self.next(), place, what)
    }

    /// What stands here is not the checkpoint of the group: none of its records is vouched for.
    fn corrupt_group(&self, place: Place, what: &'static str) -> LedgerError {
        corrupt(self.head.as_ref().map_or(0, Checkpoint::size), place, what)
    }
}

const fn start(segment: u32) -> Place {
    Place { segment, offset: 0 }
}

fn corrupt(index: u64, place: Place, what: &'static str) -> LedgerError {
    let offset = u64::try_from(place.offset).unwrap_or(u64::MAX);
    LedgerError::Corrupt { index, segment: place.segment, offset, what }
}

/// Whether what does not read as a frame was a checkpoint's, by its kind or by its first line.
fn is_checkpoint(bytes: &[u8], identity: &Identity) -> bool {
    let payload =
        bytes.get(FRAME_HEADER..).and_then(|p| p.strip_prefix(origin_line(identity).as_slice()));
    bytes.first() == Some(&CHECKPOINT) || payload.is_some()
}

fn origin_line(identity: &Identity) -> Vec<u8> {
    format!("{}\n", identity.origin()).into_bytes()
}

/// The record of an entry, which is its salt and the record's canonical bytes.
pub(crate) fn entry_record(entry: &[u8]) -> Option<Record> {
    Record::from_bytes(entry.get(SALT..)?).ok()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
