//! What a signed-in person, or an operator at the console, may ask for.
//!
//! Whoever acts, acts in one tenant: there is no way to name another one. Whether this person may
//! do this is the host's decision; that it is recorded is not.

use std::future::Future;
use std::sync::Arc;

use vouchsafe_access_log::{Actor, Name, Operation, Outcome, Target, Text, name};
use vouchsafe_core::{AccountDigest, SecretString, TenantId, UserId};
use vouchsafe_lockout::{Device, Lock, LockoutEvent, LockoutVerdict};
use vouchsafe_password::{CredentialEvent, CredentialVerdict, OwnerPresent, Password, Unmet};
use vouchsafe_policy::Policy;
use vouchsafe_session::{Purpose, Session, SessionEvent, SessionId, SessionVerdict};

use super::account::{AccountEvent, AccountVerdict};
use super::call::{Call, Draft, refused, session_target, user_target};
use super::column::Stand;
use super::links::Deliver;
use super::sessions::{Issued, Principal};
use super::signin::{Failure, Proof};
use super::{Account, Code, Gate, Refused, Underway, counting_by, host_refusal};

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

/// How a user stands with the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserState {
    /// Whether the user has chosen a password yet, and is not disabled.
    pub active: bool,
    /// The lock that keeps the user from signing in now, if there is one.
    pub lock: Option<Lock>,
}

/// Somebody who acts: see [`Gate::by`] and [`Gate::operator`].
#[derive(Clone, Debug)]
pub struct Acting<'a> {
    pub(super) gate: &'a Gate,
    tenant: TenantId,
    actor: Actor,
    principal: Option<&'a Principal>,
    call: &'a Call,
    pub(super) policy: Arc<Policy>,
}

impl Gate {
    /// What `principal` may ask for. A principal is as good as the check it came from: to be made
    /// for each request, and not kept.
    ///
    /// # Errors
    /// [`Code::NoSession`] when the session has ended by time since, or when another gate checked it;
    /// [`Code::WrongTenant`] when the principal's tenant is not served any more.
    pub fn by<'a>(
        &'a self,
        principal: &'a Principal,
        call: &'a Call,
    ) -> Result<Acting<'a>, Refused> {
        let policy = self.policy(principal.tenant())?;
        self.is_own(principal, &policy, call)?;
        let acting = Acting {
            gate: self,
            tenant: principal.tenant().clone(),
            actor: Actor::User(principal.user().clone()),
            principal: Some(principal),
            call,
            policy,
        };
        if self.now() >= principal.session().ends {
            let refusal = acting.refusal(Code::NoSession);
            let target = session_target(principal.session().id);
            let draft = acting.draft(Operation::SessionRefused, target);
            self.inner.refusals.count(&draft, &refused(refusal.code()), self.now());
            return Err(refusal);
        }
        Ok(acting)
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
    pub(super) fn draft(&self, operation: Operation, target: Target) -> Draft {
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

    pub(super) fn refusal(&self, code: Code) -> Refused {
        Refused::new(code, self.policy.digest())
    }

    /// Records an access to the host's own data. What it is a record of may happen only when this
    /// has succeeded. For what can still fail, [`perform`](Self::perform) keeps the log true.
    ///
    /// # Errors
    /// [`Code::LogUnavailable`].
    pub async fn access(&self, operation: Operation, target: Target) -> Result<(), Refused> {
        self.gate.recorded(&self.draft(operation, target), async { Ok(()) }).await
    }

    /// Records a change of the host's own data, then makes it: the record is durable before `action`
    /// is begun. When `action` ends with an error, which says that nothing was changed, a second
    /// record says `action.failed`; when this call is dropped before `action` has ended, the upkeep
    /// writes a second record that says `outcome.unknown`.
    ///
    /// The inner result is the action's own:
    ///
    /// ```
    /// # use vouchsafe::access_log::{Operation, Target, name};
    /// # use vouchsafe::gate::Acting;
    /// # struct Table;
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("taken")]
    /// # struct Taken;
    /// # impl Table { async fn insert(&self, _: &str) -> Result<u64, Taken> { Ok(1) } }
    /// # async fn example(acting: Acting<'_>, table: Table) -> Result<(), Box<dyn std::error::Error>> {
    /// let campaign = Target::entity(name!("campaign"), "spring")?;
    /// let row = acting.perform(Operation::Created, campaign, table.insert("spring")).await??;
    /// # let _ = row;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Code::LogUnavailable`]: `action` was not begun.
    pub async fn perform<T, E>(
        &self,
        operation: Operation,
        target: Target,
        action: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Refused> {
        let draft = self.draft(operation, target);
        let failed = |_: &E| Outcome::Failed(name!("action.failed"));
        self.gate.recorded_or(&draft, action, failed).await
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
        let linkable = self.linkable(user).await;
        let operation = match &linkable {
            Ok((_, Purpose::Reset)) => Operation::ResetRequested,
            _ => Operation::Invited,
        };
        let draft = self.draft(operation, user_target(user));
        let (account, purpose) = self.gate.or_refuse(&draft, linkable).await?;
        self.gate.issue(&self.policy, &draft, &account, purpose, deliver).await
    }

    async fn linkable(&self, user: &UserId) -> Result<(Account, Purpose), Refused> {
        let account = self.find(user).await?;
        let of = self.gate.account_of(&self.tenant, user);
        let view = self.gate.look(&self.policy, &self.tenant, of, Some(&account)).await?;
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
        let draft = self.draft(Operation::Unlocked, user_target(user));
        self.gate.or_refuse(&draft, self.find(user).await).await?;
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

    /// Forgets every browser that has signed in to the user's account: after a compromise, beside
    /// [`end_sessions`](Self::end_sessions) and a new password. Failures stay, and so does a lock.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn forget_devices(&self, user: &UserId) -> Result<(), Refused> {
        let id = self.gate.fresh_number(&self.policy)?;
        let event = || AccountEvent::ForgetDevices { id };
        self.changing(user, Operation::DevicesForgotten, event, changed).await
    }

    /// How these users stand with the gate, in their order: for lists. Recorded as read, in one
    /// record that names them all, or as few as hold their names.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn states(&self, users: &[UserId]) -> Result<Vec<UserState>, Refused> {
        let mut states = Vec::with_capacity(users.len().min(1_024));
        let mut rest = users;
        while let [first, ..] = rest {
            let (target, named) = names(first, rest);
            let (named, others) = rest.split_at(named);
            let draft = self.draft(Operation::Read, target);
            let read = self.gate.recorded(&draft, async {
                for user in named {
                    states.push(self.state(user).await?);
                }
                Ok(())
            });
            read.await?;
            rest = others;
        }
        Ok(states)
    }

    async fn state(&self, user: &UserId) -> Result<UserState, Refused> {
        let account = self.gate.account_of(&self.tenant, user);
        let view = self.gate.view(&self.policy, account).await?;
        let (state, now) = self.gate.failures(&self.policy, account).await?;
        let machine = counting_by(&self.policy);
        let lock = machine.lock(state.as_ref(), now).or_else(|| {
            let overflow = self.gate.inner.overflow.as_ref()?;
            overflow.lock(&machine, account, state.as_ref(), now).map(|(lock, _)| lock)
        });
        let active = self.gate.has_password(&self.policy, &self.tenant, user, &view).await?;
        Ok(UserState { active, lock })
    }

    /// The lock that keeps the user from signing in now, if there is one. As
    /// [`states`](Self::states), for one user.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn lock(&self, user: &UserId) -> Result<Option<Lock>, Refused> {
        let states = self.states(std::slice::from_ref(user)).await?;
        Ok(states.first().and_then(|state| state.lock))
    }

    /// Whether the user has chosen a password yet, and is not disabled. As
    /// [`states`](Self::states), for one user.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn is_active(&self, user: &UserId) -> Result<bool, Refused> {
        let states = self.states(std::slice::from_ref(user)).await?;
        Ok(states.first().is_some_and(|state| state.active))
    }

    /// The user's sessions, longest open first. Recorded as read.
    ///
    /// # Errors
    /// That a part did not answer.
    pub async fn sessions(&self, user: &UserId) -> Result<Vec<Session>, Refused> {
        let account = self.gate.account_of(&self.tenant, user);
        let draft = self.draft(Operation::Read, user_target(user));
        let list = AccountEvent::Session(SessionEvent::List);
        let listed = self.gate.recorded(&draft, self.gate.account(&self.policy, account, list));
        match listed.await? {
            AccountVerdict::Session { verdict: SessionVerdict::Listed(sessions), .. } => {
                Ok(sessions)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Ends one session of the user.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn end_session(&self, user: &UserId, id: SessionId) -> Result<(), Refused> {
        self.ending(user, || SessionEvent::Revoke { id }).await
    }

    /// Ends every session of the user.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn end_sessions(&self, user: &UserId) -> Result<(), Refused> {
        self.ending(user, || SessionEvent::RevokeAll).await
    }

    /// Ends every session of the acting person but the one this call came with.
    ///
    /// # Errors
    /// [`Code::NoSession`] for an operator, or that a part did not answer.
    pub async fn end_other_sessions(&self) -> Result<(), Refused> {
        let principal = self.person(Operation::SessionEnded).await?;
        let secret = principal.presented().secret;
        self.ending(principal.user(), || SessionEvent::RevokeOthers { secret }).await
    }

    /// The acting person, for what only they may ask for.
    async fn person(&self, operation: Operation) -> Result<&Principal, Refused> {
        let target = Target::Entity { kind: name!("user"), id: Text::clipped("none") };
        let person = self.principal.ok_or_else(|| self.refusal(Code::NoSession));
        self.gate.or_refuse(&self.draft(operation, target), person).await
    }

    async fn ending(&self, user: &UserId, event: impl Fn() -> SessionEvent) -> Result<(), Refused> {
        let event = || AccountEvent::Session(event());
        self.changing(user, Operation::SessionEnded, event, |verdict| match verdict {
            AccountVerdict::Session { verdict: SessionVerdict::Ended(_), .. } => Ok(()),
            // Whoever asks has no session that holds any more.
            AccountVerdict::Session { .. } => Err(Code::NoSession),
            // Nobody was ever invited under this id: there is nothing to end.
            _ => Err(Code::NoUser),
        })
        .await
    }

    /// Bars the user: no password matches, every session and link ends.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn disable(&self, user: &UserId) -> Result<(), Refused> {
        let event = || AccountEvent::Credential(CredentialEvent::Disable);
        self.changing(user, Operation::Disabled, event, changed).await
    }

    /// Takes [`disable`](Self::disable) back; what it ended stays ended.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn enable(&self, user: &UserId) -> Result<(), Refused> {
        let event = || AccountEvent::Credential(CredentialEvent::Enable);
        self.changing(user, Operation::RightsChanged, event, changed).await
    }

    /// Gives the user another class. Every session ends: the new class's rules hold from the next
    /// sign-in on, where a password below its rule has to be changed first.
    ///
    /// # Errors
    /// [`Code::NoUser`] for a class that the policy does not have, or that a part did not answer.
    pub async fn reclass(&self, user: &UserId, class: &str) -> Result<(), Refused> {
        let event = || AccountEvent::Reclass(class.to_owned());
        self.changing(user, Operation::RightsChanged, event, changed).await
    }

    /// Changes the user's account. What would become of it is asked first, so that what is refused
    /// is never recorded as done.
    async fn changing(
        &self,
        user: &UserId,
        operation: Operation,
        event: impl Fn() -> AccountEvent,
        judge: impl Fn(AccountVerdict) -> Result<(), Code>,
    ) -> Result<(), Refused> {
        let (gate, policy) = (self.gate, &self.policy);
        let draft = self.draft(operation, user_target(user));
        let account = gate.account_of(&self.tenant, user);
        let judge = |verdict| judge(verdict).map_err(|code| self.refusal(code));
        gate.or_refuse(&draft, self.known(user, account).await).await?;
        let asked = gate.would(policy, account, event()).await;
        gate.or_refuse(&draft, asked.and_then(|(verdict, _)| judge(verdict))).await?;
        gate.recorded(&draft, async { judge(gate.account(policy, account, event()).await?) }).await
    }

    /// Somebody with a password in the host's column need not have been invited, nor have come yet.
    async fn known(&self, user: &UserId, account: AccountDigest) -> Result<(), Refused> {
        let (gate, policy) = (self.gate, &self.policy);
        if gate.inner.credentials.is_none() || gate.view(policy, account).await?.owner.is_some() {
            return Ok(());
        }
        let found = self.find(user).await?;
        gate.look(policy, &self.tenant, account, Some(&found)).await.map(drop)
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
        let principal = self.person(Operation::PasswordChangeRefused).await?;
        let (gate, policy, account) = (self.gate, &self.policy, principal.account());
        let target = user_target(principal.user());
        let refused = self.draft(Operation::PasswordChangeRefused, target.clone());
        let changed = self.draft(Operation::PasswordChanged, target);
        let mut underway = Underway::new(gate, &refused);
        let (user, stand, known, proof) = match self.prove(principal, present.into()).await {
            Ok(proven) => proven,
            Err(failure) => {
                let refusal = gate.refuse_attempt(policy, &refused, failure).await;
                underway.end();
                return Err(refusal.into());
            }
        };
        let (owner, at) = (OwnerPresent::from(&proof), proof.at());
        let last = stand.last.as_deref();
        let hashed = gate.hash(policy, &refused, &user, owner, last, new.into()).await;
        // It is recorded, or changes nothing before it is.
        underway.end();
        let record = hashed?;
        // The session opens under the generation that setting the password makes.
        let generation = stand.generation.saturating_add(1);
        let opening = gate.opening(policy, &changed, proof, generation, None);
        let (open, opening, tenant) = gate.or_refuse(&refused, opening).await?;
        let issued = gate.recorded(&changed, async {
            let tenant_of = &self.tenant;
            let set = gate.set_password(policy, tenant_of, &user, &stand, record, Some(open));
            match set.await? {
                AccountVerdict::Set { owner: Some(owner), opened: Some(verdict), devices } => {
                    let mut issued = gate.opened(policy, tenant, owner, opening, verdict)?;
                    let device = gate.new_device(policy, account, known, devices, at);
                    issued.known_by(device.ok().flatten());
                    Ok(issued)
                }
                _ => Err(self.refusal(Code::Raced)),
            }
        });
        Ok(issued.await?)
    }

    /// Charges and checks the present password of the acting person; with the browser, if it is known.
    async fn prove(
        &self,
        principal: &Principal,
        present: SecretString,
    ) -> Result<(Account, Stand, Option<Device>, vouchsafe_core::Authenticated), Failure> {
        let (gate, policy, account) = (self.gate, &self.policy, principal.account());
        let user = self.find(principal.user()).await?;
        gate.throttle_strangers(&self.tenant, policy, account, self.call).await?;
        // Longer than any password can be: not hashed.
        let present = Password::new(present).map_err(|_| self.refusal(Code::WrongCredentials))?;
        // Loaded before the charge: a store that fails here leaves none behind.
        let mut view = gate.look(policy, &self.tenant, account, Some(&user)).await?;
        let charged = gate.charge(policy, account, self.call).await?;
        let verified =
            gate.verify(policy, &self.tenant, Some(&user), charged, &present, &mut view).await;
        match verified? {
            Proof::Authenticated(proof) => {
                let known = gate.device_of(policy, account, self.call, view.devices);
                Ok((user, view.into_stand(), known, proof))
            }
            Proof::ChangeOnly(_) => Err(self.refusal(Code::Raced).into()),
        }
    }

    /// Which rules `password` fails for `user`: for a form that ticks them off.
    ///
    /// Recorded as read: the first time in a minute, and the number of the others.
    ///
    /// # Errors
    /// [`Code::NoUser`], or that a part did not answer.
    pub async fn unmet(&self, user: &UserId, password: &Password) -> Result<Vec<Unmet>, Refused> {
        let draft = self.draft(Operation::Read, user_target(user));
        let unmet = match self.find(user).await {
            Ok(user) => self.gate.unmet(&self.tenant, &user, password).await,
            Err(refused) => Err(refused),
        };
        let unmet = self.gate.or_refuse(&draft, unmet).await?;
        self.gate.used(&draft).await?;
        Ok(unmet)
    }
}

/// A change of a credential or a class that was asked for, and what became of it.
fn changed(verdict: AccountVerdict) -> Result<(), Code> {
    match verdict {
        AccountVerdict::NoClass => Err(Code::NoUser),
        AccountVerdict::Credential(
            CredentialVerdict::Superseded { .. } | CredentialVerdict::Refused,
        ) => Err(Code::Raced),
        _ => Ok(()),
    }
}

/// Whom of these users one record can name, `first` at least: the target, and how many.
fn names(first: &UserId, users: &[UserId]) -> (Target, usize) {
    // No id has two blanks in a row.
    const BETWEEN: &str = "  ";
    let (mut target, mut named) = (user_target(first), 1);
    for more in 2..=users.len() {
        let names: Vec<_> = users.iter().take(more).map(UserId::as_str).collect();
        let Ok(id) = Text::new(&names.join(BETWEEN)) else { break };
        (target, named) = (Target::Entity { kind: name!("users"), id }, more);
    }
    (target, named)
}
