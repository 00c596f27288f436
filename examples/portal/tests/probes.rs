//! "In force" is said of what was just refused, and of nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::sync::Arc;

use axum::http::StatusCode;
use common::Site;
use portal::probes::{self, PROBED};
use vouchsafe::access_log::{Receipt, Record, RecordSink, SinkError, name};
use vouchsafe::core::{CellKey, Space, TenantId};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Gate, Outbox};
use vouchsafe::ledger::Ledger;
use vouchsafe::policy::Policy;
use vouchsafe::session::LinkOrigin;
use vouchsafe::store::{Cells, MemoryStore, Put, StoreError, Swap, Version};

#[tokio::test]
async fn every_statement_is_shown_and_every_probe_finds_its_promise_in_force() {
    let site = Site::new().await;
    let mut shown = 0;
    let mut in_force = 0;
    for (tenant, statements) in [("amigo", 36), ("zoomph", 73)] {
        let mut admin = site.administrator(tenant).await;
        assert_eq!(admin.get(&format!("/{tenant}/policy")).await, StatusCode::OK);
        assert_eq!(admin.page.matches("<tr id='").count(), statements);
        assert!(!admin.shows("state-in-force"), "nothing was probed yet");
        assert!(admin.shows("data/outbox") && admin.shows("outside of"));
        shown += statements;
        assert_eq!(admin.post(&format!("/{tenant}/policy/probe"), &[]).await, StatusCode::OK);
        assert!(!admin.shows("state-broken"), "{}", broken(&admin.page));
        in_force += admin.page.matches("state-in-force").count();
    }
    assert_eq!(shown, 109);
    assert_eq!(in_force, PROBED.len());
}

#[tokio::test]
async fn probes_leave_no_account_behind() {
    let site = Site::new().await;
    let bench = site.portal.bench(&TenantId::new("zoomph").unwrap()).unwrap();
    let accounts = async || bench.store.scan(Space::Account, None, 100).await.unwrap();
    let before = accounts().await;
    assert_eq!(before.len(), 2, "an administrator each");
    for _ in 0..2 {
        assert_eq!(red(&bench).await, Vec::<String>::new());
        assert_eq!(accounts().await, before);
    }
}

fn broken(page: &str) -> String {
    let states = page.split("state-broken").skip(1);
    states.map(|rest| rest.split("</td>").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Which probes of a tenant turn red.
async fn red(bench: &probes::Bench) -> Vec<String> {
    let findings = probes::run(bench).await;
    findings.into_iter().filter(|(_, finding)| finding.seen.is_err()).map(|(id, _)| id).collect()
}

/// The site's log for a gate over a store of its own: not asked whether it was used before.
struct Unasked(Arc<Ledger>);

impl RecordSink for Unasked {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        self.0.append(record).await
    }
}

fn builder(site: &Site, policy: Policy, keyring: Arc<Keyring>) -> vouchsafe::gate::GateBuilder {
    let clock: Arc<vouchsafe_testkit::ManualClock> = Arc::clone(&site.clock);
    Gate::builder((TenantId::new("zoomph").unwrap(), policy))
        .keys(keyring)
        .records(Unasked(Arc::clone(site.portal.ledger())))
        .accounts(site.portal.users().clone())
        .notify(Outbox::open(site.data().join("outbox"), "x@localhost").unwrap())
        .origin(LinkOrigin::new("http://127.0.0.1:8080").unwrap())
        .application(name!("test"))
        .clock(clock)
}

#[tokio::test]
async fn a_gate_under_a_looser_policy_turns_red() {
    let site = Site::new().await;
    let tenant = TenantId::new("zoomph").unwrap();
    let mut bench = site.portal.bench(&tenant).unwrap();
    assert_eq!(red(&bench).await, Vec::<String>::new());
    let looser = bench
        .document
        .to_toml()
        .replace("failures = 5", "failures = 6")
        .replace("idle = \"30 min\"", "idle = \"31 min\"")
        .replace("min_length = 8", "min_length = 7")
        .replace("require_special = true", "require_special = false");
    let looser = Policy::parse(&looser, "looser").unwrap();
    assert_ne!(looser.digest(), bench.document.digest());
    bench.gate = builder(&site, looser, Arc::clone(site.portal.gate().keyring()))
        .store(MemoryStore::new(1 << 22))
        .open()
        .await
        .unwrap();
    let red = red(&bench).await;
    for promise in ["Z7.1", "Z7.2", "Z7.6", "Z7.7"] {
        assert!(red.iter().any(|id| id == promise), "{promise}: {red:?}");
    }
    assert!(!red.iter().any(|id| id == "Z7.5"), "{red:?}");
}

/// A store that forgets failures: what it answers for a counter is that there is none.
struct Forgetful(MemoryStore);

impl Cells for Forgetful {
    vouchsafe_testkit::pass_on!(0: load scan sweep);

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        match key.space {
            Space::Lockout => Ok(Swap::Done),
            _ => self.0.swap(key, expected, put).await,
        }
    }
}

#[tokio::test]
async fn a_store_that_forgets_turns_red() {
    let site = Site::new().await;
    let mut bench = site.portal.bench(&TenantId::new("zoomph").unwrap()).unwrap();
    bench.gate = builder(&site, bench.document.clone(), Arc::clone(site.portal.gate().keyring()))
        .store(Forgetful(MemoryStore::new(1 << 22)))
        .open()
        .await
        .unwrap();
    let red = red(&bench).await;
    assert!(red.iter().any(|id| id == "Z7.6"), "{red:?}");
}

#[tokio::test]
async fn a_secret_beside_the_data_and_a_plain_file_turn_red() {
    let site = Site::new().await;
    let tenant = TenantId::new("zoomph").unwrap();
    let bench = site.portal.bench(&tenant).unwrap();
    let leak = site.data().join("leak.txt");
    std::fs::write(&leak, "written to administrator@zoomph.example").unwrap();
    assert_eq!(red(&bench).await, ["Z2.5"]);
    std::fs::remove_file(&leak).unwrap();
    assert_eq!(red(&bench).await, Vec::<String>::new());

    let folder = tempfile::tempdir().unwrap();
    let mut setup = Site::setup(&folder);
    setup.secret = setup.data.join("secret");
    let beside = common::start(setup, &site.clock).await.unwrap();
    assert!(beside.exposure().is_some());
    assert_eq!(red(&beside.bench(&tenant).unwrap()).await, ["Z2.5"]);
}
