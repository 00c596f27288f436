//! The work in between: counts of refusals, refunds, corrections, mail, cells whose time has passed.

use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use vouchsafe_access_log::{Name, Operation, Outcome, RecordSink, name};
use vouchsafe_core::{Doubt, Space, Timestamp};
use vouchsafe_lockout::LockoutState;
use vouchsafe_store::{Cells, StoreError, Undelivered};

use super::builder::own_draft;
use super::coalesce::{Counts, Due};
use super::{Code, Gate, Inner, Later, Refused, failed};

/// Most cells of each kind that a run looks at, unless it is told otherwise.
const CELLS: usize = 1_000;
/// The record's reason for a policy that does not keep what was promised.
pub(super) const BELOW: Name = name!("policy.below_baseline");
/// Records handed to the log at once, which makes them durable together.
const BATCH: usize = 256;
/// Most users at once whose password is being written into the host's column.
const COLUMNS: usize = 16;

/// What one run of the upkeep did, and what is left for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Records written: of calls that had been counted, and corrections.
    pub records: usize,
    /// Charges and locks taken back that the store had not answered for.
    pub refunds: usize,
    /// Mails handed over that strangers had asked for.
    pub mails: usize,
    /// Cells dropped whose time had passed.
    pub swept: usize,
    /// Accounts from which sessions or links were dropped that had ended.
    pub reaped: usize,
    /// Cells that an older generation of the store's keys had sealed, sealed anew.
    pub resealed: usize,
    /// Cells that did not read, or accounts that were changed by others all the while.
    pub skipped: usize,
    /// Set while the clock is further ahead than is certain: what a leap of the clock makes look
    /// expired is then not dropped. [`Gate::confirm_clock`] ends it, or a day of steady running.
    pub doubt: Option<Doubt>,
    /// The store forgot what it had acknowledged while the gate was open: it was put back, or failed
    /// over. Recorded; no gate opens over it again without [`GateBuilder::after_restore`].
    ///
    /// [`GateBuilder::after_restore`]: super::GateBuilder::after_restore
    pub store_went_back: bool,
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

/// What is being done that had to wait, or may have to: dropped before it was done, it is left for the
/// next run.
pub(super) struct Holding<'a>(pub(super) &'a Inner, pub(super) Option<Later>);

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
    /// Does the work in between that is due: to be called every few seconds, and cheap when there is
    /// none. [`upkeep_due`](Self::upkeep_due) tells when there will be some.
    ///
    /// What cannot be done now, because the store or the log does not answer, is left for the next
    /// run.
    pub async fn upkeep(&self) -> Upkeep {
        self.upkeep_within(CELLS).await
    }

    /// As [`upkeep`](Self::upkeep), looking at no more than `cells` cells of each kind, and at least one: what is left
    /// goes on in the next run where this one stopped.
    pub async fn upkeep_within(&self, cells: usize) -> Upkeep {
        let (now, cells) = (self.now(), cells.max(1));
        let mut done = Upkeep::default();
        self.write_counts(now, false, &mut done).await;
        self.note_losses();
        self.catch_up(&mut done).await;
        let waits = !self.inner.later().is_empty();
        {
            let mut due = self.inner.schedule.lock();
            due.waiting = if waits { due.waiting.or(Some(now)) } else { None };
        }
        self.note_effective(now, &mut done).await;
        let (sweep, reap) = {
            let due = self.inner.schedule.lock();
            (due.sweep.due(now) <= now, due.reap.due(now) <= now)
        };
        if sweep || reap {
            let Inner { schedule, entropy, digests, .. } = &*self.inner;
            match schedule.certain(&self.inner.cells, entropy, digests, &*self.clock).await {
                Ok(by) => {
                    if sweep {
                        self.sweep(now, by, cells, &mut done).await;
                    }
                    if reap {
                        self.reap(now, by, cells, &mut done).await;
                    }
                }
                Err(_) => done.left = true,
            }
        }
        let reseal = self.inner.schedule.lock().reseal.due(now) <= now;
        if reseal {
            self.reseal(now, cells, &mut done).await;
        }
        if self.generation_due(now).is_some_and(|due| due <= now) {
            done.left |= !self.raise_generation().await;
        }
        self.probe_counters().await;
        done.store_went_back = self.store_went_back();
        done.doubt = self.inner.schedule.doubt();
        done
    }

    /// When the upkeep next has something to do: in the past, when it is late.
    #[must_use]
    pub fn upkeep_due(&self) -> Timestamp {
        let counted = [&self.inner.refusals, &self.inner.uses].into_iter();
        let counted = counted.filter_map(Counts::next_due);
        let lost = self.has_lost().then(|| self.now());
        let waits = !self.inner.later().is_empty();
        let noted = self.inner.noted().clone();
        let ahead = self.inner.ahead.iter().enumerate();
        let ahead = ahead.filter(|(at, _)| !noted.contains(at)).map(|(_, ahead)| ahead.since);
        let (due, now) = (self.inner.schedule.lock(), self.now());
        let waiting = waits.then(|| due.waiting.unwrap_or(now));
        let again = due.sweep.due(now).min(due.reap.due(now)).min(due.reseal.due(now));
        let waiting = waiting.into_iter().chain(lost).chain(self.generation_due(now));
        counted.chain(ahead).chain(waiting).fold(again, Timestamp::min)
    }

    /// By how much the upkeep is late: a minute or more means that it is not called, or that the
    /// store or the log does not answer it.
    #[must_use]
    pub fn upkeep_overdue(&self) -> Duration {
        self.now().since(self.upkeep_due())
    }

    /// How far the clock is ahead of what is certain, as of the last sweep: see [`Upkeep::doubt`].
    #[must_use]
    pub fn clock_doubt(&self) -> Option<Doubt> {
        self.inner.schedule.doubt()
    }

    /// Confirms that the clock is right after it leapt: what had waited for a day of steady running
    /// is dropped from now on. Recorded for each tenant, for the first of them before it holds.
    ///
    /// # Errors
    /// [`Code::LogUnavailable`]: nothing is confirmed unrecorded.
    pub async fn confirm_clock(&self) -> Result<(), Refused> {
        let confirm = || async {
            self.inner.schedule.confirm(&*self.clock);
            self.inner.makes_room_by.confirm();
            Ok(())
        };
        for (tenant, policy) in self.inner.policies.iter() {
            let (operation, digest) = (Operation::Updated, policy.digest());
            let draft = own_draft(&self.inner.application, tenant, operation, "clock", digest);
            self.recorded(&draft, confirm()).await?;
        }
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, by: Timestamp, most: usize, done: &mut Upkeep) {
        match self.inner.cells.sweep(by, most).await {
            Ok(swept) if swept < most => {
                done.swept = swept;
                self.inner.schedule.lock().sweep.done(now);
            }
            Ok(swept) => {
                done.swept = swept;
                done.left = true;
            }
            Err(_) => done.left = true,
        }
    }

    /// Walks on over the accounts, and drops what has ended from each.
    async fn reap(&self, now: Timestamp, by: Timestamp, most: usize, done: &mut Upkeep) {
        let tidy = self.inner.schedule.tidy(by);
        let after = self.inner.schedule.lock().reaped;
        let Ok(keys) = self.inner.cells.scan(Space::Account, after, most).await else {
            done.left = true;
            return;
        };
        for key in &keys {
            match self.drive(*key, &tidy, ()).await {
                Ok(tidied) => done.reaped = done.reaped.saturating_add(usize::from(tidied)),
                Err(Undelivered {
                    error: StoreError::Corrupt(_) | StoreError::Contended { .. },
                    ..
                }) => done.skipped = done.skipped.saturating_add(1),
                Err(_) => {
                    done.left = true;
                    return;
                }
            }
            self.inner.schedule.lock().reaped = Some(key.digest);
        }
        if keys.len() < most {
            self.inner.schedule.reaped(now);
        } else {
            done.left = true;
        }
    }

    /// Walks on over all cells, and seals anew what an older generation of keys sealed.
    async fn reseal(&self, now: Timestamp, most: usize, done: &mut Upkeep) {
        let after = self.inner.schedule.lock().resealed;
        let Ok(walked) = self.inner.sealed.reseal(after, most).await else {
            done.left = true;
            return;
        };
        done.resealed = walked.resealed;
        done.skipped = done.skipped.saturating_add(walked.corrupt);
        let mut due = self.inner.schedule.lock();
        due.resealed = walked.last;
        match walked.last {
            Some(_) => done.left = true,
            None => due.reseal.done(now),
        }
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
        done.left |= !self.raise_generation().await;
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
        // Asked once: each time costs its deadline.
        let mut gone = false;
        let mut columns = Vec::new();
        for _ in 0..waiting {
            let Some(later) = self.inner.later().pop_front() else { break };
            match later {
                Later::Settle { .. } if gone => {
                    self.inner.leave(later);
                    done.left = true;
                }
                Later::Settle { policy, event } => {
                    let key = LockoutState::key(event.account());
                    // Dropped here, a refund is lost and its charge stays: a proof is there once.
                    let again = event.again();
                    let later = |event| Later::Settle { policy: Arc::clone(&policy), event };
                    let mut holding = Holding(&self.inner, again.map(later));
                    match self.lockout(&policy, event).await {
                        Ok(_) => {
                            holding.1 = None;
                            done.refunds = done.refunds.saturating_add(1);
                        }
                        Err(undelivered) => {
                            gone = matches!(undelivered.error, StoreError::Unavailable(_));
                            holding.1 = Some(later(undelivered.event));
                            done.left = true;
                        }
                    }
                    drop(holding);
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
                Later::Announce { policy, draft, outcome, crossed } => {
                    let again = Later::Announce {
                        policy: Arc::clone(&policy),
                        draft: draft.clone(),
                        outcome: outcome.clone(),
                        crossed,
                    };
                    let mut holding = Holding(&self.inner, Some(again));
                    if self.append(&draft, outcome).await.is_ok() {
                        done.records = done.records.saturating_add(1);
                        let event = crossed.announced();
                        holding.1 = Some(Later::Settle { policy, event });
                    }
                    // The counter is told by the next run.
                    done.left = true;
                }
                Later::Write { .. } => columns.push(Holding(&self.inner, Some(later))),
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
        self.write_columns(columns, done).await;
    }

    /// Writes what is still to be written into the host's column, some side by side. A table that takes
    /// none of them is not asked for more in this run, and for these last in the next.
    async fn write_columns(&self, mut columns: Vec<Holding<'_>>, done: &mut Upkeep) {
        while !columns.is_empty() {
            let rest = columns.split_off(columns.len().min(COLUMNS));
            let asked = columns.len();
            let written = columns.into_iter().map(|column| self.write_column(column)).collect();
            let mut failed = all_of(written).await;
            failed.retain(|column| column.1.is_some());
            done.left |= !failed.is_empty();
            columns = rest;
            if failed.len() == asked {
                columns.clear();
            }
        }
    }

    /// What is left to be done of it.
    async fn write_column<'a>(&self, mut column: Holding<'a>) -> Holding<'a> {
        if let Some(Later::Write { policy, tenant, account, user }) = &column.1
            && let Ok(view) = self.look(policy, tenant, *account, Some(user)).await
            && view.is_written()
        {
            column.1 = None;
        }
        column
    }
}
