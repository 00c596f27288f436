//! Where a cell's slot is: open addressing over 32-bit entries, so that a look-up reads one cache line
//! before the slot's.

/// An entry's low bits are a slot's number, its high bits some of the hash.
const NUMBER: u32 = (1 << Index::NUMBER_BITS) - 1;
/// No slot has the number in it.
const EMPTY: u32 = u32::MAX;
const SMALLEST: usize = 16;

/// Numbers of slots by the hash of their cell. At most three quarters are taken.
#[derive(Default)]
pub(super) struct Index {
    /// None, or a power of two.
    entries: Box<[u32]>,
    len: usize,
}

/// A place in the index.
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

impl Index {
    /// Bits of a slot's number.
    pub(super) const NUMBER_BITS: u32 = 22;

    const fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    fn at(&self, place: usize) -> u32 {
        self.entries.get(place).copied().unwrap_or(EMPTY)
    }

    fn set(&mut self, place: usize, entry: u32) {
        if let Some(to) = self.entries.get_mut(place) {
            *to = entry;
        }
    }

    /// The place and number of the slot that `is` the one, among those with this hash.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<(Place, u32)> {
        let (mut place, tag) = (home(hash, self.mask()), tag(hash));
        // An empty entry ends it, and there always is one.
        loop {
            let entry = self.at(place);
            if entry == EMPTY {
                return None;
            }
            if (entry ^ tag) <= NUMBER && is(entry & NUMBER) {
                return Some((Place(place), entry & NUMBER));
            }
            place = place.wrapping_add(1) & self.mask();
        }
    }

    /// Adds a slot. `hash_of` is the hash of the cell in a slot.
    pub(super) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.is_tight() {
            self.resize(grown(self.entries.len()), hash_of);
        }
        self.add(hash, number);
        self.len = self.len.saturating_add(1);
    }

    fn add(&mut self, hash: u64, number: u32) {
        let mut place = home(hash, self.mask());
        while self.at(place) != EMPTY && !self.entries.is_empty() {
            place = place.wrapping_add(1) & self.mask();
        }
        self.set(place, tag(hash) | number);
    }

    /// The slot at `place` has another number now.
    pub(super) fn renumber(&mut self, Place(place): Place, number: u32) {
        self.set(place, (self.at(place) & !NUMBER) | number);
    }

    /// Takes a slot out, and moves up those that its place kept from theirs.
    pub(super) fn remove(&mut self, Place(mut hole): Place, hash_of: impl Fn(u32) -> u64) {
        let mask = self.mask();
        let mut place = hole;
        loop {
            place = place.wrapping_add(1) & mask;
            let entry = self.at(place);
            if entry == EMPTY {
                break;
            }
            let from_home = place.wrapping_sub(home(hash_of(entry & NUMBER), mask)) & mask;
            if from_home >= place.wrapping_sub(hole) & mask {
                self.set(hole, entry);
                hole = place;
            }
        }
        self.set(hole, EMPTY);
        self.len = self.len.saturating_sub(1);
    }

    /// An eighth of the room is used at most: it is made smaller.
    pub(super) fn shrink(&mut self, hash_of: impl Fn(u32) -> u64) {
        if self.len == 0 {
            self.entries = Box::default();
        } else if self.entries.len() > SMALLEST && self.len <= self.entries.len() / 8 {
            self.resize(self.entries.len() / 2, hash_of);
        }
    }

    fn resize(&mut self, size: usize, hash_of: impl Fn(u32) -> u64) {
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; size].into_boxed_slice());
        for entry in old.into_iter().filter(|entry| *entry != EMPTY) {
            self.add(hash_of(entry & NUMBER), entry & NUMBER);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn is_tight(&self) -> bool {
        self.len.saturating_add(1).saturating_mul(4) > self.entries.len().saturating_mul(3)
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }

    /// What it takes after the next [`insert`](Self::insert).
    pub(super) fn bytes_after(&self) -> usize {
        if self.is_tight() {
            grown(self.entries.len()).saturating_mul(size_of::<u32>())
        } else {
            self.bytes()
        }
    }
}

fn grown(size: usize) -> usize {
    size.saturating_mul(2).max(SMALLEST)
}

/// The low bits choose the place.
fn home(hash: u64, mask: usize) -> usize {
    usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) & mask
}

/// The high bits tell entries apart without a look at their slots.
fn tag(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0) & !NUMBER
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hash_of(number: u32) -> u64 {
        (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn an_entry_lies_where_its_hash_says() {
        let mut index = Index::default();
        for hash in [0x1234_5678_0000_0005, 0x1234_5678_FFFF_FFFC] {
            index.insert(hash, 7, hash_of);
            let (Place(at), number) = index.find(hash, |_| true).unwrap();
            assert_eq!((at, number), (usize::try_from(hash & 0xF).unwrap(), 7));
        }
    }

    #[test]
    fn of_those_in_one_place_only_the_one_is_looked_at() {
        let mut index = Index::default();
        let hashes = [0x1234_5678_0000_0005, 0x8765_4321_0000_0005];
        for (number, hash) in (0..).zip(hashes) {
            index.insert(hash, number, hash_of);
        }
        for (number, hash) in (0..).zip(hashes) {
            let found = index.find(hash, |other| {
                assert_eq!(other, number);
                true
            });
            assert_eq!(found.unwrap().1, number);
        }
    }

    #[test]
    fn it_grows_at_three_quarters_and_shrinks_at_an_eighth() {
        let mut index = Index::default();
        let mut sizes = Vec::new();
        for number in 0..769 {
            let said = index.bytes_after();
            index.insert(hash_of(number), number, hash_of);
            assert_eq!(index.bytes(), said);
            sizes.push(index.entries.len());
        }
        for (len, size) in
            [(1, 16), (12, 16), (13, 32), (24, 32), (25, 64), (768, 1024), (769, 2048)]
        {
            assert_eq!(sizes[len - 1], size, "of {len}");
        }
        sizes.clear();
        for number in 0..769 {
            let (place, _) = index.find(hash_of(number), |other| other == number).unwrap();
            index.remove(place, hash_of);
            index.shrink(hash_of);
            sizes.push(index.entries.len());
        }
        for (left, size) in
            [(257, 2048), (256, 1024), (9, 64), (8, 32), (5, 32), (4, 16), (1, 16), (0, 0)]
        {
            assert_eq!(sizes[768 - left], size, "{left} left");
        }
    }
}
