//! Where links lead: configured, never taken from a request.

use std::net::IpAddr;

use vouchsafe_core::SecretString;

use crate::{Error, Token};

/// The scheme, host and port that links in mails begin with.
///
/// It comes from the host's configuration. It is never built from a request's `Host` or
/// `X-Forwarded-Host`, which whoever asks for a reset chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOrigin(Box<str>);

impl LinkOrigin {
    /// The longest accepted, in bytes: a host name of 253 (RFC 1035, 2.3.4), scheme and port.
    pub const MAX_LEN: usize = 267;

    /// Reads `https://host` or `https://host:port`, and `http://` for loopback hosts only; a
    /// slash may follow. Upper-case letters of the host are folded, as browsers do.
    ///
    /// # Errors
    /// [`Error::Origin`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.len() > Self::MAX_LEN {
            return Err(Error::Origin("longer than 267 bytes"));
        }
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(Error::Origin("must begin with https://")),
        };
        let host = host(rest)?;
        if !secure && !is_loopback(host) {
            return Err(Error::Origin("http is for loopback hosts only"));
        }
        // As browsers write it in `Origin`: without the scheme's own port.
        let own_port = if secure { ":443" } else { ":80" };
        Ok(Self(text.strip_suffix(own_port).unwrap_or(&text).into()))
    }

    /// The origin, as browsers send it in `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is plain HTTP on a loopback host, for development.
    #[must_use]
    pub fn is_insecure_loopback(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// The address to mail: this origin, `path` and the token as the last segment.
    ///
    /// # Errors
    /// [`Error::Origin`] when `path` is not one or more segments of letters, digits, `-`, `_`,
    /// `.` and `~`, each preceded by a slash.
    pub fn link(&self, path: &str, token: &Token) -> Result<SecretString, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        let segments = path.strip_prefix('/').unwrap_or_default();
        if !segments.split('/').all(good) {
            return Err(Error::Origin("the path is not one of plain segments"));
        }
        let size = [self.0.len(), path.len(), token.expose().len(), 1];
        // Sized in advance: a growing string would leave pieces of the token behind.
        let mut link = String::with_capacity(size.into_iter().sum());
        for piece in [&self.0, path, "/", token.expose()] {
            link.push_str(piece);
        }
        Ok(SecretString::new(link))
    }
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
fn host(rest: &str) -> Result<&str, Error> {
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(Error::Origin("bracket not closed"))?;
        if !matches!(host.parse(), Ok(IpAddr::V6(_))) {
            return Err(Error::Origin("not an IPv6 address"));
        }
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err(Error::Origin("only a port may follow the host")),
        };
        (host, port)
    } else {
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(Error::Origin("not a host name"));
        }
        (host, port)
    };
    if let Some(port) = port {
        let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        if !plain || port.parse::<u16>().is_err() {
            return Err(Error::Origin("not a port"));
        }
    }
    Ok(host)
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>().ok();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_some_and(|address| address.is_loopback())
}
