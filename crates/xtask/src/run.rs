//! How a command is run, timed and its tests counted.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// The workspace's folder.
pub fn root() -> PathBuf {
    // crates/xtask/../..
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// `cargo`, in the workspace's folder, without colours.
pub fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TERM_COLOR", "never").args(arguments);
    command
}

/// How a command reads on the command line, for messages.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs it with this terminal.
pub fn succeed(mut command: Command) -> Result<()> {
    let status = command.status().map_err(|e| format!("`{}`: {e}", shown(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed", shown(&command))) }
}

/// Runs it and returns what it printed.
pub fn output(mut command: Command) -> Result<String> {
    let out = command.output().map_err(|e| format!("`{}`: {e}", shown(&command)))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(format!("`{}` failed:\n{said}", shown(&command)));
    }
    String::from_utf8(out.stdout).map_err(|e| format!("`{}`: {e}", shown(&command)))
}

/// Whether it starts and succeeds, silently.
pub fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What libtest said, added up over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// The names of those that passed, as libtest prints them.
    pub names: BTreeSet<String>,
}

impl Tally {
    /// Takes one line of output into account.
    pub fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            for part in result.split(['.', ';']) {
                let mut words = part.split_whitespace();
                let number = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                match words.next() {
                    Some("passed") => self.passed = self.passed.saturating_add(number),
                    Some("failed") => self.failed = self.failed.saturating_add(number),
                    _ => {}
                }
            }
        } else if let Some(name) = passed_name(line) {
            self.names.insert(name.to_owned());
        }
    }

    /// Runs tests, showing what they print, and counts them.
    pub fn run(&mut self, mut command: Command) -> Result<()> {
        println!("$ {}", shown(&command));
        let named = shown(&command);
        let broken = |e: std::io::Error| format!("`{named}`: {e}");
        // One pipe for both, so that headings stay with their tests.
        let (reader, writer) = std::io::pipe().map_err(broken)?;
        command.stdin(Stdio::null());
        command.stdout(writer.try_clone().map_err(broken)?).stderr(writer);
        let mut child = command.spawn().map_err(broken)?;
        drop(command); // and with it our ends of the pipe
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(broken)?).into_owned();
            println!("{line}");
            self.line(&line);
        }
        let status = child.wait().map_err(broken)?;
        if status.success() { Ok(()) } else { Err(format!("`{named}` failed")) }
    }
}

/// The name in `test a::b ... ok`.
fn passed_name(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
    Some(name.strip_suffix(" - should panic").unwrap_or(name))
}

/// One step of a longer run.
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// A remark, or what went wrong.
    pub outcome: Result<String>,
}

impl Step {
    /// Does it, timed.
    pub fn time(name: &'static str, work: impl FnOnce() -> Result<String>) -> Self {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        let step = Self { name, took: start.elapsed(), outcome };
        println!("{step}");
        step
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f64();
        match &self.outcome {
            Ok(remark) if remark.is_empty() => {
                write!(f, "== {:<12} {seconds:>8.1} s  ok", self.name)
            }
            Ok(remark) => write!(f, "== {:<12} {seconds:>8.1} s  ok: {remark}", self.name),
            Err(problem) => write!(f, "== {:<12} {seconds:>8.1} s  FAILED: {problem}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_libtest_prints() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test machine::tests::sixth_is_refused ... ok",
            "test slow ... ignored",
            "test panics - should panic ... ok",
            "test broken ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 0.00s",
            "test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out",
        ] {
            tally.line(line);
        }
        assert_eq!((tally.passed, tally.failed), (42, 1));
        let names: Vec<_> = tally.names.iter().map(String::as_str).collect();
        assert_eq!(names, ["machine::tests::sixth_is_refused", "panics"]);
    }

    #[test]
    fn a_command_that_fails_is_an_error_and_is_still_counted() {
        let mut tally = Tally::default();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 1 passed; 0 failed'; echo lost >&2; exit 3"]);
        assert!(tally.run(command).is_err());
        assert_eq!(tally.passed, 1);
    }
}
