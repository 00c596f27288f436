//! The credential machine: what is set when, and that nothing newer is lost.
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

use common::{ACCOUNT, accepted, cheap, martha, password, pool};
use vouchsafe_core::{Effect, Machine, Standing, Timestamp};
use vouchsafe_password::{
    Credential, CredentialEvent as Event, CredentialMachine, CredentialVerdict as Verdict,
    HashPolicy, HashPool, NewRecord, OwnerPresent, PoolConfig, Stored, Upgrade, Verified,
};

fn chosen(pool: &HashPool, text: &str) -> NewRecord {
    pool.hash(accepted(text), OwnerPresent::assertion(ACCOUNT), martha()).wait().unwrap()
}

/// One step, carried out.
fn step(state: &mut Credential, event: &Event) -> Verdict {
    let (effect, pending) = CredentialMachine.step(Some(state), event, Timestamp::EPOCH).split();
    match effect {
        Effect::Keep => {}
        Effect::Save { state: new, until } => {
            assert_eq!(until, Timestamp::MAX);
            assert_ne!(*state, new, "a step that changes nothing saves nothing");
            *state = Credential::from_bytes(&new.to_bytes()).unwrap();
            assert_eq!(*state, new);
        }
        Effect::Erase => panic!("credentials are not erased"),
    }
    pending.committed()
}

fn upgrade(pool: &HashPool, state: &Credential, text: &str) -> Upgrade {
    match pool.verify(common::charged(1), &password(text), state.stored(), martha()).wait() {
        Verified::Match { upgrade: Some(upgrade), .. } => upgrade,
        other => panic!("{other:?}"),
    }
}

#[test]
fn setting_replaces_what_it_was_set_against() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let mut state = Credential::default();
    assert!(matches!(state.stored(), Stored::Absent));
    let first = Event::Set { expect: 0, record: chosen(&pool, "first") };
    let set = |generation| Verdict::Set { generation, standing: Standing::Chosen };
    assert_eq!(step(&mut state, &first), set(1));
    assert_eq!(step(&mut state, &first), set(1), "the same event again changes nothing");
    // Two resets race: one wins, the other learns of it.
    let (one, two) = (chosen(&pool, "one"), chosen(&pool, "two"));
    assert_eq!(step(&mut state, &Event::Set { expect: 1, record: one }), set(2));
    let late = Event::Set { expect: 1, record: two };
    assert_eq!(step(&mut state, &late), Verdict::Superseded { generation: 2 });
    assert_eq!(step(&mut state, &first), Verdict::Superseded { generation: 2 });
}

#[test]
fn an_upgrade_loses_to_a_password_set_in_the_meantime() {
    let weak = pool(PoolConfig::new(cheap()).workers(1));
    let strong = pool(PoolConfig::new(HashPolicy::danger_below_floor(128, 2).unwrap()).workers(1));
    let mut state = Credential::default();
    let _ = step(&mut state, &Event::Set { expect: 0, record: chosen(&weak, "old") });
    let in_time = Event::Upgrade(upgrade(&strong, &state, "old"));
    let too_late = Event::Upgrade(upgrade(&strong, &state, "old"));
    assert_eq!(step(&mut state, &in_time), Verdict::Upgraded);
    assert_eq!(state.generation(), 1, "an upgrade ends no session");
    assert_eq!(step(&mut state, &in_time), Verdict::Upgraded);
    let _ = step(&mut state, &Event::Set { expect: 1, record: chosen(&weak, "new") });
    let before = state.clone();
    for event in [in_time, too_late] {
        assert_eq!(step(&mut state, &event), Verdict::Superseded { generation: 2 });
    }
    assert_eq!(state, before);
}

#[test]
fn only_a_set_by_the_owner_clears_must_change() {
    let weak = pool(PoolConfig::new(cheap()).workers(1));
    let strong = pool(PoolConfig::new(HashPolicy::danger_below_floor(128, 2).unwrap()).workers(1));
    let mut state = Credential::default();
    let initial = weak.hash_initial(&password("initial"), martha()).wait().unwrap();
    let must_change = Verdict::Set { generation: 1, standing: Standing::MustChange };
    assert_eq!(step(&mut state, &Event::Set { expect: 0, record: initial }), must_change);
    for event in [
        Event::Upgrade(upgrade(&strong, &state, "initial")),
        Event::RequireChange { expect: 1 },
        Event::Disable,
        Event::Enable,
    ] {
        let _ = step(&mut state, &event);
        assert_ne!(state.standing(), Some(Standing::Chosen), "{event:?}");
    }
    assert_eq!(state.standing(), Some(Standing::MustChange));
    let expect = state.generation();
    let _ = step(&mut state, &Event::Set { expect, record: chosen(&weak, "mine") });
    assert_eq!(state.standing(), Some(Standing::Chosen));
    let stale = Event::RequireChange { expect };
    assert!(matches!(step(&mut state, &stale), Verdict::Superseded { .. }));
    assert_eq!(state.standing(), Some(Standing::Chosen));
}

#[test]
fn a_disabled_account_has_nothing_to_match_and_nothing_to_set() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let mut state = Credential::default();
    let mine = Event::Set { expect: 0, record: chosen(&pool, "mine") };
    let _ = step(&mut state, &mine);
    assert_eq!(step(&mut state, &Event::Disable), Verdict::Disabled);
    assert_eq!(step(&mut state, &Event::Disable), Verdict::Disabled);
    assert_eq!((state.generation(), state.standing()), (2, None));
    assert!(matches!(state.stored(), Stored::Absent));
    let reset = Event::Set { expect: 2, record: chosen(&pool, "other") };
    assert_eq!(step(&mut state, &reset), Verdict::Refused);
    assert_eq!(step(&mut state, &mine), Verdict::Refused, "nor is an old event heard again");
    assert_eq!(step(&mut state, &Event::Enable), Verdict::Enabled);
    assert_eq!(step(&mut state, &Event::Enable), Verdict::Enabled);
    assert_eq!((state.generation(), state.standing()), (3, Some(Standing::Chosen)));
}

/// Nor is a password that never was withdrawn by what happens to the account.
#[test]
fn a_password_that_never_was_is_not_withdrawn() {
    let mut state = Credential::default();
    for event in [Event::Withdraw, Event::Void, Event::Disable, Event::Enable, Event::Withdraw] {
        let _ = step(&mut state, &event);
        assert!(!state.is_withdrawn(), "{event:?}");
    }
    assert_eq!((state.generation(), state.standing()), (3, None));
}

/// A password that was withdrawn matches nothing, is not upgraded or marked, and is still known.
#[test]
fn a_withdrawn_password_is_good_for_nothing_but_being_known() {
    let weak = pool(PoolConfig::new(cheap()).workers(1));
    let strong = pool(PoolConfig::new(HashPolicy::danger_below_floor(128, 2).unwrap()).workers(1));
    let mut state = Credential::default();
    assert_eq!(step(&mut state, &Event::Withdraw), Verdict::Withdrawn);
    let mine = Event::Set { expect: 0, record: chosen(&weak, "mine") };
    let _ = step(&mut state, &mine);
    let record = state.record().unwrap().clone();
    let upgrade = Event::Upgrade(upgrade(&strong, &state, "mine"));
    assert_eq!(step(&mut state, &Event::Withdraw), Verdict::Withdrawn);
    for event in [Event::Withdraw, Event::Disable, Event::Enable, Event::Void] {
        let _ = step(&mut state, &event);
        assert!(matches!(state.stored(), Stored::Absent), "{event:?}");
        assert_eq!((state.record(), state.standing()), (None, None), "{event:?}");
    }
    assert_eq!((state.generation(), state.is_withdrawn()), (5, true));
    for event in [mine, upgrade, Event::RequireChange { expect: 5 }] {
        assert_eq!(step(&mut state, &event), Verdict::Superseded { generation: 5 }, "{event:?}");
    }
    assert_eq!(state.clone().into_last(), Some(record));
    let _ = step(&mut state, &Event::Set { expect: 5, record: chosen(&weak, "other") });
    assert_eq!((state.is_withdrawn(), state.standing()), (false, Some(Standing::Chosen)));
    let (before, standing) = (state.record().cloned(), state.standing());
    assert_eq!(step(&mut state, &Event::Void), Verdict::Voided);
    assert_eq!((state.generation(), state.record().cloned()), (7, before));
    assert_eq!(state.standing(), standing, "what is void is what was issued");
}

#[test]
fn a_change_is_required_of_the_password_that_is_meant() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let mut state = Credential::default();
    let require = |expect| Event::RequireChange { expect };
    assert_eq!(step(&mut state, &require(0)), Verdict::Superseded { generation: 0 });
    let record = chosen(&pool, "mine");
    let mine = record.as_record().clone();
    let _ = step(&mut state, &Event::Set { expect: 0, record });
    assert_eq!(step(&mut state, &require(0)), Verdict::Superseded { generation: 1 });
    assert_eq!(state.record(), Some(&mine));
    for _ in 0..2 {
        assert_eq!(step(&mut state, &require(1)), Verdict::ChangeRequired);
        assert_eq!((state.generation(), state.standing()), (1, Some(Standing::MustChange)));
        assert_eq!(state.record(), Some(&mine.clone().must_change()));
    }
}

#[test]
fn what_is_withdrawn_matches_nothing_until_another_is_there() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let mut state = Credential::default();
    let of = |state: &Credential| (state.generation(), state.standing(), state.is_withdrawn());
    assert_eq!(step(&mut state, &Event::Withdraw), Verdict::Withdrawn);
    assert_eq!(of(&state), (0, None, false), "there was none");
    let record = chosen(&pool, "mine");
    let found = record.as_record().clone();
    let _ = step(&mut state, &Event::Set { expect: 0, record });
    assert_eq!(of(&state), (1, Some(Standing::Chosen), false));
    assert_eq!(step(&mut state, &Event::Withdraw), Verdict::Withdrawn);
    assert_eq!(of(&state), (2, None, true));
    assert!(matches!(state.stored(), Stored::Absent));
    assert_eq!(step(&mut state, &Event::Disable), Verdict::Disabled);
    assert_eq!(of(&state), (3, None, false), "nothing is to be set");
    assert_eq!(step(&mut state, &Event::Enable), Verdict::Enabled);
    assert_eq!(of(&state), (4, None, true));
    assert_eq!(step(&mut state, &Event::Adopt { record: found }), Verdict::Adopted);
    assert_eq!(of(&state), (5, Some(Standing::Chosen), false));
}

#[test]
fn corrupt_bytes_are_not_a_fresh_start() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let mut state = Credential::default();
    let _ = step(&mut state, &Event::Set { expect: 0, record: chosen(&pool, "mine") });
    let bytes = state.to_bytes();
    for cut in (0..bytes.len()).filter(|cut| *cut != 10) {
        assert!(Credential::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for (at, value) in [(0, 2), (0, 0), (9, 4), (10, 0xff)] {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        assert!(Credential::from_bytes(&bytes).is_err(), "{at} = {value}");
    }
}
