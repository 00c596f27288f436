//! A whole gate in memory: for a host's own tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe::Gate;
use vouchsafe::access_log::{AnySink, Record, RecordSink, VecSink, name};
use vouchsafe::core::{
    Identifier, Prefix, SecretString, Source, TenantId, Timestamp, Unavailable, UserId,
};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{
    Account, Accounts, Attempt, Call, GateBuilder, HostError, Issued, Login, Mail, Notify,
    OpenError, Policies, Purpose,
};
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::{HashPolicy, PoolConfig};
use vouchsafe::policy::Policy;
use vouchsafe::session::LinkOrigin;
use vouchsafe::store::{Cells, MemoryStore};

use crate::{ManualClock, block_on};

/// A gate over memory with a clock that a test moves, users it adds, and mail it reads.
///
/// Passwords are hashed with 8 KiB: worthless as protection, and quick.
#[derive(Clone)]
pub struct TestGate {
    /// The gate.
    pub gate: Gate,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// What it recorded.
    pub records: VecSink,
    /// Who can sign in.
    pub users: Users,
    /// The mail it sent.
    pub mail: Postbag,
}

/// Users in memory.
#[derive(Clone, Default)]
pub struct Users(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    names: BTreeMap<(TenantId, Identifier), UserId>,
    users: BTreeMap<(TenantId, UserId), Account>,
}

/// Mail in memory.
#[derive(Clone, Default)]
pub struct Postbag(Arc<Mutex<Vec<Mail>>>);

impl Users {
    /// Adds a user who answers to these names; the first has to be the mail address.
    ///
    /// # Panics
    /// When a name is not an identifier, or taken.
    pub fn add(&self, tenant: &TenantId, user: &str, class: &str, names: &[&str]) -> UserId {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = must(UserId::new(user));
        for name in names {
            let taken =
                rows.names.insert((tenant.clone(), must(Identifier::new(name))), id.clone());
            assert!(taken.is_none(), "{name} is taken");
        }
        let address = names.first().copied().unwrap_or_default();
        let account = Account::new(id.clone(), class, address);
        rows.users.insert((tenant.clone(), id.clone()), account);
        id
    }

    /// Changes what is said about a user.
    pub fn change(&self, tenant: &TenantId, user: &UserId, change: impl FnOnce(&mut Account)) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = rows.users.get_mut(&(tenant.clone(), user.clone())) {
            change(account);
        }
    }
}

impl Accounts for Users {
    async fn resolve(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Result<Option<Account>, HostError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let user = rows.names.get(&(tenant.clone(), identifier.clone()));
        Ok(user.and_then(|user| rows.users.get(&(tenant.clone(), user.clone())).cloned()))
    }

    async fn find(&self, tenant: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.users.get(&(tenant.clone(), user.clone())).cloned())
    }
}

impl Notify for Postbag {
    async fn send(&self, mail: Mail) -> Result<(), HostError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        Ok(())
    }
}

impl Postbag {
    /// Takes out what was sent since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The token of the last mail, which is taken out.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        let mail = self.take().pop()?;
        mail.link.expose().rsplit('/').next().map(str::to_owned)
    }
}

impl TestGate {
    /// A gate for the tenant `acme` under `policy`.
    ///
    /// # Panics
    /// When it does not open.
    #[must_use]
    pub fn open(policy: Policy) -> Self {
        let tenant = Self::tenant();
        must(block_on(Self::over((tenant, policy), MemoryStore::new(1 << 24), |gate| gate)))
    }

    /// A gate over any store, with other tenants, or with other parts.
    ///
    /// # Errors
    /// As [`GateBuilder::open`].
    pub async fn over(
        policies: impl Into<Policies>,
        store: impl Cells + 'static,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<Self, OpenError> {
        let records = VecSink::new(1 << 20);
        Self::recording(policies, store, records.clone(), records, more).await
    }

    /// As [`over`](Self::over), writing its records to `sink`, in front of `records`.
    ///
    /// # Errors
    /// As [`GateBuilder::open`].
    pub async fn recording(
        policies: impl Into<Policies>,
        store: impl Cells + 'static,
        sink: impl RecordSink + 'static,
        records: VecSink,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<Self, OpenError> {
        let clock = Arc::new(ManualClock::at(Self::start()));
        let (users, mail) = (Users::default(), Postbag::default());
        let builder = Gate::builder(policies)
            .store(store)
            .keys(must(Keyring::ephemeral(&SystemEntropy::new())))
            .records(AnySink::new(sink))
            .accounts(users.clone())
            .notify(mail.clone())
            .origin(must(LinkOrigin::new("https://portal.example")))
            .application(name!("test"))
            .danger_pool_below_policy(PoolConfig::new(must(HashPolicy::danger_below_floor(8, 1))))
            .clock(Arc::<ManualClock>::clone(&clock));
        let gate = more(builder).open().await?;
        Ok(Self { gate, clock, records, users, mail })
    }

    /// 2018-04-09, when one of the two source documents was last changed.
    #[must_use]
    pub const fn start() -> Timestamp {
        Timestamp::from_micros(1_523_232_000_000_000)
    }

    /// The tenant that [`open`](Self::open) serves.
    #[must_use]
    pub fn tenant() -> TenantId {
        must(TenantId::new("acme"))
    }

    /// A call from nowhere in particular.
    #[must_use]
    pub fn call() -> Call {
        Call::from(Source::Unavailable(Unavailable::Local))
    }

    /// A call from an address.
    ///
    /// # Panics
    /// When it is not one.
    #[must_use]
    pub fn call_from(address: &str) -> Call {
        let prefix: Prefix = must(address.parse());
        Call::from(Source::Direct(prefix.network().into()))
    }

    /// Adds a user of `acme` who has chosen `password`.
    ///
    /// # Panics
    /// When the policy refuses the password, or the name is taken.
    pub fn add(&self, name: &str, class: &str, password: &str) -> UserId {
        let user = self.users.add(&Self::tenant(), &format!("u-{name}"), class, &[name]);
        self.activate(&Self::tenant(), &user, password);
        user
    }

    /// Sends the user a link and sets `password` with it.
    ///
    /// # Panics
    /// When that is refused.
    pub fn activate(&self, tenant: &TenantId, user: &UserId, password: &str) {
        let call = Self::call();
        let operator = must(self.gate.operator(tenant, name!("test"), &call));
        must(block_on(operator.invite(user)));
        let mails = self.mail.take();
        assert_eq!(mails.len(), 1);
        for mail in mails {
            let token = mail.link.expose().rsplit('/').next().unwrap_or_default().to_owned();
            let redeem = self.gate.redeem(tenant, mail.purpose, &token, password.to_owned(), &call);
            must(block_on(redeem));
        }
    }

    /// An attempt to sign in at `acme`.
    ///
    /// # Panics
    /// When the name is not an identifier.
    #[must_use]
    pub fn attempt(name: &str) -> Attempt {
        Attempt::new(Self::tenant(), must(Identifier::new(name)), Self::call())
    }

    /// Tries to sign in at `acme`.
    pub async fn login(&self, name: &str, password: &str) -> Login {
        self.gate.login(&Self::attempt(name), SecretString::new(password.to_owned())).await
    }

    /// Signs in at `acme`.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn sign_in(&self, name: &str, password: &str) -> Issued {
        match block_on(self.login(name, password)) {
            Login::SignedIn(issued) => issued,
            other => must(Err(format!("{other:?}"))),
        }
    }

    /// Sends the user a link for `purpose` and gives its token.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn invite(&self, user: &UserId) -> (Purpose, String) {
        let call = Self::call();
        let operator = must(self.gate.operator(&Self::tenant(), name!("test"), &call));
        must(block_on(operator.invite(user)));
        let mail = must(self.mail.take().pop().ok_or("no mail"));
        let token = mail.link.expose().rsplit('/').next().unwrap_or_default().to_owned();
        (mail.purpose, token)
    }

    /// The records since the last time, taken out.
    #[must_use]
    pub fn recorded(&self) -> Vec<Record> {
        self.records.take()
    }
}

/// In a test, what fails ends it.
fn must<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    #[expect(clippy::panic, reason = "a test's own parts")]
    result.unwrap_or_else(|error| panic!("{error:?}"))
}
