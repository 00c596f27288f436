//! Whether a request that changes something was started by our own pages.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::{Entropy, SecretString, Timestamp};
use vouchsafe_crypto::{MacKey, RootKey};
use zeroize::Zeroizing;

use crate::{Error, LinkOrigin, SessionId, Token, text};

/// What the decision looks at: header values as they came, before any decoding.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The method.
    pub method: &'a [u8],
    /// Every `Sec-Fetch-Site` header.
    pub sec_fetch_site: &'a [&'a [u8]],
    /// Every `Origin` header.
    pub origin: &'a [&'a [u8]],
    /// Whether a cookie of ours is there, readable or not.
    pub has_cookie: bool,
}

/// Whether the headers let a request through. Requests that change something need the
/// [token](CsrfKeys::verify) as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CsrfDecision {
    /// The method changes nothing.
    Safe,
    /// Started by our own origin or by the user.
    OwnOrigin,
    /// No browser sent it, and it brings no cookie that could be abused.
    NoBrowser,
    /// No.
    Refused(CsrfRefusal),
}

/// Why a request was taken for somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrfRefusal {
    /// Another site started it.
    #[error("started by another site")]
    CrossSite,
    /// A sibling domain started it; siblings are not trusted.
    #[error("started by a sibling domain")]
    SameSite,
    /// Its Origin is none of ours.
    #[error("from another origin")]
    ForeignOrigin,
    /// A cookie without either header.
    #[error("a cookie with neither Sec-Fetch-Site nor Origin")]
    NoEvidence,
    /// A header twice, or with a value no browser sends.
    #[error("a malformed header")]
    Malformed,
}

/// Decides by `Sec-Fetch-Site`, and by `Origin` where a browser does not send it.
///
/// `own` is configured: a request's `Host` plays no part. GET, HEAD and OPTIONS pass, so nothing
/// behind them may change anything.
pub fn decide(request: &RequestFacts<'_>, own: &[LinkOrigin]) -> CsrfDecision {
    if matches!(request.method, b"GET" | b"HEAD" | b"OPTIONS") {
        return CsrfDecision::Safe;
    }
    let refused = CsrfDecision::Refused;
    let origin = match request.origin {
        [] => None,
        [origin] => Some(*origin),
        _ => return refused(CsrfRefusal::Malformed),
    };
    let is_own = |origin: &[u8]| own.iter().any(|own| own.as_str().as_bytes() == origin);
    // Under `Referrer-Policy: no-referrer` browsers send `null` for our own forms too.
    let foreign = origin.is_some_and(|origin| origin != b"null" && !is_own(origin));
    match request.sec_fetch_site {
        [] => match origin {
            Some(origin) if is_own(origin) => CsrfDecision::OwnOrigin,
            Some(_) => refused(CsrfRefusal::ForeignOrigin),
            None if request.has_cookie => refused(CsrfRefusal::NoEvidence),
            None => CsrfDecision::NoBrowser,
        },
        [b"same-origin" | b"none"] if foreign => refused(CsrfRefusal::ForeignOrigin),
        [b"same-origin" | b"none"] => CsrfDecision::OwnOrigin,
        [b"same-site"] => refused(CsrfRefusal::SameSite),
        [b"cross-site"] => refused(CsrfRefusal::CrossSite),
        _ => refused(CsrfRefusal::Malformed),
    }
}

/// What a form's token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A session: its id, which outlives a change of its secret.
    Session(SessionId),
    /// A browser that has not signed in yet.
    PreLogin(PreLoginId),
}

/// Names a browser before sign-in; only a verified cookie gives one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PreLoginId([u8; 16]);

impl fmt::Debug for PreLoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreLoginId(..)")
    }
}

/// A form's token: to be put into a hidden field, never into a cookie. Not printed.
#[derive(Debug)]
pub struct CsrfToken(SecretString);

impl CsrfToken {
    /// The text: 86 letters, digits, `-` and `_`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// How long the sign-in page may stay open.
pub const PRE_LOGIN_LIFETIME: Duration = Duration::from_secs(12 * 3_600);

const PRE_LOGIN: usize = 16 + 8 + 32;

/// The keys of form tokens and of the cookie before sign-in.
pub struct CsrfKeys {
    forms: MacKey,
    cookies: MacKey,
}

impl CsrfKeys {
    /// The keys under `root`.
    #[must_use]
    pub fn new(root: &RootKey) -> Self {
        Self {
            forms: MacKey::new(&root.derive("vouchsafe csrf forms v1", &[])),
            cookies: MacKey::new(&root.derive("vouchsafe pre-login cookies v1", &[])),
        }
    }

    /// A token for forms, masked afresh each time, so that compression does not give it away
    /// (BREACH).
    ///
    /// # Errors
    /// [`Error::NoEntropy`] without fresh bytes.
    pub fn token(&self, bound: &Binding, entropy: &impl Entropy) -> Result<CsrfToken, Error> {
        let mask: [u8; 32] = entropy.bytes()?;
        let mut raw = Zeroizing::new([0; 64]);
        let masked = self.tag(bound).into_iter().zip(mask).map(|(tag, mask)| tag ^ mask);
        for (to, from) in raw.iter_mut().zip(mask.into_iter().chain(masked)) {
            *to = from;
        }
        Ok(CsrfToken(SecretString::new(text::encode(&*raw))))
    }

    /// Whether `text` is a token for `bound`.
    #[must_use]
    pub fn verify(&self, bound: &Binding, text: &[u8]) -> bool {
        let Some(raw) = text::decode::<64>(text) else { return false };
        let (mask, masked) = raw.split_at(32);
        let tag: Vec<u8> = mask.iter().zip(masked).map(|(mask, masked)| mask ^ masked).collect();
        let (label, id) = bound.parts();
        self.forms.verify(label, &[id], &tag)
    }

    fn tag(&self, bound: &Binding) -> [u8; 32] {
        let (label, id) = bound.parts();
        self.forms.mac(label, &[id])
    }

    /// A signed value for the cookie before sign-in, and the id that the sign-in form's token is
    /// bound to. Without it a stranger could sign a victim in under the stranger's own name.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] without fresh bytes.
    pub fn pre_login(
        &self,
        now: Timestamp,
        entropy: &impl Entropy,
    ) -> Result<(Token, PreLoginId), Error> {
        let id: [u8; 16] = entropy.bytes()?;
        let expires = now.after(PRE_LOGIN_LIFETIME).micros().to_be_bytes();
        let tag = self.cookies.mac("pre-login", &[&id, &expires]);
        let mut raw = Zeroizing::new([0; PRE_LOGIN]);
        for (to, from) in raw.iter_mut().zip(id.iter().chain(&expires).chain(&tag)) {
            *to = *from;
        }
        Ok((Token::of(&*raw), PreLoginId(id)))
    }

    /// Reads the cookie before sign-in back.
    ///
    /// # Errors
    /// [`Error::Token`] when it is not ours, or its [time](PRE_LOGIN_LIFETIME) is over.
    pub fn read_pre_login(&self, text: &[u8], now: Timestamp) -> Result<PreLoginId, Error> {
        let raw = text::decode::<PRE_LOGIN>(text).ok_or(Error::Token)?;
        let (id, rest) = raw.split_first_chunk::<16>().ok_or(Error::Token)?;
        let (expires, tag) = rest.split_first_chunk::<8>().ok_or(Error::Token)?;
        if !self.cookies.verify("pre-login", &[id, expires], tag) {
            return Err(Error::Token);
        }
        if now.micros() >= i64::from_be_bytes(*expires) {
            return Err(Error::Token);
        }
        Ok(PreLoginId(*id))
    }
}

impl Binding {
    const fn parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Session(id) => ("session", id.as_bytes()),
            Self::PreLogin(PreLoginId(id)) => ("pre-login", id),
        }
    }
}

impl fmt::Debug for CsrfKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfKeys(..)")
    }
}
