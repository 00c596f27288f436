//! What goes back to the allocator while passwords are hashed and verified: every block is looked
//! at. Its own test binary, because the allocator is the process's; here, because it is unsafe.
#![expect(unsafe_code, reason = "an allocator")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use argon2::{Algorithm, Argon2, Block, Version};
use vouchsafe_core::{
    AccountDigest, ChargeId, Charged, PolicyDigest, Standing, TenantId, Timestamp, UserId,
};
use vouchsafe_password::{
    Attributes, Binding, HashPolicy, HashPool, OwnerPresent, Password, PasswordPolicy, PoolConfig,
    Record, Stored, Verified,
};
use vouchsafe_testkit::{ManualClock, SeededEntropy};
use zeroize::Zeroizing;

/// The password, kept in a form in which it is not found.
const MASK: u8 = 0xa5;
const MASKED: [u8; 24] = masked(*b"Zu\xcc\x88rich#47-Quarz!Lampe+");
/// The least memory of the pools below. Nothing else in the tests is as large.
const LEAST: usize = 64 * 1024;

const fn masked(plain: [u8; 24]) -> [u8; 24] {
    let mut masked = plain;
    let mut at = 0;
    while at < masked.len() {
        masked[at] ^= MASK;
        at += 1;
    }
    masked
}

/// How many of a run of combining marks, U+0316 onwards, tell of the password.
const MARKS: u32 = 8;

struct Watching;

#[global_allocator]
static WATCHING: Watching = Watching;

static ON: AtomicBool = AtomicBool::new(false);
/// Blocks of Argon2's size that were given back, those of them that were not wiped, and blocks of
/// any size with a piece of the password in them.
static LARGE: AtomicUsize = AtomicUsize::new(0);
static UNWIPED: AtomicUsize = AtomicUsize::new(0);
static TELLING: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that there is nothing in a block but what its owner wrote.
        // SAFETY: the caller's part is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if ON.load(Ordering::Relaxed) {
            // SAFETY: a block of this size, initialised by `alloc`, that nobody uses any more.
            look(unsafe { std::slice::from_raw_parts(at, layout.size()) });
        }
        // SAFETY: the caller's part is passed on.
        unsafe { System.dealloc(at, layout) }
    }
    // `realloc` is made of the two above.
}

fn look(block: &[u8]) {
    if block.len() >= LEAST {
        LARGE.fetch_add(1, Ordering::Relaxed);
        let unwiped = block.iter().any(|byte| *byte != 0);
        UNWIPED.fetch_add(usize::from(unwiped), Ordering::Relaxed);
    }
    // A third of the password, as text or as characters, of whichever case.
    let telling = block.iter().enumerate().any(|(at, byte)| {
        let piece_of = |step: usize| {
            MASKED.windows(8).any(|piece| {
                piece.iter().enumerate().all(|(i, byte)| {
                    let seen = block.get(at + i * step);
                    seen.is_some_and(|seen| seen.eq_ignore_ascii_case(&(byte ^ MASK)))
                })
            })
        };
        // Characters one after the other, alone or each with its class.
        let marks_by = |step: usize| {
            (0..MARKS).all(|i| {
                let mark = block.get(at + i as usize * step..).and_then(<[u8]>::first_chunk);
                mark.is_some_and(|mark| u32::from_le_bytes(*mark) == 0x316 + i)
            })
        };
        *byte != 0 && (piece_of(1) || piece_of(4) || marks_by(4) || marks_by(8))
    });
    TELLING.fetch_add(usize::from(telling), Ordering::Relaxed);
}

/// Large blocks given back during `work`, how many of them unwiped, and how many blocks held a
/// piece of the password.
fn given_back(work: impl FnOnce()) -> (usize, usize, usize) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let counts = [&LARGE, &UNWIPED, &TELLING];
    counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    ON.store(true, Ordering::Relaxed);
    work();
    ON.store(false, Ordering::Relaxed);
    let [large, unwiped, telling] = counts.map(|count| count.load(Ordering::Relaxed));
    (large, unwiped, telling)
}

/// The password, with room behind it as a reader of forms leaves.
fn plain() -> Zeroizing<String> {
    let mut bytes = Vec::with_capacity(100);
    bytes.extend(MASKED.iter().map(|byte| byte ^ MASK));
    Zeroizing::new(String::from_utf8(bytes).unwrap())
}

fn typed() -> Password {
    Password::new(std::mem::take(&mut *plain())).unwrap()
}

fn pool(memory_kib: u32, budget_kib: u32) -> HashPool {
    let policy = HashPolicy::danger_below_floor(memory_kib, 1).unwrap();
    let config = PoolConfig::new(policy).workers(1).budget_kib(budget_kib);
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    HashPool::new(config, clock, Arc::new(SeededEntropy::new(1))).unwrap()
}

fn martha() -> Binding {
    Binding::new(&TenantId::new("acme").unwrap(), &UserId::new("martha").unwrap())
}

fn charged() -> Charged {
    let account = AccountDigest::new([7; 16]);
    Charged::assertion(account, ChargeId::new(1), PolicyDigest::NONE, Timestamp::MAX)
}

fn enrol(pool: &HashPool) -> Record {
    let password = typed();
    let known = Attributes::none().with("Zürich").with("lampe");
    let accepted = PasswordPolicy::zoomph_staff().check(&password, &known).unwrap();
    let owner = OwnerPresent::assertion(AccountDigest::new([7; 16]));
    pool.hash(accepted, owner, martha()).wait().unwrap().as_record().clone()
}

/// A password that is not the plainest: a letter under many marks.
fn marked() -> String {
    let marks = (0..MARKS).filter_map(|i| char::from_u32(0x316 + i));
    let mut text = String::with_capacity(100);
    text.push('e');
    text.extend(marks.chain(['\u{301}']));
    text
}

/// Whether it matched, and whether it was hashed anew.
fn verify(pool: &HashPool, stored: impl Into<Stored>) -> (bool, bool) {
    match pool.verify(charged(), &typed(), stored, martha()).wait() {
        Verified::Match { upgrade, .. } => (true, upgrade.is_some()),
        Verified::NoMatch(_) => (false, false),
        Verified::NotVerified(_, reason) => panic!("{reason}"),
    }
}

#[test]
fn no_block_is_given_back_unwiped() {
    let (large, unwiped, telling) = given_back(|| {
        let (small, roomy, double) = (pool(64, 64), pool(64, 128), pool(128, 128));
        let record = enrol(&small);
        assert_eq!(verify(&small, record.clone()), (true, false));
        assert_eq!(verify(&double, record.clone()), (true, true), "hashed anew");
        assert_eq!(verify(&small, Stored::Absent), (false, false));
        // As typed and normalised, and of another account.
        let raw: Record = record.to_string().replace(":bound:nfc:", ":free:raw:").parse().unwrap();
        assert_eq!(verify(&small, raw), (false, false));
        // The memory of one gives way to that of another.
        assert_eq!(verify(&roomy, record.clone()), (true, false));
        assert_eq!(verify(&roomy, enrol(&double)), (true, false));
        assert_eq!(roomy.work().held_kib, 128);
        // Too long as typed, and once normalised.
        for times in [150, 50] {
            let too_long = Zeroizing::new(plain().repeat(times));
            assert!(Password::new(too_long.as_str().to_owned()).is_err());
        }
        assert!(Password::new(marked()).is_ok());
        let initial = small.hash_initial(&typed(), martha()).wait().unwrap();
        assert_eq!(initial.standing(), Standing::MustChange);
        // Nobody waits for this one.
        drop(small.verify(charged(), &typed(), record, martha()));
    });
    assert_eq!((unwiped, telling), (0, 0), "of {large} large blocks");
    assert_eq!(large, 4, "one of each pool, and one that gave way");
}

/// What the test above is made to see.
#[test]
fn a_leaky_hasher_is_noticed() {
    let leaky = || {
        let text = plain().as_str().to_owned();
        let mut blocks = vec![Block::new(); 64];
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(text.as_bytes(), &[1; 16], &mut [0; 32], &mut blocks)
            .unwrap();
    };
    assert_eq!(given_back(leaky), (1, 1, 1));
    // As characters, in lower case.
    let folded = || drop(plain().chars().flat_map(char::to_lowercase).collect::<Vec<_>>());
    assert!(given_back(folded).2 > 0);
}
