//! FA-15: what must not compile does not, and the compiler says what to do instead.
//!
//! Each file under `misuse/` is one misuse, with its remedy under `cfg(fixed)`: without it there is
//! an error that names the remedy, and with it there is none. What rustc says in full is in
//! `misuse/snapshots.txt`, to be read, and compared when rustc is the one that it was written with;
//! `VOUCHSAFE_SNAPSHOTS=write` writes it anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

struct Misuse {
    name: String,
    path: PathBuf,
    /// Its one line.
    what: String,
    /// The code of the error or lint.
    code: String,
    /// The words that name the remedy.
    fix: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/misuse")
}

fn misuses() -> Vec<Misuse> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let mut line = |start: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(start));
            line.unwrap_or_else(|| panic!("{name}: no `{start}`")).to_owned()
        };
        let (what, code, fix) = (line("//! "), line("//! error: "), line("//! fix: "));
        found.push(Misuse { name, path, what, code, fix });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The facades that cargo has built beside this test, newest first: the first is at least as new as
/// the one that this test was built with.
fn libraries() -> Vec<PathBuf> {
    let exe = std::env::current_exe().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(exe.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.starts_with("libvouchsafe-") && name.ends_with(".rlib") {
            found.push((entry.metadata().unwrap().modified().unwrap(), entry.path()));
        }
    }
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// What rustc says of these files, each a module of one crate.
fn compile<'a>(
    library: &Path,
    misuses: impl IntoIterator<Item = &'a Misuse>,
    fixed: bool,
) -> Vec<Value> {
    let mut root = "#![deny(unused_must_use)]\n".to_owned();
    for Misuse { name, path, .. } in misuses {
        writeln!(root, "#[path = {path:?}]\npub mod {name};").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("misuse.rs");
    std::fs::write(&source, root).unwrap();
    let mut rustc = rustc();
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json"]);
    rustc.args(["--check-cfg=cfg(fixed)", "-Aunused-imports", "-Aunused-variables", "-Adead-code"]);
    rustc.arg("-Aunreachable-code").arg("--out-dir").arg(folder.path());
    rustc.arg("--extern").arg(format!("vouchsafe={}", library.display()));
    rustc.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    if fixed {
        rustc.arg("--cfg=fixed");
    }
    let output = rustc.arg(&source).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(output.status.success(), said.iter().all(|said| said["level"] != "error"));
    said
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A message with its labels and notes, without places and sources, and without lists that get longer
/// with the features that were built unless they name the remedy.
fn rendered(said: &Value, fix: &str) -> String {
    let mut out = String::new();
    let code = text(&said["code"]["code"]);
    writeln!(out, "{}[{code}]: {}", text(&said["level"]), text(&said["message"])).unwrap();
    let labels = |out: &mut String, said: &Value| {
        for label in said["spans"].as_array().into_iter().flatten() {
            if let Some(label) = label["label"].as_str() {
                writeln!(out, "    {label}").unwrap();
            }
        }
    };
    labels(&mut out, said);
    let passing = ["the following other types", "the lint level is defined", "use `let _ ="];
    for child in said["children"].as_array().into_iter().flatten() {
        let message = text(&child["message"]).replace('\n', "\n    ");
        let mut note = format!("  {}: {message}\n", text(&child["level"]));
        labels(&mut note, child);
        if note.contains(fix) || !passing.iter().any(|start| message.starts_with(start)) {
            out.push_str(&note);
        }
    }
    out
}

/// The errors of each file, by its name.
fn errors(said: &[Value]) -> BTreeMap<String, Vec<&Value>> {
    let mut errors = BTreeMap::<_, Vec<_>>::new();
    // The last one counts the others.
    for error in said.iter().filter(|s| s["level"] == "error" && !s["spans"][0].is_null()) {
        let primary = error["spans"].as_array().unwrap().iter().find(|s| s["is_primary"] == true);
        let file = Path::new(text(&primary.unwrap()["file_name"])).file_stem().unwrap();
        errors.entry(file.to_str().unwrap().to_owned()).or_default().push(error);
    }
    errors
}

#[test]
fn twenty_misuses_do_not_compile_and_are_told_the_remedy() {
    let misuses = misuses();
    let mut tried = Vec::new();
    let library = libraries().into_iter().find(|library| {
        let said = compile(library, &misuses, true);
        let errors = said.iter().filter(|said| said["level"] == "error");
        tried.extend(errors.map(|error| rendered(error, "")));
        said.iter().all(|said| said["level"] != "error")
    });
    let library = library.unwrap_or_else(|| panic!("with the remedies: {}", tried.join("\n")));
    // Apart by code: rustc does not look for what comes later in a crate with an early error.
    let codes: BTreeSet<_> = misuses.iter().map(|misuse| &misuse.code).collect();
    let version = String::from_utf8(rustc().arg("-V").output().unwrap().stdout).unwrap();
    let mut snapshots = BTreeMap::new();
    for code in codes {
        let of = || misuses.iter().filter(|misuse| misuse.code == *code);
        let said = compile(&library, of(), false);
        let errors = errors(&said);
        for Misuse { name, what, fix, .. } in of() {
            let errors = errors.get(name).map(Vec::as_slice).unwrap_or_default();
            let of_code = errors.iter().filter(|error| error["code"]["code"] == **code);
            let of_code: String = of_code.map(|error| rendered(error, fix)).collect();
            assert!(!of_code.is_empty(), "{name}: no {code} in {errors:#?}");
            assert!(of_code.contains(fix.as_str()), "{name}: no word of `{fix}` in\n{of_code}");
            let said: String = errors.iter().map(|error| rendered(error, fix)).collect();
            snapshots.insert(name, format!("\n{name}: {what}\n{said}"));
        }
    }
    assert!(snapshots.len() >= 20, "{}", snapshots.len());
    let now: String = [version.clone()].into_iter().chain(snapshots.into_values()).collect();
    let path = folder().join("snapshots.txt");
    if std::env::var_os("VOUCHSAFE_SNAPSHOTS").is_some_and(|how| how == "write") {
        std::fs::write(&path, &now).unwrap();
    }
    let before = std::fs::read_to_string(&path).unwrap();
    if before.starts_with(&version) {
        assert!(before == now, "not as in {}: is this what it should say?\n{now}", path.display());
    }
}
