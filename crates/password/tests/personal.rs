//! Passwords that are made of what is known of their owner, and common ones in disguise.
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

use common::password;
use unicode_normalization::UnicodeNormalization;
use vouchsafe_password::{Attributes, Guessable, PasswordPolicy, Unmet};

/// Whether it is refused as personal; nothing else may be found about it.
fn is_personal(text: &str, attributes: &[&str]) -> bool {
    let plain = PasswordPolicy::builder().min_length(1).refuse_common(false).build().unwrap();
    let known = attributes.iter().fold(Attributes::none(), |known, word| known.with(word));
    match plain.check(&password(text), &known) {
        Ok(_) => false,
        Err(unmet) => {
            assert_eq!(unmet, [Unmet::Personal], "{text}");
            true
        }
    }
}

const NAMES: [&str; 10] = [
    "j.smith@acme.example",
    "jo.smith@mail.acme.example",
    "Conan O'Brien-Smith",
    "Maria T. de la Cruz",
    "José M. de la S. Trinidad R. y Picasso e López d. l. F. y A.",
    "İbrahim Çelik İnönü",
    "प्रियाशर्मा कृष्णमूर्ति",
    "Παπαδόπουλος Γ.",
    "田中 太郎",
    "Nguyễn Thị Ánh",
];

#[test]
fn an_attribute_itself_is_personal() {
    for name in NAMES {
        let parts: String = name.nfd().collect();
        let squashed = name.replace([' ', '.', '-', '@', '\''], "");
        let spaced = name.replace([' ', '.', '-'], "_");
        for typed in
            [name, &parts, &squashed, &spaced, &format!("{name}2026!"), &format!("<{name}>")]
        {
            assert!(is_personal(typed, &[name]), "{typed}");
            assert!(is_personal(&typed.to_lowercase(), &[name]), "{typed} in lower case");
            assert!(is_personal(&typed.to_uppercase(), &[name]), "{typed} in upper case");
            // Known in parts, and known twice.
            assert!(is_personal(typed, &["acme", &parts]), "{typed}");
            // Somebody else's.
            assert!(!is_personal(typed, &["Martha Luisa Tannhof"]), "{typed}");
        }
        // In a sentence it is only a part.
        assert!(!is_personal(&format!("seven kettles for {name}"), &[name]), "{name}");
    }
}

#[test]
fn signs_inside_a_name_do_not_count_and_those_around_it_do() {
    for (typed, personal) in [
        ("t.a.n.n.h.o.f", true),
        ("tann---------hof", true),
        ("tann–·§hof", true),
        ("tannhof-+_%=?*:;", false),
        ("-+_%=?*:tannhof", true),
        ("tann1hof", false),
        ("tannhof-martha-7", true),
        ("tannhof.x.martha", false),
        ("mar tannhof", true),
    ] {
        assert_eq!(is_personal(typed, &["Martha", "Tannhof", "mar"]), personal, "{typed}");
    }
    // Words are looked for as they stand first: a longer one does not take the blank and the next letter.
    assert!(is_personal("ann arbor", &["anna", "ann", "arbor"]));
    // A mark is part of its word.
    assert!(is_personal("İbrahim2026!", &["İbrahim Çelik İnönü"]));
    assert!(is_personal("प्रियाशर्मा2026!", &["प्रियाशर्मा कृष्णमूर्ति"]));
}

/// A word that takes letters of the next one is not the only way to read it.
#[test]
fn one_more_attribute_makes_nothing_acceptable() {
    for (typed, known, more) in [
        ("PetraVogel2026!", &["Petra", "Vogel"][..], "petrav"),
        ("MarthaLuisa2026!", &["Martha Luisa Tannhof"], "marthal@acme.example"),
        ("Anna.Nagel.2026", &["Anna", "Nagel"], "annan"),
    ] {
        assert!(is_personal(typed, known), "{typed}");
        assert!(is_personal(typed, &[known, &[more]].concat()), "{typed}, and {more} is known");
    }
    // What is left over is one text, and not that of the longest words alone.
    assert!(is_personal("passMarthaword", &["Martha"]));
    assert!(is_personal("passMarthaword", &["Martha", "assmart", "thaword"]));
}

/// Also where they are read in very many ways; a sentence with many of them is not.
#[test]
fn a_name_over_and_over_is_personal() {
    assert!(is_personal(&"kvanna".repeat(9), &["Anna"]));
    assert!(!is_personal(&"the kettle of thebes ".repeat(9), &["the"]));
}

/// What is left beside it is looked at as far as a guesser would go.
#[test]
fn a_long_rest_beside_a_name_is_looked_at_up_to_its_bound() {
    assert!(is_personal(&format!("Tannhof{}", "x".repeat(64)), &["Tannhof"]));
    assert!(!is_personal(&format!("Tannhof{}", "x".repeat(65)), &["Tannhof"]));
    assert!(is_personal(&format!("{}Tannhof{}", "x".repeat(32), "x".repeat(32)), &["Tannhof"]));
}

/// In Turkish the capital of an i has a dot, which lower case leaves behind it.
#[test]
fn a_turkish_name_in_capitals_is_recognised() {
    assert!(is_personal("Istanbul-Ibrahim-7", &["İSTANBUL", "İBRAHİM"]));
    assert!(is_personal("İSTANBUL-İBRAHİM-7", &["Istanbul", "ibrahim"]));
    assert!(is_personal("i\u{307}brahim-7", &["Ibrahim"]));
    assert!(is_personal("YILDIZ-7", &["Işık Yıldız"]));
}

/// As it is typed where a keyboard lacks a letter, and with the letter where the address lacks it.
#[test]
fn a_name_is_personal_in_every_spelling() {
    for (name, plain) in [
        ("José García", "JoseGarcia"),
        ("Nguyễn Thị Ánh", "NguyenThiAnh"),
        ("Yılmaz", "Yilmaz"),
        ("Großkopf", "Grosskopf"),
        ("Jørgensen", "Jorgensen"),
        ("Jørgensen", "Joergensen"),
        ("Wałęsa", "Walesa"),
        ("Müßiggräber", "Muessiggraeber"),
        ("Müßiggräber", "Mussiggraber"),
        ("Ægirsson", "Aegirsson"),
        ("Þorsteinsson", "Thorsteinsson"),
        ("Håkansson", "Haakansson"),
        ("Håkansson", "Hakansson"),
        ("Áslaug Guðnadóttir", "aslaug.gudnadottir"),
        ("Παπαδόπουλος", "ΠΑΠΑΔΟΠΟΥΛΟΣ"),
    ] {
        let parts: String = name.nfd().collect();
        for (typed, known) in [(name, plain), (plain, name), (&parts, plain), (plain, &parts)] {
            assert!(is_personal(&format!("{typed}2026!"), &[known]), "{typed} of {known}");
            assert!(is_personal(&typed.to_uppercase(), &[known]), "{typed} of {known} in capitals");
            assert!(!is_personal(&format!("seven kettles for {typed}"), &[known]), "{typed}");
        }
    }
    // Where they are vowels, marks make another word.
    assert!(!is_personal("प्रयशरम2026!", &["प्रियाशर्मा"]));
}

/// Pieces that are too short to count by themselves, beside those that do.
#[test]
fn an_initial_does_not_hide_a_name() {
    let address = "j.r.smith@acme.example";
    for typed in ["JSmith2026!", "jr.smith#2026", "SmithJR1999!?", "Smith-J-Acme-26"] {
        assert!(is_personal(typed, &[address]), "{typed}");
    }
    for typed in ["KSmith2026!", "jkettle2026!", "jrjr2026!", "jrrjjrrjrSmith", "JSmith73049182x"] {
        assert!(!is_personal(typed, &[address]), "{typed}");
    }
    assert!(is_personal("DeLaCruz2026!", &["Maria T. de la Cruz"]));
    assert!(is_personal("Cruz+de-la-T-1", &["Maria T. de la Cruz"]));
    assert!(!is_personal("CruzDelka2026!", &["Maria T. de la Cruz"]));
}

#[test]
fn the_digits_at_a_name_do_not_hide_it() {
    for known in ["acme24", "24acme", "acme24@mail.example", "acme-2024"] {
        assert!(is_personal("Acme2026!", &[known]), "{known}");
    }
    assert!(!is_personal("Acne2026!", &["acme24"]));
    assert!(!is_personal("ab2026!xq", &["ab24xq"]), "too short without them");
}

/// Nobody writes their name in three characters there.
#[test]
fn two_characters_are_a_name_where_they_are_words() {
    for (typed, known) in [
        ("王伟2026!", "王伟"),
        ("田中#1984", "田中 太郎"),
        ("太郎太郎", "田中 太郎"),
        ("민수!2026", "김 민수"),
    ] {
        assert!(is_personal(typed, &[known]), "{typed}");
    }
    assert!(!is_personal("王伟伟王山川2026", &["王伟"]));
    assert!(!is_personal("Wu2026!?", &["Wu"]));
    // A syllable is one, however many parts it has.
    assert!(!is_personal("김2026!?", &["김 민수"]));
}

/// In capitals a German sharp s is two letters.
#[test]
fn a_sharp_s_is_recognised() {
    for (typed, known) in
        [("STRAUSS-2026", "Strauß"), ("strauß-2026", "STRAUSS"), ("Strauẞ-2026", "Strauß")]
    {
        assert!(is_personal(typed, &[known]), "{typed}");
    }
}

/// As the rule is told: a common password between at most eight digits, signs or spaces.
#[test]
fn a_common_password_that_ends_in_digits_is_seen_through_signs() {
    let policy = PasswordPolicy::builder().min_length(1).build().unwrap();
    let found = |text: &str| policy.check(&password(text), &Attributes::none()).err();
    let common = |habit| Some(vec![Unmet::Common(habit)]);
    for core in ["Trustno1", "Blink182", "Ncc1701", "A1a1a1a1", "Password1password1"] {
        assert!(found(core).is_some(), "{core}");
        for padded in [
            format!("{core}!!"),
            format!("??{core}"),
            format!("#{core}!"),
            format!("{core}!2026"),
            format!("1234{core}4321"),
        ] {
            let is = found(&padded).unwrap_or_default();
            assert!(matches!(is[..], [Unmet::Common(_)]), "{padded}: {is:?}");
        }
    }
    assert_eq!(found("Blink182!!"), common(Guessable::Padded));
    assert_eq!(found("--------blink182"), common(Guessable::Padded));
    assert_eq!(found("---------blink182"), None, "nine");
    assert_eq!(found("----blink182-----"), None, "nine at both ends");
    // Its digits are not taken for others.
    assert_eq!(found("qwmnblink182!!"), None);
}

/// Without a letter in it, only signs and spaces are padding: all digits may be the number.
#[test]
fn a_common_number_between_signs_is_padded_too() {
    let policy = PasswordPolicy::builder().build().unwrap();
    let found = |text: &str| policy.check(&password(text), &Attributes::none()).err();
    let padded = Some(vec![Unmet::Common(Guessable::Padded)]);
    for core in ["12345678", "123456789", "11111111", "123123123", "987654321"] {
        assert!(found(core).is_some(), "{core}");
        for typed in [format!("{core}#+*"), format!("<({core})>"), format!("{core} #+!-? +")] {
            assert_eq!(found(&typed), padded, "{typed}");
        }
    }
    // No walk, of which two more characters may be a part.
    assert_eq!(found("147258369 #+!-? +"), padded);
    assert_eq!(found("147258369 #+!-? +*"), None, "nine");
    assert_eq!(found("#+73049182!?"), None);
    assert_eq!(found("#+*!?=)(/"), None, "signs alone");
}

/// Its third key is no ASCII.
#[test]
fn a_run_along_the_german_row_of_signs_is_a_walk() {
    let policy = PasswordPolicy::builder().build().unwrap();
    let found = |text: &str| policy.check(&password(text), &Attributes::none()).err();
    let walk = Some(vec![Unmet::Common(Guessable::Walk)]);
    for typed in ["!\"§$%&/(", "!\"§$%&/()=", "=)(/&%$§\"!", "$§\"!\"§$%"] {
        assert_eq!(found(typed), walk, "{typed}");
    }
    assert_eq!(found("§!§%§&§/§("), None);
}
