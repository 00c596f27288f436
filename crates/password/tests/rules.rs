//! PW-1 to PW-4: which passwords the rules take.
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

use common::{martha, matched, password};
use unicode_properties::{GeneralCategory as Category, UnicodeGeneralCategory};
use vouchsafe_core::Standing;
use vouchsafe_password::{
    Attributes, CommonPasswords, Deficit, Guessable, Kind, Password, PasswordPolicy, PoolConfig,
    Record, Unmet,
};
use vouchsafe_testkit::{SeededEntropy, runs};

/// Every combination of required kinds, with this length.
fn policies(min: u32, max: u32) -> Vec<PasswordPolicy> {
    (0..16_u8)
        .map(|set| {
            let plain = PasswordPolicy::builder().refuse_common(false).refuse_personal(false);
            let mut builder = plain.min_length(min).max_length(max);
            for (bit, kind) in Kind::ALL.into_iter().enumerate() {
                if set >> bit & 1 == 1 {
                    builder = builder.require(kind);
                }
            }
            builder.build().unwrap()
        })
        .collect()
}

fn unmet(policy: &PasswordPolicy, text: &str, attributes: &Attributes) -> Vec<Unmet> {
    policy.check(&password(text), attributes).err().unwrap_or_default()
}

/// What must come, from the length and from which kinds there are.
fn expected(policy: &PasswordPolicy, length: u32, has: impl Fn(Kind) -> bool) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    if length < policy.min_length() {
        unmet.push(Unmet::TooShort(policy.min_length()));
    }
    if length > policy.max_length() {
        unmet.push(Unmet::TooLong(policy.max_length()));
    }
    for kind in [Kind::Letter, Kind::Upper, Kind::Number, Kind::Special] {
        if policy.requires(kind) && !has(kind) {
            unmet.push(Unmet::Missing(kind));
        }
    }
    unmet
}

/// All strings of at most six of `A`, `b`, `1`, `!` and a combining acute accent, which joins an
/// `A` before it and stands alone elsewhere.
#[test]
fn every_short_string_as_the_oracle() {
    const ALPHABET: [char; 5] = ['A', 'b', '1', '!', '\u{301}'];
    let policies: Vec<_> = (1..=7).step_by(2).flat_map(|min| policies(min, 256)).collect();
    let mut seen = 0;
    for length in 0..=6 {
        for number in 0..5_usize.pow(length) {
            let text: String =
                (0..length).map(|at| ALPHABET[number / 5_usize.pow(at) % 5]).collect();
            let composed = text.matches("A\u{301}").count();
            let count = u32::try_from(text.chars().count() - composed).unwrap();
            let has = |kind| match kind {
                Kind::Letter => text.contains(['A', 'b']),
                Kind::Upper => text.contains('A'),
                Kind::Number => text.contains('1'),
                Kind::Special => text.contains('!'),
            };
            for policy in &policies {
                let expected = expected(policy, count, has);
                assert_eq!(unmet(policy, &text, &Attributes::none()), expected, "{text:?}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, (0..=6).map(|n| 5_usize.pow(n)).sum::<usize>());
}

/// Random Unicode against a second crate's table of general categories.
#[test]
fn random_unicode_as_the_oracle() {
    let random = SeededEntropy::new(42);
    let policies = policies(4, 12);
    for _ in 0..runs(10_000, 100_000) {
        let length = random.below(16);
        let mut text = String::new();
        while (text.chars().count() as u64) < length {
            let top = [0x80, 0x800, 0x3000, 0x20000][random.below(4) as usize];
            let Some(c) = char::from_u32(random.below(top) as u32) else { continue };
            // Assigned in the newer table only: says nothing about the older one.
            if c.general_category() != Category::Unassigned && !is_new(c) {
                text.push(c);
            }
        }
        let text: String =
            unicode_normalization::UnicodeNormalization::nfc(text.as_str()).collect();
        let has = |kind| text.chars().any(|c| holds(kind, c.general_category()));
        let length = u32::try_from(text.chars().count()).unwrap();
        let policy = &policies[random.below(16) as usize];
        assert_eq!(
            unmet(policy, &text, &Attributes::none()),
            expected(policy, length, has),
            "{text:?}"
        );
    }
}

fn is_new(c: char) -> bool {
    let any = &policies(1, 256)[0];
    matches!(unmet(any, &c.to_string(), &Attributes::none())[..], [.., Unmet::Unassigned(_)])
}

fn holds(kind: Kind, category: Category) -> bool {
    use Category as C;
    let letter = [
        C::UppercaseLetter,
        C::LowercaseLetter,
        C::TitlecaseLetter,
        C::ModifierLetter,
        C::OtherLetter,
    ];
    let special = [
        C::ConnectorPunctuation,
        C::DashPunctuation,
        C::OpenPunctuation,
        C::ClosePunctuation,
        C::InitialPunctuation,
        C::FinalPunctuation,
        C::OtherPunctuation,
        C::MathSymbol,
        C::CurrencySymbol,
        C::ModifierSymbol,
        C::OtherSymbol,
        C::SpaceSeparator,
    ];
    match kind {
        Kind::Letter => letter.contains(&category),
        Kind::Upper => category == C::UppercaseLetter,
        Kind::Number => [C::DecimalNumber, C::LetterNumber, C::OtherNumber].contains(&category),
        Kind::Special => special.contains(&category),
    }
}

#[test]
fn zoomph_by_category_and_at_the_boundary() {
    for policy in [PasswordPolicy::zoomph_consumer(), PasswordPolicy::zoomph_staff()] {
        let unmet = |text| unmet(&policy, text, &Attributes::none());
        assert_eq!(unmet("Xk7#vq9"), [Unmet::TooShort(8)]);
        assert_eq!(unmet("Xk7#vq9w"), []);
        // Cyrillic capital, Arabic-Indic digit, euro sign.
        assert_eq!(unmet("Жвпрдлч٣€"), []);
        assert_eq!(unmet("xk7#vq9w"), [Unmet::Missing(Kind::Upper)]);
        assert_eq!(unmet("Xkz#vqjw"), [Unmet::Missing(Kind::Number)]);
        assert_eq!(unmet("Xk7zvq9w"), [Unmet::Missing(Kind::Special)]);
    }
    let staff = PasswordPolicy::zoomph_staff();
    assert!(staff.requires(Kind::Letter) && staff.requires(Kind::Number));
    let eight_marks = "e\u{301}".repeat(8);
    assert!(!unmet(&staff, &eight_marks, &Attributes::none()).contains(&Unmet::TooShort(8)));
    let long = "Xk7#vq9w".chars().chain(('\u{4e00}'..).take(64)).collect::<String>();
    assert_eq!(unmet(&staff, &long, &Attributes::none()), []);
}

#[test]
fn the_byte_cap_holds_before_and_after_normalisation() {
    assert!(Password::new("x".repeat(1024)).is_ok());
    assert!(Password::new("x".repeat(1025)).is_err());
    // Longer in parts than composed, and still the same password.
    let composed = "\u{390}".repeat(512);
    let parts: String = unicode_normalization::UnicodeNormalization::nfd(&*composed).collect();
    assert_eq!((composed.len(), parts.len()), (1024, 3072));
    assert!(Password::new(composed).is_ok() && Password::new(parts.clone()).is_ok());
    assert!(Password::new(format!("{parts}\u{301}")).is_err());
    // U+1D160 composes to three code points: twelve bytes of four.
    assert!(Password::new("\u{1d160}".repeat(85)).is_ok());
    assert!(Password::new("\u{1d160}".repeat(86)).is_err());
}

#[test]
fn composed_and_decomposed_forms_verify() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let record = common::record(&pool, "Zürich\u{2126}");
    for text in ["Zürich\u{2126}", "Zu\u{308}rich\u{2126}", "Zürich\u{3a9}"] {
        let verified = pool.verify(common::charged(1), &password(text), record.clone(), martha());
        assert_eq!(matched(verified.wait()), Some(Standing::Chosen), "{text}");
    }
    // Nothing else is folded: case, width, blanks.
    for text in ["zürich\u{3a9}", "Zürich\u{3a9} ", "Zurich\u{3a9}", "Zürich"] {
        let verified = pool.verify(common::charged(1), &password(text), record.clone(), martha());
        assert_eq!(matched(verified.wait()), None, "{text}");
    }
}

#[test]
fn unassigned_is_refused_at_enrolment_only() {
    let text = "Xk7#vq9w\u{378}";
    let policy = PasswordPolicy::zoomph_consumer();
    assert_eq!(unmet(&policy, text, &Attributes::none()), [Unmet::Unassigned(8)]);
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let initial = pool.hash_initial(&password(text), martha()).wait().unwrap();
    let verified =
        pool.verify(common::charged(1), &password(text), initial.as_record().clone(), martha());
    assert_eq!(matched(verified.wait()), Some(Standing::MustChange));
}

/// Made by argon2-cffi 25.1.0: `PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)` of the
/// decomposed and of the composed text, with the salt `saltsaltsaltsalt`.
#[test]
fn records_enrolled_elsewhere_verify_as_typed_or_normalised() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let (typed, composed) = ("Zu\u{308}rich 8", "Zürich 8");
    let raw = include_str!("data/raw.txt");
    let mut lines = raw.lines();
    let of_typed = Record::import(lines.next().unwrap(), Standing::Chosen).unwrap();
    let of_composed = Record::import(lines.next().unwrap(), Standing::Chosen).unwrap();
    let verify = |text: &str, record: &Record| {
        matched(pool.verify(common::charged(1), &password(text), record.clone(), martha()).wait())
    };
    assert_eq!(verify(typed, &of_typed), Some(Standing::Chosen));
    assert_eq!(verify(typed, &of_composed), Some(Standing::Chosen));
    assert_eq!(verify(composed, &of_composed), Some(Standing::Chosen));
    assert_eq!(verify(composed, &of_typed), None);
    // The fallback is for flagged records only: one of our own text is never compared raw.
    let ours: Record = of_typed.to_string().replace(":raw:", ":nfc:").parse().unwrap();
    assert_eq!(verify(typed, &ours), None);
    // A second run is for what was typed otherwise than normalised.
    let runs = |text| {
        let before = pool.work().runs;
        assert_eq!(verify(text, &of_typed), None);
        pool.work().runs - before
    };
    assert_eq!([runs("wrong"), runs("wro\u{308}ng")], [1, 2]);
}

#[test]
fn a_short_list_is_said_to_be_short() {
    let at = |min| PasswordPolicy::builder().min_length(min).build().unwrap().deficit();
    assert_eq!(at(8), None);
    assert!(CommonPasswords::at_least(9) >= 3_000);
    assert_eq!(at(9), None);
    assert_eq!(at(10), Some(Deficit { min_length: 10, entries: 1_557 }));
    assert_eq!(at(65), Some(Deficit { min_length: 65, entries: 0 }));
    let deficit = PasswordPolicy::vouchsafe().deficit().unwrap();
    assert_eq!((deficit.min_length, deficit.entries), (15, 41));
    let off = PasswordPolicy::builder().refuse_common(false).build().unwrap();
    assert_eq!(off.deficit(), Some(Deficit { min_length: 8, entries: 0 }));
}

#[test]
fn the_examples() {
    let martha = Attributes::none().with("Martha").with("Luisa").with("Tannhof").with("acme");
    let zoomph = PasswordPolicy::zoomph_consumer();
    let vouchsafe = PasswordPolicy::vouchsafe();
    let of = |policy, text| unmet(policy, text, &martha);

    let missing = [Unmet::Missing(Kind::Number), Unmet::Missing(Kind::Special)];
    let mut expected = missing.to_vec();
    expected.push(Unmet::Personal);
    assert_eq!(of(&zoomph, "MarthaLuisaTannhof"), expected);
    assert_eq!(of(&vouchsafe, "MarthaLuisaTannhof"), [Unmet::Personal]);

    assert_eq!(of(&vouchsafe, "passwordpassword"), [Unmet::Common(Guessable::Listed)]);
    assert!(of(&zoomph, "passwordpassword").contains(&Unmet::Common(Guessable::Listed)));

    assert_eq!(of(&zoomph, "Qwertz123!"), [Unmet::Common(Guessable::Walk)]);
    let both = [Unmet::TooShort(15), Unmet::Common(Guessable::Walk)];
    assert_eq!(of(&vouchsafe, "Qwertz123!"), both);

    assert_eq!(of(&zoomph, "Acme2026!"), [Unmet::Personal]);
    assert_eq!(of(&vouchsafe, "Acme2026!"), [Unmet::TooShort(15), Unmet::Personal]);
    // On another site it is nobody's word.
    assert_eq!(unmet(&zoomph, "Acme2026!", &Attributes::none().with("other")), []);

    assert_eq!(of(&vouchsafe, "correct horse battery staple"), []);
    let refused = [Unmet::Missing(Kind::Upper), Unmet::Missing(Kind::Number)];
    assert_eq!(of(&zoomph, "correct horse battery staple"), refused);
}

#[test]
fn habits_are_seen_through_and_phrases_are_not() {
    let policy = PasswordPolicy::builder().min_length(4).build().unwrap();
    let attributes = Attributes::none().with("martha.tannhof@acme.example");
    let habit = |text| unmet(&policy, text, &attributes);
    for (text, kind) in [
        ("IloveYou", Guessable::Listed),
        ("TannhoTannho", Guessable::Repeated),
        ("abcabcabcabc", Guessable::Repeated),
        ("trustno1trustno1trustno1", Guessable::Repeated),
        ("6yhn8ik2wsx4rfv", Guessable::Walk),
        ("lkjhgfdsapoiuz", Guessable::Walk),
        ("abcdefghi9876543", Guessable::Walk),
        ("--Dragon--2026", Guessable::Padded),
        ("!!asdfgh!!", Guessable::Padded),
    ] {
        let found = habit(text);
        if text == "TannhoTannho" {
            assert_eq!(found, [], "an unlisted piece of six is no habit");
        } else {
            assert_eq!(found, [Unmet::Common(kind)], "{text}");
        }
    }
    for text in
        ["tannhof-martha-acme", "AcmePassword1", "martha.tannhof@acme.example", "Tannhof1987"]
    {
        assert!(habit(text).contains(&Unmet::Personal), "{text}");
    }
    // Nine digits around a word are more than padding; a name inside a phrase is only a part.
    for text in ["dragon837465920", "martha buys seven green kettles", "my password is a good one"]
    {
        assert_eq!(habit(text), [], "{text}");
    }
}

#[test]
fn texts_and_codes_tell_rules_apart_and_no_secret() {
    let martha = Attributes::none().with("Tannhof");
    let all = PasswordPolicy::zoomph_staff().check(&password("tannhof"), &martha).unwrap_err();
    let codes: Vec<_> = all.iter().map(|unmet| unmet.code()).collect();
    let expected = ["min_length", "upper_case", "number", "special", "personal"]
        .map(|c| format!("password.{c}"));
    assert_eq!(codes, expected);
    assert!(all.iter().all(|unmet| !unmet.to_string().contains("tannhof")));
    assert!(!format!("{martha:?}{:?}", password("tannhof")).to_lowercase().contains("tannhof"));
}

#[test]
fn a_policy_says_what_it_refuses() {
    for (common, personal) in [(true, false), (false, true)] {
        let builder = PasswordPolicy::builder().refuse_common(common).refuse_personal(personal);
        let policy = builder.build().unwrap();
        assert_eq!((policy.refuses_common(), policy.refuses_personal()), (common, personal));
    }
}

#[test]
fn habits_end_where_they_are_said_to() {
    let policy = PasswordPolicy::builder().min_length(1).build().unwrap();
    let attributes = Attributes::none().with("tannhof").with("qzx").with("vk").with("w.j-m");
    for (text, expected) in [
        // At most eight digits, signs or spaces around it.
        ("dragon83746592", Some(Guessable::Padded)),
        ("8374dragon6592", Some(Guessable::Padded)),
        ("dragon837465920", None),
        // A core of three characters, and of two.
        ("##asd##", Some(Guessable::Padded)),
        ("##as##", None),
        // A piece of four characters, and of five.
        ("x7kpx7kp", Some(Guessable::Repeated)),
        ("x7kpzx7kpz", None),
        ("x7kpx7kpx", None),
        ("éé", Some(Guessable::Repeated)),
        // Runs of three, and of two.
        ("asd7k", Some(Guessable::Walk)),
        ("asd7kp", None),
        ("k7asdp", None),
        ("k7asd", Some(Guessable::Walk)),
        ("asdlkjoiu", Some(Guessable::Walk)),
        ("as7kl9we", None),
        ("k7", None),
    ] {
        let expected: Vec<_> = expected.map(Unmet::Common).into_iter().collect();
        assert_eq!(unmet(&policy, text, &attributes), expected, "{text}");
    }
    for (text, personal) in [
        ("tannhof83746592", true),
        ("tannhof837465920", false),
        ("tannhofx", false),
        ("tannhofpassword", true),
        ("83746592", false),
        // Words of three characters, and of two; what points and hyphens divide is one, too.
        ("qzx83", true),
        ("vk83", false),
        ("wjm83", true),
    ] {
        let expected = if personal { vec![Unmet::Personal] } else { Vec::new() };
        assert_eq!(unmet(&policy, text, &attributes), expected, "{text}");
    }
}
