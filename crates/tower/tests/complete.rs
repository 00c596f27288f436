//! What a client began ends, even when the client is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::post;
use common::*;
use tokio::sync::Notify;
use tower::ServiceExt;
use vouchsafe::core::CellKey;
use vouchsafe::gate::Gate;
use vouchsafe::store::{Cells, Loaded, MemoryStore, StoreError};
use vouchsafe_testkit::TestGate;
use vouchsafe_tower::{Call, Principal, Reason, Refusal, Web, complete};

/// A store that stops at every load while it is told to.
struct Stopping {
    inner: MemoryStore,
    control: Arc<Control>,
}

#[derive(Default)]
struct Control {
    stopping: AtomicBool,
    stopped: AtomicUsize,
    reached: Notify,
    go_on: Notify,
}

impl Cells for Stopping {
    vouchsafe_testkit::pass_on!(inner: swap scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        if self.control.stopping.load(Ordering::SeqCst) {
            let go_on = self.control.go_on.notified();
            self.control.stopped.fetch_add(1, Ordering::SeqCst);
            self.control.reached.notify_one();
            go_on.await;
        }
        self.inner.load(key).await
    }
}

/// The same handler without a task of its own.
async fn frail_logout(
    web: Web,
    Call(call): Call,
    Principal(principal): Principal,
) -> Result<&'static str, Refusal> {
    web.gate().sign_out(principal, &call).await?;
    Ok("out")
}

/// Posts to `path`, hangs up while the handler waits for the store, and lets the store go on.
/// Whether the session is then over.
async fn hung_up(path: &str) -> bool {
    let control = Arc::new(Control::default());
    let store = Stopping { inner: MemoryStore::new(1 << 24), control: Arc::clone(&control) };
    let policies = (TestGate::tenant(), policy());
    let gate = TestGate::over(policies, store, |gate| gate).await.unwrap();
    gate.add("ada@acme.example", "staff", PASSWORD);
    let issued = gate.sign_in("ada@acme.example", PASSWORD);
    let token = issued.token().expose().to_owned();
    let mut site = Site::over(gate, |web| web);
    let pages = pages().route("/{tenant}/frail", post(frail_logout));
    site.router = site.web.protect(pages);
    let mut browser = site.browser();
    browser.cookies = vec![("__Host-Http-sid".to_owned(), token.clone())];
    let csrf = browser.get("/acme/login").await.token().to_owned();
    let (cookie, headers) = (browser.cookie_header(), OWN);
    let mut headers = headers.to_vec();
    headers.extend([("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())]);

    control.stopping.store(true, Ordering::SeqCst);
    let mut response =
        Box::pin(site.router.clone().oneshot(request("POST", path, &headers, Body::empty())));
    // The layer's check of the session, then the handler's own work.
    for stop in 1..=2 {
        while control.stopped.load(Ordering::SeqCst) < stop {
            tokio::select! {
                _ = &mut response => panic!("answered without the store"),
                () = control.reached.notified() => {}
            }
        }
        if stop == 1 {
            control.go_on.notify_waiters();
        }
    }
    drop(response);
    control.stopping.store(false, Ordering::SeqCst);
    control.go_on.notify_waiters();
    is_over(&site.gate.gate, &token).await
}

/// Whether the session ends before all that was begun has ended.
async fn is_over(gate: &Gate, token: &str) -> bool {
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    for _ in 0..1_000 {
        if gate.check(&tenant, token, &call).await.is_err() {
            return true;
        }
        // Whatever task there is gets its turn.
        tokio::task::yield_now().await;
    }
    false
}

/// SE-16: a client who hangs up still signs out. Without a task of its own, it would not.
#[tokio::test]
async fn a_client_who_hangs_up_still_signs_out() {
    assert!(hung_up("/acme/logout").await);
    assert!(!hung_up("/acme/frail").await);
}

#[tokio::test]
async fn what_panics_is_refused() {
    async fn panics() {
        panic!("on purpose");
    }
    assert_eq!(complete(async { 7 }).await, Ok(7));
    let refusal = complete(panics()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Incomplete);
    assert_eq!(refusal.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn dropped_it_still_ends() {
    let (send, receive) = tokio::sync::oneshot::channel();
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let mut future = Box::pin(complete(async move {
        waits.notified().await;
        send.send("done").unwrap();
    }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
    drop(future);
    go_on.notify_one();
    assert_eq!(receive.await, Ok("done"));
}
