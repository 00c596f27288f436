//! What is printed: of a secret nothing but what it is, and of a rule all that a person needs.
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

use common::{accepted, charged, cheap, martha, password, pool, record};
use vouchsafe_crypto::{MacKey, RootKey};
use vouchsafe_password::{
    Attributes, BreachBuilder, BreachFilter, BreachKey, Deficit, FingerprintBits, HashPolicy,
    HashWitness, Kind, Params, PasswordPolicy, PasswordWitness, Peppers, PoolConfig, PoolKeys,
    Stored,
};

#[test]
fn debug_says_what_it_is_and_nothing_more() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let weak = record(&pool, "Xk7#vq9w");
    assert_eq!(format!("{weak:?}"), "Record(Chosen, argon2id, m=64,t=2,p=1, ..)");
    let dearer = HashPolicy::danger_below_floor(128, 2).unwrap();
    let next = common::pool(PoolConfig::new(dearer).workers(1));
    let verified = next.verify(charged(1), &password("Xk7#vq9w"), weak, martha()).wait();
    let upgrade = common::upgrade(verified).unwrap();
    assert_eq!(
        format!("{upgrade:?}"),
        "Upgrade(Record(Chosen, argon2id, m=64,t=2,p=1, ..) -> \
         Record(Chosen, argon2id, m=128,t=2,p=1, ..))"
    );
    let hashing = pool.verify(charged(1), &password("x"), Stored::Absent, martha());
    assert_eq!(format!("{hashing:?}"), "Hashing(..)");
    assert_eq!(format!("{pool:?}"), "HashPool { policy: HashPolicy(Params(m=64,t=2,p=1)), .. }");
    assert_eq!(format!("{:?}", martha()), "Binding(..)");
    assert_eq!(format!("{:?}", password("x")), "Password(..)");
    assert_eq!(format!("{:?}", accepted("x")), "Accepted(..)");
    assert_eq!(format!("{:?}", Attributes::none().with("martha")), "Attributes(..)");
    assert_eq!(format!("{:?}", BreachKey::from_bits(1)), "BreachKey(..)");
    let out = std::io::Cursor::new(Vec::new());
    let builder = BreachBuilder::new(out, FingerprintBits::Eight, 1).unwrap();
    let filter = BreachFilter::from_bytes(builder.finish().unwrap().0.into_inner()).unwrap();
    assert!(format!("{filter:?}").contains("source: Memory(..)"), "{filter:?}");
    let (one, other) = (RootKey::new(&[1; 32]), RootKey::new(&[2; 32]));
    let peppers = Peppers::new(&one).with_older(&other);
    let id = peppers.current();
    assert!(id.to_string().len() == 16 && id.to_string().bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(format!("{id:?}"), format!("PepperId({id})"));
    assert_eq!(format!("{peppers:?}"), format!("Peppers({id}, 1 older)"));
    let keys = PoolKeys::new().recognise_with(MacKey::new(&[7; 32]));
    assert_eq!(format!("{keys:?}"), "PoolKeys(recognise: true, remember: false, None)");
    // Kinds that others imply are among them.
    let policy = PasswordPolicy::builder().require(Kind::Upper).build().unwrap();
    assert!(format!("{policy:?}").contains("kinds: {Letter, Upper},"), "{policy:?}");
}

/// What is shown when a policy is too weak, or cannot be.
#[test]
fn a_policy_is_refused_with_what_is_wrong_with_it() {
    let of = |attribute: Option<&str>| {
        let (password, attribute) = ("Xk7#".to_owned(), attribute.map(str::to_owned));
        PasswordWitness::Accepted { password, attribute }.to_string()
    };
    assert_eq!(of(None), "the password `Xk7#` becomes acceptable");
    assert_eq!(of(Some("Xk")), "the password `Xk7#` of somebody called `Xk` becomes acceptable");
    let password = || "Xk7#".to_owned();
    assert_eq!(
        PasswordWitness::Again { password: password(), after: 3 }.to_string(),
        "the password `Xk7#` becomes acceptable again after 3 others"
    );
    assert_eq!(
        PasswordWitness::Breached { password: password() }.to_string(),
        "the password `Xk7#`, known from a breach, becomes acceptable"
    );
    assert_eq!(
        PasswordWitness::Refused { password: password() }.to_string(),
        "the password `Xk7#` of 4 characters is refused"
    );
    let record = Params::new(19_456, 2, 1).unwrap();
    assert_eq!(
        HashWitness { record }.to_string(),
        "a record hashed with m=19456,t=2,p=1 is no longer hashed anew"
    );
    assert_eq!(
        Deficit { min_length: 15, entries: 41 }.to_string(),
        "41 common passwords have 15 or more characters, not 3000"
    );
    let never = PasswordPolicy::builder().min_length(0).max_length(7).build().unwrap_err();
    assert_eq!(
        never.to_string(),
        "the password rule cannot be: the minimum length is 0, and must be 1 to 256 code points; \
         the maximum length is 7, and must be 8 to 256 code points"
    );
}
