//! What every response tells the browser, byte for byte.
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

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::routing::get;
use common::*;
use vouchsafe::session::LinkOrigin;
use vouchsafe_testkit::TestGate;
use vouchsafe_tower::{BuildError, Csp, CspSource, Directive, SecurityHeaders};

const SNAPSHOT: &str = "\
content-security-policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'
cross-origin-opener-policy: same-origin
cross-origin-resource-policy: same-origin
permissions-policy: accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), identity-credentials-get=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), storage-access=(), usb=(), window-management=(), xr-spatial-tracking=()
referrer-policy: no-referrer
strict-transport-security: max-age=63072000; includeSubDomains
x-content-type-options: nosniff
x-frame-options: DENY
x-permitted-cross-domain-policies: none
";

/// The headers but those of the body and of one response.
fn shown(headers: &HeaderMap) -> String {
    let own = [
        "content-type",
        "content-length",
        "cache-control",
        "set-cookie",
        "www-authenticate",
        "allow",
    ];
    let mut lines: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines.concat()
}

/// Pages, assets, refusals of handlers and layers, unknown paths and methods: all alike.
#[tokio::test]
async fn every_response_has_them() {
    let site = Site::open();
    let mut browser = site.browser();
    for (method, path) in [
        ("GET", "/acme/maybe"),
        ("GET", "/acme/me"),
        ("GET", "/acme/asset"),
        ("GET", "/acme/login"),
        ("GET", "/nothing/at/all/here"),
        ("POST", "/acme/me"),
        ("PUT", "/acme/login"),
        ("POST", "/acme/echo"),
    ] {
        let answer = browser.send(method, path, &[], "").await;
        assert_eq!(shown(&answer.headers), SNAPSHOT, "{method} {path}");
    }
    let long = "x".repeat(64 * 1024 + 1);
    let answer = browser.send("POST", "/acme/echo", &[], &long).await;
    assert_eq!(shown(&answer.headers), SNAPSHOT);
    // Over plain HTTP all but the one that means nothing there.
    let plain = site.send(request("GET", "/acme/me", &[], Body::empty())).await;
    let without: String = SNAPSHOT
        .lines()
        .filter(|line| !line.starts_with("strict-transport"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(shown(&plain.headers), without);
}

#[tokio::test]
async fn a_host_may_allow_more_by_name() {
    let csp = Csp::strict()
        .allow(Directive::Style, CspSource::OwnOrigin)
        .and_then(|csp| csp.allow(Directive::Image, CspSource::OwnOrigin))
        .and_then(|csp| csp.allow(Directive::Image, CspSource::Data))
        .and_then(|csp| {
            let cdn = LinkOrigin::new("https://cdn.example").unwrap();
            csp.allow(Directive::Font, CspSource::Origin(cdn))
        })
        .unwrap();
    let year = Duration::from_secs(31_536_000);
    let headers = SecurityHeaders::strict().csp(csp).hsts(year, false).unwrap();
    let short = SecurityHeaders::strict().hsts(year - Duration::from_secs(1), true);
    assert_eq!(short, Err(BuildError::ShortHsts));
    let site = Site::over(TestGate::open(policy()), |web| web.headers(headers));
    let answer = site.browser().get("/acme/maybe").await;
    assert_eq!(
        answer.headers["content-security-policy"],
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; font-src https://cdn.example; \
         form-action 'self'; img-src 'self' data:; style-src 'self'"
    );
    assert_eq!(answer.headers["strict-transport-security"], "max-age=31536000");
}

#[tokio::test]
async fn a_handler_keeps_its_own() {
    let mut site = Site::open();
    let own = || async { ([(header::CONTENT_SECURITY_POLICY, "sandbox")], "download") };
    site.router = site.web.protect(pages().route("/{tenant}/download", get(own)));
    let answer = site.browser().get("/acme/download").await;
    let all: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
    assert_eq!(all, ["sandbox"]);
    assert_eq!(answer.headers["x-frame-options"], "DENY");
}
