//! The rule against breached passwords: with a list, without one, and with one that is damaged.
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

use std::io::Cursor;

use vouchsafe_password::{
    Attributes, BreachBuilder, BreachError, BreachFilter, BreachKey, Breached, FingerprintBits,
    Kind, Password, PasswordPolicy, Unmet,
};

const KNOWN: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";

fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

fn list(of: &str) -> Vec<u8> {
    let out = Cursor::new(Vec::new());
    let mut builder = BreachBuilder::new(out, FingerprintBits::Sixteen, 1).unwrap();
    builder.push(BreachKey::of(&password(of))).unwrap();
    builder.finish().unwrap().0.into_inner()
}

fn unmet(policy: &PasswordPolicy, text: &str, list: &dyn Breached) -> Vec<Unmet> {
    let checked = policy.check_against(&password(text), &Attributes::none(), list);
    checked.err().unwrap_or_default()
}

#[test]
fn with_a_list_what_is_on_it_is_refused() {
    let policy = PasswordPolicy::builder().refuse_breached(true).require(Kind::Upper);
    let policy = policy.build().unwrap();
    assert!(policy.refuses_breached());
    let known = BreachFilter::from_bytes(list(KNOWN)).unwrap();
    assert_eq!(unmet(&policy, KNOWN, &known), [Unmet::Breached]);
    assert_eq!(unmet(&policy, OTHER, &known), []);
    // With whatever else is wrong with it.
    let short = BreachFilter::from_bytes(list("qjvwkx")).unwrap();
    let all = [Unmet::TooShort(8), Unmet::Missing(Kind::Upper), Unmet::Breached];
    assert_eq!(unmet(&policy, "qjvwkx", &short), all);
}

#[test]
fn without_a_list_nothing_is_accepted() {
    let policy = PasswordPolicy::builder().refuse_breached(true).build().unwrap();
    for text in [KNOWN, OTHER] {
        let refused = policy.check(&password(text), &Attributes::none()).unwrap_err();
        assert_eq!(refused, [Unmet::NotScreened]);
    }
    // One that was damaged after it was opened.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &list(KNOWN)).unwrap();
    let filter = BreachFilter::open(file.path()).unwrap();
    assert_eq!(unmet(&policy, KNOWN, &filter), [Unmet::Breached]);
    file.as_file().set_len(60).unwrap();
    assert_eq!(filter.is_breached(&password(KNOWN)), Err(BreachError::Shard(0)));
    for text in [KNOWN, OTHER] {
        assert_eq!(unmet(&policy, text, &filter), [Unmet::NotScreened]);
    }
    // A policy that does not ask does not look.
    for policy in [PasswordPolicy::vouchsafe(), PasswordPolicy::zoomph_staff()] {
        assert!(!policy.refuses_breached());
        let text = "Brass-Lantern7-Brass-Kettle";
        assert!(policy.check(&password(text), &Attributes::none()).is_ok());
        assert_eq!(unmet(&policy, text, &filter), []);
    }
}

#[test]
fn the_two_reasons_have_codes_and_texts_of_their_own() {
    let (breached, not) = (Unmet::Breached, Unmet::NotScreened);
    assert_eq!((breached.code(), not.code()), ("password.breached", "password.not_screened"));
    assert_eq!(breached.to_string(), "not a password that is known from a breach elsewhere");
    assert!(not.to_string().contains("could not be checked just now"));
}
