//! A host with a table of users of its own, and a gate whose passwords are in it.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../hourglass/mod.rs"]
pub mod hourglass;
mod memory;
pub mod network;
pub mod suite;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hourglass::Hourglass;
pub use memory::foreign;
use network::Network;
use rusqlite::{Connection, OptionalExtension, params};
use vouchsafe::access_log::{Record, VecSink};
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Code, Credentials, HostError, Issued, Login, NotSet, Redeemed, Swapped};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::{AnyCells, MemoryStore};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{
    Fault, FaultyStore, ManualClock, PostgresServer, TestGate, Users, block_on,
};

pub const OLD: &str = "Brass-Lantern7";
pub const NEW: &str = "Copper-Kettle8";
pub const THIRD: &str = "Silver-Sextant9";
pub const HOSTS: &str = "Walnut-Cabinet6";

/// What is done to a call: fails alone, or with all that come after it, as in a crash.
#[derive(Default)]
pub struct Faults {
    calls: AtomicU64,
    plan: Mutex<Option<(u64, Fault)>>,
}

impl Faults {
    /// From call number `at` on, counted from now, nothing gets through any more.
    pub fn crash_at(&self, at: u64, how: Fault) {
        self.calls.store(0, Ordering::SeqCst);
        *self.plan.lock().unwrap() = Some((at, how));
    }

    pub fn none(&self) {
        *self.plan.lock().unwrap() = None;
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let (at, how) = (*self.plan.lock().unwrap())?;
        match call {
            call if call < at => None,
            call if call == at => Some(how),
            _ => Some(Fault::Before),
        }
    }
}

type Hook = Box<dyn FnOnce(&Table) + Send>;

enum Database {
    File(Mutex<Connection>),
    Network(Box<Network>),
}

/// The host's own table, read and changed with the host's own SQL.
pub struct Table {
    database: Database,
    faults: Arc<Faults>,
    /// What the host does just before the gate's next swap gets there.
    before_swap: Mutex<Option<Hook>>,
    /// Answers nothing any more.
    hangs: Mutex<bool>,
}

impl Table {
    fn open(path: Option<&Path>, faults: &Arc<Faults>) -> Self {
        let database = match path {
            None => Connection::open_in_memory(),
            Some(path) => Connection::open(path),
        };
        let database = database.unwrap();
        database.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        let create = "CREATE TABLE IF NOT EXISTS users
            (tenant TEXT, id TEXT, password_hash TEXT, PRIMARY KEY (tenant, id))";
        database.execute(create, []).unwrap();
        Self::over(Database::File(Mutex::new(database)), faults)
    }

    fn over(database: Database, faults: &Arc<Faults>) -> Self {
        let (before_swap, hangs) = (Mutex::default(), Mutex::default());
        Self { database, faults: Arc::clone(faults), before_swap, hangs }
    }

    /// The table on a server.
    pub fn network(&self) -> &Network {
        match &self.database {
            Database::Network(network) => network,
            Database::File(_) => panic!("it is in a file"),
        }
    }

    /// The host's own `UPDATE`, of which the gate knows nothing.
    pub fn update(&self, user: &UserId, text: Option<&str>) {
        let upsert = "INSERT INTO users VALUES ('acme', ?1, ?2)
            ON CONFLICT DO UPDATE SET password_hash = excluded.password_hash";
        match &self.database {
            Database::File(file) => {
                file.lock().unwrap().execute(upsert, params![user.as_str(), text]).unwrap();
            }
            Database::Network(network) => network.upsert(user, text),
        }
    }

    pub fn text(&self, user: &UserId) -> Option<String> {
        let select = "SELECT password_hash FROM users WHERE id = ?1";
        match &self.database {
            Database::File(file) => {
                let file = file.lock().unwrap();
                let text = file.query_row(select, [user.as_str()], |row| row.get(0)).optional();
                text.unwrap().flatten()
            }
            Database::Network(network) => network.text(user),
        }
    }

    pub fn before_swap(&self, hook: impl FnOnce(&Self) + Send + 'static) {
        *self.before_swap.lock().unwrap() = Some(Box::new(hook));
    }

    pub fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, HostError>> + Send,
    ) -> Result<T, HostError> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let fault = self.faults.next();
        if matches!(fault, Some(Fault::Before)) {
            return Err(HostError::new("lost before the table"));
        }
        let answer = call.await;
        match fault {
            Some(_) => Err(HostError::new("lost behind the table")),
            None => answer,
        }
    }
}

impl Credentials for Table {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Option<String>, HostError> {
        let select = "SELECT password_hash FROM users WHERE tenant = ?1 AND id = ?2";
        let keys = [tenant.as_str(), user.as_str()];
        let read = async {
            match &self.database {
                Database::File(file) => {
                    let file = file.lock().unwrap();
                    let text = file.query_row(select, keys, |row| row.get(0)).optional();
                    Ok(text.map_err(HostError::new)?.flatten())
                }
                Database::Network(network) => network.load(tenant, user).await,
            }
        };
        self.call(read).await
    }

    async fn swap(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        let hook = self.before_swap.lock().unwrap().take();
        if let Some(hook) = hook {
            hook(self);
        }
        let update = "UPDATE users SET password_hash = ?4
            WHERE tenant = ?1 AND id = ?2 AND password_hash IS ?3";
        let write = async {
            match &self.database {
                Database::File(file) => {
                    let values = params![tenant.as_str(), user.as_str(), expected, new];
                    let changed = file.lock().unwrap().execute(update, values);
                    Ok(match changed.map_err(HostError::new)? {
                        0 => Swapped::Superseded,
                        _ => Swapped::Done,
                    })
                }
                Database::Network(network) => network.swap(tenant, user, expected, new).await,
            }
        };
        self.call(write).await
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Place {
    Memory,
    /// The host's table in a file of its own, beside ours.
    Beside,
    /// The host's table in the very file.
    Within,
    /// The host's table in a database of this server's.
    Network(&'static PostgresServer),
}

pub const PLACES: [Place; 3] = [Place::Memory, Place::Beside, Place::Within];

/// What outlives a crash.
pub struct World {
    policy: Policy,
    _folder: tempfile::TempDir,
    cells: AnyCells,
    keyring: Arc<Keyring>,
    sink: VecSink,
    clock: Arc<ManualClock>,
    timer: Option<Hourglass>,
    pub users: Users,
    pub table: Arc<Table>,
    pub faults: Arc<Faults>,
    pub gate: TestGate,
    pub ada: UserId,
}

impl World {
    /// Ada is one of the host's users, and has no password.
    pub fn new(place: Place) -> Self {
        Self::under(Policy::preset("zoomph-2018").unwrap(), place)
    }

    /// As [`new`](Self::new), under another policy.
    pub fn under(policy: Policy, place: Place) -> Self {
        Self::with(policy, place, None)
    }

    /// As [`new`](Self::new), where time passes by an hourglass.
    pub fn timed(place: Place, timer: &Hourglass) -> Self {
        Self::with(Policy::preset("zoomph-2018").unwrap(), place, Some(timer.clone()))
    }

    fn with(policy: Policy, place: Place, timer: Option<Hourglass>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| -> PathBuf { folder.path().join(name) };
        let faults = Arc::new(Faults::default());
        let sqlite = || {
            let builder = SqliteStore::builder(file("cells.db"));
            AnyCells::new(builder.deadline(std::time::Duration::from_secs(60)).open().unwrap())
        };
        let memory = || AnyCells::new(MemoryStore::new(1 << 24));
        let (cells, table) = match place {
            Place::Memory => (memory(), Table::open(None, &faults)),
            Place::Beside => (sqlite(), Table::open(Some(&file("users.db")), &faults)),
            Place::Within => (sqlite(), Table::open(Some(&file("cells.db")), &faults)),
            Place::Network(server) => (
                memory(),
                Table::over(Database::Network(Box::new(Network::create(server))), &faults),
            ),
        };
        let table = Arc::new(table);
        let keyring = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
        let (sink, users) = (VecSink::new(1 << 20), Users::default());
        let clock = Arc::new(ManualClock::at(TestGate::start()));
        let ada = users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
        table.update(&ada, None);
        let gate = start(
            &policy,
            &cells,
            &faults,
            &sink,
            &keyring,
            &users,
            Some(&table),
            &clock,
            timer.as_ref(),
        );
        Self {
            policy,
            _folder: folder,
            cells,
            keyring,
            sink,
            clock,
            timer,
            users,
            table,
            faults,
            gate,
            ada,
        }
    }

    /// As [`new`](Self::new), and Ada's row was brought along with a hash of [`OLD`].
    pub fn imported(place: Place) -> Self {
        let world = Self::new(place);
        world.table.update(&world.ada, Some(&foreign(OLD)));
        world
    }

    /// As [`new`](Self::new), and Ada has chosen [`OLD`].
    pub fn active(place: Place) -> Self {
        let world = Self::new(place);
        world.gate.activate(&TestGate::tenant(), &world.ada, OLD);
        world
    }

    /// The process ends, and another one starts.
    pub fn restart(&mut self) {
        self.faults.none();
        self.gate = self.another(true);
    }

    /// One more gate over the same store, with the column or without.
    pub fn another(&self, with_column: bool) -> TestGate {
        self.over(with_column.then_some(&self.table))
    }

    /// One more gate over the same store and the same column; to a server it has a connection of its
    /// own.
    pub fn second(&self) -> TestGate {
        match &self.table.database {
            Database::File(_) => self.another(true),
            Database::Network(network) => {
                let network = Database::Network(Box::new(network.again()));
                self.over(Some(&Arc::new(Table::over(network, &self.faults))))
            }
        }
    }

    fn over(&self, table: Option<&Arc<Table>>) -> TestGate {
        let Self { policy, cells, faults, sink, keyring, users, clock, timer, .. } = self;
        start(policy, cells, faults, sink, keyring, users, table, clock, timer.as_ref())
    }

    pub fn lets_in(&self, password: &str) -> bool {
        match self.refuses(password) {
            None => true,
            Some(code) if code.message() == Code::WrongCredentials.message() => false,
            Some(other) => panic!("{other}"),
        }
    }

    /// Why it does not let her in, if it does not.
    pub fn refuses(&self, password: &str) -> Option<Code> {
        match block_on(self.gate.login("ada", password)) {
            Login::SignedIn(_) => None,
            Login::Refused(refused) => Some(refused.code()),
            other => panic!("{other:?}"),
        }
    }

    pub fn holds(&self, session: &Issued) -> bool {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let check = self.gate.gate.check(&tenant, session.token().expose(), &call);
        match block_on(check) {
            Ok(_) => true,
            Err(refused) if refused.code() == Code::NoSession => false,
            Err(refused) => panic!("{}", refused.code()),
        }
    }

    pub fn redeem(
        &self,
        link: &(vouchsafe::gate::Purpose, String),
        password: &str,
    ) -> Result<Redeemed, NotSet> {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        block_on(self.gate.gate.redeem(&tenant, link.0, &link.1, password.to_owned(), &call))
    }

    /// Whether the link still works: it is used up with it.
    pub fn works(&self, link: &(vouchsafe::gate::Purpose, String)) -> bool {
        match self.redeem(link, THIRD) {
            Ok(_) => true,
            Err(NotSet::Refused(refused)) if refused.code() == Code::NoLink => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    pub fn recorded(&self) -> Vec<Record> {
        self.sink.take()
    }
}

#[expect(clippy::too_many_arguments, reason = "a world's parts")]
fn start(
    policy: &Policy,
    cells: &AnyCells,
    faults: &Arc<Faults>,
    sink: &VecSink,
    keyring: &Arc<Keyring>,
    users: &Users,
    table: Option<&Arc<Table>>,
    clock: &Arc<ManualClock>,
    timer: Option<&Hourglass>,
) -> TestGate {
    let policies = (TestGate::tenant(), policy.clone());
    let plan = Arc::clone(faults);
    let store = FaultyStore::new(cells.clone(), move |_| plan.next());
    let gate = TestGate::recording(policies, store, sink.clone(), sink.clone(), |gate| {
        let gate = gate.keys(Arc::clone(keyring)).accounts(users.clone());
        let gate = gate.clock(Arc::<ManualClock>::clone(clock));
        let gate = match timer {
            Some(timer) => gate.timer(timer.clone()),
            None => gate,
        };
        match table {
            Some(table) => gate.credentials(Arc::clone(table)),
            None => gate,
        }
    });
    let mut gate = block_on(gate).unwrap();
    gate.clock = Arc::clone(clock);
    gate
}
