//! How long records take: run alone, because it measures time.
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

use std::time::{Duration, Instant};

use common::{charged, hostile, martha, matched, password, pool, record};
use vouchsafe_password::{Binding, HashPolicy, HashPool, PoolConfig, Stored};
use vouchsafe_testkit::{is_long, runs};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_hostile_record_is_refused_within_a_millisecond() {
    let time = |text: &String| {
        let begun = Instant::now();
        assert!(matches!(Stored::read(Some(text)), Stored::Unusable(_)), "{text}");
        begun.elapsed()
    };
    let each = |text| median((0..21).map(|_| time(text)).collect());
    let slowest = hostile::corpus().iter().map(each).max().unwrap();
    println!("the slowest hostile record: {slowest:?}");
    assert!(slowest < Duration::from_millis(1), "{slowest:?}");
}

/// How far apart the medians are, as a part of the smallest.
fn apart(pool: &HashPool, accounts: &[(&str, Stored, Binding)], turns: usize) -> f64 {
    let mut times = vec![Vec::new(); accounts.len()];
    // In turns, and each first as often as the others, so that whatever else the machine does falls
    // on all of them alike.
    for turn in 0..turns {
        for at in 0..accounts.len() {
            let at = (at + turn) % accounts.len();
            let (_, stored, binding) = &accounts[at];
            let (wrong, stored) = (password("wrong"), stored.clone());
            let begun = Instant::now();
            let verified = pool.verify(charged(1), &wrong, stored, *binding).wait();
            times[at].push(begun.elapsed());
            assert_eq!(matched(verified), None);
        }
    }
    let medians: Vec<_> = times.into_iter().map(median).collect();
    for ((name, ..), median) in accounts.iter().zip(&medians) {
        println!("{name}: {median:?}");
    }
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    let apart = (*most - *least).as_secs_f64() / least.as_secs_f64();
    println!("medians of {turns} are {:.2} % apart", 100.0 * apart);
    apart
}

#[test]
fn accounts_that_cannot_match_take_as_long_as_those_that_could() {
    let pool = pool(PoolConfig::new(HashPolicy::default()).workers(1));
    let current = record(&pool, "right");
    let too_costly = current.to_string().replace("m=19456", "m=1048577");
    let accounts = [
        ("current parameters", current.into(), martha()),
        ("unknown", Stored::Absent, Binding::nobody()),
        ("no password yet", Stored::read(None), martha()),
        ("unusable", Stored::read(Some(&too_costly)), martha()),
        ("malformed", Stored::read(Some("$2b$12$abc")), martha()),
    ];
    // Twenty turns tell a missing hash from one that was made, and no more.
    let within = if is_long() { 0.05 } else { 0.5 };
    // What the machine does besides comes and goes; other work for another account would stay.
    let equal = (0..3).any(|_| apart(&pool, &accounts, runs(20, 200)) <= within);
    assert!(equal, "three times more than {:.0} % apart", 100.0 * within);
}
