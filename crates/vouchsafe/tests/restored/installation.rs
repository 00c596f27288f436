//! An installation on disk: a store, a log and keys, opened again and again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vouchsafe::access_log::{Receipt, Record, RecordSink, SinkError, VecSink};
use vouchsafe::core::{CellKey, SecretString, Space, TenantId, Timestamp};
use vouchsafe::envelope::{Cost, Keyring, Unlock};
use vouchsafe::gate::{GateBuilder, OpenError, Policies};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, Loaded, Put, StoreError, Swap, Version};
use vouchsafe_ledger::{AeadSealer, Ledger, LedgerOptions, Origin};
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{ManualClock, TestGate, block_on};

pub const USERS: [&str; 4] = ["ada", "bob", "cyd", "dee"];

/// Where everything ends: so many writes happen, and nothing after them.
pub struct Cut {
    left: AtomicUsize,
    /// Whether the last one happens, and only its answer is lost.
    late: bool,
}

impl Cut {
    pub fn after(writes: usize, late: bool) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(writes), late })
    }

    pub fn never() -> Arc<Self> {
        Self::after(usize::MAX, false)
    }

    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// Whether a write happens, and whether it is answered.
    fn write(&self) -> (bool, bool) {
        let spend = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend) {
            Ok(1) => (self.late, false),
            Ok(_) => (true, true),
            Err(_) => (false, false),
        }
    }
}

fn gone<T>() -> Result<T, StoreError> {
    Err(StoreError::unavailable("killed"))
}

/// A store as long as its process lives.
pub struct Mortal<S>(pub S, pub Arc<Cut>);

impl<S: Cells> Cells for Mortal<S> {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        if self.1.is_over() { gone() } else { self.0.load(key).await }
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let (happens, answers) = self.1.write();
        let swapped = if happens { self.0.swap(key, expected, put).await } else { gone() };
        if answers { swapped } else { gone() }
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        if self.1.is_over() { gone() } else { self.0.scan(space, after, limit).await }
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        if self.1.is_over() { gone() } else { self.0.sweep(now, limit).await }
    }
}

/// A log as long as its process lives.
struct MortalLog(Ledger, Arc<Cut>);

impl RecordSink for MortalLog {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        let (happens, answers) = self.1.write();
        let kept = if happens { self.0.append(record).await } else { Err(SinkError::Closed) };
        if answers { kept } else { Err(SinkError::Closed) }
    }

    async fn holds_records(&self) -> Result<Option<bool>, SinkError> {
        self.0.holds_records().await
    }

    async fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> Result<Option<Vec<(u64, Record)>>, SinkError> {
        self.0.read_back(before, most).await
    }
}

/// What is served: device counters beside the preset.
pub fn policy() -> Policy {
    let text = Policy::preset("zoomph-2018").unwrap().to_toml();
    let devices = "devices = { counters = 4, valid_for = \"180d\" }";
    Policy::parse(&text.replace("devices = \"none\"", devices), "test").unwrap()
}

pub struct Installation {
    pub folder: PathBuf,
    pub clock: Arc<ManualClock>,
}

impl Installation {
    pub fn at(folder: &Path) -> Self {
        let clock = Arc::new(ManualClock::at(TestGate::start()));
        Self { folder: folder.to_owned(), clock }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn keys(&self) -> Keyring {
        let phrase = SecretString::new("a passphrase of this test".to_owned());
        let (unlock, file) = (Unlock::passphrase(&phrase).unwrap(), self.file("keys"));
        if file.exists() {
            return Keyring::open(&file, &unlock).unwrap();
        }
        Keyring::create(&file, &unlock, Cost::MINIMUM, &SystemEntropy::new()).unwrap()
    }

    pub fn store(&self) -> SqliteStore {
        // Patient: the machine that runs the tests may be busy.
        let builder = SqliteStore::builder(self.file("cells.db"));
        builder.deadline(Duration::from_secs(60)).open().unwrap()
    }

    /// Opens a gate over `store`.
    pub fn open_over(
        &self,
        store: impl Cells + 'static,
        cut: &Arc<Cut>,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<TestGate, OpenError> {
        self.open_serving((TestGate::tenant(), policy()), store, cut, more)
    }

    /// As [`open_over`](Self::open_over), under other policies.
    pub fn open_serving(
        &self,
        policies: impl Into<Policies>,
        store: impl Cells + 'static,
        cut: &Arc<Cut>,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Result<TestGate, OpenError> {
        let keys = self.keys();
        let origin = Origin::new("portal.example/log").unwrap();
        let options = LedgerOptions::new(origin, TenantId::new("operator").unwrap());
        let (signing, sealer) = (keys.ledger_signing(0), AeadSealer::new(keys.ledger_root()));
        let now = TestGate::start();
        let folder = self.file("log");
        let ledger = Ledger::open(
            folder,
            options.segment_bytes(64 << 10),
            signing,
            sealer,
            SystemEntropy::new(),
            now,
        );
        let log = MortalLog(ledger.unwrap(), Arc::clone(cut));
        let clock = Arc::clone(&self.clock);
        let store = Mortal(store, Arc::clone(cut));
        let mut gate =
            block_on(TestGate::recording(policies, store, log, VecSink::new(1), |gate| {
                more(gate.keys(keys).clock(clock))
            }))?;
        gate.clock = Arc::clone(&self.clock);
        for user in USERS {
            let (id, address) = (format!("u-{user}"), format!("{user}@acme.example"));
            gate.users.add(&TestGate::tenant(), &id, "staff", &[&address, user]);
        }
        Ok(gate)
    }

    pub fn open(&self) -> Result<TestGate, OpenError> {
        self.open_over(self.store(), &Cut::never(), |gate| gate)
    }

    pub fn open_after_restore(&self) -> Result<TestGate, OpenError> {
        self.open_over(self.store(), &Cut::never(), GateBuilder::after_restore)
    }

    /// Copies the store, which may be in use.
    pub fn back_up(&self, name: &str) {
        self.store().backup(self.file(name)).unwrap();
    }

    /// Puts a copy in the place of the store.
    pub fn put_back(&self, name: &str) {
        for file in ["cells.db-wal", "cells.db-shm"] {
            let _gone = std::fs::remove_file(self.file(file));
        }
        std::fs::copy(self.file(name), self.file("cells.db")).unwrap();
    }
}
