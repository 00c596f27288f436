//! A wrong password that comes again.
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

use std::sync::Arc;

use common::*;
use vouchsafe_core::{AccountDigest, ChargeId, Charged, PolicyDigest, WrongDigest};
use vouchsafe_crypto::MacKey;
use vouchsafe_password::{HashPool, PoolConfig, PoolKeys, Stored, Verified};
use vouchsafe_testkit::{ManualClock, SeededEntropy};

/// A pool of a node of its own: with its own entropy, and perhaps the key that all share.
fn node(seed: u64, key: Option<u8>) -> HashPool {
    let config = PoolConfig::new(cheap()).workers(1);
    let (clock, entropy) = (Arc::new(ManualClock::at(NOW)), Arc::new(SeededEntropy::new(seed)));
    match key {
        Some(key) => {
            let keys = PoolKeys::new().recognise_with(MacKey::new(&[key; 32]));
            HashPool::with_keys(config, clock, entropy, keys).unwrap()
        }
        None => HashPool::new(config, clock, entropy).unwrap(),
    }
}

fn digest(pool: &HashPool, account: u8, text: &str, stored: impl Into<Stored>) -> WrongDigest {
    let account = AccountDigest::new([account; 16]);
    let charged = Charged::assertion(account, ChargeId::new(1), PolicyDigest::NONE, DEADLINE);
    let binding = martha();
    match pool.verify(charged, &password(text), stored, binding).wait() {
        Verified::NoMatch(wrong) => wrong.digest().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_wrong_password_has_the_same_digest_and_no_other_has() {
    let (pool, other) = (node(1, Some(7)), node(2, Some(7)));
    let stored = record(&pool, "the right one");
    let first = digest(&pool, 1, "a wrong one", stored.clone());
    assert_eq!(digest(&pool, 1, "a wrong one", stored.clone()), first);
    assert_eq!(digest(&other, 1, "a wrong one", stored.clone()), first, "on another node");
    assert_ne!(digest(&pool, 1, "another wrong one", stored.clone()), first);
    assert_ne!(digest(&pool, 2, "a wrong one", stored.clone()), first, "of another account");
    let salted_anew = record(&pool, "the right one");
    assert_ne!(digest(&pool, 1, "a wrong one", salted_anew), first, "after a change");
    for stranger in [node(1, Some(8)), node(1, None)] {
        assert_ne!(digest(&stranger, 1, "a wrong one", stored.clone()), first, "another key");
    }
    // Without a key that is shared, one pool still knows what it has seen.
    let alone = node(3, None);
    let seen = digest(&alone, 1, "a wrong one", stored.clone());
    assert_eq!(digest(&alone, 1, "a wrong one", stored), seen);
}

#[test]
fn a_name_that_nobody_answers_to_is_treated_alike() {
    let (pool, other) = (node(1, Some(7)), node(2, Some(7)));
    let first = digest(&pool, 1, "a wrong one", Stored::Absent);
    assert_eq!(digest(&pool, 1, "a wrong one", Stored::Absent), first);
    assert_eq!(digest(&other, 1, "a wrong one", Stored::Absent), first, "on another node");
    assert_ne!(digest(&pool, 1, "another wrong one", Stored::Absent), first);
    assert_ne!(digest(&pool, 2, "a wrong one", Stored::Absent), first);
    // The same work, and as much of it.
    let stored = record(&pool, "the right one");
    let before = pool.work();
    digest(&pool, 1, "a wrong one", stored);
    let known = pool.work();
    digest(&pool, 1, "a wrong one", Stored::Absent);
    let unknown = pool.work();
    assert_eq!(known.runs - before.runs, unknown.runs - known.runs);
    assert_eq!(known.blocks - before.blocks, unknown.blocks - known.blocks);
}

#[test]
fn a_mistyped_password_that_is_chosen_works() {
    let pool = node(1, Some(7));
    let stored = record(&pool, "the right one");
    for _ in 0..3 {
        digest(&pool, 7, "the wrong one", stored.clone());
    }
    let chosen = record(&pool, "the wrong one");
    let verified = pool.verify(charged(2), &password("the wrong one"), chosen, martha()).wait();
    assert!(matched(verified).is_some());
}
