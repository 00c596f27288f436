//! The runs side by side with other people's crates.

use crate::Result;
use crate::metadata::packages;
use crate::run::{cargo, succeed};

/// `peers [--json] [CASE..]`: hands the words on to the program in benches/.
pub fn run(arguments: &[String]) -> Result<()> {
    let all = packages()?;
    let found = all.iter().find(|package| package.programs.iter().any(|name| name == "peers"));
    let package = found.ok_or("no package of the workspace has a program `peers`")?;
    let mut command =
        cargo(["run", "--quiet", "--release", "--package", &package.name, "--bin", "peers", "--"]);
    command.args(arguments);
    succeed(command)
}
