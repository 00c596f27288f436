//! A small log with groups of one and of three records, its frames, and what becomes of it when
//! they are others.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use vouchsafe_core::{Entropy, NoEntropy, Timestamp};
use vouchsafe_crypto::{SigningKey, SystemEntropy};
use vouchsafe_ledger::{Checkpoint, Ledger, LedgerError, LedgerOptions, Verified, verify};

use super::{check, identity, options, record, sealer};

pub const HEADER: usize = 124;
pub const SEGMENTS: usize = 3;
/// Records of a segment: a group of one, and a group of three.
pub const EACH: u64 = 4;
pub const SIZE: u64 = EACH * SEGMENTS as u64;

/// Holds the writer at its first draw, so that what is appended meanwhile becomes one group.
struct Held {
    entropy: SystemEntropy,
    started: SyncSender<()>,
    released: Mutex<Receiver<()>>,
}

impl Entropy for Held {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let _ = self.started.try_send(());
        // Ends at once when the other side is gone, so only the first draw waits.
        let _ = self.released.lock().unwrap().recv();
        self.entropy.fill(out)
    }
}

/// Opens the log and appends: the first record alone, the others in groups as large as there may be.
pub fn append_grouped(dir: &Path, options: LedgerOptions, mut numbers: Range<u64>) {
    let (started, has_started) = sync_channel(1);
    let (release, released) = sync_channel::<()>(0);
    let held = Held { entropy: SystemEntropy::new(), started, released: Mutex::new(released) };
    let key = SigningKey::from_seed(&[1; 32]);
    let ledger = Ledger::open(dir, options, key, sealer(), held, Timestamp::EPOCH).unwrap();
    let append = |number| ledger.append(record("acme", number));
    let first = append(numbers.next().unwrap());
    has_started.recv().unwrap();
    let others: Vec<_> = numbers.map(append).collect();
    drop(release);
    first.wait().unwrap();
    others.into_iter().for_each(|append| assert!(append.wait().is_ok()));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A record of this log, by its number.
    Record(u64),
    /// A checkpoint that this log's key signed.
    Checkpoint {
        after: u64,
        size: u64,
        /// Whether it is this log's, and not its twin's.
        ours: bool,
    },
    /// What never was in this log.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

impl Frame {
    /// With right checksums, whatever is in it.
    pub fn new(kind: Kind, letter: u8, payload: &[u8]) -> Self {
        let length = (payload.len() as u32).to_le_bytes();
        let mut bytes = vec![letter, length[0], length[1], length[2]];
        bytes.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.extend_from_slice(payload);
        Self { kind, bytes }
    }

    pub fn payload(&self) -> &[u8] {
        &self.bytes[12..]
    }

    /// As it is in another log of the same name and keys.
    pub fn of_the_twin(mut self) -> Self {
        self.kind = match self.kind {
            Kind::Checkpoint { after, size, .. } => Kind::Checkpoint { after, size, ours: false },
            _ => Kind::Other,
        };
        self
    }
}

/// Three runs, so three segments.
pub struct Log {
    _folder: tempfile::TempDir,
    pub dir: PathBuf,
    pub segments: Vec<Vec<u8>>,
    pub frames: Vec<Vec<Frame>>,
    pub head: Checkpoint,
}

impl Log {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("log");
        for segment in 0..SEGMENTS as u64 {
            append_grouped(&dir, options(), segment * EACH..(segment + 1) * EACH);
        }
        let head = check(&dir).unwrap().head.unwrap();
        let mut log = Self { _folder: folder, dir, segments: Vec::new(), frames: Vec::new(), head };
        for number in 0..SEGMENTS {
            let bytes = std::fs::read(log.path(number)).unwrap();
            let frames = read_frames(&bytes, number as u64 * EACH);
            assert_eq!(frames.len(), 6, "groups of one and of three");
            log.frames.push(frames);
            log.segments.push(bytes);
        }
        // As the next opening would leave the last one: without its preallocated rest. Where that
        // matters, a test puts zeros back.
        let end = log.places(SEGMENTS - 1).last().unwrap().1;
        log.segments[SEGMENTS - 1].truncate(end);
        log.restore();
        let verified = check(&log.dir).unwrap();
        assert_eq!((verified.head.unwrap().size(), verified.checkpoints), (SIZE, 6));
        log
    }

    pub fn path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("segment-{number:08}"))
    }

    pub fn restore(&self) {
        for (number, bytes) in self.segments.iter().enumerate() {
            put(&self.path(number), bytes);
        }
    }

    /// Where the frames of a segment begin and end.
    pub fn places(&self, number: usize) -> Vec<(usize, usize)> {
        let mut at = HEADER;
        let place = |frame: &Frame| {
            let start = at;
            at += frame.bytes.len();
            (start, at)
        };
        self.frames[number].iter().map(place).collect()
    }

    /// Puts these bytes in a segment's place, verifies, and restores it.
    pub fn with(&self, number: usize, bytes: &[u8]) -> Result<u64, LedgerError> {
        put(&self.path(number), bytes);
        let verified = check(&self.dir);
        put(&self.path(number), &self.segments[number]);
        verified.map(size)
    }

    /// A segment of these frames, as the next opening would leave it.
    pub fn segment(&self, number: usize, frames: &[Frame]) -> Vec<u8> {
        let mut bytes = self.segments[number][..HEADER].to_vec();
        frames.iter().for_each(|frame| bytes.extend_from_slice(&frame.bytes));
        bytes
    }

    /// Against the head that was kept elsewhere.
    pub fn with_head(&self) -> Result<u64, LedgerError> {
        verify(&self.dir, &identity(), &sealer(), Some(&self.head), &mut |_| ()).map(size)
    }
}

pub fn size(verified: Verified) -> u64 {
    verified.head.map_or(0, |head| head.size())
}

/// The frames of a segment whose first record has this number.
pub fn read_frames(bytes: &[u8], first: u64) -> Vec<Frame> {
    let (mut at, mut frames, mut next, mut after) = (HEADER, Vec::new(), first, first);
    while bytes.get(at).is_some_and(|kind| *kind != 0) {
        let length = u32::from_le_bytes([bytes[at + 1], bytes[at + 2], bytes[at + 3], 0]);
        let end = at + 12 + length as usize;
        let kind = if bytes[at] == b'R' {
            next += 1;
            Kind::Record(next - 1)
        } else {
            Kind::Checkpoint { after: std::mem::replace(&mut after, next), size: next, ours: true }
        };
        frames.push(Frame { kind, bytes: bytes[at..end].to_vec() });
        at = end;
    }
    frames
}

/// The first bad index of a segment of these frames, if it has one: a record's own where a record
/// should stand, a group's first where its checkpoint should.
pub fn model(number: usize, frames: &[Frame]) -> Option<u64> {
    let mut next = number as u64 * EACH;
    let (mut group, end) = (next, next + EACH);
    for frame in frames {
        match frame.kind {
            // Each segment has a key of its own.
            Kind::Record(index) if index == next && index < end => next += 1,
            Kind::Checkpoint { after, .. } if after != group => return Some(group),
            Kind::Checkpoint { size, .. } if size > next => return Some(next),
            Kind::Checkpoint { size, ours: true, .. } if size == next => group = next,
            Kind::Checkpoint { .. } => return Some(group),
            _ => return Some(next),
        }
    }
    let is_last = number + 1 == SEGMENTS;
    (group != next || !is_last && next != end).then_some(group)
}

/// The first number of the group of a frame, and of a place behind the last one.
pub fn group_of(number: usize, at: usize) -> u64 {
    let groups = [0, 0, 1, 1, 1, 1];
    number as u64 * EACH + groups.get(at).copied().unwrap_or(EACH)
}

/// The first bad index of one frame: its own if it is a record, its group's if a checkpoint.
pub fn index_of(number: usize, at: usize, frame: &Frame) -> u64 {
    match frame.kind {
        Kind::Record(index) => index,
        _ => group_of(number, at),
    }
}

#[track_caller]
pub fn first_bad(result: Result<u64, LedgerError>) -> u64 {
    match result {
        Err(LedgerError::Corrupt { index, .. }) => index,
        other => panic!("{other:?}"),
    }
}

/// Writes a file in place: ext4 flushes one that is cut to nothing and written again, and the
/// tests would wait for that thousands of times.
pub fn put(path: &Path, bytes: &[u8]) {
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let mut file = open.unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}
