//! TLS as a host gives it: all connections have it, and none is made where it is not to be had.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::{key, save, value};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use vouchsafe_store_postgres::tokio_postgres::config::SslMode;
use vouchsafe_store_postgres::tokio_postgres::tls::{
    ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream,
};
use vouchsafe_store_postgres::tokio_postgres::{Config, Socket};
use vouchsafe_store_postgres::{PostgresBuilder, PostgresError, PostgresStore};
use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{PostgresServer, block_on};

/// What a host's crate for TLS does: rustls over tokio-postgres.
#[derive(Clone)]
struct Rustls(Arc<ClientConfig>);

impl Rustls {
    fn trusting(authority: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        Self(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}

struct Connect(TlsConnector, ServerName<'static>);

struct Stream(client::TlsStream<Socket>);

impl MakeTlsConnect<Socket> for Rustls {
    type Stream = Stream;
    type TlsConnect = Connect;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Connect, InvalidDnsNameError> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(Connect(TlsConnector::from(Arc::clone(&self.0)), name))
    }
}

impl TlsConnect<Socket> for Connect {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move { Ok(Stream(self.0.connect(self.1, socket).await?)) })
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// An authority of the test's own, and its name in PEM.
fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A file of the server's own that nobody else reads; its path.
fn write(server: &PostgresServer, name: &str, text: &str) -> String {
    let mut shell = server.command("sh");
    shell.args(["-c", "umask 077; cat > \"$0\"", name]).stdin(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    server.folder().join(name).display().to_string()
}

#[test]
fn all_connections_have_it_or_there_is_none() {
    let ((issuer, ours), (_, others)) = (authority("ours"), authority("another"));
    let server = PostgresServer::start();
    let config = || {
        let mut config: Config = common::config(&server.url());
        config.ssl_mode(SslMode::Require).application_name("tls");
        config
    };
    let builder = || {
        let builder = PostgresStore::builder(config()).connections(4);
        builder.deadline(common::PATIENT).connect_timeout(common::PATIENT)
    };
    let refused = |builder: PostgresBuilder| {
        let refused = block_on(builder.open()).unwrap_err();
        assert!(matches!(refused, PostgresError::Refused { .. }), "{refused}");
        refused.to_string()
    };
    // The server does not speak it yet.
    refused(builder().tls(Rustls::trusting(&ours)));
    let key_pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key_pair, &issuer).unwrap().pem();
    let certificate = write(&server, "certificate.pem", &certificate);
    let secret = write(&server, "key.pem", &key_pair.serialize_pem());
    server.psql(&format!("ALTER SYSTEM SET ssl_cert_file = '{certificate}'"));
    server.psql(&format!("ALTER SYSTEM SET ssl_key_file = '{secret}'"));
    server.psql("ALTER SYSTEM SET ssl = on");
    server.psql("SELECT pg_reload_conf()");
    assert!(eventually(|| server.psql("SHOW ssl") == "on"));
    let store = block_on(builder().tls(Rustls::trusting(&ours)).open()).unwrap();
    save(&store, key(1), b"x");
    assert_eq!(value(&store, key(1)).unwrap(), b"x");
    let all = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'tls'";
    assert!(eventually(|| server.psql(all) == "4|t"), "{}", server.psql(all));
    // Whoever is not trusted, and who was given no TLS at all.
    assert!(refused(builder().tls(Rustls::trusting(&others))).contains("UnknownIssuer"));
    refused(builder());
}
