//! What handlers may ask for.

use std::fmt;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use vouchsafe::core::TenantId;
use vouchsafe::gate::{self, Code};
use vouchsafe::session::CookieRead;

use crate::session::{Session, Visit, cookies};
use crate::{Reason, Refusal, Web};

/// Who is signed in. Without a session the request is refused with
/// [`Code::NoSession`].
#[derive(Clone, Debug)]
pub struct Principal(pub gate::Principal);

/// Who is signed in, if anybody is. Refused only when the gate could not say.
#[derive(Clone, Debug)]
pub struct OptionalPrincipal(pub Option<gate::Principal>);

/// Where the request comes from, for the gate's calls; the session is labelled with the
/// browser's name for itself.
#[derive(Clone, Debug)]
pub struct Call(pub gate::Call);

/// The address that the request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub vouchsafe::core::Source);

/// The request's tenant. A request without one that is served is refused with
/// [`Reason::NoTenant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub TenantId);

/// The session token that the browser sent, good or not: for
/// [`Attempt::replacing`](vouchsafe::gate::Attempt::replacing).
#[derive(Clone)]
pub struct Presented(pub Option<String>);

impl Deref for Principal {
    type Target = gate::Principal;

    fn deref(&self) -> &gate::Principal {
        &self.0
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(..)")
    }
}

fn visit(parts: &Parts) -> Result<&Visit, Refusal> {
    parts.extensions.get::<Visit>().ok_or_else(|| Reason::Unlayered.into())
}

impl<S: Send + Sync> FromRequestParts<S> for OptionalPrincipal {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match &visit(parts)?.session {
            Session::Active(principal) => Ok(Self(Some((**principal).clone()))),
            Session::None | Session::Over => Ok(Self(None)),
            Session::Unknown(refused) => Err(refused.clone().into()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let OptionalPrincipal(principal) =
            OptionalPrincipal::from_request_parts(parts, state).await?;
        principal.map(Self).ok_or_else(|| Reason::Gate(Code::NoSession).into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Tenant {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        visit(parts)?.tenant.clone().map(Self).ok_or_else(|| Reason::NoTenant.into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let call = parts.extensions.get::<gate::Call>().cloned();
        call.map(Self).ok_or_else(|| Reason::Unlayered.into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Call::from_request_parts(parts, state).await.map(|Call(call)| Self(call.source()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Presented {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let visit = visit(parts)?;
        let names = visit.web.names(visit.tenant.as_ref());
        let token = match names.session.read(cookies(&parts.headers)) {
            CookieRead::Value(token) => String::from_utf8(token.to_vec()).ok(),
            _ => None,
        };
        Ok(Self(token))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Web {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        visit(parts).map(|visit| visit.web.clone())
    }
}
