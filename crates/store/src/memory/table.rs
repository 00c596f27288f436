//! The cells of one shard: slots without gaps, and an index to find them by.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use vouchsafe_core::{CellKey, Timestamp};

use super::index::{Index, Place};
use super::slots::{Slot, Slots, allocated, outside};
use crate::Version;

#[derive(Default)]
pub(super) struct Table {
    index: Index,
    slots: Slots,
    /// What values take outside their slots.
    outside: usize,
}

/// A cell that is to be kept.
pub(super) struct Save {
    pub(super) bytes: Vec<u8>,
    pub(super) until: Timestamp,
    pub(super) version: Version,
}

/// Where a cell is.
#[derive(Clone, Copy)]
pub(super) struct At {
    place: Place,
    number: u32,
}

fn hash(hasher: &RandomState, digest: [u8; 16]) -> u64 {
    hasher.hash_one(u128::from_ne_bytes(digest))
}

/// The hash of the cell in a slot.
fn hash_in<'a>(slots: &'a Slots, hasher: &'a RandomState) -> impl Fn(u32) -> u64 + 'a {
    |number| slots.get(number).map_or(0, |slot| hash(hasher, slot.digest))
}

impl Table {
    pub(super) fn find(&self, hasher: &RandomState, key: CellKey) -> Option<(At, &Slot)> {
        let is = |number| self.slots.get(number).is_some_and(|slot| slot.is(key));
        let (place, number) = self.index.find(hash(hasher, key.digest), is)?;
        Some((At { place, number }, self.slots.get(number)?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.index.bytes())
            .saturating_add(self.slots.bytes())
            .saturating_add(self.outside)
    }

    /// What it takes with `len` bytes in the cell at `at`, or in a new one.
    pub(super) fn bytes_with(&self, at: Option<At>, len: usize) -> usize {
        if let Some(slot) = at.and_then(|at| self.slots.get(at.number)) {
            let others = self.bytes().saturating_sub(slot.outside());
            return others.saturating_add(outside(len));
        }
        if self.slots.len() >= Index::MOST {
            return usize::MAX;
        }
        allocated(self.index.bytes_after())
            .saturating_add(self.slots.bytes_after())
            .saturating_add(self.outside)
            .saturating_add(outside(len))
    }

    /// Keeps a cell, in the place of the one at `at` if there is one.
    pub(super) fn save(&mut self, hasher: &RandomState, key: CellKey, at: Option<At>, save: Save) {
        let slot = Slot::new(key, save.bytes, save.until, save.version);
        self.outside = self.outside.saturating_add(slot.outside());
        if let Some(was) = at.and_then(|at| self.slots.get_mut(at.number)) {
            self.outside = self.outside.saturating_sub(was.outside());
            *was = slot;
            return;
        }
        let number = self.slots.push(slot);
        self.index.insert(hash(hasher, key.digest), number, hash_in(&self.slots, hasher));
    }

    /// Drops a cell; the last one takes its number.
    pub(super) fn erase(&mut self, hasher: &RandomState, At { place, number }: At) {
        self.index.remove(place, hash_in(&self.slots, hasher));
        let last = u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(number);
        if last != number
            && let Some(slot) = self.slots.get(last)
            && let Some((place, _)) =
                self.index.find(hash(hasher, slot.digest), |number| number == last)
        {
            self.index.renumber(place, number);
        }
        if let Some(slot) = self.slots.take(number) {
            self.outside = self.outside.saturating_sub(slot.outside());
        }
        self.index.shrink(hash_in(&self.slots, hasher));
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
        // From the end: the one that takes the place of a dropped one was looked at already.
        for number in (0..self.slots.len()).rev() {
            let Ok(number) = u32::try_from(number) else { continue };
            let Some(slot) = self.slots.get(number) else { continue };
            let until = slot.until;
            if until < now
                && swept < limit
                && let Some((place, _)) =
                    self.index.find(hash(hasher, slot.digest), |other| other == number)
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
