//! What cargo knows about the workspace.

use std::path::PathBuf;

use serde_json::Value;

use crate::Result;
use crate::run::{cargo, output, root};

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it goes to a registry.
    pub published: bool,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Names of its integration tests.
    pub tests: Vec<String>,
    /// Names of its programs.
    pub programs: Vec<String>,
}

/// An edge to another package.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The other package's name.
    pub name: String,
    /// Whether it is one of our own.
    pub ours: bool,
    /// Only for tests.
    pub dev: bool,
    /// Behind a feature.
    pub optional: bool,
    /// Whether a version is asked for, too.
    pub versioned: bool,
}

/// The packages of this workspace.
pub fn packages() -> Result<Vec<Package>> {
    let out = output(cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    parse(&out)
}

/// The packages of another one, by its manifest's path below the root.
pub fn packages_of(manifest: &str) -> Result<Vec<Package>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest];
    parse(&output(cargo(arguments))?)
}

/// Reads cargo's JSON.
pub fn parse(json: &str) -> Result<Vec<Package>> {
    let all: Value = serde_json::from_str(json).map_err(|e| format!("cargo metadata: {e}"))?;
    list(&all, "packages").map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let manifest = PathBuf::from(text(value, "manifest_path")?);
    let targets = |kind: &str| -> Result<Vec<String>> {
        list(value, "targets")
            .filter(|target| list(target, "kind").any(|k| k == kind))
            .map(|target| text(target, "name"))
            .collect()
    };
    Ok(Package {
        name: text(value, "name")?,
        version: text(value, "version")?,
        folder: manifest.parent().map(PathBuf::from).unwrap_or_else(root),
        // `publish` is a list of registries: absent for all, empty for none
        published: value.get("publish").and_then(Value::as_array).is_none_or(|l| !l.is_empty()),
        dependencies: list(value, "dependencies").map(dependency).collect::<Result<_>>()?,
        tests: targets("test")?,
        programs: targets("bin")?,
    })
}

fn dependency(value: &Value) -> Result<Dependency> {
    Ok(Dependency {
        name: text(value, "name")?,
        ours: value.get("path").is_some_and(Value::is_string),
        dev: value.get("kind").is_some_and(|kind| kind == "dev"),
        optional: value.get("optional").is_some_and(|optional| optional == true),
        versioned: text(value, "req")? != "*",
    })
}

fn text(value: &Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("cargo metadata without `{key}`"))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}
