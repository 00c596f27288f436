//! TLS as a host gives it: all connections have it, and none is made where it is not to be had.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::{key, save, value};
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
use vouchsafe_testkit::{Authority, PostgresServer, block_on};

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

#[test]
fn all_connections_have_it_or_there_is_none() {
    let (ours, others) = (Authority::new("ours"), Authority::new("another"));
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
    let refused = |builder: PostgresBuilder| block_on(builder.open()).unwrap_err();
    // The server does not speak it yet.
    let none = refused(builder().tls(Rustls::trusting(ours.pem())));
    assert!(matches!(none, PostgresError::Refused { .. }), "{none}");
    let (certificate, secret) = ours.vouch_for("127.0.0.1");
    server.require_tls(&certificate, &secret, None);
    let store = block_on(builder().tls(Rustls::trusting(ours.pem())).open()).unwrap();
    save(&store, key(1), b"x");
    assert_eq!(value(&store, key(1)).unwrap(), b"x");
    let all = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'tls'";
    assert!(eventually(|| server.psql(all) == "4|t"), "{}", server.psql(all));
    // Whoever is not trusted, and who was given no TLS at all.
    let stranger = refused(builder().tls(Rustls::trusting(others.pem())));
    assert!(matches!(stranger, PostgresError::Untrusted { .. }), "{stranger}");
    assert!(stranger.to_string().contains("UnknownIssuer"), "{stranger}");
    assert!(matches!(refused(builder()), PostgresError::Tls(_)));
}
