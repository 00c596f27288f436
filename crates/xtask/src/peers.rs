//! The runs side by side with other people's crates.

use crate::Result;
use crate::run::{cargo, succeed};

/// `peers [--json] [CASE..]`: hands the words on to the program in benches/, which is a workspace of
/// its own so that the ordinary tests need not compile the peers.
pub fn run(arguments: &[String]) -> Result<()> {
    let words = ["run", "--quiet", "--release", "--manifest-path", "benches/Cargo.toml"];
    let mut command = cargo(words.into_iter().chain(["--target-dir", "target/peers", "--"]));
    command.args(arguments);
    succeed(command)
}
