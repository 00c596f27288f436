//! FA-6: what a host's own column of passwords comes up with: texts of before, nothing, and texts that
//! nobody can read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod column;

use column::{HOSTS, NEW, OLD, Place, THIRD, World, foreign};
use vouchsafe::access_log::{Operation, Outcome, Record};
use vouchsafe::gate::{Code, NotSet, Redeemed};
use vouchsafe::password::Unmet;
use vouchsafe::policy::Policy;
use vouchsafe_testkit::{TestGate, block_on};

/// What stands for no password in a column: SQL's own, an empty text, and what Django writes.
const EMPTY: [Option<&str>; 3] =
    [None, Some(""), Some("!mXqPmTpLpDUKvNtBGFnHUfbGiCmpVkcYOrQFnE7c")];
/// Hashes of formats that are not known, or damaged.
const UNREADABLE: [&str; 3] = [
    "garbage",
    "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$c2FsdA",
    "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D",
];

/// Sets a password with a fresh link.
fn reset(world: &World, password: &str) -> Result<Redeemed, NotSet> {
    world.redeem(&world.gate.invite(&world.ada), password)
}

/// How often it was recorded that the host changed a password.
fn changes_by_the_host(world: &World) -> usize {
    let by_host = |record: &Record| {
        record.operation == Operation::PasswordChanged && record.outcome == Outcome::Succeeded
    };
    world.recorded().iter().filter(|record| by_host(record)).count()
}

/// A text that was replaced is the past, whoever brings it back.
#[test]
fn a_replaced_password_does_not_come_back_with_the_table() {
    let world = World::active(Place::Memory);
    let before = world.table.text(&world.ada);
    reset(&world, NEW).unwrap();
    let after = world.table.text(&world.ada);
    world.table.update(&world.ada, before.as_deref());
    assert!(!world.lets_in(OLD) && !world.lets_in(NEW));
    let call = TestGate::call();
    let name = vouchsafe::access_log::name!("console");
    let operator = world.gate.gate.operator(&TestGate::tenant(), name, &call).unwrap();
    assert!(!block_on(operator.is_active(&world.ada)).unwrap(), "nor is it in a list");
    world.table.update(&world.ada, after.as_deref());
    assert!(world.lets_in(NEW), "a replica that has caught up");
    world.table.update(&world.ada, before.as_deref());
    reset(&world, THIRD).unwrap();
    assert!(world.lets_in(THIRD) && !world.lets_in(OLD));
}

/// However many passwords ago it was, ours or by other software, upgraded or not.
#[test]
fn no_text_from_before_the_last_password_comes_back() {
    const PASSWORDS: [&str; 4] = [OLD, NEW, THIRD, HOSTS];
    for imported in [false, true] {
        for back in 0..4 {
            let world = if imported {
                World::imported(Place::Memory)
            } else {
                World::active(Place::Memory)
            };
            let mut texts = vec![(world.table.text(&world.ada), OLD)];
            assert!(world.lets_in(OLD));
            let upgraded = world.table.text(&world.ada);
            assert_eq!(upgraded != texts[0].0, imported);
            texts.push((upgraded, OLD));
            for password in &PASSWORDS[1..] {
                reset(&world, password).unwrap();
                texts.push((world.table.text(&world.ada), password));
            }
            let (text, password) = &texts[back];
            world.table.update(&world.ada, text.as_deref());
            assert_eq!(world.refuses(password), Some(Code::ResetRequired), "{imported} {back}");
            assert_eq!(world.refuses(HOSTS), Some(Code::ResetRequired), "{imported} {back}");
            world.table.update(&world.ada, texts[4].0.as_deref());
            assert!(world.lets_in(HOSTS), "{imported} {back}");
        }
    }
}

/// A copy of the table from before an upgrade: the password is the same, so nothing ends, and the
/// upgrade is written once more.
#[test]
fn a_table_from_before_an_upgrade_is_brought_up_to_date() {
    let world = World::imported(Place::Memory);
    let before = world.table.text(&world.ada);
    let session = world.gate.sign_in("ada", OLD);
    let after = world.table.text(&world.ada);
    assert_ne!(before, after);
    world.table.update(&world.ada, before.as_deref());
    assert!(world.lets_in(OLD));
    assert_eq!(world.table.text(&world.ada), after);
    assert!(world.holds(&session));
    assert_eq!(changes_by_the_host(&world), 0);
}

/// The host takes a password away: what it let in ends, once, and the owner chooses another.
#[test]
fn a_column_that_is_emptied_ends_what_was_before() {
    for empty in EMPTY {
        let world = World::active(Place::Memory);
        let session = world.gate.sign_in("ada", OLD);
        let link = world.gate.invite(&world.ada);
        let _ = world.recorded();
        world.table.update(&world.ada, empty);
        for _ in 0..2 {
            assert_eq!(world.refuses(OLD), Some(Code::ResetRequired), "{empty:?}");
        }
        assert!(!world.holds(&session) && !world.works(&link), "{empty:?}");
        assert_eq!(changes_by_the_host(&world), 1, "{empty:?}");
        reset(&world, NEW).unwrap();
        assert!(world.lets_in(NEW) && !world.lets_in(OLD), "{empty:?}");
    }
}

/// The table answers wrongly once, and the next time with what was there all along.
#[test]
fn one_wrong_answer_of_the_table_locks_nobody_out() {
    for wrong in EMPTY.into_iter().chain(UNREADABLE.map(Some)) {
        let world = World::active(Place::Memory);
        let session = world.gate.sign_in("ada", OLD);
        let right = world.table.text(&world.ada);
        world.table.update(&world.ada, wrong);
        assert!(world.refuses(OLD).is_some(), "{wrong:?}");
        world.table.update(&world.ada, right.as_deref());
        assert!(world.lets_in(OLD), "{wrong:?}");
        // What cannot be read is no decision of anybody's, and ends nothing.
        assert_eq!(world.holds(&session), !EMPTY.contains(&wrong), "{wrong:?}");
        // From now on it is an ordinary column again.
        world.table.update(&world.ada, Some(&foreign(HOSTS)));
        assert!(world.lets_in(HOSTS) && !world.lets_in(OLD), "{wrong:?}");
    }
}

/// The host empties the column between the cell and the swap: whoever set a password is told, and
/// nothing is written over it. It is in force where the emptying is taken back.
#[test]
fn a_column_that_is_emptied_meanwhile_stays_empty() {
    for empty in EMPTY {
        let world = World::active(Place::Memory);
        let before = world.table.text(&world.ada);
        let link = world.gate.invite(&world.ada);
        let ada = world.ada.clone();
        world.table.before_swap(move |table| table.update(&ada, empty));
        let set = world.redeem(&link, NEW);
        assert!(
            matches!(&set, Err(NotSet::Refused(refused)) if refused.code() == Code::Raced),
            "{set:?}"
        );
        assert!(!world.lets_in(NEW) && !world.lets_in(OLD), "{empty:?}");
        block_on(world.gate.gate.upkeep());
        assert_eq!(world.table.text(&world.ada).as_deref(), empty);
        world.table.update(&world.ada, before.as_deref());
        assert!(world.lets_in(NEW) && !world.lets_in(OLD), "{empty:?}");
    }
}

/// A text that cannot be read is the host's mistake: every password gets the same answer, which is
/// recorded and counts on nobody; a link puts it right, and so does the host.
#[test]
fn a_text_that_cannot_be_read_is_told_as_such_and_counts_on_nobody() {
    let long = "x".repeat(1 << 20);
    for text in UNREADABLE.into_iter().chain([long.as_str()]) {
        for seen in [false, true] {
            let world = if seen { World::active(Place::Memory) } else { World::new(Place::Memory) };
            world.table.update(&world.ada, Some(text));
            let _ = world.recorded();
            for password in [OLD, "Wrong-Guess9", OLD, OLD, OLD, OLD] {
                assert_eq!(world.refuses(password), Some(Code::Corrupt), "{seen} {text:.40}");
            }
            world.gate.clock.advance(std::time::Duration::from_secs(120));
            block_on(world.gate.gate.upkeep());
            let reason = Code::Corrupt.as_str();
            let told = world.recorded().into_iter().filter_map(|record| match record.outcome {
                Outcome::Refused(name) if name.as_str() == reason => Some(record.repeats.get()),
                _ => None,
            });
            assert_eq!(told.sum::<u32>(), 6, "{seen} {text:.40}");
            match seen {
                true => world.table.update(&world.ada, Some(&foreign(NEW))),
                false => drop(reset(&world, NEW).unwrap()),
            }
            assert!(world.lets_in(NEW), "{seen} {text:.40}");
            world.table.update(&world.ada, Some(text));
            assert_eq!(world.refuses(NEW), Some(Code::Corrupt), "nor later");
        }
    }
}

/// Somebody who is signed in is told the same when they change their password.
#[test]
fn a_text_that_cannot_be_read_is_told_to_whoever_changes_their_password() {
    let world = World::active(Place::Memory);
    let session = world.gate.sign_in("ada", OLD);
    let right = world.table.text(&world.ada);
    world.table.update(&world.ada, Some("garbage"));
    let call = TestGate::call();
    let acting = world.gate.gate.by(session.principal(), &call).unwrap();
    let change = || block_on(acting.change_password(OLD.to_owned(), NEW.to_owned()));
    for _ in 0..6 {
        let changed = change();
        assert!(
            matches!(&changed, Err(NotSet::Refused(refused)) if refused.code() == Code::Corrupt),
            "{changed:?}"
        );
    }
    world.table.update(&world.ada, right.as_deref());
    change().unwrap();
    assert!(world.lets_in(NEW));
}

/// PW-14: what was used before is refused, whatever became of the column meanwhile.
#[test]
fn what_was_used_before_is_known_whatever_the_column_holds() {
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    assert!(text.contains("remember = 0"));
    let policy = Policy::parse(&text.replace("remember = 0", "remember = 4"), "test").unwrap();
    let is_reused = |world: &World, password| match reset(world, password) {
        Err(NotSet::Unmet(unmet)) => unmet == [Unmet::Reused],
        other => panic!("{other:?}"),
    };
    let hosts = foreign(HOSTS);
    for found in ["the last", "the one before", "garbage", "", &hosts] {
        let world = World::under(policy.clone(), Place::Memory);
        world.gate.activate(&TestGate::tenant(), &world.ada, OLD);
        let before = world.table.text(&world.ada).unwrap();
        reset(&world, NEW).unwrap();
        match found {
            "the last" => {}
            "the one before" => world.table.update(&world.ada, Some(&before)),
            other => world.table.update(&world.ada, Some(other)),
        }
        assert!(is_reused(&world, NEW) && is_reused(&world, OLD), "{found}");
        if found == hosts {
            assert!(is_reused(&world, HOSTS) && world.lets_in(HOSTS));
            for password in [OLD, NEW, HOSTS] {
                assert!(is_reused(&world, password), "{password}, once it was upgraded");
            }
        }
        reset(&world, THIRD).unwrap();
        for password in [OLD, NEW, THIRD] {
            assert!(is_reused(&world, password), "{found} {password}");
        }
    }
}
