//! The connections, and the thread that keeps them.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task;
use tokio_postgres::error::SqlState;
use vouchsafe_store::StoreError;

use crate::error::reason;
use crate::session::{Opening, Session};
use crate::{PostgresBuilder, PostgresError};

/// Most calls of one store that may wait for an answer.
const MAX_CALLS: usize = 4096;
/// Most times one call is sent: again only when the last one certainly did nothing, or a read.
const MAX_TRIES: u32 = 4;
/// Between two attempts to connect: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// The connections that serve.
pub(crate) struct Pool {
    sessions: Mutex<Vec<Option<Arc<Session>>>>,
    /// Changes whenever there is a new connection.
    joined: watch::Sender<()>,
    /// Why the last attempt to connect failed.
    trouble: Mutex<String>,
    calls: AtomicUsize,
    closing: AtomicBool,
    /// Some connection has seen that the server may undo what it acknowledged.
    may_roll_back: AtomicBool,
}

/// The pool and its thread.
pub(crate) struct Keeper {
    pool: Arc<Pool>,
    deadline: Duration,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a call may be sent again when its connection broke.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes nothing.
    Read,
    /// It may have been done.
    Write,
}

/// Why a call has no answer.
pub(crate) enum Failure {
    /// The server's disk is full; nothing changed.
    Full,
    /// Anything else.
    Unavailable(String),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::Full,
            Failure::Unavailable(reason) => Self::unavailable(reason),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::DISK_FULL) {
            Self::Full
        } else {
            Self::Unavailable(reason(&error))
        }
    }
}

impl Keeper {
    pub(crate) async fn start(builder: &PostgresBuilder) -> Result<Self, PostgresError> {
        let (opening, deadline) = (builder.opening()?, builder.deadline);
        let (connections, migrate) = (builder.connections, builder.migrate);
        let pool = Arc::new(Pool {
            sessions: Mutex::new(vec![None; connections]),
            joined: watch::Sender::new(()),
            trouble: Mutex::default(),
            calls: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            may_roll_back: AtomicBool::new(false),
        });
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let kept = Arc::clone(&pool);
        let work = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error.into()))),
            };
            let handle = runtime.handle().clone();
            runtime.block_on(async {
                let opened = open(&kept, &opening, connections, migrate).await;
                let keepers = match opened {
                    Ok(keepers) => keepers,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                if tell.send(Ok(handle)).is_ok() {
                    // Its other end is dropped with the store.
                    let _dropped = stopped.await;
                }
                kept.close(keepers, deadline).await;
            });
        };
        let thread =
            std::thread::Builder::new().name("vouchsafe-postgres".to_owned()).spawn(work)?;
        let gone = || PostgresError::Refused { reason: "the store's thread ended".to_owned() };
        let handle = told.await.map_err(|_| gone())??;
        Ok(Self { pool, deadline, handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn may_roll_back(&self) -> bool {
        self.pool.may_roll_back.load(Ordering::Relaxed)
    }

    /// Does `work` on one of the connections, within the deadline.
    pub(crate) async fn call<T, F, W>(&self, kind: Kind, work: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> W,
        W: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let _counted = Counted::new(&self.pool.calls);
        if self.pool.calls.load(Ordering::Relaxed) > MAX_CALLS {
            return Err(Failure::Unavailable("too many calls are waiting".to_owned()));
        }
        let mut on = None;
        let answer = {
            let attempts = self.pool.attempt(kind, &mut on, work);
            // The timer is the thread's, whatever runs this future.
            let timed = {
                let _entered = self.handle.enter();
                tokio::time::timeout(self.deadline, attempts)
            };
            timed.await
        };
        match (answer, on) {
            (Ok(answer), _) => answer,
            (Err(_), Some(session)) => {
                // A swap must not arrive after its caller was told that there is no answer.
                session.cut();
                Err(Failure::Unavailable(format!("no answer within {:?}", self.deadline)))
            }
            (Err(_), None) => {
                let trouble = lock(&self.pool.trouble).clone();
                Err(Failure::Unavailable(format!("no connection: {trouble}")))
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A caller's waker may hold the store, and drop it there: no thread waits for itself.
        let here = std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != here) {
            // Nobody waits for an answer any more, so it does not matter how it ended.
            let _ended = thread.join();
        }
    }
}

/// Makes the server ready, and the connections; there is one when this returns.
async fn open(
    pool: &Arc<Pool>,
    opening: &Arc<Opening>,
    connections: usize,
    migrate: bool,
) -> Result<Vec<task::JoinHandle<()>>, PostgresError> {
    let mut joined = pool.joined.subscribe();
    let opened = tokio::time::timeout(opening.timeout, async {
        opening.prepare(migrate).await?;
        let keep = |slot| tokio::spawn(keep(Arc::clone(pool), Arc::clone(opening), slot));
        let keepers: Vec<_> = (0..connections).map(keep).collect();
        // The pool has the other end.
        let _there = joined.changed().await;
        Ok(keepers)
    });
    opened.await.unwrap_or_else(|_| match lock(&pool.trouble).clone() {
        none if none.is_empty() => Err(PostgresError::Silent(opening.timeout)),
        reason => Err(PostgresError::Refused { reason }),
    })
}

/// Keeps one connection: whenever it ends, makes another.
async fn keep(pool: Arc<Pool>, opening: Arc<Opening>, slot: usize) {
    let mut pause = PAUSES.0;
    loop {
        let trouble = match tokio::time::timeout(opening.timeout, opening.session()).await {
            Ok(Ok((session, mut work))) => {
                pause = PAUSES.0;
                pool.may_roll_back.fetch_or(session.may_roll_back, Ordering::Relaxed);
                pool.join(slot, Some(Arc::new(session)));
                // Cut, closed by the server, or let go by `close`.
                work.join_next().await;
                if pool.closing.load(Ordering::Relaxed) {
                    return;
                }
                pool.join(slot, None);
                "connection lost".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => PostgresError::Silent(opening.timeout).to_string(),
        };
        *lock(&pool.trouble) = trouble;
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSES.1);
    }
}

impl Pool {
    fn join(&self, slot: usize, session: Option<Arc<Session>>) {
        let joined = session.is_some();
        if let Some(place) = lock(&self.sessions).get_mut(slot) {
            *place = session;
        }
        if joined {
            self.joined.send_replace(());
        }
    }

    /// The connection with the fewest calls on it.
    fn idlest(&self) -> Option<Arc<Session>> {
        let sessions = lock(&self.sessions);
        let usable = sessions.iter().flatten().filter(|session| session.is_usable());
        usable.min_by_key(|session| session.calls.load(Ordering::Relaxed)).cloned()
    }

    /// A connection, as soon as there is one.
    async fn session(&self) -> Arc<Session> {
        let mut joined = self.joined.subscribe();
        loop {
            if let Some(session) = self.idlest() {
                return session;
            }
            // The sender is `self`'s.
            let _there = joined.changed().await;
        }
    }

    async fn attempt<T, F, W>(
        &self,
        kind: Kind,
        on: &mut Option<Arc<Session>>,
        work: F,
    ) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> W,
        W: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let mut tries = 0_u32;
        loop {
            tries = tries.saturating_add(1);
            let session = self.session().await;
            let _counted = Counted::new(&session.calls);
            *on = Some(Arc::clone(&session));
            let error = match work(Arc::clone(&session)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            *on = None;
            let undone = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
            let undone = error.code().is_some_and(|code| undone.contains(code));
            let broken = kind == Kind::Read && !session.is_usable();
            if tries == MAX_TRIES || !(undone || broken) {
                return Err(error.into());
            }
        }
    }

    /// Ends the connections, which first finish what was handed over, for as long as `deadline`.
    async fn close(&self, keepers: Vec<task::JoinHandle<()>>, deadline: Duration) {
        self.closing.store(true, Ordering::Relaxed);
        let sessions = std::mem::take(&mut *lock(&self.sessions));
        let mut serving = Vec::new();
        for (keeper, session) in keepers.into_iter().zip(sessions) {
            match session {
                Some(_let_go) => serving.push(keeper),
                None => keeper.abort(),
            }
        }
        let all = async {
            for keeper in serving {
                let _ended = keeper.await;
            }
        };
        let _late = tokio::time::timeout(deadline, all).await;
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
