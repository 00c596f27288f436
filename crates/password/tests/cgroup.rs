//! A thousand logins at once where memory is short: nobody is killed, and overload is answered.
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

#[path = "cgroup/cage.rs"]
mod cage;
mod common;

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use argon2::Argon2;
use cage::Cage;
use common::{charged, martha, password, pool};
use vouchsafe_password::{HashPolicy, NotVerifiedReason, PoolConfig, Stored, Verified};
use vouchsafe_testkit::{ChildTest, runs};

const LOGINS: u64 = 1_000;
const BYTES: u64 = 256 << 20;
const HOW: &str = "VOUCHSAFE_CAGED";

/// Lets a child of this program log everybody in, in a cage.
fn caged(how: &str) -> (Cage, Option<(usize, usize)>, ExitStatus) {
    let cage = Cage::new(how, BYTES);
    println!("{how}: {cage}");
    let [(name, value), (other, its_value)] = cage.environment();
    let environment: [(&str, &dyn AsRef<OsStr>); 3] =
        [(HOW, &how), (name, &value), (other, &its_value)];
    let mut child = ChildTest::start("the_child_logs_everybody_in", &environment);
    cage.close_around(child.id());
    child.tell();
    let counted = (how == "pool").then(|| (child.number("hashed "), child.number("answered ")));
    let ended = child.end();
    println!("{how}: {ended}, killed {:?}, peak {:?} bytes", cage.kills(), cage.peak());
    (cage, counted, ended)
}

#[test]
fn a_thousand_logins_in_256_mib() {
    let (cage, counted, ended) = caged("pool");
    assert!(ended.success(), "{ended}");
    assert_eq!(cage.kills().unwrap_or(0), 0);
    let (hashed, answered) = counted.unwrap();
    assert!(hashed >= queue() && answered > 0, "{hashed} hashed, {answered} answered");
    assert_eq!((hashed + answered) as u64, LOGINS);
    if let Some(peak) = cage.peak() {
        // Two blocks of 19 MiB at most, and less than as much again for everything else.
        assert!((19 << 20..76 << 20).contains(&peak), "{peak} bytes");
    }
}

/// As many services hash: a thread for each login, as long as there are any.
#[test]
fn hashing_for_everybody_at_once_is_killed_there() {
    let (cage, _, ended) = caged("unbounded");
    // SIGKILL by the kernel; SIGABRT by the allocator where the address space is what is bounded.
    assert!(matches!(ended.signal(), Some(9 | 6)), "{ended}");
    assert_ne!(cage.kills(), Some(0));
}

/// How many wait.
fn queue() -> usize {
    runs(40, 256)
}

/// The child's part; by itself it logs nobody in.
#[test]
fn the_child_logs_everybody_in() {
    let Ok(how) = std::env::var(HOW) else { return };
    ChildTest::wait();
    match how.as_str() {
        "pool" => through_the_pool(),
        _ => all_at_once(),
    }
}

fn through_the_pool() {
    let config = PoolConfig::new(HashPolicy::default()).workers(2).queue(queue());
    let pool = pool(config.max_wait(Duration::from_secs(3_600)));
    let ask = |id| pool.verify(charged(id), &password("x"), Stored::Absent, martha());
    let asked: Vec<_> = (0..LOGINS).map(ask).collect();
    let (mut hashed, mut answered) = (0, 0);
    for hashing in asked {
        match hashing.wait() {
            Verified::NoMatch(_) => hashed += 1,
            Verified::NotVerified(_, NotVerifiedReason::Busy) => answered += 1,
            other => panic!("{other:?}"),
        }
    }
    ChildTest::say(&format!("hashed {hashed}\nanswered {answered}"));
}

fn all_at_once() {
    // A tenth of them is more than enough.
    let begin = Arc::new(Barrier::new(101));
    for _ in 0..100 {
        let begin = Arc::clone(&begin);
        let hash = move || {
            begin.wait();
            let hashed =
                Argon2::default().hash_password_into(b"x", b"sixteen bytes of", &mut [0; 32]);
            // What has no memory left can do nothing else.
            hashed.unwrap_or_else(|_| std::process::abort());
            begin.wait();
        };
        let thread = std::thread::Builder::new().spawn(hash);
        thread.unwrap_or_else(|_| std::process::abort());
    }
    begin.wait();
    begin.wait();
}
