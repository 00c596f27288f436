//! Two texts that a hash by other software does not tell apart: bcrypt, PBKDF2 and scrypt.
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

use std::num::NonZeroU32;
use std::sync::Arc;

use base64ct::{Base64Bcrypt, Base64Unpadded, Encoding};
use common::{ACCOUNT, charged, cheap, martha, matched, password, pool_with};
use vouchsafe_core::Standing;
use vouchsafe_crypto::{Prf, RootKey, pbkdf2, sha1, sha256};
use vouchsafe_password::{
    HashPool, OwnerPresent, Peppers, PoolKeys, Record, Stored, Upgrade, Verified,
};

const SALT: &[u8; 16] = b"saltsaltsaltsalt";

fn verify(pool: &HashPool, typed: &str, stored: impl Into<Stored>) -> Verified {
    pool.verify(charged(1), &password(typed), stored, martha()).wait()
}

fn lets_in(pool: &HashPool, typed: &str, stored: impl Into<Stored>) -> bool {
    matched(verify(pool, typed, stored)).is_some()
}

fn upgrade(pool: &HashPool, typed: &str, text: &str) -> Option<Upgrade> {
    common::upgrade(verify(pool, typed, Stored::import(Some(text))))
}

fn pbkdf2_of(prf: Prf, text: &[u8]) -> String {
    let (name, length) = match prf {
        Prf::Sha1 => ("pbkdf2", 20),
        Prf::Sha256 => ("pbkdf2-sha256", 32),
        Prf::Sha512 => ("pbkdf2-sha512", 64),
    };
    let mut hash = vec![0; length];
    pbkdf2(prf, NonZeroU32::new(1_000).unwrap(), SALT, text, &mut hash);
    let base64 = |bytes: &[u8]| Base64Unpadded::encode_string(bytes).replace('+', ".");
    format!("${name}$1000${}${}", base64(SALT), base64(&hash))
}

fn scrypt_of(text: &[u8]) -> String {
    let (mut hash, params) = ([0; 32], scrypt::Params::new(4, 8, 1).unwrap());
    scrypt::scrypt(text, SALT, &params, &mut hash).unwrap();
    let base64 = Base64Unpadded::encode_string;
    format!("$scrypt$ln=4,r=8,p=1${}${}", base64(SALT), base64(&hash))
}

fn bcrypt_of(key: &[u8]) -> String {
    let mut key = [key, &[0]].concat();
    key.truncate(72);
    let hash = bcrypt::bcrypt(4, *SALT, &key);
    format!("{}{}", bcrypt_head(), Base64Bcrypt::encode_string(&hash[..23]))
}

fn bcrypt_head() -> String {
    format!("$2b$04${}", Base64Bcrypt::encode_string(SALT))
}

/// Django's, over the SHA-256 of the password.
fn bcrypt_sha256_of(text: &[u8]) -> String {
    let hex: String = sha256(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("bcrypt_sha256${}", bcrypt_of(hex.as_bytes()))
}

/// HMAC fills its key up with NULs, and bcrypt repeats its key behind one.
#[test]
fn a_text_with_nul_matches_no_hash_that_does_not_tell_it_apart() {
    let pool = pool_with(cheap(), PoolKeys::new());
    let owners = "Xk7#vq9w";
    for (name, of) in [
        ("PBKDF2, SHA-1", (|text| pbkdf2_of(Prf::Sha1, text)) as fn(&[u8]) -> String),
        ("PBKDF2, SHA-256", |text| pbkdf2_of(Prf::Sha256, text)),
        ("PBKDF2, SHA-512", |text| pbkdf2_of(Prf::Sha512, text)),
        ("scrypt", scrypt_of),
        ("bcrypt", bcrypt_of),
    ] {
        let text = of(owners.as_bytes());
        let new = upgrade(&pool, owners, &text).expect(name).new_record().clone();
        assert!(lets_in(&pool, owners, new.clone()), "{name}");
        let stored = || Stored::import(Some(&text));
        for other in ["Xk7#vq9w\0", "Xk7#vq9w\0\0\0", "Xk7#vq9w\0Xk7#vq9w", "\0Xk7#vq9w"] {
            let before = pool.work().runs;
            assert!(!lets_in(&pool, other, stored()), "{name}: {other:?}");
            assert_eq!(pool.work().runs - before, 1, "{name}: the same work");
            assert!(!lets_in(&pool, other, new.clone()), "{name}: {other:?}");
        }
        // It was a good password there, and what it is here nobody can say.
        let with = of(b"Xk7#vq9w\0!");
        assert!(!lets_in(&pool, "Xk7#vq9w\0!", Stored::import(Some(&with))), "{name}");
    }
    // These are, in the password's digest and in Argon2.
    let with = "Xk7#vq9w\0";
    let text = bcrypt_sha256_of(with.as_bytes());
    let new = upgrade(&pool, with, &text).unwrap().new_record().clone();
    for stored in [Stored::import(Some(&text)), new.into(), common::record(&pool, with).into()] {
        assert!(lets_in(&pool, with, stored.clone()) && !lets_in(&pool, owners, stored));
    }
}

/// Somebody types the other text once: what the owner has stays the password.
#[test]
fn a_look_alike_locks_no_owner_out() {
    let (sixty_four, over) = ("x".repeat(64), "x".repeat(65));
    let (block, long) = ("x".repeat(128), "x".repeat(129));
    // A published collision: the second is SHA-1 of the first, letter by letter.
    let published = "plnlrtfpijpuhqylxbgqiiyipieyxvfsavzgxbbcfusqkozwpngsyejqlmjsytrmd";
    assert_eq!(&sha1(published.as_bytes()), b"eBkXQTfuBqp'cTcar&g*");
    let pool = pool_with(cheap(), PoolKeys::new());
    let sealing = || {
        let peppers = Arc::new(Peppers::new(&RootKey::new(&[1; 32])));
        pool_with(cheap(), PoolKeys::new().peppers(peppers))
    };
    for (text, typed) in [
        // Either text, whichever of them is the owner's.
        (pbkdf2_of(Prf::Sha1, published.as_bytes()), published),
        (pbkdf2_of(Prf::Sha1, published.as_bytes()), "eBkXQTfuBqp'cTcar&g*"),
        // Longer than HMAC's block, and as long as what it makes of that.
        (pbkdf2_of(Prf::Sha256, over.as_bytes()), over.as_str()),
        (pbkdf2_of(Prf::Sha256, &over.as_bytes()[..32]), &over[..32]),
        (pbkdf2_of(Prf::Sha512, long.as_bytes()), long.as_str()),
        (pbkdf2_of(Prf::Sha512, sixty_four.as_bytes()), sixty_four.as_str()),
        (scrypt_of(over.as_bytes()), over.as_str()),
        (scrypt_of(&over.as_bytes()[..32]), &over[..32]),
    ] {
        assert!(lets_in(&pool, typed, Stored::import(Some(&text))), "{text}");
        assert!(upgrade(&pool, typed, &text).is_none(), "{text}");
        // Under a pepper it is sealed as it is, and stays so.
        let sealing = sealing();
        let sealed = upgrade(&sealing, typed, &text).expect("sealed").new_record().clone();
        assert!(common::upgrade(verify(&sealing, typed, sealed)).is_none(), "{text}");
    }
    // On both sides of each length.
    for (text, typed) in [
        (pbkdf2_of(Prf::Sha1, &over.as_bytes()[..19]), &over[..19]),
        (pbkdf2_of(Prf::Sha1, &over.as_bytes()[..21]), &over[..21]),
        (pbkdf2_of(Prf::Sha1, sixty_four.as_bytes()), sixty_four.as_str()),
        (pbkdf2_of(Prf::Sha256, &over.as_bytes()[..31]), &over[..31]),
        (pbkdf2_of(Prf::Sha256, &over.as_bytes()[..33]), &over[..33]),
        (pbkdf2_of(Prf::Sha256, sixty_four.as_bytes()), sixty_four.as_str()),
        (pbkdf2_of(Prf::Sha512, &over.as_bytes()[..63]), &over[..63]),
        (pbkdf2_of(Prf::Sha512, over.as_bytes()), over.as_str()),
        (pbkdf2_of(Prf::Sha512, block.as_bytes()), block.as_str()),
        (scrypt_of(sixty_four.as_bytes()), sixty_four.as_str()),
    ] {
        let new = upgrade(&pool, typed, &text).expect(&text).new_record().clone();
        assert!(lets_in(&pool, typed, new), "{text}");
    }
}

/// A new password is compared with the one before it: one that only looks the same there is another.
#[test]
fn a_look_alike_is_a_new_password() {
    let pool = pool_with(cheap(), PoolKeys::new());
    let rule = vouchsafe_password::PasswordPolicy::builder().refuse_common(false).remember(2);
    let rule = rule.build().unwrap();
    let previous = Record::import(&bcrypt_of(b"Xk7#vq9w"), Standing::Chosen).unwrap();
    let replaced = |typed: &str| {
        let attributes = vouchsafe_password::Attributes::none();
        let accepted = rule.check(&password(typed), &attributes).unwrap();
        let owner = OwnerPresent::assertion(ACCOUNT);
        pool.replace(accepted, owner, martha(), previous.clone()).wait().is_ok()
    };
    assert!(!replaced("Xk7#vq9w") && replaced("Xk7#vq9w\0Xk7#vq9w"));
}
