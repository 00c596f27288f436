//! The runs side by side with other people's crates.

use crate::Result;
use crate::metadata::packages_of;
use crate::run::{cargo, root, succeed};

const MANIFEST: &str = "benches/Cargo.toml";

/// `peers [--json] [CASE..]`: hands the words on to the program in benches/.
pub fn run(arguments: &[String]) -> Result<()> {
    let all = packages_of(MANIFEST)?;
    let known = all.iter().any(|package| package.programs.iter().any(|name| name == "peers"));
    if !known {
        return Err(format!("{MANIFEST} has no program `peers`"));
    }
    let words =
        ["run", "--quiet", "--release", "--manifest-path", MANIFEST, "--bin", "peers", "--"];
    let mut command = cargo(words);
    command.args(arguments).env("CARGO_TARGET_DIR", root().join("target/peers"));
    succeed(command)
}
