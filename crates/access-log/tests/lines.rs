//! AL-3: N records, N lines, and everything comes back.
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

use proptest::prelude::*;
use serde_json::Value;
use vouchsafe_access_log::{Actor, Record, Target, Text, name};
use vouchsafe_core::{Source, TenantId};
use vouchsafe_testkit::runs;

fn config() -> ProptestConfig {
    let cases = runs(300, 20_000) as u32;
    // Some texts are no ids: how many there are grows with the cases.
    ProptestConfig { max_local_rejects: u32::MAX, ..ProptestConfig::with_cases(cases) }
}

fn id_of(record: &Record) -> Option<String> {
    match &record.actor {
        Actor::User(user) => Some(user.as_str().to_owned()),
        Actor::Service(name) => Some(name.as_str().to_owned()),
        Actor::Unauthenticated { .. } => None,
    }
}

fn address_of(record: &Record) -> Option<String> {
    record.source.address().map(|address| address.ip().to_string())
}

/// What ends a line anywhere: in a file, a terminal, a browser, a spreadsheet.
fn breaks_a_line(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\x0b' | '\x0c' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn check_json(records: &[Record]) {
    let export: String =
        records.iter().enumerate().map(|(at, r)| r.to_json(Some(at as u64)) + "\n").collect();
    assert_eq!(export.chars().filter(|c| breaks_a_line(*c)).count(), records.len());
    for (at, (line, record)) in export.lines().zip(records).enumerate() {
        assert!(!line.chars().any(char::is_control));
        let json: Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["index"], at as u64);
        assert_eq!(json["tenant"], record.tenant.as_str());
        assert_eq!(json["actor_id"].as_str().map(str::to_owned), id_of(record));
        assert_eq!(json["operation"], record.operation.as_str());
        assert_eq!(json["time"], record.time.to_string());
        assert_eq!(json["address"].as_str().map(str::to_owned), address_of(record));
        match &record.target {
            Target::Entity { kind, id } => {
                assert_eq!(json["entity"], kind.as_str());
                let shown = Text::from_escaped(json["entity_id"].as_str().unwrap()).unwrap();
                assert_eq!(shown.original(), id.original());
            }
            Target::Url(url) => {
                assert_eq!(json["url"], url.template().as_str());
                let query: Vec<(String, String)> =
                    serde_json::from_value(json["query"].clone()).unwrap();
                let kept = url.query().iter().map(|(k, v)| (k.to_string(), v.to_string()));
                assert_eq!(query, kept.collect::<Vec<_>>());
            }
        }
    }
}

fn check_csv(records: &[Record]) {
    let mut export = Record::csv_header();
    records.iter().enumerate().for_each(|(at, r)| export.push_str(&r.to_csv(Some(at as u64))));
    // With the header; every line ends in CR LF, and none has either elsewhere.
    assert_eq!(export.matches("\r\n").count(), records.len() + 1);
    assert_eq!(export.matches(['\r', '\n']).count(), 2 * (records.len() + 1));
    let mut reader = csv::Reader::from_reader(export.as_bytes());
    let header = reader.headers().unwrap().clone();
    let mut read = 0;
    for (row, record) in reader.records().zip(records) {
        let row = row.unwrap();
        let cell = |name: &str| {
            let at = header.iter().position(|column| column == name).unwrap();
            let formula = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
            assert!(!row[at].starts_with(formula), "{name}: {}", &row[at]);
            row[at].strip_prefix('\'').unwrap_or(&row[at]).to_owned()
        };
        assert_eq!(cell("tenant"), record.tenant.as_str());
        if let Some(id) = id_of(record) {
            assert_eq!(cell("actor_id"), id);
        }
        assert_eq!(cell("operation"), record.operation.as_str());
        assert_eq!(cell("address"), address_of(record).unwrap_or_default());
        assert_eq!(
            cell("source").split(':').next().unwrap(),
            match record.source {
                Source::Direct(_) => "direct",
                Source::Forwarded { .. } => "forwarded",
                Source::Unavailable(_) => "unavailable",
            }
        );
        match &record.target {
            Target::Entity { id, .. } => {
                let shown = Text::from_escaped(&cell("entity_id")).unwrap();
                assert_eq!(shown.original(), id.original());
            }
            Target::Url(url) => {
                assert_eq!(cell("url"), url.template().as_str());
                let query = cell("query");
                let pairs: Vec<(&str, &str)> =
                    query.split('&').filter_map(|pair| pair.split_once('=')).collect();
                let kept = url.query().iter().map(|(k, v)| (k.as_str(), v.as_str()));
                assert_eq!(pairs, kept.collect::<Vec<_>>());
            }
        }
        read += 1;
    }
    assert_eq!(read, records.len());
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn n_records_are_n_lines(records in prop::collection::vec(common::record(), 1..8)) {
        check_json(&records);
        check_csv(&records);
    }
}

/// Every character there is, at the start of a cell and inside it (CWE-117, CSV formulas). The
/// ordinary run takes all up to U+3000 and one in eleven above.
#[test]
fn all_of_unicode() {
    let template = sample();
    let mut records = Vec::new();
    let taken = |c: &char| {
        *c < '\u{3000}' || *c == char::MAX || u32::from(*c).is_multiple_of(runs(11, 1) as u32)
    };
    for character in ('\0'..=char::MAX).filter(taken) {
        let mut record = template.clone();
        let id = Text::new(&format!("{character}x{character}")).unwrap();
        record.target = Target::Entity { kind: name!("note"), id };
        records.push(record);
        if records.len() == 4096 || character == char::MAX {
            check_json(&records);
            check_csv(&records);
            records.clear();
        }
    }
}

#[test]
fn forged_lines_stay_one_line() {
    let mut record = sample();
    let forged = "7\r\n{\"index\":0,\"actor\":\"root\"}\n\"0\",\"=cmd|' /C calc'!A0\"\x1b[2J";
    record.target = Target::entity(name!("note"), forged).unwrap();
    check_json(std::slice::from_ref(&record));
    check_csv(std::slice::from_ref(&record));
    assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
}

fn sample() -> Record {
    Record { tenant: TenantId::new("=acme").unwrap(), ..common::bare() }
}
