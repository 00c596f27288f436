//! The work in between: counts of refusals, refunds, corrections, mail, cells whose time has passed.

use std::num::NonZeroU32;

use vouchsafe_access_log::RecordSink;
use vouchsafe_core::Timestamp;
use vouchsafe_lockout::LockoutState;
use vouchsafe_store::Cells;

use super::call::refused;
use super::coalesce::{Due, Refusals};
use super::{Code, Gate, Inner, Later, Refused, failed};

/// Most cells that one run drops.
const SWEEP: usize = 1_000;

/// What one run of the upkeep did, and what is left for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Records written: of refusals that had been counted, and corrections.
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

/// A count that is being written; dropped before it was, it goes back.
struct Counting<'a>(&'a Refusals, Option<Due>);

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if let Some(due) = self.1.take() {
            self.0.put_back(due);
        }
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
        match self.inner.cells.sweep(now, SWEEP).await {
            Ok(swept) => {
                done.swept = swept;
                done.left |= swept == SWEEP;
            }
            Err(_) => done.left = true,
        }
        done
    }

    /// Writes what is still counted: for an orderly end, after the last call.
    pub async fn close(&self) -> Upkeep {
        let mut done = Upkeep::default();
        self.write_counts(self.now(), true, &mut done).await;
        self.catch_up(&mut done).await;
        done
    }

    async fn write_counts(&self, now: Timestamp, all: bool, done: &mut Upkeep) {
        let refusals = &self.inner.refusals;
        while let Some(due) = refusals.take_due(now, all) {
            let Some(repeats) = NonZeroU32::new(due.repeats) else { continue };
            let application = &self.inner.application;
            let record = due.draft.record(application, now, refused(due.code), repeats);
            let mut counting = Counting(refusals, Some(due));
            if self.inner.sink.append(record).await.is_err() {
                done.left = true;
                return;
            }
            counting.1 = None;
            done.records = done.records.saturating_add(1);
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
                    match self.record(&draft, outcome).await {
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
                    if self.record(&draft, outcome.clone()).await.is_err() {
                        self.inner.leave(Later::Correct { draft, outcome });
                        done.left = true;
                    }
                }
            }
        }
    }
}
