//! The keys that values are sealed under: one in 4 096 of a space and a generation.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use vouchsafe_core::{CellKey, Space};
use vouchsafe_crypto::{AeadKey, RootKey};

use crate::StoreError;

/// Subkeys of one space and generation, chosen by the digest's last 12 bits.
const SUBKEYS: u16 = 4096;

/// One generation's keys, derived when first used.
type Subkeys = Box<[OnceLock<AeadKey>]>;

pub(super) struct Keys {
    root: RootKey,
    /// What is sealed now is sealed under this one.
    newest: AtomicU32,
    /// What is sealed under an older one than this does not open.
    oldest: AtomicU32,
    /// The newest generation and the one before: some 8 MiB each if all their keys are used. Keys of
    /// older ones are derived for each use, so that no value chooses what is kept here.
    kept: RwLock<Vec<(u32, Arc<Subkeys>)>>,
}

impl Keys {
    pub(super) const fn new(root: RootKey) -> Self {
        Self {
            root,
            newest: AtomicU32::new(0),
            oldest: AtomicU32::new(0),
            kept: RwLock::new(Vec::new()),
        }
    }

    pub(super) fn newest(&self) -> u32 {
        self.newest.load(Ordering::Acquire)
    }

    pub(super) fn oldest(&self) -> u32 {
        self.oldest.load(Ordering::Acquire)
    }

    /// From now on at least this one is sealed under.
    pub(super) fn seal_under(&self, generation: u32) {
        self.newest.fetch_max(generation, Ordering::AcqRel);
    }

    /// From now on this one is the oldest that opens.
    pub(super) fn refuse_before(&self, generation: u32) {
        // In this order: nothing is ever sealed that does not open.
        self.seal_under(generation);
        self.oldest.fetch_max(generation, Ordering::AcqRel);
    }

    /// Does `work` with the key for `cell` of `generation`.
    pub(super) fn with<R>(
        &self,
        generation: u32,
        cell: CellKey,
        work: impl FnOnce(&AeadKey) -> R,
    ) -> Result<R, StoreError> {
        let [.., high, low] = cell.digest;
        let subkey = u16::from_be_bytes([high, low]) % SUBKEYS;
        let derive = || {
            let context: [&[u8]; 3] =
                [&[cell.space.code()], &generation.to_be_bytes(), &subkey.to_be_bytes()];
            AeadKey::new(&self.root.derive("vouchsafe-store cell v1", &context))
        };
        let newest = self.newest();
        if generation != newest && generation.checked_add(1) != Some(newest) {
            return Ok(work(&derive()));
        }
        let subkeys = self.subkeys(generation);
        let space = Space::ALL.iter().position(|space| *space == cell.space);
        let slot = space
            .map(|space| {
                space.saturating_mul(usize::from(SUBKEYS)).saturating_add(usize::from(subkey))
            })
            .and_then(|at| subkeys.get(at))
            .ok_or(StoreError::Corrupt(cell))?;
        Ok(work(slot.get_or_init(derive)))
    }

    fn subkeys(&self, generation: u32) -> Arc<Subkeys> {
        let of = |kept: &[(u32, Arc<Subkeys>)]| {
            kept.iter().find(|(of, _)| *of == generation).map(|(_, keys)| Arc::clone(keys))
        };
        if let Some(keys) = of(&self.kept.read().unwrap_or_else(PoisonError::into_inner)) {
            return keys;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = of(&kept) {
            return keys;
        }
        let newest = self.newest();
        kept.retain(|(of, _)| of.saturating_add(1) >= newest);
        let count = Space::ALL.len().saturating_mul(usize::from(SUBKEYS));
        let keys: Arc<Subkeys> = Arc::new((0..count).map(|_| OnceLock::new()).collect());
        kept.push((generation, Arc::clone(&keys)));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_generation_and_the_one_before_are_kept_and_no_others() {
        let keys = Keys::new(RootKey::new(&[9; 32]));
        let kept_after = |generation| {
            let cell = CellKey::new(Space::Account, [7; 16]);
            keys.with(generation, cell, |_| ()).unwrap();
            let kept = keys.kept.read().unwrap();
            kept.iter().map(|(of, _)| *of).collect::<Vec<u32>>()
        };
        assert_eq!(kept_after(0), [0]);
        keys.seal_under(10);
        // Whatever a value says it was sealed under.
        for other in [0, 3, 8, 11, u32::MAX] {
            assert_eq!(kept_after(other), [0], "{other}");
        }
        assert_eq!(kept_after(9), [9]);
        assert_eq!(kept_after(10), [9, 10]);
        keys.seal_under(11);
        assert_eq!(kept_after(11), [10, 11]);
        keys.seal_under(u32::MAX);
        assert_eq!(kept_after(u32::MAX), [u32::MAX]);
    }
}
