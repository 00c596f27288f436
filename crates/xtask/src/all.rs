//! What `test` and `long` run, in which order.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use crate::metadata::packages;
use crate::run::{Step, Tally, cargo, output, root, works};
use crate::{Result, consumers, edges, guarantees, lint, needs};

/// All checks and tests.
pub fn test() -> Result<()> {
    let (steps, tally) = everything(false);
    conclude(&steps, &tally)
}

/// The same with full counts, then the mutants; the results are written down.
pub fn long() -> Result<()> {
    let (mut steps, tally) = everything(true);
    steps.push(Step::time("mutants", mutants));
    let written = write_down(&steps, &tally);
    conclude(&steps, &tally).and(written)
}

fn everything(long: bool) -> (Vec<Step>, Tally) {
    let mut tally = Tally::default();
    let quiet = |done: Result<()>| done.map(|()| String::new());
    let mut steps = vec![
        Step::time("needs", needs::ensure),
        Step::time("lint", || quiet(lint::run())),
        Step::time("edges", || quiet(edges::run())),
        Step::time("guarantees", || quiet(guarantees::run(&[]))),
    ];
    let (ordinary, timing) = match targets() {
        Ok(targets) => targets,
        Err(problem) => {
            steps.push(Step::time("targets", || Err(problem)));
            return (steps, tally);
        }
    };
    let mut counted = |name, command: Command| {
        let mut command = command;
        if long {
            command.env("VOUCHSAFE_LONG", "1");
        }
        steps.push(Step::time(name, || {
            let before = tally.passed;
            tally.run(command)?;
            Ok(format!("{} passed", tally.passed.saturating_sub(before)))
        }));
    };
    let words = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    let mut tests = cargo(words.into_iter().chain(["--lib", "--bins", "--examples"]));
    tests.args(ordinary.iter().flat_map(|name| ["--test", name]));
    counted("tests", tests);
    counted("doctests", cargo(words.into_iter().chain(["--doc"])));
    if root().join("crates/store/tests/loom.rs").exists() {
        counted("loom", loom());
    }
    if root().join("fuzz/Cargo.toml").exists() {
        counted("fuzz replay", replay());
    }
    // Last, and one at a time: what measures time wants the machine for itself.
    if !timing.is_empty() {
        let mut command = cargo(words);
        command.args(timing.iter().flat_map(|name| ["--test", name]));
        command.args(["--", "--test-threads=1"]);
        counted("timing", command);
    }
    steps.push(Step::time("promises", || {
        let missing = guarantees::not_run(&guarantees::all()?, &tally.names);
        if missing.is_empty() {
            Ok("every named test ran and passed".into())
        } else {
            Err(missing.join("\n"))
        }
    }));
    if root().join("consumers/Cargo.toml").exists() {
        let run = if long { consumers::run_cold } else { consumers::run };
        steps.push(Step::time("consumers", || quiet(run())));
    }
    (steps, tally)
}

/// The integration tests by name: the ordinary ones, and those that measure time.
fn targets() -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let tests = packages()?.into_iter().flat_map(|package| package.tests);
    Ok(tests.partition(|name| !name.starts_with("timing")))
}

/// All interleavings of what the store's threads do.
fn loom() -> Command {
    let mut command = cargo(["test", "--package", "vouchsafe-store", "--test", "loom"]);
    // Its own folder: other flags would rebuild everything each time.
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", root().join("target/loom"));
    command
}

/// The fuzzers' bodies over the inputs that were kept, on the stable compiler.
fn replay() -> Command {
    let mut command = cargo(["test", "--manifest-path", "fuzz/Cargo.toml"]);
    // Other people's crates are then built once for both.
    command.env("CARGO_TARGET_DIR", root().join("target"));
    command
}

/// Whether the tests bite: what survives is listed in target/mutants.out.
fn mutants() -> Result<String> {
    if !works(&mut cargo(["mutants", "--version"])) {
        return Err(
            "cargo-mutants is missing. Please run: cargo install cargo-mutants --locked".into()
        );
    }
    let mut command = cargo(["mutants", "--no-shuffle", "--output", "target"]);
    for package in ["vouchsafe-core", "vouchsafe-lockout", "vouchsafe-session"] {
        command.args(["--package", package]);
    }
    let out = command.output().map_err(|e| format!("cargo mutants: {e}"))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    print!("{said}");
    let last = said.lines().rev().find(|line| line.contains("mutants tested")).unwrap_or("");
    match out.status.code() {
        // 2: some survived, 3: some ran out of time. Both are results.
        Some(0 | 2 | 3) => Ok(last.to_owned()),
        _ => Err(format!("cargo mutants failed\n{}", String::from_utf8_lossy(&out.stderr))),
    }
}

/// Prints each step and, as the last line, the sum.
fn conclude(steps: &[Step], tally: &Tally) -> Result<()> {
    println!();
    for step in steps {
        println!("{step}");
    }
    let failed = failures(steps, tally);
    println!("{} passed, {failed} failed", tally.passed);
    if failed == 0 { Ok(()) } else { Err(String::new()) }
}

/// Tests that failed; a step that failed without a failing test counts as one.
fn failures(steps: &[Step], tally: &Tally) -> u64 {
    let steps = steps.iter().filter(|step| step.outcome.is_err()).count();
    tally.failed.max(u64::try_from(steps).unwrap_or(u64::MAX))
}

fn write_down(steps: &[Step], tally: &Tally) -> Result<()> {
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(words).current_dir(root());
        output(command).map(|said| said.trim().to_owned())
    };
    let mut commit = git(&["log", "-1", "--format=%h of %cs"])?;
    if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        commit.push_str(", with changes that were not committed");
    }
    let text = report(&commit, steps, tally).map_err(|e| e.to_string())?;
    let file = root().join("docs/long-runs.md");
    std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))
}

fn report(commit: &str, steps: &[Step], tally: &Tally) -> Result<String, std::fmt::Error> {
    let mut text = String::from("# The last long run\n\n");
    writeln!(
        text,
        "Written by `cargo xtask long`: the tests of `cargo xtask test` with full counts.\n"
    )?;
    writeln!(
        text,
        "Commit {commit}: {} passed, {} failed.\n",
        tally.passed,
        failures(steps, tally)
    )?;
    writeln!(text, "| step | seconds | outcome |\n|---|---:|---|")?;
    for step in steps {
        let outcome = match &step.outcome {
            Ok(remark) if remark.is_empty() => "ok".into(),
            Ok(remark) => format!("ok: {remark}"),
            Err(problem) => format!("failed: {}", problem.lines().next().unwrap_or("")),
        };
        writeln!(text, "| {} | {:.0} | {outcome} |", step.name, step.took.as_secs_f64())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(outcome: Result<String>) -> Step {
        Step { name: "tests", took: Duration::from_secs(3), outcome }
    }

    #[test]
    fn a_step_that_fails_without_a_test_counts() {
        let mut tally = Tally::default();
        assert_eq!(failures(&[step(Ok(String::new()))], &tally), 0);
        assert_eq!(failures(&[step(Err("x".into())), step(Err("y".into()))], &tally), 2);
        tally.failed = 5;
        assert_eq!(failures(&[step(Err("x".into()))], &tally), 5);
        assert!(conclude(&[step(Ok(String::new()))], &tally).is_err());
    }

    #[test]
    fn the_report_names_commit_counts_and_seconds() {
        let tally = Tally { passed: 7, ..Tally::default() };
        let text = report("abc of 2026-01-02", &[step(Err("lost\nmore".into()))], &tally).unwrap();
        assert!(text.contains("Commit abc of 2026-01-02: 7 passed, 1 failed."));
        assert!(text.ends_with("| tests | 3 | failed: lost |\n"));
    }
}
