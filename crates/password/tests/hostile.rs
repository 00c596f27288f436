//! PW-6: hostile stored parameters are refused before anything is allocated; its own test binary,
//! because it measures the peak of the process.
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

use common::{forget_peak, hostile, peak, risen};
use vouchsafe_password::{PoolConfig, Record, Stored};

/// Runs alone with the other: both measure the whole process.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn hostile_texts_of_other_software_are_refused_before_allocation() {
    let _alone = ALONE.lock();
    let corpus = hostile::foreign();
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let password = common::password("x");
    let verify =
        |stored| pool.verify(common::charged(1), &password, stored, common::martha()).wait();
    assert_eq!(common::matched(verify(Stored::Absent)), None);
    forget_peak();
    let before = peak();
    for text in &corpus {
        let stored = Stored::import(Some(text));
        assert!(matches!(stored, Stored::Unusable(_)), "{text}");
        assert_eq!(common::matched(verify(stored)), None);
        assert_eq!(pool.work().held_kib, 64, "only the dummy's memory");
    }
    assert!(risen(before) < 64, "the peak rose by {} KiB", risen(before));
}

#[test]
fn hostile_parameters_are_refused_before_allocation() {
    let _alone = ALONE.lock();
    let corpus = hostile::corpus();
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let password = common::password("x");
    let verify =
        |stored| pool.verify(common::charged(1), &password, stored, common::martha()).wait();
    // Warm: what a first verification needs anyway.
    assert_eq!(common::matched(verify(Stored::read(Some(&corpus[0])))), None);
    forget_peak();
    let before = peak();
    for text in &corpus {
        let stored = Stored::read(Some(text));
        assert!(matches!(stored, Stored::Unusable(_)), "{text}");
        assert_eq!(common::matched(verify(stored)), None);
        assert_eq!(pool.work().held_kib, 64, "only the dummy's memory");
    }
    assert!(risen(before) < 64, "the peak rose by {} KiB", risen(before));
    // Under the ceilings of the format, and still more than this pool may use: not run either.
    let costly: Record = corpus[0].replace("m=1048577", "m=1048576").parse().unwrap();
    let runs = pool.work();
    assert_eq!(common::matched(verify(costly.into())), None);
    assert_eq!(pool.work().blocks - runs.blocks, 128);
    assert!(risen(before) < 128);
}
