//! Which state of the whole store is this: the latest, or that of a copy?
//!
//! The store carries a generation, a number and random bytes, and the log is its witness. It goes up
//! when a gate opens and closes, when a credential or a class changed, and every ten minutes. The
//! store goes first, and the log says afterwards what the store already holds: so a crash in between
//! leaves a store that is ahead of its witness, and only one that was put back is behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_access_log::{AnySink, Operation, Outcome, Record, RecordSink, Target, name};
use vouchsafe_core::{
    Cell, CellKey, Corrupt, Entropy, Machine, PolicyDigest, Space, Step, TenantId, Timestamp,
};
use vouchsafe_crypto::{MacKey, RootKey};
use vouchsafe_store::{AnyCells, Cells, drive};

use super::account::AccountEvent;
use super::call::Draft;
use super::events::event;
use super::schedule::Every;
use super::{Gate, OpenError};

/// How often it goes up by itself, which costs a record each time. A copy that is younger may pass
/// for the latest state when nothing changed since that [`matters`] and the gate was not closed in
/// order: sessions that were signed out of, and failures, of ten minutes at most come back with it.
const EVERY: Duration = Duration::from_secs(600);
/// Records read back at once.
pub(super) const PAGE: usize = 1_024;

/// The generation of a store, and what was void when it was last put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) id: [u8; 16],
    pub(super) restored: Option<Fresh>,
}

/// Since when everything that was handed out before is void, and what makes it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fresh {
    pub(super) salt: [u8; 16],
    pub(super) at: Timestamp,
}

/// A generation that the log has seen, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) number: u64,
    pub(super) id: [u8; 16],
    pub(super) at: Timestamp,
}

impl Generation {
    pub(super) fn key(digests: &MacKey) -> CellKey {
        CellKey::new(Self::SPACE, digests.digest("vouchsafe store generation v1", &[]))
    }

    /// The root of what is handed out: another one after each time that the store was put back, so
    /// that every session, link and device cookie from before is a text that no key made.
    pub(super) fn root(&self, root: RootKey) -> RootKey {
        match &self.restored {
            None => root,
            Some(fresh) => RootKey::new(&root.derive("vouchsafe restored v1", &[&fresh.salt])),
        }
    }

    /// Stirred into the generation of every credential, so that what was opened before the store was
    /// put back is of another one: it is in no list, and takes no place.
    pub(super) fn era(&self) -> u64 {
        let salt = self.restored.map_or([0; 16], |fresh| fresh.salt);
        u64::from_be_bytes(*salt.first_chunk().unwrap_or(&[0; 8]))
    }

    /// What the log is told. Only whoever has the keys can say it.
    fn text(&self, digests: &MacKey) -> String {
        let id = u128::from_be_bytes(self.id);
        let mark = u128::from_be_bytes(mark(digests, self.number, &self.id));
        format!("generation {} {id:032x} {mark:032x}", self.number)
    }
}

fn mark(digests: &MacKey, number: u64, id: &[u8; 16]) -> [u8; 16] {
    digests.digest("vouchsafe generation witness v1", &[&number.to_be_bytes(), id])
}

impl Witness {
    /// What a record witnesses, if it does.
    pub(super) fn read(record: &Record, digests: &MacKey) -> Option<Self> {
        let Target::Entity { kind, id } = &record.target else { return None };
        if record.operation != Operation::Updated || *kind != STORE {
            return None;
        }
        let mut words = id.as_str().strip_prefix("generation ")?.split(' ');
        let number = words.next()?.parse().ok()?;
        let mut bytes = || Some(u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes());
        let (id, said) = (bytes()?, bytes()?);
        (mark(digests, number, &id) == said).then_some(Self { number, id, at: record.time })
    }
}

/// The kind of the records' target.
pub(super) const STORE: vouchsafe_access_log::Name = name!("store");

/// What the store says, and what the log does.
pub(super) struct Found {
    pub(super) cell: Option<Generation>,
    /// `None`: the log does not read back.
    pub(super) log: Option<Option<Witness>>,
    /// When the newest record was made, before this start.
    pub(super) last: Option<Timestamp>,
}

impl Found {
    pub(super) async fn read(
        cells: &AnyCells,
        sink: &AnySink,
        digests: &MacKey,
    ) -> Result<Self, OpenError> {
        let key = Generation::key(digests);
        let cell = cells.load(key).await?.state(key)?;
        let (mut log, mut last) = (None, None);
        let read = read_back(sink, |_, record| {
            last = last.or(Some(record.time));
            log = Witness::read(record, digests);
            log.is_none()
        });
        let readable = read.await?;
        Ok(Self { cell, log: readable.then_some(log), last })
    }

    /// The witness of a state that the store no longer knows.
    pub(super) fn newer(&self) -> Option<Witness> {
        let seen = self.log.flatten()?;
        let behind = match &self.cell {
            None => true,
            // The same number under other bytes: two copies went on, each by itself.
            Some(cell) => {
                cell.number < seen.number || cell.number == seen.number && cell.id != seen.id
            }
        };
        behind.then_some(seen)
    }
}

/// Shows the log's records, newest first, until `on` has seen enough. False when it does not read
/// back.
pub(super) async fn read_back(
    sink: &AnySink,
    mut on: impl FnMut(u64, &Record) -> bool,
) -> Result<bool, OpenError> {
    let mut before = None;
    loop {
        let page = sink.read_back(before, PAGE).await.map_err(|_| OpenError::Log)?;
        let Some(page) = page else { return Ok(false) };
        for (index, record) in &page {
            before = Some(*index);
            if !on(*index, record) {
                return Ok(true);
            }
        }
        if page.is_empty() {
            return Ok(true);
        }
    }
}

/// Raises the generation, unless the store has one that is lower than what this process has seen.
struct Raise;

#[derive(Debug)]
struct Up {
    seen: u64,
    id: [u8; 16],
}

impl Machine for Raise {
    type State = Generation;
    type Event = Up;
    /// `None`: the store went back.
    type Verdict = Option<Generation>;

    fn step(
        &self,
        was: Option<&Generation>,
        up: &Up,
        _now: Timestamp,
    ) -> Step<Generation, Option<Generation>> {
        let was = was.copied().unwrap_or_default();
        if was.id == up.id {
            return Step::keep(Some(was));
        }
        if was.number < up.seen {
            return Step::keep(None);
        }
        let new = Generation { number: was.number.saturating_add(1), id: up.id, ..was };
        Step::save(new, Timestamp::MAX, Some(new))
    }
}

/// The generation under an open gate, over a log that reads back.
pub(super) struct Generations {
    key: CellKey,
    /// In whose name it is recorded.
    tenant: TenantId,
    /// The number that was last seen in the store.
    seen: AtomicU64,
    /// How often it was asked to go up, and up to which of them it has.
    asked: AtomicU64,
    done: AtomicU64,
    again: Mutex<Every>,
    /// The store went back under the open gate.
    went_back: AtomicBool,
}

impl Generations {
    pub(super) fn new(
        found: &Found,
        digests: &MacKey,
        tenant: Option<&TenantId>,
        now: Timestamp,
    ) -> Option<Self> {
        found.log?;
        Some(Self {
            key: Generation::key(digests),
            tenant: tenant?.clone(),
            seen: AtomicU64::new(found.cell.map_or(0, |cell| cell.number)),
            asked: AtomicU64::new(0),
            done: AtomicU64::new(0),
            again: Mutex::new(Every::new(EVERY, now)),
            went_back: AtomicBool::new(false),
        })
    }

    fn again(&self) -> std::sync::MutexGuard<'_, Every> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }

    fn waits(&self) -> bool {
        self.done.load(Ordering::SeqCst) < self.asked.load(Ordering::SeqCst)
    }
}

/// Whether an account is another after this in what a copy of the store must not bring back.
pub(super) const fn matters(event: &AccountEvent) -> bool {
    use vouchsafe_session::SessionEvent::{Revoke, RevokeAll, RevokeOthers};
    match event {
        AccountEvent::Session(event) => {
            matches!(event, Revoke { .. } | RevokeOthers { .. } | RevokeAll)
        }
        AccountEvent::Use(_)
        | AccountEvent::Redeem { .. }
        | AccountEvent::SetPassword { .. }
        | AccountEvent::Credential(_)
        | AccountEvent::ForgetDevices { .. }
        | AccountEvent::Reclass(_) => true,
        AccountEvent::Looked(looked) => looked.changes,
        AccountEvent::Open { .. }
        | AccountEvent::Issue { .. }
        | AccountEvent::Peek(_)
        | AccountEvent::Upgrade(_) => false,
    }
}

impl Gate {
    /// The store holds something new that a copy of it does not: its generation goes up before this
    /// returns, or at the next upkeep when the store or the log does not take it now.
    pub(super) async fn store_changed(&self) {
        if let Some(of) = &self.inner.generations {
            let asked = of.ask();
            self.raised(of, asked).await;
        }
    }

    /// As [`store_changed`](Self::store_changed); false when it could not be done.
    pub(super) async fn raise_generation(&self) -> bool {
        match &self.inner.generations {
            Some(of) => self.raised(of, of.ask()).await,
            None => true,
        }
    }

    /// Raises it for whoever has asked so far: those that asked meanwhile share the next one.
    async fn raised(&self, of: &Generations, asked: u64) -> bool {
        let Ok(_turn) = self.inner.turns.take(of.key).await else { return false };
        if of.done.load(Ordering::SeqCst) >= asked {
            return true;
        }
        let all = of.asked.load(Ordering::SeqCst);
        let done = self.raise_now(of).await;
        if done {
            of.done.fetch_max(all, Ordering::SeqCst);
            of.again().done(self.now());
        }
        done
    }

    async fn raise_now(&self, of: &Generations) -> bool {
        let inner = &self.inner;
        let Ok(id) = inner.entropy.id::<16>() else { return false };
        let up = Up { seen: of.seen.load(Ordering::SeqCst), id };
        let raised = drive(&inner.cells, &inner.entropy, of.key, &Raise, up, self.now()).await;
        let (text, outcome) = match raised {
            Ok(Some(new)) => {
                of.seen.fetch_max(new.number, Ordering::SeqCst);
                (new.text(&inner.digests), Outcome::Succeeded)
            }
            // What it forgot cannot be known here. The log has seen more, so no gate opens again
            // before somebody has looked.
            Ok(None) if !of.went_back.swap(true, Ordering::SeqCst) => {
                ("went back".to_owned(), Outcome::Failed(name!("store.older")))
            }
            Ok(None) => return true,
            Err(_) => return false,
        };
        let draft = self.about_store(&of.tenant, &text);
        self.append(&draft, outcome).await.is_ok()
    }

    pub(super) fn about_store(&self, tenant: &TenantId, text: &str) -> Draft {
        about_store(&self.inner.application, tenant, text)
    }

    /// When the generation has to go up next.
    pub(super) fn generation_due(&self, now: Timestamp) -> Option<Timestamp> {
        let of = self.inner.generations.as_ref()?;
        Some(if of.waits() { now } else { of.again().due(now) })
    }

    /// The store forgot what it had acknowledged while this gate was open.
    pub(super) fn store_went_back(&self) -> bool {
        self.inner.generations.as_ref().is_some_and(|of| of.went_back.load(Ordering::SeqCst))
    }
}

/// What is written about the store as a whole.
pub(super) fn about_store(
    application: &vouchsafe_access_log::Name,
    tenant: &TenantId,
    text: &str,
) -> Draft {
    Draft::own(application, tenant, Operation::Updated, event(STORE, text), PolicyDigest::NONE)
}

impl Cell for Generation {
    const SPACE: Space = Space::System;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let Some(([1], rest)) = bytes.split_first_chunk() else { return Err(Corrupt) };
        let (number, rest) = rest.split_first_chunk().ok_or(Corrupt)?;
        let (id, rest) = rest.split_first_chunk().ok_or(Corrupt)?;
        let restored = match rest.split_first_chunk::<16>() {
            None if rest.is_empty() => None,
            None => return Err(Corrupt),
            Some((salt, at)) => {
                let at = i64::from_be_bytes(at.try_into().map_err(|_| Corrupt)?);
                Some(Fresh { salt: *salt, at: Timestamp::from_micros(at) })
            }
        };
        Ok(Self { number: u64::from_be_bytes(*number), id: *id, restored })
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(self.number.to_be_bytes());
        out.extend(self.id);
        if let Some(fresh) = self.restored {
            out.extend(fresh.salt);
            out.extend(fresh.at.micros().to_be_bytes());
        }
        out
    }
}
