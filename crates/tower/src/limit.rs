//! How long a body may be.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use http_body_util::Limited;

use crate::around::{Step, sealed::Sealed};
use crate::{Reason, Refusal};

pub(crate) type LimitOf = Arc<dyn Fn(&Parts) -> usize + Send + Sync>;

/// Refuses a body that says it is longer than allowed, and cuts off one that turns out to be.
#[derive(Clone)]
pub struct LimitStep {
    pub(crate) limit: LimitOf,
}

impl Sealed for LimitStep {}

impl Step for LimitStep {
    type Kept = ();

    async fn enter(&self, request: Request) -> Result<(Request, ()), Refusal> {
        let (parts, body) = request.into_parts();
        let limit = (self.limit)(&parts);
        let declared = parts.headers.get(header::CONTENT_LENGTH).map(|value| {
            value.to_str().ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(usize::MAX)
        });
        if declared.is_some_and(|declared| declared > limit) {
            return Err(Reason::TooLarge.into());
        }
        let body = Body::new(Limited::new(body, limit));
        Ok((Request::from_parts(parts, body), ()))
    }

    fn leave(&self, (): (), _: &mut Response) {}
}

impl std::fmt::Debug for LimitStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LimitStep(..)")
    }
}
