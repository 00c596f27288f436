//! What a signed-in request costs more than the bare route: axum, no socket, 100 000 sessions in
//! memory, one of which is drawn for each request. The handler of every side asks who it is.

mod sites;

use std::time::Instant;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::Result;
use crate::draw::numbers;
use crate::measure::{Batch, Case, Side, Sides, Unit};
use sites::Site;

const BATCH: u32 = 20_000;
/// Requests of each thread: the peer's are far fewer a second.
const BATCH_OURS: u32 = 40_000;
const BATCH_PEER: u32 = 5_000;
const THREADS: u32 = 2;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "session/layer_check",
        peer: "tower-sessions",
        wanted: 3.0,
        unit: Unit::Nanos,
        pairs: 15,
        prepare: layer_check,
    },
    Case {
        name: "session/layer_check_two_threads",
        peer: "tower-sessions",
        wanted: 30.0,
        unit: Unit::PerSecond,
        pairs: 11,
        prepare: layer_check_two_threads,
    },
    Case {
        name: "session/vs_axum_login",
        peer: "axum-login",
        wanted: 4.0,
        unit: Unit::Nanos,
        pairs: 15,
        prepare: vs_axum_login,
    },
];

/// Our layers for transport and session, which check the session and count the request as its use,
/// against a load from tower-sessions' `MemoryStore`, which does not. The bare route is taken off.
fn layer_check() -> Result<Sides> {
    added(Site::ours()?, Site::tower_sessions()?)
}

/// The same against axum-login, which loads the session and then the user from a map.
fn vs_axum_login() -> Result<Sides> {
    added(Site::ours()?, Site::axum_login()?)
}

/// Whole requests a second of two runtimes, a thread each, over one store.
fn layer_check_two_threads() -> Result<Sides> {
    let (ours, peer) = (Site::ours()?, Site::tower_sessions()?);
    let mut round = 0;
    let ours = move || at_once_on_two(&ours, BATCH_OURS, &mut round);
    let mut round = 0;
    Ok(Sides::new(ours, move || at_once_on_two(&peer, BATCH_PEER, &mut round)))
}

fn added(ours: Site, peer: Site) -> Result<Sides> {
    let bare = Site { router: sites::bare(), cookies: ours.cookies.clone() };
    Ok(Sides { ours: one_by_one(ours)?, peer: one_by_one(peer)?, common: Some(one_by_one(bare)?) })
}

fn one_by_one(site: Site) -> Result<Side> {
    let runtime = runtime()?;
    let mut round = 0;
    Ok(Box::new(move || {
        round += 1;
        let start = Instant::now();
        runtime.block_on(visits(&site, BATCH, round))?;
        Ok(Batch { operations: BATCH, took: start.elapsed() })
    }))
}

fn at_once_on_two(site: &Site, each: u32, round: &mut u64) -> Result<Batch> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                *round += 1;
                let seed = *round;
                scope.spawn(move || runtime()?.block_on(visits(site, each, seed)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread died")?)
    })?;
    Ok(Batch { operations: THREADS * each, took: start.elapsed() })
}

async fn visits(site: &Site, count: u32, seed: u64) -> Result<()> {
    let drawn = numbers(seed, u64::try_from(site.cookies.len())?);
    for at in drawn.take(usize::try_from(count)?) {
        let mut request = Request::new(axum::body::Body::empty());
        let cookie = site.cookies[usize::try_from(at)?].clone();
        request.headers_mut().insert(header::COOKIE, cookie);
        request.extensions_mut().insert(sites::peer_address());
        let response = site.router.clone().oneshot(request).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Err(format!("answered {}", response.status()).into());
        }
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().build()?)
}
