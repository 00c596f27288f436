//! What the log holds of the probes' own doings, and whether a change in it is found.

use std::sync::Arc;

use vouchsafe::access_log::{Actor, Filter, Operation, Outcome, Record, Target};
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::ledger::{AeadSealer, verify, verify_export};

use super::{Bench, Report, Seen};

/// Looks for what `user` did, which was to activate the account and to sign in.
pub(super) async fn of(bench: &Bench, user: &UserId, report: &mut Report) {
    let records = records(bench, user).await;
    let holds = |test: &dyn Fn(&Record) -> bool, said: &str| -> Seen {
        let records = records.as_ref().map_err(String::clone)?;
        let signed_in = records.iter().any(|record| {
            record.operation == Operation::SignedIn && record.outcome == Outcome::Succeeded
        });
        if !signed_in {
            return Err("the probe signed in, and no record says so".to_owned());
        }
        match records.iter().all(test) {
            true => Ok(format!("each of {} records of the probe says {said}", records.len())),
            false => Err(format!("a record of the probe does not say {said}")),
        }
    };
    let of_user = |record: &Record| record.actor == Actor::User(user.clone());
    let of_now = |record: &Record| record.time >= bench.now;
    let of_target = |record: &Record| match &record.target {
        Target::Entity { id, .. } => !id.as_str().is_empty(),
        Target::Url(url) => !url.template().as_str().is_empty(),
    };
    report.push(("A1.4", holds(&|_| true, "what it did")));
    report.push(("A1.4a", holds(&of_now, "when")));
    report.push(("A1.4b", holds(&of_user, "who")));
    report.push(("A1.4c", holds(&of_target, "to what")));
    let told = [
        Operation::Activated,
        Operation::SignedIn,
        Operation::SessionUsed,
        Operation::PasswordChanged,
    ];
    report.push(("A1.4d", holds(&|record| told.contains(&record.operation), "which operation")));
    let of_source = |record: &Record| record.source == Bench::call().source();
    report.push(("A1.4e", holds(&of_source, "from where, or why that is not known")));
    let unknown = |record: &Record| record.source.address().is_none();
    report.push(("A1.5", holds(&unknown, "that there was no address, and was kept all the same")));
    report.push(("A1.6", export(bench, user).await));
}

async fn records(bench: &Bench, user: &UserId) -> Result<Vec<Record>, String> {
    let filter = Filter::tenant(bench.tenant.clone())
        .user(user.clone())
        .between(bench.now, vouchsafe::core::Timestamp::MAX);
    let ledger = Arc::clone(&bench.ledger);
    let page = tokio::task::spawn_blocking(move || ledger.query(&filter, None, 100)).await;
    let page = page.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(page
        .found
        .into_iter()
        .map(|found| found.record)
        .filter(|r| r.operation != Operation::Read)
        .collect())
}

/// An export verifies; with one byte changed, or as another tenant's, it does not.
async fn export(bench: &Bench, user: &UserId) -> Seen {
    let filter = Filter::tenant(bench.tenant.clone()).user(user.clone());
    let (ledger, tenant) = (Arc::clone(&bench.ledger), bench.tenant.clone());
    let checked = tokio::task::spawn_blocking(move || -> Seen {
        let told = |error: vouchsafe::ledger::LedgerError| error.to_string();
        let mut lines = Vec::new();
        ledger.export(&filter, &mut lines).map_err(told)?;
        let identity = ledger.identity();
        let report = verify_export(&mut lines.as_slice(), identity, &tenant).map_err(told)?;
        let other = TenantId::new("somebody-else").map_err(|error| error.to_string())?;
        if verify_export(&mut lines.as_slice(), identity, &other).is_ok() {
            return Err("an export passed for another tenant's".to_owned());
        }
        let middle = lines.len() / 2;
        if let Some(byte) = lines.get_mut(middle) {
            *byte ^= 1;
        }
        if verify_export(&mut lines.as_slice(), identity, &tenant).is_ok() {
            return Err("an export with a changed byte verified".to_owned());
        }
        Ok(format!(
            "an export of {} records verified, and with one byte changed did not",
            report.records
        ))
    });
    checked.await.map_err(|error| error.to_string())?
}

pub(super) async fn run(bench: &Bench) -> Report {
    vec![("A1.9", tampering(bench).await)]
}

/// The log verifies; a copy of its last file with one byte changed does not.
async fn tampering(bench: &Bench) -> Seen {
    let (ledger, folder) = (Arc::clone(&bench.ledger), bench.folders.log.clone());
    let root = bench.keyring.ledger_root();
    let copy = bench.folders.data.join("log-probe");
    let checked = tokio::task::spawn_blocking(move || -> Seen {
        let told = |error: std::io::Error| error.to_string();
        let sealer = AeadSealer::new(root);
        let head = ledger.head();
        verify(&folder, ledger.identity(), &sealer, head.as_ref(), &mut |_| ())
            .map_err(|error| error.to_string())?;
        let _ = std::fs::remove_dir_all(&copy);
        super::data::copy_private(&folder, &copy).map_err(told)?;
        let spoilt = spoil(&copy).map_err(told);
        let verdict = verify(&copy, ledger.identity(), &sealer, head.as_ref(), &mut |_| ());
        let _ = std::fs::remove_dir_all(&copy);
        spoilt?;
        match verdict {
            Err(error) => {
                Ok(format!("the log verified; a copy with one byte changed did not: {error}"))
            }
            Ok(_) => Err("a log with a changed byte verified".to_owned()),
        }
    });
    checked.await.map_err(|error| error.to_string())?
}

/// Changes a byte in the middle of what the largest file of a log holds.
fn spoil(folder: &std::path::Path) -> std::io::Result<()> {
    let mut largest: Option<(usize, std::path::PathBuf, Vec<u8>)> = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let bytes = std::fs::read(&path)?;
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        if largest.as_ref().is_none_or(|(most, ..)| used > *most) {
            largest = Some((used, path, bytes));
        }
    }
    let Some((used, path, mut bytes)) = largest else { return Ok(()) };
    if let Some(byte) = bytes.get_mut(used / 2) {
        *byte ^= 1;
    }
    std::fs::write(path, bytes)
}
