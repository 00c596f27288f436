//! The cells of one shard: slots of two sizes, and an index to find them by.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use vouchsafe_core::{CellKey, Timestamp};

use super::index::{Index, Place};
use super::slots::{LargeSlots, SMALL, Slot, SmallSlots, View, allocated, outside};
use crate::Version;

#[derive(Default)]
pub(super) struct Table {
    index: Index,
    slots: BothSlots,
    /// What values take outside their slots.
    outside: usize,
    /// A value before it is kept.
    pub(super) scratch: Vec<u8>,
}

/// A cell that is to be kept.
pub(super) struct Save<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) until: Timestamp,
    pub(super) version: Version,
}

/// Where a cell is.
#[derive(Clone, Copy)]
pub(super) struct At {
    place: Place,
    number: u32,
}

/// Set in the numbers of large slots.
const IS_LARGE: u32 = 1 << (Index::NUMBER_BITS - 1);

const fn is_large(number: u32) -> bool {
    number & IS_LARGE != 0
}

/// Slots of both sizes under one numbering.
#[derive(Default)]
struct BothSlots {
    small: SmallSlots,
    large: LargeSlots,
}

impl BothSlots {
    fn get(&self, number: u32) -> Option<View<'_>> {
        if is_large(number) { self.large.get(number & !IS_LARGE) } else { self.small.get(number) }
    }

    fn is(&self, number: u32, key: CellKey) -> bool {
        if is_large(number) {
            self.large.is(number & !IS_LARGE, key)
        } else {
            self.small.is(number, key)
        }
    }

    /// Those of one size, then those of the other, each last first.
    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        self.small.numbers().chain(self.large.numbers().map(|number| number | IS_LARGE))
    }

    /// Whether a value of so many bytes is to lie in a large slot, where it lies in `now`, if anywhere,
    /// so far. One that has become short stays where it is rather than ask for memory: what takes less
    /// room is never refused.
    fn large_for(&self, len: usize, now: Option<u32>) -> bool {
        len > SMALL || now.is_some_and(is_large) && !self.small.has_room()
    }

    fn add(&mut self, large: bool, key: CellKey, Save { bytes, until, version }: Save<'_>) -> u32 {
        if large {
            self.large.add(Slot::new(key, bytes, until, version)) | IS_LARGE
        } else {
            self.small.add(Slot::new(key, bytes, until, version))
        }
    }

    fn set(&mut self, number: u32, key: CellKey, Save { bytes, until, version }: Save<'_>) {
        if is_large(number) {
            self.large.set(number & !IS_LARGE, Slot::new(key, bytes, until, version));
        } else {
            self.small.set(number, Slot::new(key, bytes, until, version));
        }
    }

    fn remove(&mut self, number: u32) -> Option<u32> {
        if is_large(number) {
            self.large.remove(number & !IS_LARGE).map(|moved| moved | IS_LARGE)
        } else {
            self.small.remove(number)
        }
    }

    fn bytes(&self) -> usize {
        self.small.bytes().saturating_add(self.large.bytes())
    }

    /// What one more takes at most; none where there is no number for it.
    fn bytes_of_one_more(&self, large: bool) -> Option<usize> {
        let (end, before, after) = if large {
            (self.large.end(), self.large.bytes(), self.large.bytes_after())
        } else {
            (self.small.end(), self.small.bytes(), self.small.bytes_after())
        };
        // The last number would look like no entry at all.
        (end < IS_LARGE - 1).then(|| after.saturating_sub(before))
    }
}

fn hash(hasher: &RandomState, digest: [u8; 16]) -> u64 {
    hasher.hash_one(u128::from_ne_bytes(digest))
}

/// The hash of the cell in a slot.
fn hash_in<'a>(slots: &'a BothSlots, hasher: &'a RandomState) -> impl Fn(u32) -> u64 + 'a {
    |number| slots.get(number).map_or(0, |cell| hash(hasher, cell.key.digest))
}

impl Table {
    pub(super) fn find(&self, hasher: &RandomState, key: CellKey) -> Option<(At, View<'_>)> {
        let is = |number| self.slots.is(number, key);
        let (place, number) = self.index.find(hash(hasher, key.digest), is)?;
        Some((At { place, number }, self.slots.get(number)?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = View<'_>> {
        self.slots.numbers().filter_map(|number| self.slots.get(number))
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.index.bytes())
            .saturating_add(self.slots.bytes())
            .saturating_add(self.outside)
    }

    /// What it takes, at most, with `len` bytes in the cell at `at`, or in a new one.
    pub(super) fn bytes_with(&self, at: Option<At>, len: usize) -> usize {
        let number = at.map(|at| at.number);
        let large = self.slots.large_for(len, number);
        let grown = if number.is_some_and(|number| is_large(number) == large) {
            Some(0)
        } else {
            self.slots.bytes_of_one_more(large)
        };
        let Some(grown) = grown else { return usize::MAX };
        let index = match number {
            Some(_) => self.index.bytes(),
            None => self.index.bytes_after(),
        };
        let was = number.and_then(|number| self.slots.get(number)).map_or(0, |cell| cell.outside());
        allocated(index)
            .saturating_add(self.slots.bytes())
            .saturating_add(grown)
            .saturating_add(self.outside.saturating_sub(was))
            .saturating_add(outside(len))
    }

    /// Keeps a cell, in the place of the one at `at` if there is one.
    pub(super) fn save(
        &mut self,
        hasher: &RandomState,
        key: CellKey,
        at: Option<At>,
        save: Save<'_>,
    ) {
        let large = self.slots.large_for(save.bytes.len(), at.map(|at| at.number));
        self.outside = self.outside.saturating_add(outside(save.bytes.len()));
        let Some(At { place, number }) = at else {
            let number = self.slots.add(large, key, save);
            self.index.insert(hash(hasher, key.digest), number, hash_in(&self.slots, hasher));
            return;
        };
        let was = self.slots.get(number).map_or(0, |cell| cell.outside());
        self.outside = self.outside.saturating_sub(was);
        if is_large(number) == large {
            self.slots.set(number, key, save);
            return;
        }
        let new = self.slots.add(large, key, save);
        self.index.renumber(place, new);
        self.remove(hasher, number);
    }

    /// Drops a cell.
    pub(super) fn erase(&mut self, hasher: &RandomState, At { place, number }: At) {
        let was = self.slots.get(number).map_or(0, |cell| cell.outside());
        self.outside = self.outside.saturating_sub(was);
        self.index.remove(place, hash_in(&self.slots, hasher));
        self.remove(hasher, number);
        self.index.shrink(hash_in(&self.slots, hasher));
        if self.index.is_empty() {
            self.slots = BothSlots::default();
        }
    }

    /// Empties a slot that no entry of the index leads to.
    fn remove(&mut self, hasher: &RandomState, number: u32) {
        let Some(moved) = self.slots.remove(number) else { return };
        if let Some(cell) = self.slots.get(number)
            && let Some((place, _)) =
                self.index.find(hash(hasher, cell.key.digest), |other| other == moved)
        {
            self.index.renumber(place, number);
        }
    }

    /// Drops at most `limit` cells whose `until` is before `now`, and says how many, and the earliest
    /// `until` of those that stay.
    pub(super) fn sweep(
        &mut self,
        hasher: &RandomState,
        now: Timestamp,
        limit: usize,
    ) -> (usize, i64) {
        let (mut swept, mut earliest) = (0_usize, i64::MAX);
        // Each last first: the one that takes the place of a dropped one was looked at already.
        for number in self.slots.numbers() {
            let Some(cell) = self.slots.get(number) else { continue };
            let until = cell.until;
            if until < now
                && swept < limit
                && let Some((place, _)) =
                    self.index.find(hash(hasher, cell.key.digest), |other| other == number)
            {
                self.erase(hasher, At { place, number });
                swept = swept.saturating_add(1);
            } else {
                earliest = earliest.min(until.micros());
            }
        }
        (swept, earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_number_there_is_no_room() {
        let one_more = |end, large| {
            let (small, large_slots) = (SmallSlots::ending_at(end), LargeSlots::ending_at(end));
            BothSlots { small, large: large_slots }.bytes_of_one_more(large)
        };
        for large in [false, true] {
            assert!(one_more(IS_LARGE - 2, large).is_some());
            // With the highest bits of a hash it would be an empty entry.
            assert_eq!(one_more(IS_LARGE - 1, large), None);
        }
    }
}
