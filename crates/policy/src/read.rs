//! Reading tables strictly: whatever is wrong is noted with its place, and reading goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml_edit::{Item, TableLike, Value as Toml};

use crate::error::{Problem, Problems};
use crate::{Policy, units};

/// More than this many problems are not listed: a person reads them.
const MAX_PROBLEMS: usize = 1_000;

/// A document's text, and what was found wrong with it so far.
pub(crate) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    problems: RefCell<BTreeSet<Problem>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, problems: RefCell::default() }
    }

    /// Notes a problem. The same one, found by two readers of one table, is noted once.
    pub(crate) fn report(&self, at: usize, path: &str, message: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            let path = path.chars().take(200).collect();
            problems.insert(Problem::new(self.position(at), path, message.into()));
        }
    }

    /// Line and column, from 1, of a byte offset.
    fn position(&self, at: usize) -> (u32, u32) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let column = before.get(start..).map_or(0, |line| line.chars().count());
        let from_one = |n: usize| u32::try_from(n.saturating_add(1)).unwrap_or(u32::MAX);
        (from_one(line), from_one(column))
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub(crate) fn into_problems(self) -> Problems {
        Problems::new(self.name.to_owned(), self.problems.into_inner().into_iter().collect())
    }
}

/// One table of the document, possibly laid over another: a key of the upper layer wins.
pub(crate) struct Reader<'a> {
    source: &'a Source<'a>,
    /// The upper one first.
    layers: Vec<Layer<'a>>,
    known: RefCell<BTreeSet<&'static str>>,
}

struct Layer<'a> {
    table: &'a dyn TableLike,
    path: String,
    at: usize,
}

/// A value found under a key.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    item: &'a Item,
    at: usize,
    layer: usize,
}

fn start(span: Option<Range<usize>>, otherwise: usize) -> usize {
    span.map_or(otherwise, |span| span.start)
}

/// Stands in a path for a key that the format does not know: it may be a secret, and its place says
/// which one it is.
const UNKNOWN: &str = "?";

/// Whether a class may have this name, and a path show it: lower-case letters, digits and `-`.
pub(crate) fn is_class_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= Policy::MAX_CLASS_NAME
        && name.bytes().all(letter)
}

/// `path.key`, or just the key at the top.
fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        source: &'a Source<'a>,
        table: &'a dyn TableLike,
        path: &str,
        at: usize,
    ) -> Self {
        let layers = vec![Layer { table, path: path.to_owned(), at }];
        Self { source, layers, known: RefCell::default() }
    }

    pub(crate) fn empty(source: &'a Source<'a>) -> Self {
        Self { source, layers: Vec::new(), known: RefCell::default() }
    }

    /// This table laid over `below`.
    pub(crate) fn over(mut self, below: Self) -> Self {
        self.layers.extend(below.layers);
        self
    }

    /// Where the table stands, for a problem that is about no single key.
    pub(crate) fn report(&self, message: impl Into<String>) {
        let (at, path) = self.layers.first().map_or((0, ""), |l| (l.at, l.path.as_str()));
        self.source.report(at, path, message);
    }

    /// Notes a problem at `key`, or at the table when the key is absent.
    pub(crate) fn report_at(&self, key: &'static str, message: impl Into<String>) {
        match self.find(key) {
            Some(found) => self.report_found(key, found, message),
            None => self.report(message),
        }
    }

    fn report_found(&self, key: &str, found: Found<'_>, message: impl Into<String>) {
        self.source.report(found.at, &self.path_of(key, found.layer), message);
    }

    fn path_of(&self, key: &str, layer: usize) -> String {
        joined(self.layers.get(layer).map_or("", |layer| &layer.path), key)
    }

    pub(crate) fn find(&self, key: &'static str) -> Option<Found<'a>> {
        self.known.borrow_mut().insert(key);
        self.layers.iter().enumerate().find_map(|(layer, Layer { table, at, .. })| {
            let (name, item) = table.get_key_value(key)?;
            let at = start(item.span().or_else(|| name.span()), *at);
            Some(Found { item, at, layer })
        })
    }

    fn value<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Toml) -> Option<T>,
    ) -> Option<T> {
        let found = self.find(key)?;
        let value = found.item.as_value().and_then(read);
        if value.is_none() {
            let kind = found.item.type_name();
            let right_kind = match kind {
                "integer" => expected.starts_with("a whole number"),
                "string" => expected.contains("as text") || expected.starts_with("one of"),
                _ => false,
            };
            let but = if right_kind {
                format!("expected {expected}")
            } else {
                format!("expected {expected}, found {} {kind}", article(kind))
            };
            self.report_found(key, found, but);
        }
        value
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<&'a str> {
        self.value(key, "a text", Toml::as_str)
    }

    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        self.value(key, "true or false", Toml::as_bool)
    }

    pub(crate) fn count(&self, key: &'static str) -> Option<u32> {
        self.value(key, "a whole number from 0 to 4294967295, without a unit", |value| {
            u32::try_from(value.as_integer()?).ok()
        })
    }

    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.value(key, units::DURATION, |value| units::parse_duration(value.as_str()?))
    }

    pub(crate) fn size(&self, key: &'static str) -> Option<u64> {
        self.value(key, units::SIZE, |value| units::parse_size(value.as_str()?))
    }

    /// A calendar date, as `2018-04-09`.
    pub(crate) fn date(&self, key: &'static str) -> Option<time::Date> {
        self.value(key, "a date without a time, such as 2018-04-09", |value| {
            let value = value.as_datetime()?;
            let date = match (value.date, value.time) {
                (Some(date), None) => date,
                _ => return None,
            };
            let month = time::Month::try_from(date.month).ok()?;
            time::Date::from_calendar_date(date.year.into(), month, date.day).ok()
        })
    }

    /// One of a fixed list of words.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>();
        self.value(key, &format!("one of {}", list.join(", ")), |value| {
            let text = value.as_str()?;
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
        })
    }

    /// A list of texts, each with its place.
    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<(&'a str, usize)>> {
        let array = self.value(key, "a list of texts", Toml::as_array)?;
        let found = self.find(key)?;
        let mut texts = Vec::with_capacity(array.len());
        for value in array {
            let at = start(value.span(), found.at);
            match value.as_str() {
                Some(text) => texts.push((text, at)),
                None => {
                    self.source.report(at, &self.path_of(key, found.layer), "expected a text");
                }
            }
        }
        Some(texts)
    }

    pub(crate) fn report_place(&self, key: &'static str, at: usize, message: impl Into<String>) {
        let layer = self.find(key).map_or(0, |found| found.layer);
        self.source.report(at, &self.path_of(key, layer), message);
    }

    /// The table under `key`.
    pub(crate) fn table(&self, key: &'static str) -> Option<Self> {
        let found = self.find(key)?;
        self.sub_table(key, found)
    }

    /// The table under `key`, or else the meaning of the word that stands in its place.
    pub(crate) fn table_or<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<Result<Self, T>> {
        let found = self.find(key)?;
        let text = found.item.as_str();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| Some(*word) == text) {
            return Some(Err(*meaning));
        }
        if !found.item.is_table_like() {
            let or: String = words.iter().map(|(word, _)| format!(", or \"{word}\"")).collect();
            self.report_found(key, found, format!("expected a table{or}"));
            return None;
        }
        self.sub_table(key, found).map(Ok)
    }

    fn sub_table(&self, key: &str, found: Found<'a>) -> Option<Self> {
        match found.item.as_table_like() {
            Some(table) => {
                let path = self.path_of(key, found.layer);
                Some(Self::new(self.source, table, &path, found.at))
            }
            None => {
                self.report_found(key, found, "expected a table");
                None
            }
        }
    }

    /// Every table under `key`, by its name in the document's order: `[class.staff]` and so on. A
    /// name that is none is not shown.
    pub(crate) fn named_tables(&self, key: &'static str) -> Vec<(&'a str, Self)> {
        let Some(all) = self.table(key) else { return Vec::new() };
        let mut tables = Vec::new();
        for Layer { table, at, .. } in &all.layers {
            for (name, item) in table.iter() {
                let at = start(item.span(), *at);
                let found = Found { item, at, layer: 0 };
                let shown = if is_class_name(name) { name } else { UNKNOWN };
                tables.extend(all.sub_table(shown, found).map(|table| (name, table)));
            }
        }
        tables
    }

    /// The tables of a list: `[[promise]]`, or `[{ .. }, { .. }]`.
    pub(crate) fn tables(&self, key: &'static str) -> Option<Vec<Self>> {
        let found = self.find(key)?;
        let path = |index: usize| format!("{}[{index}]", self.path_of(key, found.layer));
        if let Some(tables) = found.item.as_array_of_tables() {
            let reader = |(index, table): (usize, &'a toml_edit::Table)| {
                Self::new(self.source, table, &path(index), start(table.span(), found.at))
            };
            return Some(tables.iter().enumerate().map(reader).collect());
        }
        let Some(array) = found.item.as_array() else {
            self.report_found(key, found, "expected a list of tables");
            return None;
        };
        let mut readers = Vec::with_capacity(array.len());
        for (index, value) in array.iter().enumerate() {
            let at = start(value.span(), found.at);
            match value.as_inline_table() {
                Some(table) => readers.push(Self::new(self.source, table, &path(index), at)),
                None => self.source.report(at, &path(index), "expected a table"),
            }
        }
        Some(readers)
    }

    /// How many entries a list has, before anything is done with them.
    pub(crate) fn length(&self, key: &'static str) -> usize {
        self.find(key).map_or(0, |found| match found.item {
            Item::ArrayOfTables(tables) => tables.len(),
            Item::Value(Toml::Array(array)) => array.len(),
            _ => 0,
        })
    }

    /// Notes a missing key.
    pub(crate) fn missing(&self, key: &'static str) {
        if self.find(key).is_none() {
            self.report(format!("`{key}` is missing"));
        }
    }

    /// Notes every key that nobody asked for. To be called last.
    pub(crate) fn finish(self) {
        let known = self.known.into_inner();
        for Layer { table, path, at } in &self.layers {
            for (key, item) in table.iter() {
                if known.contains(key) {
                    continue;
                }
                let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                let nearest = nearest(key, &known);
                let hint =
                    nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let path = joined(path, UNKNOWN);
                self.source.report(start(span, *at), &path, format!("unknown key{hint}"));
            }
        }
    }
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// The known key that differs by one or two letters, if there is one.
fn nearest<'k>(key: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let close =
        |candidate: &&&str| candidate.len() > 2 && key.len() <= 64 && distance(key, candidate) <= 2;
    known.iter().find(close).copied()
}

/// Edit distance (Levenshtein), row by row.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (to, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal.saturating_add(usize::from(from != to));
            diagonal = *cell;
            *cell = substituted.min(left.saturating_add(1)).min(diagonal.saturating_add(1));
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}
