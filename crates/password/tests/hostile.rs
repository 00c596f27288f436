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
    missing_docs,
    reason = "tests"
)]

mod common;

use std::time::{Duration, Instant};

use vouchsafe_password::{PoolConfig, Record, Stored};

/// Two hundred texts that ask for too much, or are too much.
fn corpus() -> Vec<String> {
    let of = |params: String| {
        format!(
            "vouchsafe:1:chosen:bound:nfc:-:$argon2id$v=19${params}$c2FsdHNhbHRzYWx0c2FsdA${}",
            "A".repeat(43)
        )
    };
    let numbers =
        ["1048577", "4194304", "2147483647", "4294967295", "4294967296", "99999999999999999999"];
    let mut corpus = Vec::new();
    for m in numbers {
        for t in ["1", "2", "64", "65", "4294967295"] {
            corpus.push(of(format!("m={m},t={t},p=1")));
            corpus.push(of(format!("m=64,t={t},p={m}")));
        }
    }
    for t in 65..125_u32 {
        corpus.push(of(format!("m=64,t={},p=1", t * t)));
    }
    for p in 17..57 {
        corpus.push(of(format!("m=1048576,t=1,p={p}")));
    }
    for length in 10..50_usize {
        corpus.push(format!(
            "vouchsafe:1:chosen:bound:nfc:-:{}",
            "$argon2id".repeat(length * length)
        ));
    }
    corpus
}

/// Peak resident memory in KiB since it was last reset.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn hostile_parameters_are_refused_before_allocation() {
    let corpus = corpus();
    assert_eq!(corpus.len(), 200);
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let password = common::password("x");
    let verify =
        |stored| pool.verify(common::charged(1), &password, stored, common::martha()).wait();
    // Warm: what a first verification needs anyway.
    assert_eq!(common::matched(verify(Stored::read(Some(&corpus[0])))), None);
    let _ = (peak(), Instant::now());
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, mut slowest) = (peak(), Duration::ZERO);
    for text in &corpus {
        let start = Instant::now();
        let stored = Stored::read(Some(text));
        slowest = slowest.max(start.elapsed());
        assert!(matches!(stored, Stored::Unusable(_)), "{text}");
        assert_eq!(common::matched(verify(stored)), None);
        assert_eq!(pool.work().held_kib, 64, "only the dummy's memory");
    }
    assert!(peak() - before < 64, "the peak rose by {} KiB", peak() - before);
    assert!(slowest < Duration::from_millis(1), "{slowest:?}");
    // Under the ceilings of the format, and still more than this pool may use: not run either.
    let costly: Record = corpus[0].replace("m=1048577", "m=1048576").parse().unwrap();
    let runs = pool.work();
    assert_eq!(common::matched(verify(costly.into())), None);
    assert_eq!(pool.work().blocks - runs.blocks, 128);
    assert!(peak() - before < 128);
}
