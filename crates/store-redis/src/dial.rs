//! How a server is reached.

use std::fmt;
use std::io;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn;

use crate::RedisError;
use crate::tls::{self, Tls};

/// Requests that the connection takes in before it writes.
const BUFFERED: usize = 1024;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `host:port`, as a server of a cluster says it of another; without a host it is this one's.
    pub(crate) fn said_by(&self, text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if host.is_empty() { &self.host } else { host };
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reaches the servers of one store: all with the same name and password.
pub(crate) struct Dialer {
    login: RedisConnectionInfo,
    tls: Option<Tls>,
}

impl Dialer {
    /// Reads the address of a store's first server, and what is given for TLS with it.
    pub(crate) fn new(text: &str, given: &tls::Given) -> Result<(Self, Address), RedisError> {
        let (login, address, secret) = read(text)?;
        let tls = match secret {
            true => Some(Tls::new(given)?),
            false if given.is_nothing() => None,
            false => return Err(RedisError::Tls("the address is not rediss://".to_owned())),
        };
        Ok((Self { login, tls }, address))
    }

    /// Reads the address of another server, which is to be reached in the same way.
    pub(crate) fn another(&self, text: &str) -> Result<Address, RedisError> {
        match read(text)? {
            (_, address, secret) if secret == self.tls.is_some() => Ok(address),
            _ => Err(RedisError::Tls("one address is rediss://, and another is not".to_owned())),
        }
    }

    /// A connection, whose work ends with the last that holds it.
    pub(crate) async fn dial(&self, to: &Address) -> Result<MultiplexedConnection, RedisError> {
        let failed = |error: io::Error| RedisError::Unreachable(format!("{to}: {error}"));
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(failed)?;
        // A request is written as a whole, and waits for nothing.
        stream.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => self.speak(stream).await,
            Some(tls) => self.speak(tls.over(stream, &to.host).await?).await,
        }
    }

    async fn speak<S>(&self, stream: S) -> Result<MultiplexedConnection, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The deadlines here are ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(BUFFERED);
        let made = MultiplexedConnection::new_with_config(&self.login, stream, config).await;
        let (connection, work) = made.map_err(RedisError::unreachable)?;
        spawn(work);
        Ok(connection)
    }
}

/// Reads `redis://user:password@host:port/database`; whether it asks for TLS, as `rediss://` does.
fn read(text: &str) -> Result<(RedisConnectionInfo, Address, bool), RedisError> {
    let (plain, secret) = match text.split_once("://") {
        Some(("rediss" | "valkeys", rest)) => (format!("redis://{rest}"), true),
        _ => (text.to_owned(), false),
    };
    // What it says names no part of the address, which may hold a password.
    let wrong = |error: redis::RedisError| RedisError::Address(error.to_string());
    let info = plain.into_connection_info().map_err(wrong)?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        return Err(RedisError::Address("it is none of TCP".to_owned()));
    };
    let address = Address { host: host.clone(), port: *port };
    Ok((info.redis_settings().clone(), address, secret))
}
