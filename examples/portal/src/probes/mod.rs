//! Which promises are in force now: each probe provokes what its promise forbids, at the live gate,
//! and looks whether it is refused.
//!
//! What is expected is taken from the tenant's document, and never from the gate: a gate under
//! another policy is to be found out. Probes act as accounts of their own, which are in no list,
//! and leave records like everybody else.

mod account;
mod data;
mod record;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe::access_log::name;
use vouchsafe::core::{Source, TenantId, Timestamp, Unavailable};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Acting, Call, Gate, Refused};
use vouchsafe::ledger::Ledger;
use vouchsafe::policy::Policy;
use vouchsafe::store_sqlite::SqliteStore;

use crate::database::Database;
use crate::setup::{Folders, Portal};
use crate::users::Users;

/// What the probes act on.
#[derive(Clone)]
pub struct Bench {
    /// The gate that is looked at.
    pub gate: Gate,
    /// What the tenant was promised.
    pub document: Policy,
    /// The tenant.
    pub tenant: TenantId,
    /// Another tenant of the gate, to be kept out.
    pub stranger: Option<TenantId>,
    /// The people.
    pub users: Users,
    /// The access log.
    pub ledger: Arc<Ledger>,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The portal's database.
    pub database: Database,
    /// The gate's store.
    pub store: Arc<SqliteStore>,
    /// Where things are.
    pub folders: Folders,
    /// Now.
    pub now: Timestamp,
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When.
    pub at: Timestamp,
    /// What was refused, or what was not.
    pub seen: Result<String, String>,
}

/// The last findings, by tenant and promise.
#[derive(Debug, Default)]
pub struct Findings(Mutex<BTreeMap<(TenantId, String), Finding>>);

impl Findings {
    /// The last finding about a promise.
    #[must_use]
    pub fn get(&self, tenant: &TenantId, promise: &str) -> Option<Finding> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(tenant.clone(), promise.to_owned())).cloned()
    }

    fn put(&self, tenant: &TenantId, promise: &str, finding: Finding) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((tenant.clone(), promise.to_owned()), finding);
    }
}

/// The promises that a probe looks at.
pub const PROBED: [&str; 27] = [
    "A1.1", "A1.2", "A1.3", "A1.4", "A1.4a", "A1.4b", "A1.4c", "A1.4d", "A1.4e", "A1.5", "A1.6",
    "A1.8", "A1.9", "A2.1", "A2.3", "A7.2", "Z1.4", "Z2.5", "Z4.3", "Z7.1", "Z7.2", "Z7.3", "Z7.4",
    "Z7.5", "Z7.6", "Z7.7", "Z7.11",
];

/// What a probe says: what was refused, or what went wrong.
type Seen = Result<String, String>;
/// Promises, each with what was seen.
type Report = Vec<(&'static str, Seen)>;

/// Runs every probe of the tenant's document.
pub async fn run(bench: &Bench) -> BTreeMap<String, Finding> {
    let mut report = account::run(bench).await;
    report.extend(record::run(bench).await);
    report.extend(data::run(bench).await);
    let promised = |promise: &str| bench.document.promise(promise).is_some();
    let mut findings = BTreeMap::new();
    for promise in PROBED.into_iter().filter(|promise| promised(promise)) {
        // What another step stands on may have failed before this one was reached.
        let seen = report
            .iter()
            .find(|(of, _)| *of == promise)
            .map_or_else(|| Err("the probe did not get that far".to_owned()), |(_, s)| s.clone());
        findings.insert(promise.to_owned(), Finding { at: bench.now, seen });
    }
    findings
}

impl Portal {
    /// What the probes of a tenant act on.
    #[must_use]
    pub fn bench(&self, tenant: &TenantId) -> Option<Bench> {
        let parts = &*self.0;
        Some(Bench {
            gate: parts.gate.clone(),
            document: parts.documents.get(tenant)?.clone(),
            tenant: tenant.clone(),
            stranger: parts.documents.keys().find(|other| *other != tenant).cloned(),
            users: parts.users.clone(),
            ledger: Arc::clone(&parts.ledger),
            keyring: Arc::clone(&parts.keyring),
            database: parts.database.clone(),
            store: Arc::clone(&parts.store),
            folders: parts.folders.clone(),
            now: parts.clock.now(),
        })
    }

    /// Runs the probes of a tenant and keeps what they saw.
    pub async fn probe(&self, tenant: &TenantId) {
        let Some(bench) = self.bench(tenant) else { return };
        for (promise, finding) in run(&bench).await {
            self.0.findings.put(tenant, &promise, finding);
        }
    }
}

impl Bench {
    fn call() -> Call {
        Call::from(Source::Unavailable(Unavailable::Local))
    }

    fn operator<'a>(&'a self, call: &'a Call) -> Result<Acting<'a>, String> {
        self.gate.operator(&self.tenant, name!("probe"), call).map_err(|error| told(&error))
    }

    /// The folders whose bytes are to be sealed: everything but the outbox.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        let mut folders = vec![self.folders.data.clone()];
        while let Some(folder) = folders.pop() {
            let failed = |error| format!("{}: {error}", folder.display());
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path == self.folders.outbox {
                    continue;
                }
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        Ok(files)
    }
}

/// A refusal that was not asked for.
fn told(refused: &Refused) -> String {
    format!("the gate answered {}", refused.code())
}
