//! Weaker, and the attempts that show it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::time::Duration;

use vouchsafe_core::{Comparison, PolicyDigest, compare};
use vouchsafe_lockout::{
    Circumstance, Limit, LockoutMachine, LockoutPolicy, LockoutVerdict as V, MayRollBack, Outage,
    Witness,
};

use crate::common::*;

/// The first of these attempts that the real machine refuses.
pub fn refused(policy: &LockoutPolicy, witness: &Witness) -> Option<usize> {
    let (policy, forgets) = match (witness.circumstance(), policy.when_store_is_down()) {
        (Circumstance::Usual, _) => (policy.clone(), false),
        (Circumstance::StoreDown, Outage::Refuse) => return Some(0),
        (Circumstance::StoreDown, Outage::FailOpen) => return None,
        (Circumstance::StoreDown, _) => (policy.degraded().unwrap(), false),
        (lost, _) => {
            let everything = policy.may_roll_back() == MayRollBack::Everything;
            let counters = policy.may_roll_back() == MayRollBack::Counters;
            (policy.clone(), everything || counters && lost == Circumstance::CountersRolledBack)
        }
    };
    let mut account = Account::new(LockoutMachine::new(policy, PolicyDigest::NONE));
    witness.attempts().iter().enumerate().position(|(index, attempt)| {
        if forgets {
            account.state = None;
        }
        let (id, now) = (index as u64, START.after(attempt.after));
        let event = match attempt.device {
            Some(device) => begin_from_cookie(id, device, now),
            None => begin(id),
        };
        let admitted = matches!(account.send(event, now), V::Admitted(_));
        if admitted {
            let settle = match (attempt.right, attempt.repeated) {
                (true, _) => right(id),
                (false, true) => wrong_secret(id, 0),
                (false, false) => wrong(id),
            };
            account.send(settle, now);
        }
        !admitted
    })
}

#[track_caller]
pub fn shows(candidate: &LockoutPolicy, baseline: &LockoutPolicy, witness: &Witness) {
    assert_eq!(refused(candidate, witness), None, "the weaker one admits all: {witness}");
    let attempts = witness.attempts();
    assert!(attempts.is_sorted_by_key(|attempt| attempt.after), "in order of time: {witness}");
    // Nobody has to sign in before anything was wrong.
    assert!(attempts[0].after.is_zero() && !attempts[0].right, "from the first one on: {witness}");
    let last = attempts.len() - 1;
    assert_eq!(refused(baseline, witness), Some(last), "the baseline refuses the last: {witness}");
}

#[track_caller]
pub fn weaker(candidate: &LockoutPolicy, baseline: &LockoutPolicy) {
    match compare(candidate, baseline) {
        Comparison::Weaker(witness) => shows(candidate, baseline, &witness),
        other => panic!("{other:?}"),
    }
    assert_eq!(compare(baseline, candidate), Comparison::NoWeaker);
}

pub fn one(failures: u32, window: Duration) -> LockoutPolicy {
    policy(&[Limit::new(failures, window)])
}
