//! The canonical document: one text for all the ways to write a policy.

use std::fmt::Write;

use vouchsafe_core::PolicyDigest;

use crate::load::SCHEMA;
use crate::section::Fields;
use crate::value::quoted;
use crate::{Policy, Substance};

/// What stands in front of the text when it is hashed, so that no other text hashes alike.
const LABEL: &[u8] = b"vouchsafe policy 1\n";

pub(crate) fn digest(policy: &Policy) -> PolicyDigest {
    let text = to_toml(policy);
    PolicyDigest::new(vouchsafe_crypto::sha256(&[LABEL, text.as_bytes()].concat()))
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

pub(crate) fn to_toml(policy: &Policy) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_policy(&mut out, policy);
    out
}

fn write_policy(out: &mut String, policy: &Policy) -> std::fmt::Result {
    let head = &policy.head;
    writeln!(out, "schema = {SCHEMA}")?;
    writeln!(out, "name = {}", quoted(&head.name))?;
    writeln!(out, "title = {}", quoted(&head.title))?;
    if let Some(date) = head.effective {
        let (year, month, day) = date.to_calendar_date();
        writeln!(out, "effective = {year:04}-{:02}-{day:02}", u8::from(month))?;
    }
    if let Some(digest) = head.supersedes {
        writeln!(out, "supersedes = \"{digest}\"")?;
    }
    write_sections(out, "", policy.door.fields())?;
    for (name, class) in policy.classes() {
        write_sections(out, &format!("class.{name}."), class.fields())?;
    }
    for promise in policy.promises() {
        writeln!(out, "\n[[promise]]\nid = {}", quoted(promise.id.as_str()))?;
        writeln!(out, "text = {}", quoted(&promise.text))?;
        match &promise.substance {
            Substance::NoPromise { reason } => writeln!(out, "no_promise = {}", quoted(reason))?,
            Substance::Promise { kinds, claim } => {
                writeln!(out, "kinds = {}", list(kinds))?;
                let parts = [
                    ("subject", Some(claim.subject.to_string())),
                    ("action", Some(claim.action.to_string())),
                    ("object", Some(claim.object.to_string())),
                    ("modality", Some(claim.modality.to_string())),
                    ("manner", claim.manner.as_ref().map(ToString::to_string)),
                    ("exception", claim.exception.as_ref().map(ToString::to_string)),
                ];
                let written = |(name, part): (&str, Option<String>)| {
                    part.map(|part| format!("{name} = {}", quoted(&part)))
                };
                let parts: Vec<_> = parts.into_iter().filter_map(written).collect();
                writeln!(out, "claim = {{ {} }}", parts.join(", "))?;
            }
        }
        writeln!(out, "rests_on = {}", list(&promise.rests_on))?;
    }
    for reading in policy.interpretations() {
        writeln!(out, "\n[[interpretation]]\nid = {}", quoted(reading.id.as_str()))?;
        writeln!(out, "of = {}", list(&reading.of))?;
        writeln!(out, "question = {}", quoted(&reading.question))?;
        writeln!(out, "answer = {}", quoted(&reading.answer))?;
        writeln!(out, "rests_on = {}", list(&reading.rests_on))?;
    }
    Ok(())
}

fn write_sections(
    out: &mut String,
    prefix: &str,
    sections: Vec<(&'static str, Fields)>,
) -> std::fmt::Result {
    for (section, fields) in sections {
        writeln!(out, "\n[{prefix}{section}]")?;
        for (field, value) in fields {
            writeln!(out, "{field} = {}", value.to_toml())?;
        }
    }
    Ok(())
}
