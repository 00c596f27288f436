//! What must not stop half-way.

use std::future::Future;

use crate::{Reason, Refusal};

/// Runs `future` to its end on a task of its own, even when nobody waits for it any more.
///
/// A server drops the handler's future when the client hangs up. What was begun for that client,
/// such as signing out or opening a session, then still ends. Needs a Tokio runtime.
///
/// # Errors
/// [`Reason::Incomplete`] when `future` panicked.
pub async fn complete<F>(future: F) -> Result<F::Output, Refusal>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future).await.map_err(|_| Refusal::new(Reason::Incomplete))
}
