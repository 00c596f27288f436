//! Which rules for links are weaker, and the redemption or mail that shows it on the real machine.
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
use vouchsafe_core::{Identifier, Order, Timestamp};
use vouchsafe_session::{
    FreshLink, LinkEvent, LinkMachine, LinkPolicy, LinkPolicyBuilder, LinkVerdict, LinkWitness,
    Purpose, Requester, Token,
};
use vouchsafe_testkit::SeededEntropy;

const DAY: Duration = Duration::from_secs(86_400);

fn random_policy(random: &SeededEntropy) -> LinkPolicy {
    let few = |least: Duration| least + Duration::from_secs(random.below(2));
    let builder = LinkPolicy::builder().resend_floor(few(MINUTE * 5));
    let builder = Purpose::ALL
        .into_iter()
        .fold(builder, |builder, purpose| builder.lifetime(purpose, few(MINUTE)));
    builder.build().unwrap()
}

/// Whether the engine lets the witness through.
fn passes(policy: &LinkPolicy, witness: LinkWitness) -> bool {
    let machine = LinkMachine::new(policy.clone(), ACCOUNT, 0);
    let address = keys().address(&tenant(), &Identifier::new("ann@example.com").unwrap());
    let made = |purpose, seed| -> (Token, FreshLink) {
        keys().issue_link(&tenant(), ACCOUNT, purpose, &seeded(seed)).unwrap()
    };
    let mut state = None;
    let mut issue = |fresh, now: Timestamp| {
        let event = LinkEvent::Issue { fresh, address, by: Requester::Stranger };
        matches!(apply(&machine, &mut state, &event, now), LinkVerdict::Issued { .. })
    };
    match witness {
        LinkWitness::Redeemed { purpose, age } => {
            let (token, fresh) = made(purpose, 1);
            assert!(issue(fresh, at(0)));
            let link = keys().open_link(&tenant(), purpose, token.expose().as_bytes()).unwrap();
            let redeem = LinkEvent::Redeem { link, address, id: 1 };
            let verdict = apply(&machine, &mut state, &redeem, at(0).after(age));
            verdict == LinkVerdict::Redeemed
        }
        LinkWitness::Resent { gap } => {
            let purpose = Purpose::Activation;
            assert!(issue(made(purpose, 1).1, at(0)));
            issue(made(purpose, 2).1, at(0).after(gap))
        }
    }
}

#[test]
fn witnesses_run_through_the_engine_and_a_join_is_both() {
    let random = SeededEntropy::new(17);
    let (mut redeemed, mut resent) = (0, 0);
    for _ in 0..2_000 {
        let (one, two) = (random_policy(&random), random_policy(&random));
        if let Some(witness) = one.weakening(&two) {
            match witness {
                LinkWitness::Redeemed { .. } => redeemed += 1,
                LinkWitness::Resent { .. } => resent += 1,
            }
            assert!(passes(&one, witness), "{one:?} {two:?} {witness}");
            assert!(!passes(&two, witness), "{one:?} {two:?} {witness}");
        }
        let joined = one.join(&two);
        assert_eq!((joined.weakening(&one), joined.weakening(&two)), (None, None));
        assert_eq!((&joined, one.join(&one)), (&two.join(&one), one.clone()));
        // The least such: each value is one of the two.
        let of_either = |value: fn(&LinkPolicy) -> Duration| {
            [value(&one), value(&two)].contains(&value(&joined))
        };
        assert!(of_either(LinkPolicy::resend_floor));
        assert!(of_either(|policy| policy.lifetime(Purpose::Reset)));
    }
    assert!(redeemed > 200 && resent > 20, "{redeemed} {resent}");
}

#[test]
fn a_witness_says_what_gets_by() {
    let base = LinkPolicy::default();
    let shown = |candidate: LinkPolicyBuilder| {
        candidate.build().unwrap().weakening(&base).map(|witness| witness.to_string())
    };
    assert_eq!(shown(LinkPolicy::builder()), None);
    assert_eq!(
        shown(LinkPolicy::builder().lifetime(Purpose::Reset, MINUTE * 61)).as_deref(),
        Some("a link for reset still works when 3600s old")
    );
    let strict = LinkPolicy::builder().resend_floor(MINUTE * 6).build().unwrap();
    let witness = base.weakening(&strict).unwrap();
    assert_eq!(witness.to_string(), "a second link is sent 300s after the first");
}

#[test]
fn bounds_are_inclusive() {
    for purpose in Purpose::ALL {
        for (lifetime, good) in
            [(MINUTE - MICRO, false), (MINUTE, true), (DAY, true), (DAY + MICRO, false)]
        {
            let built = LinkPolicy::builder().lifetime(purpose, lifetime).build();
            assert_eq!(built.is_ok(), good, "{} {lifetime:?}", purpose.name());
            if let Ok(policy) = built {
                assert_eq!(policy.lifetime(purpose), lifetime);
            }
        }
    }
    for (floor, good) in
        [(MINUTE * 5 - MICRO, false), (MINUTE * 5, true), (DAY, true), (DAY + MICRO, false)]
    {
        assert_eq!(LinkPolicy::builder().resend_floor(floor).build().is_ok(), good, "{floor:?}");
    }
    let names = Purpose::ALL.map(Purpose::name);
    assert_eq!(names, ["activation", "reset", "unlock", "email_change"]);
    let lifetimes = Purpose::ALL.map(|purpose| LinkPolicy::default().lifetime(purpose).as_secs());
    assert_eq!(lifetimes, [86_400, 3_600, 3_600, 86_400]);
}
