//! Cells laid out one after the other.

use vouchsafe_core::{CellKey, Space, Timestamp};

use crate::{Loaded, Stored, Version};

/// Slots that are allocated together take 2 KiB with what an allocator adds, so that they fill the
/// holes that a growing index leaves. Growing moves no slot, and half a chunk a shard is unused.
const CHUNK_BYTES: usize = 2_040;

/// Values up to here lie in a small slot: an account with one live charge does.
pub(super) const SMALL: usize = 29;
/// Values up to here lie in a large slot, where a look-up waits for them no second time: a locked
/// account does.
pub(super) const LARGE: usize = 93;

pub(super) type SmallSlots = Slots<SMALL, { CHUNK_BYTES / size_of::<Slot<SMALL>>() }>;
pub(super) type LargeSlots = Slots<LARGE, { CHUNK_BYTES / size_of::<Slot<LARGE>>() }>;

/// What an allocation of so many bytes takes: rounded up to 16 with 8 of the allocator's own.
pub(super) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.saturating_add(8).next_multiple_of(16) }
}

/// One cell, with room for a value of so many bytes.
pub(super) struct Slot<const ROOM: usize> {
    digest: [u8; 16],
    version: Version,
    until: Timestamp,
    value: Value<ROOM>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot<SMALL>>() == 72, "a slot has grown");
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot<LARGE>>() == 136, "a slot has grown");

/// The space stands in here, where it costs nothing.
enum Value<const ROOM: usize> {
    Inline { space: Space, len: u8, bytes: [u8; ROOM] },
    Boxed { space: Space, bytes: Box<[u8]> },
}

/// A cell, wherever it lies.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) key: CellKey,
    pub(super) version: Version,
    pub(super) until: Timestamp,
    pub(super) bytes: &'a [u8],
}

impl View<'_> {
    pub(super) fn loaded(&self) -> Loaded {
        Loaded::new(Some(Stored::new(self.bytes.to_vec(), self.version)))
    }

    /// What its value takes outside the slots.
    pub(super) const fn outside(&self) -> usize {
        outside(self.bytes.len())
    }
}

/// What a value of so many bytes takes outside its slot.
pub(super) const fn outside(len: usize) -> usize {
    if len > LARGE { allocated(len) } else { 0 }
}

impl<const ROOM: usize> Slot<ROOM> {
    pub(super) fn new(key: CellKey, bytes: &[u8], until: Timestamp, version: Version) -> Self {
        Self { digest: key.digest, version, until, value: Value::new(key.space, bytes) }
    }

    const fn empty() -> Self {
        let value = Value::Inline { space: Space::System, len: 0, bytes: [0; ROOM] };
        Self { digest: [0; 16], version: Version::new([0; 16]), until: Timestamp::EPOCH, value }
    }

    fn view(&self) -> View<'_> {
        let (space, bytes) = match &self.value {
            Value::Inline { space, len, bytes } => {
                (*space, bytes.get(..usize::from(*len)).unwrap_or_default())
            }
            Value::Boxed { space, bytes } => (*space, &**bytes),
        };
        let key = CellKey { space, digest: self.digest };
        View { key, version: self.version, until: self.until, bytes }
    }
}

impl<const ROOM: usize> Value<ROOM> {
    fn new(space: Space, from: &[u8]) -> Self {
        let mut bytes = [0; ROOM];
        match (bytes.get_mut(..from.len()), u8::try_from(from.len())) {
            (Some(to), Ok(len)) => {
                to.copy_from_slice(from);
                Self::Inline { space, len, bytes }
            }
            _ => Self::Boxed { space, bytes: from.into() },
        }
    }
}

/// Slots numbered from 0, of which at most one is spare: so what moves to slots of another size and
/// back, as an attempt on an account does, takes nobody else along.
pub(super) struct Slots<const ROOM: usize, const CHUNK: usize> {
    chunks: Vec<Box<[Slot<ROOM>; CHUNK]>>,
    /// The spare one included.
    len: u32,
    spare: Option<u32>,
}

impl<const ROOM: usize, const CHUNK: usize> Default for Slots<ROOM, CHUNK> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0, spare: None }
    }
}

impl<const ROOM: usize, const CHUNK: usize> Slots<ROOM, CHUNK> {
    /// The numbers in use are below this.
    pub(super) const fn end(&self) -> u32 {
        self.len
    }

    fn slot(&self, number: u32) -> Option<&Slot<ROOM>> {
        let (chunk, at) = Self::place(number)?;
        self.chunks.get(chunk)?.get(at)
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<ROOM>> {
        let (chunk, at) = Self::place(number)?;
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    fn place(number: u32) -> Option<(usize, usize)> {
        let number = usize::try_from(number).ok()?;
        Some((number.checked_div(CHUNK)?, number.checked_rem(CHUNK)?))
    }

    /// The cell with a number that is in use.
    pub(super) fn get(&self, number: u32) -> Option<View<'_>> {
        self.slot(number).map(Slot::view)
    }

    /// Whether the cell with a number that is in use is this one.
    pub(super) fn is(&self, number: u32, key: CellKey) -> bool {
        self.slot(number).is_some_and(|slot| slot.digest == key.digest && slot.view().key == key)
    }

    /// The numbers in use, last first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<ROOM, CHUNK> {
        let spare = self.spare;
        (0..self.len).rev().filter(move |number| Some(*number) != spare)
    }

    /// Puts a cell in the place of another.
    pub(super) fn set(&mut self, number: u32, slot: Slot<ROOM>) {
        if let Some(to) = self.slot_mut(number) {
            *to = slot;
        }
    }

    /// Adds a cell, and says which number it has.
    pub(super) fn add(&mut self, slot: Slot<ROOM>) -> u32 {
        let number = self.spare.take().unwrap_or(self.len);
        if number == self.len {
            if self.is_full() {
                let room = self.chunks.capacity();
                if self.chunks.len() == room {
                    self.chunks.reserve_exact(grown(room).saturating_sub(room));
                }
                self.chunks.push(Box::new([const { Slot::empty() }; CHUNK]));
            }
            self.len = self.len.saturating_add(1);
        }
        self.set(number, slot);
        number
    }

    /// Drops a cell. If another one took its number, says which that was.
    pub(super) fn remove(&mut self, number: u32) -> Option<u32> {
        self.set(number, Slot::empty());
        let Some(spare) = self.spare else {
            self.spare = Some(number);
            return None;
        };
        let last = self.len.saturating_sub(1);
        let moved = if last == spare || last == number {
            self.spare = Some(spare.min(number));
            None
        } else {
            let slot = self.slot_mut(last).map(|slot| std::mem::replace(slot, Slot::empty()));
            if let Some(slot) = slot {
                self.set(number, slot);
            }
            Some(last)
        };
        self.len = last;
        self.trim();
        moved
    }

    /// Gives back what no slot in use lies in.
    fn trim(&mut self) {
        let needed = usize::try_from(self.len).unwrap_or(usize::MAX).div_ceil(CHUNK);
        self.chunks.truncate(needed);
        if self.chunks.len() <= self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len().saturating_mul(2));
        }
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.len).ok() == self.chunks.len().checked_mul(CHUNK)
    }

    /// Whether the next cell takes nothing that is not there.
    pub(super) fn has_room(&self) -> bool {
        self.spare.is_some() || !self.is_full()
    }

    /// What it takes, the values outside the slots not included.
    pub(super) fn bytes(&self) -> usize {
        Self::bytes_of(self.chunks.len(), self.chunks.capacity())
    }

    /// What it takes after the next [`add`](Self::add).
    pub(super) fn bytes_after(&self) -> usize {
        let (chunks, room) = (self.chunks.len(), self.chunks.capacity());
        if self.has_room() {
            return self.bytes();
        }
        Self::bytes_of(chunks.saturating_add(1), if chunks == room { grown(room) } else { room })
    }

    const fn bytes_of(chunks: usize, room: usize) -> usize {
        let each = allocated(size_of::<[Slot<ROOM>; CHUNK]>());
        let list = allocated(room.saturating_mul(size_of::<Box<[Slot<ROOM>; CHUNK]>>()));
        chunks.saturating_mul(each).saturating_add(list)
    }
}

const fn grown(room: usize) -> usize {
    if room < 4 { 4 } else { room.saturating_mul(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<const ROOM: usize, const CHUNK: usize> Slots<ROOM, CHUNK> {
        /// As if there were so many.
        pub(crate) const fn ending_at(len: u32) -> Self {
            Self { chunks: Vec::new(), len, spare: None }
        }

        fn add_one(&mut self) {
            let key = CellKey::new(Space::System, [1; 16]);
            let _number = self.add(Slot::new(key, &[], Timestamp::EPOCH, Version::new([1; 16])));
        }

        fn lists(&self) -> (usize, usize) {
            (self.chunks.len(), self.chunks.capacity())
        }
    }

    #[test]
    fn a_chunk_has_as_many_slots_as_fit() {
        fn unused<const ROOM: usize, const CHUNK: usize>(_: &Slots<ROOM, CHUNK>) -> usize {
            CHUNK_BYTES.saturating_sub(CHUNK.saturating_mul(size_of::<Slot<ROOM>>()))
        }
        assert!(unused(&SmallSlots::default()) < size_of::<Slot<SMALL>>());
        assert!(unused(&LargeSlots::default()) < size_of::<Slot<LARGE>>());
    }

    #[test]
    fn it_takes_what_it_said_and_gives_it_back() {
        let mut slots = LargeSlots::default();
        while slots.lists().0 < 64 {
            let said = slots.bytes_after();
            slots.add_one();
            assert_eq!(slots.bytes(), said);
        }
        assert_eq!(slots.lists(), (64, 64));
        // The list of chunks is halved when it is a quarter full, and not before.
        for (chunks, room) in [(17, 64), (16, 32), (9, 32), (8, 16), (1, 2)] {
            while slots.lists().0 > chunks {
                let last = slots.numbers().next().unwrap();
                assert_eq!(slots.remove(last), None);
            }
            assert_eq!(slots.lists(), (chunks, room));
        }
    }
}
