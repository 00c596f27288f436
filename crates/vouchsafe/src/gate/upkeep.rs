//! The work in between: counts of refusals, refunds, corrections, mail, cells whose time has passed.

use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::Poll;

use vouchsafe_access_log::{Name, Operation, Outcome, RecordSink, name};
use vouchsafe_core::Timestamp;
use vouchsafe_lockout::LockoutState;
use vouchsafe_store::Cells;

use super::builder::own_draft;
use super::coalesce::{Counts, Due};
use super::{Code, Gate, Inner, Later, Refused, failed};

/// Most cells that one run drops.
const SWEEP: usize = 1_000;
/// The record's reason for a policy that does not keep what was promised.
pub(super) const BELOW: Name = name!("policy.below_baseline");
/// Records handed to the log at once, which makes them durable together.
const BATCH: usize = 256;

/// What one run of the upkeep did, and what is left for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Records written: of calls that had been counted, and corrections.
    pub records: usize,
    /// Charges taken back that the store had not answered for.
    pub refunds: usize,
    /// Mails handed over that strangers had asked for.
    pub mails: usize,
    /// Cells dropped whose time had passed.
    pub swept: usize,
    /// Whether something is left that the next run has to do.
    pub left: bool,
}

/// Counts that are being written; dropped before they were, they go back.
struct Counting<'a>(&'a Counts, Vec<Due>);

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.1.drain(..).for_each(|due| self.0.put_back(due));
    }
}

/// A record that is being written for later; dropped before it was, it goes back.
struct Holding<'a>(&'a Inner, Option<Later>);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        if let Some(later) = self.1.take() {
            self.0.leave(later);
        }
    }
}

/// The outputs of all these, which run side by side.
async fn all_of<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, output) in all.iter_mut().filter(|(_, output)| output.is_none()) {
            match Pin::new(future).poll(context) {
                Poll::Ready(ready) => *output = Some(ready),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

impl Gate {
    /// Does the work in between: to be called every few seconds, and cheap when there is none.
    ///
    /// What cannot be done now, because the store or the log does not answer, is left for the next
    /// run.
    pub async fn upkeep(&self) -> Upkeep {
        let now = self.now();
        let mut done = Upkeep::default();
        self.write_counts(now, false, &mut done).await;
        self.catch_up(&mut done).await;
        self.note_effective(now, &mut done).await;
        match self.inner.cells.sweep(now, SWEEP).await {
            Ok(swept) => {
                done.swept = swept;
                done.left |= swept == SWEEP;
            }
            Err(_) => done.left = true,
        }
        done
    }

    /// Writes what is still counted, and that the gate was closed: for an orderly end, after the
    /// last call.
    pub async fn close(&self) -> Upkeep {
        let mut done = Upkeep::default();
        self.write_counts(self.now(), true, &mut done).await;
        self.catch_up(&mut done).await;
        for (tenant, policy) in self.inner.policies.iter() {
            match self.note(tenant, Operation::GateClosed, "gate", policy.digest()).await {
                Ok(()) => done.records = done.records.saturating_add(1),
                Err(_) => done.left = true,
            }
        }
        done
    }

    /// Records once which contracts have come into force, or that the policy is below them.
    async fn note_effective(&self, now: Timestamp, done: &mut Upkeep) {
        for (at, ahead) in self.inner.ahead.iter().enumerate() {
            if ahead.since > now || self.inner.noted().contains(&at) {
                continue;
            }
            let (operation, outcome) = match ahead.findings.as_slice() {
                [] => (Operation::PolicyLoaded, Outcome::Succeeded),
                _ => (Operation::PolicyRefused, Outcome::Refused(BELOW)),
            };
            let (application, baseline) = (&self.inner.application, ahead.baseline);
            let draft = own_draft(application, &ahead.tenant, operation, "baseline", baseline);
            if self.append(&draft, outcome).await.is_err() {
                done.left = true;
                return;
            }
            self.inner.noted().insert(at);
            done.records = done.records.saturating_add(1);
        }
    }

    async fn write_counts(&self, now: Timestamp, all: bool, done: &mut Upkeep) {
        for counts in [&self.inner.refusals, &self.inner.uses] {
            let mut counting = Counting(counts, counts.take_due(now, all));
            while !counting.1.is_empty() {
                let rest = counting.1.len().saturating_sub(BATCH);
                let records = counting.1.iter().skip(rest).map(|due| {
                    let repeats = NonZeroU32::new(due.repeats).unwrap_or(NonZeroU32::MIN);
                    due.draft.record(&self.inner.application, now, due.outcome().clone(), repeats)
                });
                let appends = records.map(|record| self.inner.sink.append(record)).collect();
                let written = all_of(appends).await;
                let batch = counting.1.split_off(rest).into_iter().zip(written);
                let failed = batch.filter(|(_, written)| match written {
                    Ok(_) => {
                        done.records = done.records.saturating_add(1);
                        false
                    }
                    Err(_) => true,
                });
                counting.1.extend(failed.map(|(due, _)| due));
                if counting.1.len() > rest {
                    done.left = true;
                    return;
                }
            }
        }
    }

    /// Does once what had to wait, in the order in which it came.
    async fn catch_up(&self, done: &mut Upkeep) {
        let waiting = self.inner.later().len();
        for _ in 0..waiting {
            let Some(later) = self.inner.later().pop_front() else { return };
            match later {
                Later::Refund { policy, event } => {
                    let key = LockoutState::key(event.account());
                    // Dropped here, the refund is lost and the charge stays.
                    match self.lockout(&policy, event).await {
                        Ok(_) => done.refunds = done.refunds.saturating_add(1),
                        Err(undelivered) => {
                            let event = undelivered.event;
                            self.inner.leave(Later::Refund { policy, event });
                            done.left = true;
                        }
                    }
                    self.inner.settlements.settled(key);
                }
                Later::Correct { draft, outcome } => {
                    let again = Later::Correct { draft: draft.clone(), outcome: outcome.clone() };
                    let mut holding = Holding(&self.inner, Some(again));
                    match self.append(&draft, outcome).await {
                        Ok(()) => {
                            holding.1 = None;
                            done.records = done.records.saturating_add(1);
                        }
                        Err(_) => done.left = true,
                    }
                }
                Later::Send { draft, mail } => {
                    // Dropped here, it may have been sent: not twice, then.
                    if self.inner.notify.send(*mail).await.is_ok() {
                        done.mails = done.mails.saturating_add(1);
                        continue;
                    }
                    let outcome = failed(&Refused::new(Code::NotSent, draft.policy));
                    if self.append(&draft, outcome.clone()).await.is_err() {
                        self.inner.leave(Later::Correct { draft, outcome });
                        done.left = true;
                    }
                }
            }
        }
    }
}
