//! Any record there can be, and a plain one.
#![allow(dead_code, reason = "each test binary uses a part")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use vouchsafe_access_log::{Actor, Name, Operation, Outcome, Record, Target, Text, Url, name};
use vouchsafe_core::{
    AccountDigest, Address, ClauseId, PolicyDigest, Source, TenantId, Timestamp, Unavailable,
    UserId,
};

/// Text with a liking for what breaks lines, cells and terminals.
pub fn raw() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        '\r', '\n', '\u{85}', '\u{2028}', '\u{2029}', '\0', '\u{1b}', '\u{202e}', '\u{2066}', '"',
        '\'', ',', ';', '=', '+', '-', '@', '\t', '\\', '{', '}', '&', '=', '＝', 'u', '0',
    ]);
    vec(prop_oneof![nasty, any::<char>()], 1..40).prop_map(|text| text.into_iter().collect())
}

pub fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z][A-Za-z0-9._-]{0,63}".prop_map(|text| Name::new(text).unwrap())
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[=+@-]?[a-zA-Z0-9é\"',]{1,20}", raw()]
}

fn url() -> impl Strategy<Value = Url> {
    let pairs = vec((name(), raw()), 0..10);
    (raw(), pairs, vec(name(), 0..3)).prop_filter_map("not a path", |(path, pairs, extra)| {
        let query: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let allowed: Vec<Name> = pairs.into_iter().map(|(key, _)| key).chain(extra).collect();
        Some(Url::new(&format!("/{path}")).ok()?.with_query(&query.join("&"), &allowed))
    })
}

fn source() -> impl Strategy<Value = Source> {
    let address = any::<std::net::IpAddr>().prop_map(Address::new);
    let reasons =
        [Unavailable::Local, Unavailable::Hidden, Unavailable::Unreadable, Unavailable::TooLong];
    prop_oneof![
        address.clone().prop_map(Source::Direct),
        (address, any::<u8>()).prop_map(|(client, hops)| Source::Forwarded { client, hops }),
        prop::sample::select(reasons.to_vec()).prop_map(Source::Unavailable),
    ]
}

pub fn record() -> impl Strategy<Value = Record> {
    let tenant = id().prop_filter_map("no id", |text| TenantId::new(&text).ok());
    let actor = prop_oneof![
        id().prop_filter_map("no id", |text| UserId::new(&text).ok()).prop_map(Actor::User),
        name().prop_map(Actor::Service),
        option::of(any::<[u8; 16]>()).prop_map(|claimed| Actor::Unauthenticated {
            claimed: claimed.map(AccountDigest::new)
        }),
    ];
    let target = prop_oneof![
        url().prop_map(Target::Url),
        (name(), raw()).prop_map(|(kind, id)| Target::Entity { kind, id: Text::new(&id).unwrap() }),
    ];
    let outcome = prop_oneof![
        Just(Outcome::Succeeded),
        name().prop_map(Outcome::Refused),
        name().prop_map(Outcome::Failed),
    ];
    let when = (any::<i64>(), any::<bool>()).prop_map(|(micros, _)| Timestamp::from_micros(micros));
    let under = (any::<[u8; 32]>(), option::of("[A-Za-z][A-Za-z0-9._-]{0,63}"));
    (
        (tenant, actor, target, prop::sample::select(Operation::ALL.to_vec()), outcome),
        (name(), source(), any::<bool>(), when, under),
    )
        .prop_map(|(what, how)| Record {
            tenant: what.0,
            actor: what.1,
            target: what.2,
            operation: what.3,
            outcome: what.4,
            application: how.0,
            source: how.1,
            shared_source: how.2,
            time: how.3,
            policy: PolicyDigest::new(how.4.0),
            clause: how.4.1.map(|clause| ClauseId::new(clause).unwrap()),
            repeats: std::num::NonZeroU32::MIN,
        })
}

/// A record with nothing in it that may be left out.
pub fn bare() -> Record {
    Record {
        tenant: TenantId::new("acme").unwrap(),
        actor: Actor::Unauthenticated { claimed: None },
        target: Target::entity(name!("note"), "x").unwrap(),
        operation: Operation::Read,
        outcome: Outcome::Succeeded,
        application: name!("a"),
        source: Source::Unavailable(Unavailable::Local),
        shared_source: false,
        time: Timestamp::EPOCH,
        policy: PolicyDigest::NONE,
        clause: None,
        repeats: std::num::NonZeroU32::MIN,
    }
}
