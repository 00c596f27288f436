//! TLS to the server: rustls with ring, whatever the host's own rustls has.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Stream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName,
};
use tokio_rustls::rustls::{ClientConfig, Error as RustlsError, RootCertStore};
use zeroize::Zeroizing;

use crate::PostgresError;

/// What PostgreSQL's protocol is called in a handshake (`sslnegotiation=direct` asks for it).
const PROTOCOL: &[u8] = b"postgresql";

/// What a host gives for TLS, in PEM.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) authorities: Option<Vec<u8>>,
    /// Certificates, and the key of the first.
    pub(crate) identity: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Given {
    pub(crate) const fn is_nothing(&self) -> bool {
        self.authorities.is_none() && self.identity.is_none()
    }
}

/// Makes connections to servers that somebody trusted vouches for.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the given authorities and no others.
    pub(crate) fn new(given: &Given) -> Result<Self, PostgresError> {
        let authorities = given.authorities.as_deref();
        let authorities = authorities.ok_or_else(|| wrong("no authorities are given to trust"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities)? {
            roots.add(authority).map_err(wrong)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(wrong)?;
        let config = config.with_root_certificates(roots);
        let mut config = match &given.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                // What it says of a key that it cannot read names no part of it.
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong("no private key"))?;
                config.with_client_auth_cert(certificates(chain)?, key).map_err(wrong)?
            }
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Sealed;
    type TlsConnect = Handshake;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, InvalidDnsNameError> {
        let server = ServerName::try_from(domain.to_owned())?;
        Ok(Handshake { connector: self.0.clone(), server })
    }
}

/// A handshake with one server.
pub(crate) struct Handshake {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Sealed;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Sealed>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.server, socket).await?;
            Ok(Sealed(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(crate) struct Sealed(Box<Stream<Socket>>);

impl TlsStream for Sealed {
    /// Nothing to bind to: the server's certificate was verified, so nobody stands in between.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Sealed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Sealed {
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

/// Why the server's certificate was not accepted, where that is what went wrong.
pub(crate) fn untrusted(error: &tokio_postgres::Error) -> Option<String> {
    let failed = error.source()?.downcast_ref::<io::Error>()?.get_ref()?;
    match failed.downcast_ref::<RustlsError>()? {
        refused @ RustlsError::InvalidCertificate(_) => Some(refused.to_string()),
        _ => None,
    }
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PostgresError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read.map_err(wrong)? {
        none if none.is_empty() => Err(wrong("no certificate in what is given as PEM")),
        some => Ok(some),
    }
}

pub(crate) fn wrong(reason: impl fmt::Display) -> PostgresError {
    PostgresError::Tls(reason.to_string())
}
