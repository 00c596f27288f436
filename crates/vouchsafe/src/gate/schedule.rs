//! When the work in between is due, and how far time has certainly come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_core::{
    Anchor, Cell, CellKey, Clock, Corrupt, Doubt, Entropy, Machine, Space, Step, Timestamp,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_store::{AnyCells, Cells, StoreError, drive};

use super::Policies;
use super::account::AccountState;
use super::baseline::Put;

/// How often expired cells are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often every account is looked at for sessions and links that have ended.
const REAP_EVERY: Duration = Duration::from_secs(86_400);

/// How often every cell is looked at for an old generation of the store's keys: a generation lasts 30
/// days.
const RESEAL_EVERY: Duration = Duration::from_secs(7 * 86_400);

/// When what is due.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Mutex<Due>,
    idle: Duration,
    /// When the log's last record before this start was made.
    recorded: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Due {
    /// What waits was left by a run at this time.
    pub(super) waiting: Option<Timestamp>,
    pub(super) sweep: Every,
    pub(super) reap: Every,
    /// The last account that the walk in progress has seen.
    pub(super) reaped: Option<[u8; 16]>,
    pub(super) reseal: Every,
    /// The last cell that the walk in progress has seen.
    pub(super) resealed: Option<CellKey>,
    /// `None` until the first run.
    anchor: Option<Anchor>,
    /// What is written down of it.
    kept: Option<Timestamp>,
    doubt: Option<Doubt>,
}

/// Something that is done again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Every {
    next: Timestamp,
    period: Duration,
}

impl Every {
    pub(super) const fn new(period: Duration, now: Timestamp) -> Self {
        Self { next: now, period }
    }

    /// When it is due, seen at `now`.
    pub(super) fn due(&self, now: Timestamp) -> Timestamp {
        // Further off than a whole period: noted while the clock stood wrong.
        if self.next > now.after(self.period) { now } else { self.next }
    }

    /// It was done at `now`.
    pub(super) fn done(&mut self, now: Timestamp) {
        self.next = now.after(self.period);
    }
}

impl Schedule {
    /// Everything is due from `now` on. A session is over when it was idle for longer than any class
    /// of `policies` allows: an account says its class, not its tenant.
    pub(super) fn new(policies: &Policies, now: Timestamp, recorded: Option<Timestamp>) -> Self {
        let mut idle = Duration::ZERO;
        for (_, policy) in policies.iter() {
            let longest = policy.classes().map(|(_, class)| class.session().idle()).max();
            idle = idle.max(longest.unwrap_or(Duration::MAX));
        }
        let due = Due {
            waiting: None,
            sweep: Every::new(SWEEP_EVERY, now),
            reap: Every::new(REAP_EVERY, now),
            reaped: None,
            reseal: Every::new(RESEAL_EVERY, now),
            resealed: None,
            anchor: None,
            kept: None,
            doubt: None,
        };
        Self { due: Mutex::new(due), idle, recorded }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the clock is ahead of what is certain, as of the last sweep.
    pub(super) fn doubt(&self) -> Option<Doubt> {
        self.lock().doubt
    }

    /// What expired before this may be dropped. A shared store's time wins over `clock`'s.
    pub(super) async fn certain(
        &self,
        cells: &AnyCells,
        entropy: &impl Entropy,
        digests: &MacKey,
        clock: &dyn Clock,
    ) -> Result<Timestamp, StoreError> {
        let key = Certain::key(digests);
        let loaded = cells.load(key).await?;
        let time = loaded.time;
        let kept: Option<Certain> = loaded.state(key)?;
        let (node, Some(steady)) = (clock.now(), clock.steady()) else {
            // Nothing to hold the clock against.
            return Ok(clock.now());
        };
        let now = time.unwrap_or(node);
        let (by, write) = {
            let mut due = self.lock();
            let anchor = due.anchor.get_or_insert_with(|| {
                // While this process did not run nothing measured: either the store's own clock
                // agrees, or it is no later than it was when last written down, or recorded in the log.
                // A later record proves nothing: it may have been made while the clock stood wrong.
                let apart = time.map(|time| time.since(node).max(node.since(time)));
                let agreed = apart.is_some_and(|apart| apart <= Anchor::TOLERANCE);
                let last = kept.map(|kept| kept.0).or(self.recorded);
                let certain = last.map_or(now, |last| last.min(now));
                Anchor::new(if agreed { now } else { certain }, steady)
            });
            let by = anchor.observe(now, steady);
            due.doubt = due.anchor.as_ref().and_then(|anchor| anchor.doubt(now, steady));
            // Written down as it is certain, without the tolerance that is granted.
            let certain = if due.doubt.is_some() { by.before(Anchor::TOLERANCE) } else { by };
            let stale = due
                .kept
                .is_none_or(|kept| certain.since(kept) >= Anchor::TOLERANCE || certain < kept);
            if stale {
                due.kept = Some(certain);
            }
            (by, stale.then_some(certain))
        };
        if let Some(certain) = write {
            // Of several nodes the last one wins: they observe one store.
            let put = drive(cells, entropy, key, &Put::new(), Certain(certain), now).await;
            if let Err(undelivered) = put {
                self.lock().kept = None;
                return Err(undelivered.error);
            }
        }
        Ok(by)
    }

    /// Somebody who knows says that the clock is right.
    pub(super) fn confirm(&self, clock: &dyn Clock) {
        if let Some(steady) = clock.steady() {
            let now = clock.now();
            let mut due = self.lock();
            due.anchor = Some(Anchor::new(now, steady));
            (due.doubt, due.kept) = (None, None);
            due.sweep = Every::new(SWEEP_EVERY, now);
        }
    }

    /// The walk over the accounts has come to its end.
    pub(super) fn reaped(&self, now: Timestamp) {
        let mut due = self.lock();
        due.reaped = None;
        due.reap.done(now);
    }

    /// What is to be left out of accounts.
    pub(super) const fn tidy(&self, by: Timestamp) -> Tidy {
        Tidy { idle: self.idle, by }
    }
}

/// The time that was certain when it was last written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Certain(Timestamp);

impl Certain {
    fn key(digests: &MacKey) -> CellKey {
        CellKey::new(Self::SPACE, digests.digest("vouchsafe certain time v1", &[]))
    }
}

impl Cell for Certain {
    const SPACE: Space = Space::System;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        match bytes.split_first() {
            Some((1, micros)) => {
                let micros = i64::from_be_bytes(micros.try_into().map_err(|_| Corrupt)?);
                let time = Timestamp::from_micros(micros);
                if time.micros() == micros { Ok(Self(time)) } else { Err(Corrupt) }
            }
            _ => Err(Corrupt),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        [&[1], self.0.micros().to_be_bytes().as_slice()].concat()
    }
}

/// Leaves out of an account what has ended: sessions idle for longer than any policy allows, and
/// links that have expired.
pub(super) struct Tidy {
    idle: Duration,
    by: Timestamp,
}

impl Machine for Tidy {
    type State = AccountState;
    type Event = ();
    /// Whether anything was left out.
    type Verdict = bool;

    fn step(
        &self,
        was: Option<&AccountState>,
        (): &(),
        _now: Timestamp,
    ) -> Step<AccountState, bool> {
        let Some(was) = was else { return Step::keep(false) };
        let sessions = was.sessions.as_ref().and_then(|all| all.tidied(self.idle, self.by));
        let links = was.links.as_ref().and_then(|all| all.tidied(self.by));
        if sessions.is_none() && links.is_none() {
            return Step::keep(false);
        }
        let mut state = was.clone();
        state.sessions = sessions.or(state.sessions);
        state.links = links.or(state.links);
        Step::save(state, Timestamp::MAX, true)
    }
}
