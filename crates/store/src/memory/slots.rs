//! Cells laid out one after the other.

use vouchsafe_core::{CellKey, Space, Timestamp};

use crate::{Loaded, Stored, Version};

/// Values up to here lie in the slot itself: an account with one live charge does.
pub(super) const INLINE: usize = 29;
/// Slots that are allocated together: 2 KiB with what an allocator adds, so that they fill the holes
/// that a growing index leaves. Growing moves no slot, and half a chunk a shard is unused.
const CHUNK: usize = 28;

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

    const fn empty() -> Self {
        let value = Value::Inline { space: Space::System, len: 0, bytes: [0; INLINE] };
        Self { digest: [0; 16], version: Version::new([0; 16]), until: Timestamp::EPOCH, value }
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

/// Slots without gaps, numbered from 0.
#[derive(Default)]
pub(super) struct Slots {
    #[expect(clippy::vec_box, reason = "growing moves the pointers, and no slot")]
    chunks: Vec<Box<[Slot; CHUNK]>>,
    len: usize,
}

impl Slots {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        let (chunk, at) = place(number)?;
        self.chunks.get(chunk)?.get(at)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        let (chunk, at) = place(number)?;
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.len)
    }

    /// Adds a slot, and says which number it has.
    pub(super) fn push(&mut self, slot: Slot) -> u32 {
        if self.is_full() {
            let room = self.chunks.capacity();
            if self.chunks.len() == room {
                self.chunks.reserve_exact(grown(room).saturating_sub(room));
            }
            self.chunks.push(Box::new([const { Slot::empty() }; CHUNK]));
        }
        let number = u32::try_from(self.len).unwrap_or(u32::MAX);
        if let Some(free) = self.get_mut(number) {
            *free = slot;
            self.len = self.len.saturating_add(1);
        }
        number
    }

    /// Takes a slot out, and puts the last one in its place.
    pub(super) fn take(&mut self, number: u32) -> Option<Slot> {
        let last = u32::try_from(self.len.checked_sub(1)?).ok()?;
        let slot = std::mem::replace(self.get_mut(last)?, Slot::empty());
        let taken = match self.get_mut(number) {
            Some(place) if number != last => std::mem::replace(place, slot),
            _ => slot,
        };
        self.len = self.len.saturating_sub(1);
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.pop();
            if self.chunks.len() <= self.chunks.capacity() / 4 {
                self.chunks.shrink_to(self.chunks.len().saturating_mul(2));
            }
        }
        Some(taken)
    }

    const fn is_full(&self) -> bool {
        self.len == self.chunks.len().saturating_mul(CHUNK)
    }

    /// What it takes, the values outside the slots not included.
    pub(super) fn bytes(&self) -> usize {
        bytes_of(self.chunks.len(), self.chunks.capacity())
    }

    /// What it takes after the next [`push`](Self::push).
    pub(super) fn bytes_after(&self) -> usize {
        let (chunks, room) = (self.chunks.len(), self.chunks.capacity());
        if !self.is_full() {
            return self.bytes();
        }
        bytes_of(chunks.saturating_add(1), if chunks == room { grown(room) } else { room })
    }
}

const fn bytes_of(chunks: usize, room: usize) -> usize {
    let each = allocated(size_of::<[Slot; CHUNK]>());
    let list = allocated(room.saturating_mul(size_of::<Box<[Slot; CHUNK]>>()));
    chunks.saturating_mul(each).saturating_add(list)
}

const fn grown(room: usize) -> usize {
    if room < 4 { 4 } else { room.saturating_mul(2) }
}

fn place(number: u32) -> Option<(usize, usize)> {
    let number = usize::try_from(number).ok()?;
    Some((number / CHUNK, number % CHUNK))
}
