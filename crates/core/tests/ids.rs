//! Which texts are the same id, and which are none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;
use vouchsafe_core::{Case, IdError, Identifier, TenantId, UserId};
use vouchsafe_testkit::runs;

fn folded(text: &str) -> Option<String> {
    Identifier::new(text).ok().map(|id| id.as_str().to_owned())
}

fn exact(text: &str) -> Option<String> {
    Identifier::with_case(text, Case::Exact).ok().map(|id| id.as_str().to_owned())
}

#[test]
fn variants_of_one_name_are_one_id() {
    let families: &[(&str, &[&str])] = &[
        ("zoë@example.com", &["ZOË@EXAMPLE.COM", "Zoe\u{308}@example.com", "  zoë@example.com\n"]),
        ("strasse", &["Straße", "STRASSE", "straſſe", "STRAẞE"]),
        ("file", &["ﬁle", "ＦＩＬＥ", "𝐟𝐢𝐥𝐞", "ⓕⓘⓛⓔ"]),
        ("σισυφοσ", &["Σισυφος", "σισυφος", "ΣΙΣΥΦΟΣ"]),
        ("ΐ", &["\u{3B9}\u{308}\u{301}", "\u{399}\u{308}\u{301}"]),
        ("å", &["Å", "\u{212B}", "A\u{30A}", "a\u{30A}"]),
        ("k", &["K", "\u{212A}"]),
        ("ab cd", &["ab  cd", "ab\u{A0}cd", "AB\u{3000}CD", "\u{2003}ab\u{1680} cd"]),
        ("한글", &["한글", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}"]),
        ("1", &["１", "①", "¹"]),
    ];
    for (canonical, variants) in families {
        assert_eq!(folded(canonical).as_deref(), Some(*canonical));
        for variant in *variants {
            assert_eq!(folded(variant).as_deref(), Some(*canonical), "{variant}");
        }
    }
}

#[test]
fn distinct_names_stay_distinct() {
    let names = ["zoe", "zoë", "zo", "z oe", "zoe.", "zoe+x", "ıbo", "ibo", "0", "o", "а", "a"];
    let ids: BTreeMap<_, _> = names.iter().map(|name| (folded(name).unwrap(), name)).collect();
    assert_eq!(ids.len(), names.len());
}

#[test]
fn exact_ids_keep_case_and_compatibility_forms() {
    for (one, other) in [("Acme", "acme"), ("ﬁ", "fi"), ("K", "k"), ("①", "1")] {
        assert_ne!(exact(one), exact(other), "{one}");
        assert_eq!(folded(one), folded(other), "{one}");
    }
    assert_eq!(exact("Zoe\u{308}"), exact(" Zo\u{EB} "));
    assert_eq!(exact("a\u{A0}\u{A0}b"), exact("a b"));
}

#[test]
fn what_cannot_be_an_id() {
    for blank in ["", " ", "\u{3000}\u{A0}\n\t", "\u{2028}"] {
        assert_eq!(UserId::new(blank), Err(IdError::Empty), "{blank:?}");
        assert_eq!(UserId::with_case(blank, Case::Exact), Err(IdError::Empty), "{blank:?}");
    }
    let refused = [
        ('\0', "a control"),
        ('\t', "a tab inside"),
        ('\n', "a line end inside"),
        ('\u{7F}', "delete"),
        ('\u{85}', "next line"),
        ('\u{AD}', "a soft hyphen"),
        ('\u{34F}', "a grapheme joiner"),
        ('\u{61C}', "an Arabic letter mark"),
        ('\u{115F}', "a Hangul filler"),
        ('\u{3164}', "a Hangul filler that folds to another"),
        ('\u{FFA0}', "a halfwidth filler"),
        ('\u{180E}', "a Mongolian vowel separator"),
        ('\u{200B}', "a zero-width space"),
        ('\u{200D}', "a zero-width joiner"),
        ('\u{202E}', "a right-to-left override"),
        ('\u{2028}', "a line separator"),
        ('\u{2066}', "an isolate"),
        ('\u{2800}', "a blank Braille pattern"),
        ('\u{E000}', "private use"),
        ('\u{FE0F}', "a variation selector"),
        ('\u{FEFF}', "a byte order mark"),
        ('\u{FFFF}', "a noncharacter"),
        ('\u{E0041}', "a tag"),
        ('\u{E0100}', "an ideographic variation selector"),
    ];
    for (character, name) in refused {
        let text = format!("ab{character}c");
        for case in [Case::Fold, Case::Exact] {
            let error = TenantId::with_case(&text, case);
            assert_eq!(error, Err(IdError::Character { at: 2 }), "{name}");
        }
    }
    for shared in ["-", "*", "Anonymous", "GUEST", "ｎｕｌｌ", " nobody "] {
        assert_eq!(UserId::new(shared), Err(IdError::Shared), "{shared}");
        assert_eq!(UserId::with_case(shared, Case::Exact), Err(IdError::Shared), "{shared}");
    }
}

#[test]
fn length_is_bounded_before_and_after_normalisation() {
    let max = UserId::MAX_LEN;
    let too_long = Err(IdError::TooLong { max });
    assert!(UserId::new(&"a".repeat(max)).is_ok());
    assert_eq!(UserId::new(&"a".repeat(max + 1)), too_long);
    assert_eq!(UserId::new(&" ".repeat(max + 1)), too_long);
    // One character that becomes eighteen.
    assert!(UserId::new("\u{FDFA}").is_ok());
    assert_eq!(UserId::new(&"\u{FDFA}".repeat(8)), too_long);
    assert!(Identifier::new(&"a".repeat(254)).is_ok());
    assert_eq!(Identifier::new(&"a".repeat(255)), Err(IdError::TooLong { max: 254 }));
}

#[test]
fn names_do_not_show_in_debug() {
    let name = "zoe@example.com";
    let shown = format!("{:?} {:?}", UserId::new(name).unwrap(), Identifier::new(name).unwrap());
    assert!(!shown.contains("zoe"), "{shown}");
}

/// Each assigned character: its normal forms and cases are one id, and its id is its own id.
#[test]
fn every_character_meets_its_variants() {
    let mut accepted = 0;
    for character in ('\0'..=char::MAX).filter(|c| !matches!(c, '\u{E000}'..='\u{F8FF}')) {
        let text = character.to_string();
        let Some(id) = folded(&text) else { continue };
        accepted += 1;
        assert_eq!(folded(&id).as_ref(), Some(&id), "{character:?} twice");
        for form in [text.nfc().collect::<String>(), text.nfd().collect()] {
            assert_eq!(folded(&form).as_ref(), Some(&id), "{character:?} canonical forms");
            assert_eq!(exact(&form), exact(&text), "{character:?} exact");
        }
        for form in [text.nfkc().collect::<String>(), text.nfkd().collect()] {
            assert_eq!(folded(&form).as_ref(), Some(&id), "{character:?} compatibility forms");
        }
        // The dotless i is the one letter whose capital is another letter's.
        if character != 'ı' {
            for cased in [text.to_lowercase(), text.to_uppercase()] {
                let met = folded(&cased);
                // A capital newer than our tables is refused, not a second id.
                assert!(met.is_none() || met.as_ref() == Some(&id), "{character:?} as {cased:?}");
            }
        }
    }
    assert!(accepted > 140_000, "{accepted}");
}

/// Text that is likely to go wrong: marks, blanks, compatibility forms, letters with odd cases.
fn text() -> impl Strategy<Value = String> {
    let odd = proptest::sample::select(
        "aZéß ſİıKÅﬁ①　\u{A0}\u{301}\u{308}\u{345}\u{327}¨´ΐΣςΐǅŉ가각ᄀ\u{1161}\u{11A8}²½\u{FDFA}㍿Ꭰꭰ"
            .chars()
            .collect::<Vec<_>>(),
    );
    let character = prop_oneof![4 => odd, 1 => any::<char>()];
    proptest::collection::vec(character, 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn cases(ci: usize, long: usize) -> ProptestConfig {
    let cases = u32::try_from(runs(ci, long)).unwrap();
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(5_000, 500_000))]

    /// An id's text is its own id: what was stored is found again.
    #[test]
    fn canonicalising_twice_changes_nothing(text in text()) {
        if let Some(id) = folded(&text) {
            prop_assert_eq!(folded(&id), Some(id));
        }
        if let Some(id) = exact(&text) {
            prop_assert_eq!(exact(&id), Some(id));
        }
    }

    /// All normal forms, other blanks and blanks around meet in one id.
    #[test]
    fn variants_collide(text in text(), blank in proptest::sample::select(vec![" ", "\u{A0}", "\u{2003}  "])) {
        let id = folded(&text);
        let forms: [String; 6] = [
            text.nfc().collect(),
            text.nfd().collect(),
            text.nfkc().collect(),
            text.nfkd().collect(),
            text.replace(' ', blank),
            format!("{blank}{text}{blank}"),
        ];
        for form in forms {
            prop_assert_eq!(folded(&form), id.clone(), "{:?}", form);
        }
        let canonical_forms: [String; 2] = [text.nfc().collect(), text.nfd().collect()];
        for form in canonical_forms {
            prop_assert_eq!(exact(&form), exact(&text), "{:?}", form);
        }
    }

    /// Two texts are one id exactly when Unicode's compatibility caseless match says so.
    #[test]
    fn collisions_are_those_of_unicode(
        one in text(),
        other in text(),
        kin in any::<bool>(),
        upper in any::<bool>(),
    ) {
        let no_blanks = |text: &str| -> String {
            text.chars().filter(|c| !c.nfkd().any(char::is_whitespace)).collect()
        };
        let one = no_blanks(&one);
        let relative = if upper { one.to_uppercase() } else { one.to_lowercase() };
        let other = if kin { relative.nfkd().collect() } else { no_blanks(&other) };
        if let (Some(a), Some(b)) = (folded(&one), folded(&other)) {
            let matched = caseless::compatibility_caseless_match_str(&one, &other);
            prop_assert_eq!(a == b, matched);
        }
    }

    /// What an id never contains.
    #[test]
    fn ids_are_tame(text in any::<String>()) {
        if let Ok(id) = TenantId::new(&text) {
            let id = id.as_str();
            prop_assert!(!id.is_empty() && id.len() <= TenantId::MAX_LEN);
            prop_assert_eq!(id.trim(), id);
            prop_assert!(!id.contains("  ") && !id.chars().any(char::is_control));
            prop_assert!(id.chars().all(|c| c == ' ' || !c.is_whitespace()));
        }
    }
}
