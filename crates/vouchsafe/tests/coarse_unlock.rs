//! An unlock in the middle of attempts that a full store does not take: no guess too many on either side
//! of it. Each of these was one once.
#![cfg(feature = "gate")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

#[path = "overflow/desk.rs"]
mod desk;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vouchsafe::core::{AccountDigest, CellKey, ChargeId};
use vouchsafe::lockout::{Limit, LockoutEvent, LockoutVerdict as V, OnSuccess, Overflow};
use vouchsafe::store::{Cells, Loaded, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::SeededEntropy;

use desk::{Desk, HOUR, START, machine, wrong};

const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);

/// A store with or without room, and what happens at a load that follows a swap of each kind.
struct Hooked {
    cells: MemoryStore,
    full: AtomicBool,
    last_was_full: AtomicBool,
    last_was_done: AtomicBool,
    at_full: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    at_done: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Cells for Hooked {
    vouchsafe_testkit::pass_on!(cells: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        for (flag, hook) in
            [(&self.last_was_full, &self.at_full), (&self.last_was_done, &self.at_done)]
        {
            if flag.swap(false, Ordering::SeqCst) {
                let hook = hook.lock().unwrap().clone();
                if let Some(hook) = hook {
                    hook();
                }
            }
        }
        self.cells.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let there = self.cells.load(key).await?.cell.map_or(0, |cell| cell.bytes.len());
        match &put {
            Put::Save { bytes, .. } if self.full.load(Ordering::SeqCst) && bytes.len() > there => {
                self.last_was_full.store(true, Ordering::SeqCst);
                Ok(Swap::Full)
            }
            _ => {
                self.last_was_done.store(true, Ordering::SeqCst);
                self.cells.swap(key, expected, put).await
            }
        }
    }
}

/// A desk, and how many guesses it has let by.
struct House {
    desk: Desk<Hooked>,
    by: AtomicUsize,
}

fn house() -> Arc<House> {
    let cells = Hooked {
        cells: MemoryStore::new(1 << 20),
        full: AtomicBool::new(false),
        last_was_full: AtomicBool::new(false),
        last_was_done: AtomicBool::new(false),
        at_full: Mutex::default(),
        at_done: Mutex::default(),
    };
    let machine = machine(&[Limit::new(5, HOUR)], OnSuccess::OwnCharge);
    let (overflow, entropy) = (Overflow::default(), SeededEntropy::new(1));
    let desk = Desk { cells, overflow, machine, entropy };
    Arc::new(House { desk, by: AtomicUsize::new(0) })
}

impl House {
    /// Begins, and settles as wrong where admitted.
    fn guess(&self) -> bool {
        match self.desk.begin(ACCOUNT, START).unwrap() {
            V::Admitted(charged) => {
                self.by.fetch_add(1, Ordering::SeqCst);
                let _ = self.desk.send(wrong(charged), START);
                true
            }
            _ => false,
        }
    }

    fn unlock(&self, id: u64) -> Result<V, StoreError> {
        let unlock = LockoutEvent::Unlock { account: ACCOUNT, id: ChargeId::new(id) };
        self.desk.send(unlock, START)
    }

    fn room(&self, is_there: bool) {
        self.desk.cells.full.store(!is_there, Ordering::SeqCst);
    }
}

/// Attempts that are between their charge beside the store and their look into it, while the account
/// is unlocked: all of them get by, and five more afterwards.
#[test]
fn since_an_unlock_no_more_than_five_get_by() {
    let house = house();
    house.room(false);
    assert_eq!((0..9).filter(|_| house.guess()).count(), 5, "locked");
    let (other, depth) = (Arc::clone(&house), AtomicUsize::new(0));
    let by_before = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&by_before);
    *house.desk.cells.at_full.lock().unwrap() =
        Some(Arc::new(move || match depth.fetch_add(1, Ordering::SeqCst) {
            0..30 => drop(other.guess()),
            30 => {
                assert!(matches!(other.unlock(1), Ok(V::Unlocked)));
                seen.store(other.by.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            _ => {}
        }));
    house.guess();
    *house.desk.cells.at_full.lock().unwrap() = None;
    let in_flight = house.by.load(Ordering::SeqCst) - by_before.load(Ordering::SeqCst);
    let after = (0..20).filter(|_| house.guess()).count();
    assert!(
        in_flight + after <= 5,
        "{in_flight} verified since the unlock that had begun before it, and {after} more"
    );
}

/// One that the store has charged, and that is about to look beside it, where five are counted.
#[test]
fn before_an_unlock_no_more_than_five_get_by() {
    let house = house();
    house.room(false);
    assert_eq!((0..9).filter(|_| house.guess()).count(), 5, "locked");
    house.room(true);
    assert!(!house.guess(), "and it stays so with room again");
    let (other, done) = (Arc::clone(&house), AtomicBool::new(false));
    house.desk.cells.last_was_done.store(false, Ordering::SeqCst);
    *house.desk.cells.at_done.lock().unwrap() = Some(Arc::new(move || {
        if !done.swap(true, Ordering::SeqCst) {
            assert!(matches!(other.unlock(1), Ok(V::Unlocked)));
        }
    }));
    let sixth = house.guess();
    assert!(!sixth, "a sixth, charged before the unlock, is verified, and counts on no side of it");
}

/// "A repeat of the last one changes nothing."
#[test]
fn a_repeated_unlock_frees_nobody_again() {
    let house = house();
    assert!(matches!(house.unlock(1), Ok(V::Unlocked)));
    house.room(false);
    assert_eq!((0..9).filter(|_| house.guess()).count(), 5, "locked");
    assert!(matches!(house.unlock(1), Ok(V::Unlocked)), "the very same, of which no answer came");
    let more = (0..9).filter(|_| house.guess()).count();
    assert_eq!(more, 0, "{more} more since the only unlock");
}
