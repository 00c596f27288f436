//! What `test` and `long` run, in which order.

use std::collections::BTreeSet;
use std::process::Command;

use crate::metadata::packages;
use crate::run::{Step, Tally, cargo, output, root, works};
use crate::{Result, consumers, edges, guarantees, lint, needs};

/// All checks and tests.
pub fn test() -> Result<()> {
    let mut run = Run::default();
    run.everything();
    run.conclude()
}

/// The same with full counts, then the mutants; or those of its steps that are named. Each result is
/// written down as soon as it is there.
pub fn long(wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|name| !STEPS.contains(&name.as_str())) {
        return Err(format!("there is no step `{unknown}`; there are {}", STEPS.join(" ")));
    }
    let written = Written { commit: commit()?, problem: None };
    let mut run = Run { long: Some(written), wanted: wanted.to_vec(), ..Run::default() };
    run.everything();
    run.step("mutants", |_| mutants());
    run.conclude()
}

/// In the order in which they run.
const STEPS: [&str; 12] = [
    "needs",
    "lint",
    "edges",
    "guarantees",
    "tests",
    "doctests",
    "loom",
    "replay",
    "timing",
    "promises",
    "consumers",
    "mutants",
];

/// What has been run so far.
#[derive(Default)]
struct Run {
    /// With full counts, and written down.
    long: Option<Written>,
    /// Nothing: every step.
    wanted: Vec<String>,
    steps: Vec<Step>,
    tally: Tally,
}

/// Where a long run is written down.
struct Written {
    /// What it is a run of.
    commit: String,
    /// Why it could not be.
    problem: Option<String>,
}

impl Run {
    fn step(&mut self, name: &'static str, work: impl FnOnce(&mut Tally) -> Result<String>) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| wanted == name) {
            return;
        }
        let step = Step::time(name, || work(&mut self.tally));
        if let Some(written) = &mut self.long
            && let Err(problem) = write_down(&step, &written.commit)
        {
            written.problem = Some(problem);
        }
        self.steps.push(step);
    }

    fn counted(&mut self, name: &'static str, mut command: Command) {
        if self.long.is_some() {
            // Ours too as fast as they go: what takes long is their own loops.
            command.env("VOUCHSAFE_LONG", "1").env("CARGO_PROFILE_DEV_OPT_LEVEL", "3");
        }
        self.step(name, |tally| {
            let before = tally.passed;
            tally.run(command)?;
            Ok(format!("{} passed", tally.passed.saturating_sub(before)))
        });
    }

    fn everything(&mut self) {
        let quiet = |done: Result<()>| done.map(|()| String::new());
        self.step("needs", |_| needs::ensure());
        self.step("lint", |_| quiet(lint::run()));
        self.step("edges", |_| quiet(edges::run()));
        self.step("guarantees", |_| quiet(guarantees::run(&[])));
        let (ordinary, timing) = match targets() {
            Ok(targets) => targets,
            Err(problem) => return self.step("tests", |_| Err(problem)),
        };
        let words = ["test", "--workspace", "--all-features", "--no-fail-fast"];
        let mut tests = cargo(words.into_iter().chain(["--lib", "--bins", "--examples"]));
        tests.args(ordinary.iter().flat_map(|name| ["--test", name]));
        self.counted("tests", tests);
        self.counted("doctests", cargo(words.into_iter().chain(["--doc"])));
        if root().join("crates/store/tests/loom.rs").exists() {
            self.counted("loom", loom());
        }
        if root().join("fuzz/Cargo.toml").exists() {
            self.counted("replay", replay());
        }
        // Last, and one at a time: what measures time wants the machine for itself.
        if !timing.is_empty() {
            let mut command = cargo(words);
            command.args(timing.iter().flat_map(|name| ["--test", name]));
            command.args(["--", "--test-threads=1"]);
            self.counted("timing", command);
        }
        // Of a run of some steps alone nothing can be said about all tests.
        if self.wanted.is_empty() {
            self.step("promises", |tally| {
                let missing = guarantees::not_run(&guarantees::all()?, &tally.names);
                if missing.is_empty() {
                    Ok("every named test ran and passed".into())
                } else {
                    Err(missing.join("\n"))
                }
            });
        }
        if root().join("consumers/Cargo.toml").exists() {
            let run = if self.long.is_some() { consumers::run_cold } else { consumers::run };
            self.step("consumers", |_| quiet(run()));
        }
    }

    /// Prints each step and, as the last line, the sum.
    fn conclude(&self) -> Result<()> {
        println!();
        for step in &self.steps {
            println!("{step}");
        }
        let failed = failures(&self.steps, &self.tally);
        println!("{} passed, {failed} failed", self.tally.passed);
        let problem = self.long.as_ref().and_then(|written| written.problem.clone());
        match (failed, problem) {
            (0, None) => Ok(()),
            (_, problem) => Err(problem.unwrap_or_default()),
        }
    }
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

/// Whether the tests bite. What survives and may is listed with its reason in .cargo/mutants.toml.
fn mutants() -> Result<String> {
    if !works(&mut cargo(["mutants", "--version"])) {
        return Err(
            "cargo-mutants is missing. Please run: cargo install cargo-mutants --locked".into()
        );
    }
    let mut command = cargo(["mutants", "--no-shuffle", "--jobs", "2", "--output", "target"]);
    let stores = ["store", "store-sqlite", "store-postgres", "store-redis"];
    for package in ["core", "lockout", "session"].into_iter().chain(stores) {
        command.args(["--package", &format!("vouchsafe-{package}")]);
    }
    // What waits for ever: no package's tests take half as long, and those of all would be far longer.
    command.args(["--timeout", "240"]);
    // Examples in the documentation take longest to build and catch nothing of their own; what measures
    // time wants the machine for itself.
    command.args(["--", "--lib", "--tests", "--", "--skip", "within_the_deadline"]);
    let out = command.output().map_err(|e| format!("cargo mutants: {e}"))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    print!("{said}");
    let last = said.lines().rev().find(|line| line.contains("mutants tested")).unwrap_or("");
    match out.status.code() {
        // 3: some ran out of time, which is one way to be caught. 2: some survived.
        Some(0 | 3) => Ok(last.to_owned()),
        Some(2) => Err(format!("{last}: see target/mutants.out/missed.txt")),
        _ => Err(format!("cargo mutants failed\n{}", String::from_utf8_lossy(&out.stderr))),
    }
}

/// Tests that failed; a step that failed without a failing test counts as one.
fn failures(steps: &[Step], tally: &Tally) -> u64 {
    let steps = steps.iter().filter(|step| step.outcome.is_err()).count();
    tally.failed.max(u64::try_from(steps).unwrap_or(u64::MAX))
}

/// Which commit a run is of.
fn commit() -> Result<String> {
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(words).current_dir(root());
        output(command).map(|said| said.trim().to_owned())
    };
    let mut commit = git(&["log", "-1", "--format=%h of %cs"])?;
    if !git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"])?.is_empty() {
        commit.push_str(", changed");
    }
    Ok(commit)
}

const HEAD: &str = "# The last long runs

Written by `cargo xtask long`: the steps of `cargo xtask test` with full counts, and the mutants.

| step | commit | seconds | outcome |
|---|---|---:|---|
";

fn write_down(step: &Step, commit: &str) -> Result<()> {
    let file = root().join("docs/long-runs.md");
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, with_row(&before, step, commit))
        .map_err(|e| format!("{}: {e}", file.display()))
}

/// The report with this step's row new, in the order of the steps.
fn with_row(report: &str, step: &Step, commit: &str) -> String {
    let outcome = match &step.outcome {
        Ok(remark) if remark.is_empty() => "ok".into(),
        Ok(remark) => format!("ok: {remark}"),
        Err(problem) => format!("failed: {}", problem.lines().next().unwrap_or("")),
    };
    let seconds = step.took.as_secs_f64();
    let row = format!("| {} | {commit} | {seconds:.0} | {outcome} |", step.name);
    let of = |name: &str| {
        let kept = report.lines().find(|line| line.starts_with(&format!("| {name} | ")));
        if name == step.name { Some(row.clone()) } else { kept.map(str::to_owned) }
    };
    let rows = STEPS.iter().filter_map(|name| of(name));
    rows.fold(HEAD.to_owned(), |text, row| text + &row + "\n")
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
        let run = Run { steps: vec![step(Ok(String::new()))], tally, ..Run::default() };
        assert!(run.conclude().is_err());
    }

    #[test]
    fn only_the_steps_that_are_wanted_run() {
        let mut run = Run { wanted: vec!["edges".into()], ..Run::default() };
        run.step("lint", |_| Err("not wanted".into()));
        run.step("edges", |_| Ok("wanted".into()));
        assert_eq!(run.steps.len(), 1);
        assert!(run.conclude().is_ok());
        assert!(long(&["nothing".into()]).unwrap_err().contains("there is no step `nothing`"));
    }

    #[test]
    fn a_row_takes_the_place_of_its_step_alone() {
        let other = "x\n| mutants | 123 | 9 | ok: 7 caught |\n| tests | 123 | 8 | ok |\n";
        let text = with_row(other, &step(Err("lost\nmore".into())), "abc of 2026-01-02");
        let rows = "| tests | abc of 2026-01-02 | 3 | failed: lost |\n\
                    | mutants | 123 | 9 | ok: 7 caught |\n";
        assert_eq!(text, format!("{HEAD}{rows}"));
    }
}
