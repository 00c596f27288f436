//! TLS: with a server that somebody trusted vouches for, and with no other.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use common::{PATIENT, config, fresh, key, put, save, value};
use vouchsafe_store::{Cells, Durability, Swap};
use vouchsafe_store_postgres::tokio_postgres::{NoTls, config::SslMode};
use vouchsafe_store_postgres::{PostgresBuilder, PostgresError, PostgresStore};
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{Authority, PostgresServer, block_on};

/// A server that takes no connection without TLS, and who vouches for it.
struct Guarded {
    server: PostgresServer,
    authority: Authority,
}

impl Guarded {
    fn start(settings: &[&str]) -> Self {
        let (server, authority) = (PostgresServer::with(settings), Authority::new("ours"));
        let (certificate, key) = authority.vouch_for("127.0.0.1");
        server.require_tls(&certificate, &key, None);
        Self { server, authority }
    }

    fn builder(&self) -> PostgresBuilder {
        common::builder(&self.server.url(), "public")
    }

    fn trusting(&self) -> PostgresBuilder {
        self.builder().trust(self.authority.pem())
    }
}

fn refused(builder: PostgresBuilder) -> PostgresError {
    block_on(builder.open()).map(drop).unwrap_err()
}

mod over_tls {
    use super::*;
    use std::sync::OnceLock;

    fn make() -> impl Fn() -> PostgresStore {
        static SHARED: OnceLock<Guarded> = OnceLock::new();
        let settings = &["fsync=off", "full_page_writes=off"];
        let guarded = SHARED.get_or_init(|| Guarded::start(settings));
        let schema = guarded.server.fresh_schema();
        move || {
            let store = guarded.trusting().schema(&schema).danger_accept_unsynced();
            common::open(store.max_bytes(8 << 20))
        }
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

/// The server itself says how many of its connections are encrypted, and how many are not.
fn encrypted(server: &PostgresServer) -> (usize, usize) {
    let query = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let counts = server.psql(query);
    let (over, plain) = counts.split_once('|').unwrap();
    (over.parse().unwrap(), plain.parse().unwrap())
}

#[test]
fn it_serves_over_tls_and_finds_the_server_again() {
    let guarded = Guarded::start(&[]);
    let store = common::open(guarded.trusting());
    assert_eq!(store.durability(), Durability::Durable);
    let first = save(&store, key(1), b"first");
    assert!(eventually(|| encrypted(&guarded.server) == (4, 0)), "the four of the store");
    guarded.server.restart();
    assert!(eventually(|| block_on(store.load(key(1))).is_ok()));
    assert_eq!(value(&store, key(1)).unwrap(), b"first");
    let swap = block_on(store.swap(key(1), Some(first), put(b"second"))).unwrap();
    assert_eq!(swap, Swap::Done);
    assert_eq!(encrypted(&guarded.server).1, 0);
}

#[test]
fn a_server_that_nobody_trusted_vouches_for_is_refused() {
    let guarded = Guarded::start(&[]);
    let other = Authority::new("another");
    let says = |builder: PostgresBuilder, what: &str| match refused(builder) {
        PostgresError::Untrusted { reason } => assert!(reason.contains(what), "{reason}"),
        error => panic!("{error}"),
    };
    says(guarded.builder().trust(other.pem()), "UnknownIssuer");
    // Vouched for, under another name.
    let elsewhere = guarded.server.url().replace("127.0.0.1", "localhost");
    let elsewhere = common::builder(&elsewhere, "public").trust(guarded.authority.pem());
    says(elsewhere, "not valid for name");
    common::open(guarded.trusting());
}

/// A store that is open when somebody else's server takes its server's place.
#[test]
fn a_stranger_in_the_servers_place_is_not_spoken_to() {
    let guarded = Guarded::start(&[]);
    let store = common::open(guarded.trusting());
    save(&store, key(1), b"ours");
    let (certificate, theirs) = Authority::new("another").vouch_for("127.0.0.1");
    guarded.server.require_tls(&certificate, &theirs, None);
    // The store's own attempts: nobody else knocks.
    let log = guarded.server.folder().join("server.log");
    let said = || std::fs::read_to_string(&log).unwrap();
    assert!(eventually(|| said().contains("could not accept SSL connection")), "{}", said());
    let (certificate, ours) = guarded.authority.vouch_for("127.0.0.1");
    guarded.server.require_tls(&certificate, &ours, None);
    assert_eq!(value(&store, key(1)).unwrap(), b"ours", "known again");
}

#[test]
fn nothing_goes_on_in_plain_text() {
    let guarded = Guarded::start(&[]);
    // A server that demands TLS does not serve without, and says so.
    match refused(guarded.builder()) {
        PostgresError::Refused { reason } => {
            assert!(reason.contains("no encryption") && reason.contains("28000"), "{reason}");
        }
        error => panic!("{error}"),
    }
    // A store that demands TLS does not connect to a server without.
    let plain = PostgresServer::start();
    let to_plain = || common::builder(&plain.url(), "public");
    match refused(to_plain().trust(guarded.authority.pem())) {
        PostgresError::Refused { reason } => assert!(reason.contains("TLS"), "{reason}"),
        error => panic!("{error}"),
    }
    common::open(to_plain());
}

#[test]
fn whom_to_trust_has_to_be_said_and_makes_no_sense_without_tls() {
    let authority = Authority::new("ours");
    // Nobody is asked.
    let builder = || common::builder("postgres://vouchsafe@127.0.0.1:1/vouchsafe", "public");
    let wrong = |builder| match refused(builder) {
        PostgresError::Tls(_) => {}
        error => panic!("{error}"),
    };
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        wrong(builder().trust(pem));
    }
    let (certificate, secret) = authority.vouch_for("client");
    wrong(builder().identity(&certificate, &secret));
    wrong(builder().trust(authority.pem()).identity(&certificate, "no key"));
    wrong(builder().trust(authority.pem()).identity("no certificate", &secret));
    wrong(builder().trust(authority.pem()).tls(NoTls));
    let mode = |mode| {
        let mut config = config("postgres://vouchsafe@127.0.0.1:1/vouchsafe");
        config.ssl_mode(mode);
        PostgresStore::builder(config).connect_timeout(PATIENT)
    };
    wrong(mode(SslMode::Disable).trust(authority.pem()));
    wrong(mode(SslMode::Require));
}

#[test]
fn a_certificate_of_ones_own_is_shown_where_the_server_asks_for_it() {
    let guarded = Guarded::start(&[]);
    let (certificate, secret) = guarded.authority.vouch_for("127.0.0.1");
    guarded.server.require_tls(&certificate, &secret, Some(guarded.authority.pem()));
    let asked = |builder| match refused(builder) {
        PostgresError::Refused { reason } => reason,
        error => panic!("{error}"),
    };
    assert!(asked(guarded.trusting()).contains("certificate"));
    let other = Authority::new("another");
    let (certificate, secret) = other.vouch_for("vouchsafe");
    asked(guarded.trusting().identity(certificate, secret));
    let (certificate, secret) = guarded.authority.vouch_for("vouchsafe");
    let store = common::open(guarded.trusting().identity(certificate, secret));
    assert!(block_on(store.load(key(1))).unwrap().cell.is_none());
    let swapped = block_on(store.swap(key(1), Some(fresh()), put(b"nobody's"))).unwrap();
    assert!(matches!(swapped, Swap::Conflict(_)));
}
