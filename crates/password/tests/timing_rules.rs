//! How long a look at a new password takes: run alone, because it measures time.
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

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use vouchsafe_password::{Attributes, Password, PasswordPolicy};

/// Random ones, words, habits and names, as people choose them; 16 characters each.
const TYPED: [&str; 8] = [
    "qP7#vLz2!mRt9$Wd",
    "correcthorsebatt",
    "Sommerregen2019!",
    "passwordpassword",
    "Tannhof-Martha-7",
    "abcdefgh12345678",
    "7 Kraniche, See!",
    "P@ssw0rd!2024abc",
];

/// How long what a stranger may send takes on the caller's thread, at best of three.
fn quickest(mut work: impl FnMut()) -> Duration {
    let times = (0..3).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    times.min().unwrap()
}

/// Marks of a high class, two in each character, and as many of a low one.
#[test]
fn a_text_of_marks_costs_no_millisecond() {
    let most = format!("a{}{}", "\u{344}".repeat(767), "\u{316}".repeat(768));
    assert!(most.len() <= Password::MAX_TYPED_BYTES);
    let takes = quickest(|| drop(black_box(Password::new(most.clone()))));
    println!("marks: {takes:?}");
    assert!(takes < Duration::from_millis(1), "{takes:?}");
}

#[test]
fn a_check_is_bounded_whatever_is_typed_and_known() {
    let letters = ('a'..='z')
        .map(|first| ('a'..='z').map(|last| format!("a{first}{last} ")).collect::<String>());
    // Of every length, each of them everywhere.
    let pair = |short: usize| format!("{} {} ", "a".repeat(short), "a".repeat(110 - short));
    let lengths = (3..55).step_by(2).map(|short| pair(short) + &pair(short + 1));
    let of = |known: &[String]| {
        assert!(known.len() <= Attributes::MAX);
        assert!(known.iter().all(|words| words.len() <= Attributes::MAX_BYTES));
        known.iter().fold(Attributes::none(), |known, words| known.with(words.trim()))
    };
    let rule = PasswordPolicy::builder().build().unwrap();
    // All of them in pieces that are nothing by themselves, and in every spelling.
    let pieces = ["é ü ö å ø é1 ".repeat(13), "Anna Øäüß ".repeat(16)];
    // Read in many ways, none of them easy to guess.
    let far = format!("{}kvq", "a".repeat(47)).repeat(20);
    let (letters, lengths) = (letters.collect::<Vec<_>>(), lengths.collect::<Vec<_>>());
    for known in [of(&letters), of(&lengths), of(&pieces)] {
        for typed in [
            "a-".repeat(512),
            "a".repeat(1_024),
            "abaa".repeat(256),
            "aaa7#".repeat(204),
            far.clone(),
            "1357924é".to_owned() + &"annakvü".repeat(8) + "é9753186",
            "øäüßéüö".repeat(70),
        ] {
            let password = Password::new(typed.clone()).unwrap();
            let takes = quickest(|| drop(black_box(rule.check(&password, &known))));
            println!("{typed:.5}..: {takes:?}");
            assert!(takes < Duration::from_millis(10), "{typed}: {takes:?}");
        }
    }
}

/// The median of one look at each, of many.
fn median(mut look: impl FnMut(&str)) -> Duration {
    let mut times: Vec<_> = (0..2_001)
        .map(|_| {
            let begun = Instant::now();
            TYPED.iter().for_each(|typed| look(black_box(typed)));
            begun.elapsed() / 8
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_check_against_the_whole_list_takes_two_microseconds() {
    let rule = PasswordPolicy::zoomph_staff();
    let person = ["Martha Luisa Tannhof", "martha.tannhof@acme.example", "acme"];
    let person = person.iter().fold(Attributes::none(), |person, word| person.with(word));
    let check = |typed: &str| {
        let password = Password::new(typed.to_owned()).unwrap();
        black_box(rule.check(&password, &person).is_ok());
    };
    // What the machine does besides comes and goes.
    let took = (0..3).map(|_| median(check)).min().unwrap();
    // As many entries as the list has, walked once for each look.
    let list: BTreeSet<String> = (0..36_000).map(|n| format!("{n:016}")).collect();
    let walked = median(|typed| {
        black_box(list.iter().any(|entry| black_box(entry) == typed));
    });
    println!("a check: {took:?}; a list that is walked: {walked:?}");
    let most = Duration::from_micros(2);
    assert!(took <= most, "{took:?}");
    assert!(walked > most, "this would not notice a list that is walked: {walked:?}");
}
