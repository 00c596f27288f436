//! From a document to a policy: everything is checked, and every problem is found in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml_edit::{Item, Value as Toml};
use vouchsafe_core::PolicyDigest;

use crate::error::Problems;
use crate::policy::{Door, Head};
use crate::promise::{self, Known, prose};
use crate::read::{Reader, Source, is_class_name};
use crate::section;
use crate::{ClassPolicy, Policy, PolicyError};

/// The document format's version.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) fn from_file(path: &Path) -> Result<Policy, PolicyError> {
    let unreadable = |error| PolicyError::Unreadable { path: path.to_owned(), error };
    let name = path.display().to_string();
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more, however long the file is.
    let limit = u64::try_from(Policy::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Policy::parse(text, &name),
        // A character cut in half at the limit is no fault of the text's.
        Err(_) if bytes.len() > Policy::MAX_BYTES => Policy::parse(&" ".repeat(bytes.len()), &name),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let source_text = String::from_utf8_lossy(valid);
            let source = Source::new(&name, &source_text);
            source.report(source_text.len(), "", "expected UTF-8 text");
            Err(PolicyError::Invalid(source.into_problems()))
        }
    }
}

pub(crate) fn from_text(text: &str, name: &str) -> Result<Policy, Problems> {
    let source = Source::new(name, text);
    if text.len() > Policy::MAX_BYTES {
        source.report(0, "", format!("a document has at most {} bytes", Policy::MAX_BYTES));
        return Err(source.into_problems());
    }
    let document = match toml_edit::Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            // The message names what was expected and repeats nothing of the text; the error's own
            // `Display` would quote the line.
            let at = error.span().map_or(0, |span| span.start);
            source.report(at, "", format!("not TOML: {}", error.message()));
            return Err(source.into_problems());
        }
    };
    if let Some(at) = too_deep(document.as_table()) {
        let message = format!("tables and lists nest at most {} deep", Policy::MAX_NESTING);
        source.report(at, "", message);
        return Err(source.into_problems());
    }
    let policy = read(&source, Reader::new(&source, document.as_table(), "", 0));
    match policy {
        Some(policy) if source.is_clean() => Ok(policy),
        _ => Err(source.into_problems()),
    }
}

/// Where the document nests too deep, found without recursion.
fn too_deep(root: &toml_edit::Table) -> Option<usize> {
    let mut open: Vec<(&Item, usize)> = root.iter().map(|(_, item)| (item, 1)).collect();
    let mut values: Vec<(&Toml, usize)> = Vec::new();
    while let Some((item, depth)) = open.pop() {
        if depth > Policy::MAX_NESTING {
            return Some(item.span().map_or(0, |span| span.start));
        }
        let deeper = depth.saturating_add(1);
        match item {
            Item::None => {}
            Item::Value(value) => values.push((value, depth)),
            Item::Table(table) => open.extend(table.iter().map(|(_, item)| (item, deeper))),
            Item::ArrayOfTables(tables) => {
                let items = tables.iter().flat_map(toml_edit::Table::iter);
                open.extend(items.map(|(_, item)| (item, deeper)));
            }
        }
    }
    while let Some((value, depth)) = values.pop() {
        if depth > Policy::MAX_NESTING {
            return Some(value.span().map_or(0, |span| span.start));
        }
        let deeper = depth.saturating_add(1);
        match value {
            Toml::Array(list) => values.extend(list.iter().map(|value| (value, deeper))),
            Toml::InlineTable(table) => {
                values.extend(table.iter().map(|(_, value)| (value, deeper)));
            }
            _ => {}
        }
    }
    None
}

fn read<'a>(source: &'a Source<'a>, root: Reader<'a>) -> Option<Policy> {
    root.missing("schema");
    if root.count("schema").is_some_and(|schema| schema != SCHEMA) {
        root.report_at("schema", format!("this version of the library reads schema {SCHEMA}"));
    }
    let head = head(&root);
    let bounded = |key, max: usize| {
        let fits = root.length(key) <= max;
        if !fits {
            root.report_at(key, format!("at most {max} entries"));
        }
        fits
    };
    let max = Policy::MAX_PROMISES;
    if !bounded("promise", max) | !bounded("interpretation", max) {
        return None;
    }
    let shared = |name| root.table(name).unwrap_or_else(|| Reader::empty(source));
    let none = |_| Reader::empty(source);
    let lockout = section::read(&root, &none);
    let throttle = section::read(&root, &none);
    let classes = classes(&root, &shared);
    // Their keys are checked class by class; here they only become known.
    for (section, _) in ClassPolicy::SECTIONS {
        root.find(section);
    }
    let names: BTreeSet<&str> = classes.iter().map(|(name, _)| *name).collect();
    let is_field = |path: &str| Policy::is_field(path, &|class| names.contains(class));
    let mut known = Known { is_field: &is_field, promises: BTreeSet::new(), all: BTreeSet::new() };
    let mut promises = Vec::new();
    for table in root.tables("promise").unwrap_or_default() {
        promises.extend(promise::read_promise(table, &mut known));
    }
    let mut interpretations = Vec::new();
    for table in root.tables("interpretation").unwrap_or_default() {
        interpretations.extend(promise::read_interpretation(table, &mut known));
    }
    root.finish();
    let classes: Option<BTreeMap<_, _>> =
        classes.into_iter().map(|(name, class)| Some((name.to_owned(), class?))).collect();
    Some(Policy::new(
        head?,
        Door { lockout: lockout?, throttle: throttle? },
        classes?,
        promises,
        interpretations,
    ))
}

fn head(root: &Reader<'_>) -> Option<Head> {
    root.missing("name");
    let name = root.text("name").filter(|name| {
        let valid = is_name(name);
        if !valid {
            root.report_at("name", "expected up to 64 lower-case letters, digits, `.` and `-`");
        }
        valid
    });
    let title = prose(root, "title");
    let effective = root.date("effective");
    let supersedes = root.text("supersedes").and_then(|text| {
        let digest = digest(text);
        if digest.is_none() {
            root.report_at("supersedes", "expected a digest: 64 hexadecimal digits");
        }
        digest
    });
    Some(Head { name: name?.to_owned(), title: title?, effective, supersedes })
}

fn is_name(name: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= Policy::MAX_CLASS_NAME
        && name.bytes().all(letters)
}

fn digest(text: &str) -> Option<PolicyDigest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let from = index.checked_mul(2)?;
        *byte = u8::from_str_radix(text.get(from..from.checked_add(2)?)?, 16).ok()?;
    }
    Some(PolicyDigest::new(bytes))
}

fn classes<'a>(
    root: &Reader<'a>,
    shared: &dyn Fn(&'static str) -> Reader<'a>,
) -> Vec<(&'a str, Option<ClassPolicy>)> {
    root.missing("class");
    let tables = root.named_tables("class");
    if tables.len() > Policy::MAX_CLASSES {
        root.report_at("class", format!("at most {} user classes", Policy::MAX_CLASSES));
        return Vec::new();
    }
    if tables.is_empty() && root.find("class").is_some() {
        root.report_at("class", "a policy has one user class at least, such as [class.staff]");
    }
    let read = |(name, table): (&'a str, Reader<'a>)| {
        if !is_class_name(name) {
            table.report("a class is named by up to 64 lower-case letters, digits and `-`");
        }
        let class = ClassPolicy::read(&table, shared);
        table.finish();
        (name, class)
    };
    tables.into_iter().map(read).collect()
}
