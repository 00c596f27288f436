//! What the gate itself has to say: events that are nobody's call.

use std::sync::atomic::Ordering;

use vouchsafe_access_log::{Name, Operation, Outcome, Target, Text, name};
use vouchsafe_core::{PolicyDigest, TenantId};
use vouchsafe_store::Cells;

use super::call::Draft;
use super::{Gate, Later};

impl Gate {
    /// Records once that something has come about in `tenant`. While the log takes nothing, the
    /// record waits for the upkeep.
    pub(super) async fn raise(
        &self,
        tenant: &TenantId,
        operation: Operation,
        target: Target,
        policy: PolicyDigest,
    ) {
        let draft = self.own(tenant, operation, target, policy);
        let mut raising = Raising { gate: self, draft: Some(draft.clone()) };
        if self.append(&draft, Outcome::Succeeded).await.is_ok() {
            raising.draft = None;
        }
    }

    /// What the gate itself is about to write.
    pub(super) fn own(
        &self,
        tenant: &TenantId,
        operation: Operation,
        target: Target,
        policy: PolicyDigest,
    ) -> Draft {
        Draft::own(&self.inner.application, tenant, operation, target, policy)
    }

    /// Leaves for the upkeep, in each tenant's name, that the store may have lost what it had
    /// acknowledged: once for each time, by the number of the time.
    pub(super) fn note_losses(&self) {
        let losses = self.inner.cells.losses();
        let noted = self.inner.losses.swap(losses, Ordering::SeqCst);
        for loss in noted..losses {
            let number = loss.saturating_add(1);
            let text = format!("{number:016x}  what the store had acknowledged may be lost");
            for (tenant, policy) in self.inner.policies.iter() {
                let target = event(name!("store"), &text);
                let draft = self.own(tenant, Operation::Degraded, target, policy.digest());
                let (draft, outcome) = (Box::new(draft), Outcome::Succeeded);
                self.inner.leave(Later::Correct { draft, outcome });
            }
        }
    }

    /// Whether the store has lost something that is not noted yet.
    pub(super) fn has_lost(&self) -> bool {
        self.inner.cells.losses() > self.inner.losses.load(Ordering::SeqCst)
    }
}

/// An event that is being recorded; dropped before it was, it is left for the upkeep.
struct Raising<'a> {
    gate: &'a Gate,
    draft: Option<Draft>,
}

impl Drop for Raising<'_> {
    fn drop(&mut self) {
        if let Some(draft) = self.draft.take() {
            let outcome = Outcome::Succeeded;
            self.gate.inner.leave(Later::Correct { draft: Box::new(draft), outcome });
        }
    }
}

/// An event as the target of a record: its kind, and what is known of it.
pub(super) fn event(kind: Name, text: &str) -> Target {
    Target::Entity { kind, id: Text::clipped(text) }
}
