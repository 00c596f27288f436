//! Reading the Cookie header and writing Set-Cookie, for the session's own cookies only.

use std::time::Duration;

use crate::{Error, Token};

/// Most bytes of Cookie headers that are looked at; with more there is no session. Twice what the
/// common servers take for all headers together.
pub const MAX_HEADER: usize = 16_384;
/// Longest value of a cookie of ours.
const MAX_VALUE: usize = 256;
/// Browsers cap what they keep at 400 days (RFC 6265bis, 5.5).
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// When a browser sends the cookie along with requests that other sites start.
///
/// There is no `None`: a session cookie sent from anywhere is what CSRF lives on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With links followed from other sites, not with forms or scripts of theirs.
    #[default]
    Lax,
    /// Never.
    Strict,
}

/// A cookie of ours: its name, and the attributes that its name obliges it to.
///
/// There is no way to say Domain, another Path, or to leave out `Secure` or `HttpOnly` under a
/// name whose prefix promises them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: Box<str>,
    secure: bool,
    same_site: SameSite,
}

impl Cookie {
    /// The session cookie: `__Host-Http-sid`. Browsers that know the prefix let neither a sibling
    /// domain, nor a script, nor plain HTTP set it; older ones see `__Host-`, which is most of it.
    #[must_use]
    pub fn session() -> Self {
        Self { name: "__Host-Http-sid".into(), secure: true, same_site: SameSite::Lax }
    }

    /// The cookie that stands in for a session before sign-in: `__Host-Http-pre`.
    #[must_use]
    pub fn pre_login() -> Self {
        Self { name: "__Host-Http-pre".into(), secure: true, same_site: SameSite::Lax }
    }

    /// The cookie of a browser that has signed in before: `__Host-Http-device`. It lets nobody in,
    /// and is sent from our own pages only.
    #[must_use]
    pub fn device() -> Self {
        Self { name: "__Host-Http-device".into(), secure: true, same_site: SameSite::Strict }
    }

    /// The same cookie for development over plain HTTP on a loopback address, under a name without
    /// a prefix that says what it is: `insecure-loopback-sid`.
    #[must_use]
    pub fn insecure_loopback(self) -> Self {
        let end = self.name.strip_prefix("__Host-Http-").unwrap_or(&self.name);
        Self { name: format!("insecure-loopback-{end}").into(), secure: false, ..self }
    }

    /// The same cookie under a name of its own: `__Host-Http-sid-acme`. With `Path=/` one name
    /// holds one value per browser, so tenants that share an origin need a name each.
    ///
    /// # Errors
    /// [`Error::Cookie`] when `suffix` is not 1 to 64 letters, digits, `-`, `_`, `.` and `~`.
    pub fn suffixed(self, suffix: &str) -> Result<Self, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if !(1..=64).contains(&suffix.len()) || !suffix.bytes().all(plain) {
            return Err(Error::Cookie(
                "a suffix is 1 to 64 letters, digits, `-`, `_`, `.` and `~`",
            ));
        }
        Ok(Self { name: format!("{}-{suffix}", self.name).into(), ..self })
    }

    /// Sets when other sites' requests carry it.
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Set-Cookie value that gives the browser `token`: until it is closed, or for `max_age`.
    ///
    /// # Errors
    /// [`Error::Cookie`] for a `max_age` under a second or over 400 days.
    pub fn set(&self, token: &Token, max_age: Option<Duration>) -> Result<SetCookie, Error> {
        self.set_text(token.expose(), max_age)
    }

    /// As [`set`](Self::set), for a text that is no token.
    ///
    /// # Errors
    /// [`Error::Cookie`] also for a text that [`read`](Self::read) would not give back: 1 to 256
    /// letters, digits, `-` and `_`.
    pub fn set_text(&self, text: &str, max_age: Option<Duration>) -> Result<SetCookie, Error> {
        if !is_plain(text.as_bytes()) {
            return Err(Error::Cookie("a value is 1 to 256 letters, digits, `-` and `_`"));
        }
        if max_age.is_some_and(|age| age < Duration::from_secs(1) || age > LONGEST) {
            return Err(Error::Cookie("Max-Age is between one second and 400 days"));
        }
        Ok(self.header(text, max_age.map(|age| age.as_secs())))
    }

    /// The Set-Cookie value that takes the cookie away.
    #[must_use]
    pub fn clear(&self) -> SetCookie {
        self.header("", Some(0))
    }

    fn header(&self, value: &str, max_age: Option<u64>) -> SetCookie {
        let age = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
        let secure = if self.secure { "; Secure" } else { "" };
        let same_site = match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
        };
        let pieces = [&*self.name, "=", value, "; Path=/", secure, "; HttpOnly", same_site, &age];
        // Sized in advance: a growing string would leave pieces of the token behind.
        let mut header = String::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
        pieces.into_iter().for_each(|piece| header.push_str(piece));
        SetCookie(vouchsafe_core::SecretString::new(header))
    }

    /// Finds this cookie in a request's Cookie headers.
    ///
    /// Works on bytes. Names are compared exactly, case and all; nothing is decoded, and only SP
    /// and HTAB are blanks: what a browser would not have put under this name is not read as it.
    pub fn read<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> CookieRead<'a> {
        let mut found: Option<&'a [u8]> = None;
        let mut size = 0_usize;
        for header in headers {
            size = size.saturating_add(header.len());
            if size > MAX_HEADER {
                return CookieRead::TooLarge;
            }
            for pair in header.split(|byte| *byte == b';') {
                let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
                let Some((name, value)) = pair.split_at_checked(at) else { continue };
                if trim(name) != self.name.as_bytes() {
                    continue;
                }
                let value = trim(value.get(1..).unwrap_or_default());
                if found.is_some_and(|other| other != value) {
                    return CookieRead::Ambiguous;
                }
                found = Some(value);
            }
        }
        match found {
            None => CookieRead::Absent,
            Some(value) if is_plain(value) => CookieRead::Value(value),
            Some(_) => CookieRead::Malformed,
        }
    }
}

/// What a request's Cookie headers say about one cookie.
///
/// Only [`Value`](Self::Value) may lead to a session. No `Debug` shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CookieRead<'a> {
    /// It is not there.
    Absent,
    /// Its one value: letters, digits, `-` and `_`.
    Value(&'a [u8]),
    /// It is there and cannot be ours: empty, quoted, too long or with characters we never send.
    Malformed,
    /// It is there with different values: somebody else's has been tossed in.
    Ambiguous,
    /// The headers are longer than [`MAX_HEADER`].
    TooLarge,
}

impl std::fmt::Debug for CookieRead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Value(_) => "Value(..)",
            Self::Malformed => "Malformed",
            Self::Ambiguous => "Ambiguous",
            Self::TooLarge => "TooLarge",
        })
    }
}

/// The value of a Set-Cookie header. Holds a token, so it is not printed.
#[derive(Debug)]
pub struct SetCookie(vouchsafe_core::SecretString);

impl SetCookie {
    /// The header's value, for the response.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What a value of ours is made of.
fn is_plain(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    (1..=MAX_VALUE).contains(&value.len()) && value.iter().all(plain)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
