//! Verifies a log's export, or a whole log directory, without the program that wrote it.
//!
//! Exit status: 0 it verifies, 1 it does not, 2 it could not be looked at.

use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use vouchsafe_core::TenantId;
use vouchsafe_crypto::RootKey;
use vouchsafe_ledger::{
    AeadSealer, Checkpoint, Identity, LedgerError, Progress, verify, verify_export,
};

const USAGE: &str = "\
verify EXPORT --log KEY --tenant TENANT [--json]
verify DIRECTORY --log KEY --sealing-key FILE [--head FILE] [--json]

  KEY          who the log is: origin+hash+key, as `Ledger::identity` prints it
  --tenant     whose export it is
  --sealing-key  a file with the 32 bytes that the directory's entries are sealed under
  --head       a checkpoint of this log that was kept elsewhere; the log must continue it
  --json       the result as one JSON object";

/// The three ways it can end.
enum Ending {
    Verified { records: u64, head: Option<Checkpoint>, tail: u64 },
    Bad(String),
    Unable(String),
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let before = arguments.len();
    arguments.retain(|argument| argument != "--json");
    let json = arguments.len() < before;
    let ending = run(arguments).unwrap_or_else(Ending::Unable);
    let (status, code) = match &ending {
        Ending::Verified { .. } => ("verified", 0),
        Ending::Bad(_) => ("bad", 1),
        Ending::Unable(_) => ("unable", 2),
    };
    match ending {
        Ending::Verified { records, head, tail } if json => {
            let note = head.map(|head| head.as_str().replace('\n', "\\n")).unwrap_or_default();
            let peak = peak_memory().map_or("null".to_owned(), |bytes| bytes.to_string());
            println!(
                "{{\"status\":\"{status}\",\"records\":{records},\"tail_bytes\":{tail},\
                 \"peak_memory_bytes\":{peak},\"head\":\"{note}\"}}"
            );
        }
        Ending::Verified { records, head, tail } => {
            println!("verified: {records} records");
            if tail > 0 {
                println!("behind the last checkpoint: {tail} bytes that nobody was promised");
            }
            if let Some(head) = head {
                println!("\n{}", head.as_str());
            }
        }
        Ending::Bad(what) | Ending::Unable(what) if json => {
            let what = what.escape_default().to_string().replace("\\'", "'");
            println!("{{\"status\":\"{status}\",\"error\":\"{what}\"}}");
        }
        Ending::Bad(what) => eprintln!("does not verify: {what}"),
        Ending::Unable(what) => eprintln!("{what}"),
    }
    ExitCode::from(code)
}

fn run(arguments: Vec<String>) -> Result<Ending, String> {
    let (mut path, mut log, mut tenant, mut key, mut head) = (None, None, None, None, None);
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let place = match argument.as_str() {
            "--log" => &mut log,
            "--tenant" => &mut tenant,
            "--sealing-key" => &mut key,
            "--head" => &mut head,
            _ if argument.starts_with("--") || path.is_some() => return Err(USAGE.to_owned()),
            _ => {
                path = Some(argument);
                continue;
            }
        };
        *place = Some(rest.next().ok_or(USAGE)?);
    }
    let (path, log) = (path.ok_or(USAGE)?, log.ok_or(USAGE)?);
    let identity = Identity::parse(&log).map_err(|error| format!("--log: {error}"))?;
    if let Some(tenant) = tenant {
        let tenant = TenantId::new(&tenant).map_err(|error| format!("--tenant: {error}"))?;
        let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        let report = verify_export(&mut BufReader::new(file), &identity, &tenant);
        return Ok(report.map_or_else(ending, |report| Ending::Verified {
            records: report.records,
            head: Some(report.head),
            tail: 0,
        }));
    }
    let key = key.ok_or(USAGE)?;
    let secret = std::fs::read(&key).map_err(|error| format!("{key}: {error}"))?;
    let secret = secret.as_slice().try_into().map_err(|_| format!("{key}: not 32 bytes"))?;
    let sealer = AeadSealer::new(RootKey::new(secret));
    let known = match head {
        None => None,
        Some(path) => {
            let note = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
            Some(Checkpoint::parse(&note, &identity).map_err(|e| format!("{path}: {e}"))?)
        }
    };
    let terminal = std::io::stderr().is_terminal();
    let mut show = |progress: Progress| {
        if terminal {
            bar(progress);
        }
    };
    let verified = verify(Path::new(&path), &identity, &sealer, known.as_ref(), &mut show);
    if terminal {
        eprintln!();
    }
    Ok(verified.map_or_else(ending, |verified| Ending::Verified {
        records: verified.head.as_ref().map_or(0, Checkpoint::size),
        head: verified.head,
        tail: verified.tail,
    }))
}

fn ending(error: LedgerError) -> Ending {
    match error {
        LedgerError::Io { .. }
        | LedgerError::Mode { .. }
        | LedgerError::Kind { .. }
        | LedgerError::Owner { .. } => Ending::Unable(error.to_string()),
        _ => Ending::Bad(error.to_string()),
    }
}

/// The most memory this process has had at once, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn bar(progress: Progress) {
    let done = progress.segments.saturating_mul(40).checked_div(progress.of_segments).unwrap_or(40);
    let bar: String = (0..40).map(|at| if at < done { '#' } else { '.' }).collect();
    eprint!("\r[{bar}] {} records", progress.records);
    let _ = std::io::stderr().flush();
}
