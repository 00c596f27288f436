//! Whether a new password of 16 characters will do.

use std::hint::black_box;

use vouchsafe::password::{Attributes, Password, PasswordPolicy};

use crate::Result;
use crate::measure::{Batch, Case, Sides, Unit};

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
const PERSON: [&str; 3] = ["Martha Luisa Tannhof", "martha.tannhof@acme.example", "acme"];
const ROUNDS: u32 = 200;

/// The cases.
pub const CASES: &[Case] = &[Case {
    name: "policy/check_password",
    peer: "zxcvbn",
    wanted: 10.0,
    unit: Unit::Nanos,
    pairs: 15,
    prepare: check_password,
}];

/// Taking the text over and checking the full rule for staff, common and personal passwords
/// included, against an estimate of the same text with the same words about the person.
fn check_password() -> Result<Sides> {
    let rule = PasswordPolicy::zoomph_staff();
    let person = PERSON.iter().fold(Attributes::none(), |person, word| person.with(word));
    let ours = move || {
        Batch::time(ROUNDS * 8, |number| {
            let typed = black_box(typed(number));
            let password = Password::new(typed.to_owned())?;
            black_box(rule.check(&password, &person).is_ok());
            Ok(())
        })
    };
    let peer = move || {
        Batch::time(ROUNDS * 8, |number| {
            black_box(zxcvbn::zxcvbn(black_box(typed(number)), &PERSON).score());
            Ok(())
        })
    };
    Ok(Sides::new(ours, peer))
}

fn typed(number: u32) -> &'static str {
    TYPED[number as usize % TYPED.len()]
}
