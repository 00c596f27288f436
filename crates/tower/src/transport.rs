//! Is this connection private, and where does the request come from?

use std::fmt;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
use vouchsafe::core::TrustedProxies;

use crate::around::{Step, sealed::Sealed};
use crate::{Reason, Refusal, Web};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What only a proxy sends.
const OF_PROXIES: [HeaderName; 6] = [
    header::FORWARDED,
    header::VIA,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];

/// Both ends of a connection:
/// `router.into_make_service_with_connect_info::<Connection>()` puts it into requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    peer: SocketAddr,
    local: Option<SocketAddr>,
}

impl Connection {
    /// A connection from `peer` to our own `local` address, where that is known.
    #[must_use]
    pub const fn new(peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        Self { peer, local }
    }

    /// The address at the other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our own address.
    #[must_use]
    pub const fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// As the server noted it on the request.
    fn of(extensions: &Extensions) -> Option<Self> {
        let both = extensions.get::<ConnectInfo<Self>>().map(|info| info.0);
        both.or_else(|| {
            let peer = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(Self::new(peer.0, None))
        })
    }

    fn is_loopback(&self) -> bool {
        let loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        loopback(self.peer) && self.local.is_none_or(loopback)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection(..)")
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::new(*stream.remote_addr(), stream.io().local_addr().ok())
    }
}

/// How requests may reach this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transport {
    pub(crate) proxies: TrustedProxies,
    pub(crate) tls: bool,
    pub(crate) insecure_loopback: bool,
}

impl Transport {
    /// Whether nobody in between could read this request.
    fn is_private(&self, connection: &Connection, request: &Request) -> bool {
        let headers = request.headers();
        if self.proxies.trusts(connection.peer.ip().into())
            && let Some(https) = client_used_https(headers)
        {
            return https;
        }
        self.tls
            || self.insecure_loopback
                && connection.is_loopback()
                && OF_PROXIES.iter().all(|name| !headers.contains_key(name))
                && names_loopback(request)
    }
}

/// What our own proxies say the client used. Every entry must be `https`: a client can put one in
/// front of ours, but not take ours away.
fn client_used_https(headers: &HeaderMap) -> Option<bool> {
    let mut values = headers.get_all(FORWARDED_PROTO).iter().peekable();
    values.peek()?;
    Some(values.all(|value| {
        let mut entries = value.as_bytes().split(|byte| *byte == b',');
        entries.all(|entry| entry.trim_ascii().eq_ignore_ascii_case(b"https"))
    }))
}

/// A page of a stranger whose name was pointed at 127.0.0.1 still names the stranger.
fn names_loopback(request: &Request) -> bool {
    let named = |authority: &Authority| {
        // What stands before an `@` is nobody's name, and some read it as one.
        let Some(host) = Some(authority.host()).filter(|_| !authority.as_str().contains('@'))
        else {
            return false;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    };
    let (in_uri, mut hosts) =
        (request.uri().authority(), request.headers().get_all(header::HOST).iter().peekable());
    let read = |host: &HeaderValue| Authority::try_from(host.as_bytes()).ok();
    (in_uri.is_some() || hosts.peek().is_some())
        && in_uri.is_none_or(named)
        && hosts.all(|host| read(host).as_ref().is_some_and(named))
}

/// Refuses plain HTTP, and notes where a request comes from.
#[derive(Clone, Debug)]
pub struct TransportStep(pub(crate) Web);

impl Sealed for TransportStep {}

impl Step for TransportStep {
    type Kept = ();

    async fn enter(&self, mut request: Request) -> Result<(Request, ()), Refusal> {
        let transport = self.0.transport();
        let connection = Connection::of(request.extensions()).ok_or(Reason::NoPeer)?;
        if !transport.is_private(&connection, &request) {
            return Err(Reason::PlainHttp.into());
        }
        let forwarded = request.headers().get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
        let source = transport.proxies.source(connection.peer.ip(), forwarded);
        let call = vouchsafe::gate::Call::from(source);
        let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let call = call.labelled(agent.unwrap_or_default());
        request.extensions_mut().insert(call);
        Ok((request, ()))
    }

    fn leave(&self, (): (), response: &mut Response) {
        // Over plain HTTP the header means nothing (RFC 6797, 7.2).
        if !self.0.transport().insecure_loopback
            && let Some(hsts) = self.0.headers_config().hsts_value()
        {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts);
        }
    }
}
