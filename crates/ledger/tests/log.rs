//! LG-18 and the log as its owner uses it: privacy on disk, receipts, pages, exports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    reason = "tests"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{check, identity, open, record};
use vouchsafe_access_log::{Filter, Operation, RecordSink, SinkError};
use vouchsafe_core::{TenantId, Timestamp, UserId};
use vouchsafe_ledger::{LedgerError, Origin, verify_export};
use vouchsafe_testkit::{block_on, runs};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

#[test]
fn nothing_on_disk_shows_who_or_what() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let ledger = open(&dir).unwrap();
    for number in 0..150 {
        ledger.append(record("canary-tenant", number)).wait().unwrap();
    }
    drop(ledger);
    // A tail that was set aside is scanned too.
    let path = dir.join("segment-00000000");
    let mut bytes = std::fs::read(&path).unwrap();
    let half = check(&dir).unwrap();
    assert_eq!(half.head.unwrap().size(), 150);
    bytes.truncate(bytes.len() - 1);
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last / 512 * 512..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let ledger = open(&dir).unwrap();
    assert!(ledger.opened().set_aside.is_some());
    drop(ledger);
    let mut scanned = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        for canary in [&b"canary"[..], b"user-1", b"campaign", b"203.0.113", b"updated", b"portal"]
        {
            assert!(!has(canary), "{:?} in {:?}", String::from_utf8_lossy(canary), entry.path());
        }
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("segment") {
            // The scan does see what is in plain text.
            assert!(has(b"test.example/log\n"), "{name}");
            // An address as four bytes.
            assert!(!has(&[203, 0, 113]));
        }
        scanned += bytes.len();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
    }
    assert!(scanned > 50_000);
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn wider_modes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    open(&dir).unwrap().append(record("acme", 0)).wait().unwrap();
    for (path, good) in [(dir.clone(), 0o700), (dir.join("segment-00000000"), 0o600)] {
        for wide in [0o004, 0o040, 0o020, 0o002, 0o001, 0o010] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(good | wide)).unwrap();
            assert!(matches!(open(&dir), Err(LedgerError::Mode { .. })), "{wide:o}");
            assert!(matches!(check(&dir), Err(LedgerError::Mode { .. })), "{wide:o}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(good)).unwrap();
        assert_eq!(open(&dir).unwrap().opened().records, 1);
    }
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let ledger = open(&dir).unwrap();
    assert!(matches!(open(&dir), Err(LedgerError::Locked { .. })));
    drop(ledger);
    open(&dir).unwrap();
}

#[test]
fn threads_share_groups_and_every_receipt_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let each = runs(300, 10_000) as u64;
    let ledger = open(&dir).unwrap();
    let seen: Vec<AtomicU64> = (0..each * 4).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (ledger, seen) = (&ledger, &seen);
            scope.spawn(move || {
                let numbers = Vec::from_iter((0..each).map(|number| thread * each + number));
                // As many at once as the queue has room for.
                for some in numbers.chunks(300) {
                    let append = |number: &u64| ledger.append(record("acme", *number));
                    for append in some.iter().map(append).collect::<Vec<_>>() {
                        let receipt = block_on(append).unwrap();
                        seen[receipt.index() as usize].fetch_add(1, Ordering::SeqCst);
                        assert!(ledger.head().unwrap().size() > receipt.index());
                    }
                }
            });
        }
    });
    assert!(seen.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    drop(ledger);
    let verified = check(&dir).unwrap();
    assert_eq!(verified.head.unwrap().size(), each * 4);
    assert!(verified.segments > 1, "the test goes over the end of a segment");
    assert!(verified.checkpoints < each * 4, "appends that wait together share a group");
}

#[test]
fn a_full_queue_says_so_and_closing_serves_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = common::open_with(&folder.path().join("log"), common::options().queue(1)).unwrap();
    let answers: Vec<_> = (0..2_000).map(|number| ledger.append(record("acme", number))).collect();
    ledger.close();
    let answers: Vec<_> = answers.into_iter().map(|append| append.wait()).collect();
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(kept >= 1);
    assert!(answers.iter().all(|a| matches!(a, Ok(_) | Err(SinkError::Busy))));
    let size = check(&folder.path().join("log")).unwrap().head.unwrap().size();
    assert_eq!(size, kept as u64);
}

#[test]
fn pages_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("log")).unwrap();
    assert_eq!(block_on(ledger.holds_records()), Ok(Some(false)));
    for number in 0..700_u64 {
        let mut entry = record(if number % 3 == 0 { "acme" } else { "other" }, number);
        if number % 2 == 0 {
            entry.operation = Operation::Read;
        }
        block_on(RecordSink::append(&ledger, entry)).unwrap();
    }
    assert_eq!(block_on(ledger.holds_records()), Ok(Some(true)));
    let collect = |filter: &Filter, limit| {
        let (mut all, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = ledger.query(filter, cursor, limit).unwrap();
            assert!(page.found.len() <= limit);
            all.extend(page.found.into_iter().map(|found| {
                assert_eq!(found.record.time.micros() as u64, found.index);
                found.index
            }));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                return (all, pages);
            }
        }
    };
    let oracle = |keep: &dyn Fn(u64) -> bool| -> Vec<u64> {
        (0..700).rev().filter(|n| n % 3 == 0 && keep(*n)).collect()
    };
    let acme = Filter::tenant(tenant("acme"));
    assert_eq!(collect(&acme, 7).0, oracle(&|_| true));
    assert!(collect(&acme, 7).1 >= 34);
    assert_eq!(collect(&acme.clone().operation(Operation::Read), 50).0, oracle(&|n| n % 2 == 0));
    let some = acme.clone().between(Timestamp::from_micros(100), Timestamp::from_micros(200));
    assert_eq!(collect(&some, 500).0, oracle(&|n| (100..200).contains(&n)));
    let user = acme.clone().user(UserId::new("user-333@canary.example").unwrap());
    assert_eq!(collect(&user, 500).0, [333]);
    assert_eq!(collect(&acme.clone().refused_only(), 500).0, [] as [u64; 0]);
    assert_eq!(collect(&acme.unauthenticated(), 500).0, [] as [u64; 0]);
    assert_eq!(collect(&Filter::tenant(tenant("globex")), 500).0, [] as [u64; 0]);
}

#[test]
fn exports_verify_offline_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("log")).unwrap();
    for number in 0..600 {
        let whose = if number % 100 == 7 { "acme" } else { "other" };
        ledger.append(record(whose, number)).wait().unwrap();
    }
    ledger.append(record("acme", 600)).wait().unwrap();
    let mut export = Vec::new();
    let report = ledger.export(&Filter::tenant(tenant("acme")), &mut export).unwrap();
    assert_eq!((report.records, report.head.size()), (7, 601));
    let verify = |bytes: &[u8]| verify_export(&mut &*bytes, &identity(), &tenant("acme"));
    assert_eq!(verify(&export).unwrap(), report);
    let text = String::from_utf8(export.clone()).unwrap();
    assert!(!text.contains("other"));

    // Every character changed, every line dropped or doubled.
    for at in (0..export.len()).step_by(runs(5, 1)) {
        let mut changed = export.clone();
        changed[at] ^= 1 << (at % 7);
        assert!(verify(&changed).is_err(), "byte {at}");
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        assert!(verify(without.concat().as_bytes()).is_err());
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(verify(twice.concat().as_bytes()).is_err());
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert!(matches!(
        verify(swapped.concat().as_bytes()),
        Err(LedgerError::Export { line: 3, .. })
    ));
    let another = Origin::new("another.example/log").unwrap();
    let key = vouchsafe_crypto::SigningKey::from_seed(&[1; 32]).public();
    let other = vouchsafe_ledger::Identity::new(another, key);
    assert!(verify_export(&mut &*export, &other, &tenant("acme")).is_err());
    assert!(verify_export(&mut &*export, &identity(), &tenant("other")).is_err());
}
