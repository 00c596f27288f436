//! Whose token is this: opening, checking and ending sessions.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Operation};
use vouchsafe_core::{AccountDigest, PolicyDigest, TenantId, UserId};
use vouchsafe_lockout::Subject;
use vouchsafe_policy::Policy;
use vouchsafe_session::{Presented, Session, SessionEvent, SessionRefusal, SessionVerdict, Token};

use super::account::{AccountEvent, AccountVerdict, Owner};
use super::call::{Call, Draft, refused, session_target};
use super::devices::DeviceCookie;
use super::{Code, Gate, Refused};

/// A session that was just opened, and the only copy of its token.
#[derive(Debug)]
pub struct Issued {
    token: Token,
    principal: Principal,
    device: Option<DeviceCookie>,
}

/// Whose session it is. Only a check of a token makes one, and only the gate that checked it, its
/// clones included, takes it.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Which gate checked it.
    opened: Arc<()>,
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

    /// The browser's device cookie, where the policy has device counters: to be kept by the browser
    /// beyond the session, and given back with [`Call::with_device`].
    #[must_use]
    pub const fn device(&self) -> Option<&DeviceCookie> {
        self.device.as_ref()
    }

    pub(super) fn known_by(&mut self, device: Option<DeviceCookie>) {
        self.device = device;
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
    /// Whose token is this? Counts as use of the session, and is recorded as such: of the uses of
    /// one session from one source, the first in a minute is written before it is answered, and the
    /// others are counted.
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
            let draft = nobody(tenant, &policy, call);
            return Err(self.refuse(&draft, Refused::new(Code::NoSession, policy.digest())).await);
        };
        let account = presented.account;
        let check = || AccountEvent::Session(SessionEvent::Check { secret: presented.secret });
        let refuse = async |(owner, refusal): (Option<Owner>, Refused)| {
            let user = owner.as_ref().map(|owner| &owner.user);
            let operation = Operation::SessionRefused;
            let draft = Draft::stranger(tenant, &policy, account, user, operation, call);
            self.refuse(&draft, refusal).await
        };
        // Asked first, and done once it is recorded.
        let asked = self.would(&policy, account, check()).await.map_err(|refusal| (None, refusal));
        let asked = asked.and_then(|(verdict, changes)| Ok((active(&policy, verdict)?, changes)));
        let ((owner, mut session), changes) = match asked {
            Ok(asked) => asked,
            Err(no) => return Err(refuse(no).await),
        };
        let draft = Draft {
            actor: Actor::User(owner.user.clone()),
            target: session_target(session.id),
            ..Draft::stranger(tenant, &policy, account, None, Operation::SessionUsed, call)
        };
        self.used(&draft).await?;
        if changes {
            let done = self.account(&policy, account, check()).await;
            session = match done.map_err(|r| (None, r)).and_then(|done| active(&policy, done)) {
                Ok((_, session)) => session,
                Err(no) => return Err(refuse(no).await),
            };
        }
        Ok(self.principal(tenant.clone(), owner, session, presented, &policy))
    }

    /// Ends the session that `principal` was checked with.
    ///
    /// # Errors
    /// [`Code::NoSession`] for another gate's principal, or that a part did not answer: the session
    /// may then still be open.
    pub async fn sign_out(&self, principal: Principal, call: &Call) -> Result<(), Refused> {
        let (tenant, user) = (principal.tenant(), principal.user());
        let policy = self.policy(tenant)?;
        self.is_own(&principal, &policy, call)?;
        let account = principal.account();
        let draft = Draft {
            actor: Actor::User(user.clone()),
            ..Draft::stranger(tenant, &policy, account, Some(user), Operation::SignedOut, call)
        };
        let secret = principal.presented.secret;
        self.recorded(&draft, async {
            let end = AccountEvent::Session(SessionEvent::SignOut { secret });
            self.account(&policy, account, end).await.map(|_| ())
        })
        .await
    }

    fn principal(
        &self,
        tenant: TenantId,
        owner: Owner,
        session: Session,
        presented: Presented,
        policy: &Policy,
    ) -> Principal {
        let (opened, policy) = (Arc::clone(&self.inner.opened), policy.digest());
        Principal { opened, tenant, owner, session, presented, policy }
    }

    /// Refuses a principal that another gate checked: its users and keys are not this one's.
    pub(super) fn is_own(
        &self,
        principal: &Principal,
        policy: &Policy,
        call: &Call,
    ) -> Result<(), Refused> {
        if Arc::ptr_eq(&self.inner.opened, &principal.opened) {
            return Ok(());
        }
        let refusal = Refused::new(Code::NoSession, policy.digest());
        let draft = nobody(principal.tenant(), policy, call);
        self.inner.refusals.count(&draft, &refused(refusal.code()), self.now());
        Err(refusal)
    }

    pub(super) fn account_of(&self, tenant: &TenantId, user: &UserId) -> AccountDigest {
        self.inner.account(tenant, Subject::User(user))
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
        let (generation, label) = (self.inner.era ^ generation, draft.call.label().clone());
        let open = SessionEvent::Open { proof, generation, fresh, replaces, label };
        let presented = Presented { account, secret };
        Ok((open, Opening { token, account, presented }, draft.tenant.clone()))
    }

    /// The session that became of an opening.
    pub(super) fn issued(
        &self,
        policy: &Policy,
        tenant: TenantId,
        opening: Opening,
        verdict: AccountVerdict,
    ) -> Result<Issued, Refused> {
        match verdict {
            AccountVerdict::Session { owner: Some(owner), verdict } => {
                self.opened(policy, tenant, owner, opening, verdict)
            }
            _ => Err(Refused::new(Code::NoUser, policy.digest())),
        }
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
                let principal = self.principal(tenant, owner, session, presented, policy);
                Ok(Issued { token, principal, device: None })
            }
            verdict => Err(session_refusal(policy, Some(&owner.class), &verdict)),
        }
    }
}

/// A refusal of somebody of whom nothing is known.
fn nobody(tenant: &TenantId, policy: &Policy, call: &Call) -> Draft {
    let nobody = AccountDigest::new([0; 16]);
    Draft::stranger(tenant, policy, nobody, None, Operation::SessionRefused, call)
}

/// The session that a check found to hold, or why it does not.
fn active(
    policy: &Policy,
    verdict: AccountVerdict,
) -> Result<(Owner, Session), (Option<Owner>, Refused)> {
    match verdict {
        AccountVerdict::Session {
            owner: Some(owner),
            verdict: SessionVerdict::Active(session),
        } => Ok((owner, session)),
        AccountVerdict::Session { owner, verdict } => {
            let class = owner.as_ref().map(|owner| owner.class.as_str());
            let refusal = session_refusal(policy, class, &verdict);
            Err((owner, refusal))
        }
        _ => Err((None, Refused::new(Code::NoSession, policy.digest()))),
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
