//! Both source documents are complete, and the table in the docs is theirs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::collections::BTreeSet;

use vouchsafe_policy::{Kind, Policy, PolicyError, Substance, Support, Verdict, compare, join};

/// Every statement of the two documents and how it is kept: e enforced, h host, v evidence,
/// o organisational, `-` no promise. Kept apart from the presets, to find a row lost or changed.
const AMIGO: &str = "A0.1 oh A0.2 e A1.1 eh A1.2 eh A1.3 e A1.4 eh A1.4a e A1.4b e A1.4c e A1.4d e \
    A1.4e eh A1.5 e A1.6 eh A1.7 o A1.8 ev A1.9 ev A2.1 eh A2.2 h A2.3 e A2.4 eh A3.1 oe A3.2 eh \
    A4.1 v A4.2 ve A5.1 hv A5.2 eh A5.3 eh A6.1 h A6.2 eh A6.3 eh A7.1 e A7.2 e A8.1 oe A8.2 eh \
    A8.3 o A9.0 -";
const ZOOMPH: &str = "Z0.1 e Z0.2 o Z0.3 o Z0.4 - Z1.1 h Z1.2 h Z1.3 oh Z1.4 eh Z1.5 eh Z1.6 oh \
    Z1.7 eh Z2.1 ve Z2.2 v Z2.3 vh Z2.4 eh Z2.5 ev Z3.1 v Z3.2 h Z3.3 he Z3.4 h Z3.5 o Z3.6 eh \
    Z3.7 e Z3.8 e Z3.9 eh Z4.1 eh Z4.2 eh Z4.3 eh Z4.4 eh Z4.5 v Z4.6 vh Z5.1 ve Z5.2 vh Z5.3 ev \
    Z5.4 e Z6.1 o Z6.2 o Z6.3 o Z6.4 eo Z6.5 eh Z6.6 ho Z6.7 ov Z6.8 v Z7.1 e Z7.2 e Z7.3 h Z7.4 e \
    Z7.5 e Z7.6 eh Z7.7 e Z7.8 eh Z7.9 h Z7.10 ho Z7.11 e Z8.1 ve Z8.2 o Z8.3 o Z8.4 o Z8.5 eo \
    Z8.6 oe Z9.1 v Z9.2 ve Z9.3 v Z9.4 v Z9.5 v Z9.6 v Z9.7 v Z9.8 vh Z9.9 eh Z9.10 eh Z10.1 eo \
    Z10.2 o Z10.3 o";

fn rows(list: &str) -> Vec<(&str, BTreeSet<Kind>)> {
    let words: Vec<_> = list.split_whitespace().collect();
    let kind = |letter| match letter {
        'e' => Some(Kind::Enforced),
        'h' => Some(Kind::Host),
        'v' => Some(Kind::Evidence),
        'o' => Some(Kind::Organisational),
        _ => None,
    };
    words.chunks(2).map(|row| (row[0], row[1].chars().filter_map(kind).collect())).collect()
}

#[test]
fn every_statement_is_there_with_its_kinds() {
    let mut promises = 0;
    let mut others = 0;
    for (name, list) in [("amigo", AMIGO), ("zoomph-2018", ZOOMPH)] {
        let policy = Policy::preset(name).unwrap();
        let expected = rows(list);
        let found: Vec<_> =
            policy.promises().iter().map(|p| (p.id().as_str(), p.kinds().collect())).collect();
        assert_eq!(found, expected, "{name}");
        for promise in policy.promises() {
            match promise.substance() {
                Substance::Promise { .. } => {
                    promises += 1;
                    assert!(!promise.rests_on().is_empty(), "{} is unassigned", promise.id());
                }
                Substance::NoPromise { reason } => {
                    others += 1;
                    assert!(!reason.is_empty() && promise.rests_on().is_empty());
                }
            }
        }
    }
    assert_eq!((promises, others), (107, 2));
}

#[test]
fn every_value_in_force_can_name_its_promise() {
    for name in Policy::PRESETS {
        let policy = Policy::preset(name).unwrap();
        assert_eq!(policy.unclaimed(), Vec::<String>::new(), "{name}");
    }
    let zoomph = Policy::preset("zoomph-2018").unwrap();
    let clause = |path: &str| zoomph.clause_for(path).map(ToString::to_string);
    assert_eq!(clause("lockout.limits").as_deref(), Some("Z7.6"));
    assert_eq!(clause("class.client.session.idle").as_deref(), Some("Z7.7"));
    assert_eq!(clause("session.absolute").as_deref(), Some("Z7.7-idle"));
    assert_eq!(clause("class.staff.password.require_letter").as_deref(), Some("Z7.5"));
    assert_eq!(clause("class.staff.password.min_length").as_deref(), Some("Z7.1"));
    assert_eq!(clause("nothing.at_all"), None);
}

#[test]
fn the_numbers_of_the_sources_are_in_force() {
    let zoomph = Policy::preset("zoomph-2018").unwrap();
    let values = zoomph.values();
    let value = |path: &str| values[path].to_string();
    assert_eq!(
        value("lockout.limits"),
        "failures 5, window 1 d, lock_on nth, release window-slides"
    );
    assert_eq!(zoomph.effective().map(|date| date.to_string()).as_deref(), Some("2018-04-09"));
    for class in ["client", "consumer", "staff"] {
        assert_eq!(value(&format!("class.{class}.session.idle")), "30 min");
        assert_eq!(value(&format!("class.{class}.password.min_length")), "8");
        for kind in ["upper", "number", "special"] {
            assert_eq!(value(&format!("class.{class}.password.require_{kind}")), "yes");
        }
    }
    let client = |policy: &Policy| policy.class("client").unwrap().clone();
    let staff = zoomph.class("staff").unwrap();
    assert_eq!(&client(&zoomph), staff, "client users stand under the rules for staff");
    let amigo = Policy::preset("amigo").unwrap();
    let kept = client(&amigo).retention().keep_at_least();
    assert_eq!(kept, std::time::Duration::from_secs(30 * 86_400));
    assert_eq!(client(&amigo).envelope().symmetric_bits(), 128);
    assert_eq!(amigo.effective(), None);
}

#[test]
fn a_tenant_of_both_is_owed_both() {
    let [amigo, zoomph] = ["amigo", "zoomph-2018"].map(|name| Policy::preset(name).unwrap());
    let both = join(&amigo, [&zoomph]).unwrap();
    for one in [&amigo, &zoomph] {
        assert_eq!(compare(&both, one).verdict(), Verdict::NoWeaker);
        assert_eq!(compare(one, &both).verdict(), Verdict::Weaker);
    }
    assert_eq!(both.promises().len(), 109);
    let staff = both.class("staff").unwrap();
    assert_eq!(staff.password().min_length(), 15);
    assert!(staff.password().requires(vouchsafe_password::Kind::Special));
    let clause = |path: &str| both.clause_for(path).map(ToString::to_string);
    // Each value is traced to the document it came from.
    assert_eq!(clause("class.staff.password.min_length").as_deref(), Some("A2.1-password"));
    assert_eq!(clause("class.staff.password.require_special").as_deref(), Some("Z7.2"));
    assert_eq!(clause("class.staff.session.idle").as_deref(), Some("Z7.7"));
    assert_eq!(clause("class.staff.retention.keep_at_least").as_deref(), Some("A1.8"));
    assert_eq!(clause("class.staff.retention.erase_by").as_deref(), Some("Z6.5-erasure"));
    let again = join(&zoomph, [&amigo]).unwrap();
    assert_eq!(compare(&both, &again).verdict(), Verdict::NoWeaker);
    assert_eq!(both.name(), again.name());
    assert_eq!(join(&both, [&amigo, &zoomph, &both]).unwrap().values(), both.values());
}

#[test]
fn contracts_that_contradict_each_other_are_refused_with_the_reason() {
    let zoomph = Policy::preset("zoomph-2018").unwrap();
    let text = zoomph.to_toml().replace(
        "keep_at_least = \"30 d\"\nerase_by = \"90 d\"",
        "keep_at_least = \"180 d\"\nerase_by = \"365 d\"",
    );
    let longer = Policy::parse(&text, "longer.toml").unwrap();
    let Err(PolicyError::Contradiction(found)) = join(&zoomph, [&longer]) else { panic!() };
    assert_eq!(found.section(), "class.client.retention");
    assert!(found.reason().contains("15552000 s and be gone after 7776000 s"), "{found}");
}

#[test]
fn the_table_in_the_docs_is_up_to_date() {
    let output = common::run_example(&["promises", "--markdown"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/promises.md");
    let table = String::from_utf8(output.stdout).unwrap();
    if std::env::var_os("VOUCHSAFE_BLESS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == table, "docs/promises.md: VOUCHSAFE_BLESS=1 writes it anew");
    for row in rows(AMIGO).iter().chain(&rows(ZOOMPH)) {
        assert!(table.contains(&format!("\n| {} | ", row.0)), "{}", row.0);
    }
}

/// A guarantee that a promise rests on, of a crate that has said what it guarantees, is one of
/// those, or is known to come later.
#[test]
fn guarantees_are_named_by_their_kind() {
    let known = ["AL", "CO", "EN", "FA", "LG", "LK", "PO", "PW", "SE", "ST"];
    for name in Policy::PRESETS {
        for promise in Policy::preset(name).unwrap().promises() {
            for support in promise.rests_on() {
                if let Support::Guarantee(id) = support {
                    let (area, number) = id.split_once('-').expect(id);
                    assert!(known.contains(&area) && number.parse::<u8>().is_ok(), "{id}");
                }
            }
        }
    }
}
