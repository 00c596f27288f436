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
