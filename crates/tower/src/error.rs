//! What can be wrong with a configuration.

use vouchsafe::core::TenantId;

/// Why a [`Web`](crate::Web) was not built. Nothing is served then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The host did not say how to find a request's tenant.
    #[error("say how to find a request's tenant")]
    NoTenantFunction,
    /// Every request would be refused as plain HTTP.
    #[error(
        "no request could be served: name trusted proxies, or TLS of this process, or insecure_loopback"
    )]
    NoTransport,
    /// `insecure_loopback` beside a listener that others can reach.
    #[error("insecure_loopback is for a listener on a loopback address")]
    NotLoopback,
    /// `insecure_loopback` beside an https origin, or a plain HTTP origin without it.
    #[error("the gate's origin and the transport do not agree about TLS")]
    OriginScheme,
    /// The tenant's name cannot stand in a cookie's name.
    #[error(
        "tenant {0}: the name of its cookie needs 1 to 64 letters, digits, `-`, `_`, `.` and `~`"
    )]
    TenantCookie(TenantId),
    /// HSTS for less than a year.
    #[error("HSTS is for at least a year")]
    ShortHsts,
    /// A content source that does not read.
    #[error("not a content source: {0}")]
    Csp(&'static str),
}
