//! One record, one line of CSV (RFC 4180) that a spreadsheet cannot be tricked with.

use std::net::IpAddr;

use vouchsafe_core::{PolicyDigest, Source};

use crate::json::{actor_kind, hex, outcome_kind, reason, source_kind, unavailable_name};
use crate::record::{Actor, Record, Target};

const COLUMNS: [&str; 20] = [
    "index",
    "time",
    "tenant",
    "actor",
    "actor_id",
    "operation",
    "url",
    "query",
    "query_withheld",
    "entity",
    "entity_id",
    "outcome",
    "reason",
    "application",
    "source",
    "address",
    "shared_source",
    "policy",
    "clause",
    "repeats",
];

impl Record {
    /// The header line of [`to_csv`](Self::to_csv), with its line end.
    #[must_use]
    pub fn csv_header() -> String {
        line(COLUMNS.map(str::to_owned))
    }

    /// The record as one CSV line, with its line end; `index` is its number in the log, where it
    /// has one.
    ///
    /// Every cell is quoted. A cell that a spreadsheet might take for a formula (it starts with
    /// `=`, `+`, `-`, `@`, their full-width forms, or an apostrophe) has one apostrophe put in
    /// front; a reader takes one leading apostrophe off to have the value back.
    #[must_use]
    pub fn to_csv(&self, index: Option<u64>) -> String {
        let actor_id = match &self.actor {
            Actor::User(user) => user.as_str().to_owned(),
            Actor::Service(name) => name.as_str().to_owned(),
            Actor::Unauthenticated { claimed } => {
                claimed.map(|claimed| hex(claimed.as_bytes())).unwrap_or_default()
            }
        };
        let [url, query, withheld, kind, id] = match &self.target {
            Target::Url(url) => {
                // A kept value has no `&` in it, and a name neither: the cell splits again.
                let query: Vec<String> =
                    url.query().iter().map(|(key, value)| format!("{key}={value}")).collect();
                [
                    url.template().to_string(),
                    query.join("&"),
                    url.withheld().to_string(),
                    String::new(),
                    String::new(),
                ]
            }
            Target::Entity { kind, id } => {
                [String::new(), String::new(), String::new(), kind.to_string(), id.to_string()]
            }
        };
        let source = match self.source {
            Source::Direct(_) => source_kind(&self.source).to_owned(),
            Source::Forwarded { hops, .. } => format!("forwarded:{hops}"),
            Source::Unavailable(reason) => format!("unavailable:{}", unavailable_name(reason)),
        };
        let address = self.source.address().map(|address| IpAddr::to_string(&address.ip()));
        let policy = match self.policy {
            PolicyDigest::NONE => String::new(),
            policy => policy.to_string(),
        };
        line([
            index.map(|index| index.to_string()).unwrap_or_default(),
            self.time.to_string(),
            self.tenant.as_str().to_owned(),
            actor_kind(&self.actor).to_owned(),
            actor_id,
            self.operation.to_string(),
            url,
            query,
            withheld,
            kind,
            id,
            outcome_kind(&self.outcome).to_owned(),
            reason(&self.outcome).unwrap_or_default().to_owned(),
            self.application.to_string(),
            source,
            address.unwrap_or_default(),
            self.shared_source.to_string(),
            policy,
            self.clause.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.repeats.to_string(),
        ])
    }
}

fn line(cells: [String; COLUMNS.len()]) -> String {
    let mut out = String::new();
    for cell in cells {
        if !out.is_empty() {
            out.push(',');
        }
        out.push('"');
        if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\'', '＝', '＋', '－', '＠']) {
            out.push('\'');
        }
        for character in cell.chars() {
            // RFC 4180, 2.7. No field can hold a line break; one that could would lose it here
            // rather than end the line.
            match character {
                '"' => out.push_str("\"\""),
                '\r' | '\n' => out.push('\u{fffd}'),
                plain => out.push(plain),
            }
        }
        out.push('"');
    }
    out.push_str("\r\n");
    out
}
