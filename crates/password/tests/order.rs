//! When one policy is weaker than another, and passwords and records that show it.
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

use common::password;
use proptest::prelude::*;
use vouchsafe_core::{Comparison, Order, Standing, compare};
use vouchsafe_password::{
    BreachBuilder, BreachFilter, BreachKey, FingerprintBits, HashPolicy, Kind, Params,
    PasswordPolicy, PasswordWitness, PoolConfig, Record, Verified,
};
use vouchsafe_testkit::runs;

prop_compose! {
    fn any_policy()(
        min in prop_oneof![1..12_u32, 1..=256_u32],
        more in prop_oneof![0..12_u32, 0..=255_u32],
        kinds in prop::collection::vec(prop::sample::select(Kind::ALL.to_vec()), 0..4),
        (common, personal, breached) in any::<(bool, bool, bool)>(),
        remember in prop_oneof![Just(0_u8), 0..=24_u8],
    ) -> PasswordPolicy {
        let max = (min + more).clamp(8, 256);
        let builder = PasswordPolicy::builder().min_length(min).max_length(max);
        let builder = builder.refuse_common(common).refuse_personal(personal).remember(remember);
        let builder = builder.refuse_breached(breached);
        kinds.into_iter().fold(builder, |builder, kind| builder.require(kind)).build().unwrap()
    }
}

prop_compose! {
    /// Policies at or above the floor, its own points and their neighbours among them.
    fn any_hash_policy()(
        floor in prop::sample::select(vec![(47_104_u32, 1_u32), (19_456, 2), (12_288, 3)]),
        (memory, passes) in (prop_oneof![Just(0_u32), Just(1), 0..60_000_u32], 0..3_u32),
    ) -> HashPolicy {
        HashPolicy::argon2id(floor.0 + memory, floor.1 + passes).unwrap()
    }
}

fn accepts(policy: &PasswordPolicy, witness: &PasswordWitness) -> bool {
    let forgotten = match witness {
        PasswordWitness::Again { after, .. } => *after >= policy.remembers(),
        _ => true,
    };
    let password = password(witness.password());
    let out = std::io::Cursor::new(Vec::new());
    let mut list = BreachBuilder::new(out, FingerprintBits::Sixteen, 1).unwrap();
    if let PasswordWitness::Breached { .. } = witness {
        list.push(BreachKey::of(&password)).unwrap();
    }
    let list = BreachFilter::from_bytes(list.finish().unwrap().0.into_inner()).unwrap();
    forgotten && policy.check_against(&password, &witness.attributes(), &list).is_ok()
}

/// The rule's own check treats the witness as claimed.
fn bites(candidate: &PasswordPolicy, baseline: &PasswordPolicy, witness: &PasswordWitness) {
    let accepted = !matches!(witness, PasswordWitness::Refused { .. });
    assert_eq!(accepts(candidate, witness), accepted, "{witness} {candidate:?}");
    assert_eq!(accepts(baseline, witness), !accepted, "{witness} {baseline:?}");
}

fn no_weaker<S: Order>(candidate: &S, baseline: &S) -> bool {
    candidate.weakening(baseline).is_none()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(runs(10_000, 1_000_000)).unwrap()))]

    #[test]
    fn password_order_laws(a in any_policy(), b in any_policy(), c in any_policy()) {
        prop_assert!(no_weaker(&a, &a));
        prop_assert!(!(no_weaker(&a, &b) && no_weaker(&b, &a)) || a == b);
        prop_assert!(!(no_weaker(&a, &b) && no_weaker(&b, &c)) || no_weaker(&a, &c));
        let join = a.join(&b);
        prop_assert!(no_weaker(&join, &a) && no_weaker(&join, &b));
        prop_assert!(!(no_weaker(&c, &a) && no_weaker(&c, &b)) || no_weaker(&c, &join));
        prop_assert_eq!(&join, &b.join(&a));
        prop_assert_eq!(join.join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(&a.join(&a), &a);
        if let Some(witness) = a.weakening(&b) {
            bites(&a, &b, &witness);
        }
    }

    #[test]
    fn hash_order_laws(a in any_hash_policy(), b in any_hash_policy(), c in any_hash_policy()) {
        prop_assert!(no_weaker(&a, &a));
        prop_assert!(!(no_weaker(&a, &b) && no_weaker(&b, &c)) || no_weaker(&a, &c));
        let join = a.join(b);
        prop_assert!(no_weaker(&join, &a) && no_weaker(&join, &b));
        prop_assert!(!(no_weaker(&c, &a) && no_weaker(&c, &b)) || no_weaker(&c, &join));
        prop_assert_eq!(join, b.join(a));
        prop_assert_eq!(join.join(c), a.join(b.join(c)));
        prop_assert_eq!(a.join(a), a);
        if let Some(witness) = a.weakening(&b) {
            prop_assert!(b.upgrades(witness.record) && !a.upgrades(witness.record), "{}", witness);
        }
    }
}

#[test]
fn the_traps() {
    let of = |max| PasswordPolicy::builder().max_length(max).build().unwrap();
    assert!(matches!(
        compare(&of(8), &of(64)),
        Comparison::Weaker(PasswordWitness::Refused { .. })
    ));
    assert!(compare(&of(64), &of(8)).is_no_weaker());
    let (zoomph, ours) = (PasswordPolicy::zoomph_consumer(), PasswordPolicy::vouchsafe());
    match compare(&ours, &zoomph) {
        Comparison::Incomparable { weaker, stronger } => {
            bites(&ours, &zoomph, &weaker);
            bites(&zoomph, &ours, &stronger);
        }
        other => panic!("{other:?}"),
    }
    let breached = |refuse| PasswordPolicy::builder().refuse_breached(refuse).build().unwrap();
    match compare(&breached(false), &breached(true)) {
        Comparison::Weaker(witness @ PasswordWitness::Breached { .. }) => {
            bites(&breached(false), &breached(true), &witness);
            assert!(witness.to_string().contains("known from a breach"), "{witness}");
        }
        other => panic!("{other:?}"),
    }
    // Three kinds need three code points: the same rule, said twice.
    let kinds = |min| {
        let builder = PasswordPolicy::builder().min_length(min).require(Kind::Upper);
        builder.require(Kind::Number).require(Kind::Special).build().unwrap()
    };
    assert_eq!(kinds(1), kinds(3));
    assert_eq!(PasswordPolicy::zoomph_consumer(), PasswordPolicy::zoomph_staff());
}

#[test]
fn more_memory_with_fewer_passes_is_incomparable_unless_published() {
    let of = |memory, passes| HashPolicy::argon2id(memory, passes).unwrap();
    for (a, b) in [((47_104, 1), (19_456, 2)), ((19_456, 2), (12_288, 3))] {
        assert!(compare(&of(a.0, a.1), &of(b.0, b.1)).is_no_weaker());
        assert!(compare(&of(b.0, b.1), &of(a.0, a.1)).is_no_weaker());
    }
    assert!(matches!(compare(&of(65_536, 2), &of(32_768, 4)), Comparison::Incomparable { .. }));
    assert!(matches!(compare(&of(19_456, 2), &of(19_457, 2)), Comparison::Weaker(_)));
    assert!(compare(&of(19_457, 2), &of(47_104, 1)).is_no_weaker());
    for (memory, passes) in [(47_103, 1), (19_455, 2), (12_287, 3), (12_287, 9)] {
        assert!(HashPolicy::argon2id(memory, passes).is_err(), "{memory} {passes}");
        assert!(HashPolicy::danger_below_floor(memory, passes).is_ok());
    }
    // What is below the floor is no weaker than nothing that is published.
    let below = HashPolicy::danger_below_floor(64, 4).unwrap();
    assert_eq!([of(19_456, 2).join(below), below.join(of(19_456, 2))], [of(19_456, 4); 2]);
}

/// The witness is a record, and the pool itself hashes it anew under one policy only.
#[test]
fn the_pool_treats_the_witness_as_claimed() {
    let of = |memory, passes| HashPolicy::argon2id(memory, passes).unwrap();
    let (candidate, baseline) = (of(12_288, 5), of(16_384, 4));
    let witness = candidate.weakening(&baseline).unwrap().record;
    assert_eq!(Some(witness), Params::new(16_384, 4, 2));
    let upgrades = |policy| {
        let config = PoolConfig::new(policy).workers(1).budget_kib(65_536);
        let pool = common::pool(config);
        let record = enrolled_with(witness);
        match pool.verify(common::charged(1), &password("seven"), record, common::martha()).wait() {
            Verified::Match { upgrade, .. } => upgrade.is_some(),
            other => panic!("{other:?}"),
        }
    };
    assert!(upgrades(baseline) && !upgrades(candidate));
}

/// A record of `seven` with any parameters, made by the plain `argon2` crate.
fn enrolled_with(params: Params) -> Record {
    use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
    let mut builder = ParamsBuilder::new();
    builder.m_cost(params.memory_kib()).t_cost(params.passes()).p_cost(params.lanes());
    let text: String = {
        let mut preimage = Vec::new();
        for part in ["vouchsafe password 1", "acme", "martha"] {
            preimage.extend((part.len() as u64).to_be_bytes());
            preimage.extend(part.as_bytes());
        }
        let data = vouchsafe_crypto::sha256(&preimage);
        builder.data(AssociatedData::new(&data).unwrap()).output_len(32);
        let mut hash = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, builder.build().unwrap())
            .hash_password_into(b"seven", b"saltsaltsaltsalt", &mut hash)
            .unwrap();
        let template = format!("vouchsafe:1:chosen:bound:nfc:-:$argon2id$v=19${params}$");
        format!("{template}c2FsdHNhbHRzYWx0c2FsdA${}", unpadded(&hash))
    };
    let record: Record = text.parse().unwrap();
    assert_eq!((record.standing(), record.to_string()), (Standing::Chosen, text));
    record
}

fn unpadded(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1)).collect();
    let six = |bits: &[u8]| (0..6).fold(0, |n, i| n << 1 | bits.get(i).copied().unwrap_or(0));
    bits.chunks(6).map(|bits| char::from(ALPHABET[usize::from(six(bits))])).collect()
}
