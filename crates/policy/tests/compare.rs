//! Each single weakening is caught, no strengthening is flagged, and each witness is shown by the
//! engine it is about.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::{edited, every_witness_shows, with};
use vouchsafe_core::{Comparison, Order};
use vouchsafe_policy::{Policy, PolicyError, Verdict, Witness, compare};

/// One changed field.
type Change = (String, String);

/// Zoomph's, with a hash that leaves room downwards and limits on links that leave it upwards.
fn baseline() -> Policy {
    let mut policy = Policy::preset("zoomph-2018").unwrap();
    for class in ["client", "consumer", "staff"] {
        policy = with(&policy, &format!("class.{class}.hash.memory"), "\"64 MiB\"");
        policy = with(&policy, &format!("class.{class}.hash.passes"), "3");
        policy = with(&policy, &format!("class.{class}.links.activation"), "\"12h\"");
        policy = with(&policy, &format!("class.{class}.links.resend_floor"), "\"10min\"");
        policy = with(&policy, &format!("class.{class}.envelope.symmetric_bits"), "192");
    }
    policy
}

/// Every value of every field, for each class.
fn for_each_class(fields: &[(&str, &[&str])]) -> Vec<Change> {
    let mut changes = Vec::new();
    for class in ["client", "consumer", "staff"] {
        for (field, values) in fields {
            let path = format!("class.{class}.{field}");
            changes.extend(values.iter().map(|value| (path.clone(), (*value).to_owned())));
        }
    }
    changes
}

fn limits(limits: &[&str]) -> Vec<Change> {
    limits.iter().map(|limit| ("lockout.limits".to_owned(), format!("[{limit}]"))).collect()
}

fn operations_without(policy: &Policy, operation: &str) -> String {
    let all = policy.values()["class.staff.retention.operations"].to_string();
    let rest = all.split(" and ").filter(|name| *name != operation);
    format!("[{}]", rest.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "))
}

fn weakenings() -> Vec<Change> {
    let without = ["created", "updated", "deleted", "locked"]
        .map(|operation| operations_without(&baseline(), operation));
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    let mut changes = limits(&[
        "{ failures = 6, window = '24h' }",
        "{ failures = 10, window = '24h' }",
        "{ failures = 64, window = '24h' }",
        "{ failures = 5, window = '23h' }",
        "{ failures = 5, window = '1h' }",
        "{ failures = 5, window = '86399999ms' }",
        "{ failures = 5, window = '24h', lock_on = 'exceeding' }",
        "{ failures = 5, window = '15min' }",
        "{ failures = 5, window = '1s' }",
    ]);
    changes.push(("lockout.on_success".to_owned(), "\"older-failures\"".to_owned()));
    changes.extend(for_each_class(&[
        ("password.min_length", &["7", "5", "4"]),
        ("password.max_length", &["255", "64", "12", "8"]),
        ("password.require_upper", &["false"]),
        ("password.require_number", &["false"]),
        ("password.require_special", &["false"]),
        ("password.refuse_common", &["false"]),
        ("password.refuse_personal", &["false"]),
        ("hash.memory", &["\"63 MiB\"", "\"19 MiB\""]),
        ("hash.passes", &["2", "1"]),
        ("session.idle", &["\"1800001ms\"", "\"1h\"", "\"12h\""]),
        ("session.absolute", &["\"43200001ms\"", "\"400d\"", "\"none\""]),
        ("session.max_sessions", &["11", "64"]),
        ("links.activation", &["\"13h\"", "\"24h\""]),
        ("links.reset", &["\"61min\"", "\"24h\""]),
        ("links.unlock", &["\"61min\""]),
        ("links.resend_floor", &["\"599s\"", "\"5min\""]),
        ("retention.keep_at_least", &["\"29d\"", "\"1ms\""]),
        ("retention.erase_by", &["\"91d\"", "\"none\""]),
        ("retention.optional_fields", &["[\"address\", \"claimed\", \"clause\", \"policy\"]"]),
        ("retention.operations", &without),
        ("envelope.at_rest", &["false"]),
        ("envelope.symmetric_bits", &["191", "128", "80"]),
        ("envelope.weakest_key", &["\"P-224\"", "\"RSA-2048\"", "\"RSA-3071\"", "\"RSA-1024\""]),
    ]));
    changes
}

fn strengthenings() -> Vec<Change> {
    let mut changes = limits(&[
        "{ failures = 4, window = '24h' }",
        "{ failures = 1, window = '24h' }",
        "{ failures = 5, window = '25h' }",
        "{ failures = 5, window = '366d' }",
        "{ failures = 5, window = '24h', release = '48h' }",
        "{ failures = 5, window = '24h', release = 'admin' }",
        "{ failures = 5, window = '24h' }, { failures = 3, window = '1h' }",
    ]);
    changes.extend(for_each_class(&[
        ("password.min_length", &["9", "15", "64"]),
        ("hash.memory", &["\"65 MiB\"", "\"1 GiB\""]),
        ("hash.passes", &["4", "64"]),
        ("session.idle", &["\"1799999ms\"", "\"5min\""]),
        ("session.absolute", &["\"11h\"", "\"30min\""]),
        ("session.max_sessions", &["9", "1"]),
        ("links.activation", &["\"11h\"", "\"1min\""]),
        ("links.reset", &["\"59min\""]),
        ("links.unlock", &["\"5min\""]),
        ("links.email_change", &["\"23h\""]),
        ("links.resend_floor", &["\"601s\"", "\"24h\""]),
        ("retention.keep_at_least", &["\"31d\"", "\"90d\""]),
        ("retention.erase_by", &["\"89d\"", "\"30d\""]),
        ("retention.optional_fields", &["[\"address\"]", "[]"]),
        ("envelope.symmetric_bits", &["193", "256"]),
        ("envelope.weakest_key", &["\"P-384\"", "\"RSA-3073\"", "\"Curve448\"", "\"RSA-16384\""]),
    ]));
    changes
}

#[test]
fn every_weakening_is_caught_and_shown() {
    let baseline = baseline();
    let changes = weakenings();
    assert!(changes.len() >= 50, "{}", changes.len());
    for (path, value) in changes {
        let candidate = with(&baseline, &path, &value);
        let report = compare(&candidate, &baseline);
        assert_eq!(report.verdict(), Verdict::Weaker, "{path} = {value}");
        let [finding] = report.weaker() else { panic!("{path} = {value}: {report:?}") };
        let changed: Vec<_> = finding.changed().iter().map(|c| c.path.as_str()).collect();
        assert_eq!(changed, [path.as_str()]);
        assert!(finding.changed()[0].clause.is_some(), "{path} names its promise");
        every_witness_shows(&candidate, &baseline);
        assert_ne!(candidate.digest(), baseline.digest());
    }
}

#[test]
fn no_strengthening_is_flagged() {
    let baseline = baseline();
    let changes = strengthenings();
    assert!(changes.len() >= 50, "{}", changes.len());
    for (path, value) in changes {
        let candidate = with(&baseline, &path, &value);
        let report = compare(&candidate, &baseline);
        assert_eq!(report.verdict(), Verdict::NoWeaker, "{path} = {value}: {report:?}");
        // It is a strengthening, so the way back is a weakening, and the engine shows it.
        assert_eq!(report.stronger().len(), 1, "{path} = {value}");
        every_witness_shows(&candidate, &baseline);
    }
}

#[test]
fn the_presets_compare_with_witnesses_that_show() {
    for one in Policy::PRESETS {
        for other in Policy::PRESETS {
            let (one, other) = (Policy::preset(one).unwrap(), Policy::preset(other).unwrap());
            every_witness_shows(&one, &other);
            assert_eq!(one.weakening(&other).is_none(), compare(&one, &other).weaker().is_empty());
        }
    }
    let (ours, zoomph) = (preset("vouchsafe"), preset("zoomph-2018"));
    // Ours demands no kind of character, Zoomph's no fifteen characters.
    assert_eq!(compare(&ours, &zoomph).verdict(), Verdict::Incomparable);
}

fn preset(name: &str) -> Policy {
    Policy::preset(name).unwrap()
}

#[track_caller]
fn weaker_with(path: &str, value: &str) -> Witness {
    let baseline = baseline();
    let candidate = with(&baseline, path, value);
    every_witness_shows(&candidate, &baseline);
    let report = compare(&candidate, &baseline);
    report.weaker().first().expect("weaker").witness().clone()
}

#[test]
fn three_an_hour_is_weaker_than_five_a_day() {
    let witness = weaker_with("lockout.limits", "[{ failures = 3, window = '1h' }]");
    // Four at once are stopped, so it is not weaker in every respect; six in a day are not.
    let Witness::Lockout(attempts) = witness else { panic!("{witness:?}") };
    assert_eq!(attempts.attempts().len(), 6);
}

#[test]
fn a_maximum_of_eight_is_weaker_than_one_of_sixty_four() {
    let sixty_four = with(&baseline(), "class.staff.password.max_length", "64");
    let eight = with(&sixty_four, "class.staff.password.max_length", "8");
    every_witness_shows(&eight, &sixty_four);
    let report = compare(&eight, &sixty_four);
    assert_eq!(report.verdict(), Verdict::Weaker);
    let Witness::Password(witness) = report.weaker()[0].witness() else { panic!() };
    assert_eq!(witness.password().chars().count(), 64, "a long passphrase is refused");
}

#[test]
fn rsa_2048_is_below_p_256() {
    let p256 = with(&baseline(), "class.staff.envelope.weakest_key", "\"P-256\"");
    let rsa = with(&p256, "class.staff.envelope.weakest_key", "\"RSA-2048\"");
    assert_eq!(compare(&rsa, &p256).verdict(), Verdict::Weaker);
    assert_eq!(compare(&p256, &rsa).verdict(), Verdict::NoWeaker);
    every_witness_shows(&rsa, &p256);
    let rsa = with(&p256, "class.staff.envelope.weakest_key", "\"RSA-3072\"");
    assert_eq!(rsa.digest(), p256.digest(), "the same floor is the same policy");
}

#[test]
fn an_idle_limit_without_an_absolute_one_is_weaker() {
    let text = edited(&baseline(), "class.staff.session.absolute", "\"none\"");
    let short = text.replace(
        "[class.staff.session]\nidle = \"30 min\"",
        "[class.staff.session]\nidle = \"10 min\"",
    );
    assert_ne!(text, short);
    let candidate = Policy::parse(&short, "short.toml").unwrap();
    let report = compare(&candidate, &baseline());
    assert_eq!(
        report.verdict(),
        Verdict::Incomparable,
        "a shorter idle limit does not make up for it"
    );
    assert_eq!(report.weaker()[0].section(), "class.staff.session");
    every_witness_shows(&candidate, &baseline());
}

#[test]
fn a_field_that_may_be_missing_is_weaker() {
    let fields = "[\"address\", \"claimed\", \"clause\", \"policy\"]";
    let witness = weaker_with("class.client.retention.optional_fields", fields);
    assert_eq!(witness.to_string(), "a record without `policy` is accepted");
}

#[test]
fn more_memory_with_fewer_passes_is_incomparable_unless_known_to_be_equal() {
    let hash = |memory: &str, passes: &str| {
        let policy = with(&baseline(), "class.staff.hash.memory", memory);
        with(&policy, "class.staff.hash.passes", passes)
    };
    let (wide, deep) = (hash("\"64 MiB\"", "1"), hash("\"19 MiB\"", "4"));
    assert_eq!(compare(&wide, &deep).verdict(), Verdict::Incomparable);
    every_witness_shows(&wide, &deep);
    let equals = [hash("\"46 MiB\"", "1"), hash("\"19 MiB\"", "2"), hash("\"12 MiB\"", "3")];
    for one in &equals {
        for other in &equals {
            assert_eq!(compare(one, other).verdict(), Verdict::NoWeaker);
        }
    }
}

#[test]
fn keeping_longer_than_the_limit_is_weaker() {
    let witness = weaker_with("class.consumer.retention.erase_by", "\"120d\"");
    assert_eq!(witness.to_string(), "a record 7776000 s old may still be kept");
    // Keeping longer within the limit is stronger, keeping for ever is not.
    let longer = with(&baseline(), "class.consumer.retention.keep_at_least", "\"60d\"");
    assert_eq!(compare(&longer, &baseline()).verdict(), Verdict::NoWeaker);
}

#[test]
fn locking_after_nothing_is_refused_and_not_stricter() {
    let text = edited(&baseline(), "lockout.limits", "[{ failures = 0, window = '24h' }]");
    let Err(PolicyError::Invalid(problems)) = Policy::parse(&text, "zero.toml") else { panic!() };
    assert_eq!(problems.list().len(), 1);
    assert_eq!(problems.list()[0].path(), "lockout.limits[0]");
}

#[test]
fn a_class_without_a_rule_is_weaker() {
    let text = baseline().to_toml().replace("class.consumer.", "class.visitor.");
    let candidate = Policy::parse(&text, "classes.toml").unwrap();
    let report = compare(&candidate, &baseline());
    assert_eq!(report.weaker()[0].witness(), &Witness::NoClass("consumer".to_owned()));
    assert_eq!(report.stronger()[0].witness(), &Witness::NoClass("visitor".to_owned()));
    every_witness_shows(&candidate, &baseline());
}

#[test]
fn what_one_rule_implies_is_not_missed_nor_flagged() {
    // A capital letter is a letter: demanding one as well changes nothing (Z7.5 and Z7.2).
    let without = with(&baseline(), "class.staff.password.require_letter", "false");
    assert_eq!(without.digest(), baseline().digest());
    // Once the capital letter is given up, the letter is still demanded, and can be given up.
    let letter = with(&baseline(), "class.staff.password.require_upper", "false");
    let bare = with(&letter, "class.staff.password.require_letter", "false");
    assert_eq!(compare(&bare, &letter).verdict(), Verdict::Weaker);
    every_witness_shows(&bare, &letter);
    every_witness_shows(&letter, &baseline());
}

#[test]
fn the_core_order_gives_the_same_answer() {
    let weak = with(&baseline(), "class.staff.session.idle", "\"1h\"");
    let Comparison::Weaker(finding) = vouchsafe_core::compare(&weak, &baseline()) else { panic!() };
    assert_eq!(finding.section(), "class.staff.session");
    let text = finding.to_string();
    assert!(text.ends_with("idle 30 min -> 1 h (Z7.7)"), "{text}");
}
