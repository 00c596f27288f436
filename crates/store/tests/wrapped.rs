//! Stores around stores: what they pass on, and what none of them shows.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::sync::Arc;

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_crypto::RootKey;
use vouchsafe_store::{
    AnyCells, Apart, Cells, Durability, Encrypted, Loaded, MemoryStore, Put, StoreError, Stored,
    Swap, Version,
};
use vouchsafe_testkit::{CountingStore, Fault, FaultyStore, block_on};

const ROOT: [u8; 32] = [9; 32];
const ONE: Version = Version::new([1; 16]);

fn memory() -> MemoryStore {
    MemoryStore::new(1 << 20)
}

fn key(space: Space, number: u8) -> CellKey {
    CellKey::new(space, [number; 16])
}

fn save(cells: &impl Cells, key: CellKey, until: Timestamp) {
    let put = Put::save(b"hunter2".to_vec(), until, ONE);
    assert_eq!(block_on(cells.swap(key, None, put)).unwrap(), Swap::Done);
}

fn there(cells: &impl Cells, key: CellKey) -> bool {
    block_on(cells.load(key)).unwrap().cell.is_some()
}

/// Cells over a server that fails over.
struct Server {
    cells: MemoryStore,
    durability: Durability,
    losses: u64,
}

impl Cells for Server {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.cells.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.cells.swap(key, expected, put).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.cells.scan(space, after, limit).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.cells.sweep(now, limit).await
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn losses(&self) -> u64 {
        self.losses
    }
}

fn server(durability: Durability, losses: u64) -> Server {
    Server { cells: memory(), durability, losses }
}

/// Whoever keeps credentials asks the store that there is, whatever stands before it.
#[test]
fn what_a_store_may_lose_is_known_through_whatever_stands_before_it() {
    for (durability, losses) in [(Durability::Durable, 0), (Durability::MayRollBack, 7)] {
        let made = || server(durability, losses);
        let says = |cells: &dyn Fn() -> (Durability, u64)| {
            assert_eq!(cells(), (durability, losses));
        };
        fn asked(cells: &impl Cells) -> (Durability, u64) {
            (cells.durability(), cells.losses())
        }
        says(&|| asked(&made()));
        says(&|| asked(&&made()));
        says(&|| asked(&Arc::new(made())));
        says(&|| asked(&AnyCells::new(made())));
        says(&|| asked(&Encrypted::new(made(), RootKey::new(&ROOT))));
        says(&|| asked(&Apart::new(memory(), made())));
        says(&|| asked(&CountingStore::new(made())));
    }
    // A store that says nothing of itself forgets everything at once or nothing at all.
    assert_eq!((memory().durability(), memory().losses()), (Durability::Durable, 0));
}

#[test]
fn of_two_stores_the_counters_may_be_lost_and_each_loss_counts() {
    let (lossy, sure) = (Durability::MayRollBack, Durability::Durable);
    for (lockout, rest) in [(lossy, sure), (sure, lossy)] {
        let both = Apart::new(server(lockout, 3), server(rest, 4));
        assert_eq!((both.durability(), both.losses()), (rest, 7));
    }
}

#[test]
fn of_two_stores_each_has_its_own_spaces() {
    let (lockout, rest) = (Arc::new(memory()), Arc::new(memory()));
    let both = Apart::new(Arc::clone(&lockout), Arc::clone(&rest));
    for space in Space::ALL {
        save(&both, key(space, 1), Timestamp::MAX);
        let counters = space == Space::Lockout;
        assert_eq!(there(&*lockout, key(space, 1)), counters, "{space:?}");
        assert_eq!(there(&*rest, key(space, 1)), !counters, "{space:?}");
        assert!(there(&both, key(space, 1)));
        assert_eq!(block_on(both.scan(space, None, 10)).unwrap(), [key(space, 1)]);
    }
}

#[test]
fn two_stores_are_swept_within_one_limit() {
    let past = Timestamp::from_micros(11);
    for (limit, swept, left) in [(2, 2, (1, 3)), (3, 3, (0, 3)), (4, 4, (0, 2)), (9, 6, (0, 0))] {
        let (lockout, rest) = (Arc::new(memory()), Arc::new(memory()));
        let both = Apart::new(Arc::clone(&lockout), Arc::clone(&rest));
        for number in 0..3 {
            for space in [Space::Lockout, Space::Account] {
                save(&both, key(space, number), Timestamp::from_micros(10));
            }
        }
        assert_eq!(block_on(both.sweep(past, limit)).unwrap(), swept);
        let count =
            |cells: &MemoryStore, space| block_on(cells.scan(space, None, 10)).unwrap().len();
        assert_eq!((count(&lockout, Space::Lockout), count(&rest, Space::Account)), left);
    }
}

#[test]
fn of_two_stores_one_that_does_not_answer_keeps_the_other_from_nothing() {
    let past = Timestamp::from_micros(11);
    for lockout_fails in [true, false] {
        let (lockout, rest) = (Arc::new(memory()), Arc::new(memory()));
        save(&*lockout, key(Space::Lockout, 1), Timestamp::from_micros(10));
        save(&*rest, key(Space::Account, 1), Timestamp::from_micros(10));
        let fault = |fails: bool| move |_| fails.then_some(Fault::Before);
        let both = Apart::new(
            FaultyStore::new(Arc::clone(&lockout), fault(lockout_fails)),
            FaultyStore::new(Arc::clone(&rest), fault(!lockout_fails)),
        );
        let swept = block_on(both.sweep(past, 10));
        assert!(matches!(swept, Err(StoreError::Unavailable(_))), "{swept:?}");
        assert_eq!(there(&*lockout, key(Space::Lockout, 1)), lockout_fails);
        assert_eq!(there(&*rest, key(Space::Account, 1)), !lockout_fails);
        assert_eq!(block_on(both.load(key(Space::Lockout, 2))).is_err(), lockout_fails);
        assert_eq!(block_on(both.load(key(Space::Account, 2))).is_err(), !lockout_fails);
    }
}

/// A cell may hold what only its owner should see: logs get its length and its version.
#[test]
fn what_is_printed_shows_no_value() {
    let version = Version::new([0xAB; 16]);
    let ab = "ab".repeat(16);
    let stored = Stored::new(b"hunter2".to_vec(), version);
    assert_eq!(format!("{version:?}"), format!("Version({ab})"));
    assert_eq!(format!("{stored:?}"), format!("Stored(7 bytes, Version({ab}))"));
    let put = Put::save(b"hunter2".to_vec(), Timestamp::EPOCH, version);
    let until = Timestamp::EPOCH;
    assert_eq!(format!("{put:?}"), format!("Save(7 bytes until {until}, Version({ab}))"));
    assert_eq!(format!("{:?}", Put::Erase), "Erase");
    let cells = memory();
    assert_eq!(format!("{cells:?}"), "MemoryStore(0 of 1048576 bytes)");
    save(&cells, key(Space::Account, 1), Timestamp::MAX);
    let shown = format!("{:?}", Encrypted::new(&cells, RootKey::new(&ROOT)));
    assert!(shown.starts_with("Encrypted(") && !shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("9, 9"), "the key: {shown}");
    assert_eq!(format!("{:?}", AnyCells::new(cells)), "AnyCells(..)");
}
