//! Did our own page send this?

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use vouchsafe::session::{CsrfDecision, RequestFacts, decide};

use crate::around::{Step, sealed::Sealed};
use crate::session::{Session, Visit};
use crate::{Reason, Refusal, Web};

/// The name of the form's field. It has to be the form's first.
pub const CSRF_FIELD: &str = "csrf_token";
/// The header that stands in for the field in requests of scripts.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// How much of a body is read ahead to find the field: a boundary of 70 bytes (RFC 2046, 5.1.1),
/// the part's header, and the token of 86, with room.
const AHEAD: usize = 512;

/// A token for the forms of a page, bound to this visitor's session, or before sign-in to this
/// browser. Asking for it before sign-in sets the cookie that it is bound to.
#[derive(Debug)]
pub struct CsrfToken(vouchsafe::session::CsrfToken);

impl CsrfToken {
    /// The text: 86 letters, digits, `-` and `_`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The hidden field, to be put directly behind `<form ..>`.
    #[must_use]
    pub fn field(&self) -> String {
        format!("<input type=\"hidden\" name=\"{CSRF_FIELD}\" value=\"{}\">", self.expose())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CsrfToken {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let visit = parts.extensions.get::<Visit>().ok_or(Reason::Unlayered)?;
        visit.web.form_token(&visit.binding()?).map(Self)
    }
}

/// Refuses what another site's page sent, and forms without this browser's token.
///
/// The token is taken from [`CSRF_HEADER`], or from the first field of an URL-encoded or multipart
/// form; the body is handed on whole.
#[derive(Clone, Debug)]
pub struct CsrfStep(pub(crate) Web);

impl Sealed for CsrfStep {}

impl Step for CsrfStep {
    type Kept = ();

    async fn enter(&self, request: Request) -> Result<(Request, ()), Refusal> {
        let visit = request.extensions().get::<Visit>().ok_or(Reason::Unlayered)?;
        let headers = request.headers();
        let sec_fetch_site = all(headers, &HeaderName::from_static("sec-fetch-site"));
        let origin = all(headers, &header::ORIGIN);
        let facts = RequestFacts {
            method: request.method().as_str().as_bytes(),
            sec_fetch_site: &sec_fetch_site,
            origin: &origin,
            has_cookie: visit.has_cookie,
        };
        match decide(&facts, self.0.origins()) {
            CsrfDecision::Safe | CsrfDecision::NoBrowser => return Ok((request, ())),
            CsrfDecision::Refused(refusal) => return Err(Reason::Site(refusal).into()),
            CsrfDecision::OwnOrigin => {}
        }
        let visit = visit.clone();
        let (token, request) = presented(request).await?;
        let good = match (visit.presented_binding()?, token) {
            (Some(binding), Some(token)) => self.0.is_form_token(&binding, &token),
            _ => false,
        };
        match visit.session {
            _ if good => Ok((request, ())),
            // The page is from before the session ended: that is what to tell.
            Session::Over => Err(Reason::Gate(vouchsafe::gate::Code::NoSession).into()),
            _ => Err(Reason::FormToken.into()),
        }
    }

    fn leave(&self, (): (), _: &mut Response) {}
}

fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// The token that came with a request, and the request as it was.
async fn presented(request: Request) -> Result<(Option<Vec<u8>>, Request), Refusal> {
    let headers = request.headers();
    if let Some(token) = headers.get(CSRF_HEADER) {
        let token = token.as_bytes().to_vec();
        return Ok((Some(token), request));
    }
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let find = if kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        first_of_urlencoded
    } else if kind.eq_ignore_ascii_case(b"multipart/form-data") {
        first_of_multipart
    } else {
        return Ok((None, request));
    };
    let (parts, body) = request.into_parts();
    let (ahead, body) = read_ahead(body).await?;
    let token = find(&ahead).map(<[u8]>::to_vec);
    Ok((token, Request::from_parts(parts, body)))
}

/// The value of the first field, when that is ours: `csrf_token=<value>&...`
fn first_of_urlencoded(body: &[u8]) -> Option<&[u8]> {
    let value = body.strip_prefix(CSRF_FIELD.as_bytes())?.strip_prefix(b"=")?;
    value.split(|byte| *byte == b'&').next()
}

/// The value of the first part, when that is ours, as browsers write it.
fn first_of_multipart(body: &[u8]) -> Option<&[u8]> {
    let line = |rest: &'_ [u8]| {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        Some((end, end.checked_add(2)?))
    };
    let body = body.strip_prefix(b"--")?;
    let body = body.get(line(body)?.1..)?;
    let (end, next) = line(body)?;
    let ours = format!("Content-Disposition: form-data; name=\"{CSRF_FIELD}\"");
    if !body.get(..end)?.eq_ignore_ascii_case(ours.as_bytes()) {
        return None;
    }
    let value = body.get(next..)?.strip_prefix(b"\r\n")?;
    value.get(..line(value)?.0)
}

/// The first bytes of a body, and the whole body.
async fn read_ahead(mut body: Body) -> Result<(Vec<u8>, Body), Refusal> {
    let mut ahead = Vec::new();
    let mut frames = VecDeque::new();
    while ahead.len() < AHEAD {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| unreadable(&error))?;
        if let Some(data) = frame.data_ref() {
            let room = AHEAD.saturating_sub(ahead.len()).min(data.len());
            ahead.extend_from_slice(data.get(..room).unwrap_or_default());
        }
        frames.push_back(frame);
    }
    Ok((ahead, Body::new(Replayed { frames, rest: body })))
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return Reason::TooLarge.into();
        }
        cause = error.source();
    }
    Reason::FormToken.into()
}

/// A body whose first frames were looked at.
struct Replayed {
    frames: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Replayed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

impl fmt::Debug for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replayed(..)")
    }
}
