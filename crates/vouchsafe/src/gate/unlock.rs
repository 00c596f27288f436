//! Lifting one's own lockout: by a link, or with a new password.

use std::sync::Arc;

use vouchsafe_access_log::{Actor, Operation};
use vouchsafe_core::{AccountDigest, TenantId, UserId};
use vouchsafe_lockout::LockoutEvent;
use vouchsafe_policy::Policy;
use vouchsafe_session::{LinkEvent, LinkVerdict, Purpose};

use super::account::{AccountEvent, AccountVerdict};
use super::call::{Attempt, Call, Draft, user_target};
use super::{Code, Gate, Refused};

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
            match self.account(&policy, account, event).await? {
                AccountVerdict::Link(LinkVerdict::Redeemed) => {
                    self.forgive(&policy, account).await;
                    Ok(())
                }
                _ => Err(Refused::new(Code::NoLink, policy.digest())),
            }
        })
        .await?;
        Ok(user)
    }

    /// Takes back every failure of an account whose owner has shown a link: now, or as soon as the
    /// store answers again.
    pub(super) async fn forgive(&self, policy: &Arc<Policy>, account: AccountDigest) {
        let Ok(id) = self.fresh_id(policy) else { return };
        let _ = self.surely(policy, account, || LockoutEvent::Unlock { account, id }).await;
    }
}
