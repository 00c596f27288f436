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

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe::core::{AccountDigest, CellKey, ChargeId, NotMatched, PolicyDigest, Timestamp};
use vouchsafe::counting::drive;
use vouchsafe::lockout::{
    Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutVerdict as V, Overflow,
};
use vouchsafe::store::{Cells, Loaded, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{SeededEntropy, block_on};

const HOUR: Duration = Duration::from_secs(3_600);
const START: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);
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

struct Desk {
    cells: Hooked,
    overflow: Overflow,
    machine: LockoutMachine,
    entropy: SeededEntropy,
    by: AtomicUsize,
}

fn desk() -> Arc<Desk> {
    let policy = LockoutPolicy::builder().limit(Limit::new(5, HOUR)).build().unwrap();
    Arc::new(Desk {
        cells: Hooked {
            cells: MemoryStore::new(1 << 20),
            full: AtomicBool::new(false),
            last_was_full: AtomicBool::new(false),
            last_was_done: AtomicBool::new(false),
            at_full: Mutex::default(),
            at_done: Mutex::default(),
        },
        overflow: Overflow::default(),
        machine: LockoutMachine::new(policy, PolicyDigest::NONE),
        entropy: SeededEntropy::new(1),
        by: AtomicUsize::new(0),
    })
}

impl Desk {
    fn send(&self, event: LockoutEvent) -> Result<V, StoreError> {
        let driven = drive(&self.cells, &self.overflow, &self.entropy, &self.machine, event, START);
        block_on(driven).map_err(|undelivered| undelivered.error)
    }

    /// Begins, and settles as wrong where admitted.
    fn guess(&self) -> bool {
        let begin = Begin::new(ACCOUNT, ChargeId::new(self.entropy.next()));
        match self.send(LockoutEvent::Begin(begin)).unwrap() {
            V::Admitted(charged) => {
                self.by.fetch_add(1, Ordering::SeqCst);
                let _ = self.send(LockoutEvent::NotMatched(NotMatched::assertion(charged)));
                true
            }
            _ => false,
        }
    }

    fn unlock(&self, id: u64) -> Result<V, StoreError> {
        self.send(LockoutEvent::Unlock { account: ACCOUNT, id: ChargeId::new(id) })
    }
}

/// Attempts that are between their charge beside the store and their look into it, while the account
/// is unlocked: all of them get by, and five more afterwards.
#[test]
fn since_an_unlock_no_more_than_five_get_by() {
    let desk = desk();
    desk.cells.full.store(true, Ordering::SeqCst);
    assert_eq!((0..9).filter(|_| desk.guess()).count(), 5, "locked");
    let (other, depth) = (Arc::clone(&desk), AtomicUsize::new(0));
    let by_before = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&by_before);
    *desk.cells.at_full.lock().unwrap() =
        Some(Arc::new(move || match depth.fetch_add(1, Ordering::SeqCst) {
            0..30 => drop(other.guess()),
            30 => {
                assert!(matches!(other.unlock(1), Ok(V::Unlocked)));
                seen.store(other.by.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            _ => {}
        }));
    desk.guess();
    *desk.cells.at_full.lock().unwrap() = None;
    let in_flight = desk.by.load(Ordering::SeqCst) - by_before.load(Ordering::SeqCst);
    let after = (0..20).filter(|_| desk.guess()).count();
    assert!(
        in_flight + after <= 5,
        "{in_flight} verified since the unlock that had begun before it, and {after} more"
    );
}

/// One that the store has charged, and that is about to look beside it, where five are counted.
#[test]
fn before_an_unlock_no_more_than_five_get_by() {
    let desk = desk();
    desk.cells.full.store(true, Ordering::SeqCst);
    assert_eq!((0..9).filter(|_| desk.guess()).count(), 5, "locked");
    desk.cells.full.store(false, Ordering::SeqCst);
    assert!(!desk.guess(), "and it stays so with room again");
    let (other, done) = (Arc::clone(&desk), AtomicBool::new(false));
    desk.cells.last_was_done.store(false, Ordering::SeqCst);
    *desk.cells.at_done.lock().unwrap() = Some(Arc::new(move || {
        if !done.swap(true, Ordering::SeqCst) {
            assert!(matches!(other.unlock(1), Ok(V::Unlocked)));
        }
    }));
    let sixth = desk.guess();
    assert!(!sixth, "a sixth, charged before the unlock, is verified, and counts on no side of it");
}

/// "A repeat of the last one changes nothing."
#[test]
fn a_repeated_unlock_frees_nobody_again() {
    let desk = desk();
    assert!(matches!(desk.unlock(1), Ok(V::Unlocked)));
    desk.cells.full.store(true, Ordering::SeqCst);
    assert_eq!((0..9).filter(|_| desk.guess()).count(), 5, "locked");
    assert!(matches!(desk.unlock(1), Ok(V::Unlocked)), "the very same, of which no answer came");
    let more = (0..9).filter(|_| desk.guess()).count();
    assert_eq!(more, 0, "{more} more since the only unlock");
}
