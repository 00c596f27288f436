//! What a tenant takes away: its records, each with the proof that the log holds it.
//!
//! ```text
//! {"format":"vouchsafe-ledger-export-1","checkpoint":"<signed note>","tenant":"<tenant>"}
//! {"index":7,"entry":"<base64>","proof":["<base64>",..],"record":{..}}
//! {"records":1}
//! ```
//! `entry` is what the tree commits to; `record` shows it to people and must be exactly what the
//! entry says. One form only: whatever is not written as above does not verify.

use std::fmt::Write as _;
use std::io::{BufRead, Read, Write};
use std::path::Path;

use base64ct::{Base64, Encoding};
use vouchsafe_access_log::Filter;
use vouchsafe_core::TenantId;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::note::{Checkpoint, Identity};
use crate::scan::entry_record;
use crate::tree::{BUNDLE, Hash, leaf_hash, verify_inclusion};

const HEAD: &str = "{\"format\":\"vouchsafe-ledger-export-1\",\"checkpoint\":\"";
/// No line that is written is longer: an entry in base64, 64 hashes, and the record as text.
const MAX_LINE: u64 = 512 << 10;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// The checkpoint that the proofs lead to.
    pub head: Checkpoint,
    /// How many records.
    pub records: u64,
}

impl Ledger {
    /// Writes the records that `filter` chooses, oldest first, with their proofs.
    ///
    /// Each record is proven to be in the log; that none was left out is not proven.
    /// Reads the whole log, on the caller's thread.
    ///
    /// # Errors
    /// [`LedgerError`]; what has been written by then has no last line and does not verify.
    pub fn export(
        &self,
        filter: &Filter,
        out: &mut dyn Write,
    ) -> Result<ExportReport, LedgerError> {
        let (tree, head) = self.shared.read(|state| (state.tree.clone(), state.head.clone()));
        let head = head.ok_or(LedgerError::Checkpoint("the log is empty"))?;
        let mut put = |line: String| {
            out.write_all(line.as_bytes()).map_err(LedgerError::io("write", Path::new("export")))
        };
        put(head_line(&head, filter.of_tenant()))?;
        let mut records = 0_u64;
        for bundle in 0..tree.size().div_ceil(BUNDLE) {
            let first = bundle.saturating_mul(BUNDLE);
            let entries = self.shared.bundle(bundle)?;
            let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            for (index, entry) in (first..tree.size()).zip(&entries) {
                let chosen = entry_record(entry).is_some_and(|record| filter.matches(&record));
                if !chosen {
                    continue;
                }
                let line = tree
                    .path(index, &leaves)
                    .and_then(|proof| record_line(index, entry, &proof))
                    .ok_or(LedgerError::Checkpoint("no proof for a record"))?;
                put(line)?;
                records = records.saturating_add(1);
            }
        }
        put(last_line(records))?;
        Ok(ExportReport { head, records })
    }
}

fn head_line(head: &Checkpoint, tenant: &TenantId) -> String {
    let note = head.as_str().replace('\n', "\\n");
    let tenant = tenant.as_str().replace('\\', "\\\\").replace('"', "\\\"");
    format!("{HEAD}{note}\",\"tenant\":\"{tenant}\"}}\n")
}

fn record_line(index: u64, entry: &[u8], proof: &[Hash]) -> Option<String> {
    let record = entry_record(entry)?;
    let mut line =
        format!("{{\"index\":{index},\"entry\":\"{}\",\"proof\":[", Base64::encode_string(entry));
    for (at, hash) in proof.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(line, "{comma}\"{}\"", Base64::encode_string(hash));
    }
    let _ = writeln!(line, "],\"record\":{}}}", record.to_json(None));
    Some(line)
}

fn last_line(records: u64) -> String {
    format!("{{\"records\":{records}}}\n")
}

/// Verifies an export offline, line by line: needs the log's identity and the tenant, both known
/// from elsewhere.
///
/// # Errors
/// [`LedgerError::Export`] names the first bad line.
pub fn verify_export(
    export: &mut dyn BufRead,
    identity: &Identity,
    tenant: &TenantId,
) -> Result<ExportReport, LedgerError> {
    let mut lines = Lines { export, number: 0 };
    let first = lines.next()?;
    let head = read_head(&first, identity)
        .filter(|head| head_line(head, tenant) == first)
        .ok_or_else(|| lines.bad("not the head of this tenant's export from this log"))?;
    let mut records = 0_u64;
    let mut least = 0;
    loop {
        let line = lines.next()?;
        if line == last_line(records) {
            break;
        }
        let (index, entry, proof) = read_line(&line).ok_or_else(|| lines.bad("not a record"))?;
        if record_line(index, &entry, &proof).as_deref() != Some(line.as_str()) {
            return Err(lines.bad("the record shown is not the entry"));
        }
        if index < least {
            return Err(lines.bad("out of order, or twice"));
        }
        if entry_record(&entry).is_none_or(|record| record.tenant != *tenant) {
            return Err(lines.bad("another tenant's record"));
        }
        let leaf = leaf_hash(&entry);
        if !verify_inclusion(index, head.size(), &leaf, &proof, head.root()) {
            return Err(lines.bad("the log does not hold this record"));
        }
        least = index.saturating_add(1);
        records = records.saturating_add(1);
    }
    let mut more = [0];
    match lines.export.read(&mut more) {
        Ok(0) => Ok(ExportReport { head, records }),
        _ => Err(lines.bad("something follows the end")),
    }
}

fn read_head(line: &str, identity: &Identity) -> Option<Checkpoint> {
    let (note, _) = line.strip_prefix(HEAD)?.split_once("\",\"tenant\":\"")?;
    Checkpoint::parse(&note.replace("\\n", "\n"), identity).ok()
}

fn read_line(line: &str) -> Option<(u64, Vec<u8>, Vec<Hash>)> {
    let (index, rest) = line.strip_prefix("{\"index\":")?.split_once(",\"entry\":\"")?;
    let (entry, rest) = rest.split_once("\",\"proof\":[")?;
    let (proof, _) = rest.split_once("],\"record\":")?;
    let mut hashes = Vec::new();
    for hash in proof.split(',').filter(|_| !proof.is_empty()) {
        let hash = hash.strip_prefix('"')?.strip_suffix('"')?;
        hashes.push(Base64::decode_vec(hash).ok()?.try_into().ok()?);
    }
    Some((index.parse().ok()?, Base64::decode_vec(entry).ok()?, hashes))
}

struct Lines<'a> {
    export: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<String, LedgerError> {
        self.number = self.number.saturating_add(1);
        let mut line = Vec::new();
        let read = (&mut *self.export).take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(LedgerError::io("read", Path::new("export")))?;
        if line.last() != Some(&b'\n') {
            return Err(self.bad("the export ends early"));
        }
        String::from_utf8(line).map_err(|_| self.bad("not text"))
    }

    const fn bad(&self, what: &'static str) -> LedgerError {
        LedgerError::Export { line: self.number, what }
    }
}
