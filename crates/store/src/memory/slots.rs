//! Cells laid out one after the other.

use std::mem::size_of;

use vouchsafe_core::{CellKey, Space, Timestamp};

use crate::{Loaded, Stored, Version};

/// Values up to here lie in the slot itself: an account with one live charge does.
pub(super) const INLINE: usize = 29;
/// Slots that are allocated together. Growing copies nothing, and half a chunk a shard is unused.
const CHUNK: usize = 32;
/// What the first chunk begins with, so that a store of few cells stays small.
const FIRST: usize = 4;

/// What an allocation of so many bytes takes: rounded up to 16 with 8 of the allocator's own.
pub(super) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.saturating_add(8).next_multiple_of(16) }
}

/// One cell.
pub(super) struct Slot {
    pub(super) digest: [u8; 16],
    version: Version,
    pub(super) until: Timestamp,
    value: Value,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot>() == 72, "a slot has grown");

/// The space stands in here, where it costs nothing.
enum Value {
    Inline { space: Space, len: u8, bytes: [u8; INLINE] },
    Boxed { space: Space, bytes: Box<[u8]> },
}

impl Slot {
    pub(super) fn new(key: CellKey, bytes: Vec<u8>, until: Timestamp, version: Version) -> Self {
        Self { digest: key.digest, version, until, value: Value::new(key.space, bytes) }
    }

    pub(super) const fn space(&self) -> Space {
        match self.value {
            Value::Inline { space, .. } | Value::Boxed { space, .. } => space,
        }
    }

    pub(super) fn is(&self, key: CellKey) -> bool {
        self.digest == key.digest && self.space() == key.space
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    pub(super) fn loaded(&self) -> Loaded {
        let bytes = match &self.value {
            Value::Inline { len, bytes, .. } => {
                bytes.get(..usize::from(*len)).unwrap_or_default().to_vec()
            }
            Value::Boxed { bytes, .. } => bytes.to_vec(),
        };
        Loaded::new(Some(Stored::new(bytes, self.version)))
    }

    /// What its value takes outside the slot.
    pub(super) fn outside(&self) -> usize {
        match &self.value {
            Value::Inline { .. } => 0,
            Value::Boxed { bytes, .. } => outside(bytes.len()),
        }
    }
}

/// What a value of so many bytes takes outside its slot.
pub(super) const fn outside(len: usize) -> usize {
    if len > INLINE { allocated(len) } else { 0 }
}

impl Value {
    fn new(space: Space, from: Vec<u8>) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..from.len()), u8::try_from(from.len())) {
            (Some(to), Ok(len)) => {
                to.copy_from_slice(&from);
                Self::Inline { space, len, bytes }
            }
            _ => Self::Boxed { space, bytes: from.into_boxed_slice() },
        }
    }
}

/// Slots without gaps, numbered from 0. All chunks are full but the last.
#[derive(Default)]
pub(super) struct Slots(Vec<Vec<Slot>>);

impl Slots {
    pub(super) fn len(&self) -> usize {
        let last = self.0.last().map_or(0, Vec::len);
        self.0.len().saturating_sub(1).saturating_mul(CHUNK).saturating_add(last)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        let (chunk, at) = place(number)?;
        self.0.get(chunk)?.get(at)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        let (chunk, at) = place(number)?;
        self.0.get_mut(chunk)?.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().flatten()
    }

    pub(super) fn push(&mut self, slot: Slot) {
        match self.0.last_mut() {
            Some(last) if last.len() < last.capacity() => last.push(slot),
            Some(last) if last.len() < CHUNK => {
                last.reserve_exact(grown(last.len()).saturating_sub(last.len()));
                last.push(slot);
            }
            last => {
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK } else { FIRST });
                chunk.push(slot);
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(grown(self.0.len()).saturating_sub(self.0.len()));
                }
                self.0.push(chunk);
            }
        }
    }

    /// Takes a slot out, and puts the last one in its place.
    pub(super) fn take(&mut self, number: u32) -> Option<Slot> {
        let last = self.0.last_mut()?.pop()?;
        if self.0.last().is_some_and(Vec::is_empty) {
            self.0.pop();
        }
        Some(match self.get_mut(number) {
            Some(slot) => std::mem::replace(slot, last),
            None => last,
        })
    }

    /// Lets go of room for chunks that are no longer there.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// What it takes, the values outside the slots not included.
    pub(super) fn bytes(&self) -> usize {
        let Some((last, full)) = self.0.split_last() else { return self.list(self.0.capacity()) };
        chunk(CHUNK)
            .saturating_mul(full.len())
            .saturating_add(chunk(last.capacity()))
            .saturating_add(self.list(self.0.capacity()))
    }

    /// How much more it takes after the next [`push`](Self::push).
    pub(super) fn growth(&self) -> usize {
        match self.0.last() {
            Some(last) if last.len() < last.capacity() => 0,
            Some(last) if last.len() < CHUNK => {
                chunk(grown(last.len())).saturating_sub(chunk(last.capacity()))
            }
            last => {
                let room = self.0.capacity();
                let more = if self.0.len() == room { grown(room) } else { room };
                chunk(if last.is_some() { CHUNK } else { FIRST })
                    .saturating_add(self.list(more))
                    .saturating_sub(self.list(room))
            }
        }
    }

    const fn list(&self, chunks: usize) -> usize {
        allocated(chunks.saturating_mul(size_of::<Vec<Slot>>()))
    }
}

const fn chunk(slots: usize) -> usize {
    allocated(slots.saturating_mul(size_of::<Slot>()))
}

const fn grown(len: usize) -> usize {
    if len == 0 { FIRST } else { len.saturating_mul(2) }
}

fn place(number: u32) -> Option<(usize, usize)> {
    let number = usize::try_from(number).ok()?;
    Some((number / CHUNK, number % CHUNK))
}
