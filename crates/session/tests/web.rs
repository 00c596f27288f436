//! The readers of request headers, against tables of hostile ones.
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

use common::*;
use vouchsafe_crypto::RootKey;
use vouchsafe_session::{
    Binding, Cookie, CookieRead, CsrfDecision, CsrfKeys, CsrfRefusal, LinkOrigin, MAX_HEADER,
    PRE_LOGIN_LIFETIME, RequestFacts, SameSite, SessionId, decide,
};

const N: &str = "__Host-Http-sid";

#[test]
fn hostile_cookie_headers() {
    let cookie = Cookie::session();
    let mut shapes = 0;
    let mut expect = |header: &[u8], read: CookieRead<'_>| {
        shapes += 1;
        let shown = String::from_utf8_lossy(header);
        assert!(cookie.read([header]) == read, "{shown}: {:?}", cookie.read([header]));
        // Whatever a neighbour is, it neither hides ours nor stands in for it.
        let beside = [header, b"; other=1"].concat();
        assert!(cookie.read([&beside[..]]) == read, "{shown} beside another");
    };
    for text in [
        "{}=abc",
        " {}=abc ",
        "\t{}\t=\tabc\t",
        ";;{}=abc;",
        "a=b;{}=abc",
        "x; {}=abc",
        "é=1; {}=abc",
        "=x; {}=abc",
        "{}=abc; {}=abc",
        "$Version=1; {}=abc",
    ] {
        expect(text.replace("{}", N).as_bytes(), CookieRead::Value(b"abc"));
    }
    expect(format!("{N}=A-9_z").as_bytes(), CookieRead::Value(b"A-9_z"));
    expect(&[b"\xff\xfe=\x80; ", N.as_bytes(), b"=abc"].concat(), CookieRead::Value(b"abc"));
    // Names that some readers take for ours.
    for name in [
        "__%48ost-Http-sid",
        "%5f_Host-Http-sid",
        "__Host-Http-si%64",
        "__Host%2DHttp-sid",
        "__host-Http-sid",
        "__HOST-HTTP-SID",
        "__Host-http-sid",
        "__Host-Http-SID",
        "__Host-sid",
        "__Http-sid",
        "__Secure-sid",
        "sid",
        "Host-Http-sid",
        "_Host-Http-sid",
        "__Host-Http-sid2",
        "x__Host-Http-sid",
        "__Host-Http-",
        "__HostHttp-sid",
        "__Host_Http_sid",
        "__Host.Http.sid",
        "__Host-Http-sid[]",
        "__Host-Http-sid.x",
        "\"__Host-Http-sid\"",
        "'__Host-Http-sid'",
        "$__Host-Http-sid",
        "__Host-Http-sid\0",
        "\0__Host-Http-sid",
        "\u{b}__Host-Http-sid",
        "\u{c}__Host-Http-sid",
        "\u{85}__Host-Http-sid",
        "\u{a0}__Host-Http-sid",
        "\u{1680}__Host-Http-sid",
        "\u{2000}__Host-Http-sid",
        "\u{2003}__Host-Http-sid",
        "\u{2009}__Host-Http-sid",
        "\u{2028}__Host-Http-sid",
        "\u{202f}__Host-Http-sid",
        "\u{205f}__Host-Http-sid",
        "\u{3000}__Host-Http-sid",
        "\u{feff}__Host-Http-sid",
        "\u{200b}__Host-Http-sid",
        "__Host-Http-sid\u{a0}",
        "__Host-Http-sid\u{2000}",
        "\r__Host-Http-sid",
        "\n__Host-Http-sid",
        "__Ηost-Http-sid",
        "__Host-Http-sіd",
        "__Host‐Http-sid",
        "＿＿Host-Http-sid",
        "__Host -Http-sid",
    ] {
        expect(format!("{name}=abc").as_bytes(), CookieRead::Absent);
    }
    expect(b"\xa0__Host-Http-sid=abc", CookieRead::Absent);
    expect(b"\x85__Host-Http-sid=abc", CookieRead::Absent);
    expect(b"=__Host-Http-sid=abc", CookieRead::Absent);
    expect(b"__Host-Http-sid", CookieRead::Absent);
    expect(b"a=__Host-Http-sid=abc", CookieRead::Absent);
    expect(b"a=\"; b=1", CookieRead::Absent);
    expect(b"", CookieRead::Absent);
    expect(b";;;;", CookieRead::Absent);
    expect(b"__Host-Http-sid,x=abc", CookieRead::Absent);
    for value in [
        "",
        "\"abc\"",
        "\"abc",
        "a b",
        "a,b",
        "a\\b",
        "abc=",
        "%61bc",
        "a+b",
        "a/b",
        "a.b",
        "é",
        "abc\0",
        "abc\r",
        "\u{a0}abc",
        "a\tb",
        "[abc]",
        "abc,__Host-Http-sid=x",
    ] {
        expect(format!("{N}={value}").as_bytes(), CookieRead::Malformed);
    }
    expect(format!("{N}={}", "a".repeat(257)).as_bytes(), CookieRead::Malformed);
    for twice in ["{}=a; {}=b", "{}=; {}=b", "{}=a; x=1; {}=aa", "{}=a;{}=\"a\"", "{}=a; {}=A"] {
        expect(twice.replace("{}", N).as_bytes(), CookieRead::Ambiguous);
    }
    assert!(shapes >= 80, "{shapes}");
}

#[test]
fn several_and_oversize_headers() {
    let cookie = Cookie::session();
    let (one, two) = (format!("{N}=a"), format!("{N}=b"));
    assert!(cookie.read([one.as_bytes(), b"x=1"]) == CookieRead::Value(b"a"));
    assert!(cookie.read([one.as_bytes(), two.as_bytes()]) == CookieRead::Ambiguous);
    let room = MAX_HEADER - one.len();
    for (length, read) in [(room, CookieRead::Value(b"a")), (room + 1, CookieRead::TooLarge)] {
        let filler = vec![b';'; length];
        assert!(cookie.read([one.as_bytes(), &filler]) == read, "{length}");
    }
}

#[test]
fn set_cookie_says_all_that_its_name_promises() {
    let (token, _) = fresh(&seeded(1));
    let session = Cookie::session();
    let header = session.set(&token, None).unwrap();
    let expected = format!("{N}={}; Path=/; Secure; HttpOnly; SameSite=Lax", token.expose());
    assert_eq!(header.expose(), expected);
    assert!(!format!("{header:?}").contains(token.expose()));
    let strict = session.clone().same_site(SameSite::Strict);
    let cleared = format!("{N}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    assert_eq!(strict.clear().expose(), cleared);
    let most = Duration::from_secs(400 * 86_400);
    assert!(session.set(&token, Some(most)).is_ok());
    assert!(session.set(&token, Some(most + MICRO)).is_err());
    let least = Duration::from_secs(1);
    assert!(session.set(&token, Some(least)).unwrap().expose().ends_with("; Max-Age=1"));
    assert!(session.set(&token, Some(least - MICRO)).is_err());
    let loopback = session.insecure_loopback();
    assert!(loopback.clear().expose().starts_with("insecure-loopback-sid=; Path=/; HttpOnly"));
}

#[test]
fn a_suffix_makes_a_name_of_its_own() {
    let longest = "a".repeat(64);
    for good in ["a", "acme-2_x.y~z", longest.as_str()] {
        let cookie = Cookie::session().suffixed(good).unwrap();
        assert_eq!(cookie.name(), format!("{N}-{good}"));
    }
    let long = "a".repeat(65);
    for bad in ["", long.as_str(), "a b", "a;b", "a=b", "a,b", "é", "a\r\nb"] {
        assert!(Cookie::session().suffixed(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_was_read_shows_without_its_value() {
    let shown = [
        (CookieRead::Absent, "Absent"),
        (CookieRead::Value(b"abc"), "Value(..)"),
        (CookieRead::Malformed, "Malformed"),
        (CookieRead::Ambiguous, "Ambiguous"),
        (CookieRead::TooLarge, "TooLarge"),
    ];
    for (read, text) in shown {
        assert_eq!(format!("{read:?}"), text);
    }
}

#[test]
fn request_shapes() {
    use CsrfDecision::{NoBrowser, OwnOrigin, Refused, Safe};
    use CsrfRefusal::{CrossSite, ForeignOrigin, Malformed, NoEvidence, SameSite};
    let own = [LinkOrigin::new("https://app.example.com").unwrap()];
    let mine: &[u8] = b"https://app.example.com";
    let sites: [(&[&[u8]], Option<CsrfDecision>); 8] = [
        (&[], None),
        (&[b"same-origin"], Some(OwnOrigin)),
        (&[b"none"], Some(OwnOrigin)),
        (&[b"same-site"], Some(Refused(SameSite))),
        (&[b"cross-site"], Some(Refused(CrossSite))),
        (&[b"Same-Origin"], Some(Refused(Malformed))),
        (&[b""], Some(Refused(Malformed))),
        (&[b"same-origin", b"same-origin"], Some(Refused(Malformed))),
    ];
    let origins: [&[&[u8]]; 8] = [
        &[],
        &[mine],
        &[b"null"],
        &[b"https://evil.example"],
        &[b"http://app.example.com"],
        &[b"https://app.example.com.evil.example"],
        &[b"https://app.example.com:444"],
        &[mine, mine],
    ];
    let mut shapes = 0;
    for (sec_fetch_site, by_site) in sites {
        for (kind, origin) in origins.into_iter().enumerate() {
            for has_cookie in [false, true] {
                for method in [&b"GET"[..], b"HEAD", b"OPTIONS"] {
                    let facts = RequestFacts { method, sec_fetch_site, origin, has_cookie };
                    assert_eq!(decide(&facts, &own), Safe);
                }
                let expected = match (by_site, kind) {
                    (_, 7) => Refused(Malformed),
                    (Some(OwnOrigin), 0..=2) | (None, 1) => OwnOrigin,
                    (Some(OwnOrigin), _) => Refused(ForeignOrigin),
                    (Some(refused), _) => refused,
                    (None, 0) if has_cookie => Refused(NoEvidence),
                    (None, 0) => NoBrowser,
                    (None, _) => Refused(ForeignOrigin),
                };
                for method in [&b"POST"[..], b"get", b"DELETE"] {
                    let facts = RequestFacts { method, sec_fetch_site, origin, has_cookie };
                    assert_eq!(decide(&facts, &own), expected, "{facts:?}");
                }
                shapes += 1;
            }
        }
    }
    assert!(shapes >= 60);
}

#[test]
fn form_tokens_are_bound_and_masked() {
    let (keys, random) = (CsrfKeys::new(&RootKey::new(&[8; 32])), seeded(1));
    let (mine, other) =
        (Binding::Session(SessionId::new([1; 16])), Binding::Session(SessionId::new([2; 16])));
    let token = keys.token(&mine, &random).unwrap();
    let text = token.expose().as_bytes();
    assert!(keys.verify(&mine, text) && !keys.verify(&other, text));
    assert_ne!(token.expose(), keys.token(&mine, &random).unwrap().expose());
    let foreign = CsrfKeys::new(&RootKey::new(&[9; 32]));
    assert!(!foreign.verify(&mine, text));
    assert!(!keys.verify(&mine, b"") && !keys.verify(&mine, &text[1..]));
}

#[test]
fn before_sign_in_a_signed_cookie_stands_in() {
    let (keys, random) = (CsrfKeys::new(&RootKey::new(&[8; 32])), seeded(1));
    let (cookie, id) = keys.pre_login(at(0), &random).unwrap();
    let (_, other) = keys.pre_login(at(0), &random).unwrap();
    let text = cookie.expose().as_bytes();
    // Half a day.
    assert_eq!(PRE_LOGIN_LIFETIME, Duration::from_secs(43_200));
    let end = at(0).after(PRE_LOGIN_LIFETIME);
    assert_eq!(format!("{id:?} {keys:?}"), "PreLoginId(..) CsrfKeys(..)");
    assert_eq!(keys.read_pre_login(text, end.before(MICRO)), Ok(id));
    assert!(keys.read_pre_login(text, end).is_err());
    for at_byte in 0..text.len() {
        let mut changed = text.to_vec();
        changed[at_byte] = if changed[at_byte] == b'A' { b'B' } else { b'A' };
        assert!(keys.read_pre_login(&changed, at(0)).is_err(), "{at_byte}");
    }
    let form = keys.token(&Binding::PreLogin(id), &random).unwrap();
    assert!(keys.verify(&Binding::PreLogin(id), form.expose().as_bytes()));
    assert!(!keys.verify(&Binding::PreLogin(other), form.expose().as_bytes()));
}
