//! Setting a password: the rule, the hash, and the one swap that ends what the old one let in.

use std::sync::Arc;

use vouchsafe_access_log::{Name, Outcome, name};
use vouchsafe_core::{SecretString, TenantId};
use vouchsafe_password::{
    Accepted, Attributes, Binding, CredentialEvent, CredentialVerdict, NewRecord,
    NotVerifiedReason, OwnerPresent, Password, PasswordError, PasswordPolicy, Record, Unmet,
};
use vouchsafe_policy::{ClassPolicy, Policy};
use vouchsafe_session::SessionEvent;

use super::account::{AccountEvent, AccountVerdict};
use super::call::Draft;
use super::column::Stand;
use super::{Account, Code, Gate, NotSet, Refused};

/// The record's reason when a right password is due for a change.
pub(super) const DUE: Name = name!("password.due");
/// The record's reason when a new password fails the rule.
const UNMET: Name = name!("password.unmet");

/// What a user's password must not be made of.
pub(super) fn attributes(tenant: &TenantId, found: Option<&Account>) -> Attributes {
    let mut attributes = Attributes::none().with(tenant.as_str());
    if let Some(account) = found {
        attributes = attributes.with(account.user.as_str()).with(&account.address);
        for word in &account.attributes {
            attributes = attributes.with(word);
        }
    }
    attributes
}

impl Gate {
    /// Which rules `password` fails for this user of `tenant`: for a form that ticks them off.
    ///
    /// # Errors
    /// [`Code::WrongTenant`], or [`Code::NoUser`] for a class that the policy does not have.
    pub async fn unmet(
        &self,
        tenant: &TenantId,
        user: &Account,
        password: &Password,
    ) -> Result<Vec<Unmet>, Refused> {
        let policy = self.policy(tenant)?;
        let class = class_of(&policy, user)?;
        let attributes = attributes(tenant, Some(user));
        let meets = self.meets(class.password(), password, &attributes).await;
        Ok(meets.err().unwrap_or_default())
    }

    /// Checks a password against a rule, with the gate's list of breached ones, which may be on a disk:
    /// it is asked on a thread of the hash pool.
    pub(super) async fn meets(
        &self,
        rule: &PasswordPolicy,
        password: &Password,
        attributes: &Attributes,
    ) -> Result<Accepted, Vec<Unmet>> {
        match &self.inner.breached {
            Some(list) => self.inner.pool.check(rule, password, attributes, Arc::clone(list)).await,
            None => rule.check(password, attributes),
        }
    }

    /// Checks a new password against the rule and hashes it.
    pub(super) async fn hash(
        &self,
        policy: &Arc<Policy>,
        draft: &Draft,
        user: &Account,
        owner: OwnerPresent,
        previous: Option<&Record>,
        new: SecretString,
    ) -> Result<NewRecord, NotSet> {
        let attributes = attributes(&draft.tenant, Some(user));
        let class = self.or_refuse(draft, class_of(policy, user)).await?;
        let accepted = match Password::new(new) {
            Ok(new) => self.meets(class.password(), &new, &attributes).await,
            Err(_) => Err(vec![Unmet::TooLong(class.password().max_length())]),
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(unmet) => return Err(self.unmet_by(draft, unmet).await),
        };
        let binding = Binding::new(&draft.tenant, &user.user);
        match self.inner.pool.replace(accepted, owner, binding, previous.cloned()).await {
            Ok(record) => Ok(record),
            Err(PasswordError::Reused) => Err(self.unmet_by(draft, vec![Unmet::Reused]).await),
            Err(error) => {
                let code = match error {
                    PasswordError::NotHashed(NotVerifiedReason::NoPepper) => Code::Unavailable,
                    PasswordError::NotHashed(_) => Code::Busy,
                    PasswordError::PreviousCosts { .. }
                    | PasswordError::PreviousKey
                    | PasswordError::PreviousTampered => Code::Corrupt,
                    _ => Code::Unavailable,
                };
                let refusal = Refused::new(code, policy.digest());
                Err(NotSet::Refused(self.refuse(draft, refusal).await))
            }
        }
    }

    async fn unmet_by(&self, draft: &Draft, unmet: Vec<Unmet>) -> NotSet {
        match self.record(draft, Outcome::Refused(UNMET)).await {
            Ok(_) => NotSet::Unmet(unmet),
            Err(refused) => refused.into(),
        }
    }

    /// Sets a hashed password and ends every session; with `reopen`, opens one for its owner.
    pub(super) async fn set_password(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        user: &Account,
        stand: &Stand,
        record: NewRecord,
        reopen: Option<SessionEvent>,
    ) -> Result<AccountVerdict, Refused> {
        let account = self.account_of(tenant, &user.user);
        let set = CredentialEvent::Set { expect: stand.generation, record };
        let set = self.setting(account, stand.seen, set);
        let event = AccountEvent::SetPassword { set, reopen };
        match self.account(policy, account, event).await? {
            verdict @ AccountVerdict::Set { .. } => {
                self.put_in_column(policy, tenant, account, user, stand).await?;
                Ok(verdict)
            }
            AccountVerdict::Credential(CredentialVerdict::Superseded { .. }) => {
                Err(Refused::new(Code::Raced, policy.digest()))
            }
            _ => Err(Refused::new(Code::NoUser, policy.digest())),
        }
    }
}

pub(super) fn class_of<'a>(policy: &'a Policy, user: &Account) -> Result<&'a ClassPolicy, Refused> {
    policy.class(&user.class).map_err(|_| Refused::new(Code::NoUser, policy.digest()))
}
