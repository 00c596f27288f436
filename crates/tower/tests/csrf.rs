//! Requests of other sites through the real layers, decided as documented.
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

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use common::*;
use vouchsafe::session::{CsrfRefusal, PRE_LOGIN_LIFETIME};
use vouchsafe_testkit::SeededEntropy;
use vouchsafe_tower::Reason;

const SID: &str = "__Host-Http-sid";
const PRE: &str = "__Host-Http-pre";

/// What the layers are expected to do with a request.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Decided {
    Passed,
    No(Reason),
}

/// The rule as the README tells it, written down a second time.
fn rule(method: &str, site: &[&str], origin: &[&str], cookie: bool, token: bool) -> Decided {
    use CsrfRefusal::{CrossSite, ForeignOrigin, Malformed, NoEvidence, SameSite};
    let no = |why| Decided::No(Reason::Site(why));
    if ["GET", "HEAD", "OPTIONS"].contains(&method) {
        return Decided::Passed;
    }
    if origin.len() > 1 || site.len() > 1 {
        return no(Malformed);
    }
    let own = match origin {
        [] | ["null"] if !site.is_empty() => true,
        [ORIGIN] => true,
        [] => false,
        _ if site.is_empty() => return no(ForeignOrigin),
        _ => false,
    };
    match site {
        [] if origin.is_empty() => {
            return if cookie { no(NoEvidence) } else { Decided::Passed };
        }
        [] | ["same-origin" | "none"] if own => {}
        ["same-origin" | "none"] => return no(ForeignOrigin),
        ["same-site"] => return no(SameSite),
        ["cross-site"] => return no(CrossSite),
        _ => return no(Malformed),
    }
    if token { Decided::Passed } else { Decided::No(Reason::FormToken) }
}

/// SE-12: every combination of method, Sec-Fetch-Site, Origin, cookies and token, as it arrives
/// behind the proxy.
#[tokio::test]
async fn request_shapes() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let token = browser.get("/acme/login").await.token().to_owned();
    let signed_in = browser.cookie_header();
    let mut visitor = site.browser();
    let visitors_token = visitor.get("/acme/login").await.token().to_owned();
    let visiting = visitor.cookie_header();
    let wrong = {
        let mut other = site.browser();
        other.get("/acme/login").await.token().to_owned()
    };
    let people = [
        ("", wrong.as_str(), false),
        (visiting.as_str(), visitors_token.as_str(), true),
        (signed_in.as_str(), token.as_str(), true),
    ];
    let sites: [&[&str]; 8] = [
        &[],
        &["same-origin"],
        &["none"],
        &["same-site"],
        &["cross-site"],
        &["Same-Origin"],
        &["same-origin, same-origin"],
        &["same-origin", "same-origin"],
    ];
    let origins: [&[&str]; 8] = [
        &[],
        &[ORIGIN],
        &["null"],
        &["https://evil.example"],
        &["http://portal.example"],
        &["https://portal.example.evil.example"],
        &["https://portal.example:444"],
        &[ORIGIN, ORIGIN],
    ];
    let (mut shapes, mut passed, mut refused) = (0, 0, 0);
    for (sites, origins) in sites.iter().flat_map(|s| origins.iter().map(move |o| (s, o))) {
        for (cookie, right, bound) in people {
            for method in ["GET", "POST", "DELETE", "get"] {
                for presented in [None, Some(right), Some(wrong.as_str())] {
                    let mut headers = vec![("x-forwarded-proto", "https")];
                    headers.extend(sites.iter().map(|site| ("sec-fetch-site", *site)));
                    headers.extend(origins.iter().map(|origin| ("origin", *origin)));
                    if !cookie.is_empty() {
                        headers.push(("cookie", cookie));
                    }
                    headers.extend(presented.map(|token| ("x-csrf-token", token)));
                    let request = request(method, "/acme/echo", &headers, Body::from("x"));
                    let answer = site.send(request).await;
                    let good = bound && presented == Some(right);
                    let expected = rule(method, sites, origins, !cookie.is_empty(), good);
                    let decided = match &answer.refusal {
                        None => Decided::Passed,
                        Some(refusal) => Decided::No(refusal.reason()),
                    };
                    assert_eq!(decided, expected, "{method} {headers:?}");
                    let status = answer.status;
                    match decided {
                        Decided::Passed => assert_eq!(status, StatusCode::OK),
                        Decided::No(_) => {
                            assert_eq!(status, StatusCode::FORBIDDEN);
                            assert_eq!(answer.code(), "request.foreign");
                        }
                    }
                    shapes += 1;
                    passed += usize::from(decided == Decided::Passed);
                    refused += usize::from(decided != Decided::Passed);
                }
            }
        }
    }
    assert!(shapes >= 60 && passed >= 60 && refused >= 60, "{shapes} {passed} {refused}");
}

/// Login CSRF: a stranger cannot sign a victim's browser in under the stranger's own name.
#[tokio::test]
async fn nobody_is_signed_in_by_another_site() {
    let site = Site::open();
    let mut stranger = site.browser();
    let page = stranger.get("/acme/login").await;
    let form = format!("csrf_token={}&name=ada@acme.example&password={PASSWORD}", page.token());
    let no_token = format!("name=ada@acme.example&password={PASSWORD}");
    let proto = ("x-forwarded-proto", "https");
    let own: &[(&str, &str)] = &[("sec-fetch-site", "same-origin"), ("origin", ORIGIN)];
    let cross: &[(&str, &str)] =
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let old: &[(&str, &str)] = &[("origin", "https://evil.example")];
    let sibling: &[(&str, &str)] =
        &[("sec-fetch-site", "same-site"), ("origin", "https://evil.portal.example")];
    for from in [own, cross, old, sibling] {
        for form in [&form, &no_token] {
            // The victim has no cookie, or one of their own: never the stranger's.
            for victims in [false, true] {
                let mut victim = site.browser();
                if victims {
                    victim.get("/acme/login").await;
                }
                let cookie = victim.cookie_header();
                let mut headers = vec![proto, FORM];
                headers.extend_from_slice(from);
                if victims {
                    headers.push(("cookie", &cookie));
                }
                let body = Body::from(form.clone());
                let answer = site.send(request("POST", "/acme/login", &headers, body)).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
                assert!(!answer.set_cookies().iter().any(|c| c.starts_with(SID)), "{answer:?}");
            }
        }
    }
    // The same form from the browser that it was made for signs in.
    let answer = stranger.send("POST", "/acme/login", &[FORM], &form).await;
    assert_eq!(answer.body, "in");
}

#[tokio::test]
async fn a_token_is_one_browsers_and_one_sessions() {
    let site = Site::open();
    let (mut ada, mut bob) = (site.browser(), site.browser());
    let before = ada.get("/acme/login").await.token().to_owned();
    let post = async |browser: &mut Browser<'_>, token: &str| {
        let body = format!("csrf_token={token}");
        browser.send("POST", "/acme/echo", &[FORM], &body).await.status
    };
    let (yes, no) = (StatusCode::OK, StatusCode::FORBIDDEN);
    assert_eq!(post(&mut ada, &before).await, yes);
    // Two tabs: the cookie is not made anew, and the first tab's form still works.
    let pre = ada.cookie(PRE).unwrap().to_owned();
    let second = ada.get("/acme/login").await;
    assert!(second.set_cookies().is_empty());
    assert_eq!(ada.cookie(PRE).unwrap(), pre);
    assert_ne!(second.token(), before, "masked afresh");
    assert_eq!(post(&mut ada, &before).await, yes);
    bob.get("/acme/login").await;
    assert_eq!(post(&mut bob, &before).await, no);
    // Signing in puts an end to it; so does signing in again.
    ada.sign_in().await;
    assert_eq!(post(&mut ada, &before).await, no);
    let first = ada.get("/acme/login").await.token().to_owned();
    assert_eq!(post(&mut ada, &first).await, yes);
    bob.sign_in().await;
    assert_eq!(post(&mut bob, &first).await, no);
    ada.sign_in().await;
    assert_eq!(post(&mut ada, &first).await, no);
}

#[tokio::test]
async fn the_cookie_before_sign_in_ends_with_its_time() {
    let site = Site::open();
    let mut browser = site.browser();
    let token = browser.get("/acme/login").await.token().to_owned();
    let body = format!("csrf_token={token}");
    let micro = std::time::Duration::from_micros(1);
    site.gate.clock.advance(PRE_LOGIN_LIFETIME - micro);
    let answer = browser.send("POST", "/acme/echo", &[FORM], &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    site.gate.clock.advance(micro);
    let answer = browser.send("POST", "/acme/echo", &[FORM], &body).await;
    assert_eq!(answer.refusal.unwrap().reason(), Reason::FormToken);
    // The page, loaded again, brings a new one.
    let page = browser.get("/acme/login").await;
    assert_eq!(page.set_cookies().len(), 1);
    let body = format!("csrf_token={}", page.token());
    assert_eq!(browser.send("POST", "/acme/echo", &[FORM], &body).await.status, StatusCode::OK);
}

/// A form from before the session ended is told to sign in, not that it is foreign.
#[tokio::test]
async fn a_form_that_outlived_its_session() {
    let site = Site::open();
    let mut browser = site.browser();
    browser.sign_in().await;
    let token = browser.get("/acme/login").await.token().to_owned();
    site.gate.clock.advance(std::time::Duration::from_secs(86_400));
    let body = format!("csrf_token={token}");
    let answer = browser.send("POST", "/acme/echo", &[FORM], &body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "session.none"));
    assert!(browser.cookie(SID).is_none());
}

/// Where a token is looked for, and that the body reaches the handler whole.
#[tokio::test]
async fn forms_carry_the_token_first() {
    let site = Site::open();
    let mut browser = site.browser();
    let token = browser.get("/acme/login").await.token().to_owned();
    let long = "y".repeat(20_000);
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let first = part("csrf_token", &token);
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\
         Content-Type: text/plain\r\n\r\n{long}\r\n--b--\r\n"
    );
    let urlencoded = "application/x-www-form-urlencoded";
    let with_charset = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    let multipart = "multipart/form-data; boundary=b";
    let yes = [
        (urlencoded, format!("csrf_token={token}")),
        (urlencoded, format!("csrf_token={token}&a=1&b={long}")),
        (with_charset, format!("csrf_token={token}&a=1")),
        (multipart, format!("{first}--b--\r\n")),
        (multipart, format!("{first}{file}")),
    ];
    let cut = token.get(1..).unwrap();
    let no = [
        (urlencoded, String::new()),
        (urlencoded, "csrf_token=".to_owned()),
        (urlencoded, "csrf_token".to_owned()),
        (urlencoded, format!("csrf_token={cut}")),
        (urlencoded, format!("csrf_token={token}A")),
        (urlencoded, format!("csrf_token={token} ")),
        (urlencoded, format!("csrf%5Ftoken={token}")),
        (urlencoded, format!("CSRF_TOKEN={token}")),
        (urlencoded, format!("a=1&csrf_token={token}")),
        (urlencoded, format!("{first}--b--\r\n")),
        (multipart, format!("csrf_token={token}")),
        (multipart, format!("{}{first}--b--\r\n", part("a", "1"))),
        (multipart, format!("--b\r\n\r\n{token}\r\n--b--\r\n")),
        (multipart, part("csrf_token", cut)),
        (multipart, "--b".to_owned()),
        (multipart, "--b\r\nContent-Disposition: form-data; name=\"csrf_token\"".to_owned()),
        (multipart, format!("{}{first}", "x".repeat(600))),
        ("text/plain", format!("csrf_token={token}")),
        ("application/json", format!("{{\"csrf_token\":\"{token}\"}}")),
        ("application/x-www-form-urlencoded-not", format!("csrf_token={token}")),
    ];
    for (kind, body) in yes {
        let answer = browser.send("POST", "/acme/echo", &[("content-type", kind)], &body).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &body));
    }
    for (kind, body) in no {
        let answer = browser.send("POST", "/acme/echo", &[("content-type", kind)], &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{kind} {body}");
        assert_eq!(answer.refusal.unwrap().reason(), Reason::FormToken);
    }
    // Scripts may use the header with any body; a wrong header is not made good by the body.
    let right = [("content-type", "application/json"), ("x-csrf-token", token.as_str())];
    assert_eq!(browser.send("POST", "/acme/echo", &right, "{}").await.body, "{}");
    let body = format!("csrf_token={token}");
    let wrong = browser.send("POST", "/acme/echo", &[FORM, ("x-csrf-token", "no")], &body).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
}

/// However the network cuts the body up, the token is found and the body stays whole.
#[tokio::test]
async fn bodies_in_pieces() {
    let site = Site::open();
    let mut browser = site.browser();
    let token = browser.get("/acme/login").await.token().to_owned();
    let whole = format!("csrf_token={token}&rest={}", "z".repeat(2_000));
    for size in [1, 2, 7, 86, 97, 98, 511, 512, 513, 5_000] {
        let pieces = whole.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        let body = Body::new(Pieces(pieces));
        let cookie = browser.cookie_header();
        let mut headers = OWN.to_vec();
        headers.extend([FORM, ("cookie", &cookie)]);
        let answer = site.send(request("POST", "/acme/echo", &headers, body)).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &whole), "{size}");
    }
}

/// A body that arrives piece by piece.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

#[tokio::test]
async fn without_fresh_bytes_there_is_no_form() {
    let gate = vouchsafe_testkit::TestGate::open(policy());
    let fails = vouchsafe_testkit::FailingEntropy::after(0, SeededEntropy::new(1));
    let site = Site::over(gate, |web| web.entropy(std::sync::Arc::new(fails)));
    let answer = site.browser().get("/acme/login").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.refusal.unwrap().reason(), Reason::NoEntropy);
}
