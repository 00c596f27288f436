//! One-time links: looking at one, using one, asking for one.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Operation};
use vouchsafe_core::{
    AccountDigest, Charged, Identifier, SecretString, Standing, TenantId, Timestamp, UserId,
};
use vouchsafe_lockout::LockoutEvent;
use vouchsafe_password::{CredentialEvent, CredentialVerdict, OwnerPresent};
use vouchsafe_policy::Policy;
use vouchsafe_session::{LinkEvent, LinkRefusal, LinkVerdict, PresentedLink, Purpose, Requester};

use super::account::{AccountEvent, AccountVerdict, Owner};
use super::call::{Attempt, Call, Draft, user_target};
use super::column::Stand;
use super::password::class_of;
use super::signin::{Failure, unverified};
use super::{Account, Code, Gate, Later, Mail, NotSet, Refused, Underway};

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
pub(super) struct Found {
    pub(super) link: PresentedLink,
    pub(super) account: Account,
    expires: Timestamp,
    stand: Stand,
}

/// A link that is about to be used up, what is written about it, and that it is under way.
pub(super) type Taken = (Found, Draft, Underway);

impl Gate {
    /// What is this link good for? Changes nothing, however often mail scanners ask. Recorded as
    /// [`check`](Self::check) is: the first in a minute, and the number of the others.
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
        let stranger = |account, user, operation| {
            Draft::stranger(tenant, &policy, account, user, operation, call)
        };
        match self.find_link(&policy, tenant, purpose, text).await {
            Ok(Found { link, account, expires, .. }) => {
                let draft = stranger(link.account, Some(&account.user), Operation::Read);
                self.used(&draft).await?;
                Ok(LinkView { account, purpose, expires })
            }
            Err((account, refusal)) => {
                let draft = stranger(account, None, Operation::LinkRefused);
                Err(self.refuse(&draft, refusal).await)
            }
        }
    }

    /// Uses a link up and sets the password, in one swap that also ends every session.
    ///
    /// A password that fails the rule does not use it up. A new password also takes back the
    /// account's failures, and a lock with them; links for other purposes set none.
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
        let (found, draft, mut underway) =
            self.take_link(&policy, tenant, purpose, text, call).await?;
        if !matches!(purpose, Purpose::Activation | Purpose::Reset) {
            underway.end();
            let refusal = Refused::new(Code::NoLink, policy.digest());
            return Err(self.refuse(&draft, refusal).await.into());
        }
        let set = self.set_by_link(&policy, found, purpose, password.into(), draft, &mut underway);
        set.await
    }

    /// Looks up a link that is about to be used, charged like every door.
    pub(super) async fn take_link(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        purpose: Purpose,
        text: &str,
        call: &Call,
    ) -> Result<Taken, Refused> {
        let refusal = |code| Refused::new(code, policy.digest());
        // No key of ours made it: then there is nothing that it could be a guess at.
        let opened = self.inner.tokens.open_link(tenant, purpose, text.as_bytes()).ok();
        let account = opened.map_or(NOBODY, |link| link.account);
        let draft = Draft::stranger(tenant, policy, account, None, Operation::LinkRefused, call);
        let admitted = self.throttle(tenant, policy, call);
        let admitted =
            admitted.and_then(|()| opened.map(|_| ()).ok_or_else(|| refusal(Code::NoLink)));
        self.or_refuse(&draft, admitted).await?;
        let mut underway = Underway::new(self, &draft);
        match self.found(policy, tenant, purpose, text, account, call).await {
            Ok(found) => Ok((found, draft, underway)),
            Err(failure) => {
                let refusal = self.refuse_attempt(policy, &draft, failure).await;
                underway.end();
                Err(refusal)
            }
        }
    }

    /// Charges a redemption, looks the link up and settles the charge.
    async fn found(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        purpose: Purpose,
        text: &str,
        account: AccountDigest,
        call: &Call,
    ) -> Result<Found, Failure> {
        // Redeeming checks a secret, so it is charged like any other door, on a counter of its own:
        // a stranger with an old link must not lock the owner out of signing in.
        let counter = self.link_counter(account);
        let charged = self.charge(policy, counter, call).await?;
        let mut unproven = Unproven { gate: self, policy, charged: Some(charged) };
        let found = self.find_link(policy, tenant, purpose, text).await;
        let settled = match (&found, unproven.charged.take()) {
            (Ok(_), Some(charged)) => {
                #[expect(clippy::disallowed_methods, reason = "the link was compared just now")]
                let matched = vouchsafe_core::Matched::assertion(charged, Standing::MustChange);
                self.settle(policy, counter, LockoutEvent::Matched(matched)).await.map(|_| ())
            }
            (_, Some(charged)) => {
                self.unverified(policy, charged).await;
                Ok(())
            }
            (_, None) => Ok(()),
        };
        let found = found.map_err(|(_, refusal)| refusal)?;
        settled?;
        Ok(found)
    }

    async fn set_by_link(
        &self,
        policy: &Arc<Policy>,
        found: Found,
        purpose: Purpose,
        password: SecretString,
        draft: Draft,
        underway: &mut Underway,
    ) -> Result<Redeemed, NotSet> {
        let Found { link, account: user, stand, .. } = found;
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
        let hashed = self.hash(policy, &draft, &user, owner, stand.last.as_deref(), password).await;
        // It is recorded, or changes nothing before it is.
        underway.end();
        let record = hashed?;
        let event = || {
            let address = self.address(&draft.tenant, &user)?;
            let redeem = LinkEvent::Redeem { link, address, id: self.fresh_number(policy)? };
            let set = CredentialEvent::Set { expect: stand.generation, record };
            let set = self.setting(account, stand.seen, set);
            Ok(AccountEvent::Redeem { redeem, set })
        };
        let event = self.or_refuse(&draft, event()).await?;
        self.recorded(&draft, async {
            // Whoever has chosen a new password need not wait for guesses at the old one.
            let unlocking = self.unlocking(policy, account)?;
            let set = self.account(policy, account, event).await;
            if let Ok(AccountVerdict::Set { .. }) = set {
                unlocking.now().await;
                return self.put_in_column(policy, &draft.tenant, account, &user, &stand).await;
            }
            unlocking.never();
            let code = match set? {
                AccountVerdict::Credential(CredentialVerdict::Superseded { .. }) => Code::Raced,
                _ => Code::NoLink,
            };
            Err(Refused::new(code, policy.digest()))
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
        self.request_link(attempt, Purpose::Reset, Operation::ResetRequested).await
    }

    pub(super) async fn request_link(
        &self,
        attempt: &Attempt,
        purpose: Purpose,
        operation: Operation,
    ) -> Result<(), Refused> {
        let policy = self.policy(&attempt.tenant)?;
        let (account, draft, found) = self.resolve(&policy, attempt, operation).await;
        let found = self.or_refuse(&draft, found).await?;
        // Whoever has a password in the host's column need not have been invited.
        if self.inner.credentials.is_some() {
            let _ = self.look(&policy, &attempt.tenant, account, found.as_ref()).await;
        }
        let issued = match found {
            Some(found) => self.issue(&policy, &draft, &found, purpose, Deliver::Later).await,
            None => Err(self.refuse(&draft, Refused::new(Code::NoUser, policy.digest())).await),
        };
        // Whether there was anything to send is not for a stranger to know.
        match issued {
            Err(refusal) if refusal.code() == Code::LogUnavailable => Err(refusal),
            _ => Ok(()),
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
        let account = self.account_of(&draft.tenant, &user.user);
        let by = match deliver {
            Deliver::Later => Requester::Stranger,
            Deliver::Now | Deliver::ByHand => Requester::Authority,
        };
        let new = || {
            class_of(policy, user)?;
            let (tokens, entropy) = (&self.inner.tokens, &self.inner.entropy);
            let issued = tokens.issue_link(&draft.tenant, account, purpose, entropy);
            let (token, fresh) = issued.map_err(|_| refusal(Code::Unavailable))?;
            let issue = LinkEvent::Issue { fresh, address: self.address(&draft.tenant, user)?, by };
            // A reset is no way in for somebody whom nobody invited.
            let owner = (by == Requester::Authority)
                .then(|| Owner { user: user.user.clone(), class: user.class.clone() });
            Ok((token, AccountEvent::Issue { owner, issue }))
        };
        let expires = |verdict| match verdict {
            AccountVerdict::Link(LinkVerdict::Issued { expires }) => Ok(expires),
            AccountVerdict::Link(LinkVerdict::Refused(
                LinkRefusal::TooSoon { .. } | LinkRefusal::TooMany,
            )) => Err(refusal(Code::LinkLimit)),
            _ => Err(refusal(Code::NoUser)),
        };
        // Asked first: a flood of wishes is counted, not written.
        let prepared = async {
            let (asked, _) = self.would(policy, account, new()?.1).await?;
            expires(asked)?;
            let (token, event) = new()?;
            let link = self.inner.origin.link(&link_path(&draft.tenant, purpose), &token);
            Ok((event, link.map_err(|_| refusal(Code::Unavailable))?))
        };
        let (event, link) = self.or_refuse(draft, prepared.await).await?;
        let issued = self.recorded(draft, async {
            let expires = expires(self.account(policy, account, event).await?)?;
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
        let owner = view.owner.as_ref().ok_or_else(|| no(Code::NoLink))?;
        let user = match self.inner.accounts.find(tenant, &owner.user).await {
            Ok(Some(user)) => user,
            Ok(None) => return Err(no(Code::NoLink)),
            Err(_) => return Err(no(Code::Unavailable)),
        };
        let address = self.address(tenant, &user).map_err(|refusal| (account, refusal))?;
        // The host may have set a password since the link was sent, which is then void.
        let view = match self.inner.credentials {
            None => Ok(view),
            Some(_) => self.look(policy, tenant, account, Some(&user)).await,
        };
        let stand = view.map_err(|refusal| (account, refusal))?.into_stand();
        let peek = AccountEvent::Peek(LinkEvent::Peek { link, address });
        match self.account(policy, account, peek).await {
            Ok(AccountVerdict::Link(LinkVerdict::Valid { expires })) => {
                Ok(Found { link, account: user, expires, stand })
            }
            Ok(_) => Err(no(Code::NoLink)),
            Err(refusal) => Err((account, refusal)),
        }
    }

    pub(super) fn address(
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

/// The charge of a link that is looked at. A handle that opens was sealed by us together with its
/// secret: whoever has it did not guess it, whether or not it still works, so the charge never stays.
struct Unproven<'a> {
    gate: &'a Gate,
    policy: &'a Arc<Policy>,
    charged: Option<Charged>,
}

impl Drop for Unproven<'_> {
    fn drop(&mut self) {
        if let Some(charged) = self.charged.take() {
            self.gate.refund_later(self.policy, unverified(charged));
        }
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
