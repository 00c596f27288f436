//! Coarse counters beside a full store, unlocks in the middle and clocks that differ: no guess too many.
//! Each of these was one once.
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

use std::time::Duration;

use common::*;
use vouchsafe_core::{AccountDigest, ChargeId, Timestamp};
use vouchsafe_lockout::{Begin, Limit, LockoutVerdict as V, Overflow, Release};

const MICRO: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);

fn attempt(id: u64) -> Begin {
    Begin::new(ACCOUNT, ChargeId::new(id))
}

fn admitted(verdict: Result<V, Begin>) -> bool {
    matches!(verdict, Ok(V::Admitted(_)))
}

/// The unlock, by the book.
fn unlocks(overflow: &Overflow, account: &mut Account, now: Timestamp) {
    let event = unlock(1 << 40);
    let before = overflow.before(&event, now).unwrap();
    assert!(!before.is_repeated(), "it is the first");
    assert!(matches!(account.send(event, now), V::Unlocked));
    overflow.unlocked(before, now);
}

/// "at no moment an account has more by than the policy says since its last unlock": whoever is between
/// `charge` and `admit` while the account is unlocked counts for nobody, themselves included.
#[test]
fn who_was_charged_before_an_unlock_has_no_part_in_it() {
    let five = machine(&[Limit::new(5, HOUR)]);
    let (overflow, mut account) = (Overflow::default(), Account::new(five.clone()));
    for id in 0..100 {
        assert!(overflow.charge(&five, &attempt(id), START));
    }
    unlocks(&overflow, &mut account, START);
    let by = (0..100)
        .filter(|id| admitted(overflow.admit(&five, attempt(*id), account.state.as_ref(), START)))
        .count();
    let after = (200..220)
        .filter(|id| {
            assert!(overflow.charge(&five, &attempt(*id), START));
            admitted(overflow.admit(&five, attempt(*id), account.state.as_ref(), START))
        })
        .count();
    assert!(by + after <= 5, "{by} of those in flight, and {after} afterwards, of five");
}

/// A sixth, charged in the store while five are counted: an unlock takes its charge out of the store
/// before it is looked beside it.
#[test]
fn a_charge_that_an_unlock_has_taken_is_not_let_by() {
    let five = machine(&[Limit::new(5, HOUR)]);
    let (overflow, mut account) = (Overflow::default(), Account::new(five.clone()));
    for id in 0..5 {
        assert!(overflow.charge(&five, &attempt(id), START));
        assert!(admitted(overflow.admit(&five, attempt(id), None, START)));
        assert!(overflow.settle(&five, wrong(id), START).is_ok());
    }
    // In the store there is room again.
    let V::Admitted(sixth) = account.send(begin(6), START) else { panic!("no room") };
    let refused = overflow.beside(&five, &sixth, account.state.as_ref(), START);
    assert!(refused.is_some(), "without an unlock it is refused");
    unlocks(&overflow, &mut account, START);
    let refused = overflow.beside(&five, &sixth, account.state.as_ref(), START);
    assert!(refused.is_some(), "six charged before the unlock, and all are verified");
}

/// Another thread, whose clock was read later, forgets what still is in this attempt's window.
#[test]
fn what_another_clock_has_let_go_of_still_counts() {
    for skew in [MICRO, Duration::from_secs(599)] {
        let five = machine(&[Limit::new(5, HOUR)]);
        let (overflow, mut account) = (Overflow::new(1), Account::new(five.clone()));
        for id in 0..5 {
            assert!(overflow.charge(&five, &attempt(id), START));
            assert!(admitted(overflow.admit(&five, attempt(id), None, START)));
            assert!(overflow.settle(&five, wrong(id), START).is_ok());
        }
        // All five are in (now - HOUR, now].
        let now = START.after(HOUR).before(skew);
        let V::Admitted(sixth) = account.send(begin(6), now) else { panic!("no room") };
        let refused = overflow.beside(&five, &sixth, account.state.as_ref(), now);
        assert!(refused.is_some(), "while nobody else comes");
        // Anybody who shares the counter: a made-up name will do.
        let other = AccountDigest::new([9; 16]);
        let begin = Begin::new(other, ChargeId::new(1 << 30));
        assert!(overflow.charge(&five, &begin, now.after(skew)));
        let refused = overflow.beside(&five, &sixth, account.state.as_ref(), now);
        assert!(refused.is_some(), "six in one hour, {skew:?} apart");
    }
}

/// The same, where the sixth is charged beside the store, too.
#[test]
fn nor_does_a_clock_that_was_set_back_give_anew() {
    let five = machine(&[Limit::new(5, HOUR)]);
    let overflow = Overflow::default();
    let guess = |id, now| {
        assert!(overflow.charge(&five, &attempt(id), now));
        let by = admitted(overflow.admit(&five, attempt(id), None, now));
        if by {
            assert!(overflow.settle(&five, wrong(id), now).is_ok());
        }
        by
    };
    assert_eq!((0..5).filter(|id| guess(*id, START)).count(), 5);
    // Half a minute ahead, for a moment: nobody gets by, but the counter is looked at.
    let ahead = START.after(HOUR);
    let _ = overflow.lock(&five, ACCOUNT, None, ahead);
    let now = ahead.before(SECOND * 30);
    let by = (10..20).filter(|id| guess(*id, now)).count();
    assert_eq!(by, 0, "{by} more in the same hour");
}

/// The store says `Wait`: five are being verified, and lock for a day when they are wrong. Beside it the
/// sixth is let by.
#[test]
fn a_lock_that_is_about_to_be_is_minded_beside_the_store() {
    let day = Release::After(DAY);
    let limits = [Limit::new(5, SECOND).with_release(day), Limit::new(64, HOUR)];
    let machine = {
        let builder = vouchsafe_lockout::LockoutPolicy::builder();
        let policy = limits.iter().fold(builder, |builder, limit| builder.limit(*limit));
        let policy = policy.settle_within(SECOND * 300).build().unwrap();
        vouchsafe_lockout::LockoutMachine::new(policy, vouchsafe_core::PolicyDigest::NONE)
    };
    let (overflow, mut account) = (Overflow::default(), Account::new(machine.clone()));
    for id in 0..5 {
        assert!(matches!(account.send(begin(id), START), V::Admitted(_)));
    }
    let now = START.after(SECOND * 2);
    assert!(matches!(account.send(begin(6), now), V::Wait { .. }));
    assert!(overflow.charge(&machine, &attempt(7), now));
    let verdict = overflow.admit(&machine, attempt(7), account.state.as_ref(), now);
    assert!(!matches!(verdict, Ok(V::Admitted(_))), "{verdict:?}");
}

/// "a repeat of the last one changes nothing": the same unlock again, of which the coarse counters kept
/// nothing because nothing was in them.
#[test]
fn a_repeated_unlock_frees_nobody_again() {
    // Nothing coarse at the first; or something, which has left its window by the second.
    for earlier in [0, 3] {
        let window = Duration::from_secs(600);
        let five = machine(&[Limit::new(5, window)]);
        let (overflow, mut account) = (Overflow::default(), Account::new(five.clone()));
        let guess = |id, now, account: &Account| {
            assert!(overflow.charge(&five, &attempt(id), now));
            let by = admitted(overflow.admit(&five, attempt(id), account.state.as_ref(), now));
            assert!(!by || overflow.settle(&five, wrong(id), now).is_ok());
            by
        };
        assert_eq!((0..earlier).filter(|id| guess(*id, START, &account)).count() as u64, earlier);
        unlocks(&overflow, &mut account, START);
        let now = START.after(window);
        assert_eq!((10..20).filter(|id| guess(*id, now, &account)).count(), 5);
        // The answer was lost: the very same unlock once more, as `counting::drive` does it.
        let event = unlock(1 << 40);
        let before = overflow.before(&event, now);
        if !before.is_some_and(|before| before.is_repeated()) {
            let was = account.state.clone();
            assert!(matches!(account.send(event, now), V::Unlocked));
            assert_eq!(account.state, was, "the store knows it again");
            if let Some(before) = before {
                overflow.unlocked(before, now);
            }
        }
        let more = (30..40).filter(|id| guess(*id, now, &account)).count();
        assert_eq!(more, 0, "{more} more since the only unlock ({earlier} before it)");
    }
}
