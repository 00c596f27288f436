//! TLS: with a server that somebody trusted vouches for, and with no other.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Cells, drive};
use vouchsafe_store_redis::{RedisBuilder, RedisError, RedisStore};
use vouchsafe_testkit::server::{eventually, free_port};
use vouchsafe_testkit::{Authority, RedisServer, SeededEntropy, Tally, TallyEvent, block_on};

const KEY: CellKey = CellKey::new(Space::Account, [7; 16]);

/// A server that speaks TLS on one port, and plainly on another for the test itself.
struct TlsServer {
    server: RedisServer,
    port: u16,
    _claim: fs::File,
    _folder: tempfile::TempDir,
}

impl TlsServer {
    fn start(authority: &Authority, clients: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.vouch_for("127.0.0.1");
        // The server may run as somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (port, claim) = free_port();
        let mut options = vec![format!("tls-port {port}"), format!("tls-auth-clients {clients}")];
        for (option, text) in
            [("cert", certificate.as_str()), ("key", &key), ("ca-cert", authority.pem())]
        {
            let file = folder.path().join(option);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            options.push(format!("tls-{option}-file {}", file.display()));
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let server = RedisServer::with(&options);
        Self { server, port, _claim: claim, _folder: folder }
    }

    fn at(&self, host: &str) -> RedisBuilder {
        let address = format!("rediss://{host}:{}", self.port);
        RedisStore::builder(address).deadline(Duration::from_secs(60))
    }
}

fn refused(builder: RedisBuilder) -> RedisError {
    builder.open().map(drop).unwrap_err()
}

#[test]
fn it_serves_over_tls_and_finds_the_server_again() {
    let authority = Authority::new("ours");
    let tls = TlsServer::start(&authority, "no");
    let store = tls.at("127.0.0.1").trust(authority.pem()).open().unwrap();
    let entropy = SeededEntropy::new(1);
    let add = |id| {
        let event = TallyEvent::Add(id);
        block_on(drive(&store, &entropy, KEY, &Tally, event, Timestamp::EPOCH)).unwrap()
    };
    assert_eq!((1..=20).map(add).max(), Some(20));
    // The server itself says which of its clients came by TLS.
    let stats = tls.server.ask(&["CLIENT", "LIST"]);
    assert!(stats.lines().any(|line| line.contains(&format!("laddr=127.0.0.1:{}", tls.port))));
    tls.server.restart();
    assert!(eventually(|| block_on(store.load(KEY)).is_ok()));
    assert_eq!(store.degraded(), 1);
}

#[test]
fn a_server_that_nobody_trusted_vouches_for_is_refused() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let tls = TlsServer::start(&authority, "no");
    let says = |builder: RedisBuilder, what: &str| match refused(builder) {
        RedisError::Unreachable(reason) => assert!(reason.contains(what), "{reason}"),
        error => panic!("{error}"),
    };
    says(tls.at("127.0.0.1").trust(other.pem()), "UnknownIssuer");
    // Vouched for, under another name.
    says(tls.at("localhost").trust(authority.pem()), "not valid for name");
    // One that speaks plainly is not spoken to plainly, and one that does not is not either.
    let plain = format!("rediss://127.0.0.1:{}", tls.server.port());
    let plain = refused(RedisStore::builder(plain).trust(authority.pem()));
    let unready = refused(RedisStore::builder(format!("redis://127.0.0.1:{}", tls.port)));
    for error in [plain, unready] {
        assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
    }
}

#[test]
fn whom_to_trust_has_to_be_said_and_makes_no_sense_without_tls() {
    let authority = Authority::new("ours");
    let tls = TlsServer::start(&authority, "no");
    let wrong = |builder| assert!(matches!(refused(builder), RedisError::Tls(_)));
    wrong(tls.at("127.0.0.1"));
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        wrong(tls.at("127.0.0.1").trust(pem));
    }
    wrong(RedisStore::builder(tls.server.url()).trust(authority.pem()));
    let (certificate, _) = authority.vouch_for("client");
    let builder = || tls.at("127.0.0.1").trust(authority.pem());
    wrong(builder().identity(&certificate, "no key"));
    wrong(builder().node(tls.server.url()));
}

#[test]
fn a_certificate_of_ones_own_is_shown_where_the_server_asks_for_it() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let tls = TlsServer::start(&authority, "yes");
    let builder = || tls.at("127.0.0.1").trust(authority.pem());
    assert!(matches!(refused(builder()), RedisError::Unreachable(_)));
    let (certificate, key) = other.vouch_for("client");
    assert!(matches!(refused(builder().identity(certificate, key)), RedisError::Unreachable(_)));
    let (certificate, key) = authority.vouch_for("client");
    let store = builder().identity(certificate, key).open().unwrap();
    assert!(block_on(store.load(KEY)).unwrap().cell.is_none());
}

#[test]
fn a_password_is_not_shown() {
    let server = RedisServer::start();
    server.ask(&["ACL", "SETUSER", "vouchsafe", "on", ">hunter2", "~*", "+@all"]);
    let at = |password: &str| {
        let port = server.port();
        RedisStore::open(format!("redis://vouchsafe:{password}@127.0.0.1:{port}"))
    };
    let store = at("hunter2").unwrap();
    assert_eq!(format!("{store:?}"), "RedisStore { prefix: \"vouchsafe\", .. }");
    server.kill();
    let unavailable = block_on(store.load(KEY)).unwrap_err();
    server.restart();
    server.ask(&["ACL", "SETUSER", "vouchsafe", "on", ">other", "~*", "+@all"]);
    let mut shown = vec![format!("{unavailable} {unavailable:?}")];
    let mut refuse = |error: RedisError| shown.push(format!("{error} {error:?}"));
    refuse(at("hunter2").map(drop).unwrap_err());
    let nonsense =
        ["redis://u:hunter2@", "redis://u:hunter2@h:port", "redis//u:hunter2@h", "rediss:hunter2"];
    for address in nonsense {
        refuse(RedisStore::open(address).map(drop).unwrap_err());
    }
    refuse(
        RedisStore::builder(server.url())
            .node("redis://u:hunter2@h:x")
            .open()
            .map(drop)
            .unwrap_err(),
    );
    assert!(shown.iter().all(|text| !text.contains("hunter2")), "{shown:?}");
}
