//! Whose token is this: opening, checking and ending sessions.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Operation};
use vouchsafe_core::{AccountDigest, PolicyDigest, TenantId, UserId};
use vouchsafe_lockout::{Subject, account_digest};
use vouchsafe_policy::Policy;
use vouchsafe_session::{Presented, Session, SessionEvent, SessionRefusal, SessionVerdict, Token};
use vouchsafe_store::Undelivered;

use super::account::{AccountEvent, AccountVerdict, Owner};
use super::call::{Call, Draft, account_target, user_target};
use super::{Code, Gate, Refused, store_refusal};

/// A session that was just opened, and the only copy of its token.
#[derive(Debug)]
pub struct Issued {
    token: Token,
    principal: Principal,
}

/// Whose session it is. Only a check of a token makes one.
#[derive(Clone, Debug)]
pub struct Principal {
    tenant: TenantId,
    owner: Owner,
    session: Session,
    presented: Presented,
    policy: PolicyDigest,
}

/// A token that waits for its session to be open.
pub(super) struct Opening {
    token: Token,
    pub(super) account: AccountDigest,
    presented: Presented,
}

impl Issued {
    /// The token, for the cookie.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Whose session it is.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

impl Principal {
    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The user.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.owner.user
    }

    /// The user class, by its name in the policy.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.owner.class
    }

    /// The session, without its secret.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The policy that was in force when the token was checked.
    #[must_use]
    pub const fn policy(&self) -> PolicyDigest {
        self.policy
    }

    pub(super) const fn presented(&self) -> &Presented {
        &self.presented
    }

    pub(super) const fn account(&self) -> AccountDigest {
        self.presented.account
    }
}

impl Gate {
    /// Whose token is this? Counts as use of the session.
    ///
    /// An accepted check writes no record of its own: what it was for does.
    ///
    /// # Errors
    /// [`Code::NoSession`], or that a part did not answer.
    pub async fn check(
        &self,
        tenant: &TenantId,
        token: &str,
        call: &Call,
    ) -> Result<Principal, Refused> {
        let policy = self.policy(tenant)?;
        let Ok(presented) = self.inner.tokens.open(tenant, token.as_bytes()) else {
            let nobody = AccountDigest::new([0; 16]);
            let refusal = Refused::new(Code::NoSession, policy.digest());
            let draft = session_draft(tenant, &policy, nobody, None, call);
            return Err(self.refuse(&draft, nobody, refusal).await);
        };
        let account = presented.account;
        let check = SessionEvent::Check { secret: presented.secret };
        let (owner, refusal) =
            match self.account(&policy, account, AccountEvent::Session(check)).await {
                Ok(AccountVerdict::Session {
                    owner: Some(owner),
                    verdict: SessionVerdict::Active(session),
                }) => {
                    let tenant = tenant.clone();
                    let policy = policy.digest();
                    return Ok(Principal { tenant, owner, session, presented, policy });
                }
                Ok(AccountVerdict::Session { owner, verdict }) => {
                    let class = owner.as_ref().map(|owner| owner.class.as_str());
                    let refusal = session_refusal(&policy, class, &verdict);
                    (owner, refusal)
                }
                Ok(_) => (None, Refused::new(Code::NoSession, policy.digest())),
                Err(undelivered) => (None, store_refusal(&undelivered.error, &policy)),
            };
        let draft = session_draft(tenant, &policy, account, owner.as_ref(), call);
        Err(self.refuse(&draft, account, refusal).await)
    }

    /// Ends the session that `principal` was checked with.
    ///
    /// # Errors
    /// That a part did not answer: the session may then still be open.
    pub async fn sign_out(&self, principal: Principal, call: &Call) -> Result<(), Refused> {
        let policy = self.policy(principal.tenant())?;
        let draft = Draft {
            actor: Actor::User(principal.user().clone()),
            operation: Operation::SignedOut,
            ..session_draft(
                principal.tenant(),
                &policy,
                principal.account(),
                Some(&principal.owner),
                call,
            )
        };
        let secret = principal.presented.secret;
        self.recorded(&draft, async {
            let end = AccountEvent::Session(SessionEvent::SignOut { secret });
            match self.account(&policy, principal.account(), end).await {
                Ok(_) => Ok(()),
                Err(undelivered) => Err(store_refusal(&undelivered.error, &policy)),
            }
        })
        .await
    }

    pub(super) fn account_of(&self, tenant: &TenantId, user: &UserId) -> AccountDigest {
        account_digest(&self.inner.digests, tenant, Subject::User(user))
    }

    /// A new token, and the event that opens its session.
    pub(super) fn opening(
        &self,
        policy: &Policy,
        draft: &Draft,
        proof: vouchsafe_core::Authenticated,
        generation: u64,
        replaces: Option<&str>,
    ) -> Result<(SessionEvent, Opening, TenantId), Refused> {
        let account = proof.account();
        let tokens = &self.inner.tokens;
        let (token, fresh) = tokens
            .issue(&draft.tenant, account, &self.inner.entropy)
            .map_err(|_| Refused::new(Code::Unavailable, policy.digest()))?;
        let secret = *fresh.secret();
        // A token of another account or tenant ends nothing.
        let replaces = replaces
            .and_then(|old| tokens.open(&draft.tenant, old.as_bytes()).ok())
            .filter(|old| old.account == account)
            .map(|old| old.secret);
        let label = draft.call.label().clone();
        let open = SessionEvent::Open { proof, generation, fresh, replaces, label };
        let presented = Presented { account, secret };
        Ok((open, Opening { token, account, presented }, draft.tenant.clone()))
    }

    /// The session that became of an opening.
    pub(super) fn issued(
        &self,
        policy: &Arc<Policy>,
        tenant: TenantId,
        opening: Opening,
        verdict: Result<AccountVerdict, Undelivered<AccountEvent>>,
    ) -> Result<Issued, Refused> {
        let (owner, verdict) = match verdict {
            Ok(AccountVerdict::Session { owner: Some(owner), verdict }) => (owner, verdict),
            Ok(_) => return Err(Refused::new(Code::NoUser, policy.digest())),
            Err(undelivered) => return Err(store_refusal(&undelivered.error, policy)),
        };
        self.opened(policy, tenant, owner, opening, verdict)
    }

    pub(super) fn opened(
        &self,
        policy: &Policy,
        tenant: TenantId,
        owner: Owner,
        opening: Opening,
        verdict: SessionVerdict,
    ) -> Result<Issued, Refused> {
        let Opening { token, presented, .. } = opening;
        match verdict {
            SessionVerdict::Opened { session, .. } => {
                let policy = policy.digest();
                let principal = Principal { tenant, owner, session, presented, policy };
                Ok(Issued { token, principal })
            }
            verdict => Err(session_refusal(policy, Some(&owner.class), &verdict)),
        }
    }
}

fn session_draft(
    tenant: &TenantId,
    policy: &Policy,
    account: AccountDigest,
    owner: Option<&Owner>,
    call: &Call,
) -> Draft {
    Draft {
        tenant: tenant.clone(),
        actor: Actor::Unauthenticated { claimed: Some(account) },
        target: owner.map_or_else(|| account_target(account), |owner| user_target(&owner.user)),
        operation: Operation::SessionRefused,
        call: call.clone(),
        policy: policy.digest(),
        clause: None,
    }
}

/// The refusal, with the promise behind the limit that was reached.
fn session_refusal(policy: &Policy, class: Option<&str>, verdict: &SessionVerdict) -> Refused {
    let field = match verdict {
        SessionVerdict::Refused(SessionRefusal::Idle) => Some("session.idle"),
        SessionVerdict::Refused(SessionRefusal::Absolute) => Some("session.absolute"),
        SessionVerdict::Refused(SessionRefusal::TooMany) => Some("session.max_sessions"),
        _ => None,
    };
    let of_class = |field: &str| policy.clause_for(&format!("class.{}.{field}", class?));
    let clause = field.and_then(of_class).cloned();
    Refused::new(Code::NoSession, policy.digest()).under(clause)
}
