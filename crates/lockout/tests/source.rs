//! Throttling by source, and one counter for all names of an account.
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

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use vouchsafe_core::{
    Address, Clock, Identifier, Source, TenantId, Timestamp, TrustedProxies, Unavailable, UserId,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{AccountKey, LockoutError, Rate, SourcePolicy, SourceThrottle, Subject};
use vouchsafe_testkit::ManualClock;

const MINUTE: Duration = Duration::from_secs(60);

fn rate(attempts: u32) -> Rate {
    Rate::new(attempts, MINUTE).unwrap()
}

fn throttle(rates: [u32; 3], cap: usize) -> (SourceThrottle, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let [narrow, middle, wide] = rates.map(rate);
    let policy = SourcePolicy::new(narrow, middle, wide, cap).unwrap();
    (SourceThrottle::new(&policy, clock.clone()), clock)
}

fn v4(n: u32) -> Source {
    Source::Direct(Address::new(IpAddr::V4(n.into())))
}

fn v6(bits: u128) -> Source {
    Source::Direct(Address::new(IpAddr::V6(Ipv6Addr::from_bits(bits))))
}

const NET: u128 = 0x2001_0db8 << 96;

fn admitted(throttle: &SourceThrottle, sources: impl Iterator<Item = Source>) -> usize {
    sources.filter(|source| throttle.check(source).is_ok()).count()
}

#[test]
fn a_source_has_its_rate_and_gets_it_back() {
    let (throttle, clock) = throttle([6, 100, 100], 100);
    assert_eq!(admitted(&throttle, (0..50).map(|_| v4(1))), 6);
    let refused = throttle.check(&v4(1)).unwrap_err();
    assert_eq!((refused.retry_after, refused.block), (MINUTE / 6, Some(32)));
    assert_eq!(admitted(&throttle, (0..50).map(|_| v4(2))), 6, "another source");
    clock.advance(MINUTE / 6 - MS);
    assert!(throttle.check(&v4(1)).is_err());
    clock.advance(MS);
    assert_eq!(admitted(&throttle, (0..50).map(|_| v4(1))), 1);
    clock.advance(MINUTE);
    assert_eq!(admitted(&throttle, (0..50).map(|_| v4(1))), 6);
}

#[test]
fn all_addresses_of_a_64_are_one_source() {
    let (throttle, _) = throttle([60, 80, 100], 1_000);
    assert_eq!(admitted(&throttle, (0..1_u128 << 16).map(|host| v6(NET + host))), 60);
    assert_eq!(throttle.len(), 3, "one block on each step");
}

#[test]
fn wider_blocks_bound_who_owns_many_64s() {
    // The /64s of one /56: 80 in all. Those of one /48: 100 in all.
    let (throttle_56, _) = throttle([60, 80, 100], 100_000);
    let of_56 = (0..1_u128 << 8).flat_map(|net| [v6(NET + (net << 64)); 3]);
    assert_eq!(admitted(&throttle_56, of_56), 80);
    let (throttle_48, _) = throttle([60, 80, 100], 100_000);
    assert_eq!(admitted(&throttle_48, (0..1_u128 << 12).map(|net| v6(NET + (net << 64)))), 100);
    let refused = throttle_48.check(&v6(NET + (200 << 72))).unwrap_err();
    assert_eq!(refused.block, Some(48));
}

#[test]
fn one_flooding_64_leaves_its_neighbours_their_share() {
    let (throttle, _) = throttle([60, 80, 100], 1_000);
    assert_eq!(admitted(&throttle, (0..10_000).map(|_| v6(NET))), 60);
    // The flood's refused attempts did not spend what the /56 and the /48 have.
    assert_eq!(admitted(&throttle, (0..100).map(|_| v6(NET + (1 << 64)))), 20);
    assert_eq!(admitted(&throttle, (0..100).map(|_| v6(NET + (1 << 72)))), 20);
}

#[test]
fn mapped_and_forged_addresses_gain_nothing() {
    let (throttle, _) = throttle([6, 100, 100], 100);
    let mapped = "::ffff:192.0.2.1".parse::<IpAddr>().unwrap();
    let plain = "192.0.2.1".parse::<IpAddr>().unwrap();
    let both = (0..20).map(|n| Source::Direct(Address::new([mapped, plain][n % 2])));
    assert_eq!(admitted(&throttle, both), 6);
    // A client behind our proxy writes another left-most address each time.
    let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let forged = (0..20).map(|n| {
        let header = format!("203.0.113.{n}, 198.51.100.7");
        proxies.source("10.0.0.1".parse().unwrap(), [header.as_bytes()])
    });
    assert_eq!(admitted(&throttle, forged), 6);
}

#[test]
fn without_an_address_one_count_is_shared() {
    let (throttle, _) = throttle([6, 100, 100], 100);
    let hidden = Source::Unavailable(Unavailable::Hidden);
    assert_eq!(admitted(&throttle, (0..20).map(|_| hidden)), 6);
    assert_eq!(throttle.check(&hidden).unwrap_err().block, None);
    let unreadable = Source::Unavailable(Unavailable::Unreadable);
    assert_eq!(admitted(&throttle, (0..20).map(|_| unreadable)), 6);
}

#[test]
fn a_full_map_stays_full_and_gets_stricter() {
    let (throttle, clock) = throttle([6, 100, 100], 16);
    let crowd = || (0..1_000_u32).map(v4);
    // Sixteen have a count of their own; all the others share one.
    assert_eq!(admitted(&throttle, crowd()), 16 + 6);
    assert_eq!(throttle.len(), 16);
    assert_eq!(throttle.check(&v4(999)).unwrap_err().block, None);
    assert!(throttle.check(&v4(3)).is_ok(), "who has a count keeps it");
    // Nothing has refilled a moment later; all has after a while, and a full map looks sooner.
    clock.advance(MS);
    assert!(throttle.check(&v4(999)).is_err());
    clock.advance(SourceThrottle::SWEEP / 2);
    assert!(throttle.check(&v4(5_000)).is_ok());
    assert_eq!(throttle.len(), 1, "refilled blocks were dropped");
}

#[test]
fn refilled_blocks_are_dropped_in_time() {
    let (throttle, clock) = throttle([6, 100, 100], 1_000);
    assert_eq!(admitted(&throttle, (0..100_u32).map(v4)), 100);
    clock.advance(SourceThrottle::SWEEP - MS);
    throttle.check(&v4(7_000)).unwrap();
    assert_eq!(throttle.len(), 101, "not yet");
    clock.advance(MS);
    throttle.check(&v4(7_001)).unwrap();
    assert_eq!(throttle.len(), 2, "the youngest two");
}

#[test]
fn a_clock_that_steps_back_or_far_ahead_keeps_nobody_waiting() {
    let (throttle, clock) = throttle([6, 100, 100], 100);
    assert_eq!(admitted(&throttle, (0..20).map(|_| v4(1))), 6);
    clock.set(START.before(DAY));
    assert!(throttle.check(&v4(1)).is_err(), "a step back refills nothing");
    clock.advance(MINUTE);
    assert_eq!(admitted(&throttle, (0..20).map(|_| v4(1))), 6, "and delays nothing");
    for now in [Timestamp::MAX, Timestamp::MIN, Timestamp::MAX] {
        clock.set(now);
        assert!(admitted(&throttle, (0..20).map(|_| v4(1))) <= 6);
    }
    clock.set(START);
    assert_eq!(clock.now(), START);
    assert_eq!(admitted(&throttle, (0..20).map(|_| v4(2))), 6);
}

#[test]
fn many_threads_share_one_rate() {
    let (throttle, _) = throttle([600, 1_000, 1_000], 100);
    let total: usize = std::thread::scope(|scope| {
        let throttle = &throttle;
        let each = || scope.spawn(move || admitted(throttle, (0..1_000).map(|_| v4(1))));
        let threads: Vec<_> = (0..8).map(|_| each()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 600);
}

#[test]
fn numbers_out_of_bounds_are_refused_and_nothing_shows_an_address() {
    for (attempts, per, good) in [
        (0, MINUTE, false),
        (1, Rate::MIN_PERIOD, true),
        (1, Rate::MIN_PERIOD - MS, false),
        (1, Rate::MAX_PERIOD, true),
        (1, Rate::MAX_PERIOD + MS, false),
        (Rate::MAX_ATTEMPTS, MINUTE, true),
        (Rate::MAX_ATTEMPTS + 1, MINUTE, false),
    ] {
        assert_eq!(Rate::new(attempts, per).is_ok(), good, "{attempts} in {per:?}");
    }
    for (cap, good) in [(15, false), (16, true), (1 << 20, true), ((1 << 20) + 1, false)] {
        let built = SourcePolicy::new(rate(1), rate(1), rate(1), cap);
        assert_eq!(built.is_ok(), good, "{cap}");
        if !good {
            let max = SourcePolicy::MAX_SOURCES;
            assert_eq!(built, Err(LockoutError::MaxSources { min: 16, max }));
        }
    }
    let policy = SourcePolicy::default();
    assert_eq!(policy.max_sources(), 100_000);
    let rates = [policy.narrow(), policy.middle(), policy.wide()];
    assert_eq!(rates.map(|rate| rate.attempts()), [300, 400, 500]);
    assert_eq!(rates.map(|rate| rate.per()), [Duration::from_secs(300); 3]);
    let (throttle, _) = throttle([1, 1, 1], 16);
    assert!(throttle.is_empty());
    throttle.check(&v4(0x0102_0304)).unwrap();
    let refused = throttle.check(&v4(0x0102_0304)).unwrap_err();
    assert!(!throttle.is_empty());
    assert_eq!(format!("{throttle:?}"), "SourceThrottle(1 blocks)");
    assert!(!format!("{refused:?} {refused}").contains("1.2.3.4"));
}

#[test]
fn every_name_of_an_account_is_one_counter() {
    let key = MacKey::new(&[7; 32]);
    let tenant = |name| TenantId::new(name).unwrap();
    let digest = |name, subject: Subject<'_>| AccountKey::new(&key, &tenant(name)).digest(subject);
    let unknown = |text| {
        let identifier = Identifier::new(text).unwrap();
        digest("acme", Subject::Unknown(&identifier))
    };
    // Case, blanks, composed and decomposed, full-width: one name.
    let spellings =
        ["Zoë@Example.com", "  zoë@example.COM ", "zoe\u{308}@example.com", "ｚoë@example.com"];
    for spelling in spellings {
        assert_eq!(unknown(spelling), unknown("zoë@example.com"), "{spelling:?}");
    }
    assert_ne!(unknown("zoe@example.com"), unknown("zoë@example.com"));
    // A user's e-mail and user name resolve to the user, whose counter is no name's.
    let user = UserId::new("zoë@example.com").unwrap();
    let known = digest("acme", Subject::User(&user));
    assert_ne!(known, unknown("zoë@example.com"));
    assert_eq!(digest("ACME", Subject::User(&user)), known);
    assert_ne!(digest("acme2", Subject::User(&user)), known);
    let other = MacKey::new(&[8; 32]);
    assert_ne!(AccountKey::new(&other, &tenant("acme")).digest(Subject::User(&user)), known);
}

#[test]
fn five_wrong_guesses_over_aliases_lock_all_of_them() {
    let key = AccountKey::new(&MacKey::new(&[7; 32]), &TenantId::new("acme").unwrap());
    let cell = |typed: &str| {
        let identifier = Identifier::new(typed).unwrap();
        vouchsafe_lockout::LockoutState::key(key.digest(Subject::Unknown(&identifier)))
    };
    let mut cells = std::collections::HashMap::new();
    let spellings = ["Ann", "ANN ", "ann", "\u{ff41}nn", " aNN", "anN"];
    let verified = spellings.iter().enumerate().filter(|(id, typed)| {
        let account = cells.entry(cell(typed)).or_insert_with(|| Account::new(five_a_day()));
        account.guess(*id as u64, START)
    });
    assert_eq!(verified.count(), 5);
    assert_eq!(cells.len(), 1);
}
