//! One-time links: looking at one, using one, asking for one.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Operation};
use vouchsafe_core::{
    AccountDigest, Identifier, SecretString, Standing, TenantId, Timestamp, UserId,
};
use vouchsafe_lockout::{LockoutEvent, Subject, account_digest};
use vouchsafe_password::{CredentialEvent, CredentialVerdict, OwnerPresent};
use vouchsafe_policy::Policy;
use vouchsafe_session::{LinkEvent, LinkRefusal, LinkVerdict, PresentedLink, Purpose, Requester};

use super::account::{AccountEvent, AccountVerdict, Owner};
use super::call::{Attempt, Call, Draft, account_target, user_target};
use super::{Account, Code, Gate, Later, Mail, NotSet, Refused, host_refusal, store_refusal};

/// What a link is good for, before it is used.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// The user it was sent to.
    pub account: Account,
    /// What it is for.
    pub purpose: Purpose,
    /// When it stops working.
    pub expires: Timestamp,
}

/// What a used link did. Nobody is signed in by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// Whose password was set.
    pub user: UserId,
    /// What the link was for.
    pub purpose: Purpose,
}

/// How a link gets to its owner, and on whose word.
#[derive(Clone, Copy)]
pub(super) enum Deliver {
    /// By mail, for somebody who may ask for it and waits for the answer.
    Now,
    /// By mail in the next upkeep, for anybody who typed the name.
    Later,
    /// Given to the caller.
    ByHand,
}

/// A link that was looked up: what using it up needs to know.
struct Found {
    link: PresentedLink,
    account: Account,
    expires: Timestamp,
    generation: u64,
}

impl Gate {
    /// What is this link good for? Changes nothing, however often mail scanners ask.
    ///
    /// # Errors
    /// [`Code::NoLink`], alike for every link that does not work; or that a part did not answer.
    pub async fn peek(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        text: &str,
        call: &Call,
    ) -> Result<LinkView, Refused> {
        let policy = self.policy(tenant)?;
        let found = self.find_link(&policy, tenant, purpose, text).await;
        match found {
            Ok(found) => Ok(LinkView { account: found.account, purpose, expires: found.expires }),
            Err((account, refusal)) => {
                let draft = link_draft(tenant, &policy, account, None, call);
                Err(self.refuse(&draft, account, refusal).await)
            }
        }
    }

    /// Uses a link up and sets the password, in one swap that also ends every session.
    ///
    /// A password that fails the rule does not use it up.
    ///
    /// # Errors
    /// [`NotSet::Unmet`] with every rule the password fails, or [`NotSet::Refused`].
    pub async fn redeem(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        text: &str,
        password: impl Into<SecretString>,
        call: &Call,
    ) -> Result<Redeemed, NotSet> {
        let policy = self.policy(tenant)?;
        let opened = self.inner.tokens.open_link(tenant, purpose, text.as_bytes()).ok();
        let account = opened.map_or(NOBODY, |link| link.account);
        let draft = link_draft(tenant, &policy, account, None, call);
        if let Err(refusal) = self.throttle(tenant, &policy, call) {
            return Err(NotSet::Refused(self.refuse(&draft, account, refusal).await));
        }
        if opened.is_none() {
            // No key of ours made it, so there is nothing that it could be a guess at.
            let refusal = Refused::new(Code::NoLink, policy.digest());
            return Err(NotSet::Refused(self.refuse(&draft, account, refusal).await));
        }
        // Redeeming checks a secret, so it is charged like any other door, on a counter of its own:
        // a stranger with an old link must not lock the owner out of signing in.
        let counter = self.link_counter(account);
        let charged = match self.charge(&policy, counter).await {
            Ok(charged) => charged,
            Err(refusal) => {
                return Err(NotSet::Refused(self.refuse(&draft, counter, refusal).await));
            }
        };
        let found = self.find_link(&policy, tenant, purpose, text).await;
        // A handle that opens was sealed by us together with its secret: whoever has it did not
        // guess it, whether or not it still works, so the charge never stays.
        #[expect(clippy::disallowed_methods, reason = "the link's verifier was compared just now")]
        let event = match &found {
            Ok(_) => LockoutEvent::Matched(vouchsafe_core::Matched::assertion(
                charged,
                Standing::MustChange,
            )),
            Err(_) => LockoutEvent::NotVerified(vouchsafe_core::NotVerified::assertion(charged)),
        };
        let settled = self.settle(&policy, counter, event).await;
        let found = match (found, settled) {
            (Ok(found), Ok(_)) => found,
            (Err((_, refusal)), _) | (Ok(_), Err(refusal)) => {
                return Err(NotSet::Refused(self.refuse(&draft, account, refusal).await));
            }
        };
        self.set_by_link(&policy, found, purpose, password.into(), draft).await
    }

    async fn set_by_link(
        &self,
        policy: &Arc<Policy>,
        found: Found,
        purpose: Purpose,
        password: SecretString,
        draft: Draft,
    ) -> Result<Redeemed, NotSet> {
        let Found { link, account: user, generation, .. } = found;
        let account = link.account;
        let operation = match purpose {
            Purpose::Activation => Operation::Activated,
            _ => Operation::PasswordChanged,
        };
        let draft = Draft {
            actor: Actor::User(user.user.clone()),
            target: user_target(&user.user),
            operation,
            ..draft
        };
        #[expect(clippy::disallowed_methods, reason = "a link sent to the owner is being redeemed")]
        let owner = OwnerPresent::assertion(account);
        let record = self.hash(policy, &draft, &user, owner, password).await?;
        let id = self.fresh_number(policy)?;
        let address = self.address(&draft.tenant, &user)?;
        let redeem = LinkEvent::Redeem { link, address, id };
        let set = CredentialEvent::Set { expect: generation, record };
        let event = AccountEvent::Redeem { redeem, set };
        let refusal = |code| Refused::new(code, policy.digest());
        self.recorded(&draft, async {
            match self.account(policy, account, event).await {
                Ok(AccountVerdict::Set { .. }) => Ok(()),
                Ok(AccountVerdict::Credential(CredentialVerdict::Superseded { .. })) => {
                    Err(refusal(Code::Raced))
                }
                Ok(_) => Err(refusal(Code::NoLink)),
                Err(undelivered) => Err(store_refusal(&undelivered.error, policy)),
            }
        })
        .await?;
        Ok(Redeemed { user: user.user, purpose })
    }

    /// Somebody asks for a link to set a new password. The answer is the same whether the account
    /// exists or not, and no link that is already on its way stops working. The mail is sent by
    /// the next [`upkeep`](Self::upkeep).
    ///
    /// # Errors
    /// [`Code::Throttled`], or that a part did not answer.
    pub async fn request_reset(&self, attempt: &Attempt) -> Result<(), Refused> {
        let policy = self.policy(&attempt.tenant)?;
        let resolved = self.inner.accounts.resolve(&attempt.tenant, &attempt.identifier).await;
        let found = resolved.map_err(|_| host_refusal(&policy))?;
        let subject = match &found {
            Some(account) => Subject::User(&account.user),
            None => Subject::Unknown(&attempt.identifier),
        };
        let account = account_digest(&self.inner.digests, &attempt.tenant, subject);
        let draft = Draft {
            operation: Operation::ResetRequested,
            ..link_draft(&attempt.tenant, &policy, account, found.as_ref(), &attempt.call)
        };
        if let Err(refusal) = self.throttle(&attempt.tenant, &policy, &attempt.call) {
            return Err(self.refuse(&draft, account, refusal).await);
        }
        let Some(found) = found else {
            let refusal = Refused::new(Code::NoUser, policy.digest());
            return match self.refuse(&draft, account, refusal).await {
                unwritten if unwritten.code() == Code::LogUnavailable => Err(unwritten),
                _ => Ok(()),
            };
        };
        let may = self.may_issue(&policy, &draft, &found, Purpose::Reset).await;
        let issued = match may {
            Ok(()) => self.issue(&policy, &draft, &found, Purpose::Reset, Deliver::Later).await,
            Err(refusal) => Err(self.refuse(&draft, account, refusal).await),
        };
        // Whether there was anything to send is not for a stranger to know.
        match issued {
            Err(refusal) if refusal.code() == Code::LogUnavailable => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Would a stranger's link be issued? So that a flood of wishes is counted, not written.
    async fn may_issue(
        &self,
        policy: &Arc<Policy>,
        draft: &Draft,
        user: &Account,
        purpose: Purpose,
    ) -> Result<(), Refused> {
        let refusal = |code| Refused::new(code, policy.digest());
        let account = self.account_of(&draft.tenant, &user.user);
        let (_, fresh) = self
            .inner
            .tokens
            .issue_link(&draft.tenant, account, purpose, &self.inner.entropy)
            .map_err(|_| refusal(Code::Unavailable))?;
        let address = self.address(&draft.tenant, user)?;
        let issue = LinkEvent::Issue { fresh, address, by: Requester::Stranger };
        match self.account(policy, account, AccountEvent::MayIssue(issue)).await {
            Ok(AccountVerdict::Link(LinkVerdict::Issued { .. })) => Ok(()),
            Ok(AccountVerdict::Link(_)) => Err(refusal(Code::LinkLimit)),
            // Nobody invited this user: a reset is no way in.
            Ok(_) => Err(refusal(Code::NoUser)),
            Err(undelivered) => Err(store_refusal(&undelivered.error, policy)),
        }
    }

    /// Issues a link and says where it leads.
    pub(super) async fn issue(
        &self,
        policy: &Arc<Policy>,
        draft: &Draft,
        user: &Account,
        purpose: Purpose,
        deliver: Deliver,
    ) -> Result<Option<SecretString>, Refused> {
        let refusal = |code| Refused::new(code, policy.digest());
        super::password::class_of(policy, user)?;
        let account = self.account_of(&draft.tenant, &user.user);
        let (token, fresh) = self
            .inner
            .tokens
            .issue_link(&draft.tenant, account, purpose, &self.inner.entropy)
            .map_err(|_| refusal(Code::Unavailable))?;
        let link = self.inner.origin.link(&link_path(&draft.tenant, purpose), &token);
        let link = link.map_err(|_| refusal(Code::Unavailable))?;
        let address = self.address(&draft.tenant, user)?;
        let owner = Owner { user: user.user.clone(), class: user.class.clone() };
        let by = match deliver {
            Deliver::Later => Requester::Stranger,
            Deliver::Now | Deliver::ByHand => Requester::Authority,
        };
        let issue = LinkEvent::Issue { fresh, address, by };
        let event = AccountEvent::Issue { owner, issue };
        let issued = self.recorded(draft, async {
            let expires = match self.account(policy, account, event).await {
                Ok(AccountVerdict::Link(LinkVerdict::Issued { expires })) => expires,
                Ok(AccountVerdict::Link(LinkVerdict::Refused(
                    LinkRefusal::TooSoon { .. } | LinkRefusal::TooMany,
                ))) => return Err(refusal(Code::LinkLimit)),
                Ok(_) => return Err(refusal(Code::NoUser)),
                Err(undelivered) => return Err(store_refusal(&undelivered.error, policy)),
            };
            if by == Requester::Authority {
                // Who sends a new link wants it to work.
                let counter = self.link_counter(account);
                let id = self.fresh_id(policy)?;
                let unlock = LockoutEvent::Unlock { account: counter, id };
                self.settle(policy, counter, unlock).await?;
            }
            let (tenant, to) = (draft.tenant.clone(), user.address.clone());
            let mail = |link| Mail { tenant, to, purpose, link, expires };
            match deliver {
                Deliver::ByHand => return Ok(Some(link)),
                Deliver::Now => {
                    let sent = self.inner.notify.send(mail(link)).await;
                    sent.map_err(|_| refusal(Code::NotSent))?;
                }
                Deliver::Later => {
                    let (draft, mail) = (Box::new(draft.clone()), Box::new(mail(link)));
                    if !self.inner.leave(Later::Send { draft, mail }) {
                        return Err(refusal(Code::NotSent));
                    }
                }
            }
            Ok(None)
        });
        issued.await
    }

    /// Opens, looks up and judges a link; with the account it is about, so far as known.
    async fn find_link(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        purpose: Purpose,
        text: &str,
    ) -> Result<Found, (AccountDigest, Refused)> {
        let refusal = |code| Refused::new(code, policy.digest());
        let opened = self.inner.tokens.open_link(tenant, purpose, text.as_bytes());
        let link = opened.map_err(|_| (NOBODY, refusal(Code::NoLink)))?;
        let account = link.account;
        let no = |code| (account, refusal(code));
        let view = self.view(policy, account).await.map_err(|refusal| (account, refusal))?;
        let owner = view.owner.ok_or_else(|| no(Code::NoLink))?;
        let user = match self.inner.accounts.find(tenant, &owner.user).await {
            Ok(Some(user)) => user,
            Ok(None) => return Err(no(Code::NoLink)),
            Err(_) => return Err(no(Code::Unavailable)),
        };
        let address = self.address(tenant, &user).map_err(|refusal| (account, refusal))?;
        let peek = AccountEvent::Peek(LinkEvent::Peek { link, address });
        match self.account(policy, account, peek).await {
            Ok(AccountVerdict::Link(LinkVerdict::Valid { expires })) => {
                Ok(Found { link, account: user, expires, generation: view.generation })
            }
            Ok(_) => Err(no(Code::NoLink)),
            Err(undelivered) => Err((account, store_refusal(&undelivered.error, policy))),
        }
    }

    fn address(
        &self,
        tenant: &TenantId,
        user: &Account,
    ) -> Result<vouchsafe_session::AddressDigest, Refused> {
        let address = Identifier::new(&user.address)
            .map_err(|_| Refused::new(Code::NoUser, vouchsafe_core::PolicyDigest::NONE))?;
        Ok(self.inner.tokens.address(tenant, &address))
    }

    /// The counter of the door that takes links.
    pub(super) fn link_counter(&self, account: AccountDigest) -> AccountDigest {
        let digest = self.inner.digests.digest("vouchsafe link door v1", &[account.as_bytes()]);
        AccountDigest::new(digest)
    }
}

/// The account of a link that says of no account that it is its.
const NOBODY: AccountDigest = AccountDigest::new([0; 16]);

/// The path of the host's page for links of this kind, without the token, which follows as the
/// last segment: `/acme/activate`.
#[must_use]
pub fn link_path(tenant: &TenantId, purpose: Purpose) -> String {
    let page = match purpose {
        Purpose::Activation => "activate",
        Purpose::Reset => "reset",
        Purpose::Unlock => "unlock",
        Purpose::EmailChange => "confirm",
    };
    format!("/{tenant}/{page}")
}

fn link_draft(
    tenant: &TenantId,
    policy: &Policy,
    account: AccountDigest,
    found: Option<&Account>,
    call: &Call,
) -> Draft {
    Draft {
        tenant: tenant.clone(),
        actor: Actor::Unauthenticated { claimed: Some(account) },
        target: found.map_or_else(|| account_target(account), |found| user_target(&found.user)),
        operation: Operation::LinkRefused,
        call: call.clone(),
        policy: policy.digest(),
        clause: None,
    }
}
