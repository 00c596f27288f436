//! AL-1: every field that somebody's list demands is in every record, and in its export.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use proptest::prelude::*;
use vouchsafe_access_log::Record;

/// The demands, each with the keys of the export that answer it: one of them must have a value.
/// The tenant's demand is our own: a record belongs to somebody.
const DEMANDS: [(&str, &[&str]); 20] = [
    ("Amigo 1.4: date and time", &["time"]),
    ("Amigo 1.4: user", &["actor_id", "claimed", "actor"]),
    ("Amigo 1.4: URL or entity", &["url", "entity_id"]),
    ("Amigo 1.4: operation", &["operation"]),
    ("Amigo 1.4: source address, unless unavailable", &["address", "source_unavailable"]),
    ("PCI DSS 4.0.1, 10.2.2: user identification", &["actor_id", "claimed", "actor"]),
    ("PCI DSS 4.0.1, 10.2.2: type of event", &["operation"]),
    ("PCI DSS 4.0.1, 10.2.2: date and time", &["time"]),
    ("PCI DSS 4.0.1, 10.2.2: success or failure", &["outcome"]),
    ("PCI DSS 4.0.1, 10.2.2: origination", &["address", "source_unavailable"]),
    ("PCI DSS 4.0.1, 10.2.2: affected data, component or resource", &["url", "entity"]),
    ("NIST AU-3 a: what type of event", &["operation"]),
    ("NIST AU-3 b: when", &["time"]),
    ("NIST AU-3 c: where", &["application"]),
    ("NIST AU-3 d: source", &["address", "source_unavailable"]),
    ("NIST AU-3 e: outcome", &["outcome"]),
    ("NIST AU-3 f: identity", &["actor_id", "claimed", "actor"]),
    ("ASVS 16.2.1: when, where, who, what", &["application"]),
    ("OCSF 6003: actor, api operation, src_endpoint", &["source"]),
    ("tenant", &["tenant"]),
];

proptest! {
    #[test]
    fn every_list_is_covered(record in common::record()) {
        let json: serde_json::Value = serde_json::from_str(&record.to_json(None)).unwrap();

        let text = Record::csv_header() + &record.to_csv(None);
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        prop_assert_eq!(csv.records().count(), 1);
        for (demand, keys) in DEMANDS {
            prop_assert!(
                keys.iter().any(|key| json.get(key).and_then(|v| v.as_str()).is_some_and(|v| !v.is_empty())),
                "{demand}: {json}"
            );
        }
    }
}
