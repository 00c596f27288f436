//! What the host brings: who its users are, and how mail is sent.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use vouchsafe_core::{Identifier, SecretString, TenantId, Timestamp, UserId};

/// The host's users: who answers to a name.
///
/// Both calls do the same work whether somebody is found or not, as far as the host can help it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who the users are",
    note = "implement `Accounts` for it, over your own table of users"
)]
pub trait Accounts: Send + Sync {
    /// The user of `tenant` who answers to `identifier`, which is in canonical form.
    ///
    /// # Errors
    /// [`HostError`] when the host cannot say.
    fn resolve(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> impl Future<Output = Result<Option<Account>, HostError>> + Send;

    /// The user of `tenant` with this id.
    ///
    /// # Errors
    /// [`HostError`] when the host cannot say.
    fn find(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> impl Future<Output = Result<Option<Account>, HostError>> + Send;
}

/// One of the host's users.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's id: never given to anybody else.
    pub user: UserId,
    /// The user class, by its name in the policy.
    pub class: String,
    /// Where mail for this user goes.
    pub address: String,
    /// What a password must not be made of: names, the address, the site's own words.
    pub attributes: Vec<String>,
}

impl Account {
    /// A user with this id, class and mail address.
    #[must_use]
    pub fn new(user: UserId, class: impl Into<String>, address: impl Into<String>) -> Self {
        Self { user, class: class.into(), address: address.into(), attributes: Vec::new() }
    }

    /// Adds words that the user's password must not be made of.
    #[must_use]
    pub fn with_attributes(mut self, attributes: impl IntoIterator<Item = String>) -> Self {
        self.attributes.extend(attributes);
        self
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("class", &self.class).finish_non_exhaustive()
    }
}

/// The host's own part did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the host did not answer: {0}")]
pub struct HostError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl HostError {
    /// Wraps the host's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// A message with a one-time link, to be sent to one address.
#[non_exhaustive]
pub struct Mail {
    /// The tenant it is sent for.
    pub tenant: TenantId,
    /// Where it goes.
    pub to: String,
    /// What the link is for.
    pub purpose: Purpose,
    /// The whole link. Whoever reads it can use it.
    pub link: SecretString,
    /// When the link stops working.
    pub expires: Timestamp,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

pub use vouchsafe_session::Purpose;

/// How mail is sent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` sends no mail",
    note = "take an `Outbox`, or implement `Notify` over your own mailer"
)]
pub trait Notify: Send + Sync {
    /// Hands the message over; done when the transport has taken it.
    ///
    /// # Errors
    /// [`HostError`] when it was not taken.
    fn send(&self, mail: Mail) -> impl Future<Output = Result<(), HostError>> + Send;
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, HostError>> + Send + 'a>>;

trait DynAccounts: Send + Sync {
    fn resolve<'a>(
        &'a self,
        tenant: &'a TenantId,
        identifier: &'a Identifier,
    ) -> Boxed<'a, Option<Account>>;
    fn find<'a>(&'a self, tenant: &'a TenantId, user: &'a UserId) -> Boxed<'a, Option<Account>>;
}

impl<A: Accounts> DynAccounts for A {
    fn resolve<'a>(
        &'a self,
        tenant: &'a TenantId,
        identifier: &'a Identifier,
    ) -> Boxed<'a, Option<Account>> {
        Box::pin(Accounts::resolve(self, tenant, identifier))
    }

    fn find<'a>(&'a self, tenant: &'a TenantId, user: &'a UserId) -> Boxed<'a, Option<Account>> {
        Box::pin(Accounts::find(self, tenant, user))
    }
}

/// Any [`Accounts`], boxed once.
#[derive(Clone)]
pub(crate) struct AnyAccounts(Arc<dyn DynAccounts>);

impl AnyAccounts {
    pub(crate) fn new(accounts: impl Accounts + 'static) -> Self {
        Self(Arc::new(accounts))
    }

    pub(crate) async fn resolve(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Result<Option<Account>, HostError> {
        self.0.resolve(tenant, identifier).await
    }

    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<Account>, HostError> {
        self.0.find(tenant, user).await
    }
}

trait DynNotify: Send + Sync {
    fn send(&self, mail: Mail) -> Boxed<'_, ()>;
}

impl<N: Notify> DynNotify for N {
    fn send(&self, mail: Mail) -> Boxed<'_, ()> {
        Box::pin(Notify::send(self, mail))
    }
}

/// Any [`Notify`], boxed once.
#[derive(Clone)]
pub(crate) struct AnyNotify(Arc<dyn DynNotify>);

impl AnyNotify {
    pub(crate) fn new(notify: impl Notify + 'static) -> Self {
        Self(Arc::new(notify))
    }

    pub(crate) async fn send(&self, mail: Mail) -> Result<(), HostError> {
        self.0.send(mail).await
    }
}

impl<A: Accounts> Accounts for Arc<A> {
    async fn resolve(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Result<Option<Account>, HostError> {
        (**self).resolve(tenant, identifier).await
    }

    async fn find(&self, tenant: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        (**self).find(tenant, user).await
    }
}

impl<N: Notify> Notify for Arc<N> {
    async fn send(&self, mail: Mail) -> Result<(), HostError> {
        (**self).send(mail).await
    }
}
