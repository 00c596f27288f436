//! When a session ends by time, and how often it is written.
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
use vouchsafe_core::{Effect, Machine, Timestamp};
use vouchsafe_session::{
    Presented, SessionEvent, SessionMachine, SessionPolicy, SessionRefusal, SessionVerdict,
};
use vouchsafe_testkit::{SeededEntropy, runs};

const IDLE: Duration = Duration::from_secs(30 * 60);

fn policy(granularity: Duration) -> SessionPolicy {
    SessionPolicy::builder(IDLE).granularity(granularity).build().unwrap()
}

fn opened(
    machine: &SessionMachine,
    now: Timestamp,
) -> (Option<vouchsafe_session::Sessions>, Presented) {
    let (token, new) = fresh(&seeded(1));
    let mut state = None;
    let verdict = apply(machine, &mut state, &open(new, 0, now), now);
    assert!(matches!(verdict, SessionVerdict::Opened { .. }), "{verdict:?}");
    (state, keys().open(&tenant(), token.expose().as_bytes()).unwrap())
}

fn is_active(verdict: &SessionVerdict) -> bool {
    matches!(verdict, SessionVerdict::Active(_))
}

#[test]
fn idle_is_exact_without_granularity() {
    let machine = SessionMachine::new(policy(Duration::ZERO), ACCOUNT, 0);
    let start = at(1_000_000);
    // Used at any moment, also a microsecond after it was opened.
    for used in [Duration::ZERO, MICRO, MINUTE, IDLE - MICRO] {
        for (pause, active) in [(IDLE - MICRO, true), (IDLE, false), (IDLE + MICRO, false)] {
            let (mut state, token) = opened(&machine, start);
            let use_at = start.after(used);
            assert!(is_active(&apply(&machine, &mut state, &check(token.secret), use_at)));
            let verdict = apply(&machine, &mut state, &check(token.secret), use_at.after(pause));
            assert_eq!(is_active(&verdict), active, "{used:?} {pause:?}");
            if !active {
                assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::Idle));
            }
        }
    }
}

#[test]
fn with_granularity_early_by_less_than_it_and_never_late() {
    let g = MINUTE;
    let machine = SessionMachine::new(policy(g), ACCOUNT, 0);
    let start = at(0);
    let mut elided_once = false;
    for used in [Duration::ZERO, MICRO, g - MICRO, g, g + MICRO, IDLE - MICRO] {
        for (pause, expected) in [
            (IDLE - g - MICRO, Some(true)),
            (IDLE - g, Some(true)),
            (IDLE - g + MICRO, None),
            (IDLE - MICRO, None),
            (IDLE, Some(false)),
        ] {
            let (mut state, token) = opened(&machine, start);
            let use_at = start.after(used);
            assert!(is_active(&apply(&machine, &mut state, &check(token.secret), use_at)));
            let verdict = apply(&machine, &mut state, &check(token.secret), use_at.after(pause));
            match expected {
                Some(active) => assert_eq!(is_active(&verdict), active, "{used:?} {pause:?}"),
                None => elided_once |= !is_active(&verdict),
            }
        }
    }
    assert!(elided_once, "no use was left unwritten");
}

#[test]
fn absolute_is_exact_whatever_the_granularity() {
    let absolute = Duration::from_secs(3 * 3600);
    for g in [Duration::ZERO, MINUTE, Duration::from_secs(15 * 60)] {
        let policy =
            SessionPolicy::builder(IDLE).absolute(absolute).granularity(g).build().unwrap();
        let machine = SessionMachine::new(policy, ACCOUNT, 0);
        let (mut state, token) = opened(&machine, at(7));
        let end = at(7).after(absolute);
        let mut now = at(7);
        while now < end.before(MICRO) {
            now = now.after(MINUTE).min(end.before(MICRO));
            assert!(is_active(&apply(&machine, &mut state, &check(token.secret), now)), "{now}");
        }
        let verdict = apply(&machine, &mut state, &check(token.secret), end);
        assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::Absolute));
    }
}

#[test]
fn time_that_steps_back_counts_as_standing_still() {
    let machine = SessionMachine::new(policy(Duration::ZERO), ACCOUNT, 0);
    let (mut state, token) = opened(&machine, at(0));
    let used = at(0).after(IDLE / 2);
    assert!(is_active(&apply(&machine, &mut state, &check(token.secret), used)));
    // The clock steps back ten minutes: the verdicts shift by no more than that, and come back.
    let back = used.before(MINUTE * 10);
    assert!(is_active(&apply(&machine, &mut state, &check(token.secret), back)));
    let view = apply(&machine, &mut state, &SessionEvent::List, back);
    let SessionVerdict::Listed(listed) = view else { panic!("{view:?}") };
    assert_eq!(listed[0].last_seen, used, "a use is never moved back");
    assert!(!is_active(&apply(&machine, &mut state, &check(token.secret), used.after(IDLE))));
}

/// What a session is to the promise: no granularity, no bytes, no versions.
struct Oracle {
    opened: Timestamp,
    used: Timestamp,
    over: bool,
}

/// What the promise says about a check now: held, refused, or either.
fn promised(session: &Oracle, policy: &SessionPolicy, now: Timestamp) -> Option<bool> {
    let (idle, age) = (now.since(session.used), now.since(session.opened));
    if session.over || idle >= policy.idle() || policy.absolute().is_some_and(|most| age >= most) {
        Some(false)
    } else if idle < policy.idle() - policy.granularity() || policy.granularity().is_zero() {
        Some(true)
    } else {
        None
    }
}

fn random_policy(random: &SeededEntropy) -> SessionPolicy {
    let idle = Duration::from_secs(60 + random.below(3600));
    let mut builder = SessionPolicy::builder(idle).max_sessions(4);
    builder = builder.absolute(idle + Duration::from_secs(random.below(4 * 3600)));
    let half = u64::try_from(idle.as_micros()).unwrap() / 2;
    builder = builder.granularity(match random.below(4) {
        0 => Duration::ZERO,
        1 => Duration::from_micros(half),
        _ => Duration::from_micros(random.below(half)),
    });
    builder.build().unwrap()
}

/// A pause that likes to fall on and beside the limits.
fn random_pause(random: &SeededEntropy, policy: &SessionPolicy) -> Duration {
    let limit = match random.below(5) {
        0 => policy.idle(),
        1 => policy.idle() - policy.granularity(),
        2 => policy.granularity(),
        _ => Duration::from_micros(random.below(2 * policy.idle().as_micros() as u64)) + MICRO,
    };
    match random.below(3) {
        0 => limit,
        1 => limit.saturating_sub(MICRO),
        _ => limit + MICRO,
    }
}

/// Runs one random life of a session through `run`, against the oracle. Says how many checks held
/// and how many were refused, so that a caller can see that both happen.
fn one_life(
    random: &SeededEntropy,
    policy: &SessionPolicy,
    steps: u64,
    mut run: impl FnMut(SessionEvent, Timestamp) -> SessionVerdict,
) -> (u64, u64) {
    let mut now = at(random.below(1 << 50));
    let (token, new) = fresh(random);
    let secret = keys().open(&tenant(), token.expose().as_bytes()).unwrap().secret;
    assert!(matches!(run(open(new, 0, now), now), SessionVerdict::Opened { .. }));
    let mut oracle = Oracle { opened: now, used: now, over: false };
    let (mut held, mut refused) = (0, 0);
    for _ in 0..steps {
        now = now.after(random_pause(random, policy));
        if random.below(16) == 0 {
            let _ = run(SessionEvent::SignOut { secret }, now);
            oracle.over = true;
        }
        let active = is_active(&run(check(secret), now));
        if let Some(expected) = promised(&oracle, policy, now) {
            assert_eq!(active, expected, "{policy:?} {:?}", now.since(oracle.used));
        }
        if active {
            oracle.used = now;
            held += 1;
        } else {
            // It cannot come back.
            oracle.over = true;
            refused += 1;
        }
    }
    (held, refused)
}

#[test]
fn lives_match_the_oracle_in_memory() {
    let random = SeededEntropy::new(11);
    let mut seen = (0, 0);
    for _ in 0..runs(100_000, 1_000_000) {
        let policy = random_policy(&random);
        let machine = SessionMachine::new(policy.clone(), ACCOUNT, 0);
        let mut state = None;
        let life =
            one_life(&random, &policy, 8, |event, now| apply(&machine, &mut state, &event, now));
        seen = (seen.0 + life.0, seen.1 + life.1);
    }
    assert!(seen.0 > 10_000 && seen.1 > 10_000, "{seen:?}");
}

#[test]
fn lives_match_the_oracle_on_stores() {
    let random = SeededEntropy::new(12);
    let (memory, (_dir, sqlite)) = (memory(), sqlite());
    for number in 0..runs(2_000, 10_000) as u64 {
        let policy = random_policy(&random);
        let machine = AccountMachine { sessions: policy.clone(), ..AccountMachine::default() };
        one_life(&random, &policy, 3, |event, now| {
            let event = AccountEvent::Session(event);
            let AccountVerdict::Session(verdict) = deliver(&sqlite, &machine, number, event, now)
            else {
                panic!()
            };
            verdict
        });
        one_life(&random, &policy, 3, |event, now| {
            let event = AccountEvent::Session(event);
            let AccountVerdict::Session(verdict) = deliver(&memory, &machine, number, event, now)
            else {
                panic!()
            };
            verdict
        });
    }
}

#[test]
fn a_session_says_when_it_ends_and_is_kept_until_then() {
    let random = SeededEntropy::new(7);
    for _ in 0..200 {
        let policy = random_policy(&random);
        let machine = SessionMachine::new(policy.clone(), ACCOUNT, 0);
        let now = at(random.below(1 << 50));
        let (_, new) = fresh(&random);
        let secret = *new.secret();
        let (effect, pending) = machine.step(None, &open(new, 0, now), now).split();
        let Effect::Save { state, until } = effect else { panic!() };
        let SessionVerdict::Opened { session, .. } = pending.committed() else { panic!() };
        assert_eq!((session.ends, state.needed_until(&policy)), (until, until));
        let mut state = Some(state);
        let end = apply(&machine, &mut state.clone(), &check(secret), until);
        assert!(matches!(end, SessionVerdict::Refused(_)), "{end:?}");
        assert!(is_active(&apply(&machine, &mut state, &check(secret), until.before(MICRO))));
    }
}

#[test]
fn writes_are_few() {
    let random = SeededEntropy::new(13);
    let mut most = 0.0_f64;
    for _ in 0..runs(300, 3_000) {
        let g = Duration::from_secs(1 + random.below(600));
        let machine = SessionMachine::new(policy(g), ACCOUNT, 0);
        let start = at(0);
        let (mut state, token) = opened(&machine, start);
        // The opening.
        let (mut writes, mut now) = (1_u128, start);
        for _ in 0..200 {
            now = now.after(Duration::from_micros(random.below(2 * g.as_micros() as u64)));
            let (verdict, wrote) = apply_counting(&machine, &mut state, &check(token.secret), now);
            writes += u128::from(wrote);
            if !is_active(&verdict) {
                break;
            }
            let bound = now.since(start).as_micros().div_ceil(g.as_micros()) + 1;
            assert!(writes <= bound, "{writes} writes in {:?} at {g:?}", now.since(start));
            most = most.max(writes as f64 / bound as f64);
        }
    }
    assert!(most > 0.5, "the bound is never approached: {most}");
}

#[test]
fn refused_checks_write_nothing() {
    let machine = SessionMachine::new(policy(Duration::ZERO), ACCOUNT, 0);
    let (mut state, token) = opened(&machine, at(0));
    let late = at(0).after(IDLE);
    assert!(!apply_counting(&machine, &mut state, &check(token.secret), late).1);
    let (stranger, _) = fresh(&seeded(99));
    let stranger = keys().open(&tenant(), stranger.expose().as_bytes()).unwrap();
    let (verdict, wrote) = apply_counting(&machine, &mut state, &check(stranger.secret), at(0));
    assert_eq!(verdict, SessionVerdict::Refused(SessionRefusal::Unknown));
    assert!(!wrote);
}
