//! The cells of one shard: slots without gaps, and an index to find them by.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use vouchsafe_core::{CellKey, Timestamp};

use super::slots::{Slot, Slots, allocated, outside};
use crate::Version;

#[derive(Default)]
pub(super) struct Table {
    index: HashTable<u32>,
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
pub(super) struct At(u32);

fn hash(hasher: &RandomState, digest: [u8; 16]) -> u64 {
    hasher.hash_one(u128::from_ne_bytes(digest))
}

impl Table {
    pub(super) fn find(&self, hasher: &RandomState, key: CellKey) -> Option<(At, &Slot)> {
        let is = |number: &u32| self.slots.get(*number).is_some_and(|slot| slot.is(key));
        let number = *self.index.find(hash(hasher, key.digest), is)?;
        Some((At(number), self.slots.get(number)?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.index.allocation_size())
            .saturating_add(self.slots.bytes())
            .saturating_add(self.outside)
    }

    /// How much more it takes, at most, with `len` bytes in the cell at `at`, or in a new one.
    pub(super) fn growth(&self, at: Option<At>, len: usize) -> usize {
        if let Some(slot) = at.and_then(|At(number)| self.slots.get(number)) {
            return outside(len).saturating_sub(slot.outside());
        }
        let index = if self.index.len() == self.index.capacity() {
            // It doubles, and the smallest has 36 bytes.
            self.index.allocation_size().saturating_mul(2).saturating_add(64)
        } else {
            0
        };
        outside(len).saturating_add(self.slots.growth()).saturating_add(index)
    }

    /// Keeps a cell, in the place of the one at `at` if there is one. There are never more cells
    /// than numbers: those would take 300 GiB of one shard.
    pub(super) fn save(&mut self, hasher: &RandomState, key: CellKey, at: Option<At>, save: Save) {
        let slot = Slot::new(key, save.bytes, save.until, save.version);
        self.outside = self.outside.saturating_add(slot.outside());
        if let Some(was) = at.and_then(|At(number)| self.slots.get_mut(number)) {
            self.outside = self.outside.saturating_sub(was.outside());
            *was = slot;
            return;
        }
        let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(slot);
        let Self { index, slots, .. } = self;
        index.insert_unique(hash(hasher, key.digest), number, |number| {
            slots.get(*number).map_or(0, |slot| hash(hasher, slot.digest))
        });
    }

    /// Drops a cell; the last one takes its number.
    pub(super) fn erase(&mut self, hasher: &RandomState, At(number): At) {
        let Some(last) = self.slots.len().checked_sub(1).and_then(|at| u32::try_from(at).ok())
        else {
            return;
        };
        for (of, now) in [(number, None), (last, Some(number))] {
            let Some(slot) = self.slots.get(of) else { return };
            let entry = self.index.find_entry(hash(hasher, slot.digest), |at| *at == of);
            match (entry, now) {
                (Ok(mut entry), Some(now)) => *entry.get_mut() = now,
                (Ok(entry), None) => drop(entry.remove()),
                (Err(_), _) => {}
            }
        }
        if let Some(slot) = self.slots.take(number) {
            self.outside = self.outside.saturating_sub(slot.outside());
        }
        self.shrink(hasher);
    }

    /// An eighth of what the index was made for is left: it is made smaller.
    fn shrink(&mut self, hasher: &RandomState) {
        if self.slots.len() > self.index.capacity() / 8 {
            return;
        }
        let Self { index, slots, .. } = self;
        index.shrink_to(slots.len().saturating_mul(2), |number| {
            slots.get(*number).map_or(0, |slot| hash(hasher, slot.digest))
        });
        slots.shrink();
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
            if slot.until < now && swept < limit {
                self.erase(hasher, At(number));
                swept = swept.saturating_add(1);
            } else {
                earliest = earliest.min(slot.until.micros());
            }
        }
        (swept, earliest)
    }
}
