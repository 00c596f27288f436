//! Which records are asked for.

use vouchsafe_core::{TenantId, Timestamp, UserId};

use crate::{Actor, Name, Operation, Outcome, Record};

/// A choice of records of one tenant. Every part that is set must hold.
///
/// The tenant is not optional: a query cannot forget it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    tenant: TenantId,
    actor: Option<ActorFilter>,
    operation: Option<Operation>,
    refused_only: bool,
    from: Timestamp,
    until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ActorFilter {
    User(UserId),
    Service(Name),
    Unauthenticated,
}

impl Filter {
    /// Every record of `tenant`.
    #[must_use]
    pub const fn tenant(tenant: TenantId) -> Self {
        Self {
            tenant,
            actor: None,
            operation: None,
            refused_only: false,
            from: Timestamp::MIN,
            until: Timestamp::MAX,
        }
    }

    /// Only what this user did.
    #[must_use]
    pub fn user(mut self, user: UserId) -> Self {
        self.actor = Some(ActorFilter::User(user));
        self
    }

    /// Only what this service did.
    #[must_use]
    pub fn service(mut self, service: Name) -> Self {
        self.actor = Some(ActorFilter::Service(service));
        self
    }

    /// Only what nobody known did.
    #[must_use]
    pub fn unauthenticated(mut self) -> Self {
        self.actor = Some(ActorFilter::Unauthenticated);
        self
    }

    /// Only this operation.
    #[must_use]
    pub const fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only what was refused or failed.
    #[must_use]
    pub const fn refused_only(mut self) -> Self {
        self.refused_only = true;
        self
    }

    /// Only from `from` on, and before `until`.
    #[must_use]
    pub const fn between(mut self, from: Timestamp, until: Timestamp) -> Self {
        self.from = from;
        self.until = until;
        self
    }

    /// Whose records.
    #[must_use]
    pub const fn of_tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Whether the record is one of those asked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let actor = match (&self.actor, &record.actor) {
            (None, _) | (Some(ActorFilter::Unauthenticated), Actor::Unauthenticated { .. }) => true,
            (Some(ActorFilter::User(wanted)), Actor::User(user)) => wanted == user,
            (Some(ActorFilter::Service(wanted)), Actor::Service(service)) => wanted == service,
            _ => false,
        };
        // `Timestamp::MAX` is the last moment there is: it counts as inside.
        let before_end = record.time < self.until || self.until == Timestamp::MAX;
        actor
            && record.tenant == self.tenant
            && self.operation.is_none_or(|wanted| wanted == record.operation)
            && !(self.refused_only && record.outcome == Outcome::Succeeded)
            && self.from <= record.time
            && before_end
    }
}
