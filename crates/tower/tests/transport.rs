//! Plain HTTP is refused, and addresses are believed from our own proxies only.
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

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vouchsafe::session::LinkOrigin;
use vouchsafe::store::MemoryStore;
use vouchsafe_testkit::TestGate;
use vouchsafe_tower::{BuildError, Connection, Reason, Web, first_segment};

fn from(peer: &str, local: Option<&str>, headers: &[(&str, &str)]) -> Request {
    let mut request = request("GET", "/acme/source", headers, Body::empty());
    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
    let local = local.map(|local| local.parse().unwrap());
    let connection = Connection::new(peer.parse().unwrap(), local);
    request.extensions_mut().insert(ConnectInfo(connection));
    request
}

async fn on_loopback(port: u16) -> TestGate {
    let origin = LinkOrigin::new(&format!("http://localhost:{port}")).unwrap();
    let policies = (TestGate::tenant(), policy());
    let store = MemoryStore::new(1 << 24);
    TestGate::over(policies, store, |gate| gate.origin(origin)).await.unwrap()
}

const PLAIN: (StatusCode, &str) = (StatusCode::FORBIDDEN, "transport.insecure");
const OK: (StatusCode, &str) = (StatusCode::OK, "");

#[tokio::test]
async fn only_our_own_proxies_are_believed_about_tls() {
    let site = Site::open();
    let https = ("x-forwarded-proto", "https");
    let with = |value| [("x-forwarded-proto", value)];
    let (proxy, stranger) = ("10.0.0.1:1", "203.0.113.7:1");
    for (peer, headers, expected) in [
        (proxy, &[https][..], OK),
        (proxy, &with("HTTPS"), OK),
        (proxy, &with("https, https"), OK),
        (proxy, &[], PLAIN),
        (proxy, &with("http"), PLAIN),
        (proxy, &with(""), PLAIN),
        (proxy, &with("https,"), PLAIN),
        (proxy, &with("wss"), PLAIN),
        // What a client puts in front does not take away what the proxy says.
        (proxy, &with("https, http"), PLAIN),
        (proxy, &with("http, https"), PLAIN),
        (proxy, &[https, ("x-forwarded-proto", "http")], PLAIN),
        (proxy, &[("x-forwarded-proto", "http"), https], PLAIN),
        // Another way to say so is not listened to.
        (proxy, &[("forwarded", "proto=https")], PLAIN),
        (proxy, &[("x-forwarded-scheme", "https")], PLAIN),
        (proxy, &[("x-forwarded-ssl", "on")], PLAIN),
        (stranger, &[https], PLAIN),
        ("127.0.0.1:1", &[https], PLAIN),
        ("[::1]:1", &[], PLAIN),
        ("[::ffff:10.0.0.1]:1", &[https], OK),
    ] {
        let answer = site.send(from(peer, None, headers)).await;
        assert_eq!((answer.status, answer.code()), expected, "{peer} {headers:?}");
        // RFC 6797, 7.2: no such header over plain HTTP.
        let hsts = answer.headers.contains_key("strict-transport-security");
        assert_eq!(hsts, answer.status == StatusCode::OK, "{peer} {headers:?}");
    }
}

#[tokio::test]
async fn where_a_request_comes_from() {
    let site = Site::open();
    let proto = ("x-forwarded-proto", "https");
    for (forwarded, expected) in [
        (&[][..], "10.0.0.1"),
        (&["198.51.100.1"], "198.51.100.1"),
        (&["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (&["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        (&["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["[2001:db8::1]:4711"], "2001:db8::1"),
        (&["198.51.100.1, unknown"], "Unavailable(Hidden)"),
        (&["198.51.100.1, nonsense"], "Unavailable(Unreadable)"),
    ] {
        let mut headers = vec![proto];
        headers.extend(forwarded.iter().map(|value| ("x-forwarded-for", *value)));
        let answer = site.send(from("10.0.0.1:1", None, &headers)).await;
        assert_eq!(answer.body, expected, "{forwarded:?}");
    }
    // Nobody else is believed.
    let gate = TestGate::open(policy());
    let site = Site::over(gate, |web| web.tls_here());
    let headers = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "http")];
    assert_eq!(site.send(from("203.0.113.7:1", None, &headers)).await.body, "203.0.113.7");
    // A proxy that speaks TLS to us still tells what its client spoke.
    let answer = site.send(from("10.0.0.1:1", None, &headers)).await;
    assert_eq!((answer.status, answer.code()), PLAIN);
    assert_eq!(site.send(from("10.0.0.1:1", None, &[])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_server_that_does_not_say_who_calls_serves_nobody() {
    let site = Site::open();
    let mut request = request("GET", "/acme/source", &OWN, Body::empty());
    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
    let answer = site.send(request).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.refusal.unwrap().reason(), Reason::NoPeer);
}

#[tokio::test]
async fn insecure_loopback_is_loopback_on_both_ends_by_name_and_direct() {
    let gate = on_loopback(8080).await;
    let listener = "127.0.0.1:8080".parse().unwrap();
    let site = Site::over(gate, |web| web.insecure_loopback(listener));
    let here = Some("127.0.0.1:8080");
    for (peer, local, headers, expected) in [
        ("127.0.0.1:9", here, &[][..], OK),
        ("127.0.0.1:9", None, &[], OK),
        ("127.9.9.9:9", here, &[], OK),
        ("[::1]:9", Some("[::1]:8080"), &[], OK),
        ("[::ffff:127.0.0.1]:9", Some("[::ffff:127.0.0.1]:8080"), &[], OK),
        ("127.0.0.1:9", here, &[("host", "localhost:8080")], OK),
        ("127.0.0.1:9", here, &[("host", "acme.localhost")], OK),
        ("127.0.0.1:9", here, &[("host", "127.0.0.1")], OK),
        ("127.0.0.1:9", here, &[("host", "[::1]:8080")], OK),
        // Either end elsewhere.
        ("192.168.1.7:9", here, &[], PLAIN),
        ("203.0.113.7:9", here, &[], PLAIN),
        ("127.0.0.1:9", Some("192.168.1.2:8080"), &[], PLAIN),
        ("10.0.0.1:9", here, &[], PLAIN),
        // Through a proxy on this machine: the client may be anywhere.
        ("127.0.0.1:9", here, &[("x-forwarded-for", "127.0.0.1")], PLAIN),
        ("127.0.0.1:9", here, &[("x-forwarded-proto", "https")], PLAIN),
        ("127.0.0.1:9", here, &[("x-forwarded-host", "localhost")], PLAIN),
        ("127.0.0.1:9", here, &[("forwarded", "for=127.0.0.1")], PLAIN),
        ("127.0.0.1:9", here, &[("x-real-ip", "127.0.0.1")], PLAIN),
        ("127.0.0.1:9", here, &[("via", "1.1 proxy")], PLAIN),
        // A stranger's name that was pointed here.
        ("127.0.0.1:9", here, &[("host", "evil.example")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "localhost.evil.example")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "localhost"), ("host", "evil.example")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "0.0.0.0")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "evil.example@127.0.0.1")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "@localhost:8080")], PLAIN),
        ("127.0.0.1:9", here, &[("host", "localhost"), ("host", "evil.example@localhost")], PLAIN),
    ] {
        let mut request = from(peer, local, headers);
        request.headers_mut().entry("host").or_insert("127.0.0.1:8080".parse().unwrap());
        let answer = site.send(request).await;
        assert_eq!((answer.status, answer.code()), expected, "{peer} {local:?} {headers:?}");
        assert!(!answer.headers.contains_key("strict-transport-security"));
    }
}

#[tokio::test]
async fn insecure_loopback_needs_a_name() {
    let listener = "127.0.0.1:8080".parse().unwrap();
    let site = Site::over(on_loopback(8080).await, |web| web.insecure_loopback(listener));
    for (uri, host, expected) in [
        ("/acme/source", None, PLAIN),
        ("/acme/source", Some("localhost"), OK),
        // HTTP/2, and a proxy's form, name it in the target.
        ("http://localhost:8080/acme/source", None, OK),
        ("http://evil.example/acme/source", None, PLAIN),
        ("http://evil.example/acme/source", Some("localhost"), PLAIN),
        ("http://evil.example@localhost/acme/source", None, PLAIN),
        ("http://evil.example@localhost/acme/source", Some("localhost"), PLAIN),
    ] {
        let mut request = from("127.0.0.1:9", Some("127.0.0.1:8080"), &[]);
        *request.uri_mut() = uri.parse().unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let answer = site.send(request).await;
        assert_eq!((answer.status, answer.code()), expected, "{uri} {host:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_does_not_build() {
    let listener = |text: &str| text.parse::<SocketAddr>().unwrap();
    let gate = TestGate::open(policy()).gate;
    let local = on_loopback(8080).await.gate;
    let web = |gate: &vouchsafe::Gate| Web::builder(gate.clone()).tenant(first_segment);
    let why = |built: Result<Web, BuildError>| built.err();
    assert_eq!(why(web(&gate).build()), Some(BuildError::NoTransport));
    assert_eq!(why(web(&gate).trusting(proxies()).build()), None);
    assert_eq!(why(web(&gate).tls_here().build()), None);
    let without = Web::builder(gate.clone()).tls_here().build();
    assert_eq!(why(without), Some(BuildError::NoTenantFunction));
    for open in ["0.0.0.0:8080", "[::]:8080", "192.168.1.2:8080", "[::ffff:10.0.0.1]:8080"] {
        let built = web(&local).insecure_loopback(listener(open)).build();
        assert_eq!(why(built), Some(BuildError::NotLoopback), "{open}");
    }
    for closed in ["127.0.0.1:8080", "[::1]:8080"] {
        assert_eq!(why(web(&local).insecure_loopback(listener(closed)).build()), None);
        // The gate's links would lead to https, or the other way round.
        let built = web(&gate).insecure_loopback(listener(closed)).build();
        assert_eq!(why(built), Some(BuildError::OriginScheme));
    }
    assert_eq!(why(web(&local).tls_here().build()), Some(BuildError::OriginScheme));
}

/// One request over a real connection; the response's head and body.
async fn over_tcp(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

async fn serve(listener: TcpListener, web: Web) {
    let service = web.protect(pages()).into_make_service_with_connect_info::<Connection>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
}

#[tokio::test]
async fn plain_http_over_a_real_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = TestGate::open(policy());
    gate.add("ada@acme.example", "staff", PASSWORD);
    let token = gate.sign_in("ada@acme.example", PASSWORD);
    let web = Web::builder(gate.gate.clone()).tenant(first_segment).trusting(proxies());
    serve(listener, web.build().unwrap()).await;
    let cookie =
        format!("Host: portal.example\r\nCookie: __Host-Http-sid={}\r\n", token.token().expose());
    for headers in [cookie.clone(), format!("{cookie}X-Forwarded-Proto: https\r\n")] {
        let response = over_tcp(address, "/acme/me", &headers).await;
        assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{response}");
        assert!(response.ends_with(
            "\r\n\r\nThis service is to be used over HTTPS only.\ntransport.insecure\n"
        ));
        assert!(!response.contains("u-ada") && !response.contains("set-cookie"), "{response}");
    }
}

#[tokio::test]
async fn insecure_loopback_over_a_real_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = on_loopback(address.port()).await;
    gate.add("ada@acme.example", "staff", PASSWORD);
    let token = gate.sign_in("ada@acme.example", PASSWORD);
    let web = Web::builder(gate.gate.clone())
        .tenant(first_segment)
        .insecure_loopback(address)
        .clock(gate.clock.clone());
    serve(listener, web.build().unwrap()).await;
    let host = format!("Host: localhost:{}\r\n", address.port());
    let token = token.token().expose();
    let cookie = format!("{host}Cookie: insecure-loopback-sid={token}\r\n");
    let response = over_tcp(address, "/acme/me", &cookie).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("u-ada@acme.example"), "{response}");
    // The protected cookie's name is not used here.
    let cookie = format!("{host}Cookie: __Host-Http-sid={token}\r\n");
    let response = over_tcp(address, "/acme/me", &cookie).await;
    assert!(response.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{response}");
    let page = over_tcp(address, "/acme/login", &host).await;
    assert!(page.contains("set-cookie: insecure-loopback-pre="), "{page}");
    assert!(!page.contains("; Secure") && page.contains("; HttpOnly; SameSite=Lax"), "{page}");
    let response = over_tcp(address, "/acme/source", &format!("{host}Via: 1.1 x\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{response}");
    let response = over_tcp(address, "/acme/source", &host).await;
    assert!(response.ends_with("\r\n\r\n127.0.0.1"), "{response}");
}
