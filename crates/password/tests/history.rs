//! PW-14: the passwords that an account had before.
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

use std::collections::VecDeque;
use std::sync::Arc;

use common::{ACCOUNT, charged, cheap, martha, password};
use proptest::prelude::*;
use vouchsafe_core::{Standing, TenantId, UserId};
use vouchsafe_crypto::{MacKey, RootKey};
use vouchsafe_password::{
    Accepted, Attributes, Binding, HashPolicy, HashPool, OwnerPresent, PasswordError,
    PasswordPolicy, PepperError, Peppers, PolicyProblem, PoolConfig, PoolKeys, Record, RecordError,
    Stored, Verified,
};
use vouchsafe_testkit::{ManualClock, SeededEntropy, runs};

/// Other software's, of `the host's`.
const HOSTS: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0aGVpcnM$txFcoGohkog0IqXDJK+6gGXBBf8dQFfq2zWNvDuxahk";

fn accepted(text: &str, remember: u8) -> Accepted {
    let any = PasswordPolicy::builder().min_length(1).refuse_common(false).remember(remember);
    any.build().unwrap().check(&password(text), &Attributes::none()).unwrap()
}

fn peppered(policy: HashPolicy) -> HashPool {
    peppered_with(policy, peppers())
}

fn peppers() -> Peppers {
    Peppers::new(&RootKey::new(&[1; 32]))
}

fn peppered_with(policy: HashPolicy, peppers: Peppers) -> HashPool {
    let keys = PoolKeys::new().remember_with(MacKey::new(&[7; 32]));
    common::pool_with(policy, keys.peppers(Arc::new(peppers)))
}

fn pool(policy: HashPolicy) -> HashPool {
    common::pool(PoolConfig::new(policy).workers(1))
}

fn replace(
    pool: &HashPool,
    text: &str,
    remember: u8,
    previous: impl Into<Stored>,
) -> Result<Record, PasswordError> {
    let owner = OwnerPresent::assertion(ACCOUNT);
    let new = pool.replace(accepted(text, remember), owner, martha(), previous).wait()?;
    // As it comes back from the host's column.
    Ok(new.as_record().to_string().parse().unwrap())
}

fn cheapest() -> HashPolicy {
    HashPolicy::danger_below_floor(8, 1).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(runs(200, 5_000)).unwrap()))]

    /// Beside a list of what was set: the last n are refused, and nothing else.
    #[test]
    fn the_last_n_are_refused_and_nothing_else(
        sets in prop::collection::vec((0..6_u8, prop_oneof![4 => Just(4_u8), 1 => 0..6_u8]), 1..24),
        sealed in any::<bool>(),
    ) {
        let pool = if sealed { peppered(cheapest()) } else { pool(cheapest()) };
        let mut stored = Stored::Absent;
        // What is remembered beside the record, newest first, and the password in force.
        let (mut known, mut current): (VecDeque<u8>, Option<u8>) = (VecDeque::new(), None);
        for (which, remember) in sets {
            let text = format!("number {which}");
            let refused = if remember == 0 {
                false
            } else if known.is_empty() {
                current == Some(which)
            } else {
                known.iter().take(usize::from(remember)).any(|old| *old == which)
            };
            match replace(&pool, &text, remember, stored.clone()) {
                Ok(record) => {
                    prop_assert!(!refused, "{} again, {:?}", which, known);
                    current = Some(which);
                    known.push_front(which);
                    known.truncate(usize::from(remember));
                    if !sealed {
                        prop_assert_eq!(record.remembered(), Some(u8::try_from(known.len()).unwrap()));
                    }
                    stored = record.into();
                }
                Err(error) => {
                    prop_assert_eq!(error, PasswordError::Reused);
                    prop_assert!(refused, "{} refused, {:?}", which, known);
                }
            }
        }
    }
}

/// However many are remembered, one run more; and one more still, once, where nothing was yet.
#[test]
fn the_whole_history_costs_one_run() {
    let pool = pool(cheap());
    let runs = || pool.work().runs;
    let mut stored = Stored::Absent;
    for number in 0..30 {
        let before = runs();
        stored = replace(&pool, &format!("number {number}"), 24, stored).unwrap().into();
        assert_eq!(runs() - before, 2, "{number}");
    }
    let Stored::Record(record) = &stored else { panic!() };
    assert_eq!(record.remembered(), Some(24));
    assert!(record.to_string().len() < 640);
    let before = runs();
    assert_eq!(replace(&pool, "number 6", 24, stored.clone()), Err(PasswordError::Reused));
    assert_eq!(runs() - before, 1);
    assert!(replace(&pool, "number 5", 24, stored.clone()).is_ok());
    // Nothing is compared that the policy does not ask for.
    let before = runs();
    assert_eq!(replace(&pool, "number 29", 0, stored).unwrap().remembered(), Some(0));
    assert_eq!(runs() - before, 1);
    let first = common::record(&pool, "before the rule");
    let before = runs();
    assert_eq!(replace(&pool, "before the rule", 4, first.clone()), Err(PasswordError::Reused));
    assert_eq!(runs() - before, 1);
    assert!(replace(&pool, "after the rule", 4, first).is_ok());
}

/// Each account has a salt of its own, and the same password leaves another digest with each.
#[test]
fn histories_of_two_accounts_have_nothing_in_common() {
    let pool = pool(cheap());
    let digests = |record: &Record| {
        let text = record.to_string();
        let history = text.split_once(';').unwrap().1.to_owned();
        let (rest, entries) = history.rsplit_once('$').unwrap();
        (rest.rsplit_once('$').unwrap().1.to_owned(), entries.to_owned())
    };
    let (one, other) = (
        replace(&pool, "the same", 4, Stored::Absent).unwrap(),
        replace(&pool, "the same", 4, Stored::Absent).unwrap(),
    );
    assert_ne!(digests(&one).0, digests(&other).0);
    assert_ne!(digests(&one).1, digests(&other).1);
    // Moved to another account, it remembers nothing of that account's.
    let other = Binding::new(&TenantId::new("acme").unwrap(), &UserId::new("luisa").unwrap());
    let owner = OwnerPresent::assertion(ACCOUNT);
    assert!(pool.replace(accepted("the same", 4), owner, other, one).wait().is_ok());
}

/// A stronger policy hashes anew what is in force, and forgets what costs less to guess.
#[test]
fn entries_below_the_policy_are_dropped() {
    let (weak, strong) = (pool(cheapest()), pool(cheap()));
    let mut stored = Stored::Absent;
    for number in 0..4 {
        stored = replace(&weak, &format!("number {number}"), 4, stored).unwrap().into();
    }
    let verified = strong.verify(charged(1), &password("number 3"), stored.clone(), martha());
    let Verified::Match { upgrade: Some(upgrade), .. } = verified.wait() else { panic!() };
    let upgraded = upgrade.new_record().clone();
    assert_eq!(upgraded.remembered(), Some(1), "the one in force, which was typed just now");
    assert!(!upgraded.to_string().contains("m=8,"), "{upgraded}");
    assert_eq!(replace(&strong, "number 3", 4, upgraded.clone()), Err(PasswordError::Reused));
    assert!(replace(&strong, "number 2", 4, upgraded).is_ok());
    // The same without a sign-in in between.
    assert_eq!(replace(&strong, "number 3", 4, stored.clone()), Err(PasswordError::Reused));
    let replaced = replace(&strong, "number 2", 4, stored.clone()).unwrap();
    assert_eq!(replaced.remembered(), Some(1));
    assert!(!replaced.to_string().contains("m=8,"));
    // A weaker policy weakens nothing.
    let strong_record = replace(&strong, "one", 4, Stored::Absent).unwrap();
    let kept = replace(&weak, "two", 4, strong_record).unwrap();
    assert_eq!(kept.remembered(), Some(2));
    assert!(kept.to_string().contains(";m=64,t=2,p=1$"), "{kept}");
    // A password that is hashed anew leaves what costs enough as it is.
    let between = pool(HashPolicy::danger_below_floor(16, 1).unwrap());
    let verified = between.verify(charged(1), &password("two"), kept, martha()).wait();
    let upgraded = common::upgrade(verified).unwrap().new_record().clone();
    assert_eq!(upgraded.params().unwrap().memory_kib(), 16);
    assert_eq!(upgraded.remembered(), Some(2));
    assert_eq!(replace(&between, "one", 4, upgraded), Err(PasswordError::Reused));
}

/// What was handed out is no password to keep, whatever the policy remembers.
#[test]
fn a_password_that_must_be_changed_is_not_taken_again() {
    for (pool, remember) in [(pool(cheap()), 0), (pool(cheap()), 4), (peppered(cheap()), 0)] {
        let initial = pool.hash_initial(&password("Handed-Out7"), martha()).wait().unwrap();
        let initial = initial.as_record().clone();
        let again = replace(&pool, "Handed-Out7", remember, initial.clone());
        assert_eq!(again, Err(PasswordError::Reused));
        let own = replace(&pool, "My-Own-Choice8", remember, initial).unwrap();
        assert_eq!(own.standing(), Standing::Chosen);
        // One that was told to change it, with what is remembered beside it.
        let told = own.must_change();
        let again = replace(&pool, "My-Own-Choice8", remember, told.clone());
        assert_eq!(again, Err(PasswordError::Reused));
        assert!(replace(&pool, "Another-One9", remember, told).is_ok());
    }
    // Where nothing is remembered any more, nothing is kept of what it was compared with.
    let pool = pool(cheap());
    let told = replace(&pool, "My-Own-Choice8", 4, Stored::Absent).unwrap().must_change();
    let another = replace(&pool, "Another-One9", 0, told).unwrap();
    assert!(!another.to_string().contains(';'), "{another}");
}

/// An administrator's initial password in between: what was used before is still refused, and so is that.
#[test]
fn an_initial_password_does_not_empty_the_history() {
    for pool in [pool(cheap()), peppered(cheap())] {
        let first = replace(&pool, "first", 3, Stored::Absent).unwrap();
        let second = replace(&pool, "second", 3, first).unwrap();
        let initial = |previous: Stored| {
            let new = pool.replace_initial(&password("handed out"), martha(), previous).wait();
            new.unwrap().as_record().clone()
        };
        let before = pool.work().runs;
        let handed_out = initial(second.clone().into());
        assert_eq!(pool.work().runs - before, 1, "compared with nothing");
        assert_eq!(handed_out.standing(), Standing::MustChange);
        // Twice in a row is as good as once.
        for now in [handed_out.clone(), initial(handed_out.clone().into())] {
            for old in ["first", "second", "handed out"] {
                let again = replace(&pool, old, 3, now.clone());
                assert_eq!(again, Err(PasswordError::Reused), "{old}");
            }
            assert_eq!(replace(&pool, "handed out", 0, now.clone()), Err(PasswordError::Reused));
            let third = replace(&pool, "third", 3, now).unwrap();
            for old in ["first", "second", "third"] {
                let again = replace(&pool, old, 3, third.clone());
                assert_eq!(again, Err(PasswordError::Reused), "{old}");
            }
        }
        // Another account's opens under a pepper as little as it matches; there is nothing to take over.
        let luisa = Binding::new(&TenantId::new("acme").unwrap(), &UserId::new("luisa").unwrap());
        let hers = pool.replace_initial(&password("hers"), luisa, second).wait().unwrap();
        assert_eq!(hers.standing(), Standing::MustChange);
        for nothing in [Stored::Absent, Stored::read(Some("garbage"))] {
            assert_eq!(initial(nothing).standing(), Standing::MustChange);
        }
    }
    let sealed = replace(&peppered(cheap()), "first", 3, Stored::Absent).unwrap();
    let without = pool(cheap()).replace_initial(&password("handed out"), martha(), sealed).wait();
    let missing = PasswordError::NotHashed(vouchsafe_password::NotVerifiedReason::NoPepper);
    assert_eq!(without.err(), Some(missing));
}

/// A hash by other software that took the place of a record takes over what that one remembered, and is
/// remembered itself once its password is known.
#[test]
fn what_was_remembered_is_taken_over_beside_a_hash_by_other_software() {
    for pool in [pool(cheapest()), peppered(cheapest())] {
        let first = replace(&pool, "first", 3, Stored::Absent).unwrap();
        let second = replace(&pool, "second", 3, first.clone()).unwrap();
        let hosts = Record::import(HOSTS, Standing::Chosen).unwrap();
        let set = pool.remembering(hosts.clone(), &second, &martha());
        assert_eq!(set.pepper(), second.pepper());
        let set: Record = set.to_string().parse().unwrap();
        let refused = |texts: [&str; 3], stored: &Record| {
            for text in texts {
                let set = replace(&pool, text, 3, stored.clone());
                assert_eq!(set, Err(PasswordError::Reused), "{text}");
            }
        };
        refused(["first", "second", "the host's"], &set);
        let verified = pool.verify(charged(1), &password("the host's"), set.clone(), martha());
        let upgraded = common::upgrade(verified.wait()).unwrap().new_record().clone();
        refused(["first", "second", "the host's"], &upgraded);
        let third = replace(&pool, "third", 3, upgraded).unwrap();
        refused(["second", "the host's", "third"], &third);
        assert!(replace(&pool, "first", 3, third.clone()).is_ok());
        // Replaced before anybody has signed in with it, it is not known afterwards.
        let third = replace(&pool, "third", 3, set).unwrap();
        refused(["first", "second", "third"], &third);
        // Nothing to take over, nobody's to take over, or no room for it.
        let nothing = replace(&pool, "first", 0, Stored::Absent).unwrap();
        let elsewhere =
            Binding::new(&TenantId::new("elsewhere").unwrap(), &UserId::new("martha").unwrap());
        assert_eq!(pool.remembering(hosts.clone(), &nothing, &martha()), hosts);
        for ours in [&first, &nothing] {
            assert_eq!(pool.remembering(ours.clone(), &second, &martha()), *ours);
        }
        if second.pepper().is_some() {
            assert_eq!(pool.remembering(hosts.clone(), &second, &elsewhere), hosts);
            // Sealed by its host, it is no more ours.
            let sealed = peppers().rotate(&hosts, &martha(), &SeededEntropy::new(1));
            let sealed = sealed.unwrap().unwrap().new_record().clone();
            refused(
                ["first", "second", "the host's"],
                &pool.remembering(sealed, &second, &martha()),
            );
        }
        let (salt, hash) = ("A".repeat(171), "A".repeat(86));
        let long = format!("$pbkdf2-sha256$1000000${salt}${hash}");
        let long = Record::import(&long, Standing::Chosen).unwrap();
        let deep = (0..24).fold(Stored::Absent, |stored, number| {
            replace(&pool, &format!("number {number}"), 24, stored).unwrap().into()
        });
        let Stored::Record(deep) = deep else { panic!() };
        let with = pool.remembering(long.clone(), &deep, &martha());
        assert_eq!(with.to_string().parse::<Record>().as_ref(), Ok(&with));
        assert_eq!(with == long, deep.pepper().is_some());
        // Nor when it is sealed later, by a run over the table.
        if deep.pepper().is_none() {
            let rotated = peppers().rotate(&with, &martha(), &SeededEntropy::new(1));
            assert_eq!(rotated, Err(PepperError::TooLong));
        }
    }
}

/// What is sealed anew with a history entitles to no more than its seal did: its text can be written to.
#[test]
fn a_record_that_takes_over_a_history_is_worth_no_more_than_its_seal() {
    let pool = peppered(cheapest());
    let last = replace(&pool, "first", 3, Stored::Absent).unwrap();
    let initial = Record::import(HOSTS, Standing::MustChange).unwrap();
    let sealed = peppers().rotate(&initial, &martha(), &SeededEntropy::new(1)).unwrap().unwrap();
    let sealed = sealed.new_record().to_string();
    let raised: Record = sealed.replace(":change:", ":chosen:").parse().unwrap();
    assert_eq!(raised.standing(), Standing::Chosen, "its text says so");
    let set = pool.remembering(raised, &last, &martha());
    assert_eq!(set.standing(), Standing::MustChange);
    let verified = pool.verify(charged(1), &password("the host's"), set.clone(), martha());
    assert_eq!(common::matched(verified.wait()), Some(Standing::MustChange));
    assert_eq!(replace(&pool, "first", 3, set), Err(PasswordError::Reused));
}

/// It would be sealed by that.
#[test]
fn nothing_is_taken_over_beside_a_record_that_is_not_believed() {
    let last = replace(&peppered(cheapest()), "first", 3, Stored::Absent).unwrap();
    let strict = peppered_with(cheapest(), peppers().sealed_only());
    let forged = Record::import(HOSTS, Standing::Chosen).unwrap();
    assert_eq!(strict.remembering(forged.clone(), &last, &martha()), forged);
    assert_eq!(replace(&strict, "second", 3, forged), Err(PasswordError::PreviousTampered));
    assert_eq!(replace(&strict, "first", 3, last), Err(PasswordError::Reused));
    // What was known before anything was sealed is believed: it is not from the table.
    let last = replace(&pool(cheapest()), "first", 3, Stored::Absent).unwrap();
    let hosts = Record::import(HOSTS, Standing::Chosen).unwrap();
    let sealed = peppers().rotate(&hosts, &martha(), &SeededEntropy::new(1)).unwrap().unwrap();
    let set = strict.remembering(sealed.new_record().clone(), &last, &martha());
    assert_eq!(replace(&strict, "first", 3, set), Err(PasswordError::Reused));
}

/// Taken over from a pool with more memory or with another key: nothing can be entered there, so the
/// record stays until a pool that can has it. Nobody is kept out meanwhile.
#[test]
fn what_cannot_be_entered_is_left_as_it_is() {
    let of = |kib, budget, key| {
        let policy = HashPolicy::danger_below_floor(kib, 1).unwrap();
        let keys = PoolKeys::new().remember_with(MacKey::new(&[key; 32]));
        let config = PoolConfig::new(policy).workers(1).budget_kib(budget);
        let (clock, entropy) = (ManualClock::at(common::NOW), SeededEntropy::new(1));
        HashPool::with_keys(config, Arc::new(clock), Arc::new(entropy), keys).unwrap()
    };
    let last = replace(&of(64, 64, 7), "first", 3, Stored::Absent).unwrap();
    let right = of(8, 64, 7);
    let hosts = Record::import(HOSTS, Standing::Chosen).unwrap();
    let set = right.remembering(hosts, &last, &martha());
    assert_eq!(set.remembered(), Some(1));
    let upgrade = |pool: &HashPool| {
        let verified = pool.verify(charged(1), &password("the host's"), set.clone(), martha());
        common::upgrade(verified.wait())
    };
    for (less, barred) in [
        (of(8, 63, 7), PasswordError::PreviousCosts { kib: 64, blocks: 64 }),
        (of(8, 64, 8), PasswordError::PreviousKey),
    ] {
        assert!(upgrade(&less).is_none());
        assert_eq!(replace(&less, "first", 3, set.clone()), Err(barred));
    }
    let upgraded = upgrade(&right).unwrap().new_record().clone();
    for text in ["first", "the host's"] {
        let again = replace(&right, text, 3, upgraded.clone());
        assert_eq!(again, Err(PasswordError::Reused), "{text}");
    }
}

#[test]
fn a_damaged_history_is_no_record() {
    let pool = keyed(Some(7));
    let text = replace(&pool, "one", 4, Stored::Absent).unwrap().to_string();
    let (head, history) = text.split_once(';').unwrap();
    let of = |history: &str| format!("{head};{history}").parse::<Record>().unwrap_err();
    let (history, key) = history.rsplit_once('$').unwrap();
    for key in ["", "x", &key[1..], &format!("{key}AAAA"), &format!("{key}$x")] {
        assert_eq!(of(&format!("{history}${key}")), RecordError::Field("history"), "{key}");
    }
    let (rest, entries) = history.rsplit_once('$').unwrap();
    assert_eq!(of(""), RecordError::Field("history"));
    assert_eq!(of(rest), RecordError::Field("history"));
    assert_eq!(of(&format!("{history}$x")), RecordError::Field("history"));
    assert_eq!(of(&format!("{rest}${}", &entries[1..])), RecordError::Field("history"));
    assert_eq!(of(&format!("{rest}${}", entries.repeat(25))), RecordError::Field("history"));
    assert_eq!(of(&history.replace("m=64", "m=4294967295")), RecordError::Params);
    assert_eq!(of(&history.replace("m=64", "m=x")), RecordError::Field("history"));
}

/// A history that costs more than the pool has is in the way of another password, and of no sign-in.
#[test]
fn a_history_that_costs_too_much_bars_a_change_and_no_sign_in() {
    let of = |kib: u32, budget| {
        let policy = HashPolicy::danger_below_floor(kib, 2).unwrap();
        common::pool(PoolConfig::new(policy).workers(1).budget_kib(budget))
    };
    let first = replace(&of(1024, 1024), "the first", 4, Stored::Absent).unwrap();
    let second = replace(&of(64, 1024), "the second", 4, first.clone()).unwrap();
    assert_eq!(second.params().unwrap().memory_kib(), 64);
    let smaller = of(64, 512);
    let verify = |record: Record| {
        common::matched(
            smaller.verify(charged(1), &password("the second"), record, martha()).wait(),
        )
    };
    assert_eq!(verify(second.clone()), Some(Standing::Chosen));
    assert_eq!(verify(second.clone().must_change()), Some(Standing::MustChange));
    let costs = Err(PasswordError::PreviousCosts { kib: 1024, blocks: 2048 });
    assert_eq!(replace(&smaller, "the third", 4, second.clone()), costs);
    assert_eq!(replace(&smaller, "the third", 0, second.clone().must_change()), costs);
    // With the record itself it is the same: neither is passed over.
    assert_eq!(replace(&smaller, "the first", 4, first), costs);
    assert_eq!(smaller.work().held_kib, 64);
    // Where nothing is compared, nothing is in the way.
    assert!(replace(&smaller, "the third", 0, second.clone()).is_ok());
    assert!(replace(&smaller, "the third", 4, Stored::Absent).is_ok());
    // With the memory of before, all is as before.
    let (larger, again) = (of(64, 1024), Err(PasswordError::Reused));
    assert_eq!(replace(&larger, "the first", 4, second.clone()), again);
    // As many blocks as no pool computes, in memory that this one has.
    let text = second.to_string();
    let endless = text.replace(";m=1024,t=2", ";m=32768,t=64");
    assert_ne!(endless, text);
    let pool = of(64, 32_768);
    let costs = Err(PasswordError::PreviousCosts { kib: 32_768, blocks: 1 << 21 });
    assert_eq!(replace(&pool, "the third", 4, Stored::read(Some(&endless))), costs);
}

/// Sealed and keyed, as many as there can be.
#[test]
fn the_longest_history_reads_back() {
    let pool = peppered(cheap());
    let mut stored = Stored::Absent;
    for number in 0..26 {
        stored = replace(&pool, &format!("number {number}"), 24, stored).unwrap().into();
    }
    for (number, reused) in [(1, false), (2, true), (25, true)] {
        let again = replace(&pool, &format!("number {number}"), 24, stored.clone());
        assert_eq!(again.err(), reused.then_some(PasswordError::Reused), "{number}");
    }
}

fn keyed(key: Option<u8>) -> HashPool {
    let keys = PoolKeys::new();
    common::pool_with(
        cheap(),
        match key {
            Some(key) => keys.remember_with(MacKey::new(&[key; 32])),
            None => keys,
        },
    )
}

/// The digests of a record's history, and what follows them.
fn digests(record: &Record) -> (String, Option<String>) {
    let text = record.to_string();
    let parts: Vec<_> = text.split_once(';').unwrap().1.split('$').collect();
    (parts[2].to_owned(), parts.get(3).map(ToString::to_string))
}

/// What is remembered is of no use without the key, to a thief or to a pool: it bars a new password
/// there, rather than let an old one pass.
#[test]
fn what_is_remembered_is_keyed() {
    let (pool, other, without) = (keyed(Some(7)), keyed(Some(8)), keyed(None));
    let mut stored = Stored::Absent;
    for number in 0..4 {
        stored = replace(&pool, &format!("number {number}"), 4, stored).unwrap().into();
    }
    let Stored::Record(record) = stored else { panic!() };
    for number in 0..4 {
        let again = replace(&pool, &format!("number {number}"), 4, record.clone());
        assert_eq!(again, Err(PasswordError::Reused), "{number}");
    }
    assert!(replace(&pool, "number 4", 4, record.clone()).is_ok());
    for stranger in [&other, &without] {
        for text in ["number 0", "number 4"] {
            let barred = replace(stranger, text, 4, record.clone());
            assert_eq!(barred, Err(PasswordError::PreviousKey), "{text}");
        }
        // Nobody is kept out, and nothing is in the way where nothing is compared.
        let verified = stranger.verify(charged(1), &password("number 3"), record.clone(), martha());
        assert_eq!(common::matched(verified.wait()), Some(Standing::Chosen));
        assert!(replace(stranger, "number 0", 0, record.clone()).is_ok());
    }
    // The digests are others under another key: the same salt and password, put beside one another.
    let text = record.to_string();
    let bare = text.rsplit_once('$').unwrap().0;
    assert!(replace(&without, "number 0", 4, Stored::read(Some(bare))).is_ok());
    let relabelled =
        format!("{bare}${}", digests(&replace(&other, "x", 4, Stored::Absent).unwrap()).1.unwrap());
    assert!(replace(&other, "number 0", 4, Stored::read(Some(&relabelled))).is_ok());
}

/// A key that comes later: what was remembered without one is keyed as it is, and still refused.
#[test]
fn what_was_remembered_without_a_key_is_keyed_when_there_is_one() {
    let (pool, without) = (keyed(Some(7)), keyed(None));
    let mut stored = Stored::Absent;
    for number in 0..3 {
        stored = replace(&without, &format!("number {number}"), 4, stored).unwrap().into();
    }
    let Stored::Record(before) = stored else { panic!() };
    assert_eq!(digests(&before).1, None);
    for number in 0..3 {
        let again = replace(&pool, &format!("number {number}"), 4, before.clone());
        assert_eq!(again, Err(PasswordError::Reused), "{number}");
    }
    let after = replace(&pool, "number 3", 4, before.clone()).unwrap();
    assert_eq!(after.remembered(), Some(4));
    let ((old, _), (new, key)) = (digests(&before), digests(&after));
    assert!(key.is_some());
    // Each digest is 16 letters.
    for at in (0..old.len()).step_by(16) {
        assert!(!new.contains(&old[at..at + 16]), "left as it was");
    }
    for number in 0..4 {
        let again = replace(&pool, &format!("number {number}"), 4, after.clone());
        assert_eq!(again, Err(PasswordError::Reused), "{number}");
    }
    assert!(replace(&pool, "number 4", 4, after).is_ok());
}

/// An upgrade keys what it keeps, and what it begins anew.
#[test]
fn an_upgrade_keys_what_is_remembered() {
    let weak = pool(cheapest());
    let of =
        |policy| common::pool_with(policy, PoolKeys::new().remember_with(MacKey::new(&[7; 32])));
    let first = replace(&weak, "the first", 4, Stored::Absent).unwrap();
    let second = replace(&weak, "the second", 4, first).unwrap();
    for (strong, first_is_known) in [(of(cheap()), false), (of(cheapest()), true)] {
        // Told as of other software, so that it is hashed anew under its own policy as well.
        let text = second.to_string().replace(":nfc:", ":raw:");
        let stored = Stored::read(Some(&text));
        let verified = strong.verify(charged(1), &password("the second"), stored, martha());
        let Verified::Match { upgrade: Some(upgrade), .. } = verified.wait() else { panic!() };
        let new = upgrade.new_record().clone();
        assert!(digests(&new).1.is_some());
        assert_eq!(replace(&strong, "the second", 4, new.clone()), Err(PasswordError::Reused));
        let again = replace(&strong, "the first", 4, new);
        assert_eq!(again.err(), first_is_known.then_some(PasswordError::Reused));
    }
}

/// A record that does not open is compared with nothing, so where the policy asks for it, no password
/// takes its place.
#[test]
fn a_record_that_does_not_open_bars_a_change() {
    let pool = peppered(cheap());
    let other = Binding::new(&TenantId::new("acme").unwrap(), &UserId::new("luisa").unwrap());
    let owner = || OwnerPresent::assertion(ACCOUNT);
    let luisas = pool.replace(accepted("hers", 4), owner(), other, Stored::Absent).wait().unwrap();
    let luisas = luisas.as_record().clone();
    let tampered = Err(PasswordError::PreviousTampered);
    assert_eq!(replace(&pool, "mine", 4, luisas.clone()), tampered);
    assert_eq!(replace(&pool, "mine", 0, luisas.clone().must_change()), tampered);
    assert!(replace(&pool, "mine", 0, luisas).is_ok());
    // What is no record was nobody's password here.
    assert!(replace(&pool, "mine", 4, Stored::import(Some("!unusable"))).is_ok());
}

#[test]
fn as_many_as_24_are_remembered() {
    let of = |number| PasswordPolicy::builder().remember(number).build();
    assert_eq!(of(24).unwrap().remembers(), 24);
    assert_eq!(of(25), Err(PasswordError::Policy(vec![PolicyProblem::Remember(25)])));
    assert_eq!(PasswordPolicy::vouchsafe().remembers(), 0);
}
