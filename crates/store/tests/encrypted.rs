//! Who reads a sealed store learns nothing, and who writes it cannot forge.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::collections::HashSet;
use std::sync::Arc;

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_crypto::{RootKey, SystemEntropy};
use vouchsafe_store::{
    Cells, Encrypted, Loaded, MemoryStore, Put, StoreError, Stored, Swap, Undelivered, Version,
    drive,
};
use vouchsafe_testkit::{
    CountingEntropy, FailingEntropy, SeededEntropy, Tally, TallyEvent, block_on,
};

const KEY: CellKey = CellKey::new(Space::Lockout, [7; 16]);
const ONE: Version = Version::new([1; 16]);
const TWO: Version = Version::new([2; 16]);

fn sealed() -> Encrypted<MemoryStore> {
    Encrypted::new(MemoryStore::new(16 << 20), RootKey::new(&[9; 32]))
}

fn save(cells: &impl Cells, key: CellKey, bytes: &[u8], version: Version) {
    let was = block_on(cells.load(key)).ok().and_then(|loaded| loaded.version());
    let put = Put::save(bytes.to_vec(), Timestamp::MAX, version);
    assert_eq!(block_on(cells.swap(key, was, put)).unwrap(), Swap::Done);
}

fn raw(cells: &Encrypted<MemoryStore>, key: CellKey) -> Vec<u8> {
    block_on(cells.inner().load(key)).unwrap().cell.unwrap().bytes
}

fn is_corrupt(loaded: Result<Loaded, StoreError>, key: CellKey) -> bool {
    matches!(loaded, Err(StoreError::Corrupt(at)) if at == key)
}

#[test]
fn any_edit_is_corrupt() {
    let cells = sealed();
    save(&cells, KEY, b"five failures", ONE);
    let good = raw(&cells, KEY);
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut edited = good.clone();
            edited[at] ^= bit;
            save(cells.inner(), KEY, &edited, ONE);
            assert!(is_corrupt(block_on(cells.load(KEY)), KEY), "byte {at}");
        }
    }
    for len in 0..good.len() {
        save(cells.inner(), KEY, &good[..len], ONE);
        assert!(is_corrupt(block_on(cells.load(KEY)), KEY), "cut to {len}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    save(cells.inner(), KEY, &longer, ONE);
    assert!(is_corrupt(block_on(cells.load(KEY)), KEY), "lengthened");
    save(cells.inner(), KEY, &good, ONE);
    let loaded = block_on(cells.load(KEY)).unwrap();
    assert_eq!(loaded.cell, Some(Stored::new(b"five failures".to_vec(), ONE)));
}

#[test]
fn a_value_moved_elsewhere_is_corrupt() {
    let cells = sealed();
    save(&cells, KEY, b"unlocked", ONE);
    let good = raw(&cells, KEY);
    let mut neighbour = KEY;
    neighbour.digest[0] ^= 1; // the same subkey
    let mut stranger = KEY;
    stranger.digest[15] ^= 1; // another one
    for to in [neighbour, stranger, CellKey::new(Space::Account, KEY.digest)] {
        save(cells.inner(), to, &good, ONE);
        assert!(is_corrupt(block_on(cells.load(to)), to), "{to:?}");
    }
    // Under another version of the same cell.
    save(cells.inner(), KEY, &good, TWO);
    assert!(is_corrupt(block_on(cells.load(KEY)), KEY));
    // Under another installation's keys.
    let other = Encrypted::new(MemoryStore::new(1 << 20), RootKey::new(&[8; 32]));
    save(other.inner(), KEY, &good, ONE);
    assert!(is_corrupt(block_on(other.load(KEY)), KEY));
}

/// A value opens in another process, in whichever order that comes to its keys.
#[test]
fn each_space_has_keys_of_its_own() {
    let raw = Arc::new(MemoryStore::new(1 << 20));
    let process = || Encrypted::new(Arc::clone(&raw), RootKey::new(&[9; 32]));
    let (first, second) = (process(), process());
    let keys = Space::ALL.map(|space| CellKey::new(space, KEY.digest));
    keys.iter().for_each(|key| save(&first, *key, &[key.space.code()], ONE));
    for key in keys.iter().rev() {
        let there = block_on(second.load(*key)).unwrap().cell;
        assert_eq!(there, Some(Stored::new(vec![key.space.code()], ONE)));
    }
}

#[test]
fn corrupt_is_never_a_fresh_start() {
    let cells = sealed();
    let entropy = SeededEntropy::new(1);
    let add = |id| {
        let event = TallyEvent::Add(id);
        block_on(drive(&cells, &entropy, KEY, &Tally, event, Timestamp::EPOCH))
    };
    assert_eq!(add(1).unwrap(), 1);
    let version = block_on(cells.load(KEY)).unwrap().version().unwrap();
    let mut edited = raw(&cells, KEY);
    edited[40] ^= 1;
    save(cells.inner(), KEY, &edited, version);
    for _ in 0..2 {
        let Undelivered { error, event } = add(2).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(at) if at == KEY));
        assert_eq!(event, TallyEvent::Add(2));
    }
    assert_eq!(raw(&cells, KEY), edited, "written over");
    // Not even a swap that expects nothing gets by it.
    let put = Put::save(vec![1], Timestamp::MAX, TWO);
    let swapped = block_on(cells.swap(KEY, None, put));
    assert!(matches!(swapped, Err(StoreError::Corrupt(at)) if at == KEY));
}

#[test]
fn raw_bytes_show_nothing_but_a_padded_size() {
    let cells = sealed();
    let text = b"ada@example.org 192.0.2.7 2026-01-02T03:04:05Z locked";
    save(&cells, KEY, text, ONE);
    let bytes = raw(&cells, KEY);
    for window in text.windows(4) {
        assert!(!bytes.windows(4).any(|raw| raw == window), "{window:?} shows");
    }
    let mut sizes = HashSet::new();
    for len in 0..=4000 {
        save(&cells, KEY, &vec![0; len], Version::new([3; 16]));
        sizes.insert(raw(&cells, KEY).len());
    }
    assert_eq!(sizes.len(), 7, "{sizes:?}");
}

#[test]
fn every_attempt_draws_a_fresh_nonce() {
    let entropy = Arc::new(CountingEntropy::new(SystemEntropy::new()));
    let cells = Encrypted::with_entropy(
        MemoryStore::new(16 << 20),
        RootKey::new(&[9; 32]),
        Arc::clone(&entropy),
    );
    let mut seen = HashSet::new();
    // The same value for the same cell under the same version.
    for attempt in 1..=1000 {
        save(&cells, KEY, b"same", ONE);
        let bytes = raw(&cells, KEY);
        assert!(seen.insert(bytes[5..17].to_vec()), "a nonce came again");
        assert_eq!((entropy.draws(), entropy.drawn()), (attempt, attempt * 12));
    }
    // An attempt that loses its race has used up its nonce as well.
    let lost = block_on(cells.swap(KEY, None, Put::save(vec![1], Timestamp::MAX, TWO))).unwrap();
    assert!(matches!(lost, Swap::Conflict(_)));
    assert_eq!(entropy.draws(), 1001);
}

#[test]
fn without_fresh_bytes_nothing_is_written() {
    let cells = Encrypted::with_entropy(
        MemoryStore::new(1 << 20),
        RootKey::new(&[9; 32]),
        FailingEntropy::after(1, SystemEntropy::new()),
    );
    save(&cells, KEY, b"first", ONE);
    let put = Put::save(b"second".to_vec(), Timestamp::MAX, TWO);
    let refused = block_on(cells.swap(KEY, Some(ONE), put));
    assert!(matches!(refused, Err(StoreError::NoEntropy(_))));
    assert_eq!(block_on(cells.load(KEY)).unwrap().version(), Some(ONE));
}

#[test]
fn an_expiry_shows_only_its_hour() {
    let cells = sealed();
    let hour = 3_600_000_000_i64;
    let until = Timestamp::from_micros(10 * hour + 1);
    let put = Put::save(vec![1], until, ONE);
    assert_eq!(block_on(cells.swap(KEY, None, put)).unwrap(), Swap::Done);
    let sweep = |micros| block_on(cells.sweep(Timestamp::from_micros(micros), 10)).unwrap();
    assert_eq!(sweep(11 * hour), 0, "dropped before the hour was over");
    assert_eq!(sweep(11 * hour + 1), 1);
}

#[test]
fn values_up_to_the_documented_length_fit() {
    let cells = sealed();
    let longest = Encrypted::<MemoryStore>::MAX_VALUE;
    save(&cells, KEY, &vec![1; longest], ONE);
    assert_eq!(block_on(cells.load(KEY)).unwrap().cell.unwrap().bytes.len(), longest);
    let put = Put::save(vec![1; longest + 1], Timestamp::MAX, TWO);
    let refused = block_on(cells.swap(KEY, Some(ONE), put));
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
}
