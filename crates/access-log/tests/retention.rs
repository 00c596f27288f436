//! The retention section: its order, its join, and witnesses that the section itself bears out.
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

use proptest::prelude::*;
use vouchsafe_access_log::{
    Actor, Disposal, Field, Operation, PolicyError, Record, RetentionPolicy, Witness, name,
};
use vouchsafe_core::{ClauseId, Comparison, Order, PolicyDigest, Source, Timestamp, compare};
use vouchsafe_testkit::runs;

const DAY: Duration = Duration::from_secs(86_400);

fn section(keep: u32, erase: Option<u32>, nullable: &[Field]) -> RetentionPolicy {
    let operations = [Operation::Created, Operation::Updated, Operation::Deleted];
    let erase = erase.map(|days| DAY * days);
    RetentionPolicy::new(DAY * keep, erase, nullable.iter().copied(), operations).unwrap()
}

/// A record that lacks this field and no other.
fn without(field: Field) -> Record {
    let mut record = common::bare();
    if field != Field::Address {
        record.source = Source::Direct(std::net::IpAddr::from([192, 0, 2, 1]).into());
    }
    if field != Field::Claimed {
        record.actor = Actor::Service(name!("job"));
    }
    if field != Field::Policy {
        record.policy = PolicyDigest::new([1; 32]);
    }
    if field != Field::Clause {
        record.clause = Some(ClauseId::new("A1.4").unwrap());
    }
    record
}

/// Plays a witness: the two sections must treat the event differently.
fn plays(witness: Witness, candidate: &RetentionPolicy, baseline: &RetentionPolicy) -> bool {
    let at = |policy: &RetentionPolicy, age| {
        policy.disposal(Timestamp::EPOCH, Timestamp::EPOCH.after(age))
    };
    match witness {
        Witness::ErasedEarly { age } => {
            at(candidate, age) != Disposal::Keep && at(baseline, age) == Disposal::Keep
        }
        Witness::KeptLate { age } => {
            at(candidate, age) != Disposal::Overdue && at(baseline, age) == Disposal::Overdue
        }
        Witness::FieldMissing { field } => {
            let record = without(field);
            candidate.missing(&record).is_empty() && baseline.missing(&record) == [field]
        }
        Witness::Unrecorded { operation } => {
            !candidate.requires(operation) && baseline.requires(operation)
        }
        _ => false,
    }
}

#[test]
fn nullable_field_is_weaker() {
    for field in Field::ALL {
        let (strict, lax) = (section(30, None, &[]), section(30, None, &[field]));
        assert_eq!(compare(&lax, &strict), Comparison::Weaker(Witness::FieldMissing { field }));
        assert_eq!(compare(&strict, &lax), Comparison::NoWeaker);
        assert!(plays(Witness::FieldMissing { field }, &lax, &strict));
    }
}

#[test]
fn retention_over_the_erase_by_limit_is_weaker() {
    let baseline = section(30, Some(60), &[]);
    let late = Witness::KeptLate { age: DAY * 60 };
    assert_eq!(compare(&section(30, None, &[]), &baseline), Comparison::Weaker(late));
    assert_eq!(compare(&section(30, Some(61), &[]), &baseline), Comparison::Weaker(late));
    // Kept longer than demanded, but over the limit: better in one respect, worse in the other.
    let longer = section(90, None, &[]);
    assert!(
        matches!(compare(&longer, &baseline), Comparison::Incomparable { weaker, .. } if weaker == late)
    );
    assert_eq!(compare(&section(60, Some(60), &[]), &baseline), Comparison::NoWeaker);
}

#[test]
fn thirty_days_to_the_microsecond() {
    let policy = section(30, Some(31), &[]);
    let now = Timestamp::EPOCH.after(DAY * 1_000);
    let micro = Duration::from_micros(1);
    assert_eq!(policy.disposal(now.before(DAY * 30 - micro), now), Disposal::Keep);
    assert_eq!(policy.disposal(now.before(DAY * 30), now), Disposal::MayErase);
    assert_eq!(policy.disposal(now.before(DAY * 31 - micro), now), Disposal::MayErase);
    assert_eq!(policy.disposal(now.before(DAY * 31), now), Disposal::Overdue);
    // From the future, as after a clock that was set back: kept.
    assert_eq!(policy.disposal(now.after(DAY), now), Disposal::Keep);
    let witness = section(29, None, &[]).weakening(&section(30, None, &[])).unwrap();
    assert_eq!(witness, Witness::ErasedEarly { age: DAY * 29 });
}

#[test]
fn all_problems_at_once() {
    let problems = RetentionPolicy::new(Duration::ZERO, None, [], []).unwrap_err();
    assert_eq!(problems, [PolicyError::NothingKept, PolicyError::NothingRecorded]);
    let problems = RetentionPolicy::new(DAY * 31, Some(DAY * 30), [], []).unwrap_err();
    assert_eq!(problems.len(), 2);
    let (keep, erase) = (section(60, None, &[]), section(10, Some(30), &[]));
    assert_eq!(
        keep.join(&erase),
        Err(PolicyError::KeptTooLong { keep_at_least: DAY * 60, erase_by: DAY * 30 })
    );
}

fn any_section() -> impl Strategy<Value = RetentionPolicy> {
    let fields = prop::sample::subsequence(Field::ALL.to_vec(), 0..=4);
    let operations = prop::sample::subsequence(Operation::ALL[..5].to_vec(), 1..=5);
    (1..6_u32, prop::option::of(0..4_u32), fields, operations).prop_map(|(keep, more, f, o)| {
        RetentionPolicy::new(DAY * keep, more.map(|more| DAY * (keep + more)), f, o).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs(5_000, 500_000) as u32))]

    #[test]
    fn order_laws(a in any_section(), b in any_section(), c in any_section()) {
        prop_assert!(a.weakening(&a).is_none());
        if let Some(witness) = a.weakening(&b) {
            prop_assert!(plays(witness, &a, &b), "{witness}");
        }
        if a.weakening(&b).is_none() && b.weakening(&a).is_none() {
            prop_assert_eq!(&a, &b);
        }
        if a.weakening(&b).is_none() && b.weakening(&c).is_none() {
            prop_assert!(a.weakening(&c).is_none());
        }
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&a), Ok(a.clone()));
        match a.join(&b) {
            Ok(join) => {
                prop_assert!(join.weakening(&a).is_none() && join.weakening(&b).is_none());
                if c.weakening(&a).is_none() && c.weakening(&b).is_none() {
                    prop_assert!(c.weakening(&join).is_none());
                }
            }
            // Nothing is above both.
            Err(_) => prop_assert!(c.weakening(&a).is_some() || c.weakening(&b).is_some()),
        }
    }
}
