//! Lifting one's own lockout: by a link, or with a new password.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Operation};
use vouchsafe_core::{AccountDigest, TenantId, UserId};
use vouchsafe_lockout::LockoutEvent;
use vouchsafe_policy::Policy;
use vouchsafe_session::{LinkEvent, LinkVerdict, Purpose};

use super::account::{AccountEvent, AccountVerdict};
use super::call::{Attempt, Call, Draft, user_target};
use super::{Code, Gate, Later, Refused};

impl Gate {
    /// Somebody whose account is locked asks for a link that unlocks it. The answer is the same
    /// whether the account exists, and is locked, or not. The mail is sent by the next
    /// [`upkeep`](Self::upkeep), to the account's address.
    ///
    /// # Errors
    /// [`Code::Throttled`], or that a part did not answer.
    pub async fn request_unlock(&self, attempt: &Attempt) -> Result<(), Refused> {
        self.request_link(attempt, Purpose::Unlock, Operation::UnlockRequested).await
    }

    /// Uses an unlock link up and takes back every failure of its account. The password stays, and
    /// nobody is signed in.
    ///
    /// # Errors
    /// [`Code::NoLink`], alike for every link that does not work; or that a part did not answer.
    pub async fn unlock(
        &self,
        tenant: &TenantId,
        text: &str,
        call: &Call,
    ) -> Result<UserId, Refused> {
        let policy = self.policy(tenant)?;
        let (found, draft, mut underway) =
            self.take_link(&policy, tenant, Purpose::Unlock, text, call).await?;
        let (account, user) = (found.link.account, found.account.user.clone());
        let draft = Draft {
            actor: Actor::User(user.clone()),
            target: user_target(&user),
            operation: Operation::Unlocked,
            ..draft
        };
        let event = || {
            let address = self.address(tenant, &found.account)?;
            let id = self.fresh_number(&policy)?;
            Ok(AccountEvent::Use(LinkEvent::Redeem { link: found.link, address, id }))
        };
        let event = self.or_refuse(&draft, event()).await;
        // It is recorded, or changes nothing before it is.
        underway.end();
        let event = event?;
        self.recorded(&draft, async {
            let unlocking = self.unlocking(&policy, account)?;
            let used = self.account(&policy, account, event).await;
            if let Ok(AccountVerdict::Link(LinkVerdict::Redeemed)) = used {
                unlocking.now().await;
                return Ok(());
            }
            unlocking.never();
            used.and(Err(Refused::new(Code::NoLink, policy.digest())))
        })
        .await?;
        Ok(user)
    }

    /// What an owner who has shown a link is about to have: every failure of the account taken back.
    pub(super) fn unlocking<'a>(
        &'a self,
        policy: &'a Arc<Policy>,
        account: AccountDigest,
    ) -> Result<Surely<'a>, Refused> {
        let event = LockoutEvent::Unlock { account, id: self.fresh_id(policy)? };
        Ok(self.surely(policy, event))
    }

    pub(super) const fn surely<'a>(
        &'a self,
        policy: &'a Arc<Policy>,
        event: LockoutEvent,
    ) -> Surely<'a> {
        Surely { gate: self, policy, event: Some(event) }
    }
}

/// What an account's counter is to be told: when it is said, or by the upkeep when the store does not
/// answer then, or when nobody waits for it any more.
#[must_use = "dropped, it is left for the upkeep"]
pub(super) struct Surely<'a> {
    gate: &'a Gate,
    policy: &'a Arc<Policy>,
    event: Option<LockoutEvent>,
}

impl Surely<'_> {
    pub(super) async fn now(mut self) {
        let Some(event) = self.event.as_ref().and_then(LockoutEvent::again) else { return };
        if self.gate.settle(self.policy, event.account(), event).await.is_ok() {
            self.event = None;
        }
    }

    /// There is no reason for it.
    pub(super) fn never(mut self) {
        self.event = None;
    }
}

impl Drop for Surely<'_> {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.gate.inner.leave(Later::Settle { policy: Arc::clone(self.policy), event });
        }
    }
}
