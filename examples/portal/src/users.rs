//! The tenants' people. Names, addresses and rights are sealed; sign-in finds them by keyed digest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use vouchsafe::core::{Entropy, IdError, Identifier, TenantId, UserId};
use vouchsafe::crypto::{MacKey, SystemEntropy};
use vouchsafe::envelope::{Envelope, EnvelopeError, Fields, Keyring};
use vouchsafe::gate::{Account, Accounts, HostError};

use crate::database::Database;

/// One of a tenant's people.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Random, and never given to anybody else.
    pub id: UserId,
    /// The mail address, as it was typed.
    pub email: String,
    /// The user name, as it was typed.
    pub name: String,
    /// The user class, by its name in the policy.
    pub class: String,
    /// What the person may do here.
    pub role: Role,
    /// Whether an administrator has barred the person.
    pub disabled: bool,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Edits campaigns.
    Member,
    /// Invites, unlocks and bars people, and reads the log, too.
    Administrator,
}

impl Role {
    /// Its name, in forms and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Administrator => "administrator",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Member, Self::Administrator].into_iter().find(|role| role.as_str() == name)
    }
}

/// Why somebody is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// Not a mail address.
    #[error("this is not a mail address")]
    Address,
    /// Not a user name.
    #[error("a user name cannot be this: {0}")]
    Name(IdError),
    /// Somebody else of the tenant has the address or the name.
    #[error("somebody already has this mail address or user name")]
    Taken,
    /// The database refused.
    #[error("the portal's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A row does not open under the tenant's key.
    #[error("a user's row does not read: {0}")]
    Sealed(#[from] EnvelopeError),
    /// A row opens and makes no sense.
    #[error("a user's row is malformed")]
    Malformed,
    /// The tenant is not served.
    #[error("there is no such tenant")]
    NoTenant,
}

/// Everybody, by tenant. Cloning shares it.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    database: Database,
    digests: MacKey,
    fields: BTreeMap<TenantId, Fields>,
    /// Accounts that probes sign in with: of this process only, and in no list.
    probes: Mutex<BTreeMap<(TenantId, UserId), Account>>,
}

impl Users {
    /// Everybody in `database`.
    ///
    /// # Errors
    /// When the keyring has no key for a tenant.
    pub fn new(
        database: Database,
        keyring: &Arc<Keyring>,
        tenants: &[TenantId],
    ) -> Result<Self, EnvelopeError> {
        let envelope = Envelope::new(Arc::clone(keyring));
        let fields = tenants.iter().map(|tenant| {
            Ok::<_, EnvelopeError>((tenant.clone(), envelope.fields(tenant, "user", "row", "")?))
        });
        let (digests, fields) = (keyring.digest_key(), fields.collect::<Result<_, _>>()?);
        Ok(Self(Arc::new(Inner { database, digests, fields, probes: Mutex::default() })))
    }

    /// Somebody new, under a fresh id, who is kept nowhere yet.
    ///
    /// # Errors
    /// [`UsersError::Address`], [`UsersError::Name`].
    pub fn draft(
        &self,
        email: &str,
        name: &str,
        class: &str,
        role: Role,
    ) -> Result<Person, UsersError> {
        let (email, name) = (email.trim().to_owned(), name.trim().to_owned());
        identifiers(&email, &name)?;
        let class = class.to_owned();
        Ok(Person { id: fresh_id()?, email, name, class, role, disabled: false })
    }

    /// Whether nobody has the person's names yet.
    ///
    /// # Errors
    /// [`UsersError`]: above all [`UsersError::Taken`].
    pub fn is_free(&self, tenant: &TenantId, person: &Person) -> Result<(), UsersError> {
        let connection = self.0.database.lock();
        for identifier in identifiers(&person.email, &person.name)? {
            if self.owner(&connection, tenant, &identifier)?.is_some() {
                return Err(UsersError::Taken);
            }
        }
        Ok(())
    }

    /// Keeps somebody new.
    ///
    /// # Errors
    /// [`UsersError`]: above all [`UsersError::Taken`].
    pub fn keep(&self, tenant: &TenantId, person: &Person) -> Result<(), UsersError> {
        let names = identifiers(&person.email, &person.name)?;
        let sealed = self.seal(tenant, person)?;
        let mut connection = self.0.database.lock();
        let transaction = connection.transaction()?;
        for identifier in &names {
            match self.owner(&transaction, tenant, identifier)? {
                // The same text as address and as name of one person is one name.
                Some(user) if user == person.id.as_str() => {}
                Some(_) => return Err(UsersError::Taken),
                None => {
                    let digest = self.digest(tenant, identifier);
                    let values = params![tenant.as_str(), digest, person.id.as_str()];
                    transaction.execute("INSERT INTO name VALUES (?1, ?2, ?3)", values)?;
                }
            }
        }
        let values = params![tenant.as_str(), person.id.as_str(), sealed];
        transaction.execute("INSERT INTO user VALUES (?1, ?2, ?3)", values)?;
        transaction.commit()?;
        Ok(())
    }

    /// Whose name this is.
    fn owner(
        &self,
        connection: &Connection,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Result<Option<String>, rusqlite::Error> {
        connection
            .prepare_cached("SELECT user FROM name WHERE tenant = ?1 AND digest = ?2")?
            .query_row(params![tenant.as_str(), self.digest(tenant, identifier)], |row| row.get(0))
            .optional()
    }

    /// Writes down whether somebody is barred.
    ///
    /// # Errors
    /// [`UsersError`].
    pub fn set_disabled(
        &self,
        tenant: &TenantId,
        user: &UserId,
        to: bool,
    ) -> Result<(), UsersError> {
        let Some(mut person) = self.person(tenant, user)? else { return Ok(()) };
        person.disabled = to;
        let sealed = self.seal(tenant, &person)?;
        self.0.database.lock().execute(
            "UPDATE user SET sealed = ?3 WHERE tenant = ?1 AND id = ?2",
            params![tenant.as_str(), user.as_str(), sealed],
        )?;
        Ok(())
    }

    /// The person with this id.
    ///
    /// # Errors
    /// [`UsersError`].
    pub fn person(&self, tenant: &TenantId, user: &UserId) -> Result<Option<Person>, UsersError> {
        let sealed: Option<Vec<u8>> = self
            .0
            .database
            .lock()
            .prepare_cached("SELECT sealed FROM user WHERE tenant = ?1 AND id = ?2")?
            .query_row(params![tenant.as_str(), user.as_str()], |row| row.get(0))
            .optional()?;
        sealed.map(|sealed| self.open(tenant, user, &sealed)).transpose()
    }

    /// Everybody of a tenant, by name.
    ///
    /// # Errors
    /// [`UsersError`].
    pub fn list(&self, tenant: &TenantId) -> Result<Vec<Person>, UsersError> {
        let rows = {
            let connection = self.0.database.lock();
            let mut select =
                connection.prepare_cached("SELECT id, sealed FROM user WHERE tenant = ?1")?;
            let rows = select.query_map([tenant.as_str()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        let open = |(id, sealed): (String, Vec<u8>)| {
            let id = UserId::new(&id).map_err(|_| UsersError::Malformed)?;
            self.open(tenant, &id, &sealed)
        };
        let mut people = rows.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        people.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(people)
    }

    /// Lets a probe sign in under a name of its own, as somebody of this class.
    ///
    /// # Errors
    /// [`UsersError`] without fresh bytes.
    pub fn add_probe(&self, tenant: &TenantId, class: &str) -> Result<UserId, UsersError> {
        let id = fresh_id()?;
        let address = format!("{}@probe.invalid", id.as_str());
        let account = Account::new(id.clone(), class, address);
        self.probes().insert((tenant.clone(), id.clone()), account);
        Ok(id)
    }

    /// Ends what [`add_probe`](Self::add_probe) began.
    pub fn remove_probe(&self, tenant: &TenantId, user: &UserId) {
        self.probes().remove(&(tenant.clone(), user.clone()));
    }

    fn probes(&self) -> MutexGuard<'_, BTreeMap<(TenantId, UserId), Account>> {
        self.0.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, tenant: &TenantId, identifier: &Identifier) -> [u8; 32] {
        let parts = [tenant.as_str().as_bytes(), identifier.as_str().as_bytes()];
        self.0.digests.mac("portal name", &parts)
    }

    fn fields(&self, tenant: &TenantId) -> Result<&Fields, UsersError> {
        self.0.fields.get(tenant).ok_or(UsersError::NoTenant)
    }

    fn seal(&self, tenant: &TenantId, person: &Person) -> Result<Vec<u8>, UsersError> {
        let barred = if person.disabled { "disabled" } else { "enabled" };
        let lines = [&person.email, &person.name, &person.class, person.role.as_str(), barred];
        let fields = self.fields(tenant)?;
        Ok(fields.seal(person.id.as_str().as_bytes(), lines.join("\n").as_bytes())?)
    }

    fn open(&self, tenant: &TenantId, id: &UserId, sealed: &[u8]) -> Result<Person, UsersError> {
        let row = self.fields(tenant)?.open(id.as_str().as_bytes(), sealed)?;
        let row = String::from_utf8(row).map_err(|_| UsersError::Malformed)?;
        let lines: Vec<&str> = row.split('\n').collect();
        let &[email, name, class, role, barred] = lines.as_slice() else {
            return Err(UsersError::Malformed);
        };
        Ok(Person {
            id: id.clone(),
            email: email.to_owned(),
            name: name.to_owned(),
            class: class.to_owned(),
            role: Role::from_name(role).ok_or(UsersError::Malformed)?,
            disabled: barred == "disabled",
        })
    }
}

impl Person {
    fn account(self) -> Account {
        Account::new(self.id, self.class, self.email).with_attributes([self.name])
    }
}

impl Accounts for Users {
    async fn resolve(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Result<Option<Account>, HostError> {
        let by_probe = |((of, _), account): (&(TenantId, UserId), &Account)| {
            (of == tenant && account.address == identifier.as_str()).then(|| account.clone())
        };
        let probe = self.probes().iter().find_map(by_probe);
        if probe.is_some() {
            return Ok(probe);
        }
        let owner = self.owner(&self.0.database.lock(), tenant, identifier);
        match owner.map_err(HostError::new)? {
            Some(user) => {
                let user = UserId::new(&user).map_err(HostError::new)?;
                self.find(tenant, &user).await
            }
            None => Ok(None),
        }
    }

    async fn find(&self, tenant: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        if let Some(probe) = self.probes().get(&(tenant.clone(), user.clone())) {
            return Ok(Some(probe.clone()));
        }
        let person = self.person(tenant, user).map_err(HostError::new)?;
        Ok(person.map(Person::account))
    }
}

fn identifiers(email: &str, name: &str) -> Result<[Identifier; 2], UsersError> {
    Ok([address(email)?, Identifier::new(name).map_err(UsersError::Name)?])
}

fn address(email: &str) -> Result<Identifier, UsersError> {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != ',' && c != ';';
    let parts = email.split_once('@').filter(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains('@')
    });
    if parts.is_none() || !email.chars().all(plain) {
        return Err(UsersError::Address);
    }
    Identifier::new(email).map_err(|_| UsersError::Address)
}

/// 128 random bits as text.
pub(crate) fn fresh_text() -> Result<String, vouchsafe::core::NoEntropy> {
    let bytes: [u8; 16] = SystemEntropy::new().bytes()?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn fresh_id() -> Result<UserId, UsersError> {
    let text = fresh_text().map_err(EnvelopeError::from)?;
    UserId::new(&text).map_err(|_| UsersError::Malformed)
}
