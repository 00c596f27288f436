//! The bytes of a segment file: a header, then frames.
//!
//! ```text
//! segment  magic "VSLEDGER" | version 2 | 7 zeros | number u64 | first index u64 | salt 32 | root 32 | 24 zeros | crc u32
//! frame    kind u8 | length u24 | payload crc u32 | crc of these eight bytes u32 | payload
//! record   payload = sealed(entry),  entry = salt 16 | canonical bytes of the record
//! group    records, then one checkpoint: payload = the signed note
//! ```
//! Numbers are little-endian; checksums are CRC-32C. What is not written yet is zeros, and no kind
//! is zero.

pub(crate) const HEADER: usize = 124;
pub(crate) const FRAME_HEADER: usize = 12;
/// Longest payload of a frame: an entry of the greatest size, sealed.
pub(crate) const MAX_PAYLOAD: usize = 65_535 + 64;
const MAGIC: &[u8; 8] = b"VSLEDGER";
/// 2: a checkpoint names the size at the one before it.
const VERSION: u8 = 2;

/// Two bits and more in each, so that a flipped one is not taken for unwritten space.
pub(crate) const RECORD: u8 = b'R';
pub(crate) const CHECKPOINT: u8 = b'C';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u32,
    pub(crate) first: u64,
    pub(crate) salt: [u8; 32],
    pub(crate) root: [u8; 32],
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&u64::from(self.number).to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.root);
        out.extend_from_slice(&[0; 24]);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Every byte string but the one [`to_bytes`](Self::to_bytes) writes is refused.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let header = Self {
            number: u32::try_from(u64::from_le_bytes(array(bytes, 16)?)).ok()?,
            first: u64::from_le_bytes(array(bytes, 24)?),
            salt: array(bytes, 32)?,
            root: array(bytes, 64)?,
        };
        (header.to_bytes() == bytes).then_some(header)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(crate) fn push_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let start = out.len();
    out.extend_from_slice(&[kind, length[0], length[1], length[2]]);
    out.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let header = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&header.to_le_bytes());
    out.extend_from_slice(payload);
}

/// What stands at an offset of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Frame {
        kind: u8,
        payload: &'a [u8],
        end: usize,
    },
    /// The file ends here, or holds nothing but what was preallocated.
    End,
    /// A frame was begun here and is not whole, or something else is; up to `end`.
    Broken {
        end: usize,
    },
}

pub(crate) fn piece_at(segment: &[u8], at: usize) -> Piece<'_> {
    let rest = segment.get(at..).unwrap_or_default();
    let header_end = at.saturating_add(FRAME_HEADER);
    let Some(header) = rest.first_chunk::<FRAME_HEADER>() else {
        // No frame fits: what is left was never written.
        let unwritten = rest.iter().all(|byte| *byte == 0);
        return if unwritten { Piece::End } else { Piece::Broken { end: segment.len() } };
    };
    if header.iter().all(|byte| *byte == 0) {
        return Piece::End;
    }
    let [kind, l0, l1, l2, p0, p1, p2, p3, checks @ ..] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
    let known = kind == RECORD || kind == CHECKPOINT;
    if !known
        || crc32c::crc32c(&[kind, l0, l1, l2, p0, p1, p2, p3]) != u32::from_le_bytes(checks)
        || length > MAX_PAYLOAD
    {
        return Piece::Broken { end: header_end };
    }
    let end = header_end.saturating_add(length);
    match segment.get(header_end..end) {
        Some(payload) if crc32c::crc32c(payload) == u32::from_le_bytes([p0, p1, p2, p3]) => {
            Piece::Frame { kind, payload, end }
        }
        _ => Piece::Broken { end },
    }
}

/// The unit a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Whether a crash can have left `[start, end)` as it is: part of it was never written.
///
/// Written groups have no sector of zeros: a frame starts with its kind, a group ends with the
/// line end of its note, and in between is ciphertext.
pub(crate) fn is_torn(segment: &[u8], start: usize, end: usize) -> bool {
    let header = segment.get(start..).unwrap_or_default();
    let header = header.get(..FRAME_HEADER).unwrap_or(header);
    // A single flipped bit in the preallocated rest is not a frame either.
    if header.iter().map(|byte| byte.count_ones()).sum::<u32>() <= 1 {
        return true;
    }
    let end = end.min(segment.len());
    let mut from = start;
    while from < end {
        let to = (from / SECTOR).saturating_add(1).saturating_mul(SECTOR).min(segment.len());
        if segment.get(from..to).is_some_and(|part| part.iter().all(|byte| *byte == 0)) {
            return true;
        }
        from = to;
    }
    false
}
