//! A lock is announced once, by the record of an attempt that met it.

use std::sync::Arc;

use vouchsafe_access_log::{Operation, Target, Text, name};
use vouchsafe_core::AccountDigest;
use vouchsafe_lockout::{Crossing, CrossingKind, LockoutEvent};
use vouchsafe_policy::Policy;

use super::call::{Draft, refused};
use super::signin::Failure;
use super::{Gate, Later, Refused};

/// A lock that is to be announced, and of which counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crossed {
    pub(super) account: AccountDigest,
    pub(super) crossing: Crossing,
}

impl Crossed {
    pub(super) const fn announced(self) -> LockoutEvent {
        LockoutEvent::Announced { account: self.account, crossing: self.crossing }
    }

    /// The record of the lock: which it is, and whose.
    fn draft(self, draft: &Draft) -> Draft {
        let (operation, kind) = match self.crossing.kind {
            CrossingKind::Locked => (Operation::Locked, name!("lock")),
            CrossingKind::DevicesOnly => (Operation::Disabled, name!("lock.strangers")),
            CrossingKind::Disabled => (Operation::Disabled, name!("lock.everybody")),
        };
        let whose = match &draft.target {
            Target::Entity { id, .. } => id.as_str(),
            Target::Url(url) => url.template().as_str(),
        };
        // No id of a user has two blanks in a row.
        let id = Text::clipped(&format!("{:016x}  {whose}", self.crossing.id.get()));
        Draft { operation, target: Target::Entity { kind, id }, ..draft.clone() }
    }
}

impl Gate {
    /// Writes that an attempt did not get in. Where it met a lock that nobody has announced, its record
    /// is the lock's, and the counter is told so afterwards: whoever crashes in between leaves it to
    /// the next who meets the lock, who announces it under the same id.
    ///
    /// A password that was hashed is worth a record of its own, too: the lockout bounds them.
    pub(super) async fn refuse_attempt(
        &self,
        policy: &Arc<Policy>,
        draft: &Draft,
        failure: Failure,
    ) -> Refused {
        let Failure { refusal, hashed, crossed } = failure;
        let crossed = crossed.filter(|crossed| !self.is_being_announced(*crossed));
        let draft = draft.clone().under(refusal.clause().cloned());
        let outcome = refused(refusal.code());
        let Some(crossed) = crossed else {
            if !hashed {
                return self.refuse(&draft, refusal).await;
            }
            let Err(unwritten) = self.append(&draft, outcome.clone()).await else { return refusal };
            self.inner.refusals.count(&draft, &outcome, self.now());
            return unwritten;
        };
        let lock = crossed.draft(&draft);
        let Err(unwritten) = self.append(&lock, outcome.clone()).await else {
            self.surely(policy, crossed.announced()).now().await;
            return refusal;
        };
        let (policy, lock) = (Arc::clone(policy), Box::new(lock));
        let later = Later::Announce { policy, draft: lock, outcome: outcome.clone(), crossed };
        if !self.inner.leave(later) {
            // Nobody has announced it then.
            self.inner.refusals.count(&draft, &outcome, self.now());
        }
        unwritten
    }

    /// Whether the upkeep is about to announce it, or to say that it was announced.
    fn is_being_announced(&self, crossed: Crossed) -> bool {
        self.inner.later().iter().any(|later| match later {
            Later::Announce { crossed: other, .. } => *other == crossed,
            Later::Settle { event: LockoutEvent::Announced { account, crossing }, .. } => {
                Crossed { account: *account, crossing: *crossing } == crossed
            }
            _ => false,
        })
    }
}
