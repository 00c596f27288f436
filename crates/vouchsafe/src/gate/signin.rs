//! May this person in: resolve, charge, verify, settle, open.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use vouchsafe_access_log::{Actor, Operation, Outcome};
use vouchsafe_core::{AccountDigest, ChargeId, Charged, NotVerified, SecretString, Timestamp};
use vouchsafe_lockout::{
    Begin, LockoutEvent, LockoutState, LockoutVerdict, Subject, account_digest,
};
use vouchsafe_password::{Binding, CredentialEvent, OwnerPresent, Password, Verified};
use vouchsafe_policy::Policy;

use super::account::{AccountEvent, AccountVerdict, View};
use super::call::{Attempt, Draft, account_target, user_target};
use super::password::attributes;
use super::sessions::Issued;
use super::{Account, Code, Gate, Later, NotSet, Refused, host_refusal, store_refusal};

/// How often a waiting attempt looks again for settlements of other nodes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a password that has to be changed may take to be: one page's worth of thinking.
const CHANGE_WITHIN: Duration = Duration::from_secs(600);

/// What came of a whole sign-in.
#[derive(Debug)]
pub enum Login {
    /// A session is open.
    SignedIn(Issued),
    /// Something else has to happen first. It can do nothing but that.
    Next(Next),
    /// No.
    Refused(Refused),
}

/// What has to happen before a session can be opened. Ignoring it means no entry.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next {
    /// The password was right, and has to be changed.
    ChangePassword(ChangePassword),
}

/// What came of a password.
#[derive(Debug)]
pub enum Checked {
    /// It was right: a session may be opened.
    Authenticated(Authenticated),
    /// It was right, and something else has to happen first.
    Next(Next),
    /// No.
    Refused(Refused),
}

/// An attempt that was charged. Dropped, the charge stays as a failure.
#[must_use = "dropped, the attempt stays counted as a failure"]
#[derive(Debug)]
pub struct Admitted {
    gate: Gate,
    policy: Arc<Policy>,
    attempt: Attempt,
    account: AccountDigest,
    found: Option<Account>,
    charged: Charged,
}

/// Somebody whose password was right. [`open`](Self::open) makes a session of it.
#[must_use = "open a session, or nothing happens"]
#[derive(Debug)]
pub struct Authenticated {
    gate: Gate,
    policy: Arc<Policy>,
    draft: Draft,
    generation: u64,
    epoch: u64,
    proof: vouchsafe_core::Authenticated,
    replaces: Option<Arc<SecretString>>,
}

/// A right password that is good for nothing but being replaced.
#[must_use = "dropped, the password stays as it is"]
#[derive(Debug)]
pub struct ChangePassword {
    gate: Gate,
    policy: Arc<Policy>,
    draft: Draft,
    generation: u64,
    found: Account,
    owner: OwnerPresent,
    at: Timestamp,
}

impl Gate {
    /// Resolves the name and charges the attempt, before any password is looked at.
    ///
    /// # Errors
    /// [`Code::Locked`], [`Code::Throttled`], [`Code::Busy`], or that a part did not answer.
    pub async fn admit(&self, attempt: &Attempt) -> Result<Admitted, Refused> {
        let policy = self.policy(&attempt.tenant)?;
        let resolved = self.inner.accounts.resolve(&attempt.tenant, &attempt.identifier).await;
        let (found, unresolved) = match resolved {
            Ok(found) => (found, None),
            Err(_) => (None, Some(host_refusal(&policy))),
        };
        let subject = match &found {
            Some(account) => Subject::User(&account.user),
            None => Subject::Unknown(&attempt.identifier),
        };
        let account = account_digest(&self.inner.digests, &attempt.tenant, subject);
        let draft = sign_in_draft(attempt, &policy, account, found.as_ref());
        if let Some(refusal) = unresolved {
            return Err(self.refuse(&draft, account, refusal).await);
        }
        if let Err(refusal) = self.throttle(&attempt.tenant, &policy, &attempt.call) {
            return Err(self.refuse(&draft, account, refusal).await);
        }
        match self.charge(&policy, account).await {
            Ok(charged) => {
                let (gate, attempt) = (self.clone(), attempt.clone());
                Ok(Admitted { gate, policy, attempt, account, found, charged })
            }
            Err(refusal) => Err(self.refuse(&draft, account, refusal).await),
        }
    }

    /// The whole sign-in: admit, check the password, open the session.
    pub async fn login(&self, attempt: &Attempt, password: impl Into<SecretString>) -> Login {
        let admitted = match self.admit(attempt).await {
            Ok(admitted) => admitted,
            Err(refused) => return Login::Refused(refused),
        };
        match admitted.password(password).await {
            Checked::Authenticated(authenticated) => match authenticated.open().await {
                Ok(issued) => Login::SignedIn(issued),
                Err(refused) => Login::Refused(refused),
            },
            Checked::Next(next) => Login::Next(next),
            Checked::Refused(refused) => Login::Refused(refused),
        }
    }

    /// Charges one attempt on `account`, standing in line and waiting while others hold all the
    /// charges.
    pub(super) async fn charge(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
    ) -> Result<Charged, Refused> {
        let key = LockoutState::key(account);
        let busy = || Refused::new(Code::Busy, policy.digest());
        let mut limit = pin!(self.inner.timer.0.sleep_boxed(policy.lockout().wait().time));
        let mut line = pin!(self.inner.turns.take(key));
        let turn = poll_fn(|context| match line.as_mut().poll(context) {
            Poll::Ready(turn) => Poll::Ready(turn.ok()),
            Poll::Pending => limit.as_mut().poll(context).map(|()| None),
        });
        let _turn = turn.await.ok_or_else(busy)?;
        let waiting = self.inner.settlements.watch(key);
        loop {
            let begin = Begin::new(account, self.fresh_id(policy)?);
            match self.lockout(policy, LockoutEvent::Begin(begin)).await {
                Ok(LockoutVerdict::Admitted(charged)) => return Ok(charged),
                Ok(LockoutVerdict::Wait { .. }) => {}
                Ok(LockoutVerdict::Locked { until }) => {
                    let refused = Refused::new(Code::Locked, policy.digest())
                        .under(policy.clause_for("lockout.limits").cloned());
                    return Err(match until {
                        Some(until) => refused.after(until.since(self.now())),
                        None => refused,
                    });
                }
                // A beginning is answered with one of the three above.
                Ok(_) => return Err(busy()),
                Err(undelivered) => {
                    let refusal = store_refusal(&undelivered.error, policy);
                    if let LockoutEvent::Begin(begin) = undelivered.event {
                        self.refund_later(policy, LockoutEvent::NotVerified(begin.withdraw()));
                    }
                    return Err(refusal);
                }
            }
            let mut out_of_time = false;
            let look_again = self.inner.timer.0.sleep_boxed(LOOK_AGAIN);
            let mut look_again = pin!(look_again);
            let otherwise = poll_fn(|context| {
                if limit.as_mut().poll(context).is_ready() {
                    out_of_time = true;
                    return Poll::Ready(());
                }
                look_again.as_mut().poll(context)
            });
            waiting.next(otherwise).await;
            if out_of_time {
                return Err(busy());
            }
        }
    }

    /// Settles a charge on the counter, and lets the next in line know.
    pub(super) async fn settle(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        event: LockoutEvent,
    ) -> Result<LockoutVerdict, Refused> {
        let settled = self.lockout(policy, event).await;
        self.inner.settlements.settled(LockoutState::key(account));
        settled.map_err(|undelivered| {
            let refusal = store_refusal(&undelivered.error, policy);
            if let event @ LockoutEvent::NotVerified(_) = undelivered.event {
                self.refund_later(policy, event);
            }
            refusal
        })
    }

    fn refund_later(&self, policy: &Arc<Policy>, event: LockoutEvent) {
        self.inner.leave(Later::Refund { policy: Arc::clone(policy), event });
    }

    /// Takes back the charge of an attempt whose password was not looked at.
    async fn unverified(&self, policy: &Arc<Policy>, charged: Charged) {
        let account = charged.account();
        #[expect(clippy::disallowed_methods, reason = "nothing was hashed under this charge")]
        let event = LockoutEvent::NotVerified(NotVerified::assertion(charged));
        // A refund that the store does not take now waits for it.
        let _ = self.settle(policy, account, event).await;
    }

    /// What the verifier is given for `account`, found or not: the same load either way.
    pub(super) async fn view(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
    ) -> Result<View, Refused> {
        match self.account(policy, account, AccountEvent::Read).await {
            Ok(AccountVerdict::Read(view)) => Ok(view),
            Ok(_) => Err(Refused::new(Code::Corrupt, policy.digest())),
            Err(undelivered) => Err(store_refusal(&undelivered.error, policy)),
        }
    }

    /// Verifies a password against `view` under a charge, and settles it.
    pub(super) async fn verify(
        &self,
        policy: &Arc<Policy>,
        charged: Charged,
        password: &Password,
        view: View,
        binding: Binding,
    ) -> Result<Proof, (Refused, bool)> {
        let account = charged.account();
        let verified = self.inner.pool.verify(charged, password, view.stored, binding).await;
        let (event, upgrade) = match verified {
            Verified::Match { matched, upgrade } => (LockoutEvent::Matched(matched), upgrade),
            Verified::NoMatch(not_matched) => (LockoutEvent::NotMatched(not_matched), None),
            Verified::NotVerified(not_verified, _) => {
                (LockoutEvent::NotVerified(not_verified), None)
            }
        };
        let refusal = |code| Refused::new(code, policy.digest());
        let verdict = self.settle(policy, account, event).await.map_err(|r| (r, false))?;
        let proof = match verdict {
            LockoutVerdict::Authenticated(proof) => Proof::Authenticated(proof),
            LockoutVerdict::ChangeOnly(proof) => Proof::ChangeOnly(proof),
            LockoutVerdict::Failed { locked } => {
                return Err((refusal(Code::WrongCredentials), locked.is_some()));
            }
            // Nothing was hashed; the charge is back.
            _ => return Err((refusal(Code::Busy), false)),
        };
        if let Some(upgrade) = upgrade {
            // A failed write never fails the sign-in: the next one upgrades again.
            let event = AccountEvent::Credential(CredentialEvent::Upgrade(upgrade));
            let _ = self.account(policy, account, event).await;
        }
        Ok(proof)
    }

    pub(super) fn fresh_number(&self, policy: &Policy) -> Result<u64, Refused> {
        self.fresh_id(policy).map(ChargeId::get)
    }
}

/// What a right password showed.
pub(super) enum Proof {
    Authenticated(vouchsafe_core::Authenticated),
    ChangeOnly(vouchsafe_core::ChangeOnly),
}

fn sign_in_draft(
    attempt: &Attempt,
    policy: &Policy,
    account: AccountDigest,
    found: Option<&Account>,
) -> Draft {
    Draft {
        tenant: attempt.tenant.clone(),
        actor: Actor::Unauthenticated { claimed: Some(account) },
        target: found.map_or_else(|| account_target(account), |found| user_target(&found.user)),
        operation: Operation::SignInRefused,
        call: attempt.call.clone(),
        policy: policy.digest(),
        clause: None,
    }
}

impl Admitted {
    /// Checks the password. An unknown name costs the same work as a known one.
    pub async fn password(self, password: impl Into<SecretString>) -> Checked {
        let Self { gate, policy, attempt, account, found, charged } = self;
        let draft = sign_in_draft(&attempt, &policy, account, found.as_ref());
        let refuse = async |refusal, locked: bool| {
            let operation = if locked { Operation::Locked } else { Operation::SignInRefused };
            let draft = draft.clone().doing(operation);
            Checked::Refused(gate.refuse_hashed(&draft, account, refusal).await)
        };
        let Ok(password) = Password::new(password) else {
            // Longer than any password can be: not hashed, so not counted either.
            gate.unverified(&policy, charged).await;
            let refusal = Refused::new(Code::WrongCredentials, policy.digest());
            return Checked::Refused(gate.refuse(&draft, account, refusal).await);
        };
        let view = match gate.view(&policy, account).await {
            Ok(view) => view,
            Err(refusal) => {
                gate.unverified(&policy, charged).await;
                return refuse(refusal, false).await;
            }
        };
        let binding = found
            .as_ref()
            .map_or_else(Binding::nobody, |found| Binding::new(&attempt.tenant, &found.user));
        let (generation, epoch) = (view.generation, view.epoch);
        // A password that today's rule refuses lets nobody in: it is to be changed first. Looked
        // up for unknown names too, so that the work is the same.
        let class = match &found {
            Some(found) => policy.class(&found.class).ok(),
            None => policy.classes().next().map(|(_, class)| class),
        };
        let words = attributes(&attempt.tenant, found.as_ref());
        let meets = class.is_some_and(|c| c.password().check(&password, &words).is_ok());
        let proof = match gate.verify(&policy, charged, &password, view, binding).await {
            Ok(proof) => proof,
            Err((refusal, locked)) => return refuse(refusal, locked).await,
        };
        let Some(found) = found else {
            // Nobody's record matches nothing: not reached.
            return refuse(Refused::new(Code::WrongCredentials, policy.digest()), false).await;
        };
        let draft = Draft { actor: Actor::User(found.user.clone()), ..draft.clone() };
        let owner = match proof {
            Proof::Authenticated(proof) if meets => {
                let draft = draft.doing(Operation::SignedIn);
                let replaces = attempt.replaces();
                return Checked::Authenticated(Authenticated {
                    gate,
                    policy,
                    draft,
                    generation,
                    epoch,
                    proof,
                    replaces,
                });
            }
            Proof::Authenticated(proof) => OwnerPresent::from(&proof),
            Proof::ChangeOnly(proof) => OwnerPresent::from(proof),
        };
        let draft = draft.doing(Operation::PasswordChanged);
        if let Err(refusal) = gate.record(&draft, Outcome::Refused(super::password::DUE)).await {
            return Checked::Refused(refusal);
        }
        let at = gate.now();
        let change = ChangePassword { gate, policy, draft, generation, found, owner, at };
        Checked::Next(Next::ChangePassword(change))
    }
}

impl Authenticated {
    /// Opens a session, always under a new token. To be called at once: after as long as a charge
    /// may stay unsettled (10 s), or when every session was ended meanwhile, it is too late.
    ///
    /// # Errors
    /// [`Code::NoSession`] when it is too late, that a part did not answer, or that the account may have no more sessions.
    pub async fn open(self) -> Result<Issued, Refused> {
        let Self { gate, policy, draft, generation, epoch, proof, replaces } = self;
        let late = gate.now().since(proof.at()) > policy.lockout().settle_within();
        let replaces = replaces.as_ref().map(|token| token.expose());
        let (open, token, tenant) = gate.opening(&policy, &draft, proof, generation, replaces)?;
        let account = token.account;
        if late {
            let refusal = Refused::new(Code::NoSession, policy.digest());
            return Err(gate.refuse(&draft, account, refusal).await);
        }
        gate.recorded(&draft, async {
            let open = AccountEvent::Open { epoch, open };
            let verdict = gate.account(&policy, account, open).await;
            gate.issued(&policy, tenant, token, verdict)
        })
        .await
    }
}

impl ChangePassword {
    /// Replaces the password, within ten minutes. The person then signs in with the new one.
    ///
    /// # Errors
    /// [`NotSet::Unmet`] with every rule the new password fails, or [`NotSet::Refused`].
    pub async fn set(self, new: impl Into<SecretString>) -> Result<(), NotSet> {
        let Self { gate, policy, draft, generation, found, owner, at } = self;
        let account = owner.account();
        if gate.now().since(at) > CHANGE_WITHIN {
            let refusal = Refused::new(Code::NoSession, policy.digest());
            return Err(NotSet::Refused(gate.refuse(&draft, account, refusal).await));
        }
        let record = gate.hash(&policy, &draft, &found, owner, new.into()).await?;
        let set = CredentialEvent::Set { expect: generation, record };
        gate.recorded(&draft, gate.set_password(&policy, account, set, None)).await?;
        Ok(())
    }
}
