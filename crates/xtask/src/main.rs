//! The workspace's own tasks. `cargo xtask help` lists them.
//!
//! | file | question it answers |
//! |---|---|
//! | `all` | what `test` and `long` run, in which order |
//! | `run` | how a command is run, timed and its tests counted |
//! | `needs` | what a machine must have, and how it gets it |
//! | `lint` | formatting, clippy, rustdoc, lengths, reasons, licences |
//! | `edges` | which crate may depend on which |
//! | `guarantees` | what is promised, and does each named test exist |
//! | `tests_in` | is there such a test in this source text |
//! | `consumers` | can a stranger use the packed crates |
//! | `fuzz`, `peers` | the fuzzers; the runs against other people's crates |
//! | `metadata` | what cargo knows about the workspace |

#![expect(clippy::disallowed_methods, reason = "a tool that times its own steps")]

mod all;
mod consumers;
mod edges;
mod fuzz;
mod guarantees;
mod lint;
mod metadata;
mod needs;
mod peers;
mod promises;
mod run;
mod tests_in;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test                     all checks and tests; ends with `N passed, N failed`
cargo xtask long [STEP..]            the same with full counts, or some of its steps, and the
                                     mutants; results go to docs/long-runs.md
cargo xtask lint                     formatting, clippy, rustdoc, file lengths, reasons, licences
cargo xtask edges                    who may depend on whom
cargo xtask guarantees [--json]      every promise with the tests that show it; --write: their table
cargo xtask consumers                strangers that use the packed crates
cargo xtask fuzz [--seconds N] [TARGET..]   each fuzz target for N seconds (60)
cargo xtask peers [--json] [CASE..]  side by side with other people's crates
";

/// What went wrong, in a sentence for whoever ran the task.
type Result<T, E = String> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let done = match task {
        "test" => no_arguments(rest).and_then(|()| all::test()),
        "long" => all::long(rest),
        "lint" => no_arguments(rest).and_then(|()| lint::run()),
        "edges" => no_arguments(rest).and_then(|()| edges::run()),
        "guarantees" => guarantees::run(rest),
        "consumers" => no_arguments(rest).and_then(|()| consumers::run()),
        "fuzz" => fuzz::run(rest),
        "peers" => peers::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no task `{other}`\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if !problem.is_empty() {
                eprintln!("xtask: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

fn no_arguments(rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(argument) => Err(format!("unexpected argument `{argument}`")),
    }
}
