//! PO-3: each change of a single field to the weaker is caught, none to the stronger is flagged, and
//! each witness is shown by the engine it is about.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{every_witness_shows, with};
use vouchsafe_access_log::Field;
use vouchsafe_policy::{Policy, Value, Verdict, compare};

/// The least number of changes of each kind, over the sections that PO-3 is about.
const LEAST: usize = 500;
const COUNTED: [&str; 5] = ["lockout", "session", "password", "retention", "envelope"];

/// A change of one field, and the policy it changes.
struct Change<'a> {
    section: &'static str,
    baseline: &'a Policy,
    path: String,
    value: String,
}

/// A preset whose fields leave room both ways, and each with one lockout limit.
fn roomy(preset: &str) -> Policy {
    let mut policy = Policy::preset(preset).unwrap();
    let classes: Vec<String> = policy.classes().map(|(name, _)| name.to_owned()).collect();
    for class in classes {
        let operations = policy.values()[&format!("class.{class}.retention.operations")].clone();
        let Value::List(operations) = operations else { panic!() };
        for (field, value) in [
            ("hash.memory", "\"64 MiB\""),
            ("hash.passes", "3"),
            ("links.activation", "\"12h\""),
            ("links.reset", "\"30min\""),
            ("links.unlock", "\"30min\""),
            ("links.email_change", "\"12h\""),
            ("links.resend_floor", "\"1h\""),
            ("password.max_length", "128"),
            ("envelope.symmetric_bits", "192"),
            ("retention.operations", &list(operations.iter().skip(3))),
        ] {
            policy = with(&policy, &format!("class.{class}.{field}"), value);
        }
    }
    policy
}

fn list<T: ToString>(words: impl Iterator<Item = T>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{}\"", word.to_string())).collect();
    format!("[{}]", words.join(", "))
}

/// Numbers around one that differ from it, down to `least` and up to `most`: next to it, at some
/// distance, and the bounds themselves.
fn around(value: u64, least: u64, most: u64, steps: &[u64]) -> [Vec<u64>; 2] {
    assert!(least < value && value < most, "{least} < {value} < {most}");
    let below = steps.iter().map(|step| value.saturating_sub(*step));
    let above = steps.iter().map(|step| value.saturating_add(*step));
    let below: BTreeSet<u64> =
        below.chain([value / 2, value * 3 / 4, least]).map(|v| v.max(least)).collect();
    let above: BTreeSet<u64> =
        above.chain([value * 2, value * 5 / 4, most]).map(|v| v.min(most)).collect();
    [
        below.into_iter().filter(|v| *v != value).collect(),
        above.into_iter().filter(|v| *v != value).collect(),
    ]
}

/// Values of one field: the weaker ones, and the stronger ones.
type Values = [Vec<String>; 2];

/// What makes a field weaker.
#[derive(Clone, Copy, PartialEq)]
enum Weaker {
    Less,
    More,
}

fn ordered([below, above]: [Vec<u64>; 2], weaker: Weaker, print: impl Fn(u64) -> String) -> Values {
    let (weaker, stronger) = if weaker == Weaker::Less { (below, above) } else { (above, below) };
    [weaker, stronger].map(|values| values.into_iter().map(&print).collect())
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Every field of a class that is compared, with its other values.
fn fields(policy: &Policy, class: &str) -> Vec<(&'static str, &'static str, Values)> {
    let all = policy.values();
    let value = |field: &str| &all[&format!("class.{class}.{field}")];
    let millis = |field: &str| match value(field) {
        Value::Duration(duration) => duration.as_millis() as u64,
        other => panic!("{field}: {other}"),
    };
    let duration = |field: &str, least, most, weaker| {
        let near = around(millis(field), least, most, &[1, 2, 1_000, MINUTE]);
        ordered(near, weaker, |millis| format!("\"{millis}ms\""))
    };
    let count = |field: &str, least, most, weaker| {
        let Value::Count(count) = value(field) else { panic!("{field}") };
        let near = around(u64::from(*count), least, most, &[1, 2, 3, 5]);
        ordered(near, weaker, |count| count.to_string())
    };
    let Value::Count(min) = *value("password.min_length") else { panic!() };
    let words = |field: &str| match value(field) {
        Value::List(words) => words.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
        other => panic!("{field}: {other}"),
    };
    let one_less = |words: &BTreeSet<String>| -> Vec<String> {
        let without = |word: &String| list(words.iter().filter(|other| *other != word));
        words.iter().map(without).collect()
    };
    let one_more = |words: &BTreeSet<String>, known: &[&str]| -> Vec<String> {
        let new = known.iter().filter(|word| !words.contains(**word));
        new.map(|word| list(words.iter().map(String::as_str).chain([*word]))).collect()
    };
    let none = |mut values: Values| {
        values[0].push("\"none\"".to_owned());
        values
    };
    let texts = |weaker: &[&str], stronger: &[&str]| {
        [weaker, stronger].map(|values| values.iter().map(|v| format!("\"{v}\"")).collect())
    };

    let optional = words("retention.optional_fields");
    let operations = words("retention.operations");
    let known: Vec<&str> = Field::ALL.iter().map(|field| field.as_str()).collect();
    let recorded: Vec<&str> =
        vouchsafe_access_log::Operation::ALL.iter().map(|operation| operation.as_str()).collect();
    let (idle, absolute) = (millis("session.idle"), millis("session.absolute"));
    let (keep, erase) = (millis("retention.keep_at_least"), millis("retention.erase_by"));
    let (less, more) = (Weaker::Less, Weaker::More);
    let mut fields = vec![
        ("session", "idle", duration("session.idle", 2 * MINUTE, absolute, more)),
        ("session", "absolute", none(duration("session.absolute", idle, 400 * DAY, more))),
        ("session", "max_sessions", count("session.max_sessions", 1, 64, more)),
        ("session", "at_cap", texts(&["refuse"], &[])),
        ("password", "min_length", count("password.min_length", 4, 64, less)),
        ("password", "max_length", count("password.max_length", min.max(8).into(), 256, less)),
        // The least of each preset.
        ("password", "remember", [vec![], ["1", "4", "24"].map(str::to_owned).to_vec()]),
        ("retention", "keep_at_least", duration("retention.keep_at_least", 1, erase, less)),
        ("retention", "erase_by", none(duration("retention.erase_by", keep, 3_650 * DAY, more))),
        ("retention", "optional_fields", [one_more(&optional, &known), one_less(&optional)]),
        ("retention", "operations", [one_less(&operations), one_more(&operations, &recorded)]),
        ("envelope", "symmetric_bits", count("envelope.symmetric_bits", 80, 256, less)),
        (
            "envelope",
            "weakest_key",
            texts(
                &["P-224", "RSA-1024", "RSA-1536", "RSA-2047", "RSA-2049", "RSA-3071"],
                &["RSA-3073", "RSA-4096", "Curve448", "P-384", "P-521", "RSA-16384"],
            ),
        ),
        ("hash", "passes", count("hash.passes", 1, 16, less)),
        ("hash", "memory", texts(&["63 MiB", "65535 KiB", "19 MiB"], &["65537 KiB", "1 GiB"])),
        ("links", "activation", duration("links.activation", MINUTE, DAY, more)),
        ("links", "reset", duration("links.reset", MINUTE, DAY, more)),
        ("links", "unlock", duration("links.unlock", MINUTE, DAY, more)),
        ("links", "email_change", duration("links.email_change", MINUTE, DAY, more)),
        ("links", "resend_floor", duration("links.resend_floor", 5 * MINUTE, DAY, less)),
    ];
    for (section, field) in [
        ("password", "require_letter"),
        ("password", "require_upper"),
        ("password", "require_number"),
        ("password", "require_special"),
        ("password", "refuse_common"),
        ("password", "refuse_personal"),
        ("password", "refuse_breached"),
        ("envelope", "at_rest"),
    ] {
        // A capital letter is a letter: where one is required, the other changes nothing.
        let implied = *value("password.require_upper") == Value::Flag(true);
        if field == "require_letter" && implied {
            continue;
        }
        let is_on = *value(&format!("{section}.{field}")) == Value::Flag(true);
        let off_and_on = [vec!["false".to_owned()], vec!["true".to_owned()]];
        let [off, on] = off_and_on;
        fields.push((section, field, if is_on { [off, vec![]] } else { [vec![], on] }));
    }
    fields
}

/// One limit, and other limits in its place.
fn lockouts() -> Vec<(String, Values)> {
    let limit = |failures: u64, window: u64, more: &str| {
        format!("{{ failures = {failures}, window = '{window}ms'{more} }}")
    };
    let mut all = Vec::new();
    for failures in [1_u64, 2, 5, 10, 30] {
        for window in [15 * MINUTE, HOUR, DAY, 30 * DAY] {
            let own = limit(failures, window, "");
            // Exceeding N is one more than N.
            let weaker = vec![
                limit(failures * 2 + 2, window, ""),
                limit(failures, window - 1, ""),
                limit(failures, window / 2, ""),
                limit(failures, window, ", lock_on = 'exceeding'"),
                limit(64, window, ""),
            ];
            let twice = window * 2;
            let mut stronger = vec![
                limit(failures, window + 1, ""),
                limit(failures, twice, ""),
                limit(failures, window, &format!(", release = '{twice}ms'")),
                limit(failures, window, ", release = 'admin'"),
            ];
            if failures > 1 {
                stronger.push(limit(failures - 1, window, ""));
                stronger.push(format!("{own}, {}", limit(failures + 1, twice, "")));
                stronger.push(format!("{own}, {}", limit(failures - 1, window / 3, "")));
            }
            let values = [weaker, stronger].map(|v| v.iter().map(|l| format!("[{l}]")).collect());
            all.push((format!("[{own}]"), values));
        }
    }
    all
}

/// Some fields of the lockout, of which the last gets other values.
fn counters() -> Vec<(Vec<(&'static str, &'static str)>, Values)> {
    let table = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let down = "when_store_is_down";
    let two = "{ counters = 2 }";
    let run = "{ disable_at = 40, devices_only_from = 30, memory = '90d' }";
    let devices = [
        table(&["{ counters = 4 }", "{ counters = 8 }"]),
        table(&["{ counters = 1 }", "\"none\""]),
    ];
    let runs = |weaker: &[&str], stronger: &[&str]| {
        let run = |numbers: &&str| {
            let keys = ["disable_at", "devices_only_from", "memory"];
            let values = numbers.split(' ').zip(keys);
            let values: Vec<_> = values.map(|(value, key)| format!("{key} = {value}")).collect();
            format!("{{ {} }}", values.join(", "))
        };
        [weaker, stronger].map(|values| values.iter().map(run).collect::<Vec<_>>())
    };
    let mut known = runs(
        &["41 30 '90d'", "40 31 '90d'", "100 30 '90d'", "40 30 '89d'", "40 30 '1h'", "80 60 '90d'"],
        &["39 30 '90d'", "40 29 '90d'", "40 1 '90d'", "40 30 '91d'", "40 30 '366d'", "1 1 '90d'"],
    );
    known[0].push("\"none\"".to_owned());
    let strangers = runs(&["41 41 '90d'", "100 90 '90d'"], &["39 39 '90d'", "40 40 '100d'"]);
    let repeats = [table(&["4", "20"]), table(&["2", "0"])];
    let degraded = |failures: u32, window: &str| {
        format!("{{ degraded = {{ failures = {failures}, window = '{window}' }} }}")
    };
    let open = || "\"open\"".to_owned();
    let stricter = vec![degraded(2, "24h"), degraded(3, "30h"), "\"refuse\"".to_owned()];
    let outages = [vec![degraded(4, "24h"), degraded(3, "1h"), open()], stricter];
    let from_refusal = [vec![degraded(1, "366d"), degraded(64, "1s"), open()], vec![]];
    let from_open = [vec![], vec![degraded(64, "1s"), degraded(1, "24h")]];
    let may = |weaker: &[&str], stronger: &[&str]| {
        [weaker, stronger].map(|words| words.iter().map(|word| format!("\"{word}\"")).collect())
    };
    vec![
        (vec![("devices", two)], devices),
        (vec![("devices", two), ("repeats", "3")], repeats.clone()),
        (vec![("repeats", "3")], repeats),
        (vec![("devices", two), ("consecutive", run)], known),
        (vec![("consecutive", "{ disable_at = 40 }")], strangers),
        (vec![(down, "{ degraded = { failures = 3, window = '24h' } }")], outages),
        (vec![(down, "\"refuse\"")], from_refusal),
        (vec![(down, "\"open\"")], from_open),
        (vec![("may_roll_back", "\"nothing\"")], may(&["counters", "everything"], &[])),
        (vec![("may_roll_back", "\"counters\"")], may(&["everything"], &["nothing"])),
        (vec![("may_roll_back", "\"everything\"")], may(&[], &["nothing", "counters"])),
    ]
}

/// Every change of each kind, over the presets, their classes, and a score of lockout limits.
fn for_each_change(weaker: bool, mut check: impl FnMut(&Policy, &Change<'_>)) {
    let presets: Vec<Policy> = Policy::PRESETS.iter().map(|name| roomy(name)).collect();
    let kind = usize::from(!weaker);
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut one = |change: Change<'_>| {
        let candidate = with(change.baseline, &change.path, &change.value);
        let pair = (change.baseline.digest().to_string(), candidate.digest().to_string());
        assert_ne!(pair.0, pair.1, "{} = {} changes nothing", change.path, change.value);
        assert!(seen.insert(pair), "{} = {} is there twice", change.path, change.value);
        check(&candidate, &change);
        *counts.entry(change.section).or_default() += 1;
    };
    for baseline in &presets {
        for (class, _) in baseline.classes() {
            for (section, field, mut values) in fields(baseline, class) {
                let path = format!("class.{class}.{section}.{field}");
                for value in std::mem::take(&mut values[kind]) {
                    one(Change { section, baseline, path: path.clone(), value });
                }
            }
        }
    }
    let path = "lockout.limits".to_owned();
    for (own, mut values) in lockouts() {
        let baseline = &with(&presets[1], &path, &own);
        for value in std::mem::take(&mut values[kind]) {
            one(Change { section: "lockout", baseline, path: path.clone(), value });
        }
        if weaker && !own.contains("failures = 1,") {
            let (path, value) = ("lockout.on_success".to_owned(), "\"older-failures\"".to_owned());
            one(Change { section: "lockout", baseline, path, value });
        }
    }
    for (fields, mut others) in counters() {
        let mut baseline = presets[1].clone();
        let mut path = String::new();
        for (field, value) in fields {
            path = format!("lockout.{field}");
            baseline = with(&baseline, &path, value);
        }
        for value in std::mem::take(&mut others[kind]) {
            one(Change { section: "lockout", baseline: &baseline, path: path.clone(), value });
        }
    }
    let counted: usize = COUNTED.iter().map(|section| counts[section]).sum();
    let what = if weaker { "weakenings, each caught" } else { "strengthenings, none flagged" };
    println!("{counted} {what}, over {COUNTED:?}; by section: {counts:?}");
    assert!(counted >= LEAST, "{counted}");
}

#[test]
fn every_weakening_is_caught_and_shown() {
    for_each_change(true, |candidate, Change { baseline, path, value, .. }| {
        let report = compare(candidate, baseline);
        assert_eq!(report.verdict(), Verdict::Weaker, "{path} = {value}: {report:?}");
        let [finding] = report.weaker() else { panic!("{path} = {value}: {report:?}") };
        let changed: Vec<_> = finding.changed().iter().map(|c| c.path.as_str()).collect();
        assert_eq!(changed, [path.as_str()]);
        assert!(finding.changed()[0].clause.is_some(), "{path} names its promise");
        every_witness_shows(candidate, baseline);
    });
}

#[test]
fn no_strengthening_is_flagged() {
    for_each_change(false, |candidate, Change { baseline, path, value, .. }| {
        let report = compare(candidate, baseline);
        assert_eq!(report.verdict(), Verdict::NoWeaker, "{path} = {value}: {report:?}");
        // It is a strengthening, so the way back is a weakening, and the engine shows it.
        assert_eq!(report.stronger().len(), 1, "{path} = {value}");
        every_witness_shows(candidate, baseline);
    });
}
