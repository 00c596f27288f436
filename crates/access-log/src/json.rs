//! One record, one line of JSON.

use std::fmt::Write as _;

use vouchsafe_core::{PolicyDigest, Source, Unavailable};

use crate::record::{Actor, Outcome, Record, Target};

impl Record {
    /// The record as one JSON object without a line break, its keys in a fixed order; `index` is
    /// its number in the log, where it has one.
    #[must_use]
    pub fn to_json(&self, index: Option<u64>) -> String {
        let mut object = Object::default();
        if let Some(index) = index {
            object.raw("index", index);
        }
        object.text("time", &self.time.to_string());
        object.text("tenant", self.tenant.as_str());
        object.text("actor", actor_kind(&self.actor));
        match &self.actor {
            Actor::User(user) => object.text("actor_id", user.as_str()),
            Actor::Service(name) => object.text("actor_id", name.as_str()),
            Actor::Unauthenticated { claimed: Some(claimed) } => {
                object.text("claimed", &hex(claimed.as_bytes()));
            }
            Actor::Unauthenticated { claimed: None } => object.raw("claimed", "null"),
        }
        object.text("operation", self.operation.as_str());
        match &self.target {
            Target::Url(url) => {
                object.text("url", url.template().as_str());
                let mut query = String::from("[");
                for (key, value) in url.query() {
                    if query.len() > 1 {
                        query.push(',');
                    }
                    query.push('[');
                    push_string(&mut query, key.as_str());
                    query.push(',');
                    push_string(&mut query, value.as_str());
                    query.push(']');
                }
                query.push(']');
                object.raw("query", query);
                object.raw("query_withheld", url.withheld());
            }
            Target::Entity { kind, id } => {
                object.text("entity", kind.as_str());
                object.text("entity_id", id.as_str());
            }
        }
        object.text("outcome", outcome_kind(&self.outcome));
        if let Some(reason) = reason(&self.outcome) {
            object.text("reason", reason);
        }
        object.text("application", self.application.as_str());
        object.text("source", source_kind(&self.source));
        match &self.source {
            Source::Unavailable(reason) => {
                object.text("source_unavailable", unavailable_name(*reason));
            }
            Source::Direct(address) => object.text("address", &address.ip().to_string()),
            Source::Forwarded { client, hops } => {
                object.text("address", &client.ip().to_string());
                object.raw("hops", hops);
            }
        }
        object.raw("shared_source", self.shared_source);
        match self.policy {
            PolicyDigest::NONE => object.raw("policy", "null"),
            policy => object.text("policy", &policy.to_string()),
        }
        match &self.clause {
            Some(clause) => object.text("clause", clause.as_str()),
            None => object.raw("clause", "null"),
        }
        object.raw("repeats", self.repeats);
        object.close()
    }
}

pub(crate) const fn actor_kind(actor: &Actor) -> &'static str {
    match actor {
        Actor::User(_) => "user",
        Actor::Service(_) => "service",
        Actor::Unauthenticated { .. } => "unauthenticated",
    }
}

pub(crate) const fn outcome_kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Refused(_) => "refused",
        Outcome::Failed(_) => "failed",
    }
}

pub(crate) fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Succeeded => None,
        Outcome::Refused(reason) | Outcome::Failed(reason) => Some(reason.as_str()),
    }
}

pub(crate) const fn source_kind(source: &Source) -> &'static str {
    match source {
        Source::Direct(_) => "direct",
        Source::Forwarded { .. } => "forwarded",
        Source::Unavailable(_) => "unavailable",
    }
}

pub(crate) const fn unavailable_name(reason: Unavailable) -> &'static str {
    match reason {
        Unavailable::Local => "local",
        Unavailable::Unreadable => "unreadable",
        Unavailable::TooLong => "too_long",
        // And any reason that core gains later, until it has a name here.
        _ => "hidden",
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[derive(Default)]
struct Object(String);

impl Object {
    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        push_string(&mut self.0, key);
        self.0.push(':');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_string(&mut self.0, value);
    }

    fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        let _ = write!(self.0, "{value}");
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Nothing in a record can be one of these; escaped all the same, so that a line stays
            // a line whatever a field's type allows one day.
            control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}
