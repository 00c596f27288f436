//! Which status and text a refusal gets.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use vouchsafe::gate::{Code, Refused};
use vouchsafe::session::CsrfRefusal;

/// A request that is answered with no.
///
/// As a response it has one status and one text for each [code](Self::code); the exact
/// [reason](Self::reason) stays inside. The response carries the refusal among its extensions, so
/// that the host may log it or paint its own page over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    retry_after: Option<Duration>,
}

/// The exact reason. What people are told instead is in
/// [the table of refusals](crate::refusals).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The gate's.
    Gate(Code),
    /// Plain HTTP.
    PlainHttp,
    /// The server does not say who is at the other end: see [`Connection`](crate::Connection).
    NoPeer,
    /// The request names no tenant, or one that is not served.
    NoTenant,
    /// The body is longer than allowed.
    TooLarge,
    /// The cookies are longer than they are read: whether somebody is signed in is not known, and
    /// no cookie is taken away.
    TooManyCookies,
    /// Another site's page sent it.
    Site(CsrfRefusal),
    /// The form's token is missing, or is not this browser's.
    FormToken,
    /// An extractor or a layer without the layers it needs.
    Unlayered,
    /// What had to run to its end did not.
    Incomplete,
    /// There were no fresh bytes for a token.
    NoEntropy,
}

struct Row {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl Reason {
    /// What people outside are told. Reasons that they must not tell apart share a row.
    const fn row(self) -> Row {
        let (status, code, message) = match self {
            Self::Gate(code) => (gate_status(code), gate_code(code), code.message()),
            Self::PlainHttp => (
                StatusCode::FORBIDDEN,
                "transport.insecure",
                "This service is to be used over HTTPS only.",
            ),
            Self::NoTenant => (StatusCode::NOT_FOUND, "tenant.none", "There is nothing here."),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body.too_large",
                "What was sent is larger than accepted.",
            ),
            Self::TooManyCookies => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "cookies.too_large",
                "Your browser sent more cookies than accepted. Please delete those of this site.",
            ),
            Self::Site(_) | Self::FormToken => (
                StatusCode::FORBIDDEN,
                "request.foreign",
                "This form is out of date. Please go back, load the page again and repeat.",
            ),
            Self::NoPeer | Self::Unlayered | Self::Incomplete | Self::NoEntropy => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "service.failed",
                "Something went wrong on our side. Please try again in a moment.",
            ),
        };
        Row { status, code, message }
    }
}

const fn gate_status(code: Code) -> StatusCode {
    match code {
        Code::WrongCredentials | Code::ResetRequired | Code::NoSession | Code::WrongTenant => {
            StatusCode::UNAUTHORIZED
        }
        Code::Challenge => StatusCode::FORBIDDEN,
        Code::Locked | Code::DisabledByFailures | Code::Throttled | Code::LinkLimit => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Code::NoLink | Code::NoUser => StatusCode::NOT_FOUND,
        Code::Raced | Code::Disabled => StatusCode::CONFLICT,
        Code::NotSent => StatusCode::BAD_GATEWAY,
        Code::Busy | Code::Unavailable | Code::LogUnavailable | Code::Corrupt => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// As coarse as the gate's texts for people: the exact code would tell a stranger what to try
/// next.
const fn gate_code(code: Code) -> &'static str {
    match code {
        Code::WrongCredentials | Code::ResetRequired => "credentials.wrong",
        Code::Locked | Code::DisabledByFailures | Code::Throttled => "attempts.too_many",
        Code::Challenge => "challenge.required",
        Code::NoSession | Code::WrongTenant => "session.none",
        Code::NoLink => "link.none",
        Code::LinkLimit => "link.limit",
        Code::NoUser => "user.none",
        Code::Disabled => "user.disabled",
        Code::Raced => "credential.raced",
        Code::NotSent => "mail.failed",
        Code::Busy | Code::Unavailable | Code::LogUnavailable | Code::Corrupt => {
            "service.unavailable"
        }
    }
}

impl Refusal {
    pub(crate) const fn new(reason: Reason) -> Self {
        Self { reason, retry_after: None }
    }

    /// The exact reason: for the host's own decisions and its log.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.reason.row().status
    }

    /// The stable public code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason.row().code
    }

    /// The text for the person at the screen.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.reason.row().message
    }

    /// How long to wait, where waiting helps; the `Retry-After` header says the same.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { reason: Reason::Gate(refused.code()), retry_after: refused.retry_after() }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refusal {}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Row { status, code, message } = self.reason.row();
        let mut response = (status, format!("{message}\n{code}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2, asks for a challenge. Browsers show no dialogue for this one.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Session"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response.extensions_mut().insert(self);
        response
    }
}
