//! One-time links.
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

use std::sync::Barrier;
use std::time::Duration;

use common::*;
use vouchsafe_core::{AccountDigest, Effect, Identifier, Machine, TenantId, Timestamp};
use vouchsafe_session::{
    AddressDigest, Error, LinkEvent, LinkMachine, LinkOrigin, LinkPolicy, LinkRefusal, LinkVerdict,
    Links, PresentedLink, Purpose, Requester, SessionRefusal, SessionVerdict, Token,
};
use vouchsafe_store::Cells;
use vouchsafe_testkit::runs;

fn machine() -> LinkMachine {
    LinkMachine::new(LinkPolicy::default(), ACCOUNT, 0)
}

fn address(text: &str) -> AddressDigest {
    keys().address(&tenant(), &Identifier::new(text).unwrap())
}

fn home() -> AddressDigest {
    address("ann@example.com")
}

fn issue(purpose: Purpose, by: Requester, seed: u64) -> (Token, LinkEvent) {
    let made = keys().issue_link(&tenant(), ACCOUNT, purpose, &seeded(seed)).unwrap();
    (made.0, LinkEvent::Issue { fresh: made.1, address: home(), by })
}

fn presented(token: &Token, purpose: Purpose) -> PresentedLink {
    keys().open_link(&tenant(), purpose, token.expose().as_bytes()).unwrap()
}

fn peek(link: PresentedLink) -> LinkEvent {
    LinkEvent::Peek { link, address: home() }
}

fn redeem(link: PresentedLink, id: u64) -> LinkEvent {
    LinkEvent::Redeem { link, address: home(), id }
}

fn works(state: &mut Option<Links>, link: PresentedLink, now: Timestamp) -> bool {
    matches!(apply(&machine(), state, &peek(link), now), LinkVerdict::Valid { .. })
}

fn race<C: Cells>(cells: &C, number: u64) {
    let machine = AccountMachine::default();
    let (token, event) = issue(Purpose::Reset, Requester::Stranger, number);
    deliver(cells, &machine, number, AccountEvent::Link(event), at(0));
    let (link, start) = (presented(&token, Purpose::Reset), Barrier::new(64));
    let winners = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64_u64)
            .map(|id| {
                let (machine, start) = (&machine, &start);
                scope.spawn(move || {
                    let password = format!("password {id}");
                    let event = AccountEvent::SetByLink { redeem: redeem(link, id), password };
                    start.wait();
                    match deliver(cells, machine, number, event, at(1)) {
                        AccountVerdict::PasswordSet => 1,
                        AccountVerdict::NotRedeemed(LinkRefusal::Unknown) => 0,
                        other => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    assert_eq!(winners, 1);
}

#[test]
fn of_64_racing_redemptions_one_wins() {
    let (memory, (_dir, sqlite)) = (memory(), sqlite());
    for round in 0..runs(20, 10_000) as u64 {
        race(&memory, round);
    }
    for round in 0..runs(3, 300) as u64 {
        race(&sqlite, round);
    }
}

#[test]
fn a_hundred_peeks_change_nothing() {
    let (mut state, (token, event)) = (None, issue(Purpose::Reset, Requester::Stranger, 1));
    let _ = apply(&machine(), &mut state, &event, at(0));
    let link = presented(&token, Purpose::Reset);
    let before = state.clone();
    for now in 0..100 {
        let (verdict, wrote) = apply_counting(&machine(), &mut state, &peek(link), at(now));
        assert!(matches!(verdict, LinkVerdict::Valid { .. }) && !wrote);
    }
    assert_eq!(state, before);
    let used = apply(&machine(), &mut state, &redeem(link, 1), at(100));
    assert_eq!(used, LinkVerdict::Redeemed);
    // The same redemption again, after a lost answer; and another one.
    let repeated = apply(&machine(), &mut state, &redeem(link, 1), at(101));
    assert_eq!(repeated, LinkVerdict::Redeemed);
    let second = apply(&machine(), &mut state, &redeem(link, 2), at(101));
    assert_eq!(second, LinkVerdict::Refused(LinkRefusal::Unknown));
}

#[test]
fn a_rejected_password_keeps_the_link() {
    let (machine, mut account) = (AccountMachine::default(), None);
    let (token, event) = issue(Purpose::Activation, Requester::Authority, 2);
    let _ = apply(&machine, &mut account, &AccountEvent::Link(event), at(0));
    let link = presented(&token, Purpose::Activation);
    for (password, verdict) in [
        ("short", AccountVerdict::PasswordRejected),
        ("long enough", AccountVerdict::PasswordSet),
        ("long enough too", AccountVerdict::NotRedeemed(LinkRefusal::Unknown)),
    ] {
        let id = password.len() as u64;
        let event =
            AccountEvent::SetByLink { redeem: redeem(link, id), password: password.to_owned() };
        assert_eq!(apply(&machine, &mut account, &event, at(1)), verdict);
    }
    assert_eq!(account.unwrap().password.as_deref(), Some("long enough"));
}

#[test]
fn redeeming_sets_the_password_and_ends_sessions_in_one_swap() {
    let (_dir, store) = sqlite();
    let machine = AccountMachine::default();
    let (_, new) = fresh(&seeded(3));
    let secret = *new.secret();
    deliver(&store, &machine, 1, AccountEvent::Session(open(new, 0, at(0))), at(0));
    let (token, event) = issue(Purpose::Reset, Requester::Stranger, 4);
    deliver(&store, &machine, 1, AccountEvent::Link(event), at(0));
    let before = store.commits();
    let redeem = redeem(presented(&token, Purpose::Reset), 1);
    let event = AccountEvent::SetByLink { redeem, password: "long enough".into() };
    assert_eq!(deliver(&store, &machine, 1, event, at(1)), AccountVerdict::PasswordSet);
    assert_eq!(store.commits() - before, 1);
    let verdict = deliver(&store, &machine, 1, AccountEvent::Session(check(secret)), at(2));
    let gone = SessionVerdict::Refused(SessionRefusal::Unknown);
    assert_eq!(verdict, AccountVerdict::Session(gone));
}

#[test]
fn strangers_links_are_refused() {
    let (mut state, (token, event)) = (None, issue(Purpose::Reset, Requester::Stranger, 5));
    let _ = apply(&machine(), &mut state, &event, at(0));
    let text = token.expose().as_bytes();
    let keys = keys();
    // Another purpose or tenant does not even open.
    for purpose in [Purpose::Activation, Purpose::Unlock, Purpose::EmailChange] {
        assert_eq!(keys.open_link(&tenant(), purpose, text), Err(Error::Token));
    }
    let other = TenantId::new("other").unwrap();
    assert_eq!(keys.open_link(&other, Purpose::Reset, text), Err(Error::Token));
    let link = presented(&token, Purpose::Reset);
    let elsewhere = address("ann@example.org");
    let end = at(0).after(LinkPolicy::default().lifetime(Purpose::Reset));
    let raised = LinkMachine::new(LinkPolicy::default(), ACCOUNT, 1);
    let account = AccountDigest::new([9; 16]);
    let stranger = LinkMachine::new(LinkPolicy::default(), account, 0);
    let before = state.clone();
    for (machine, address, now, refusal) in [
        (&machine(), elsewhere, at(1), LinkRefusal::OtherAddress),
        (&machine(), home(), end, LinkRefusal::Expired),
        (&raised, home(), at(1), LinkRefusal::CredentialChanged),
        (&stranger, home(), at(1), LinkRefusal::OtherAccount),
    ] {
        let refused = LinkVerdict::Refused(refusal);
        let event = LinkEvent::Redeem { link, address, id: 1 };
        assert_eq!(apply(machine, &mut state, &event, now), refused);
        assert_eq!(apply(machine, &mut state, &LinkEvent::Peek { link, address }, now), refused);
    }
    assert_eq!(state, before);
    assert!(works(&mut state, link, end.before(MICRO)));
    // An authority's link takes the place of earlier ones.
    let (_, event) = issue(Purpose::Reset, Requester::Authority, 6);
    let _ = apply(&machine(), &mut state, &event, at(1));
    assert!(!works(&mut state, link, at(1)));
}

#[test]
fn a_stranger_never_ends_a_link() {
    let floor = LinkPolicy::default().resend_floor();
    let (mut state, mut now) = (None, at(0));
    let mut links = Vec::new();
    for seed in 0..3 {
        let (token, event) = issue(Purpose::Reset, Requester::Stranger, seed + 10);
        if seed > 0 {
            let early = apply(&machine(), &mut state, &event, now.before(MICRO));
            let refusal = LinkRefusal::TooSoon { until: now };
            assert_eq!(early, LinkVerdict::Refused(refusal));
        }
        let verdict = apply(&machine(), &mut state, &event, now);
        assert!(matches!(verdict, LinkVerdict::Issued { .. }), "{verdict:?}");
        links.push(presented(&token, Purpose::Reset));
        now = now.after(floor);
    }
    for seed in 20..23 {
        let (_, event) = issue(Purpose::Reset, Requester::Stranger, seed);
        let verdict = apply(&machine(), &mut state, &event, now);
        assert_eq!(verdict, LinkVerdict::Refused(LinkRefusal::TooMany));
        now = now.after(floor);
    }
    for link in &links {
        assert!(works(&mut state, *link, now));
    }
    let bytes = state.as_ref().unwrap().to_bytes();
    assert!(bytes.len() <= Links::MAX_BYTES);
    assert_eq!(Links::from_bytes(&bytes).as_ref(), Ok(state.as_ref().unwrap()));
    for end in 0..bytes.len() {
        assert!(Links::from_bytes(&bytes[..end]).is_err());
    }
    // Using one up ends them all.
    let _ = apply(&machine(), &mut state, &redeem(links[0], 1), now);
    for link in &links {
        assert!(!works(&mut state, *link, now));
    }
}

/// Three links for a reset, asked for by strangers; when a fourth may be asked for.
fn three() -> (Option<Links>, Vec<PresentedLink>, Timestamp) {
    let (mut state, mut now, mut links) = (None, at(0), Vec::new());
    for seed in 40..43 {
        let (token, event) = issue(Purpose::Reset, Requester::Stranger, seed);
        let _ = apply(&machine(), &mut state, &event, now);
        links.push(presented(&token, Purpose::Reset));
        now = now.after(LinkPolicy::default().resend_floor());
    }
    (state, links, now)
}

#[test]
fn what_has_ended_takes_no_room() {
    let (state, _, now) = three();
    let (_, fourth) = issue(Purpose::Reset, Requester::Stranger, 50);
    let issued = |machine: &LinkMachine, now| {
        let verdict = apply(machine, &mut state.clone(), &fourth, now);
        matches!(verdict, LinkVerdict::Issued { .. })
    };
    assert!(!issued(&machine(), now));
    // The first ends by time, or all of them with the password they were sent for.
    let end = at(0).after(LinkPolicy::default().lifetime(Purpose::Reset));
    assert!(!issued(&machine(), end.before(MICRO)) && issued(&machine(), end));
    assert!(issued(&LinkMachine::new(LinkPolicy::default(), ACCOUNT, 1), now));
    // Another purpose has room of its own.
    let (_, other) = issue(Purpose::Unlock, Requester::Stranger, 51);
    let verdict = apply(&machine(), &mut state.clone(), &other, now);
    assert!(matches!(verdict, LinkVerdict::Issued { .. }), "{verdict:?}");
}

#[test]
fn a_link_that_was_never_sent_is_unknown_beside_those_that_were() {
    let (mut state, links, now) = three();
    let (token, event) = issue(Purpose::Reset, Requester::Stranger, 60);
    let verdict = apply(&machine(), &mut state, &redeem(presented(&token, Purpose::Reset), 1), now);
    assert_eq!(verdict, LinkVerdict::Refused(LinkRefusal::Unknown));
    // An authority's takes the place of those of its purpose, and of no other.
    let (unlock, other) = issue(Purpose::Unlock, Requester::Authority, 61);
    let _ = apply(&machine(), &mut state, &other, now);
    let LinkEvent::Issue { fresh, address, .. } = event else { panic!() };
    let by = Requester::Authority;
    let _ = apply(&machine(), &mut state, &LinkEvent::Issue { fresh, address, by }, now);
    assert!(links.iter().all(|link| !works(&mut state, *link, now)));
    assert!(works(&mut state, presented(&token, Purpose::Reset), now));
    assert!(works(&mut state, presented(&unlock, Purpose::Unlock), now));
}

#[test]
fn a_repeated_issue_changes_nothing() {
    let (mut state, (_, event)) = (None, issue(Purpose::Reset, Requester::Stranger, 70));
    let first = apply(&machine(), &mut state, &event, at(0));
    let (again, wrote) = apply_counting(&machine(), &mut state, &event, at(5));
    assert_eq!((again, wrote), (first, false));
}

#[test]
fn withdrawn_links_are_gone_and_what_was_sent_is_remembered() {
    let (mut state, links, now) = three();
    let withdraw = LinkEvent::WithdrawAll;
    let (verdict, wrote) = apply_counting(&machine(), &mut state, &withdraw, now.before(MICRO));
    assert_eq!((verdict, wrote), (LinkVerdict::Withdrawn, true));
    assert!(links.iter().all(|link| !works(&mut state, *link, now.before(MICRO))));
    let (verdict, wrote) = apply_counting(&machine(), &mut state, &withdraw, now.before(MICRO));
    assert_eq!((verdict, wrote), (LinkVerdict::Withdrawn, false));
    let (_, event) = issue(Purpose::Reset, Requester::Stranger, 80);
    let verdict = apply(&machine(), &mut state, &event, now.before(MICRO));
    assert_eq!(verdict, LinkVerdict::Refused(LinkRefusal::TooSoon { until: now }));
}

#[test]
fn links_are_kept_as_long_as_they_matter() {
    let policy = LinkPolicy::default();
    let (token, event) = issue(Purpose::Reset, Requester::Stranger, 90);
    let kept = |state: Option<&Links>, event: &LinkEvent, now| {
        let (effect, _) = machine().step(state, event, now).split();
        let Effect::Save { state, until } = effect else { panic!("{effect:?}") };
        assert_eq!(state.needed_until(&policy), until);
        (state, until)
    };
    let (state, until) = kept(None, &event, at(7));
    assert_eq!(until, at(7).after(policy.lifetime(Purpose::Reset)));
    // Once used, only until another may be sent.
    let redeem = redeem(presented(&token, Purpose::Reset), 1);
    let (_, until) = kept(Some(&state), &redeem, at(9));
    assert_eq!(until, at(7).after(policy.resend_floor()));
}

#[test]
fn stored_links_are_few_and_no_two_alike() {
    // 1 for the version, 8 for the latest moment, 9 for each purpose sent or else 1, 9 or 1 for the
    // last redemption, 1 for their number; 81 for each: purpose 1, selector 16, verifier 32, address
    // 16, generation 8, end 8.
    let bytes = three().0.unwrap().to_bytes();
    let head = bytes.len() - 3 * 81;
    assert_eq!((head, bytes[head - 1]), (8 + 1 + 9 + 3 + 1 + 1, 3));
    let reads = |bytes: &[u8]| Links::from_bytes(bytes).is_ok();
    assert!(reads(&bytes));
    let mut twice = bytes.clone();
    twice.copy_within(head + 1..head + 17, head + 81 + 1);
    assert!(!reads(&twice), "one selector twice");
    let mut four = bytes.clone();
    four.extend_from_within(head..head + 81);
    four[head - 1] = 4;
    let fourth = head + 3 * 81;
    four[fourth + 1] ^= 1;
    assert!(!reads(&four), "four for one purpose");
    // Activation is 1, unlock 3.
    for code in [1, 3] {
        four[fourth] = code;
        assert!(reads(&four), "a fourth for another purpose");
    }
    four[fourth] = 0xff;
    assert!(!reads(&four), "no purpose");
    let mut version = bytes.clone();
    version[0] = 2;
    assert!(!reads(&version));
}

#[test]
fn the_longest_state_is_what_it_is_said_to_be() {
    let time = 7_i64.to_be_bytes();
    let some = [&[1][..], &time].concat();
    let mut bytes = [&[1][..], &time, &some.repeat(5), &[12]].concat();
    for number in 0..12_u8 {
        bytes.extend(
            [&[number / 3 + 1][..], &[number; 16], &[0; 32], &[0; 16], &[0; 8], &time].concat(),
        );
    }
    assert_eq!(bytes.len(), Links::MAX_BYTES);
    let links = Links::from_bytes(&bytes).unwrap();
    assert_eq!(links.to_bytes(), bytes);
    assert_eq!(links.needed_until(&LinkPolicy::default()), at(7).after(Duration::from_secs(300)));
}

#[test]
fn a_link_opens_no_session() {
    // There is no event that turns a link into a session: the types take a proof of sign-in.
    let (machine, mut account) = (AccountMachine::default(), None);
    let (token, event) = issue(Purpose::Activation, Requester::Authority, 30);
    let _ = apply(&machine, &mut account, &AccountEvent::Link(event), at(0));
    let text = token.expose().as_bytes();
    assert_eq!(keys().open(&tenant(), text), Err(Error::Token));
    let redeem = redeem(presented(&token, Purpose::Activation), 1);
    let event = AccountEvent::SetByLink { redeem, password: "long enough".into() };
    assert_eq!(apply(&machine, &mut account, &event, at(1)), AccountVerdict::PasswordSet);
    assert_eq!(account.unwrap().sessions, None);
}

#[test]
fn policies_stay_within_a_day_and_above_the_floor() {
    let day = Duration::from_secs(86_400);
    let built = LinkPolicy::builder().lifetime(Purpose::Reset, day).build();
    assert!(built.is_ok());
    let late = LinkPolicy::builder()
        .lifetime(Purpose::Reset, day + MICRO)
        .resend_floor(Duration::from_secs(300) - MICRO)
        .build();
    let Err(Error::Policy(problems)) = late else { panic!("{late:?}") };
    assert_eq!(problems.len(), 2);
}

#[test]
fn hosts_and_ports_are_what_they_say() {
    let (label, host) = ("a".repeat(63), [&*"a".repeat(63); 3].join(".") + "." + &"b".repeat(61));
    assert_eq!(host.len(), 253);
    for (rest, good) in [
        ("[2001:db8::1]", true),
        ("[2001:db8::1]:8443", true),
        ("[::1]x", false),
        ("[127.0.0.1]", false),
        ("a.b-c.example", true),
        ("-a.example", false),
        ("a-.example", false),
        ("a..b", false),
        ("a_b", false),
        (&*label, true),
        (&*(label.clone() + "a"), false),
        (&*host, true),
        (&*(host.clone() + "b"), false),
        ("host:1", true),
        ("host:65535", true),
        ("host:65536", false),
        ("host:080", false),
        ("host:+80", false),
        ("host:8a", false),
    ] {
        assert_eq!(LinkOrigin::new(&format!("https://{rest}")).is_ok(), good, "{rest}");
    }
    for (origin, good) in [
        ("http://[::1]", true),
        ("http://127.8.9.10:81", true),
        ("http://portal.localhost", true),
        ("http://[2001:db8::1]", false),
        ("http://192.0.2.1", false),
    ] {
        let built = LinkOrigin::new(origin);
        assert_eq!(built.is_ok(), good, "{origin}");
        assert!(built.is_ok_and(|origin| origin.is_insecure_loopback()) == good);
    }
    assert!(!LinkOrigin::new("https://localhost").unwrap().is_insecure_loopback());
    let origin = LinkOrigin::new("https://host").unwrap();
    let (token, _) = issue(Purpose::Reset, Requester::Stranger, 41);
    for (path, good) in [("/a.b/c-D_9~e", true), ("/a/.", false), ("/a/", false), ("/%41", false)] {
        assert_eq!(origin.link(path, &token).is_ok(), good, "{path}");
    }
}

#[test]
fn origins_are_https_or_loopback() {
    for (text, kept) in [
        ("https://app.example.com", "https://app.example.com"),
        ("https://App.Example.com:8443/", "https://app.example.com:8443"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:80", "http://[::1]"),
    ] {
        assert_eq!(LinkOrigin::new(text).unwrap().as_str(), kept);
    }
    for text in [
        "http://app.example.com",
        "app.example.com",
        "ftp://localhost",
        "https://",
        "https://user@host",
        "https://host/path",
        "https://host?x",
        "https://host#x",
        "https://ho st",
        "https://host:0",
        "https://host:99999",
        "https://host:",
        "https://[::1",
        "https://[zz]",
        "http://localhost.evil.example",
        "https://höst",
    ] {
        assert!(matches!(LinkOrigin::new(text), Err(Error::Origin(_))), "{text}");
    }
    let (token, _) = issue(Purpose::Reset, Requester::Stranger, 40);
    let origin = LinkOrigin::new("https://app.example.com").unwrap();
    let link = origin.link("/reset", &token).unwrap();
    assert_eq!(link.expose(), format!("https://app.example.com/reset/{}", token.expose()));
    for path in ["", "reset", "//evil", "/a/../b", "/a?b", "/a b", "/"] {
        assert!(origin.link(path, &token).is_err(), "{path}");
    }
}
