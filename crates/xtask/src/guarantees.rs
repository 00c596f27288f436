//! What is promised, and does each named test exist?
//!
//! Each crate's GUARANTEES.md has, for each promise:
//!
//! ```text
//! ### LK-1 (store)
//! The promise, in whole sentences.
//!
//! Tests: `crates/lockout/tests/race.rs::ten_thousand_begins`, `..`
//! Open: what is still missing, or `none`
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;
use crate::metadata::packages;
use crate::promises;
use crate::run::root;
use crate::tests_in::{Found, code_only, find, macros_called};

/// A promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// `LK-1`.
    pub id: String,
    /// What must be in place for it to hold: alone, store, facade or web.
    pub mark: String,
    /// The crate that promises.
    pub package: String,
    /// The promise.
    pub text: String,
    /// The tests that show it: `file::function`, with modules between where there are any.
    pub tests: Vec<String>,
    /// What is still missing.
    pub open: Option<String>,
}

/// `guarantees [--json | --write]`.
pub fn run(arguments: &[String]) -> Result<()> {
    let (as_json, write) = match arguments {
        [] => (false, false),
        [one] if one == "--json" => (true, false),
        [one] if one == "--write" => (false, true),
        _ => return Err("`guarantees` takes nothing but --json or --write".into()),
    };
    let all = all()?;
    check(&all)?;
    promises::table(&all, write)?;
    if as_json {
        let array: Vec<Value> = all.iter().map(as_value).collect();
        println!("{}", Value::Array(array));
    } else {
        for g in &all {
            let open = if g.open.is_some() { "open" } else { "" };
            let crate_name = &g.package;
            println!(
                "{:<7} {:<8} {crate_name:<24} {:>2} tests  {open}",
                g.id,
                g.mark,
                g.tests.len()
            );
        }
        let open = all.iter().filter(|g| g.open.is_some()).count();
        println!("{} guarantees, {open} with something open", all.len());
    }
    Ok(())
}

fn as_value(g: &Guarantee) -> Value {
    json!({"id": g.id, "crate": g.package, "text": g.text, "tests": g.tests, "open": g.open})
}

/// Every promise of the workspace, read but not checked.
pub fn all() -> Result<Vec<Guarantee>> {
    let mut all = Vec::new();
    for package in packages()? {
        let file = package.folder.join("GUARANTEES.md");
        if let Ok(text) = fs::read_to_string(&file) {
            let problem = |e| format!("{}: {e}", file.display());
            all.extend(parse(&text, &package.name).map_err(problem)?);
        }
    }
    Ok(all)
}

/// Reads one GUARANTEES.md.
fn parse(text: &str, package: &str) -> Result<Vec<Guarantee>> {
    let mut found = Vec::new();
    for section in format!("\n{text}").split("\n### ").skip(1) {
        // A section ends where the next chapter begins.
        let section = section.split("\n## ").next().unwrap_or(section);
        found.push(promise(section, package)?);
    }
    Ok(found)
}

fn promise(section: &str, package: &str) -> Result<Guarantee> {
    let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
    let (id, mark) = heading
        .trim()
        .strip_suffix(')')
        .and_then(|heading| heading.split_once(" ("))
        .ok_or_else(|| format!("`### {heading}` is not `### ID (mark)`"))?;
    if !is_id(id) {
        return Err(format!("`{id}` is not an id such as LK-1"));
    }
    if !["alone", "store", "facade", "web"].contains(&mark) {
        return Err(format!("{id}: `{mark}` is not alone, store, facade or web"));
    }
    let missing = |what: &str| format!("{id}: no line `{what}`");
    let (text, rest) = body.split_once("\nTests:").ok_or_else(|| missing("Tests:"))?;
    let (tests, open) = rest.split_once("\nOpen:").ok_or_else(|| missing("Open:"))?;
    let text = one_line(text);
    let tests: Vec<String> = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let open = one_line(open);
    if text.is_empty() || open.is_empty() || tests.is_empty() {
        return Err(format!("{id}: the promise, its tests or what is open is empty"));
    }
    let nothing = open.trim_matches(['`', '.']).eq_ignore_ascii_case("none");
    Ok(Guarantee {
        id: id.into(),
        mark: mark.into(),
        package: package.into(),
        text,
        tests,
        open: (!nothing).then_some(open),
    })
}

/// Two or more capitals, a dash, a number.
fn is_id(id: &str) -> bool {
    id.split_once('-').is_some_and(|(area, number)| {
        area.len() >= 2
            && area.bytes().all(|b| b.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ids are unique, and each named test exists and is not ignored.
pub fn check(all: &[Guarantee]) -> Result<()> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    let sources = Sources::read()?;
    for g in all {
        if !ids.insert(&g.id) {
            problems.push(format!("{}: promised twice", g.id));
        }
        for test in &g.tests {
            if let Err(problem) = sources.has_test(test) {
                problems.push(format!("{}: `{test}`: {problem}", g.id));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The named tests that are not among `passed`, the names that libtest printed.
pub fn not_run(all: &[Guarantee], passed: &BTreeSet<String>) -> Vec<String> {
    let tests = all.iter().flat_map(|g| g.tests.iter().map(move |test| (g, test)));
    let ran = |name: &str| {
        let inner = format!("::{name}");
        passed.iter().any(|printed| printed == name || printed.ends_with(&inner))
    };
    tests
        .filter(|(_, test)| !test.split_once("::").is_some_and(|(_, name)| ran(name)))
        .map(|(g, test)| format!("{}: `{test}` did not run and pass", g.id))
        .collect()
}

/// Every Rust file of the workspace, comments and literals blanked.
struct Sources(Vec<(PathBuf, String)>);

impl Sources {
    fn read() -> Result<Self> {
        let mut files = Vec::new();
        for folder in ["crates", "examples", "benches", "fuzz"] {
            rust_files(&root().join(folder), &mut files);
        }
        let read = |file: PathBuf| match fs::read_to_string(&file) {
            Ok(text) => Ok((file, code_only(&text))),
            Err(e) => Err(format!("{}: {e}", file.display())),
        };
        files.into_iter().map(read).collect::<Result<_>>().map(Self)
    }

    fn has_test(&self, test: &str) -> Result<()> {
        let (file, name) = test.split_once("::").ok_or("not `file::function`")?;
        let function = name.rsplit("::").next().unwrap_or(name);
        let path = root().join(file);
        let (_, source) =
            self.0.iter().find(|(known, _)| *known == path).ok_or("there is no such file")?;
        match find(source, function) {
            Found::Test => Ok(()),
            Found::Ignored => Err("is ignored".into()),
            Found::Function => Err("is a function, but not a test".into()),
            Found::Nothing if self.made_by_macro(source, function) => Ok(()),
            Found::Nothing => Err("there is no such function".into()),
        }
    }

    /// Whether a macro that `source` calls defines the test, here or elsewhere in the workspace.
    fn made_by_macro(&self, source: &str, function: &str) -> bool {
        macros_called(source).into_iter().any(|called| {
            let definition = format!("macro_rules! {called} ");
            self.0.iter().any(|(_, text)| {
                let body = text.split_once(&definition).map_or("", |(_, body)| body);
                let body = body.split("macro_rules!").next().unwrap_or(body);
                body.contains("#[test]")
                    && body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == function)
            })
        })
    }
}

/// Adds the Rust files below `folder`.
pub fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if !path.ends_with("target") {
                rust_files(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Guarantees\n\nWords.\n\n### LK-1 (store)\nAt most N\nfailures.\n\n\
        Tests: `crates/xtask/src/guarantees.rs::tests::reads_the_form`,\n\
        `crates/xtask/src/run.rs::tests::counts_what_libtest_prints`\nOpen: the pepper\n\n\
        ### LK-2 (alone)\nMore.\n\nTests: `crates/xtask/src/run.rs::nowhere`\nOpen: none\n\n## Notes\nx\n";

    #[test]
    fn reads_the_form() {
        let found = parse(GOOD, "vouchsafe-lockout").unwrap();
        assert_eq!(found.len(), 2);
        let (first, second) = (&found[0], &found[1]);
        assert_eq!((first.id.as_str(), first.mark.as_str()), ("LK-1", "store"));
        assert_eq!(first.text, "At most N failures.");
        assert_eq!(first.tests.len(), 2);
        assert_eq!(first.open.as_deref(), Some("the pepper"));
        assert_eq!(second.open, None);
        let value = as_value(second);
        assert_eq!(value["crate"], "vouchsafe-lockout");
        assert!(value["open"].is_null());
    }

    #[test]
    fn refuses_other_forms() {
        for (from, to) in [
            ("LK-1 (store)", "LK-1"),
            ("LK-1 (store)", "LK-1 (sometimes)"),
            ("LK-1 (store)", "LK1 (store)"),
            ("Open: the pepper", "Open:"),
            ("Open: the pepper", "Closed: the pepper"),
            ("Tests: `crates/xtask/src/run.rs::nowhere`", "Tests: later"),
            ("At most N\nfailures.", ""),
        ] {
            assert!(parse(&GOOD.replace(from, to), "p").is_err(), "{to}");
        }
    }

    #[test]
    fn a_test_that_is_not_there_is_found_out() {
        let mut all = parse(GOOD, "p").unwrap();
        let problem = check(&all).unwrap_err();
        assert_eq!(problem, "LK-2: `crates/xtask/src/run.rs::nowhere`: there is no such function");
        all.truncate(1);
        assert_eq!(check(&all), Ok(()));
        let twice = [all.clone(), all.clone()].concat();
        assert_eq!(check(&twice), Err("LK-1: promised twice".into()));
        all[0].tests = vec!["crates/xtask/src/guarantees.rs::rust_files".into()];
        assert!(check(&all).unwrap_err().ends_with("is a function, but not a test"));
    }

    #[test]
    fn a_test_that_did_not_run_is_found_out() {
        let all = parse(GOOD, "p").unwrap();
        let ran = |names: &[&str]| {
            not_run(&all, &names.iter().map(|&name| name.to_owned()).collect()).len()
        };
        assert_eq!(ran(&[]), 3);
        assert_eq!(ran(&["guarantees::tests::reads_the_form", "nowhere"]), 1);
        assert_eq!(ran(&["xtests::reads_the_form"]), 3);
    }
}
