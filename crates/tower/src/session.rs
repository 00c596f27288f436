//! Whose cookie is this, and which cookies go back?

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponseParts, Response, ResponseParts};
use vouchsafe::core::TenantId;
use vouchsafe::gate::{Code, Principal, Refused};
use vouchsafe::session::{Binding, Cookie, CookieRead, PreLoginId, SetCookie, Token};

use crate::around::{Step, sealed::Sealed};
use crate::{Reason, Refusal, Web};

/// The names of one tenant's cookies.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) session: Cookie,
    pub(crate) pre_login: Cookie,
    pub(crate) device: Cookie,
}

/// What a request's session cookie says.
#[derive(Clone, Debug)]
pub(crate) enum Session {
    /// There is no cookie, or there are several, and nobody knows which is ours.
    None,
    /// Somebody is signed in.
    Active(Box<Principal>),
    /// There is one, and no session answers to it.
    Over,
    /// It could not be checked.
    Unknown(Refused),
}

/// Everything that the session's step found out about a request.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) web: Web,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) session: Session,
    /// Whether a cookie of ours is there, readable or not.
    pub(crate) has_cookie: bool,
    pre_login: Arc<PreLogin>,
}

/// The cookie before sign-in: as it was presented, or made when a form asked for it.
#[derive(Default)]
struct PreLogin {
    presented: Option<PreLoginId>,
    made: OnceLock<(Token, PreLoginId)>,
}

impl Visit {
    /// What a form on a page for this visitor is bound to, making the cookie where it is missing.
    pub(crate) fn binding(&self) -> Result<Binding, Refusal> {
        if let Some(binding) = self.presented_binding()? {
            return Ok(binding);
        }
        if let Some((_, id)) = self.pre_login.made.get() {
            return Ok(Binding::PreLogin(*id));
        }
        let made = self.web.new_pre_login()?;
        let (_, id) = self.pre_login.made.get_or_init(|| made);
        Ok(Binding::PreLogin(*id))
    }

    /// What a form that comes back has to be bound to.
    pub(crate) fn presented_binding(&self) -> Result<Option<Binding>, Refusal> {
        match &self.session {
            Session::Active(principal) => Ok(Some(Binding::Session(principal.session().id))),
            Session::Unknown(refused) => Err(refused.clone().into()),
            Session::None | Session::Over => Ok(self.pre_login.presented.map(Binding::PreLogin)),
        }
    }
}

/// Reads the cookies of a request, asks the gate, and notes the answer for the extractors.
#[derive(Clone, Debug)]
pub struct SessionStep(pub(crate) Web);

impl Sealed for SessionStep {}

/// What goes back with the response.
#[doc(hidden)]
pub struct Back {
    names: Arc<Names>,
    over: bool,
    signed_in: bool,
    pre_login: Arc<PreLogin>,
}

impl Step for SessionStep {
    type Kept = Back;

    async fn enter(&self, request: Request) -> Result<(Request, Back), Refusal> {
        let web = &self.0;
        let (mut parts, body) = request.into_parts();
        let call = parts.extensions.get::<vouchsafe::gate::Call>().cloned();
        let call = call.ok_or(Reason::Unlayered)?;
        let tenant = web.tenant_of(&parts);
        let names = Arc::clone(web.names(tenant.as_ref()));
        let read = |cookie: &Cookie| cookie.read(cookies(&parts.headers));
        let (token, pre_login) = (read(&names.session), read(&names.pre_login));
        let session = match (&tenant, token) {
            // Whoever can toss cookies in must not sign anybody out: none is taken away.
            (Some(_), CookieRead::TooLarge) => return Err(Reason::TooManyCookies.into()),
            (None, _) | (_, CookieRead::Absent | CookieRead::Ambiguous) => Session::None,
            (Some(tenant), CookieRead::Value(token)) => {
                let token = std::str::from_utf8(token).unwrap_or_default();
                match web.gate().check(tenant, token, &call).await {
                    Ok(principal) => Session::Active(Box::new(principal)),
                    Err(refused) => match refused.code() {
                        Code::NoSession | Code::WrongTenant => Session::Over,
                        _ => Session::Unknown(refused),
                    },
                }
            }
            // The only one there is, and it cannot be ours.
            (Some(_), CookieRead::Malformed) => Session::Over,
        };
        if let CookieRead::Value(cookie) = read(&names.device) {
            // For whatever the handlers ask of the gate.
            let cookie = String::from_utf8(cookie.to_vec()).ok();
            parts.extensions.insert(call.with_device(cookie));
        }
        let has_cookie = match tenant {
            Some(_) => token != CookieRead::Absent || pre_login != CookieRead::Absent,
            // Which names would be ours is not known.
            None => parts.headers.contains_key(header::COOKIE),
        };
        let presented = match pre_login {
            CookieRead::Value(text) => web.read_pre_login(text),
            _ => None,
        };
        let pre_login = Arc::new(PreLogin { presented, made: OnceLock::new() });
        let back = Back {
            names,
            over: matches!(session, Session::Over),
            signed_in: matches!(session, Session::Active(_)),
            pre_login: Arc::clone(&pre_login),
        };
        let web = web.clone();
        parts.extensions.insert(Visit { web, tenant, session, has_cookie, pre_login });
        Ok((Request::from_parts(parts, body), back))
    }

    fn leave(&self, back: Back, response: &mut Response) {
        let Back { names, over, signed_in, pre_login } = back;
        let mut cookies = Cookies::default();
        // A session that the handler has just opened outlives the dead one.
        if over && !sets(response.headers(), &names.session) {
            cookies.0.push(names.session.clear());
        }
        if let Some((token, _)) = pre_login.made.get()
            && !sets(response.headers(), &names.pre_login)
        {
            // Without an age there is nothing that `set` could refuse.
            cookies.0.extend(names.pre_login.set(token, None).ok());
        }
        let headers = response.headers_mut();
        cookies.append_to(headers);
        let no_store = HeaderValue::from_static("no-store");
        if headers.contains_key(header::SET_COOKIE) {
            headers.insert(header::CACHE_CONTROL, no_store);
        } else if signed_in {
            headers.entry(header::CACHE_CONTROL).or_insert(no_store);
        }
    }
}

pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes)
}

fn sets(headers: &HeaderMap, cookie: &Cookie) -> bool {
    headers.get_all(header::SET_COOKIE).iter().any(|value| {
        let rest = value.as_bytes().strip_prefix(cookie.name().as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    })
}

/// The cookies of a response: `(web.signed_in(&issued), page)`.
#[must_use = "cookies are part of a response"]
#[derive(Debug, Default)]
pub struct Cookies(pub(crate) Vec<SetCookie>);

impl Cookies {
    fn append_to(self, headers: &mut HeaderMap) {
        for cookie in self.0 {
            // Tokens and names are of plain letters: each makes a header.
            if let Ok(mut value) = HeaderValue::from_str(cookie.expose()) {
                value.set_sensitive(true);
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
}

impl IntoResponseParts for Cookies {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        self.append_to(parts.headers_mut());
        Ok(parts)
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
