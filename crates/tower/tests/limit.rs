//! Bodies are limited, whatever they say about themselves.
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

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use common::*;
use vouchsafe_testkit::TestGate;

const LIMIT: usize = 64 * 1024;

#[tokio::test]
async fn both_sides_of_the_limit() {
    let site = Site::open();
    let https = ("x-forwarded-proto", "https");
    let send = async |headers: &[(&str, &str)], body: Body| {
        site.send(request("POST", "/acme/echo", headers, body)).await
    };
    let bytes = |length: usize| Bytes::from(vec![b'x'; length]);
    for (length, good) in [(0, true), (LIMIT, true), (LIMIT + 1, false)] {
        // Said in advance.
        let declared = length.to_string();
        let headers = [https, ("content-length", declared.as_str())];
        let answer = send(&headers, Body::from(bytes(length))).await;
        assert_eq!(answer.status == StatusCode::OK, good, "{length}");
        // Not said.
        let body = Body::from(bytes(length));
        let answer = send(&[https], body).await;
        let expected = if good { StatusCode::OK } else { StatusCode::PAYLOAD_TOO_LARGE };
        assert_eq!(answer.status, expected, "{length}");
    }
    // Said to be short, and is not.
    let answer = send(&[https, ("content-length", "1")], Body::from(bytes(LIMIT + 1))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    for nonsense in ["-1", "", "1e3", "0x10", "99999999999999999999999", "1, 1"] {
        let answer = send(&[https, ("content-length", nonsense)], Body::empty()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::PAYLOAD_TOO_LARGE, "body.too_large")
        );
    }
}

/// A body that says it is too long is refused unread.
#[tokio::test]
async fn refused_before_a_byte_is_read() {
    struct Untouched;
    impl http_body::Body for Untouched {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            panic!("read");
        }
    }
    let site = Site::open();
    let headers = [("x-forwarded-proto", "https"), ("content-length", "65537")];
    let answer = site.send(request("POST", "/acme/echo", &headers, Body::new(Untouched))).await;
    assert_eq!(answer.code(), "body.too_large");
}

/// Uploads may be longer than forms: the host says by request. axum's own 2 MB do not interfere.
#[tokio::test]
async fn by_request() {
    const LARGE: usize = 3 * 1024 * 1024;
    let gate = TestGate::open(policy());
    let site = Site::over(gate, |web| {
        web.body_limit(|parts| if parts.uri.path() == "/acme/echo" { LARGE } else { 10 })
    });
    let https = [("x-forwarded-proto", "https")];
    for (path, length, good) in [
        ("/acme/echo", LARGE, true),
        ("/acme/echo", LARGE + 1, false),
        ("/zoom/echo", 10, true),
        ("/zoom/echo", 11, false),
    ] {
        let body = Body::from(vec![b'x'; length]);
        let answer = site.send(request("POST", path, &https, body)).await;
        let expected = if good { StatusCode::OK } else { StatusCode::PAYLOAD_TOO_LARGE };
        assert_eq!(answer.status, expected, "{path} {length}");
    }
}

/// A form's beginning is read ahead for its token: the limit holds there too.
#[tokio::test]
async fn while_looking_for_the_token() {
    let gate = TestGate::open(policy());
    let site = Site::over(gate, |web| web.body_limit(|_| 100));
    let mut browser = site.browser();
    let token = browser.get("/acme/login").await.token().to_owned();
    let fits = format!("csrf_token={token}");
    assert_eq!(browser.send("POST", "/acme/echo", &[FORM], &fits).await.body, fits);
    let long = format!("{fits}&{}", "x".repeat(100));
    let answer = browser.send("POST", "/acme/echo", &[FORM], &long).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::PAYLOAD_TOO_LARGE, "body.too_large"));
}
