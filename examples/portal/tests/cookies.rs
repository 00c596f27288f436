//! Session cookies as Chromium keeps them where TLS ends: accepted, kept from scripts and from
//! other sites, and refused where a script would set one of its own.
//!
//! Chromium takes `localhost` for as secure as TLS, prefixes of cookies included, and `127.0.0.1`
//! for another site; so two sites and one listener are enough.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod trial;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use trial::webdriver::Browser;
use vouchsafe::core::Identifier;
use vouchsafe::gate::{Attempt, Login};
use vouchsafe::policy::Policy;
use vouchsafe_testkit::TestGate;
use vouchsafe_tower::{
    Call, Connection, OptionalPrincipal, Refusal, Tenant, Web, complete, first_segment,
};

const PASSWORD: &str = "Brass-Lantern7-wall";
const NAME: &str = "__Host-Http-sid";

async fn enter(web: Web, Tenant(tenant): Tenant, Call(call): Call) -> Result<Response, Refusal> {
    let name = Identifier::new("ada@acme.example").unwrap();
    let attempt = Attempt::new(tenant, name, call);
    let gate = web.gate().clone();
    match complete(async move { gate.login(&attempt, PASSWORD.to_owned()).await }).await? {
        Login::SignedIn(issued) => Ok((web.signed_in(&issued), "in").into_response()),
        Login::Next(next) => panic!("{next:?}"),
        Login::Refused(why) => Err(why.into()),
    }
}

async fn leave(web: Web, Tenant(tenant): Tenant) -> Response {
    (web.signed_out(&tenant), "out").into_response()
}

async fn who(OptionalPrincipal(principal): OptionalPrincipal) -> String {
    principal.map_or("nobody".to_owned(), |principal| principal.user().as_str().to_owned())
}

/// Whether each request to `/seen` came with the session's cookie.
type Seen = Arc<Mutex<Vec<bool>>>;

fn site(seen: &Seen) -> Router {
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    gate.add("ada@acme.example", "staff", PASSWORD);
    let web = Web::builder(gate.gate.clone()).tenant(first_segment).tls_here();
    let web = web.clock(gate.clock.clone()).build().unwrap();
    let pages = Router::new()
        .route("/{tenant}/enter", get(enter))
        .route("/{tenant}/leave", get(leave))
        .route("/{tenant}/who", get(who));
    let seen = Arc::clone(seen);
    let note = move |headers: HeaderMap| {
        let cookies = headers.get(header::COOKIE).map(|cookies| cookies.to_str().unwrap());
        seen.lock().unwrap().push(cookies.is_some_and(|cookies| cookies.contains(NAME)));
        std::future::ready("noted")
    };
    // What stands outside of the layers shows what the browser does by itself.
    let outside = Router::new()
        .route("/seen", any(note))
        .route("/elsewhere", get(async || axum::response::Html("<!doctype html>elsewhere")));
    outside.merge(web.protect(pages))
}

/// The session's cookie, as the browser keeps it.
fn kept(browser: &Browser) -> Option<Value> {
    let named = |cookie: &Value| cookie["name"].as_str().unwrap().contains("sid");
    let mut cookies = browser.cookies().into_iter().filter(named);
    let kept = cookies.next();
    assert_eq!(cookies.next(), None, "one session, one cookie");
    kept
}

#[test]
fn over_tls_the_browser_keeps_the_cookie_from_scripts_and_other_sites() {
    let seen = Seen::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = site(&seen).into_make_service_with_connect_info::<Connection>();
    runtime.spawn(axum::serve(listener, service).into_future());
    let folder = tempfile::tempdir().unwrap();
    let browser = Browser::start(folder.path());
    let (own, other) = (format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}"));
    let go = |path: &str| browser.go(&format!("{own}{path}"));

    go("/acme/enter");
    browser.shows("in");
    let cookie = kept(&browser).expect("the browser took the cookie");
    for (attribute, value) in [
        ("name", json!(NAME)),
        ("httpOnly", json!(true)),
        ("secure", json!(true)),
        ("sameSite", json!("Lax")),
        ("path", json!("/")),
        // Without a leading dot: of this host alone, as no `Domain` was sent.
        ("domain", json!("localhost")),
        ("expiry", Value::Null),
    ] {
        assert_eq!(cookie[attribute], value, "{attribute}: {cookie}");
    }
    go("/acme/who");
    browser.shows("u-");

    // Scripts neither read it nor write it, nor anything else of its prefix.
    assert_eq!(browser.script("return document.cookie"), json!(""));
    for stolen in [
        format!("{NAME}=stolen; Secure; Path=/"),
        format!("{NAME}=stolen; Secure; Path=/; Max-Age=0"),
        format!("{NAME}=stolen; Path=/"),
        "__Host-Http-sid-x=stolen; Secure; Path=/".to_owned(),
        "__Host-sid=stolen; Secure; Path=/acme".to_owned(),
    ] {
        browser.script(&format!("document.cookie = '{stolen}'"));
        assert_eq!(kept(&browser).as_ref(), Some(&cookie), "{stolen}");
    }

    // One without the prefix, and not its own, it may write: so the above was refused for a reason.
    let all = browser.cookies().len();
    browser.script("document.cookie = 'plain=1; Secure; Path=/'");
    assert_eq!(browser.cookies().len(), all + 1);

    // Other sites' requests come without it, but for a visit.
    let noted = || std::mem::take(&mut *seen.lock().unwrap());
    go("/elsewhere");
    browser.script(&format!("return fetch('{own}/seen').then(() => null)"));
    assert_eq!(noted(), [true], "our own page");
    browser.go(&format!("{other}/elsewhere"));
    let fetch = format!("fetch('{own}/seen', {{ mode: 'no-cors', credentials: 'include' }})");
    browser.script(&format!("return {fetch}.then(() => null)"));
    assert_eq!(noted(), [false], "a fetch of another site");
    browser.leave(|| {
        browser.script(&format!(
            "const form = document.createElement('form'); form.method = 'post';
             form.action = '{own}/seen'; document.body.append(form); form.submit()"
        ));
    });
    assert_eq!(noted(), [false], "a form of another site");
    browser.go(&format!("{other}/elsewhere"));
    browser.leave(|| drop(browser.script(&format!("location.href = '{own}/seen'"))));
    assert_eq!(noted(), [true], "a link of another site");

    go("/acme/leave");
    assert_eq!(kept(&browser), None, "signed out");
    go("/acme/who");
    browser.shows("nobody");
}
