//! The session layer: cookies in, cookies out, and whose they are.
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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use common::*;
use vouchsafe::gate::Code;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::{Fault, FaultyStore, TestGate};
use vouchsafe_tower::Reason;

const SID: &str = "__Host-Http-sid";
const PRE: &str = "__Host-Http-pre";

#[tokio::test]
async fn in_and_out() {
    let site = Site::open();
    let mut browser = site.browser();
    let refused = browser.get("/acme/me").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "session.none"));
    assert_eq!(refused.headers["www-authenticate"], "Session");
    assert_eq!(browser.get("/acme/maybe").await.body, "nobody");
    assert!(browser.cookies.is_empty(), "no form, no cookie");

    let answer = browser.sign_in().await;
    let token = browser.cookie(SID).unwrap().to_owned();
    assert_eq!(
        answer.set_cookies(),
        [
            format!("{SID}={token}; Path=/; Secure; HttpOnly; SameSite=Lax"),
            format!("{PRE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
        ]
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(browser.get("/acme/me").await.body, "u-ada@acme.example");
    assert_eq!(browser.get("/acme/maybe").await.body, "u-ada@acme.example");

    let kept = browser.cookies.clone();
    let out = browser.post("/acme/logout", "").await;
    assert_eq!(out.body, "out");
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    browser.cookies = kept;
    assert_eq!(browser.get("/acme/me").await.status, StatusCode::UNAUTHORIZED);
    assert!(browser.cookies.is_empty(), "a dead cookie is taken away");
}

#[tokio::test]
async fn pages_for_somebody_are_not_stored() {
    let site = Site::open();
    let mut browser = site.browser();
    assert!(!browser.get("/acme/maybe").await.headers.contains_key("cache-control"));
    // A page with a form token sets the cookie it is bound to.
    let page = browser.get("/acme/login").await;
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(browser.get("/acme/asset").await.headers["cache-control"], "public, max-age=60");
    browser.sign_in().await;
    assert_eq!(browser.get("/acme/maybe").await.headers["cache-control"], "no-store");
    // What says itself that it is for everybody may be stored, but never with a cookie.
    assert_eq!(browser.get("/acme/asset").await.headers["cache-control"], "public, max-age=60");
    browser.cookies = vec![(SID.to_owned(), "stale".to_owned())];
    let stale = browser.get("/acme/asset").await;
    assert_eq!(stale.set_cookies().len(), 1);
    assert_eq!(stale.headers["cache-control"], "no-store");
}

/// SE-10 at the layer: whatever else the header holds, only our own cookie leads to a session.
#[tokio::test]
async fn hostile_cookie_headers_through_the_layer() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let token = browser.cookie(SID).unwrap().to_owned();
    let mut shapes = 0;
    let mut check = async |header: Vec<u8>, user: &str, cleared: bool| {
        shapes += 1;
        let mut request = request("GET", "/acme/maybe", &OWN, Body::empty());
        let value = axum::http::HeaderValue::from_bytes(&header).unwrap();
        request.headers_mut().append("cookie", value);
        let answer = site.send(request).await;
        let shown = String::from_utf8_lossy(&header);
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, user), "{shown}");
        let clears = format!("{SID}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
        let expected: &[&str] = if cleared { &[&clears] } else { &[] };
        assert_eq!(answer.set_cookies(), expected, "{shown}");
    };
    let ada = "u-ada@acme.example";
    for shape in
        ["{}={t}", "a=b; {}={t}", " {} = {t} ", "{}={t}; {}={t}", "\u{e9}=1; {}={t}", ";;{}={t};"]
    {
        let header = shape.replace("{}", SID).replace("{t}", &token);
        check(header.into_bytes(), ada, false).await;
    }
    check([b"\xff\x85=\x80; ", format!("{SID}={token}").as_bytes()].concat(), ada, false).await;
    for name in [
        "__%48ost-Http-sid",
        "__Host-Http-si%64",
        "__host-Http-sid",
        "__HOST-HTTP-SID",
        "__Host-sid",
        "__Http-sid",
        "__Secure-sid",
        "sid",
        "\u{a0}__Host-Http-sid",
        "\u{2000}__Host-Http-sid",
        "\u{3000}__Host-Http-sid",
        "\u{feff}__Host-Http-sid",
        "__Host-Http-sid\u{a0}",
        "__Host-Http-sid\u{2003}",
        "\"__Host-Http-sid\"",
        "$__Host-Http-sid",
        "x__Host-Http-sid",
        "=__Host-Http-sid",
        "a=__Host-Http-sid",
        "__Host-Http-sid-acme",
        "insecure-loopback-sid",
        PRE,
    ] {
        check(format!("{name}={token}").into_bytes(), "nobody", false).await;
    }
    check([b"\x85", format!("{SID}={token}").as_bytes()].concat(), "nobody", false).await;
    let cut = token.get(1..).unwrap();
    for value in ["", "\"{t}\"", "{t}=", "{t}.", "%41", "{t}, x", "A{t}", "{c}"] {
        let value = value.replace("{t}", &token).replace("{c}", cut);
        check(format!("{SID}={value}").into_bytes(), "nobody", true).await;
    }
    // Which one was tossed in, nobody knows: the good one is left alone.
    for shape in ["{}={t}; {}={c}", "{}={t}; {}=", "{}=; {}={t}", "{}=x; {}={t}; {}=y"] {
        let header = shape.replace("{}", SID).replace("{t}", &token).replace("{c}", cut);
        check(header.into_bytes(), "nobody", false).await;
    }
    // Each character counts.
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        check([format!("{SID}=").as_bytes(), &bytes].concat(), "nobody", true).await;
    }
    assert!(shapes >= 50, "{shapes}");
}

/// A page that can set cookies for this host, on another port or a subdomain, signs nobody out.
#[tokio::test]
async fn more_cookies_than_are_read_end_no_session() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let good = browser.cookies.clone();
    let bomb = |name: String, value: String| (name, value);
    for bombs in [
        vec![bomb("a".into(), "x".repeat(60_000))],
        (0..20_000).map(|at| bomb(format!("a{at}"), "b".into())).collect(),
    ] {
        browser.cookies = [bombs.clone(), good.clone(), bombs].concat();
        for path in ["/acme/me", "/acme/maybe", "/acme/login"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{path}");
            assert_eq!(answer.code(), "cookies.too_large");
            assert!(answer.set_cookies().is_empty(), "{path}: {answer:?}");
        }
        browser.cookies.clone_from(&good);
        assert_eq!(browser.get("/acme/me").await.body, "u-ada@acme.example");
    }
}

#[tokio::test]
async fn a_session_that_ran_out_is_signed_out_and_cleared() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let policy = policy();
    let idle = policy.class("staff").unwrap().session().idle();
    site.gate.clock.advance(idle - Duration::from_secs(61));
    assert_eq!(browser.get("/acme/maybe").await.body, "u-ada@acme.example");
    site.gate.clock.advance(idle);
    let answer = browser.get("/acme/maybe").await;
    assert_eq!(answer.body, "nobody");
    assert!(browser.cookie(SID).is_none());
}

#[tokio::test]
async fn signing_in_again_replaces_the_session_and_keeps_the_new_cookie() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let first = browser.cookie(SID).unwrap().to_owned();
    browser.sign_in().await;
    let second = browser.cookie(SID).unwrap().to_owned();
    assert_ne!(first, second);
    browser.cookies = vec![(SID.to_owned(), first)];
    assert_eq!(browser.get("/acme/maybe").await.body, "nobody", "the one before is dead");
    // With a dead cookie on the request, the fresh one on the response is the last word.
    let page = browser.get("/acme/login").await;
    browser.cookies.push((SID.to_owned(), "dead".to_owned()));
    let body = format!("csrf_token={}&name=ada@acme.example&password={PASSWORD}", page.token());
    let answer = browser.send("POST", "/acme/login", &[FORM], &body).await;
    assert_eq!(answer.body, "in");
    let of_session = answer.set_cookies().into_iter().filter(|c| c.starts_with(SID));
    assert_eq!(of_session.count(), 1);
    assert_eq!(browser.get("/acme/maybe").await.body, "u-ada@acme.example");
}

#[tokio::test]
async fn two_tenants_on_one_origin_have_a_cookie_each() {
    let site = two_tenants();
    let mut browser = site.browser();
    for tenant in ["acme", "zoom"] {
        let fields = format!("name=ada@{tenant}.example&password={PASSWORD}");
        let answer = browser.post(&format!("/{tenant}/login"), &fields).await;
        assert_eq!(answer.body, "in", "{answer:?}");
    }
    for tenant in ["acme", "zoom"] {
        assert_eq!(browser.get(&format!("/{tenant}/me")).await.body, format!("u-{tenant}"));
    }
    let names: Vec<_> = browser.cookies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["__Host-Http-sid-acme", "__Host-Http-sid-zoom"]);
    // One tenant's token under the other's name is nobody's.
    let acme = browser.cookie("__Host-Http-sid-acme").unwrap().to_owned();
    let mut thief = site.browser();
    thief.cookies = vec![("__Host-Http-sid-zoom".to_owned(), acme)];
    assert_eq!(thief.get("/zoom/maybe").await.body, "nobody");
    // Signing out of one leaves the other.
    assert_eq!(browser.post("/acme/logout", "").await.body, "out");
    assert_eq!(browser.get("/acme/maybe").await.body, "nobody");
    assert_eq!(browser.get("/zoom/me").await.body, "u-zoom");
}

#[test]
fn a_cookies_name_takes_plain_suffixes_only() {
    use vouchsafe::session::Cookie;
    let name = |cookie: Cookie, suffix: &str| cookie.suffixed(suffix).map(|c| c.name().to_owned());
    assert_eq!(name(Cookie::session(), "acme").unwrap(), "__Host-Http-sid-acme");
    let local = Cookie::pre_login().insecure_loopback();
    assert_eq!(name(local, "acme").unwrap(), "insecure-loopback-pre-acme");
    assert!(name(Cookie::session(), &"a".repeat(64)).is_ok());
    let long = "a".repeat(65);
    for bad in ["", "a b", "a;b", "a=b", "a,b", "a\"b", "\u{e9}", "a\r\n", "a/b", &long] {
        assert!(name(Cookie::session(), bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_served_is_none() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let answer = browser.get("/evil/tenant").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "tenant.none"));
    assert_eq!(browser.get("/evil/maybe").await.body, "nobody");
    assert!(browser.cookie(SID).is_some(), "another tenant's page leaves the cookie alone");
    assert_eq!(browser.get("/acme/tenant").await.body, "acme");
}

/// A gate that cannot say is not a signed-out visitor: nothing is let in, and nothing cleared.
#[tokio::test]
async fn a_store_that_does_not_answer_signs_nobody_out() {
    let down = Arc::new(AtomicBool::new(false));
    let plan = Arc::clone(&down);
    let store = FaultyStore::new(MemoryStore::new(1 << 24), move |_| {
        plan.load(Ordering::SeqCst).then_some(Fault::Before)
    });
    let policies = (TestGate::tenant(), policy());
    let gate = TestGate::over(policies, store, |gate| gate).await.unwrap();
    gate.add("ada@acme.example", "staff", PASSWORD);
    let site = Site::over(gate, |web| web);
    let mut browser = site.browser();
    browser.sign_in().await;
    down.store(true, Ordering::SeqCst);
    for path in ["/acme/me", "/acme/maybe", "/acme/login"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.code(), "service.unavailable");
        let reason = answer.refusal.as_ref().unwrap().reason();
        assert_eq!(reason, Reason::Gate(Code::Unavailable));
        assert!(answer.set_cookies().is_empty());
    }
    // What needs nobody is still served.
    assert_eq!(browser.get("/acme/asset").await.body, "asset");
    down.store(false, Ordering::SeqCst);
    assert_eq!(browser.get("/acme/me").await.body, "u-ada@acme.example");
}

#[tokio::test]
async fn without_the_layers_nobody_is_let_in() {
    use tower::ServiceExt;
    for path in ["/acme/me", "/acme/maybe", "/acme/login", "/acme/source", "/acme/tenant"] {
        let request = request("GET", path, &OWN, Body::empty());
        let answer = answer(pages().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(answer.refusal.unwrap().reason(), Reason::Unlayered);
    }
}

/// LK-12: the device's cookie outlives the session, comes back by itself, and lets its owner in while
/// strangers are kept out.
#[tokio::test]
async fn a_browser_that_has_signed_in_is_known() {
    const DEVICE: &str = "__Host-Http-device";
    let text = policy().to_toml();
    let fields = "devices = { counters = 4, valid_for = \"180d\" }";
    let text = text.replace("devices = \"none\"", fields);
    let gate = TestGate::open(vouchsafe::policy::Policy::parse(&text, "test").unwrap());
    gate.add("ada@acme.example", "staff", PASSWORD);
    let site = Site::over(gate, |web| web);
    let mut browser = site.browser();
    let answer = browser.sign_in().await;
    let cookie = browser.cookie(DEVICE).unwrap().to_owned();
    let set = format!(
        "{DEVICE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}",
        180 * 86_400
    );
    assert!(answer.set_cookies().contains(&set.as_str()), "{answer:?}");
    assert_eq!(browser.post("/acme/logout", "").await.body, "out");
    assert_eq!(browser.cookie(DEVICE), Some(cookie.as_str()), "it stays");

    let mut stranger = site.browser();
    for _ in 0..5 {
        stranger.post("/acme/login", "name=ada@acme.example&password=Wrong-Guess9").await;
    }
    let right = format!("name=ada@acme.example&password={PASSWORD}");
    let locked = stranger.post("/acme/login", &right).await;
    assert_eq!(
        (locked.status, locked.code()),
        (StatusCode::TOO_MANY_REQUESTS, "attempts.too_many")
    );
    stranger.cookies.push((DEVICE.to_owned(), "A".repeat(44)));
    let forged = stranger.post("/acme/login", &right).await;
    assert_eq!((forged.status, forged.body), (locked.status, locked.body), "the same answer");
    site.gate.clock.advance(std::time::Duration::from_secs(1));
    browser.sign_in().await;
    assert_ne!(browser.cookie(DEVICE), Some(cookie.as_str()), "a younger one");
}
