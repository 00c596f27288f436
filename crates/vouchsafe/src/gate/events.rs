//! What the gate itself has to say: events that are nobody's call.

use vouchsafe_access_log::{Actor, Name, Operation, Outcome, Target, Text};
use vouchsafe_core::{PolicyDigest, Source, TenantId, Unavailable};

use super::call::{Call, Draft};
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
        let draft = Draft {
            tenant: tenant.clone(),
            actor: Actor::Service(self.inner.application.clone()),
            target,
            operation,
            call: Call::from(Source::Unavailable(Unavailable::Local)),
            policy,
            clause: None,
        };
        let mut raising = Raising { gate: self, draft: Some(draft) };
        let written = match &raising.draft {
            Some(draft) => self.append(draft, Outcome::Succeeded).await.is_ok(),
            None => true,
        };
        if written {
            raising.draft = None;
        }
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
