//! PW-11, PW-12: records under a pepper.
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

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{ACCOUNT, accepted, charged, cheap, matched, password, pool_with, reason, upgrade};
use proptest::prelude::*;
use vouchsafe_core::{Standing, TenantId, UserId};
use vouchsafe_crypto::RootKey;
use vouchsafe_password::{
    Binding, HashPolicy, HashPool, NotVerifiedReason, OwnerPresent, Peppers, PoolKeys, Record,
    RecordError, Stored, Verified,
};
use vouchsafe_testkit::{SeededEntropy, runs};

fn key(number: u8) -> RootKey {
    RootKey::new(&[number; 32])
}

fn peppers(current: u8, older: &[u8]) -> Arc<Peppers> {
    let peppers = older
        .iter()
        .fold(Peppers::new(&key(current)), |peppers, older| peppers.with_older(&key(*older)));
    Arc::new(peppers)
}

fn pool_of(policy: HashPolicy, peppers: Option<Arc<Peppers>>) -> HashPool {
    let keys = PoolKeys::new();
    pool_with(policy, peppers.into_iter().fold(keys, PoolKeys::peppers))
}

fn pool(peppers: Option<Arc<Peppers>>) -> HashPool {
    pool_of(cheap(), peppers)
}

fn user(number: usize) -> Binding {
    let user = UserId::new(&format!("u-{number}")).unwrap();
    Binding::new(&TenantId::new("acme").unwrap(), &user)
}

fn record(pool: &HashPool, text: &str, binding: Binding) -> Record {
    let owner = OwnerPresent::assertion(ACCOUNT);
    pool.hash(accepted(text), owner, binding).wait().unwrap().as_record().clone()
}

fn verify(pool: &HashPool, text: &str, stored: impl Into<Stored>, binding: Binding) -> Verified {
    pool.verify(charged(1), &password(text), stored, binding).wait()
}

#[test]
fn a_sealed_record_shows_nothing_of_the_hash() {
    let (sealed, plain) = (pool(Some(peppers(1, &[]))), pool(None));
    let one = record(&sealed, "Xk7#vq9w", user(1));
    let id = peppers(1, &[]).current();
    let text = one.to_string();
    assert!(text.starts_with(&format!("vouchsafe:1:chosen:bound:nfc:{id}:")), "{text}");
    assert!(!text.contains("argon2") && text.len() < 320, "{text}");
    assert_eq!(
        (one.scheme(), one.params(), one.pepper(), one.is_bound()),
        ("sealed", None, Some(id), true)
    );
    assert_eq!(text.parse::<Record>().unwrap(), one);
    assert_eq!(matched(verify(&sealed, "Xk7#vq9w", one.clone(), user(1))), Some(Standing::Chosen));
    assert_eq!(matched(verify(&sealed, "Xk7#vq9v", one.clone(), user(1))), None);
    // The same password, sealed twice, is two texts.
    assert_ne!(record(&sealed, "Xk7#vq9w", user(1)).to_string(), text);
    assert!(!format!("{:?}", peppers(1, &[2])).contains("[1, 1"));
    assert_eq!(reason(verify(&plain, "Xk7#vq9w", one, user(1))), NotVerifiedReason::NoPepper);
}

/// A key that is not there is no wrong password: nothing is hashed, and nothing counts.
#[test]
fn a_missing_or_wrong_key_verifies_nothing() {
    let one = record(&pool(Some(peppers(1, &[]))), "Xk7#vq9w", user(1));
    for others in [peppers(2, &[]), peppers(2, &[3, 4])] {
        let pool = pool(Some(others));
        for typed in ["Xk7#vq9w", "wrong"] {
            let verified = verify(&pool, typed, one.clone(), user(1));
            assert_eq!(reason(verified), NotVerifiedReason::NoPepper);
        }
        assert_eq!(pool.work().runs, 0);
    }
    let ring = pool(Some(peppers(2, &[3, 1])));
    let upgraded = upgrade(verify(&ring, "Xk7#vq9w", one.clone(), user(1))).unwrap();
    assert_eq!(upgraded.expected(), &one);
    assert_eq!(upgraded.new_record().pepper(), Some(peppers(2, &[]).current()));
    // Sealed anew, not hashed anew.
    assert_eq!(ring.work().runs, 1);
    assert!(upgrade(verify(&ring, "Xk7#vq9w", upgraded.new_record().clone(), user(1))).is_none());
}

/// Whoever can write to the table and has no pepper puts a hash of their own there.
#[test]
fn once_only_sealed_records_count_nobody_can_put_one_there() {
    let only = || Arc::new(Peppers::new(&key(1)).sealed_only());
    let (strict, entropy) = (pool(Some(only())), SeededEntropy::new(2));
    let forged = record(&pool(None), "Xk7#vq9w", user(1));
    let sealed = record(&strict, "Xk7#vq9w", user(1));
    assert!(format!("{:?}", only()).ends_with("0 older, sealed only)"));

    let before = strict.work();
    let verified = verify(&strict, "Xk7#vq9w", forged.clone(), user(1));
    assert!(matches!(verified, Verified::NoMatch(_)), "{verified:?}");
    let after = strict.work();
    assert_eq!(
        (after.runs, after.blocks),
        (before.runs + 1, before.blocks + cheap().params().blocks())
    );
    let verified = verify(&strict, "Xk7#vq9w", sealed.clone(), user(1));
    assert_eq!(matched(verified), Some(Standing::Chosen));

    let not_sealed = Err(vouchsafe_password::PepperError::NotSealed);
    assert_eq!(only().rotate(&forged, &user(1), &entropy), not_sealed);
    // Before: rotated as any.
    let rotated = peppers(1, &[]).rotate(&forged, &user(1), &entropy).unwrap().unwrap();
    let verified = verify(&strict, "Xk7#vq9w", rotated.new_record().clone(), user(1));
    assert_eq!(matched(verified), Some(Standing::Chosen));
}

/// Without a password: not what another account's row held, and nothing that was changed.
#[test]
fn what_may_be_the_accounts_own_is_believed() {
    let (host, ring) = (pool(None), pool(Some(peppers(1, &[]))));
    let strict = pool(Some(Arc::new(Peppers::new(&key(1)).sealed_only())));
    let (plain, sealed) = (record(&host, "Xk7#vq9w", user(1)), record(&ring, "x", user(1)));
    assert!(host.believes(&plain, &user(1)) && ring.believes(&plain, &user(1)));
    assert!(!strict.believes(&plain, &user(1)), "not sealed");
    let changed: Record = sealed.to_string().replace(":bound:", ":free:").parse().unwrap();
    for pool in [&ring, &strict] {
        assert!(pool.believes(&sealed, &user(1)) && !pool.believes(&sealed, &user(2)));
        assert!(!pool.believes(&changed, &user(1)));
    }
    for without in [host, pool(Some(peppers(2, &[])))] {
        assert!(without.believes(&sealed, &user(2)), "nobody can tell");
    }
}

/// For whoever finds a record changed by somebody else: only the seal may be another.
#[test]
fn another_seal_is_told_from_another_record() {
    let (host, entropy) = (pool(None), SeededEntropy::new(2));
    let (plain, ring) = (record(&host, "Xk7#vq9w", user(1)), pool(Some(peppers(2, &[1]))));
    let sealed = |peppers: Arc<Peppers>, record: &Record| {
        peppers.rotate(record, &user(1), &entropy).unwrap().unwrap().new_record().clone()
    };
    let changed = |from, to| plain.to_string().replace(from, to).parse::<Record>().unwrap();
    let others = [
        record(&host, "Xk7#vq9w", user(1)),
        changed(":chosen:", ":change:"),
        changed(":bound:", ":free:"),
        changed(":nfc:", ":raw:"),
    ];
    for known in [plain.clone(), sealed(peppers(1, &[]), &plain)] {
        let found = sealed(peppers(2, &[1]), &known);
        let upgrade = ring.resealed(&known, &found, &user(1)).unwrap();
        assert_eq!((upgrade.expected(), upgrade.new_record()), (&known, &found));
        assert!(ring.resealed(&known, &plain, &user(1)).is_none(), "not sealed");
        assert!(ring.resealed(&known, &found, &user(2)).is_none(), "another account's");
        assert!(host.resealed(&known, &found, &user(1)).is_none(), "without a pepper");
        for other in &others {
            let found = sealed(peppers(2, &[1]), other);
            assert!(ring.resealed(&known, &found, &user(1)).is_none(), "{other}");
        }
    }
    assert_eq!(ring.work().runs, 0);
}

/// Every format, under a pepper; without one, Argon2id of our own.
#[cfg(feature = "import")]
#[test]
fn records_swapped_between_accounts_never_match() {
    let ring = peppers(1, &[]);
    let (pool, entropy) = (pool(Some(Arc::clone(&ring))), SeededEntropy::new(2));
    let mut makers = std::collections::BTreeSet::new();
    let tables = [include_str!("data/imports.tsv"), include_str!("data/published.tsv")];
    for line in tables.iter().flat_map(|table| table.lines()) {
        let [maker, typed, text] = line.split('\t').collect::<Vec<_>>()[..] else { panic!() };
        let typed = match typed {
            "736563726574" => "secret",
            "6d792070617373776f7264" => "my password",
            _ => continue,
        };
        makers.insert(maker);
        let Stored::Record(stored) = Stored::import(Some(text)) else { panic!("{text}") };
        let sealed = ring.rotate(&stored, &user(1), &entropy).unwrap().unwrap();
        assert_eq!(sealed.expected_text(), text);
        let sealed = sealed.new_record();
        assert!(sealed.is_bound() && sealed.pepper() == Some(ring.current()), "{maker}");
        let runs = pool.work().runs;
        assert_eq!(matched(verify(&pool, typed, sealed.clone(), user(2))), None, "{maker}");
        assert_eq!(pool.work().runs, runs + 1, "the same work as for anybody");
        assert_eq!(ring.rotate(sealed, &user(2), &entropy), Ok(None), "already current");
        let old = peppers(9, &[1]).rotate(sealed, &user(2), &entropy);
        assert_eq!(old, Err(vouchsafe_password::PepperError::Tampered));
        let matched = upgrade(verify(&pool, typed, sealed.clone(), user(1))).expect(maker);
        assert_eq!(matched.new_record().pepper(), Some(ring.current()));
        let new = matched.new_record().clone();
        assert!(upgrade(verify(&pool, typed, new.clone(), user(1))).is_none());
        assert_eq!(common::matched(verify(&pool, typed, new, user(2))), None);
    }
    assert!(makers.len() > 30, "{makers:?}");
}

/// What stands outside the seal can only make a record worth less.
#[test]
fn nothing_outside_the_seal_can_be_changed_to_advantage() {
    let pool = pool(Some(peppers(1, &[])));
    let initial = pool.hash_initial(&password("Xk7#vq9w"), user(1)).wait().unwrap();
    let initial = initial.as_record().to_string();
    let raised: Record = initial.replace(":change:", ":chosen:").parse().unwrap();
    assert_eq!(matched(verify(&pool, "Xk7#vq9w", raised, user(1))), Some(Standing::MustChange));
    let chosen = record(&pool, "Xk7#vq9w", user(1));
    let lowered = chosen.clone().must_change();
    assert_eq!(matched(verify(&pool, "Xk7#vq9w", lowered, user(1))), Some(Standing::MustChange));
    let chosen = chosen.to_string();
    for (from, to) in [(":bound:", ":free:"), (":nfc:", ":raw:")] {
        let changed: Record = chosen.replace(from, to).parse().unwrap();
        assert_eq!(matched(verify(&pool, "Xk7#vq9w", changed, user(1))), None, "{to}");
    }
    let (head, sealed) = chosen.rsplit_once(':').unwrap();
    for at in 0..sealed.len() {
        let mut bytes = sealed.to_owned().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = format!("{head}:{}", String::from_utf8(bytes).unwrap());
        if let Ok(changed) = changed.parse::<Record>() {
            let noise = at + 1 == sealed.len();
            let verified = matched(verify(&pool, "Xk7#vq9w", changed, user(1)));
            assert!(noise || verified.is_none(), "{at}");
        }
    }
    for (field, text) in [
        ("pepper", chosen.replace(&peppers(1, &[]).current().to_string(), "k1")),
        ("pepper", chosen.replace(&peppers(1, &[]).current().to_string(), "+123456789abcdef")),
        ("hash", format!("{head}:***")),
    ] {
        assert_eq!(text.parse::<Record>().unwrap_err(), RecordError::Field(field), "{text}");
    }
    for cut in 0..40 {
        let text = format!("{head}:{}", &sealed[..cut]);
        if let Ok(record) = text.parse::<Record>() {
            assert_eq!(matched(verify(&pool, "Xk7#vq9w", record, user(1))), None);
        }
    }
}

/// A table of 10 000 is rotated without anybody's password, by runs that are cut off anywhere, while
/// people change their passwords.
#[test]
fn a_table_is_rotated_by_runs_that_are_cut_off() {
    let cheapest = HashPolicy::danger_below_floor(8, 1).unwrap();
    let (old, ring) = (peppers(1, &[]), peppers(2, &[1]));
    let (before, after) =
        (pool_of(cheapest, Some(Arc::clone(&old))), pool_of(cheapest, Some(Arc::clone(&ring))));
    let unpeppered = pool_of(cheapest, None);
    let rows = runs(10_000, 10_000);
    let mut table: Vec<String> = (0..rows)
        .map(|row| {
            let pool = if row % 10 == 3 { &unpeppered } else { &before };
            record(pool, &format!("password {row}"), user(row)).to_string()
        })
        .collect();
    let (entropy, mut chance) = (SeededEntropy::new(3), 9_u64);
    let mut next = move |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(chance >> 33).unwrap() % below
    };
    let (mut cut_off, mut lost, mut changed) = (0, 0, BTreeMap::new());
    loop {
        let stops_at = next(rows * 5 / 4);
        let mut rotated = 0;
        for (row, text) in table.iter_mut().enumerate() {
            if row == stops_at {
                cut_off += 1;
                break;
            }
            let stored: Record = text.parse().unwrap();
            let Some(upgrade) = ring.rotate(&stored, &user(row), &entropy).unwrap() else {
                continue;
            };
            rotated += 1;
            if next(50) == 0 {
                // Its owner sets another password between the look and the swap.
                *text = record(&after, "another", user(row)).to_string();
                changed.insert(row, "another");
            }
            if *text == upgrade.expected_text() {
                *text = upgrade.new_record().to_string();
            } else {
                lost += 1;
            }
        }
        if rotated == 0 && stops_at >= rows {
            break;
        }
    }
    assert!(cut_off > 0 && lost == changed.len() && lost > rows / 100, "{cut_off} {lost}");
    // The old key is gone.
    let last = pool_of(cheapest, Some(peppers(2, &[])));
    for (row, text) in table.iter().enumerate() {
        let expected =
            changed.get(&row).map_or_else(|| format!("password {row}"), |new| (*new).to_owned());
        let stored = Stored::read(Some(text));
        assert!(upgrade(verify(&last, &expected, stored, user(row))).is_none(), "{row}");
    }
}

proptest! {
    /// Whatever is in the column, it is a record that prints as it was read, or an error.
    #[test]
    fn any_text_is_read_or_refused(text in "(vouchsafe:1:(chosen|change):(bound|free):(nfc|raw):([0-9a-f]{16}|-):)?[\\x20-\\x7e]{0,120}") {
        for stored in [Stored::import(Some(&text)), Stored::read(Some(&text))] {
            if let Stored::Record(record) = stored {
                prop_assert_eq!(record.to_string(), text.clone());
            }
        }
    }
}
