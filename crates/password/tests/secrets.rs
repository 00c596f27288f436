//! Nothing of a password is left behind: its own test binary, because it reads the whole process.
#![cfg(target_os = "linux")]
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

use common::scan::{found, masked, plain};
use vouchsafe_core::Standing;
use vouchsafe_password::{Attributes, OwnerPresent, PasswordPolicy, PoolConfig, Stored};

/// The password, kept in a form in which it is not found.
const MASKED: [u8; 24] = masked(*b"Zebra#47-Quarz!Lampe+Xyl");
/// What it is in lower case, and the decomposed form of another.
const MASKED_FOLDED: [u8; 24] = masked(*b"zebra#47-quarz!lampe+xyl");
const MASKED_DECOMPOSED: [u8; 24] = masked(*b"Zu\xcc\x88rich#47-Quarz!Lampe+");

#[test]
fn nothing_is_left_after_the_last_use() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(2));
    for secret in [&MASKED, &MASKED_DECOMPOSED] {
        let password = plain(secret);
        assert!(found(secret) >= 1, "the scan finds nothing at all");
        let policy = PasswordPolicy::zoomph_staff();
        let accepted = policy.check(&password, &Attributes::none().with("Zebra")).unwrap();
        let owner = OwnerPresent::assertion(common::ACCOUNT);
        let new = pool.hash(accepted, owner, common::martha()).wait().unwrap();
        let record = Stored::from(new.as_record().clone());
        let verified = pool.verify(common::charged(1), &password, record, common::martha()).wait();
        assert_eq!(common::matched(verified), Some(Standing::Chosen));
        let abandoned =
            pool.verify(common::charged(2), &password, Stored::Absent, common::martha());
        drop((abandoned, password));
        // One after the other on both workers, so that neither still holds the abandoned one.
        for id in 0..4 {
            let other = common::password("something else");
            let verified =
                pool.verify(common::charged(id), &other, Stored::Absent, common::martha());
            assert_eq!(common::matched(verified.wait()), None);
        }
        assert_eq!(found(secret), 0);
    }
    assert_eq!(found(&MASKED_FOLDED), 0);
}

/// Bytes of what scrypt makes of the password and its salt first, and keeps in the pool's memory: by
/// Python's `pbkdf2_hmac("sha256", b"secret", b"saltsaltsaltsalt", 1, 1024)[512:536]`.
const MASKED_ENTRY: [u8; 24] = masked(
    *b"\x39\x39\x92\xac\x90\x8f\x57\x40\x40\x20\x84\x2f\x0c\xae\xe7\x6e\xc9\x55\x9a\x14\x31\x9c\x73\xa4",
);

#[test]
fn memory_is_wiped_before_it_is_given_back() {
    // Not its hash: after a match Argon2id would write over what scrypt wrote.
    let text = format!("$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA${}", "A".repeat(43));
    for _ in 0..4 {
        let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
        let (password, stored) = (common::password("secret"), Stored::import(Some(&text)));
        let verified = pool.verify(common::charged(1), &password, stored, common::martha());
        assert_eq!(common::matched(verified.wait()), None);
        drop(pool);
        assert_eq!(found(&MASKED_ENTRY), 0);
    }
}
