//! Formatting, clippy, rustdoc, file lengths, reasons, licences.

use std::fs;

use crate::Result;
use crate::guarantees::rust_files;
use crate::metadata::{Package, packages};
use crate::run::{cargo, output, root, shown, succeed};

/// A file of more lines is two files.
const LONGEST: usize = 600;

/// What tests may do and libraries may not.
const TESTS_MAY: [&str; 9] = [
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::unreachable",
    "clippy::indexing_slicing",
    "clippy::string_slice",
    "clippy::arithmetic_side_effects",
    "clippy::disallowed_methods",
    "missing_docs",
];

/// Everything that can be said without running a test.
pub fn run() -> Result<()> {
    let packages = packages()?;
    let checks: [(&str, &dyn Fn() -> Result<()>); 8] = [
        ("formatting", &formatting),
        ("lengths", &lengths),
        ("reasons", &|| reasons(&read("Cargo.toml")?)),
        ("licences", &|| licences(&packages)),
        ("documents", &|| documents(&packages)),
        ("clippy", &clippy),
        ("clippy of tests", &clippy_of_tests),
        ("rustdoc", &rustdoc),
    ];
    let mut problems = Vec::new();
    for (name, check) in checks {
        match check() {
            Ok(()) => println!("{name}: ok"),
            Err(problem) => {
                println!("{name}: FAILED\n{problem}");
                problems.push(name);
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join(", ")) }
}

fn formatting() -> Result<()> {
    succeed(cargo(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let targets = ["--lib", "--bins", "--examples"];
    let words = ["clippy", "--quiet", "--workspace", "--all-features"].into_iter();
    succeed(cargo(words.chain(targets).chain(["--", "-D", "warnings"])))
}

fn clippy_of_tests() -> Result<()> {
    let words = ["clippy", "--quiet", "--workspace", "--all-features", "--tests", "--"].into_iter();
    let allowed = TESTS_MAY.into_iter().flat_map(|lint| ["-A", lint]);
    succeed(cargo(words.chain(["-D", "warnings"]).chain(allowed)))
}

fn rustdoc() -> Result<()> {
    let mut command = cargo(["doc", "--quiet", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    succeed(command)
}

fn lengths() -> Result<()> {
    let mut files = Vec::new();
    for folder in ["crates", "examples", "benches", "consumers", "fuzz"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut problems = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let lines = text.lines().count();
        if lines > LONGEST {
            problems.push(format!("{}: {lines} lines, more than {LONGEST}", file.display()));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Each dependency on somebody else's crate says why it is there.
fn reasons(manifest: &str) -> Result<()> {
    let section = manifest.split_once("[workspace.dependencies]").map_or("", |(_, rest)| rest);
    let section = section.split("\n[").next().unwrap_or(section);
    let silent = section.lines().filter(|line| {
        let entry = line.split_once('=').is_some_and(|_| !line.starts_with('#'));
        let reason = line.rsplit_once(" # ").is_some_and(|(_, reason)| !reason.trim().is_empty());
        entry && !line.contains("path = \"crates/") && !reason
    });
    let silent: Vec<&str> = silent.collect();
    if silent.is_empty() {
        Ok(())
    } else {
        Err(format!("Cargo.toml: no `# reason` behind\n{}", silent.join("\n")))
    }
}

/// Each published crate is packed with both licences and its README.
fn licences(packages: &[Package]) -> Result<()> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.published) {
        let command = cargo(["package", "--list", "--allow-dirty", "--package", &package.name]);
        let named = shown(&command);
        let packed = output(command).map_err(|e| format!("{named}: {e}"))?;
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
            if !packed.lines().any(|line| line == file) {
                problems.push(format!("{} is packed without {file}", package.name));
            }
        }
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let copy = fs::read_to_string(package.folder.join(file)).unwrap_or_default();
            if copy != read(file)? {
                problems.push(format!("{}: {file} is not the root's", package.name));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The root's documents: links lead somewhere, and an example stands in some crate's README too,
/// where it is compiled and run.
fn documents(packages: &[Package]) -> Result<()> {
    let readmes: Vec<String> = packages
        .iter()
        .filter_map(|package| fs::read_to_string(package.folder.join("README.md")).ok())
        .map(|text| shown_lines(&text))
        .collect();
    let mut problems = Vec::new();
    let documents = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    for document in documents {
        let text = read(document)?;
        for link in links(&text).filter(|link| !root().join(link).exists()) {
            problems.push(format!("{document}: `{link}` does not exist"));
        }
        for example in examples(&text) {
            if !readmes.iter().any(|readme| readme.contains(example)) {
                problems.push(format!("{document}: no crate's README has the example\n{example}"));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Targets of `[text](target)` inside the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next())
}

/// The blocks of Rust.
fn examples(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("\n```rust").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter_map(|block| block.split_once('\n')).map(|(_, lines)| lines)
}

/// Without the lines that documentation hides.
fn shown_lines(text: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("# "));
    lines.collect()
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let head = "[workspace.dependencies]\nours = { path = \"crates/ours\" }\n# a chapter = x\n";
        assert_eq!(
            reasons(&format!("{head}ring = \"0.17\" # the provider\n[profile.dev]\nx = 1")),
            Ok(())
        );
        assert!(
            reasons(&format!("{head}ring = \"0.17\"\n")).unwrap_err().ends_with("ring = \"0.17\"")
        );
        assert!(reasons(&format!("{head}ring = \"0.17\" # \n")).is_err());
    }

    #[test]
    fn finds_links_and_examples() {
        let text = "a [b](c/d#e) [f](https://g) \n```rust,no_run\nlet x = 1;\n```\n```sh\ny\n```";
        assert_eq!(links(text).collect::<Vec<_>>(), ["c/d"]);
        assert_eq!(examples(text).collect::<Vec<_>>(), ["let x = 1;"]);
        assert_eq!(shown_lines("# use x;\nlet y = 1;\n# Ok(())\n"), "let y = 1;\n");
    }

    #[test]
    fn the_workspace_is_short_and_says_its_reasons() {
        assert_eq!(lengths(), Ok(()));
        assert_eq!(reasons(&read("Cargo.toml").unwrap()), Ok(()));
    }
}
