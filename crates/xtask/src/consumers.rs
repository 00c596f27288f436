//! Can a stranger use the packed crates?
//!
//! Each crate is packed as it would be for a registry and unpacked again; a generated patch table
//! tells cargo that the unpacked folders are what the registry has. Then each program in
//! consumers/ is built and run: it names one Vouchsafe crate, does the job of that crate's README
//! and fails when the answer is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::metadata::{Package, packages, packages_of};
use crate::run::{cargo, output, root, succeed};

/// The facade with SQLite brings no more crates than this, itself included.
const MOST_CRATES_OF_THE_FACADE: usize = 90;

/// Packs, builds and runs.
pub fn run() -> Result<()> {
    in_folder(&root().join("target/consumers"), false)
}

/// The same in an empty folder: nothing of an earlier build helps.
pub fn run_cold() -> Result<()> {
    in_folder(&root().join("target/consumers-cold"), true)
}

fn in_folder(folder: &Path, cold: bool) -> Result<()> {
    if cold && folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let consumers = packages_of("consumers/Cargo.toml")?;
    for consumer in &consumers {
        names_one_crate(consumer)?;
    }
    let table = pack(folder)?;
    println!("{:<24} {:>7} {:>9} {:>12}", "consumer", "crates", "seconds", "bytes");
    for consumer in &consumers {
        let name = consumer.name.as_str();
        let start = Instant::now();
        succeed(with(&table, folder, &["run", "--quiet", "--release", "--package", name]))?;
        let seconds = start.elapsed().as_secs_f64();
        let tree = ["tree", "--package", name, "--edges", "normal", "--prefix", "none"];
        let crates = distinct(&output(with(&table, folder, &tree))?);
        let program = folder.join("build/release").join(name);
        let bytes =
            fs::metadata(&program).map_err(|e| format!("{}: {e}", program.display()))?.len();
        println!("{name:<24} {crates:>7} {seconds:>9.1} {bytes:>12}");
        if name == "consumer-facade" && crates > MOST_CRATES_OF_THE_FACADE {
            return Err(format!("the facade brings {crates} crates"));
        }
    }
    Ok(())
}

/// cargo in consumers/, knowing the unpacked crates.
fn with(table: &Path, folder: &Path, words: &[&str]) -> Command {
    let mut command = cargo(["--config"]);
    command.arg(table).args(words).current_dir(root().join("consumers"));
    command.env("CARGO_TARGET_DIR", folder.join("build"));
    command
}

/// Packs and unpacks every published crate; the patch table's file.
fn pack(folder: &Path) -> Result<PathBuf> {
    let published: Vec<Package> = packages()?.into_iter().filter(|p| p.published).collect();
    let mut command = cargo(["package", "--quiet", "--no-verify", "--allow-dirty"]);
    command.args(published.iter().flat_map(|package| ["--package", &package.name]));
    command.arg("--target-dir").arg(folder);
    succeed(command)?;
    let packed = folder.join("package");
    let unpacked = folder.join("unpacked");
    let broken = |e: std::io::Error| format!("{}: {e}", unpacked.display());
    fs::create_dir_all(&unpacked).map_err(broken)?;
    let mut table = String::from("[patch.crates-io]\n");
    for package in &published {
        let stem = format!("{}-{}", package.name, package.version);
        unpack(&packed.join(format!("{stem}.crate")), &unpacked, &stem)?;
        let path = unpacked.join(&stem);
        table.push_str(&format!("{} = {{ path = {path:?} }}\n", package.name));
    }
    let file = folder.join("patch.toml");
    fs::write(&file, table).map_err(broken)?;
    Ok(file)
}

/// Unpacks an archive, but leaves alone what has not changed: cargo rebuilds what looks newer.
fn unpack(archive: &Path, folder: &Path, stem: &str) -> Result<()> {
    let broken = |e: std::io::Error| format!("{}: {e}", archive.display());
    let bytes = fs::read(archive).map_err(broken)?;
    let seen = folder.join(format!("{stem}.seen"));
    if fs::read(&seen).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let target = folder.join(stem);
    if target.exists() {
        fs::remove_dir_all(&target).map_err(broken)?;
    }
    let mut command = Command::new("tar");
    command.arg("-xzmf").arg(archive).arg("-C").arg(folder);
    succeed(command)?;
    fs::write(seen, bytes).map_err(broken)
}

/// A consumer names the one crate it is about, in its dependencies and in its code.
fn names_one_crate(consumer: &Package) -> Result<()> {
    let named: Vec<_> =
        consumer.dependencies.iter().filter(|d| d.name.starts_with("vouchsafe")).collect();
    let [only] = named.as_slice() else {
        return Err(format!("{} depends on {} Vouchsafe crates", consumer.name, named.len()));
    };
    if only.ours {
        return Err(format!("{} depends on a path, not on a version", consumer.name));
    }
    let file = consumer.folder.join("src/main.rs");
    let code = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    match foreign_name(&code, &only.name.replace('-', "_")) {
        None => Ok(()),
        Some(name) => Err(format!("{} names {name}", file.display())),
    }
}

/// A Vouchsafe crate in `code` other than `own`.
fn foreign_name<'a>(code: &'a str, own: &str) -> Option<&'a str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .find(|word| (*word == "vouchsafe" || word.starts_with("vouchsafe_")) && *word != own)
}

/// How many different packages `cargo tree` printed.
fn distinct(tree: &str) -> usize {
    let mut lines: Vec<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_package_once() {
        assert_eq!(distinct("a v1\nb v1\nb v1 (*)\nb v2\n\n"), 3);
    }

    #[test]
    fn another_crate_in_the_code_is_found() {
        assert_eq!(foreign_name("use vouchsafe_session::Token;", "vouchsafe_session"), None);
        let both = "use vouchsafe_session::Token; use vouchsafe_core::Clock;";
        assert_eq!(foreign_name(both, "vouchsafe_session"), Some("vouchsafe_core"));
        assert_eq!(foreign_name("vouchsafe::session", "vouchsafe_session"), Some("vouchsafe"));
    }
}
