//! The published bugs of password software, each played against ours, and against its own fault.
//!
//! `hall/theirs.rs` has the faults: each small program must show what was published, and must not
//! where it is mended.
#![cfg(feature = "import")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;
#[path = "hall/theirs.rs"]
mod theirs;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use argon2::{Algorithm, Argon2, Version};
use base64ct::{Base64Bcrypt, Base64Unpadded, Encoding};
use common::{ACCOUNT, NOW, accepted, charged, cheap, hostile, martha, matched, password, pool};
use theirs::{Bcrypt, Column, Cut, Permits, Similarity, Table, hashes, set_aside};
use vouchsafe_core::{Effect, Entropy, Machine, NoEntropy, Standing, Timestamp};
use vouchsafe_password::{
    Attributes, Credential, CredentialEvent, CredentialMachine, HashPolicy, HashPool, OwnerPresent,
    Password, PasswordPolicy, PoolConfig, Stored, TooLong, Unmet, Upgrade, Verified,
};
use vouchsafe_testkit::{ManualClock, SeededEntropy};

fn dearer() -> HashPolicy {
    HashPolicy::danger_below_floor(128, 2).unwrap()
}

/// Django CVE-2021-45115: whether a password was similar to the user's name cost time that grew
/// with the password's length, which nothing bounded.
#[test]
fn django_cve_2021_45115() {
    let long = "a".repeat(1 << 20);
    let theirs = |mended| Similarity { mended }.steps(&long, &long);
    assert_eq!((theirs(false), theirs(true)), (Some(1 << 40), None));

    // Ours never comes to the comparison, from either side.
    assert_eq!(Password::new(long.clone()).unwrap_err(), TooLong);
    let rule = PasswordPolicy::builder().refuse_common(false).build().unwrap();
    let typed = password(&"Tannhof".repeat(30));
    let same_as = |attribute: &str| {
        rule.check(&typed, &Attributes::none().with(attribute)).err().unwrap_or_default()
    };
    assert!(same_as("Tannhof").contains(&Unmet::Personal));
    assert!(same_as(&"Tannhof ".repeat(1 << 17)).is_empty(), "a long attribute is looked at");
    let mut many = Attributes::none();
    for other in 0..Attributes::MAX {
        many = many.with(&format!("somebody {other}"));
    }
    assert!(rule.check(&typed, &many.with("Tannhof")).is_ok(), "one of too many is looked at");
}

/// Django CVE-2024-39329: who had no usable password was answered sooner than everybody else, as
/// nothing was hashed.
#[test]
fn django_cve_2024_39329() {
    let kinds = [Column::Hash, Column::Missing, Column::Unusable, Column::Malformed];
    assert_eq!(kinds.map(|column| hashes(column, false)), [1, 1, 0, 0]);
    assert_eq!(kinds.map(|column| hashes(column, true)), [1; 4]);

    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let own = common::record(&pool, "right");
    let ours = kinds.map(|column| {
        let stored = match column {
            Column::Hash => Stored::from(own.clone()),
            Column::Missing => Stored::Absent,
            // As Django marks it.
            Column::Unusable => Stored::read(Some("!Aq3bXkVn1mCkLtZ0qzq2l5nXyq8Yw6cH4dR1s0pT")),
            Column::Malformed => Stored::read(Some("vouchsafe:1:chosen:bound:nfc:-:$argon2id$")),
        };
        let before = pool.work();
        let verified = pool.verify(charged(1), &password("wrong"), stored, martha()).wait();
        assert_eq!(matched(verified), None);
        let after = pool.work();
        (after.runs - before.runs, after.blocks - before.blocks)
    });
    assert_eq!(ours, [(1, cheap().params().blocks()); 4]);
}

/// Hostile stored parameters: a row that asks for terabytes, written by whoever can write rows,
/// takes the whole service's memory at the next sign-in.
#[test]
fn hostile_stored_parameters() {
    let rows: Vec<_> = hostile::corpus().into_iter().filter(|row| row.contains(",p=1$")).collect();
    assert!(rows.len() > 20);
    let most = |mended| rows.iter().map(|row| set_aside(row, mended)).max().unwrap();
    assert!(most(false) > 1 << 30 && most(true) <= 65_536, "{} {}", most(false), most(true));

    let pool = pool(PoolConfig::new(cheap()).workers(1).budget_kib(65_536));
    for row in &rows {
        let stored = Stored::read(Some(row));
        let verified = pool.verify(charged(1), &password("x"), stored, martha()).wait();
        assert_eq!(matched(verified), None);
        assert_eq!(pool.work().held_kib, cheap().params().memory_kib(), "{row}");
    }
    let expected = cheap().params().blocks() * rows.len() as u64;
    assert_eq!(pool.work().blocks, expected, "no more work than for nobody");
}

/// A host's own column, and the compare-and-swap that it is updated with.
fn swap(column: &mut String, upgrade: &Upgrade) {
    if *column == upgrade.expected().to_string() {
        *column = upgrade.new_record().to_string();
    }
}

fn upgrade(pool: &HashPool, column: &str, text: &str) -> Upgrade {
    let stored = Stored::read(Some(column));
    match pool.verify(charged(1), &password(text), stored, martha()).wait() {
        Verified::Match { upgrade: Some(upgrade), .. } => upgrade,
        other => panic!("{other:?}"),
    }
}

fn opens(pool: &HashPool, stored: Stored, text: &str) -> bool {
    matched(pool.verify(charged(1), &password(text), stored, martha()).wait()).is_some()
}

/// A password is reset while a sign-in with the old one is under way; its rehash, written last,
/// restores the old password, which the reset was to keep a thief from using.
#[test]
fn a_rehash_restores_a_reset_password() {
    let theirs = |mended| {
        let mut table = Table::default();
        table.write("ada", "old", 1).unwrap();
        let read = table.row("ada").unwrap();
        table.write("ada", "new", 1).unwrap();
        table.upgrade("ada", &read, mended).unwrap();
        (table.login("ada", "old", true), table.login("ada", "new", true))
    };
    assert_eq!((theirs(false), theirs(true)), ((true, false), (false, true)));

    let (weak, strong) = (pool(PoolConfig::new(cheap())), pool(PoolConfig::new(dearer())));
    let mut column = common::record(&weak, "old").to_string();
    let late = upgrade(&strong, &column, "old");
    column = common::record(&strong, "new").to_string();
    swap(&mut column, &late);
    let read = || Stored::read(Some(&column));
    assert_eq!((opens(&strong, read(), "old"), opens(&strong, read(), "new")), (false, true));

    // The same in an account's cell.
    let mut cell = Credential::default();
    let mut step = |event: &CredentialEvent| {
        let step = CredentialMachine.step(Some(&cell), event, Timestamp::EPOCH);
        if let Effect::Save { state, .. } = step.split().0 {
            cell = state;
        }
        cell.clone()
    };
    let chosen = |pool: &HashPool, text| {
        pool.hash(accepted(text), OwnerPresent::assertion(ACCOUNT), martha()).wait().unwrap()
    };
    let first = step(&CredentialEvent::Set { expect: 0, record: chosen(&weak, "old") });
    let verified = strong.verify(charged(1), &password("old"), first.stored(), martha()).wait();
    let Verified::Match { upgrade: Some(late), .. } = verified else { panic!("{verified:?}") };
    let _ = step(&CredentialEvent::Set { expect: 1, record: chosen(&strong, "new") });
    let last = step(&CredentialEvent::Upgrade(late));
    let read = || last.stored();
    assert_eq!((opens(&strong, read(), "old"), opens(&strong, read(), "new")), (false, true));
}

/// No more random bytes after so many.
struct RunsDry(SeededEntropy, AtomicUsize);

impl Entropy for RunsDry {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let left = self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_err(|_| NoEntropy)?;
        self.0.fill(out)
    }
}

/// A good login was denied because the rehash that came with it could not be made or written.
#[test]
fn a_failed_rehash_denies_a_good_login() {
    let theirs = |mended| {
        let mut table = Table::default();
        table.write("ada", "right", 1).unwrap();
        table.read_only = true;
        table.login("ada", "right", mended)
    };
    assert_eq!((theirs(false), theirs(true)), (false, true));

    let record = common::record(&pool(PoolConfig::new(cheap())), "right");
    // It starts, with a salt and a tag of nobody's and a key, and has none for a new record's salt.
    let entropy = Arc::new(RunsDry(SeededEntropy::new(1), AtomicUsize::new(3)));
    let clock = Arc::new(ManualClock::at(NOW));
    let dry = HashPool::new(PoolConfig::new(dearer()), clock, Arc::clone(&entropy) as _).unwrap();
    entropy.1.store(0, Ordering::SeqCst);
    let ask = |pool: &HashPool| {
        pool.verify(charged(1), &password("right"), record.clone(), martha()).wait()
    };
    match ask(&dry) {
        Verified::Match { matched, upgrade: None } => {
            assert_eq!(matched.standing(), Standing::Chosen);
        }
        other => panic!("{other:?}"),
    }
    // With bytes it has one; that nobody writes it is the host's affair, and changes no answer.
    match ask(&pool(PoolConfig::new(dearer()))) {
        Verified::Match { upgrade: Some(unwritten), .. } => drop(unwritten),
        other => panic!("{other:?}"),
    }
    assert!(opens(&dry, Stored::from(record.clone()), "right"));
}

/// Holds every hash where it draws its salt, until it is let go.
struct Gate {
    bytes: SeededEntropy,
    came: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Entropy for Gate {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let worker = std::thread::current().name().is_some_and(|n| n.starts_with("password-hash"));
        if worker {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            self.came.lock().unwrap().send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
        self.bytes.fill(out)
    }
}

/// Callers who went away freed the permit of a hash that was still running, so that a client who
/// hangs up again and again had as many running as it liked.
#[test]
fn a_permit_is_freed_with_work_still_running() {
    let theirs = |mended| {
        let mut permits = Permits::new(1, mended);
        for _ in 0..50 {
            if permits.start() {
                permits.go_away();
            }
        }
        permits.most
    };
    assert_eq!((theirs(false), theirs(true)), (50, 1));

    let ((came, comes), (go, let_go)) = (channel(), channel());
    let gate = Arc::new(Gate {
        bytes: SeededEntropy::new(1),
        came: Mutex::new(came),
        go: Mutex::new(let_go),
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    // Threads for four, memory for one.
    let kib = cheap().params().memory_kib();
    let config = PoolConfig::new(cheap()).workers(4).budget_kib(kib);
    let clock = Arc::new(ManualClock::at(NOW));
    let pool = HashPool::new(config, clock, Arc::clone(&gate) as _).unwrap();
    for _ in 0..50 {
        let hashing = pool.hash_initial(&password("x"), martha());
        comes.recv().unwrap();
        drop(hashing);
        // Nobody waits for it any more, and it runs: what it holds is not for the next one.
        assert_eq!(pool.work().held_kib, kib);
        let next = pool.hash_initial(&password("y"), martha());
        assert_eq!((pool.work().held_kib, pool.work().queued), (kib, 1));
        drop(next);
        go.send(()).unwrap();
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), 1);
    assert!(comes.try_recv().is_err(), "what was left in the queue was hashed for nobody");
}

/// Passwords that agree in their first 72 bytes opened each other's accounts (CVE-2025-22228); then
/// the mended encoder locked out whoever had a longer one (Spring #16802). Who makes the old hash one
/// of all that was typed, which nobody has checked, locks out whoever slips there once.
#[test]
fn spring_16802() {
    // Does the owner of a longer one get in, also after a slip behind the 72 bytes; and whoever knows
    // the first 72 bytes of one that was chosen since?
    let theirs = |flaw| {
        let mut row = Bcrypt::enrolled_long_ago(&long('a'), flaw);
        let gets_in = row.login(&long('a'));
        row.login(&long('b'));
        let still = row.login(&long('a'));
        row.set(&long('a'));
        (gets_in, still, row.login(&long('b')))
    };
    assert_eq!(theirs(Cut::Off), (true, true, true));
    assert_eq!(theirs(Cut::Refused), (false, false, false));
    let mut slipped = Bcrypt::enrolled_long_ago(&long('a'), Cut::Pinned);
    assert!(slipped.login(&long('b')) && !slipped.login(&long('a')));
    assert_eq!(theirs(Cut::Mended), (true, true, false));

    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let salt = b"sixteen bytes of";
    let hash = bcrypt::bcrypt(4, *salt, &long('a').as_bytes()[..72]);
    let (salt, hash) =
        (Base64Bcrypt::encode_string(salt), Base64Bcrypt::encode_string(&hash[..23]));
    let mut column = format!("$2b$04${salt}{hash}");
    let login = |column: &mut String, text: &str| {
        let stored = Stored::import(Some(column));
        match pool.verify(charged(1), &password(text), stored, martha()).wait() {
            Verified::Match { upgrade, .. } => {
                let upgrade = upgrade.map(|upgrade| upgrade.new_record().to_string());
                *column = upgrade.unwrap_or_else(|| column.clone());
                true
            }
            Verified::NoMatch(_) => false,
            other => panic!("{other:?}"),
        }
    };
    assert!(login(&mut column, &long('a')) && login(&mut column, &long('b')));
    // The 72 bytes alone, which bcrypt does not tell from what is longer.
    assert!(login(&mut column, &"x".repeat(72)));
    assert!(login(&mut column, &long('a')) && !login(&mut column, &"x".repeat(71)));
    column = common::record(&pool, &long('a')).to_string();
    assert!(login(&mut column, &long('a')));
    assert!(!login(&mut column, &long('b')) && !login(&mut column, &"x".repeat(72)));
}

fn long(last: char) -> String {
    format!("{}{last}", "x".repeat(72))
}

/// Argon2 strings from before they named their version are of version 1.0: read as 1.3, none of
/// them matches, and everybody is locked out.
#[test]
fn versionless_argon2_strings() {
    let salt = b"sixteen bytes of";
    let tag = |version| {
        let params = argon2::Params::new(64, 2, 1, Some(32)).unwrap();
        let mut tag = [0; 32];
        Argon2::new(Algorithm::Argon2id, version, params)
            .hash_password_into(b"right", salt, &mut tag)
            .unwrap();
        Base64Unpadded::encode_string(&tag)
    };
    let old = tag(Version::V0x10);
    let theirs = |mended| tag(if mended { Version::V0x10 } else { Version::V0x13 }) == old;
    assert_eq!((theirs(false), theirs(true)), (false, true));

    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let text = |version: &str, tag: &str| {
        let salt = Base64Unpadded::encode_string(salt);
        format!("$argon2id${version}m=64,t=2,p=1${salt}${tag}")
    };
    let ours = |text: String| {
        ["right", "wrong"].map(|typed| opens(&pool, Stored::import(Some(&text)), typed))
    };
    assert_eq!(ours(text("", &old)), [true, false]);
    assert_eq!(ours(text("v=16$", &old)), [true, false]);
    assert_eq!(ours(text("v=19$", &tag(Version::V0x13))), [true, false]);
    // What names a version is of that version.
    assert_eq!(ours(text("", &tag(Version::V0x13))), [false, false]);
    assert_eq!(ours(text("v=19$", &old)), [false, false]);
}
