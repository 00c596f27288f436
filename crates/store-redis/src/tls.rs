//! TLS to the server: rustls with ring, whatever the host's own rustls has.

use std::fmt;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::RedisError;

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

pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the given authorities and no others.
    pub(crate) fn new(given: &Given) -> Result<Self, RedisError> {
        let authorities = given.authorities.as_deref();
        let authorities = authorities.ok_or_else(|| wrong("no authorities are given to trust"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities)? {
            roots.add(authority).map_err(wrong)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(wrong)?;
        let config = config.with_root_certificates(roots);
        let config = match &given.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                // What it says of a key that it cannot read names no part of it.
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong("no private key"))?;
                config.with_client_auth_cert(certificates(chain)?, key).map_err(wrong)?
            }
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with the server of this name, or none.
    pub(crate) async fn over(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> Result<TlsStream<TcpStream>, RedisError> {
        let server = ServerName::try_from(name.to_owned()).map_err(wrong)?;
        let failed = |error| RedisError::Unreachable(format!("TLS to {name}: {error}"));
        self.0.connect(server, stream).await.map_err(failed)
    }
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RedisError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read.map_err(wrong)? {
        none if none.is_empty() => Err(wrong("no certificate in what is given as PEM")),
        some => Ok(some),
    }
}

fn wrong(reason: impl fmt::Display) -> RedisError {
    RedisError::Tls(reason.to_string())
}
