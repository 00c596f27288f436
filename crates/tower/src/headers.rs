//! What the browser is told to refuse.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::around::{Step, sealed::Sealed};
use crate::{BuildError, Csp, Refusal, Web};

/// Two years, what browsers' preload lists recommend (hstspreload.org asks for one at least).
const HSTS: Duration = Duration::from_secs(63_072_000);
const YEAR: Duration = Duration::from_secs(31_536_000);

/// Browser features that a page may be denied, all denied.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), \
    clipboard-read=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), \
    gyroscope=(), hid=(), identity-credentials-get=(), idle-detection=(), local-fonts=(), \
    magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
    publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), \
    serial=(), storage-access=(), usb=(), window-management=(), \
    xr-spatial-tracking=()";

const FIXED: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // What browsers without `frame-ancestors` understand.
    (header::X_FRAME_OPTIONS, "DENY"),
    // A link's token is in the address of its page.
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
];

/// The headers that every response gets. A handler that sets one of them itself keeps its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityHeaders {
    csp: Csp,
    hsts: Duration,
    subdomains: bool,
}

impl SecurityHeaders {
    /// [`Csp::strict`], HSTS for two years with subdomains, and the rest.
    #[must_use]
    pub fn strict() -> Self {
        Self { csp: Csp::strict(), hsts: HSTS, subdomains: true }
    }

    /// Another content security policy.
    #[must_use]
    pub fn csp(self, csp: Csp) -> Self {
        Self { csp, ..self }
    }

    /// How long browsers remember to use HTTPS, and whether for subdomains too.
    ///
    /// # Errors
    /// [`BuildError::ShortHsts`] for less than a year.
    pub fn hsts(self, hsts: Duration, subdomains: bool) -> Result<Self, BuildError> {
        if hsts < YEAR {
            return Err(BuildError::ShortHsts);
        }
        Ok(Self { hsts, subdomains, ..self })
    }

    pub(crate) fn hsts_value(&self) -> Option<HeaderValue> {
        let subdomains = if self.subdomains { "; includeSubDomains" } else { "" };
        HeaderValue::try_from(format!("max-age={}{subdomains}", self.hsts.as_secs())).ok()
    }
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self::strict()
    }
}

/// Adds the [`SecurityHeaders`] to every response.
#[derive(Clone, Debug)]
pub struct HeadersStep(pub(crate) Web);

impl Sealed for HeadersStep {}

impl Step for HeadersStep {
    type Kept = ();

    async fn enter(&self, request: Request) -> Result<(Request, ()), Refusal> {
        Ok((request, ()))
    }

    fn leave(&self, (): (), response: &mut Response) {
        let headers = response.headers_mut();
        for (name, value) in FIXED {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if let Ok(csp) = HeaderValue::try_from(self.0.headers_config().csp.to_string()) {
            headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(csp);
        }
    }
}
