//! What a signed-in person, or an operator at the console, may ask for.
//!
//! Whoever acts, acts in one tenant: there is no way to name another one. Whether this person may
//! do this is the host's decision; that it is recorded is not.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Name, Operation, Outcome, Target};
use vouchsafe_core::{SecretString, TenantId, UserId};
use vouchsafe_lockout::{Lock, LockoutEvent, LockoutMachine, LockoutState, LockoutVerdict};
use vouchsafe_password::{
    Binding, CredentialEvent, CredentialVerdict, OwnerPresent, Password, Unmet,
};
use vouchsafe_policy::Policy;
use vouchsafe_session::{Purpose, Session, SessionEvent, SessionId, SessionVerdict};
use vouchsafe_store::Cells;

use super::account::{AccountEvent, AccountVerdict};
use super::call::{Call, Draft, user_target};
use super::links::Deliver;
use super::sessions::{Issued, Principal};
use super::signin::Proof;
use super::{Account, Code, Gate, Refused, host_refusal, store_refusal};

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// The new password fails these rules, all of them listed. Nothing was changed or used up.
    #[error("the new password fails {} of the rules", .0.len())]
    Unmet(Vec<Unmet>),
    /// No.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Somebody who acts: see [`Gate::by`] and [`Gate::operator`].
#[derive(Clone, Debug)]
pub struct Acting<'a> {
    gate: &'a Gate,
    tenant: TenantId,
    actor: Actor,
    principal: Option<&'a Principal>,
    call: &'a Call,
    policy: Arc<Policy>,
}

impl Gate {
    /// What `principal` may ask for. A principal is as good as the check it came from: to be made
    /// for each request, and not kept.
    ///
    /// # Errors
    /// [`Code::NoSession`] when the session has ended by time since, [`Code::WrongTenant`] when the principal's tenant is not served any more.
    pub fn by<'a>(
        &'a self,
        principal: &'a Principal,
        call: &'a Call,
    ) -> Result<Acting<'a>, Refused> {
        let policy = self.policy(principal.tenant())?;
        if self.now() >= principal.session().ends {
            return Err(Refused::new(Code::NoSession, policy.digest()));
        }
        Ok(Acting {
            gate: self,
            tenant: principal.tenant().clone(),
            actor: Actor::User(principal.user().clone()),
            principal: Some(principal),
            call,
            policy,
        })
    }

    /// What the program itself, under this name, may ask for: set-up, jobs, an operator's console.
    ///
    /// # Errors
    /// [`Code::WrongTenant`] for a tenant the gate does not know.
    pub fn operator<'a>(
        &'a self,
        tenant: &TenantId,
        name: Name,
        call: &'a Call,
    ) -> Result<Acting<'a>, Refused> {
        let policy = self.policy(tenant)?;
        let (tenant, actor) = (tenant.clone(), Actor::Service(name));
        Ok(Acting { gate: self, tenant, actor, principal: None, call, policy })
    }
}

impl Acting<'_> {
    fn draft(&self, operation: Operation, target: Target) -> Draft {
        Draft {
            tenant: self.tenant.clone(),
            actor: self.actor.clone(),
            target,
            operation,
            call: self.call.clone(),
            policy: self.policy.digest(),
            clause: None,
        }
    }

    fn refusal(&self, code: Code) -> Refused {
        Refused::new(code, self.policy.digest())
    }

    /// Records an access to the host's own data. What it is a record of may happen only when this
    /// has succeeded.
    ///
    /// # Errors
    /// [`Code::LogUnavailable`].
    pub async fn access(&self, operation: Operation, target: Target) -> Result<(), Refused> {
        self.gate.record(&self.draft(operation, target), Outcome::Succeeded).await
    }

    /// Records that an access to the host's own data was refused by the host, for this reason.
    ///
    /// # Errors
    /// [`Code::LogUnavailable`].
    pub async fn denied(&self, target: Target, reason: Name) -> Result<(), Refused> {
        let draft = self.draft(Operation::AccessRefused, target);
        self.gate.record(&draft, Outcome::Refused(reason)).await
    }

    /// Sends the user a link to activate the account, or to set a new password where it is active.
    ///
    /// # Errors
    /// [`Code::NoUser`], [`Code::Disabled`], [`Code::NotSent`], or that a part did not answer.
    pub async fn invite(&self, user: &UserId) -> Result<(), Refused> {
        self.link(user, Deliver::Now).await.map(|_| ())
    }

    /// As [`invite`](Self::invite), but gives the link back instead of mailing it: for the one
    /// administrator who exists before any mail can be read.
    ///
    /// # Errors
    /// As for [`invite`](Self::invite).
    pub async fn first_link(&self, user: &UserId) -> Result<SecretString, Refused> {
        let link = self.link(user, Deliver::ByHand).await?;
        link.ok_or_else(|| self.refusal(Code::NotSent))
    }

    async fn link(&self, user: &UserId, deliver: Deliver) -> Result<Option<SecretString>, Refused> {
        let (account, purpose) = self.linkable(user).await?;
        let draft = self.link_draft(user, purpose);
        self.gate.issue(&self.policy, &draft, &account, purpose, deliver).await
    }

    fn link_draft(&self, user: &UserId, purpose: Purpose) -> Draft {
        let operation = match purpose {
            Purpose::Activation => Operation::Invited,
            _ => Operation::ResetRequested,
        };
        self.draft(operation, user_target(user))
    }

    async fn linkable(&self, user: &UserId) -> Result<(Account, Purpose), Refused> {
        let account = self.find(user).await?;
        let view = self.gate.view(&self.policy, self.gate.account_of(&self.tenant, user)).await?;
        if view.disabled {
            return Err(self.refusal(Code::Disabled));
        }
        let purpose = match view.standing {
            Some(_) => Purpose::Reset,
            None => Purpose::Activation,
        };
        Ok((account, purpose))
    }

    async fn find(&self, user: &UserId) -> Result<Account, Refused> {
        match self.gate.inner.accounts.find(&self.tenant, user).await {
            Ok(Some(account)) => Ok(account),
            Ok(None) => Err(self.refusal(Code::NoUser)),
            Err(_) => Err(host_refusal(&self.policy)),
        }
    }

    /// Takes back every failure of the user, and every lock with them.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn unlock(&self, user: &UserId) -> Result<(), Refused> {
        self.find(user).await?;
        let draft = self.draft(Operation::Unlocked, user_target(user));
        let account = self.gate.account_of(&self.tenant, user);
        self.gate
            .recorded(&draft, async {
                for account in [account, self.gate.link_counter(account)] {
                    let id = self.gate.fresh_id(&self.policy)?;
                    let unlock = LockoutEvent::Unlock { account, id };
                    match self.gate.settle(&self.policy, account, unlock).await? {
                        LockoutVerdict::Unlocked => {}
                        _ => return Err(self.refusal(Code::Corrupt)),
                    }
                }
                Ok(())
            })
            .await
    }

    /// The lock that keeps the user from signing in now, if there is one. For lists; writes no
    /// record.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn lock(&self, user: &UserId) -> Result<Option<Lock>, Refused> {
        let key = LockoutState::key(self.gate.account_of(&self.tenant, user));
        let loaded = self.gate.inner.cells.load(key).await;
        let loaded = loaded.map_err(|error| store_refusal(&error, &self.policy))?;
        let now = loaded.time.unwrap_or_else(|| self.gate.now());
        let state = loaded.cell.map(|cell| vouchsafe_core::Cell::from_bytes(cell.bytes));
        let state = state.transpose().map_err(|_| self.refusal(Code::Corrupt))?;
        let machine = LockoutMachine::new(self.policy.lockout().clone(), self.policy.digest());
        Ok(machine.lock(state.as_ref(), now))
    }

    /// Whether the user has chosen a password yet, and is not disabled. For lists; writes no
    /// record.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn is_active(&self, user: &UserId) -> Result<bool, Refused> {
        let account = self.gate.account_of(&self.tenant, user);
        let view = self.gate.view(&self.policy, account).await?;
        Ok(view.standing.is_some())
    }

    /// The user's sessions, longest open first. Recorded as read.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn sessions(&self, user: &UserId) -> Result<Vec<Session>, Refused> {
        self.access(Operation::Read, user_target(user)).await?;
        match self.session_event(user, SessionEvent::List).await? {
            Some(SessionVerdict::Listed(sessions)) => Ok(sessions),
            _ => Ok(Vec::new()),
        }
    }

    /// Ends one session of the user.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn end_session(&self, user: &UserId, id: SessionId) -> Result<(), Refused> {
        self.ending(user, SessionEvent::Revoke { id }).await
    }

    /// Ends every session of the user.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn end_sessions(&self, user: &UserId) -> Result<(), Refused> {
        self.ending(user, SessionEvent::RevokeAll).await
    }

    /// Ends every session of the acting person but the one this call came with.
    ///
    /// # Errors
    /// [`Code::NoSession`] for an operator, or that a part did not answer.
    pub async fn end_other_sessions(&self) -> Result<(), Refused> {
        let principal = self.principal.ok_or_else(|| self.refusal(Code::NoSession))?;
        let secret = principal.presented().secret;
        self.ending(principal.user(), SessionEvent::RevokeOthers { secret }).await
    }

    async fn ending(&self, user: &UserId, event: SessionEvent) -> Result<(), Refused> {
        let draft = self.draft(Operation::SessionEnded, user_target(user));
        let ended = self.gate.recorded(&draft, async {
            match self.session_event(user, event).await? {
                Some(SessionVerdict::Ended(_)) => Ok(()),
                // Whoever asks has no session that holds any more.
                Some(_) => Err(self.refusal(Code::NoSession)),
                None => Err(self.refusal(Code::NoUser)),
            }
        });
        ended.await
    }

    async fn session_event(
        &self,
        user: &UserId,
        event: SessionEvent,
    ) -> Result<Option<SessionVerdict>, Refused> {
        let account = self.gate.account_of(&self.tenant, user);
        match self.gate.account(&self.policy, account, AccountEvent::Session(event)).await {
            Ok(AccountVerdict::Session { verdict, .. }) => Ok(Some(verdict)),
            // Nobody was ever invited under this id: there is nothing to end.
            Ok(_) => Ok(None),
            Err(undelivered) => Err(store_refusal(&undelivered.error, &self.policy)),
        }
    }

    /// Bars the user: no password matches, every session and link ends.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn disable(&self, user: &UserId) -> Result<(), Refused> {
        self.credential(user, Operation::Disabled, CredentialEvent::Disable).await
    }

    /// Takes [`disable`](Self::disable) back; what it ended stays ended.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn enable(&self, user: &UserId) -> Result<(), Refused> {
        self.credential(user, Operation::RightsChanged, CredentialEvent::Enable).await
    }

    async fn credential(
        &self,
        user: &UserId,
        operation: Operation,
        event: CredentialEvent,
    ) -> Result<(), Refused> {
        self.changing(user, operation, AccountEvent::Credential(event)).await
    }

    /// Gives the user another class. Every session ends: the new class's rules hold from the next
    /// sign-in on, where a password below its rule has to be changed first.
    ///
    /// # Errors
    /// [`Code::NoUser`] for a class that the policy does not have, or that a part did not answer.
    pub async fn reclass(&self, user: &UserId, class: &str) -> Result<(), Refused> {
        if self.policy.class(class).is_err() {
            return Err(self.refusal(Code::NoUser));
        }
        self.changing(user, Operation::RightsChanged, AccountEvent::Reclass(class.to_owned())).await
    }

    async fn changing(
        &self,
        user: &UserId,
        operation: Operation,
        event: AccountEvent,
    ) -> Result<(), Refused> {
        let draft = self.draft(operation, user_target(user));
        let account = self.gate.account_of(&self.tenant, user);
        self.gate
            .recorded(&draft, async {
                match self.gate.account(&self.policy, account, event).await {
                    Ok(AccountVerdict::NoClass) => Err(self.refusal(Code::NoUser)),
                    Ok(AccountVerdict::Credential(
                        CredentialVerdict::Superseded { .. } | CredentialVerdict::Refused,
                    )) => Err(self.refusal(Code::Raced)),
                    Ok(_) => Ok(()),
                    Err(undelivered) => Err(store_refusal(&undelivered.error, &self.policy)),
                }
            })
            .await
    }

    /// The acting person replaces their own password. The present one is charged and checked like
    /// at sign-in; every session ends, and a new one opens.
    ///
    /// # Errors
    /// [`NotSet::Unmet`] with every rule the new password fails, or [`NotSet::Refused`]:
    /// [`Code::WrongCredentials`] and [`Code::Locked`] among the reasons.
    pub async fn change_password(
        &self,
        present: impl Into<SecretString>,
        new: impl Into<SecretString>,
    ) -> Result<Issued, NotSet> {
        let principal = self.principal.ok_or_else(|| self.refusal(Code::NoSession))?;
        let (gate, policy, account) = (self.gate, &self.policy, principal.account());
        let target = user_target(principal.user());
        let refused = self.draft(Operation::PasswordChangeRefused, target.clone());
        let changed = self.draft(Operation::PasswordChanged, target);
        let user = self.find(principal.user()).await?;
        let refuse =
            async |refusal| NotSet::Refused(gate.refuse_hashed(&refused, account, refusal).await);
        if let Err(refusal) = gate.throttle(&self.tenant, policy, self.call) {
            return Err(NotSet::Refused(gate.refuse(&refused, account, refusal).await));
        }
        let Ok(present) = Password::new(present) else {
            // Longer than any password can be: not hashed.
            let refusal = self.refusal(Code::WrongCredentials);
            return Err(NotSet::Refused(gate.refuse(&refused, account, refusal).await));
        };
        // Loaded before the charge: a store that fails here leaves none behind.
        let view = match gate.view(policy, account).await {
            Ok(view) => view,
            Err(refusal) => return Err(refuse(refusal).await),
        };
        let generation = view.generation;
        let charged = match gate.charge(policy, account).await {
            Ok(charged) => charged,
            Err(refusal) => return Err(refuse(refusal).await),
        };
        let binding = Binding::new(&self.tenant, principal.user());
        let proof = match gate.verify(policy, charged, &present, view, binding).await {
            Ok(Proof::Authenticated(proof)) => proof,
            Ok(Proof::ChangeOnly(_)) => return Err(refuse(self.refusal(Code::Raced)).await),
            Err((refusal, _)) => return Err(refuse(refusal).await),
        };
        let owner = OwnerPresent::from(&proof);
        let record = gate.hash(policy, &refused, &user, owner, new.into()).await?;
        // The session opens under the generation that setting the password makes.
        let next = generation.saturating_add(1);
        let (open, opening, tenant) = gate.opening(policy, &changed, proof, next, None)?;
        let set = CredentialEvent::Set { expect: generation, record };
        let issued = gate.recorded(&changed, async {
            match gate.set_password(policy, account, set, Some(open)).await? {
                AccountVerdict::Set { owner: Some(owner), opened: Some(verdict) } => {
                    gate.opened(policy, tenant, owner, opening, verdict)
                }
                _ => Err(self.refusal(Code::Raced)),
            }
        });
        Ok(issued.await?)
    }

    /// Which rules `password` fails for `user`: for a form that ticks them off.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn unmet(&self, user: &UserId, password: &Password) -> Result<Vec<Unmet>, Refused> {
        let account = self.find(user).await?;
        self.gate.unmet(&self.tenant, &account, password)
    }
}
