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

/// The host's own column of passwords: a text beside each user, 1 024 bytes wide, which the host
/// reads and changes with its own SQL. It may hold hashes by other software from before
/// ([`vouchsafe_password::formats`] says which); each becomes one of ours when its owner signs in.
///
/// ```sql
/// SELECT password_hash FROM users WHERE tenant = ?1 AND id = ?2;
/// UPDATE users SET password_hash = ?4
///     WHERE tenant = ?1 AND id = ?2 AND password_hash IS ?3;   -- IS NOT DISTINCT FROM, elsewhere
/// ```
///
/// What the host writes there itself wins. It is noticed when somebody next signs in, changes a
/// password, asks for a link or uses one: then sessions and links from before are void. So they are
/// when the column is emptied: it holds `NULL`, an empty text, or Django's `!` and noise. Checking a
/// session does not look, so a host that sets a password or takes one away also calls
/// [`Acting::end_sessions`](super::Acting::end_sessions).
///
/// A text from before the present password, of the last 64 that the gate saw, is not believed when it
/// comes back; a host that puts its table back from a copy sends those whose passwords changed since a
/// link. For the same reason both calls go where the last write is seen, and to no replica that lags.
/// An older hash of the present password is written over with the newer one. Its hash sealed anew
/// ([`Peppers::rotate`](vouchsafe_password::Peppers::rotate)) is no other password, and ends nothing.
///
/// Where the *store* is put back from a copy ([`GateBuilder::after_restore`]), it has forgotten which
/// texts were replaced since. So whatever the column holds for somebody whose password changed since is
/// not believed until a link sets one, also when the host writes it after the restore.
///
/// [`GateBuilder::after_restore`]: super::GateBuilder::after_restore
///
/// A text that cannot be read, or that was sealed with a pepper for somebody else or changed since, changes
/// nothing and lets nobody in: every password is answered with [`Code::Corrupt`](super::Code::Corrupt),
/// which is recorded and counts on nobody. A link, or the host, puts it right.
///
/// Each call is given five seconds. Without an answer nobody is let in or refused for a wrong
/// password; a password that was set is in force all the same, and is written later.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say where passwords are",
    note = "implement `Credentials` for it, over your own column; without one, they are in the store"
)]
pub trait Credentials: Send + Sync {
    /// What the column holds for this user; `None` for SQL's `NULL`, or no such user.
    ///
    /// A name that nobody has is asked for as well, so that it costs the same and fails with the others:
    /// by the id of whoever was looked up first, or before that by `vouchsafe-nobody`. No user may have
    /// that id. Where yours have a form of their own, answer `None` to any other.
    ///
    /// # Errors
    /// [`HostError`] when the host cannot say.
    fn load(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> impl Future<Output = Result<Option<String>, HostError>> + Send;

    /// Where the column still holds `expected`, to the letter, it holds `new` from now on, durably.
    ///
    /// # Errors
    /// [`HostError`] when the host cannot say whether it does.
    fn swap(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> impl Future<Output = Result<Swapped, HostError>> + Send;
}

/// What became of a [`Credentials::swap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The new text is there.
    Done,
    /// Something else than what was expected is there, and stays.
    Superseded,
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

trait DynCredentials: Send + Sync {
    fn load<'a>(&'a self, tenant: &'a TenantId, user: &'a UserId) -> Boxed<'a, Option<String>>;
    fn swap<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        expected: Option<&'a str>,
        new: &'a str,
    ) -> Boxed<'a, Swapped>;
}

impl<C: Credentials> DynCredentials for C {
    fn load<'a>(&'a self, tenant: &'a TenantId, user: &'a UserId) -> Boxed<'a, Option<String>> {
        Box::pin(Credentials::load(self, tenant, user))
    }

    fn swap<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        expected: Option<&'a str>,
        new: &'a str,
    ) -> Boxed<'a, Swapped> {
        Box::pin(Credentials::swap(self, tenant, user, expected, new))
    }
}

/// Any [`Credentials`], boxed once.
#[derive(Clone)]
pub(crate) struct AnyCredentials(Arc<dyn DynCredentials>);

impl AnyCredentials {
    pub(crate) fn new(credentials: impl Credentials + 'static) -> Self {
        Self(Arc::new(credentials))
    }

    pub(crate) async fn load(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<String>, HostError> {
        self.0.load(tenant, user).await
    }

    pub(crate) async fn swap(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        self.0.swap(tenant, user, expected, new).await
    }
}

impl<C: Credentials> Credentials for Arc<C> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Option<String>, HostError> {
        (**self).load(tenant, user).await
    }

    async fn swap(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        (**self).swap(tenant, user, expected, new).await
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
