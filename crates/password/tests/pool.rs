//! The pool: equal work, bounds, upgrades, and what a record says.
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

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{
    DEADLINE, NOW, accepted, charged, cheap, martha, matched, password, pool, pool_at, reason,
    record,
};
use vouchsafe_core::{
    Authenticated, ChangeOnly, PolicyDigest, Standing, TenantId, Timestamp, UserId,
};
use vouchsafe_password::{
    Binding, HashPolicy, HashPool, NotVerifiedReason, OwnerPresent, PasswordError, PoolConfig,
    Record, RecordError, Stored, Verified,
};
use vouchsafe_testkit::{ManualClock, block_on, runs};

/// Slow enough to be caught at it: 64 MiB in 16 passes.
fn slow() -> PoolConfig {
    PoolConfig::new(HashPolicy::argon2id(65_536, 16).unwrap()).workers(1)
}

fn until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::yield_now();
    }
}

#[test]
fn the_same_password_gives_another_record_each_time() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let (one, other) = (record(&pool, "Xk7#vq9w"), record(&pool, "Xk7#vq9w"));
    assert_ne!(one, other);
    assert_eq!(one.params().unwrap().to_string(), "m=64,t=2,p=1");
    assert_eq!(one.to_string().parse::<Record>().unwrap(), one);
    assert!(
        one.to_string().starts_with("vouchsafe:1:chosen:bound:nfc:-:$argon2id$v=19$m=64,t=2,p=1$")
    );
    assert!(!format!("{one:?}").contains(one.to_string().rsplit_once('$').unwrap().1));
}

#[test]
fn a_future_and_a_waiting_thread_get_the_same_answer() {
    let pool = pool(PoolConfig::new(cheap()).workers(2));
    let record = record(&pool, "Xk7#vq9w");
    let ask = || pool.verify(charged(1), &password("Xk7#vq9w"), record.clone(), martha());
    assert_eq!(matched(ask().wait()), Some(Standing::Chosen));
    assert_eq!(matched(block_on(ask())), Some(Standing::Chosen));
}

#[test]
fn equal_work_for_accounts_that_cannot_match() {
    let policy = HashPolicy::danger_below_floor(128, 3).unwrap();
    let pool = pool(PoolConfig::new(policy).workers(1));
    let current = record(&pool, "right");
    let too_costly = current.to_string().replace("m=128", "m=1048576");
    let cases: [(&str, Stored, Binding); 6] = [
        ("wrong password", current.clone().into(), martha()),
        ("unknown", Stored::Absent, Binding::nobody()),
        ("no password yet", Stored::read(None), martha()),
        ("malformed", Stored::read(Some("$2b$12$abc")), martha()),
        ("too costly", Stored::read(Some(&too_costly)), martha()),
        ("later version", Stored::read(Some("vouchsafe:2:x")), martha()),
    ];
    for (name, stored, binding) in cases {
        let before = pool.work();
        assert_eq!(
            matched(pool.verify(charged(1), &password("wrong"), stored, binding).wait()),
            None
        );
        let after = pool.work();
        let work = (after.runs - before.runs, after.blocks - before.blocks);
        assert_eq!(work, (1, 128 * 3), "{name}");
    }
    // A longer guess costs the same number of blocks; a right one too.
    let before = pool.work();
    let long = password(&"w".repeat(1024));
    assert_eq!(matched(pool.verify(charged(1), &long, Stored::Absent, martha()).wait()), None);
    let right = pool.verify(charged(1), &password("right"), current, martha()).wait();
    assert_eq!(matched(right), Some(Standing::Chosen));
    assert_eq!(pool.work().blocks - before.blocks, 2 * 128 * 3);
}

#[test]
fn the_deadline_is_the_last_moment_to_start() {
    let clock = Arc::new(ManualClock::at(DEADLINE));
    let pool = pool_at(PoolConfig::new(cheap()).workers(1), Arc::clone(&clock));
    let ask = || pool.verify(charged(1), &password("x"), Stored::Absent, martha()).wait();
    assert_eq!(matched(ask()), None);
    clock.set(DEADLINE.after(Duration::from_micros(1)));
    let runs = pool.work().runs;
    assert_eq!(reason(ask()), NotVerifiedReason::Late);
    assert_eq!(pool.work().runs, runs, "nothing was hashed");
}

#[test]
fn a_full_queue_and_a_long_wait_are_answered_unhashed() {
    let clock = Arc::new(ManualClock::at(NOW));
    let config = slow().queue(2).max_wait(Duration::from_secs(5));
    let pool = pool_at(config, Arc::clone(&clock));
    let ask = || pool.verify(charged(1), &password("x"), Stored::Absent, martha());
    let running = ask();
    until(|| pool.work().queued == 0);
    let (late, in_time) = (ask(), ());
    clock.advance(Duration::from_micros(1));
    let last = ask();
    let busy = ask();
    assert_eq!(reason(busy.wait()), NotVerifiedReason::Busy, "answered while the others wait");
    assert_eq!(pool.work().queued, 2);
    // At five seconds the first has waited a microsecond too long, the second just long enough.
    clock.advance(Duration::from_secs(5));
    let () = in_time;
    assert_eq!(matched(running.wait()), None);
    assert_eq!(reason(late.wait()), NotVerifiedReason::Waited);
    assert_eq!(matched(last.wait()), None);
    let work = pool.work();
    assert_eq!((work.runs, work.refused), (2, 2));
}

/// Who goes away before the turn comes leaves nothing to do; who goes away later leaves running
/// work, and its memory stays taken until it ends.
#[test]
fn going_away_frees_a_place_in_the_queue_and_no_memory_in_use() {
    let pool = pool(slow().queue(1));
    let ask = || pool.verify(charged(1), &password("x"), Stored::Absent, martha());
    let mut running = ask();
    assert!(matches!(poll(&mut running), Poll::Pending));
    until(|| pool.work().queued == 0);
    drop(running);
    let waiting = ask();
    assert_eq!(pool.work().queued, 1, "the abandoned hash still has the only memory");
    assert_eq!(pool.work().held_kib, 65_536);
    drop(waiting);
    let next = ask();
    assert_eq!(matched(next.wait()), None);
    assert_eq!(pool.work().runs, 2, "the abandoned one ran to its end, the waiting one never");
    // Nor is one refused whom nobody asks for when its turn comes.
    let running = ask();
    until(|| pool.work().queued == 0);
    drop(ask());
    assert_eq!(matched(running.wait()), None);
    until(|| pool.work().queued == 0);
    assert_eq!(matched(ask().wait()), None);
    assert_eq!((pool.work().runs, pool.work().refused), (4, 0));
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Sizes from a quarter of the budget to all of it, from many threads.
#[test]
fn memory_in_use_never_exceeds_the_budget() {
    let config = PoolConfig::new(HashPolicy::danger_below_floor(256, 1).unwrap());
    let pool = pool(config.workers(8).budget_kib(1024).queue(4096));
    let made = record(&pool, "right").to_string();
    let sizes: Vec<Record> = [64, 256, 300, 700, 1024]
        .map(|kib| made.replace("m=256", &format!("m={kib}")).parse().unwrap())
        .to_vec();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (pool, sizes) = (&pool, &sizes);
            scope.spawn(move || {
                for turn in 0..runs(100, 2_000) {
                    let stored = sizes[(turn * 7 + thread) % sizes.len()].clone();
                    let verified = pool.verify(charged(1), &password("x"), stored, martha());
                    assert!(pool.work().held_kib <= 1024);
                    assert_eq!(matched(verified.wait()), None);
                }
            });
        }
    });
    assert_eq!(pool.work().runs, 1 + 8 * runs(100, 2_000) as u64);
}

#[test]
fn stopping_answers_everybody() {
    let pool = pool(slow().queue(8));
    let asked: Vec<_> = (0..4)
        .map(|id| pool.verify(charged(id), &password("x"), Stored::Absent, martha()))
        .collect();
    until(|| pool.work().runs == 1);
    drop(pool);
    // It waited for what was running.
    let mut answers = asked.into_iter().map(|mut asked| match poll(&mut asked) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("not answered"),
    });
    assert_eq!(matched(answers.next().unwrap()), None);
    assert!(answers.all(|answer| reason(answer) == NotVerifiedReason::Stopped));
}

#[test]
fn upgrades_what_is_strictly_weaker_and_never_downwards() {
    let of = |memory, passes| {
        let policy = HashPolicy::danger_below_floor(memory, passes).unwrap();
        pool(PoolConfig::new(policy).workers(1).budget_kib(4096))
    };
    let weak = record(&of(64, 1), "Xk7#vq9w");
    let verify = |pool: &HashPool, record: &Record| match pool
        .verify(charged(1), &password("Xk7#vq9w"), record.clone(), martha())
        .wait()
    {
        Verified::Match { matched, upgrade } => (matched.standing(), upgrade),
        other => panic!("{other:?}"),
    };
    let stronger = of(128, 2);
    let (standing, upgrade) = verify(&stronger, &weak);
    let upgrade = upgrade.unwrap();
    assert_eq!(standing, Standing::Chosen);
    assert_eq!(upgrade.expected(), &weak);
    assert_eq!(upgrade.new_record().params(), Some(stronger.policy().params()));
    assert!(verify(&stronger, upgrade.new_record()).1.is_none(), "once is enough");
    assert!(verify(&of(64, 1), upgrade.new_record()).1.is_none(), "never downwards");
    assert!(verify(&of(128, 1), &record(&of(64, 2), "Xk7#vq9w")).1.is_none(), "incomparable");
    // No upgrade for a wrong password, and standing is kept.
    let wrong = stronger.verify(charged(1), &password("Xk7#vq9W"), weak.clone(), martha()).wait();
    assert_eq!(matched(wrong), None);
    let (standing, upgrade) = verify(&stronger, &weak.must_change());
    assert_eq!(standing, Standing::MustChange);
    assert_eq!(upgrade.unwrap().new_record().standing(), Standing::MustChange);
}

/// Going from one published equivalent to another locks nobody out, however few the workers.
#[test]
fn records_of_another_policy_still_match() {
    let of = |memory, passes| {
        let policy = HashPolicy::argon2id(memory, passes).unwrap();
        pool(PoolConfig::new(policy).workers(1))
    };
    let least = of(12_288, 3);
    for (memory, passes) in [(47_104, 1), (19_456, 2), (65_536, 3)] {
        let record = record(&of(memory, passes), "Xk7#vq9w");
        let verified = least.verify(charged(1), &password("Xk7#vq9w"), record, martha());
        assert_eq!(matched(verified.wait()), Some(Standing::Chosen), "{memory}");
    }
    assert_eq!(least.work().held_kib, 65_536);
}

#[test]
fn another_programs_record_is_adopted_without_weakening_it() {
    let text = include_str!("data/raw.txt").lines().next().unwrap();
    let foreign = Record::import(text, Standing::Chosen).unwrap();
    let typed = password("Zu\u{308}rich 8");
    let pool = pool(PoolConfig::new(HashPolicy::danger_below_floor(64, 1).unwrap()).workers(1));
    match pool.verify(charged(1), &typed, foreign.clone(), martha()).wait() {
        Verified::Match { upgrade: Some(upgrade), .. } => {
            assert_eq!(upgrade.expected(), &foreign);
            assert!(upgrade.new_record().is_bound());
            assert_eq!(upgrade.new_record().params(), foreign.params(), "two passes, not one");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_copied_to_another_account_never_matches() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let record = record(&pool, "Xk7#vq9w");
    let of =
        |tenant, user| Binding::new(&TenantId::new(tenant).unwrap(), &UserId::new(user).unwrap());
    for binding in
        [of("acme", "luisa"), of("other", "martha"), of("acm", "emartha"), Binding::nobody()]
    {
        let verified = pool.verify(charged(1), &password("Xk7#vq9w"), record.clone(), binding);
        assert_eq!(matched(verified.wait()), None);
    }
}

#[test]
fn only_the_owners_choice_opens_a_session() {
    let pool = pool(PoolConfig::new(cheap()).workers(1));
    let text = "Xk7#vq9w";
    let initial = pool.hash_initial(&password(text), martha()).wait().unwrap();
    assert_eq!((initial.standing(), initial.chosen_by()), (Standing::MustChange, None));
    let standing = |record: &Record| {
        matched(pool.verify(charged(1), &password(text), record.clone(), martha()).wait())
    };
    assert_eq!(standing(initial.as_record()), Some(Standing::MustChange));

    let at = Timestamp::EPOCH;
    let changing = ChangeOnly::assertion(common::ACCOUNT, PolicyDigest::NONE, at);
    let chosen = pool.hash(accepted(text), changing.into(), martha()).wait().unwrap();
    assert_eq!(chosen.chosen_by(), Some(common::ACCOUNT));
    assert_eq!(standing(chosen.as_record()), Some(Standing::Chosen));
    let again = Authenticated::assertion(common::ACCOUNT, PolicyDigest::NONE, at);
    let chosen = pool.hash(accepted(text), OwnerPresent::from(&again), martha()).wait().unwrap();
    assert_eq!(chosen.standing(), Standing::Chosen);
    assert_eq!(standing(&chosen.as_record().clone().must_change()), Some(Standing::MustChange));
}

#[test]
fn impossible_pools_are_refused() {
    let make = |config| {
        let entropy = Arc::new(vouchsafe_testkit::SeededEntropy::new(1));
        HashPool::new(config, Arc::new(ManualClock::at(NOW)), entropy).err()
    };
    let config = PoolConfig::new(HashPolicy::default());
    for bad in [
        config.workers(0),
        config.workers(65),
        config.queue(0),
        config.queue(65_537),
        config.budget_kib(19_455),
    ] {
        assert!(matches!(make(bad), Some(PasswordError::Pool(_))), "{bad:?}");
    }
    assert_eq!(make(config.budget_kib(19_456)), None);
}

/// Its own policy where that will do, and both together where it will not.
#[test]
fn a_pool_is_made_no_weaker_than_asked() {
    let of = |(kib, passes)| HashPolicy::danger_below_floor(kib, passes).unwrap();
    for (own, asked, made) in [
        ((64, 2), (64, 2), (64, 2)),
        ((64, 1), (64, 2), (64, 2)),
        ((128, 1), (64, 2), (128, 2)),
        ((128, 2), (64, 2), (128, 2)),
        // As strong as what is asked for, by a published equivalence.
        ((47_104, 1), (19_456, 2), (47_104, 1)),
    ] {
        let config = PoolConfig::new(of(own)).workers(1).no_weaker_than(of(asked));
        assert_eq!(pool(config).policy(), of(made), "{own:?} {asked:?}");
    }
}

#[test]
fn damaged_records_say_what_is_wrong() {
    let good = record(&pool(PoolConfig::new(cheap()).workers(1)), "x").to_string();
    let changed = |from: &str, to: &str| good.replace(from, to).parse::<Record>().unwrap_err();
    assert_eq!(changed("vouchsafe:1", "vouchsafe:2"), RecordError::Version(2));
    assert_eq!(changed("vouchsafe", "Vouchsafe"), RecordError::NotARecord);
    assert_eq!(changed(":chosen", ":Chosen"), RecordError::Field("standing"));
    assert_eq!(changed(":bound", ":bond"), RecordError::Field("binding"));
    assert_eq!(changed(":nfc", ":nfkc"), RecordError::Field("form"));
    assert_eq!(changed(":-:", ":k1:"), RecordError::Field("pepper"));
    assert_eq!(changed("argon2id", "argon2i"), RecordError::Field("algorithm"));
    assert_eq!(changed("m=64", "m=064"), RecordError::Field("parameters"));
    assert_eq!(changed("m=64", "m=7"), RecordError::Params);
    assert_eq!(changed("m=64", "m=4294967295"), RecordError::Params);
    assert_eq!(changed("t=2", "t=65"), RecordError::Params);
    assert!(good.replace("t=2", "t=64").parse::<Record>().is_ok());
    for cut in 0..good.len() {
        assert!(good[..cut].parse::<Record>().is_err(), "cut at {cut}");
    }
    assert!(format!("{good}x").parse::<Record>().is_err());
}
