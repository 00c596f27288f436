//! While the store of the failures does not answer: what the policy asks for instead of refusing.
//!
//! Most policies ask for nothing, and nobody gets in. Where one does, this process counts by itself
//! (`degraded`) or not at all (`open`), under charges of its own, which are settled here whatever the
//! store does meanwhile. What was counted by itself outlives the outage: a store that comes and goes
//! does not give a new start each time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_access_log::{Operation, Outcome, name};
use vouchsafe_core::{AccountDigest, ChargeId, Clock, Effect, Machine, Timestamp};
use vouchsafe_lockout::{
    Begin, LockoutEvent, LockoutMachine, LockoutState, LockoutVerdict, Outage,
};
use vouchsafe_policy::Policy;
use vouchsafe_store::{Cells, MemoryStore, StoreError, Undelivered, drive};

use super::events::event;
use super::upkeep::Holding;
use super::{Gate, Later, Policies};

/// What a process keeps of failures by itself, in bytes: some 50 000 accounts. Beyond, attempts are
/// refused.
const MEMORY: usize = 16 << 20;
/// Charges of this process's own that may wait to be settled. Beyond, attempts are refused.
const MAX_CHARGES: usize = 65_536;
/// How often, while it does not answer, the store is asked again: each time costs its deadline.
const ASK_AGAIN: Duration = Duration::from_secs(1);

type Driven = Result<LockoutVerdict, Undelivered<LockoutEvent>>;

/// That the store of the failures does not answer, and attempts are let through all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountersDown {
    /// Since when.
    pub since: Timestamp,
    /// How many attempts were admitted meanwhile without the store.
    pub admitted: u64,
}

/// What becomes of attempts while the store of the failures does not answer.
pub(super) struct Outages {
    /// Whether any policy asks for more than to be refused.
    asked: bool,
    own: MemoryStore,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    down: Option<CountersDown>,
    ask_again: Timestamp,
    charges: BTreeMap<ChargeId, Given>,
}

/// A charge that this process gave by itself.
struct Given {
    until: Timestamp,
    /// Of one that is not counted: what there would be.
    uncounted: Option<LockoutState>,
}

impl Outages {
    pub(super) fn new(policies: &Policies, clock: &Arc<dyn Clock>) -> Self {
        let asks = |policy: &Policy| policy.lockout().when_store_is_down() != Outage::Refuse;
        let asked = policies.iter().any(|(_, policy)| asks(policy));
        let own = MemoryStore::new(MEMORY).with_clock(Arc::clone(clock));
        Self { asked, own, inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the store did not answer; since when, if that is new.
    fn begins(&self, now: Timestamp) -> Option<Timestamp> {
        let mut inside = self.inside();
        inside.ask_again = now.after(ASK_AGAIN);
        let new = inside.down.is_none();
        inside.down.get_or_insert(CountersDown { since: now, admitted: 0 });
        new.then_some(now)
    }

    /// Whether the store is not to be asked just now.
    fn is_down(&self, now: Timestamp) -> bool {
        let inside = self.inside();
        // A clock that went back is not to keep it from being asked.
        inside.down.is_some() && now < inside.ask_again && inside.ask_again.since(now) <= ASK_AGAIN
    }
}

/// The charge that an event settles.
const fn settles(event: &LockoutEvent) -> Option<ChargeId> {
    match event {
        LockoutEvent::Matched(settle) => Some(settle.id()),
        LockoutEvent::NotMatched(settle) => Some(settle.id()),
        LockoutEvent::NotVerified(settle) => Some(settle.id()),
        _ => None,
    }
}

impl Gate {
    /// Whether the store of the failures does not answer and a policy lets attempts through all the
    /// same; to be watched. `None` while it answers, and where every policy refuses meanwhile.
    #[must_use]
    pub fn counters_down(&self) -> Option<CountersDown> {
        self.inner.outages.inside().down
    }

    /// Drives an event on one account's counter, or does what the policy asks for instead.
    pub(super) async fn counted(
        &self,
        policy: &Policy,
        machine: &LockoutMachine,
        event: LockoutEvent,
    ) -> Driven {
        let outages = &self.inner.outages;
        if !outages.asked {
            return self.count(machine, event).await;
        }
        let own = settles(&event).and_then(|id| outages.inside().charges.remove(&id));
        if let Some(given) = own {
            return self.settle_own(policy, machine, event, given).await;
        }
        if let LockoutEvent::Unlock { .. } = event
            && let (Some(unlock), Some(stricter)) = (event.again(), policy.lockout().degraded())
            && self.counters_down().is_some()
        {
            // What this process keeps by itself meanwhile, too.
            let machine = LockoutMachine::new(stricter, policy.digest());
            let _ = self.drive_own(&machine, unlock).await;
        }
        let asked = policy.lockout().when_store_is_down() != Outage::Refuse;
        let event = match event {
            LockoutEvent::Begin(begin) if asked && outages.is_down(self.now()) => {
                return self.begin_own(policy, machine, begin).await;
            }
            event => event,
        };
        match self.count(machine, event).await {
            Err(Undelivered {
                error: error @ StoreError::Unavailable(_),
                event: LockoutEvent::Begin(begin),
            }) if asked => {
                // Under another id: what is taken back in the store is not to be taken back here.
                let Ok(id) = self.fresh_id(policy) else {
                    return Err(Undelivered { error, event: LockoutEvent::Begin(begin) });
                };
                if let Some(since) = outages.begins(self.now()) {
                    self.note_outage(since, Outcome::Failed(name!("counters.down"))).await;
                }
                let own = Begin::new(begin.account(), id);
                // It may have been charged all the same.
                let event = LockoutEvent::NotVerified(begin.withdraw());
                self.inner.leave(Later::Settle { policy: Arc::new(policy.clone()), event });
                self.begin_own(policy, machine, own).await
            }
            Ok(verdict) => {
                self.counters_answer().await;
                Ok(verdict)
            }
            failed => failed,
        }
    }

    /// An attempt that the store is not asked about.
    async fn begin_own(&self, policy: &Policy, machine: &LockoutMachine, begin: Begin) -> Driven {
        let outages = &self.inner.outages;
        let (now, id) = (self.now(), begin.id());
        {
            let mut inside = outages.inside();
            if inside.charges.len() >= MAX_CHARGES {
                // Whoever dropped theirs left them behind.
                inside.charges.retain(|_, given| given.until >= now);
            }
            if inside.charges.len() >= MAX_CHARGES {
                let event = LockoutEvent::Begin(begin);
                return Err(Undelivered { error: StoreError::Full, event });
            }
        }
        let event = LockoutEvent::Begin(begin);
        let (verdict, uncounted) = match policy.lockout().degraded() {
            Some(stricter) => {
                let machine = LockoutMachine::new(stricter, policy.digest());
                (self.drive_own(&machine, event).await?, None)
            }
            None => {
                let (effect, pending) = machine.step(None, &event, now).split();
                let state = match effect {
                    Effect::Save { state, .. } => Some(state),
                    Effect::Keep | Effect::Erase => None,
                };
                (pending.committed(), state)
            }
        };
        if matches!(verdict, LockoutVerdict::Admitted(_)) {
            let until = now.after(policy.lockout().settle_within());
            let mut inside = outages.inside();
            inside.charges.insert(id, Given { until, uncounted });
            if let Some(down) = &mut inside.down {
                down.admitted = down.admitted.saturating_add(1);
            }
        }
        Ok(verdict)
    }

    async fn settle_own(
        &self,
        policy: &Policy,
        machine: &LockoutMachine,
        event: LockoutEvent,
        given: Given,
    ) -> Driven {
        match (given.uncounted, policy.lockout().degraded()) {
            (None, Some(stricter)) => {
                let machine = LockoutMachine::new(stricter, policy.digest());
                self.drive_own(&machine, event).await
            }
            (state, _) => {
                let step = machine.step(state.as_ref(), &event, self.now());
                Ok(step.split().1.committed())
            }
        }
    }

    async fn drive_own(&self, machine: &LockoutMachine, event: LockoutEvent) -> Driven {
        let (own, entropy) = (&self.inner.outages.own, &self.inner.entropy);
        drive(own, entropy, event.cell(), machine, event, self.now()).await
    }

    /// The store of the failures answers.
    async fn counters_answer(&self) {
        let over = self.inner.outages.inside().down.take();
        if let Some(over) = over {
            self.note_outage(over.since, Outcome::Succeeded).await;
        }
    }

    /// Asks the store whether it answers again, while nobody else does.
    pub(super) async fn probe_counters(&self) {
        if self.counters_down().is_none() || self.inner.outages.is_down(self.now()) {
            return;
        }
        let nobody = LockoutState::key(AccountDigest::new([0; 16]));
        match self.inner.cells.load(nobody).await {
            Err(StoreError::Unavailable(_)) => {
                self.inner.outages.begins(self.now());
            }
            _ => self.counters_answer().await,
        }
    }

    /// Records in each tenant's name that an outage began or ended: once, now or when the log takes
    /// it. Both records bear the moment of its beginning.
    async fn note_outage(&self, since: Timestamp, outcome: Outcome) {
        let text = format!("{:016x}  failures cannot be counted in their store", since.micros());
        let drafts = self.inner.policies.iter().map(|(tenant, policy)| {
            let target = event(name!("counters"), &text);
            let draft = Box::new(self.own(tenant, Operation::Degraded, target, policy.digest()));
            let later = Later::Correct { draft: draft.clone(), outcome: outcome.clone() };
            (draft, Holding(&self.inner, Some(later)))
        });
        // All of them at once: whoever met it may go away any moment.
        let mut drafts: Vec<_> = drafts.collect();
        for (draft, holding) in &mut drafts {
            if self.append(draft, outcome.clone()).await.is_ok() {
                holding.1 = None;
            }
        }
    }
}
