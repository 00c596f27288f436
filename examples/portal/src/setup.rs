//! What is made, read and checked on a start.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vouchsafe::access_log::name;
use vouchsafe::core::{Clock, SecretString, Source, TenantId, Timestamp, Unavailable};
use vouchsafe::crypto::SystemEntropy;
use vouchsafe::envelope::{AtRest, Cost, EnvelopeError, Exposure, Keyring, Unlock};
use vouchsafe::gate::{Call, Gate, OpenError, Outbox, Refused};
use vouchsafe::ledger::{
    AeadSealer, Checkpoint, Identity, Ledger, LedgerError, LedgerOptions, Origin,
};
use vouchsafe::policy::{Policy, PolicyError};
use vouchsafe::session::LinkOrigin;
use vouchsafe::store_sqlite::{SqliteError, SqliteStore};

use crate::campaigns::Campaigns;
use crate::database::{Database, DatabaseError};
use crate::probes::Findings;
use crate::users::{Role, Users, UsersError};

/// The tenants, and the source document of each.
pub const TENANTS: [(&str, &str); 2] = [("amigo", "amigo"), ("zoomph", "zoomph-2018")];
/// The name of the last head of the log, noted outside the log.
const HEAD: &str = "ledger head";
/// The name of what says that the first link was printed.
const SET_UP: &str = "set up";

/// What a start needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where everything is kept.
    pub data: PathBuf,
    /// The file with the secret that opens the keys.
    pub secret: PathBuf,
    /// Policies that replace the built-in ones.
    pub policy_dir: Option<PathBuf>,
    /// The loopback address that it is served on: where links lead.
    pub listen: SocketAddr,
}

/// Why the portal does not start. Nothing is served then, and nothing that is kept was changed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The operating system refused.
    #[error("{what} {path}: {source}", path = .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The data folder is there, and its keys are not.
    #[error("{path} is missing, and {data} is not empty: without its keys nothing in it opens",
        path = .path.display(), data = .data.display())]
    NoKeys {
        /// Where the keys should be.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// A policy does not read.
    #[error("the policy of tenant {tenant}: {error}")]
    Policy {
        /// Which tenant.
        tenant: &'static str,
        /// Each problem, with its line.
        error: Box<PolicyError>,
    },
    /// The keys do not open.
    #[error("{0}")]
    Keys(#[from] EnvelopeError),
    /// The portal's database.
    #[error("{0}")]
    Database(#[from] DatabaseError),
    /// The portal's database.
    #[error("the portal's database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The gate's store.
    #[error("{0}")]
    Store(#[from] SqliteError),
    /// The access log.
    #[error("the access log: {0}")]
    Ledger(#[from] LedgerError),
    /// The gate.
    #[error("{0}")]
    Gate(#[from] OpenError),
    /// The first administrators.
    #[error("{0}")]
    Users(#[from] UsersError),
    /// The first administrators.
    #[error("the first administrator cannot be invited: {}", .0.code())]
    Invitation(#[from] Refused),
    /// The address cannot be served on.
    #[error("{0}")]
    Origin(#[from] vouchsafe::session::Error),
    /// A name that the program itself chose.
    #[error("{0}")]
    Id(#[from] vouchsafe::core::IdError),
}

/// The running portal. Cloning shares it.
#[derive(Clone)]
pub struct Portal(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) gate: Gate,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) documents: BTreeMap<TenantId, Policy>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) database: Database,
    pub(crate) users: Users,
    pub(crate) campaigns: Campaigns,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folders: Folders,
    pub(crate) findings: Findings,
    pub(crate) listen: SocketAddr,
    /// Held while somebody is disabled.
    pub(crate) disabling: tokio::sync::Mutex<()>,
    first_link: Mutex<Option<SecretString>>,
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Everything.
    pub data: PathBuf,
    /// The access log.
    pub log: PathBuf,
    /// Mails, which hold links: outside of what is encrypted at rest.
    pub outbox: PathBuf,
    /// The gate's cells.
    pub cells: PathBuf,
}

impl Folders {
    fn below(data: &Path) -> Self {
        let at = |name: &str| data.join(name);
        Self { data: data.to_owned(), log: at("log"), outbox: at("outbox"), cells: at("gate.db") }
    }
}

impl Portal {
    /// Opens the portal over its data folder, which is made on the first start.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn open(setup: Setup, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        // Before anything is made: a typing error in a policy should leave nothing behind.
        let documents = documents(setup.policy_dir.as_deref())?;
        let tenants: Vec<TenantId> = documents.keys().cloned().collect();
        let origin = LinkOrigin::new(&format!("http://{}", setup.listen))?;
        let folders = Folders::below(&setup.data);
        let keyring = Arc::new(keys(&setup)?);
        for tenant in &tenants {
            keyring.add_tenant(tenant, clock.now(), &SystemEntropy::new())?;
        }
        let database = Database::open(&setup.data.join("portal.db"))?;
        let users = Users::new(database.clone(), &keyring, &tenants)?;
        let campaigns = Campaigns::new(database.clone(), &keyring, &tenants)?;
        // One machine, which may be busy: rather late than refused.
        let cells = SqliteStore::builder(&folders.cells).deadline(Duration::from_secs(2));
        let store = Arc::new(cells.open()?);
        let ledger = Arc::new(open_ledger(&folders.log, &keyring, &database, clock.now())?);
        let outbox = Outbox::open(&folders.outbox, "portal@localhost")
            .map_err(file("make", &folders.outbox))?
            .with_clock(Arc::clone(&clock));
        let policies: vouchsafe::gate::Policies =
            documents.iter().map(|(tenant, policy)| (tenant.clone(), policy.clone())).collect();
        let mut gate = Gate::builder(policies)
            .store(Arc::clone(&store))
            .keys(Arc::clone(&keyring))
            .records(Arc::clone(&ledger))
            .accounts(users.clone())
            .notify(outbox)
            .origin(origin)
            .application(name!("portal"))
            .clock(Arc::clone(&clock));
        for (tenant, source) in sources()? {
            gate = gate.contract(tenant, source);
        }
        let portal = Self(Arc::new(Parts {
            gate: gate.open().await?,
            ledger,
            store,
            documents,
            keyring,
            database,
            users,
            campaigns,
            clock,
            folders,
            findings: Findings::default(),
            listen: setup.listen,
            disabling: tokio::sync::Mutex::new(()),
            first_link: Mutex::new(None),
        }));
        portal.first_people().await?;
        portal.note_head()?;
        Ok(portal)
    }

    /// Makes an administrator for each tenant that has nobody: the first tenant's link is printed,
    /// the others' are mailed.
    async fn first_people(&self) -> Result<(), SetupError> {
        let parts = &*self.0;
        if parts.database.noted(SET_UP)?.is_some() {
            return Ok(());
        }
        let call = Call::from(Source::Unavailable(Unavailable::Local));
        for (at, (tenant, policy)) in parts.documents.iter().enumerate() {
            let person = match parts.users.list(tenant)?.into_iter().next() {
                Some(person) => person,
                None => {
                    let class = policy.classes().map(|(class, _)| class);
                    let class = class.reduce(|a, b| if b == "staff" { b } else { a });
                    let email = format!("administrator@{tenant}.example");
                    let class = class.unwrap_or_default();
                    let role = Role::Administrator;
                    let person = parts.users.draft(&email, "administrator", class, role)?;
                    parts.users.keep(tenant, &person)?;
                    person
                }
            };
            let operator = parts.gate.operator(tenant, name!("setup"), &call)?;
            if at == 0 {
                *self.first_link() = Some(operator.first_link(&person.id).await?);
            } else {
                operator.invite(&person.id).await?;
            }
        }
        Ok(())
    }

    fn first_link(&self) -> std::sync::MutexGuard<'_, Option<SecretString>> {
        self.0.first_link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the link of the first start away, once in the life of the data folder.
    ///
    /// # Errors
    /// When it cannot be noted that it was given away; `print` has then been called.
    pub fn print_first_link(&self, print: impl FnOnce(&str)) -> Result<(), rusqlite::Error> {
        if let Some(link) = self.first_link().take() {
            // Printed first: a crash in between prints another one, and loses none.
            print(link.expose());
            self.0.database.note(SET_UP, "done")?;
        }
        Ok(())
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The access log.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.0.ledger
    }

    /// Where things are.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.0.folders
    }

    /// Why what is stored does not count as encrypted at rest, if it does not.
    #[must_use]
    pub fn exposure(&self) -> Option<Exposure> {
        match self.0.keyring.at_rest(&[&self.0.folders.data]) {
            AtRest::Satisfied => None,
            AtRest::NotSatisfied(why) => Some(why),
        }
    }

    /// The people.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// The work in between; to be called every few seconds.
    ///
    /// # Errors
    /// When the log's head cannot be noted.
    pub async fn upkeep(&self) -> Result<(), rusqlite::Error> {
        self.0.gate.upkeep().await;
        self.note_head()
    }

    /// Writes what is still to be written, after the last request.
    ///
    /// # Errors
    /// When the log's head cannot be noted.
    pub async fn close(&self) -> Result<(), rusqlite::Error> {
        self.0.gate.close().await;
        self.note_head()
    }

    /// Notes how far the log has come where the log cannot be cut with it.
    fn note_head(&self) -> Result<(), rusqlite::Error> {
        let Some(head) = self.0.ledger.head() else { return Ok(()) };
        if self.0.database.noted(HEAD)?.as_deref() == Some(head.as_str()) {
            return Ok(());
        }
        self.0.database.note(HEAD, head.as_str())
    }
}

fn file<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SetupError + 'a {
    move |source| SetupError::File { what, path: path.to_owned(), source }
}

/// The source documents: what the tenants were promised.
fn sources() -> Result<Vec<(TenantId, Policy)>, SetupError> {
    let source = |(tenant, preset)| {
        let policy = Policy::preset(preset)
            .map_err(|error| SetupError::Policy { tenant, error: Box::new(error) })?;
        Ok((TenantId::new(tenant)?, policy))
    };
    TENANTS.into_iter().map(source).collect()
}

/// The policies in force: the source documents, or what the folder has instead.
fn documents(folder: Option<&Path>) -> Result<BTreeMap<TenantId, Policy>, SetupError> {
    let mut documents: BTreeMap<_, _> = sources()?.into_iter().collect();
    let Some(folder) = folder else { return Ok(documents) };
    fs::read_dir(folder).map_err(file("read", folder))?;
    for (tenant, _) in TENANTS {
        let path = folder.join(format!("{tenant}.toml"));
        if path.try_exists().map_err(file("look at", &path))? {
            let policy = Policy::load(&path)
                .map_err(|error| SetupError::Policy { tenant, error: Box::new(error) })?;
            documents.insert(TenantId::new(tenant)?, policy);
        }
    }
    Ok(documents)
}

/// Opens the keys; on the first start, makes them, their secret and the data folder.
fn keys(setup: &Setup) -> Result<Keyring, SetupError> {
    let (data, secret) = (&setup.data, &setup.secret);
    let path = data.join("keys");
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(file("make", data))?;
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(data, private).map_err(file("change the mode of", data))?;
    if path.try_exists().map_err(file("look at", &path))? {
        return Ok(Keyring::open(&path, &Unlock::from_file(secret)?)?);
    }
    let others = fs::read_dir(data).map_err(file("read", data))?;
    let kept = others.flatten().any(|entry| {
        [".db", "log"].iter().any(|end| entry.file_name().to_string_lossy().ends_with(end))
    });
    if kept {
        return Err(SetupError::NoKeys { path, data: data.clone() });
    }
    let entropy = SystemEntropy::new();
    // A first start that was cut off between making the file and writing it; no key was made yet.
    if fs::metadata(secret).is_ok_and(|file| file.is_file() && file.len() == 0) {
        fs::remove_file(secret).map_err(file("remove the empty", secret))?;
    }
    if !secret.try_exists().map_err(file("look at", secret))? {
        if let Some(folder) = secret.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let make = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            make.map_err(file("make", folder))?;
        }
        Unlock::create_file(secret, &entropy)?;
    }
    Ok(Keyring::create(&path, &Unlock::from_file(secret)?, Cost::RECOMMENDED, &entropy)?)
}

/// Who the log is.
fn ledger_origin() -> Result<Origin, LedgerError> {
    Origin::new("portal.localhost/log")
}

fn open_ledger(
    folder: &Path,
    keyring: &Keyring,
    database: &Database,
    now: Timestamp,
) -> Result<Ledger, SetupError> {
    let signing = keyring.ledger_signing(0);
    let mut options = LedgerOptions::new(ledger_origin()?, TenantId::new("portal")?);
    if let Some(head) = database.noted(HEAD)? {
        let identity = Identity::new(ledger_origin()?, signing.public());
        options = options.known_head(Checkpoint::parse(&head, &identity)?);
    }
    let sealer = AeadSealer::new(keyring.ledger_root());
    Ok(Ledger::open(folder, options, signing, sealer, SystemEntropy::new(), now)?)
}
