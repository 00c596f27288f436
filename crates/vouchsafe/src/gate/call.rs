//! What the gate is told about a call, and what it writes about it.

use std::num::NonZeroU32;
use std::sync::Arc;

use vouchsafe_access_log::{Actor, Name, Operation, Outcome, Record, Target, name};
use vouchsafe_core::{
    AccountDigest, ClauseId, Identifier, PolicyDigest, SecretString, Source, TenantId, Timestamp,
    Unavailable, UserId,
};
use vouchsafe_lockout::DeviceKey;
use vouchsafe_policy::Policy;
use vouchsafe_session::{Label, SessionId};

use super::refusal::{Code, Refused};

/// Where a call comes from.
#[derive(Clone, Debug)]
pub struct Call {
    source: Source,
    shared: bool,
    label: Label,
    device: Option<Arc<SecretString>>,
}

impl Call {
    /// A call from `source`.
    #[must_use]
    pub fn from(source: Source) -> Self {
        Self { source, shared: false, label: Label::default(), device: None }
    }

    /// The source address is known to stand for several people (NAT, PAT, a proxy).
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// How the session list names what this call came with, such as the browser.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> Self {
        self.label = Label::new(label);
        self
    }

    /// The [device cookie](super::DeviceCookie) that the browser sent, good or not.
    #[must_use]
    pub fn with_device(mut self, cookie: Option<String>) -> Self {
        let cookie = cookie.filter(|cookie| cookie.len() == DeviceKey::LENGTH);
        self.device = cookie.map(|cookie| Arc::new(SecretString::new(cookie)));
        self
    }

    pub(crate) fn device(&self) -> Option<&str> {
        self.device.as_ref().map(|cookie| cookie.expose())
    }

    /// The source.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    pub(crate) const fn label(&self) -> &Label {
        &self.label
    }
}

/// Somebody says who they are.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// At which tenant.
    pub tenant: TenantId,
    /// Under which name.
    pub identifier: Identifier,
    /// From where.
    pub call: Call,
    replaces: Option<Arc<SecretString>>,
    challenged: bool,
}

impl Attempt {
    /// An attempt to sign in at `tenant` as `identifier`.
    #[must_use]
    pub const fn new(tenant: TenantId, identifier: Identifier, call: Call) -> Self {
        Self { tenant, identifier, call, replaces: None, challenged: false }
    }

    /// Names the token that the browser already had: that session ends when this attempt succeeds.
    #[must_use]
    pub fn replacing(mut self, token: Option<String>) -> Self {
        self.replaces = token.map(|token| Arc::new(SecretString::new(token)));
        self
    }

    /// Whoever asks has passed the host's challenge, which [`Code::Challenge`] asked for: shown to be no
    /// program, by whatever the host takes for a proof, once for this attempt.
    #[must_use]
    pub const fn challenge_passed(mut self) -> Self {
        self.challenged = true;
        self
    }

    pub(crate) const fn has_passed_challenge(&self) -> bool {
        self.challenged
    }

    pub(crate) fn replaces(&self) -> Option<Arc<SecretString>> {
        self.replaces.clone()
    }
}

/// What a record says besides how the call ended.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) tenant: TenantId,
    pub(crate) actor: Actor,
    pub(crate) target: Target,
    pub(crate) operation: Operation,
    pub(crate) call: Call,
    pub(crate) policy: PolicyDigest,
    pub(crate) clause: Option<ClauseId>,
}

impl Draft {
    /// What the gate does by itself.
    pub(crate) fn own(
        application: &Name,
        tenant: &TenantId,
        operation: Operation,
        target: Target,
        policy: PolicyDigest,
    ) -> Self {
        Self {
            tenant: tenant.clone(),
            actor: Actor::Service(application.clone()),
            target,
            operation,
            call: Call::from(Source::Unavailable(Unavailable::Local)),
            policy,
            clause: None,
        }
    }

    /// Somebody who says to be `account` and has not shown it yet; the account's user where one
    /// is known.
    pub(crate) fn stranger(
        tenant: &TenantId,
        policy: &Policy,
        account: AccountDigest,
        user: Option<&UserId>,
        operation: Operation,
        call: &Call,
    ) -> Self {
        Self {
            tenant: tenant.clone(),
            actor: Actor::Unauthenticated { claimed: Some(account) },
            target: user.map_or_else(|| account_target(account), user_target),
            operation,
            call: call.clone(),
            policy: policy.digest(),
            clause: None,
        }
    }

    pub(crate) fn record(
        &self,
        application: &Name,
        now: Timestamp,
        outcome: Outcome,
        repeats: NonZeroU32,
    ) -> Record {
        Record {
            tenant: self.tenant.clone(),
            actor: self.actor.clone(),
            target: self.target.clone(),
            operation: self.operation,
            outcome,
            application: application.clone(),
            source: self.call.source,
            shared_source: self.call.shared,
            time: now,
            policy: self.policy,
            clause: self.clause.clone(),
            repeats,
        }
    }

    pub(crate) fn under(mut self, clause: Option<ClauseId>) -> Self {
        self.clause = clause;
        self
    }

    pub(crate) fn doing(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }
}

/// The record's word for a refusal.
pub(crate) fn refused(code: Code) -> Outcome {
    Outcome::Refused(reason(code))
}

/// The record's word for an action that was allowed and did not happen, or may not have: a store
/// that does not answer may have done it.
pub(crate) fn failed(refused: &Refused) -> Outcome {
    match refused.code() {
        Code::Unavailable | Code::Busy => Outcome::Failed(UNKNOWN),
        code => Outcome::Failed(reason(code)),
    }
}

/// The record's word for an action of which nobody learnt how it ended.
pub(crate) const UNKNOWN: Name = name!("outcome.unknown");

fn reason(code: Code) -> Name {
    // Each code's text is a name: the test below holds for all of them.
    Name::new(code.as_str()).unwrap_or(name!("refused"))
}

/// The account as the target of a record: by its user where it has one.
pub(crate) fn user_target(user: &UserId) -> Target {
    Target::Entity { kind: name!("user"), id: vouchsafe_access_log::Text::clipped(user.as_str()) }
}

/// The account as the target of a record: by its digest where nobody answers to the name.
pub(crate) fn account_target(account: AccountDigest) -> Target {
    let id = format!("{:032x}", u128::from_be_bytes(*account.as_bytes()));
    Target::Entity { kind: name!("account"), id: vouchsafe_access_log::Text::clipped(&id) }
}

/// A session as the target of a record.
pub(crate) fn session_target(session: SessionId) -> Target {
    let id = vouchsafe_access_log::Text::clipped(&session.to_string());
    Target::Entity { kind: name!("session"), id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_name_of_its_own() {
        for code in Code::ALL {
            assert_eq!(reason(code).as_str(), code.as_str());
        }
    }
}
