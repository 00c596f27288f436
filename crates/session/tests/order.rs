//! A policy is weaker when the engine, run on the witness, lets through what the other refuses.
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
use vouchsafe_core::Order;
use vouchsafe_session::{
    SessionEvent, SessionMachine, SessionPolicy, SessionPolicyBuilder, SessionVerdict,
    SessionWitness,
};
use vouchsafe_testkit::SeededEntropy;

fn random_policy(random: &SeededEntropy) -> SessionPolicy {
    let idle = MINUTE * (5 + random.below(4) as u32);
    let builder = SessionPolicy::builder(idle)
        .granularity(MINUTE * random.below(3) as u32)
        .max_sessions(1 + random.below(3) as u32);
    let builder = match random.below(4) {
        0 => builder.without_absolute(),
        more => builder.absolute(idle + MINUTE * more as u32),
    };
    builder.build().unwrap()
}

/// Whether the engine lets the witness through.
fn passes(policy: &SessionPolicy, witness: &SessionWitness) -> bool {
    let machine = SessionMachine::new(policy.clone(), ACCOUNT, 0);
    let (mut state, random) = (None, seeded(1));
    match *witness {
        SessionWitness::Life { opened, every, last_activity, now } => {
            let (_, new) = fresh(&random);
            let secret = *new.secret();
            let _ = apply(&machine, &mut state, &open(new, 0, opened), opened);
            let mut used = opened;
            while used < last_activity {
                used = used.after(every).min(last_activity);
                let verdict = apply(&machine, &mut state, &check(secret), used);
                assert!(matches!(verdict, SessionVerdict::Active(_)), "{verdict:?}");
            }
            let verdict = apply(&machine, &mut state, &check(secret), now);
            matches!(verdict, SessionVerdict::Active(_))
        }
        SessionWitness::AtOnce { sessions } => {
            for _ in 0..sessions {
                let _ = apply(&machine, &mut state, &open(fresh(&random).1, 0, at(0)), at(0));
            }
            let listed = apply(&machine, &mut state, &SessionEvent::List, at(0));
            let SessionVerdict::Listed(listed) = listed else { panic!() };
            listed.len() == sessions as usize
        }
    }
}

#[test]
fn witnesses_run_through_the_engine() {
    let random = SeededEntropy::new(41);
    let mut weaker = 0;
    for _ in 0..2_000 {
        let (one, two) = (random_policy(&random), random_policy(&random));
        if let Some(witness) = one.weakening(&two) {
            weaker += 1;
            assert!(passes(&one, &witness), "{one:?} {two:?} {witness}");
            assert!(!passes(&two, &witness), "{one:?} {two:?} {witness}");
        }
        let joined = one.join(&two);
        assert_eq!(joined.weakening(&one), None);
        assert_eq!(joined.weakening(&two), None);
        assert_eq!(joined, two.join(&one));
        assert_eq!(one.join(&one), one);
        assert_eq!(one.weakening(&one), None);
    }
    assert!(weaker > 500, "{weaker}");
}

#[test]
fn idle_without_absolute_is_weaker() {
    let with = SessionPolicy::default();
    let without = SessionPolicy::builder(with.idle()).without_absolute().build().unwrap();
    let witness = without.weakening(&with).unwrap();
    assert!(passes(&without, &witness) && !passes(&with, &witness));
    assert_eq!(with.weakening(&without), None);
}

#[test]
fn every_problem_is_named() {
    let built = SessionPolicy::builder(Duration::from_secs(59))
        .absolute(Duration::from_secs(1))
        .granularity(Duration::from_secs(30))
        .max_sessions(0)
        .build();
    let Err(vouchsafe_session::Error::Policy(problems)) = built else { panic!("{built:?}") };
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!(
        vouchsafe_session::Error::Policy(problems).to_string(),
        "policy: idle must be between 60s and 2592000s, not 59s; \
         absolute must be between 59s and 34560000s, not 1s; \
         granularity must be between 0ns and 29.5s, not 30s; \
         max_sessions must be between 1 and 64, not 0"
    );
}

#[test]
fn bounds_are_inclusive() {
    let day = Duration::from_secs(86_400);
    let stands = |builder: SessionPolicyBuilder| builder.build().is_ok();
    for (idle, good) in
        [(MINUTE - MICRO, false), (MINUTE, true), (day * 30, true), (day * 30 + MICRO, false)]
    {
        let builder = SessionPolicy::builder(idle).without_absolute().granularity(Duration::ZERO);
        assert_eq!(stands(builder), good, "idle {idle:?}");
    }
    let hour = || SessionPolicy::builder(MINUTE * 60);
    for (absolute, good) in [
        (MINUTE * 60 - MICRO, false),
        (MINUTE * 60, true),
        (day * 400, true),
        (day * 400 + MICRO, false),
    ] {
        assert_eq!(stands(hour().absolute(absolute)), good, "absolute {absolute:?}");
    }
    for (granularity, good) in [(MINUTE * 30, true), (MINUTE * 30 + MICRO, false)] {
        assert_eq!(stands(hour().granularity(granularity)), good, "granularity {granularity:?}");
    }
    for (sessions, good) in [(0, false), (1, true), (64, true), (65, false)] {
        assert_eq!(stands(hour().max_sessions(sessions)), good, "{sessions} sessions");
    }
}

#[test]
fn a_witness_says_what_gets_by() {
    let hour = |absolute| SessionPolicy::builder(MINUTE * 60).absolute(MINUTE * absolute);
    let base = hour(120).max_sessions(2).build().unwrap();
    let shown = |candidate: SessionPolicyBuilder| {
        candidate.build().unwrap().weakening(&base).map(|witness| witness.to_string())
    };
    assert_eq!(shown(hour(120).max_sessions(2)), None);
    assert_eq!(
        shown(hour(121).max_sessions(2)).as_deref(),
        Some("a session is still accepted 1µs after its last use and 7200s after it was opened")
    );
    let more = shown(hour(120).max_sessions(3));
    assert_eq!(more.as_deref(), Some("3 sessions of one account at once"));
}
