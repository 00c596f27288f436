//! Each refusal has the status and text that the table says, and tells no more.
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

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use common::*;
use vouchsafe::gate::Code;
use vouchsafe::session::CsrfRefusal;
use vouchsafe_tower::{Reason, Refusal};

const TABLE: &str = include_str!("../docs/refusals.md");

fn every_reason() -> Vec<Reason> {
    use CsrfRefusal::{CrossSite, ForeignOrigin, Malformed, NoEvidence, SameSite};
    let sites = [CrossSite, SameSite, ForeignOrigin, NoEvidence, Malformed].map(Reason::Site);
    let own = [
        Reason::PlainHttp,
        Reason::NoPeer,
        Reason::NoTenant,
        Reason::TooLarge,
        Reason::TooManyCookies,
        Reason::FormToken,
        Reason::Unlayered,
        Reason::Incomplete,
        Reason::NoEntropy,
    ];
    // A reason that is added has to be listed above.
    for reason in own.iter().chain(&sites) {
        match reason {
            Reason::Gate(_) | Reason::PlainHttp | Reason::NoPeer | Reason::NoTenant => {}
            Reason::TooLarge | Reason::Site(_) | Reason::FormToken | Reason::Unlayered => {}
            Reason::Incomplete | Reason::NoEntropy | Reason::TooManyCookies => {}
        }
    }
    Code::ALL.into_iter().map(Reason::Gate).chain(sites).chain(own).collect()
}

#[tokio::test]
async fn the_table_is_what_is_answered() {
    let rows = TABLE.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut listed = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [status, code, message, reasons] = cells[..] else { panic!("{row}") };
        for reason in reasons.split(", ") {
            let row = (status.to_owned(), code.trim_matches('`').to_owned(), message.to_owned());
            let twice = listed.insert(reason.trim_matches('`').to_owned(), row);
            assert!(twice.is_none(), "{reason} is listed twice");
        }
    }
    for reason in every_reason() {
        let row = listed.remove(&format!("{reason:?}"));
        let (status, code, message) = row.unwrap_or_else(|| panic!("{reason:?} is not listed"));
        let refusal = Refusal::from(reason);
        assert_eq!((refusal.code(), refusal.message()), (&*code, &*message));
        let answer = answer(refusal.clone().into_response()).await;
        assert_eq!((answer.status.as_str(), answer.status), (&*status, refusal.status()));
        assert_eq!(answer.body, format!("{message}\n{code}\n"));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let challenged = answer.headers.contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(challenged, answer.status == StatusCode::UNAUTHORIZED);
        assert_eq!(answer.refusal, Some(refusal));
    }
    assert!(listed.is_empty(), "no such reasons: {listed:?}");
}

/// The public codes are as coarse as the gate's texts for people.
#[test]
fn no_code_tells_more_than_the_text() {
    for one in Code::ALL {
        for other in Code::ALL {
            let codes = [one, other].map(|code| Refusal::from(Reason::Gate(code)).code());
            assert_eq!(codes[0] == codes[1], one.message() == other.message(), "{one} {other}");
        }
    }
}

/// LK-9: an account that is locked answers alike to the right password, to a wrong one, and to a
/// name that nobody has.
#[tokio::test]
async fn locked_right_wrong_and_unknown_are_the_same_bytes() {
    let site = Site::open();
    let mut browser = site.browser();
    let mut sources = 0;
    let mut attempt = async |name: &str, password: &str| {
        sources += 1;
        browser.address = format!("198.51.100.{sources}");
        browser.post("/acme/login", &format!("name={name}&password={password}")).await
    };
    for name in ["ada@acme.example", "nobody@acme.example"] {
        let mut failures = 0;
        loop {
            let answer = attempt(name, "wrong").await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            let told = (answer.status, answer.code());
            assert_eq!(told, (StatusCode::UNAUTHORIZED, "credentials.wrong"));
            failures += 1;
            assert!(failures < 100);
        }
        assert!(failures > 1, "{name}");
    }
    let right = attempt("ada@acme.example", PASSWORD).await;
    let wrong = attempt("ada@acme.example", "wrong").await;
    let unknown = attempt("nobody@acme.example", "wrong").await;
    for answer in [&right, &wrong, &unknown] {
        let reason = answer.refusal.as_ref().unwrap().reason();
        assert_eq!(reason, Reason::Gate(Code::Locked));
        let seen = (answer.status, &answer.headers, &answer.body);
        assert_eq!(seen, (right.status, &right.headers, &right.body));
    }
    assert!(right.set_cookies().is_empty());
    // Whole minutes, so that it does not tell when others tried.
    let wait: u64 = right.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait > 0 && wait.is_multiple_of(60), "{wait}");
    let kept = right.refusal.unwrap().retry_after().unwrap();
    assert_eq!(kept.as_secs(), wait);
}

/// The same before the lock: a wrong password and a name that nobody has.
#[tokio::test]
async fn wrong_and_unknown_are_the_same_bytes() {
    let site = Site::open();
    let mut browser = site.browser();
    let known = browser.post("/acme/login", "name=ada@acme.example&password=wrong").await;
    let unknown = browser.post("/acme/login", "name=nobody@acme.example&password=wrong").await;
    assert_eq!(known.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        (known.status, known.headers, known.body),
        (unknown.status, unknown.headers, unknown.body)
    );
}
