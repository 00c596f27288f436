//! Documents that cannot stand: every problem, at its place, in one pass, and never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{document, edited};
use proptest::prelude::*;
use vouchsafe_lockout::{Consecutive, Devices, Limit, MayRollBack, Outage};
use vouchsafe_policy::{Policy, PolicyError, Problems};
use vouchsafe_testkit::runs;

fn problems(text: &str) -> Problems {
    match Policy::parse(text, "policy.toml") {
        Err(PolicyError::Invalid(problems)) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_wrong_is_said_at_once_and_where() {
    let text = include_str!("data/broken.toml");
    let expected = include_str!("data/broken.txt");
    let found = problems(text).to_string();
    if std::env::var_os("VOUCHSAFE_BLESS").is_some() {
        std::fs::write("tests/data/broken.txt", format!("{found}\n")).unwrap();
    }
    assert_eq!(format!("{found}\n"), expected, "VOUCHSAFE_BLESS=1 writes it anew");
}

#[test]
fn a_minimal_document_stands_on_defaults() {
    let text = document("lockout.limits = [{ failures = 5, window = '24h' }]\n[class.staff]\n");
    let policy = Policy::parse(&text, "policy.toml").unwrap();
    assert_eq!(policy.class("staff").unwrap().password().min_length(), 15);
    assert!(policy.unclaimed().contains(&"class.staff.password.min_length".to_owned()));
    assert!(policy.clause_for("class.staff.password.min_length").is_none());
    let error = policy.class("visitor").unwrap_err();
    assert!(matches!(&error, PolicyError::UnknownClass(name) if name == "visitor"), "{error}");
}

#[test]
fn a_class_is_laid_over_what_holds_for_all() {
    let text = document(
        "lockout.limits = [{ failures = 5, window = '24h' }]\n\
         [password]\nmin_length = 10\nmax_length = 64\n\
         [class.staff.password]\nmin_length = 12\n[class.client]\n",
    );
    let policy = Policy::parse(&text, "policy.toml").unwrap();
    let lengths = |class: &str| {
        let password = policy.class(class).unwrap().password().clone();
        (password.min_length(), password.max_length())
    };
    assert_eq!(lengths("staff"), (12, 64));
    assert_eq!(lengths("client"), (10, 64));
}

#[test]
fn counters_are_none_unless_asked_for() {
    let read = |lines: &str| {
        let limits = "[lockout]\nlimits = [{ failures = 5, window = '24h' }]\n";
        let text = document(&format!("{limits}{lines}[class.staff]\n"));
        let policy = Policy::parse(&text, "policy.toml").unwrap();
        assert_eq!(Policy::parse(&policy.to_toml(), "again.toml").unwrap(), policy);
        policy.lockout().clone()
    };
    for silent in ["", "devices = 'none'\nconsecutive = 'none'\nrepeats = 0\n"] {
        let policy = read(silent);
        assert_eq!((policy.devices(), policy.consecutive(), policy.repeats()), (None, None, 0));
    }
    let policy = read("devices = {}\nconsecutive = {}\n");
    assert_eq!(policy.devices(), Some(Devices::default()));
    assert_eq!(policy.consecutive(), Some(Consecutive::default()));
    let policy =
        read("devices = { counters = 8 }\nconsecutive = { disable_at = 50 }\nrepeats = 20\n");
    assert_eq!(policy.devices(), Some(Devices { counters: 8, ..Devices::default() }));
    let rule = Consecutive { disable_at: 50, devices_only_from: 50, ..Consecutive::default() };
    assert_eq!((policy.consecutive(), policy.repeats()), (Some(rule), 20));
    // In all, and in a day: five on each of nine counters; and no more than fifty in a row.
    assert_eq!(policy.guess_budget(Duration::from_secs(86_400)), 45);
    assert_eq!(policy.guess_budget(Duration::from_secs(2 * 86_400)), 50);

    let says = |line: &str, place: (u32, &str, &str)| {
        let text = document(&format!(
            "[lockout]\nlimits = [{{ failures = 5, window = '24h' }}]\n{line}\n[class.staff]\n"
        ));
        let found = problems(&text);
        let [problem] = found.list() else { panic!("{found}") };
        let found = (problem.column(), problem.path(), problem.message());
        assert!(problem.line() == 6 && found == place, "{problem:?}");
    };
    let down = "when_store_is_down = { degraded = { failures = 2, window = '1h' } }\n";
    let policy = read(&format!("{down}may_roll_back = 'counters'\n"));
    let hour = Duration::from_secs(3_600);
    let degraded = Outage::FailDegraded { failures: 2, window: hour };
    assert_eq!(policy.when_store_is_down(), degraded);
    assert_eq!(policy.degraded().unwrap().limits(), [Limit::new(2, hour)]);
    assert_eq!(policy.may_roll_back(), MayRollBack::Counters);
    assert_eq!(read("when_store_is_down = 'open'\n").when_store_is_down(), Outage::FailOpen);
    assert_eq!(read("").when_store_is_down(), Outage::Refuse);
    assert_eq!(read("").may_roll_back(), MayRollBack::Nothing);

    let none = "expected a table, or \"none\"";
    says("devices = 4", (11, "lockout.devices", none));
    says("consecutive = 'never'", (15, "lockout.consecutive", none));
    says(
        "devices = { valid_for = '1h', counters = 5 }",
        (42, "lockout.devices.counters", "5 device counters: 1, 2, 4 or 8 are allowed"),
    );
    says(
        "consecutive = { disable_at = 10, devices_only_from = 11 }",
        (
            15,
            "lockout.consecutive",
            "consecutive failures disable at 1 to 100, strangers no later than devices",
        ),
    );
    says(
        "when_store_is_down = 'wait'",
        (22, "lockout.when_store_is_down", "expected a table, or \"refuse\", or \"open\""),
    );
    says("when_store_is_down = {}", (22, "lockout.when_store_is_down", "`degraded` is missing"));
    says(
        "when_store_is_down = { degraded = { failures = 0, window = '1h' } }",
        (
            35,
            "lockout.when_store_is_down.degraded",
            "while the store is down, 1 to 64 failures in 1s to 31622400s",
        ),
    );
    says(
        "when_store_is_down = { degraded = { failures = 2 } }",
        (35, "lockout.when_store_is_down.degraded", "`window` is missing"),
    );
    says("repeats = 21", (11, "lockout.repeats", "at most 20 repeats may be forgiven"));
}

#[test]
fn a_problem_shared_by_classes_is_said_once() {
    let text = document(
        "lockout.limits = [{ failures = 5, window = '24h' }]\n\
         [session]\nidle = 30\n[class.a]\n[class.b]\n[class.c]\n",
    );
    let found = problems(&text);
    assert_eq!(found.list().len(), 1, "{found}");
    let problem = &found.list()[0];
    assert_eq!((problem.line(), problem.column(), problem.path()), (6, 8, "session.idle"));
    assert!(problem.message().contains("found an integer"), "{problem:?}");
}

#[test]
fn the_first_syntax_error_is_placed_and_not_quoted() {
    let found = problems("schema = 1\nname = \"hunter2-secret\ntitle = 'x'\n");
    assert_eq!(found.list().len(), 1);
    assert_eq!(found.list()[0].line(), 2);
    assert!(!found.to_string().contains("hunter2"), "{found}");
}

#[test]
fn values_are_never_repeated() {
    let text = document(
        "effective = 'hunter2'\nsupersedes = 'hunter2'\n\
         lockout.limits = [{ failures = 'hunter2', window = 'hunter2', release = 'hunter2' }]\n\
         [class.staff]\nsession.idle = 'hunter2'\npassword.min_length = 'hunter2'\n\
         envelope.weakest_key = 'hunter2'\nretention.operations = ['hunter2']\n\
         [[promise]]\nid = 'hunter2'\ntext = 'x'\nkinds = ['hunter2']\nrests_on = ['hunter2']\n\
         claim = { subject = 'HUNTER2', action = 'a', object = 'b', modality = 'hunter2' }\n\
         [[promise]]\nid = 'hunter2'\n[[promise]]\nid = 'hunter 2'\n",
    );
    let found = problems(&text);
    assert!(found.list().len() >= 14, "{found}");
    assert!(!found.to_string().to_lowercase().contains("hunter"), "{found}");
}

/// The wrong file was given, and a secret stands in it: as a key, a name, a value, a comment, or
/// anywhere else, within text that is TOML and text that is not.
#[test]
fn a_secret_is_not_repeated_wherever_it_stands() {
    let broken = include_str!("data/broken.toml");
    let sound = document(
        "lockout.limits = [{ failures = 5, window = '24h' }]\n[session]\nidle = '30min'\n\
         [class.staff.session]\nidle = '20min'\n[[promise]]\nid = 'P1'\ntext = 'x'\n\
         kinds = ['enforced']\nrests_on = ['session.idle']\n\
         claim = { subject = 'a', action = 'b', object = 'c', modality = 'must' }\n",
    );
    assert!(Policy::parse(&sound, "sound.toml").is_ok());
    let (mut tried, mut refused) = (0, 0);
    for text in [broken, &sound] {
        for at in (0..=text.len()).step_by(runs(3, 1)) {
            for put in [
                "Hunter_2",
                "\nHunter_2 = 1\n",
                "\nHunter_2 = 1\nHunter_2 = 2\n",
                "\n[Hunter_2]\n",
                "\n[class.Hunter_2]\n",
                "\nlockout.Hunter_2.Hunter_2 = 'Hunter_2'\n",
                ".Hunter_2",
                "\"Hunter_2\"",
            ] {
                tried += 1;
                let text = format!("{}{put}{}", &text[..at], &text[at..]);
                if let Err(error) = Policy::parse(&text, "policy.toml") {
                    refused += 1;
                    let shown = format!("{error} {error:?}");
                    assert!(!shown.contains("Hunter"), "{error}\n{text}");
                }
            }
        }
    }
    println!("{tried} documents, {refused} refused, none of them quoted");
    assert!(refused > 3_000, "{refused} of {tried}");
}

#[test]
fn size_nesting_promises_and_classes_are_bounded() {
    let says = |text: &str, what: &str| {
        let found = problems(text);
        assert!(found.list().iter().any(|p| p.message().contains(what)), "{found}");
    };
    let ok = Policy::preset("zoomph-2018").unwrap().to_toml();
    let fill = |bytes: usize| format!("{ok}#{}", "x".repeat(bytes - ok.len() - 1));
    assert!(Policy::parse(&fill(Policy::MAX_BYTES), "full.toml").is_ok());
    says(&fill(Policy::MAX_BYTES + 1), "at most 1048576 bytes");

    let nested =
        |depth: usize| document(&format!("x = {}{}\n", "[".repeat(depth), "]".repeat(depth)));
    says(&nested(Policy::MAX_NESTING), "unknown key");
    says(&nested(Policy::MAX_NESTING + 1), "nest at most 64 deep");
    says(&nested(100_000), "not TOML: ");
    says(&document(&format!("{}a = 1\n", "a.".repeat(70))), "nest at most 64 deep");
    says(&document(&format!("{}a = 1\n", "a.".repeat(400_000))), "not TOML: ");
    says(&document(&format!("[{}a]\n", "a.".repeat(70))), "nest at most 64 deep");
    says(&document(&"[[a.b]]\n".repeat(50_000)), "unknown key");

    says(&document(&"[[promise]]\n".repeat(Policy::MAX_PROMISES + 1)), "at most 10000 entries");
    let classes: String = (0..=Policy::MAX_CLASSES).map(|n| format!("[class.c{n}]\n")).collect();
    says(&document(&classes), "at most 64 user classes");
}

#[test]
fn a_flood_of_problems_is_bounded() {
    let keys: String = (0..50_000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(problems(&document(&keys)).list().len(), 1_000);
}

#[test]
fn files_that_are_not_text_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let error = Policy::load(dir.path().join("none.toml")).unwrap_err();
    assert!(matches!(error, PolicyError::Unreadable { .. }), "{error}");
    let path = dir.path().join("binary.toml");
    std::fs::write(&path, b"schema = 1\nname = \xff\n").unwrap();
    let Err(PolicyError::Invalid(found)) = Policy::load(&path) else { panic!() };
    assert_eq!((found.list()[0].line(), found.list()[0].column()), (2, 8));
    // Two-byte characters across the limit: too long, not "not UTF-8".
    std::fs::write(&path, format!("#{}", "é".repeat(Policy::MAX_BYTES))).unwrap();
    let Err(PolicyError::Invalid(found)) = Policy::load(&path) else { panic!() };
    assert!(found.to_string().contains("at most 1048576 bytes"), "{found}");
    assert!(matches!(Policy::preset("nobody").unwrap_err(), PolicyError::UnknownPreset));
}

#[test]
fn the_digest_is_of_what_is_said_and_not_how() {
    let policy = Policy::preset("amigo").unwrap();
    let again = Policy::parse(&policy.to_toml(), "again.toml").unwrap();
    assert_eq!(again, policy, "parse(print(p)) == p");
    let one = document(
        "lockout = { limits = [{ failures = 5, window = '24h' }] }\n\
         [class.staff]\nsession.idle = '30min'\nsession.absolute = '12h'\n[class.client]\n",
    );
    let other = "# A comment\n\n[class.client]\n[class.staff.session]\n  absolute = '720 min'\n\
                 idle = \"1800s\"\n[lockout]\non_success = 'own-charge'\n\
                 limits = [\n  { window = '1d', failures = 5 }, # five\n]\n[hash]\nmemory = '19 MiB'\n";
    let other = format!("title = 'A test'\nschema = 1\nname = 'test'\n{other}");
    let digests = [&one, &other].map(|text| Policy::parse(text, "x").unwrap().digest());
    assert_eq!(digests[0], digests[1]);
    let changed = one.replace("30min", "31min");
    assert_ne!(Policy::parse(&changed, "x").unwrap().digest(), digests[0]);
    let renamed = one.replace("A test", "Another");
    assert_ne!(Policy::parse(&renamed, "x").unwrap().digest(), digests[0]);
}

#[test]
fn every_preset_prints_and_reads_back() {
    for name in Policy::PRESETS {
        let policy = Policy::preset(name).unwrap();
        assert_eq!(Policy::parse(&policy.to_toml(), name).unwrap(), policy, "{name}");
        assert_eq!(policy.name(), name);
    }
}

/// Pieces that a document is made of, and some that it is not.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "schema = 1",
        "name",
        "title",
        "[class.staff]",
        "[class",
        "]",
        "[[promise]]",
        "[lockout]",
        "limits",
        "=",
        "{",
        "}",
        "[",
        "\"24h\"",
        "'",
        "\"",
        "\\",
        "\n",
        ".",
        ",",
        "#",
        "5",
        "-1",
        "1e999",
        "true",
        "9999-99-99",
        "2018-04-09",
        "é",
        "\u{0}",
        "\u{202e}",
        "[session]\nidle = ",
        "claim = { subject = 'a' }",
        "rests_on = ['guarantee:']",
        "[class.staff.hash]\nmemory=",
        "'18446744073709551615d'",
        "'19 MiB'",
    ];
    prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs(3_000, 1_000_000) as u32))]

    /// Whatever is given, the loader answers, and its problems have places inside the text.
    #[test]
    fn nothing_makes_the_loader_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.join(" ");
        if let Err(PolicyError::Invalid(found)) = Policy::parse(&text, "x") {
            prop_assert!(!found.list().is_empty());
            let lines = text.lines().count() as u32 + 1;
            prop_assert!(found.list().iter().all(|p| p.line() <= lines.max(1)));
        }
    }

    /// A preset with a piece of it replaced is read or refused, never half read.
    #[test]
    fn a_damaged_preset_is_refused_or_prints_back(at in 0_usize..30_000, cut in 0_usize..40, put in piece()) {
        let text = include_str!("../presets/zoomph-2018.toml");
        let from = text.floor_char_boundary(at.min(text.len()));
        let to = text.floor_char_boundary((from + cut).min(text.len()));
        let damaged = format!("{}{put}{}", &text[..from], &text[to..]);
        if let Ok(policy) = Policy::parse(&damaged, "x") {
            prop_assert_eq!(Policy::parse(&policy.to_toml(), "x").unwrap(), policy);
        }
    }
}

#[test]
fn editing_the_canonical_form_reaches_the_field() {
    let policy = Policy::preset("zoomph-2018").unwrap();
    let text = edited(&policy, "class.staff.session.idle", "\"29 min\"");
    let changed = Policy::parse(&text, "x").unwrap();
    assert_eq!(changed.values()["class.staff.session.idle"].to_string(), "29 min");
    assert_eq!(changed.values()["class.client.session.idle"].to_string(), "30 min");
}
