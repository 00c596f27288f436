//! Signing in, listing, the cap, and what ends sessions besides time.
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

use std::collections::BTreeSet;
use std::sync::Barrier;

use common::*;
use vouchsafe_core::AccountDigest;
use vouchsafe_session::{
    AtCap, Label, MAX_SESSIONS, SecretDigest, Session, SessionEvent, SessionId, SessionMachine,
    SessionPolicy, SessionRefusal, SessionVerdict, Sessions,
};
use vouchsafe_store::Cells;
use vouchsafe_testkit::runs;

fn machine(max: u32, at_cap: AtCap) -> SessionMachine {
    let policy =
        SessionPolicy::builder(MINUTE * 30).max_sessions(max).at_cap(at_cap).build().unwrap();
    SessionMachine::new(policy, ACCOUNT, 0)
}

fn listed(machine: &SessionMachine, state: &mut Option<Sessions>, now: u64) -> Vec<Session> {
    match apply(machine, state, &SessionEvent::List, at(now)) {
        SessionVerdict::Listed(sessions) => sessions,
        other => panic!("{other:?}"),
    }
}

fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.id).collect()
}

/// `count` sessions, opened a microsecond apart.
fn opened(
    machine: &SessionMachine,
    count: u64,
) -> (Option<Sessions>, Vec<(SecretDigest, SessionId)>) {
    let random = seeded(21);
    let mut state = None;
    let mut made = Vec::new();
    for number in 0..count {
        let (_, new) = fresh(&random);
        made.push((*new.secret(), new.id()));
        let verdict = apply(machine, &mut state, &open(new, 0, at(number)), at(number));
        assert!(matches!(verdict, SessionVerdict::Opened { .. }), "{verdict:?}");
    }
    (state, made)
}

#[test]
fn signing_in_ends_the_session_presented_and_opens_another() {
    let machine = machine(5, AtCap::Refuse);
    let (mut state, made) = opened(&machine, 2);
    let (_, new) = fresh(&seeded(22));
    let (secret, id) = (*new.secret(), new.id());
    let event = SessionEvent::Open {
        proof: proof(ACCOUNT, at(9)),
        generation: 0,
        fresh: new,
        replaces: Some(made[0].0),
        label: Label::default(),
    };
    assert!(matches!(
        apply(&machine, &mut state, &event, at(9)),
        SessionVerdict::Opened { ref session, .. } if session.id == id
    ));
    assert!(made.iter().all(|old| old.0 != secret && old.1 != id));
    let old = apply(&machine, &mut state, &check(made[0].0), at(9));
    assert_eq!(old, SessionVerdict::Refused(SessionRefusal::Unknown));
    assert_eq!(ids(&listed(&machine, &mut state, 9)), [made[1].1, id]);
    // The same event again, after an answer was lost, opens no second session.
    assert!(matches!(
        apply(&machine, &mut state, &event, at(9)),
        SessionVerdict::Opened { ref session, .. } if session.id == id
    ));
    assert_eq!(listed(&machine, &mut state, 9).len(), 2);
}

#[test]
fn a_token_nobody_issued_is_not_taken_on() {
    let machine = machine(5, AtCap::Refuse);
    let (mut state, _) = opened(&machine, 1);
    // Fixation: a well-formed token that was never opened stays one, after a sign-in too.
    let (planted, _) = fresh(&seeded(23));
    let planted = keys().open(&tenant(), planted.expose().as_bytes()).unwrap().secret;
    let (_, new) = fresh(&seeded(24));
    let _ = apply(&machine, &mut state, &open(new, 0, at(9)), at(9));
    let verdict = apply(&machine, &mut state, &check(planted), at(9));
    assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::Unknown));
}

#[test]
fn a_proof_opens_its_own_account_only() {
    let machine = machine(5, AtCap::Refuse);
    let (_, new) = fresh(&seeded(25));
    let event = SessionEvent::Open {
        proof: proof(AccountDigest::new([9; 16]), at(0)),
        generation: 0,
        fresh: new,
        replaces: None,
        label: Label::default(),
    };
    let mut state = None;
    let verdict = apply(&machine, &mut state, &event, at(0));
    assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::OtherAccount));
    assert_eq!(state, None);
}

#[test]
fn list_and_end_one_others_all() {
    let machine = machine(5, AtCap::Refuse);
    let (mut state, made) = opened(&machine, 4);
    let all: Vec<_> = made.iter().map(|made| made.1).collect();
    assert_eq!(ids(&listed(&machine, &mut state, 9)), all);

    let verdict = apply(&machine, &mut state, &SessionEvent::Revoke { id: all[1] }, at(9));
    assert_eq!(verdict, SessionVerdict::Ended(vec![all[1]]));
    let again = apply_counting(&machine, &mut state, &SessionEvent::Revoke { id: all[1] }, at(9));
    assert_eq!(again, (SessionVerdict::Ended(vec![]), false));
    assert_eq!(ids(&listed(&machine, &mut state, 9)), [all[0], all[2], all[3]]);

    let others = SessionEvent::RevokeOthers { secret: made[2].0 };
    let verdict = apply(&machine, &mut state, &others, at(9));
    assert_eq!(verdict, SessionVerdict::Ended(vec![all[0], all[3]]));
    assert_eq!(ids(&listed(&machine, &mut state, 9)), [all[2]]);

    // Somebody whose session has ended cannot end others.
    let dead = SessionEvent::RevokeOthers { secret: made[0].0 };
    let verdict = apply(&machine, &mut state, &dead, at(9));
    assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::Unknown));

    let verdict = apply(&machine, &mut state, &SessionEvent::RevokeAll, at(9));
    assert_eq!(verdict, SessionVerdict::Ended(vec![all[2]]));
    assert!(listed(&machine, &mut state, 9).is_empty());
}

#[test]
fn ended_by_time_is_neither_listed_nor_counted() {
    let machine = machine(2, AtCap::Refuse);
    let (mut state, made) = opened(&machine, 2);
    let late = 30 * 60 * 1_000_000;
    assert_eq!(ids(&listed(&machine, &mut state, late)), [made[1].1]);
    let (_, new) = fresh(&seeded(26));
    let verdict = apply(&machine, &mut state, &open(new, 0, at(late)), at(late));
    assert!(matches!(verdict, SessionVerdict::Opened { .. }), "{verdict:?}");
}

#[test]
fn at_the_cap_the_longest_unused_ends_or_the_new_one_is_refused() {
    let ending = machine(3, AtCap::EndLongestUnused);
    let (mut state, made) = opened(&ending, 3);
    // The first is used again, long enough after to be written down.
    let now = 5 * 60 * 1_000_000;
    let _ = apply(&ending, &mut state, &check(made[0].0), at(now));
    let (_, new) = fresh(&seeded(27));
    let id = new.id();
    let verdict = apply(&ending, &mut state, &open(new, 0, at(now)), at(now));
    let SessionVerdict::Opened { displaced, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(displaced, [made[1].1]);
    assert_eq!(ids(&listed(&ending, &mut state, now)), [made[0].1, made[2].1, id]);

    let refusing = machine(3, AtCap::Refuse);
    let (mut state, made) = opened(&refusing, 3);
    let (_, new) = fresh(&seeded(27));
    let verdict = apply(&refusing, &mut state, &open(new, 0, at(9)), at(9));
    assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::TooMany));
    assert_eq!(listed(&refusing, &mut state, 9).len(), made.len());
}

fn cap_race<C: Cells>(cells: &C, number: u64, at_cap: AtCap) {
    const CAP: usize = 3;
    let sessions = SessionPolicy::builder(MINUTE * 30).max_sessions(3).at_cap(at_cap);
    let machine =
        AccountMachine { sessions: sessions.build().unwrap(), ..AccountMachine::default() };
    let (random, start) = (seeded(number), Barrier::new(16));
    let opened = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let event = AccountEvent::Session(open(fresh(&random).1, 0, at(0)));
                    start.wait();
                    let verdict = deliver(cells, &machine, number, event, at(0));
                    let AccountVerdict::Session(verdict) = verdict else { panic!() };
                    let list = AccountEvent::Session(SessionEvent::List);
                    let list = deliver(cells, &machine, number, list, at(0));
                    let AccountVerdict::Session(SessionVerdict::Listed(list)) = list else {
                        panic!("{list:?}")
                    };
                    assert!(list.len() <= CAP, "{}", list.len());
                    matches!(verdict, SessionVerdict::Opened { .. })
                })
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!(opened, if at_cap == AtCap::Refuse { CAP } else { 16 });
}

#[test]
fn racing_sign_ins_never_exceed_the_cap() {
    let (store, (_dir, sqlite)) = (memory(), sqlite());
    for (turn, at_cap) in [AtCap::Refuse, AtCap::EndLongestUnused].into_iter().enumerate() {
        for round in 0..runs(50, 1_000) {
            cap_race(&store, (2 * round + turn) as u64, at_cap);
        }
        for round in 0..runs(5, 100) {
            cap_race(&sqlite, (2 * round + turn) as u64, at_cap);
        }
    }
}

#[test]
fn a_raised_generation_ends_sessions_at_the_next_check_on_every_node() {
    let (_dir, store) = sqlite();
    let machine = AccountMachine::default();
    let (_, new) = fresh(&seeded(28));
    let secret = *new.secret();
    deliver(&store, &machine, 1, AccountEvent::Session(open(new, 0, at(0))), at(0));
    // Another node has its own connection to the same file.
    let other = vouchsafe_store_sqlite::SqliteStore::builder(_dir.path().join("cells.db"))
        .deadline(std::time::Duration::from_secs(60))
        .open()
        .unwrap();
    let held = deliver(&other, &machine, 1, AccountEvent::Session(check(secret)), at(1));
    assert!(matches!(held, AccountVerdict::Session(SessionVerdict::Active(_))), "{held:?}");
    deliver(&store, &machine, 1, AccountEvent::RaiseGeneration, at(2));
    for node in [&store, &other] {
        let verdict = deliver(node, &machine, 1, AccountEvent::Session(check(secret)), at(3));
        let gone = SessionVerdict::Refused(SessionRefusal::CredentialChanged);
        assert_eq!(verdict, AccountVerdict::Session(gone));
    }
    // A sign-in whose password was verified before the change opens nothing after it.
    let (_, late) = fresh(&seeded(29));
    let verdict = deliver(&store, &machine, 1, AccountEvent::Session(open(late, 0, at(3))), at(3));
    let refused = SessionVerdict::Refused(SessionRefusal::CredentialChanged);
    assert_eq!(verdict, AccountVerdict::Session(refused));
}

#[test]
fn bytes_come_back_and_nothing_else_does() {
    let machine = machine(MAX_SESSIONS, AtCap::Refuse);
    let (state, made) = opened(&machine, u64::from(MAX_SESSIONS));
    let bytes = state.as_ref().unwrap().to_bytes();
    assert!(bytes.len() <= Sessions::MAX_BYTES);
    assert_eq!(Sessions::from_bytes(&bytes).as_ref(), Ok(state.as_ref().unwrap()));
    for end in 0..bytes.len() {
        assert!(Sessions::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Sessions::from_bytes(&longer).is_err());
    // Whatever still reads after a flipped bit says exactly what it says: no second spelling.
    let (mut read, mut refused) = (0, 0);
    for at in 0..bytes.len().min(400) {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            match Sessions::from_bytes(&flipped) {
                Ok(state) => {
                    read += 1;
                    assert_eq!(state.to_bytes(), flipped);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 0 && refused > 0);
    let unique: BTreeSet<_> = made.iter().map(|made| made.1).collect();
    assert_eq!(unique.len(), made.len());
}

#[test]
fn labels_are_cut_and_cleaned() {
    assert_eq!(Label::new("a\r\nb\u{7f}c").as_str(), "abc");
    let long = "é".repeat(100);
    assert_eq!(Label::new(&long).as_str(), "é".repeat(32));
    assert_eq!(Label::new(&"x".repeat(65)).as_str().len(), Label::MAX_LEN);
}

#[test]
fn the_longest_state_is_what_it_is_said_to_be() {
    let machine = machine(MAX_SESSIONS, AtCap::Refuse);
    let (mut state, random) = (None, seeded(5));
    for _ in 0..MAX_SESSIONS {
        let (proof, fresh) = (proof(ACCOUNT, at(0)), fresh(&random).1);
        let label = Label::new(&"x".repeat(Label::MAX_LEN));
        let open = SessionEvent::Open { proof, generation: 0, fresh, replaces: None, label };
        let verdict = apply(&machine, &mut state, &open, at(0));
        assert!(matches!(verdict, SessionVerdict::Opened { .. }), "{verdict:?}");
    }
    let full = state.clone().unwrap();
    assert_eq!((full.len(), full.is_empty()), (MAX_SESSIONS as usize, false));
    assert_eq!(full.to_bytes().len(), Sessions::MAX_BYTES);
    let _ = apply(&machine, &mut state, &SessionEvent::RevokeAll, at(0));
    let none = state.unwrap();
    assert_eq!((none.len(), none.is_empty()), (0, true));
}

#[test]
fn an_id_has_one_spelling() {
    let id = SessionId::new(0x0012_3456_789a_bcde_f000_0000_0000_00ff_u128.to_be_bytes());
    let text = "00123456789abcdef0000000000000ff";
    assert_eq!((id.to_string(), SessionId::parse(text)), (text.to_owned(), Some(id)));
    assert_eq!(format!("{id:?}"), format!("SessionId({text})"));
    for bad in [
        "",
        "123456789abcdef0000000000000ff",
        "+0123456789abcdef0000000000000ff",
        "00123456789ABCDEF0000000000000FF",
        "g0123456789abcdef0000000000000ff",
        "000123456789abcdef0000000000000ff",
        " 0123456789abcdef0000000000000ff",
    ] {
        assert_eq!(SessionId::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn times_are_in_order_and_nothing_is_there_twice() {
    // Two sessions with empty labels: 10 bytes, then 73 each.
    let machine = machine(2, AtCap::Refuse);
    let (mut state, random) = (None, seeded(5));
    for number in 10..12 {
        let (proof, fresh, label) =
            (proof(ACCOUNT, at(number)), fresh(&random).1, Label::default());
        let open = SessionEvent::Open { proof, generation: 0, fresh, replaces: None, label };
        let _ = apply(&machine, &mut state, &open, at(number));
    }
    let bytes = state.unwrap().to_bytes();
    assert_eq!(bytes.len(), 10 + 2 * 73);
    let reads = |changes: &[(usize, &[u8])]| {
        let mut changed = bytes.clone();
        for (offset, new) in changes {
            changed[*offset..offset + new.len()].copy_from_slice(new);
        }
        Sessions::from_bytes(&changed).is_ok()
    };
    let (secret, id, opened, last_seen) = (83, 83 + 32, 83 + 48, 83 + 56);
    assert!(reads(&[]));
    assert!(!reads(&[(secret, &bytes[10..42])]), "one secret twice");
    assert!(!reads(&[(id, &bytes[42..58])]), "one id twice");
    let time = |micros: i64| micros.to_be_bytes();
    assert!(reads(&[(opened, &time(11)), (last_seen, &time(11))]));
    assert!(!reads(&[(opened, &time(12))]), "used before it was opened");
    assert!(!reads(&[(last_seen, &time(12))]), "used after the latest moment seen");
    assert!(reads(&[(1, &time(12)), (last_seen, &time(12))]));
}
