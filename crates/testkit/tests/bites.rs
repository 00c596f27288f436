//! The suite refuses stores that are broken in the ways stores usually are.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, Loaded, Put, StoreError, Stored, Swap, Version};
use vouchsafe_testkit::conformance as suite;

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    /// None: the model that all others are made from.
    None,
    /// It writes without comparing, as a plain upsert does.
    Upsert,
    /// It compares, lets go of the lock, and writes.
    CompareThenWrite,
    /// Its versions count the writings of a cell, and begin anew after an erase.
    CountedVersions,
    /// One of seven swaps is answered before it is done, and never done.
    LostWrite,
    /// It drops a cell at `until` instead of after it.
    EarlySweep,
}

type Map = BTreeMap<CellKey, (Stored, Timestamp, u64)>;

struct Broken {
    flaw: Flaw,
    map: Mutex<Map>,
    /// The count that a version stands for.
    counts: Mutex<BTreeMap<Version, u64>>,
    swaps: AtomicU64,
}

impl Broken {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, map: Mutex::default(), counts: Mutex::default(), swaps: AtomicU64::new(0) }
    }
}

impl Cells for Broken {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        Ok(Loaded::new(self.map.lock().unwrap().get(&key).map(|(cell, ..)| cell.clone())))
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        if let Put::Save { bytes, .. } = &put
            && bytes.len() > vouchsafe_store::MAX_CELL
        {
            let (len, max) = (bytes.len(), vouchsafe_store::MAX_CELL);
            return Err(StoreError::TooLarge { len, max });
        }
        let number = self.swaps.fetch_add(1, Ordering::SeqCst);
        let mut map = self.map.lock().unwrap();
        let current = map.get(&key).map(|(cell, ..)| cell.clone());
        let count = map.get(&key).map(|(.., count)| *count);
        let mut counts = self.counts.lock().unwrap();
        let fits = match self.flaw {
            Flaw::Upsert => true,
            Flaw::CountedVersions => expected.map(|version| counts[&version]) == count,
            _ => current.as_ref().map(|cell| cell.version) == expected,
        };
        if let Put::Save { version, .. } = &put {
            counts.insert(*version, count.unwrap_or(0) + 1);
        }
        drop(counts);
        if !fits {
            return Ok(Swap::Conflict(Loaded::new(current)));
        }
        if self.flaw == Flaw::LostWrite && number % 7 == 6 {
            return Ok(Swap::Done);
        }
        if self.flaw == Flaw::CompareThenWrite {
            drop(map);
            std::thread::yield_now();
            map = self.map.lock().unwrap();
        }
        match put {
            Put::Save { bytes, until, version } => {
                let count = count.unwrap_or(0) + 1;
                map.insert(key, (Stored::new(bytes, version), until, count));
            }
            Put::Erase => {
                map.remove(&key);
            }
        }
        Ok(Swap::Done)
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        let map = self.map.lock().unwrap();
        let keys = map.keys().filter(|key| key.space == space);
        Ok(keys.filter(|key| after.is_none_or(|at| key.digest > at)).take(limit).copied().collect())
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut map = self.map.lock().unwrap();
        let early = self.flaw == Flaw::EarlySweep;
        let expired = |until: Timestamp| until < now || (early && until == now);
        let keys: Vec<CellKey> = map
            .iter()
            .filter(|(_, (_, until, _))| expired(*until))
            .map(|(key, _)| *key)
            .take(limit)
            .collect();
        for key in &keys {
            map.remove(key);
        }
        Ok(keys.len())
    }
}

/// Which tests of the suite refuse a store with this flaw.
fn refused_by(flaw: Flaw) -> Vec<&'static str> {
    macro_rules! refusing {
        ($($name:ident)*) => {{
            let mut refusing = Vec::new();
            $(
                let open = || Broken::new(flaw);
                if catch_unwind(AssertUnwindSafe(|| suite::$name(&open))).is_err() {
                    refusing.push(stringify!($name));
                }
            )*
            refusing
        }};
    }
    refusing! {
        nothing_is_there_at_first
        a_load_sees_the_last_swap
        a_swap_compares
        versions_are_never_reused
        spaces_are_apart
        a_sweep_drops_what_expired_and_nothing_else
        a_scan_walks_in_order_and_resumes
        an_event_counts_once
        a_lost_race_costs_one_swap
        an_unanswered_swap_is_recognised
        no_single_fault_loses_or_doubles_an_event
        sixty_four_racers_lose_nothing
        one_of_sixty_four_swaps_wins
        each_cell_is_linearisable
    }
}

#[test]
fn the_model_passes() {
    assert_eq!(refused_by(Flaw::None), Vec::<&str>::new());
}

#[test]
fn an_upsert_is_refused() {
    let by = refused_by(Flaw::Upsert);
    for test in ["a_swap_compares", "sixty_four_racers_lose_nothing", "each_cell_is_linearisable"] {
        assert!(by.contains(&test), "{test} let it pass: {by:?}");
    }
}

#[test]
fn a_compare_outside_the_lock_is_refused() {
    let by = refused_by(Flaw::CompareThenWrite);
    let races = ["sixty_four_racers_lose_nothing", "one_of_sixty_four_swaps_wins"];
    assert!(by.iter().any(|test| races.contains(test)), "{by:?}");
    assert!(by.contains(&"each_cell_is_linearisable"), "{by:?}");
    assert!(!by.contains(&"a_swap_compares"), "only races show it: {by:?}");
}

#[test]
fn a_version_that_comes_again_is_refused() {
    assert!(refused_by(Flaw::CountedVersions).contains(&"versions_are_never_reused"));
}

#[test]
fn a_lost_write_is_refused() {
    let by = refused_by(Flaw::LostWrite);
    for test in ["a_load_sees_the_last_swap", "sixty_four_racers_lose_nothing"] {
        assert!(by.contains(&test), "{test} let it pass: {by:?}");
    }
}

#[test]
fn a_sweep_that_comes_early_is_refused() {
    assert_eq!(refused_by(Flaw::EarlySweep), ["a_sweep_drops_what_expired_and_nothing_else"]);
}
