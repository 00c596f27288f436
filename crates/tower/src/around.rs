//! How a step becomes a layer: something on the way in, something on the way out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::Refusal;

/// One step around a service. Implemented by this crate's steps only.
pub trait Step: Clone + Send + Sync + 'static + sealed::Sealed {
    /// What the way out needs to know from the way in.
    type Kept: Send;

    /// On the way in: passes the request on, or answers it.
    fn enter(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<(Request, Self::Kept), Refusal>> + Send;

    /// On the way out. Not called for a request that this step refused.
    fn leave(&self, kept: Self::Kept, response: &mut Response);
}

pub(crate) mod sealed {
    /// Keeps [`Step`](super::Step) to this crate.
    pub trait Sealed {}
}

/// The layer of one step.
#[derive(Clone, Debug)]
pub struct Around<T>(pub(crate) T);

/// A service with one step around it.
#[derive(Clone, Debug)]
pub struct AroundService<T, S> {
    step: T,
    inner: S,
}

impl<T: Clone, S> Layer<S> for Around<T> {
    type Service = AroundService<T, S>;

    fn layer(&self, inner: S) -> Self::Service {
        AroundService { step: self.0.clone(), inner }
    }
}

impl<T, S> Service<Request> for AroundService<T, S>
where
    T: Step,
    S: Service<Request> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let step = self.step.clone();
        // The one that is ready is called; its clone becomes ready for the next call.
        let spare = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, spare);
        Box::pin(async move {
            match step.enter(request).await {
                Ok((request, kept)) => {
                    let mut response = inner.call(request).await?.into_response();
                    step.leave(kept, &mut response);
                    Ok(response)
                }
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}
