//! Each published algorithm shows what is known of it, and no more than that.
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

use std::collections::HashMap;
use std::time::Duration;

use common::{outcome, small};
use siege::attack::Attack;
use siege::dice::Dice;
use siege::guard::{Answer, Attempt, Guard, Name, Who};
use siege::others::{By, FixedWindow, Gcra};
use siege::replay::Outcome;
use siege::siege::{Algorithm, run};
use siege::world::{DAY, Password, START, machine};
use vouchsafe_core::Timestamp;

fn all(attack: Attack) -> HashMap<Algorithm, Outcome> {
    let rows = run(small(1), &[attack], &Algorithm::ALL, None, |_, _| {}).unwrap();
    rows.into_iter().map(|row| (row.algorithm, row.outcome)).collect()
}

#[test]
fn counting_after_verifying_lets_a_whole_burst_by() {
    let found = all(Attack::Burst);
    for algorithm in Algorithm::ALL {
        let most = match algorithm {
            Algorithm::Five
            | Algorithm::FiveOfDevices
            | Algorithm::FixedWindow
            | Algorithm::RackAttack
            | Algorithm::Gcra => 5,
            Algorithm::TenAndThirty => 10,
            _ => 10_000,
        };
        assert_eq!(found[&algorithm].guesses, most, "{algorithm:?}");
    }
}

#[test]
fn a_patient_stranger_gets_what_is_published() {
    let found = all(Attack::Relentless);
    for (algorithm, least, most) in [
        (Algorithm::Five, 5, 5),
        (Algorithm::TenAndThirty, 30, 30),
        // Twice the number around the turn of a period, less what the owner used of it.
        (Algorithm::FixedWindow, 8, 10),
        // Five in each 20 seconds, less what the owner used of it.
        (Algorithm::RackAttack, 21_500, 21_600),
        (Algorithm::Quiet, 5, 5),
        // 2 N - 1.
        (Algorithm::Gcra, 9, 9),
        (Algorithm::LockForADay, 5, 9),
        // 20 in each hour and 20 s, and what the owner's sign-ins give back.
        (Algorithm::Devise, 480, 520),
        // Five in each five minutes and 5 s.
        (Algorithm::Identity, 1_400, 1_440),
        (Algorithm::Rodauth, 100, 200),
        // No bound but the number of machines: 2 500 turn to each of the two accounts.
        (Algorithm::Axes, 3 * 2_500, 3 * 2_500),
        (Algorithm::BanForADay, 5 * 2_500, 5 * 2_500),
        (Algorithm::Fail2ban, 86_400, 86_400),
    ] {
        let guesses = found[&algorithm].guesses;
        assert!((least..=most).contains(&guesses), "{algorithm:?}: {guesses}");
    }
}

#[test]
fn an_inactivity_window_locks_whom_four_guesses_a_day_do_not() {
    let found = all(Attack::Slow);
    let known = |algorithm| -> f64 { found[&algorithm].known.percent().unwrap() };
    assert!(known(Algorithm::Quiet) < 65.0, "{}", known(Algorithm::Quiet));
    assert!(known(Algorithm::Five) > 85.0, "{}", known(Algorithm::Five));
    assert!(known(Algorithm::TenAndThirty) > 99.0);
    assert_eq!(found[&Algorithm::Quiet].guesses, found[&Algorithm::Five].guesses);
}

#[test]
fn counting_by_address_is_blind_to_a_botnet_and_bars_offices() {
    let (peace, botnet) = (all(Attack::Peace), all(Attack::Botnet));
    for algorithm in [Algorithm::Axes, Algorithm::BanForADay, Algorithm::Fail2ban] {
        let barred = peace[&algorithm].false_locks.percent().unwrap();
        assert!(barred > 80.0, "{algorithm:?} bars {barred} % in peace");
        assert!(botnet[&algorithm].guesses > 100, "{algorithm:?}");
    }
    for algorithm in [Algorithm::Five, Algorithm::TenAndThirty] {
        let barred = peace[&algorithm].false_locks.percent().unwrap();
        assert!(barred < 3.0, "{algorithm:?} bars {barred} % in peace");
    }
    assert_eq!(botnet[&Algorithm::Five].guesses, 5);
}

#[test]
fn stuffing_is_one_guess_an_account_and_no_count_stops_it() {
    let found = all(Attack::Stuffing);
    let opened = |algorithm| found[&algorithm].opened.part;
    assert!(opened(Algorithm::Rodauth) > 0, "the leak has no right pair");
    for algorithm in [Algorithm::Five, Algorithm::Gcra, Algorithm::LockForADay] {
        assert_eq!(opened(algorithm), opened(Algorithm::Rodauth), "{algorithm:?}");
        assert_eq!(found[&algorithm].guesses, 1);
    }
}

#[test]
fn random_names_cost_memory_where_they_are_counted() {
    let found = all(Attack::Names);
    let bytes = |algorithm| found[&algorithm].bytes;
    assert!(bytes(Algorithm::Rodauth) < 20_000, "unknown names are no rows of users");
    assert!(bytes(Algorithm::Quiet) > 20_000 * 50, "every name is a row");
    assert!(bytes(Algorithm::Five) <= siege::siege::MEMORY + 10_000 * 3 * 80);
}

fn stranger() -> Attempt {
    Attempt {
        name: Name::User(1),
        password: Password(1),
        source: machine(1),
        device: None,
        who: Who::Stranger,
    }
}

fn admitted(guard: &mut dyn Guard, at: Timestamp, tries: usize) -> usize {
    (0..tries).filter(|_| guard.begin(&stranger(), at) == Answer::Verify(0)).count()
}

#[test]
fn ten_in_two_seconds_around_the_turn_of_a_fixed_window() {
    let mut guard = FixedWindow::new(&[By::Name], 5, DAY);
    let second = Duration::from_secs(1);
    assert_eq!(admitted(&mut guard, START.after(DAY).before(second), 100), 5);
    assert_eq!(admitted(&mut guard, START.after(DAY), 100), 5);
    assert_eq!(admitted(&mut guard, START.after(DAY * 2).before(second), 100), 0);
    assert_eq!(admitted(&mut guard, START.after(DAY * 2), 100), 5);
}

#[test]
fn gcra_refills_one_each_fifth_of_a_day() {
    let mut guard = Gcra::new(5, DAY);
    assert_eq!(admitted(&mut guard, START, 100), 5);
    let each = DAY / 5;
    for n in 1..=10 {
        let micro = Duration::from_micros(1);
        assert_eq!(admitted(&mut guard, START.after(each * n).before(micro), 100), 0);
        assert_eq!(admitted(&mut guard, START.after(each * n), 100), 1);
    }
}

#[test]
fn ten_guesses_open_two_in_a_hundred() {
    let dice = Dice::new(1, 9);
    let all = 1_000_000;
    let ranks: Vec<u64> = (0..all).map(|_| Password::chosen(&dice).0).collect();
    let within = |rank| ranks.iter().filter(|chosen| **chosen <= rank).count() * 1_000 / all;
    assert!((19..=21).contains(&within(10)), "{} per mille", within(10));
    assert!((3..=6).contains(&within(1)), "{} per mille", within(1));
    assert!(ranks.iter().all(|rank| (1..=3_000_000).contains(rank)));
}

#[test]
fn the_command_line_is_read_whole() {
    use siege::options::{Command, Options};
    let parse = |words: &[&str]| Command::parse(words.iter().map(Into::into));
    let options = Options { seed: 7, days: 31, names: 9, save: None };
    let words = ["--seed", "7", "--days=31", "--names", "9"];
    assert_eq!(parse(&words).unwrap(), Command::Run(options));
    assert!(parse(&["--seed", "x", "--help"]).is_err());
    assert_eq!(parse(&["--help"]).unwrap(), Command::Help);
    for bad in
        ["--days=0", "--days=32", "--names=0", "--names=10000001", "--seed=-1", "--what", "x"]
    {
        let told = parse(&[bad]).unwrap_err().to_string();
        assert!(!told.is_empty() && !told.contains("Error"), "{told}");
    }
}

#[test]
fn a_day_is_enough_for_each_outcome() {
    let peace = outcome(small(1), Attack::Peace, Algorithm::Five);
    assert_eq!((peace.guesses, peace.opened.of, peace.known.of), (0, 0, 0));
    assert!(peace.bystanders.percent().unwrap() > 99.0, "{:?}", peace.bystanders);
}
