//! The work in between: counts of refusals, refunds, cells whose time has passed.

use std::num::NonZeroU32;

use vouchsafe_core::Timestamp;
use vouchsafe_store::Cells;

use super::call::refused;
use super::{Gate, Refund};

/// Most cells that one run drops.
const SWEEP: usize = 1_000;

/// What one run of the upkeep did, and what is left for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Records written for refusals that had been counted.
    pub records: usize,
    /// Charges taken back that the store had not answered for.
    pub refunds: usize,
    /// Cells dropped whose time had passed.
    pub swept: usize,
    /// Whether something is left that the next run has to do.
    pub left: bool,
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
        self.take_back(&mut done).await;
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
        self.take_back(&mut done).await;
        done
    }

    async fn write_counts(&self, now: Timestamp, all: bool, done: &mut Upkeep) {
        for due in self.inner.refusals.take_due(now, all) {
            let Some(repeats) = NonZeroU32::new(due.repeats) else { continue };
            let application = &self.inner.application;
            let record = due.draft.record(application, now, refused(due.code), repeats);
            match vouchsafe_access_log::RecordSink::append(&self.inner.sink, record).await {
                Ok(_) => done.records = done.records.saturating_add(1),
                Err(_) => {
                    self.inner.refusals.put_back(due, now);
                    done.left = true;
                }
            }
        }
    }

    async fn take_back(&self, done: &mut Upkeep) {
        let waiting = self.inner.refunds().len();
        for _ in 0..waiting {
            let Some(Refund { policy, event }) = self.inner.refunds().pop_front() else { return };
            let account = event.account();
            match self.lockout(&policy, event).await {
                Ok(_) => done.refunds = done.refunds.saturating_add(1),
                Err(undelivered) => {
                    let event = undelivered.event;
                    self.inner.refunds().push_back(Refund { policy, event });
                    done.left = true;
                    return;
                }
            }
            self.inner.settlements.settled(vouchsafe_lockout::LockoutState::key(account));
        }
    }
}
