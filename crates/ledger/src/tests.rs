//! What needs to reach behind the public items: a disk that fails.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_access_log::{Actor, Operation, Outcome, Record, SinkError, Target, name};
use vouchsafe_core::{PolicyDigest, Source, TenantId, Timestamp, Unavailable};
use vouchsafe_crypto::{RootKey, SigningKey};
use vouchsafe_testkit::SeededEntropy;

use crate::dir::Dir;
use crate::writer::{Disk, NewDisk, new_file};
use crate::{AeadSealer, Ledger, LedgerError, LedgerOptions, Origin};

fn record(id: u64) -> Record {
    Record {
        tenant: TenantId::new("acme").unwrap(),
        actor: Actor::Service(name!("job")),
        target: Target::entity(name!("campaign"), &id.to_string()).unwrap(),
        operation: Operation::Updated,
        outcome: Outcome::Succeeded,
        application: name!("test"),
        source: Source::Unavailable(Unavailable::Local),
        shared_source: false,
        time: Timestamp::EPOCH,
        policy: PolicyDigest::NONE,
        clause: None,
        repeats: std::num::NonZeroU32::MIN,
    }
}

/// Fails one sync, and would succeed again afterwards, as Linux does.
struct Failing {
    disk: Box<dyn Disk>,
    syncs: Arc<AtomicU64>,
    fails_at: u64,
}

impl Disk for Failing {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.syncs.fetch_add(1, Ordering::SeqCst) == self.fails_at {
            return Err(io::Error::other("EIO"));
        }
        self.disk.sync()
    }
}

fn open(dir: &Path, new_disk: NewDisk) -> Result<Ledger, LedgerError> {
    let options =
        LedgerOptions::new(Origin::new("test.example/log")?, TenantId::new("operator").unwrap())
            .segment_bytes(64 << 10);
    let sealer = Box::new(AeadSealer::new(RootKey::new(&[2; 32])));
    let entropy = Box::new(SeededEntropy::new(7));
    let key = SigningKey::from_seed(&[1; 32]);
    Ledger::open_on(dir, options, key, sealer, entropy, Timestamp::EPOCH, new_disk)
}

#[test]
fn failed_sync_stops_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let syncs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&syncs);
    let ledger = open(
        &dir,
        Box::new(move |dir, number, header, length| {
            let disk = new_file(dir, number, header, length)?;
            Ok(Box::new(Failing { disk, syncs: Arc::clone(&counter), fails_at: 2 }))
        }),
    )
    .unwrap();
    assert_eq!(ledger.append(record(0)).wait().unwrap().index(), 0);
    assert_eq!(ledger.append(record(1)).wait().unwrap().index(), 1);
    let head = ledger.head();
    assert!(matches!(ledger.append(record(2)).wait(), Err(SinkError::Failed(_))));
    // The disk would take it again; the log does not try.
    assert!(matches!(ledger.append(record(3)).wait(), Err(SinkError::Failed(_))));
    assert_eq!(syncs.load(Ordering::SeqCst), 3);
    assert_eq!(ledger.head(), head);
    drop(ledger);

    let ledger = open(&dir, Box::new(new_file)).unwrap();
    assert!(ledger.opened().records >= 2);
    assert_eq!(ledger.append(record(4)).wait().unwrap().index(), ledger.opened().records);
}

#[test]
fn owners_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    open(&path, Box::new(new_file)).unwrap().append(record(0)).wait().unwrap();
    let mut dir = Dir::open(&path).unwrap();
    dir.lock().unwrap();
    dir.owner += 1;
    assert!(matches!(dir.lock(), Err(LedgerError::Owner { .. })));
    assert!(matches!(dir.read(0), Err(LedgerError::Owner { .. })));
    // Without files that tell: by one that this process makes, and takes away again.
    std::fs::remove_file(path.join("lock")).unwrap();
    assert!(matches!(dir.lock(), Err(LedgerError::Owner { .. })));
    assert!(!path.join("lock").exists() && !path.join("new-segment").exists());
}

/// A name that a listing showed, and that is gone when it is looked at.
#[test]
fn only_a_segment_may_not_vanish() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let dir = Dir::create(&path).unwrap();
    dir.listed(OsStr::new("new-segment")).unwrap();
    let gone = dir.listed(OsStr::new("segment-00000001"));
    assert!(matches!(gone, Err(LedgerError::Io { what: "look at", .. })), "{gone:?}");
}
