//! Each engine's section: how a document writes it, and how it is compared and joined.
//!
//! The engines check their own numbers; here a field gets its name, its unit and its default.

mod access;
mod data;
mod door;

use std::time::Duration;

use crate::compare::Witness;
use crate::read::Reader;
use crate::{Value, units};

/// A section's values by field.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// A section of the document.
pub(crate) trait Section: Sized {
    /// Its table's name.
    const NAME: &'static str;
    /// Its keys.
    const FIELDS: &'static [&'static str];

    /// Reads it, noting every problem. What the table leaves out has the engine's default.
    fn read(table: &Reader<'_>) -> Option<Self>;

    /// Every field's value, in the order of [`FIELDS`](Self::FIELDS).
    fn fields(&self) -> Fields;

    /// What this protects against less than `baseline` does.
    fn weakening(&self, baseline: &Self) -> Option<Witness>;

    /// The weakest section no weaker than either, or why there is none.
    fn joined(&self, other: &Self) -> Result<Self, String>;

    fn weakened(&self, baseline: &Self) -> Option<(&'static str, Witness)> {
        self.weakening(baseline).map(|witness| (Self::NAME, witness))
    }
}

/// Reads a section of `table`, laid over what `shared` has under the same name.
pub(crate) fn read<'a, S: Section>(
    table: &Reader<'a>,
    shared: &dyn Fn(&'static str) -> Reader<'a>,
) -> Option<S> {
    let reader = match table.table(S::NAME) {
        Some(own) => own.over(shared(S::NAME)),
        None => shared(S::NAME),
    };
    let section = S::read(&reader);
    reader.finish();
    section
}

/// A word of the document and its meaning.
type Words<T> = [(&'static str, T)];

fn word<T: PartialEq + Copy>(words: &Words<T>, meaning: T) -> Value {
    let found = words.iter().find(|(_, known)| *known == meaning);
    Value::word(found.map_or("", |(word, _)| word))
}

/// Notes every problem that an engine has with its numbers, at the field it names.
fn note<T, E: ToString>(
    table: &Reader<'_>,
    built: Result<T, Vec<E>>,
    field: impl Fn(&E) -> Option<&'static str>,
) -> Option<T> {
    match built {
        Ok(section) => Some(section),
        Err(problems) => {
            for problem in problems {
                match field(&problem) {
                    Some(key) => table.report_at(key, problem.to_string()),
                    None => table.report(problem.to_string()),
                }
            }
            None
        }
    }
}

/// What was read, or the default where the key is absent. Where it is there and cannot be read, which
/// has been noted, `unread` stands in, so that the other fields are still checked: a value that makes
/// no other field wrong.
fn given<T>(table: &Reader<'_>, key: &'static str, read: Option<T>, default: T, unread: T) -> T {
    match read {
        Some(value) => value,
        None if table.find(key).is_none() => default,
        None => unread,
    }
}

/// Where a limit may be left away, the document says so with this word.
const NONE: &str = "none";

/// A duration, or the word for none.
fn optional_duration(
    table: &Reader<'_>,
    key: &'static str,
    default: Option<Duration>,
) -> Option<Duration> {
    if table.find(key).is_none() {
        return default;
    }
    let text = table.text(key).filter(|text| *text != NONE)?;
    let duration = units::parse_duration(text);
    if duration.is_none() {
        table.report_at(key, format!("expected {}, or \"{NONE}\"", units::DURATION));
    }
    duration
}

fn optional(duration: Option<Duration>) -> Value {
    duration.map_or_else(|| Value::word(NONE), Value::Duration)
}
