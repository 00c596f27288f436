//! The command line, by running it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use serde_json::Value;

/// Status, output and errors.
fn policy(args: &[&str]) -> (i32, String, String) {
    let output = common::run_example(args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_says_what_is_in_force_and_by_which_promise() {
    let (status, out, _) = policy(&["check", "zoomph-2018"]);
    assert_eq!(status, 0);
    let line = out.lines().find(|line| line.starts_with("class.staff.session.idle")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[1..], ["Z7.7", "30", "min"]);
    let (status, out, _) = policy(&["check", "zoomph-2018", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &json["values"]["lockout.limits"]["clause"]), (0, &"Z7.6".into()));
}

#[test]
fn a_broken_document_is_bad_input_with_every_problem() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/broken.toml");
    let (status, out, err) = policy(&["check", file]);
    assert_eq!((status, out.as_str()), (2, ""));
    let expected = include_str!("data/broken.txt").replace("policy.toml:", &format!("{file}:"));
    assert_eq!(err, expected);
    let (status, out, _) = policy(&["check", file, "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, json["problems"].as_array().unwrap().len()), (2, expected.lines().count()));
}

#[test]
fn a_weaker_document_has_a_status_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weaker.toml");
    let zoomph = vouchsafe_policy::Policy::preset("zoomph-2018").unwrap().to_toml();
    std::fs::write(&file, zoomph.replacen("idle = \"30 min\"", "idle = \"45 min\"", 1)).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(policy(&["check", file]).0, 0, "it stands on its own");
    let (status, out, _) = policy(&["check", file, "--baseline", "zoomph-2018"]);
    assert_eq!(status, 1);
    assert!(out.starts_with("zoomph-2018 against zoomph-2018: weaker\n"), "{out}");
    assert!(out.contains("still accepted") && out.contains("Z7.7"), "{out}");
    assert_eq!(
        policy(&["compare", "zoomph-2018", file]).0,
        0,
        "the other way round it is stronger"
    );
    let (status, out, _) = policy(&["compare", file, "zoomph-2018", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &json["verdict"]), (1, &"weaker".into()));
    assert_eq!(json["weaker"][0]["changed"][0]["to"], "45 min");
    let (status, out, _) = policy(&["compare", "vouchsafe", "zoomph-2018"]);
    assert_eq!(status, 1);
    assert!(out.starts_with("vouchsafe against zoomph-2018: incomparable\n"), "{out}");
}

#[test]
fn promises_lists_all_of_them() {
    let (status, out, _) = policy(&["promises", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    let count = |at: usize| json[at]["promises"].as_array().unwrap().len();
    assert_eq!((status, count(0), count(1)), (0, 36, 73));
    let (_, out, _) = policy(&["promises", "amigo"]);
    assert!(out.lines().any(|line| line.starts_with("A7.2 ")), "{out}");
}

#[test]
fn nonsense_is_bad_input() {
    for args in [&[][..], &["chekc"], &["check"], &["check", "no-such-file.toml"], &["--loud"]] {
        let (status, out, err) = policy(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args:?}");
        assert!(!err.is_empty());
    }
    assert_eq!(policy(&["--help"]).0, 0);
}
