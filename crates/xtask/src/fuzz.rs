//! The fuzzers.

use crate::Result;
use crate::metadata::packages_of;
use crate::run::{Step, cargo, root, succeed, works};

const MANIFEST: &str = "fuzz/Cargo.toml";

/// `fuzz [--seconds N] [TARGET..]`: each target, or those named, for so long.
pub fn run(arguments: &[String]) -> Result<()> {
    let (seconds, wanted) = read(arguments)?;
    if !works(&mut cargo(["fuzz", "--version"])) {
        return Err("cargo-fuzz is missing. Please run: cargo install cargo-fuzz --locked".into());
    }
    if !works(std::process::Command::new("c++").arg("--version")) {
        return Err("a C++ compiler is missing (libFuzzer). On Debian: apt-get install g++".into());
    }
    let known: Vec<String> =
        packages_of(MANIFEST)?.into_iter().flat_map(|package| package.programs).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no target `{unknown}`; there are {}", known.join(" ")));
    }
    let targets = if wanted.is_empty() { known } else { wanted };
    let time = format!("-max_total_time={seconds}");
    let mut failed = Vec::new();
    for target in &targets {
        let step = Step::time("fuzz", || {
            let mut command =
                cargo(["fuzz", "run", "--features", "libfuzzer", target, "--", &time]);
            // libFuzzer's instrumentation is not stable; this asks the stable compiler for it.
            command.env("RUSTC_BOOTSTRAP", "1").current_dir(root().join("fuzz"));
            succeed(command).map(|()| target.clone())
        });
        if step.outcome.is_err() {
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        println!("{} targets, {seconds} s each, nothing found", targets.len());
        Ok(())
    } else {
        Err(format!("failed: {}; inputs are in fuzz/artifacts", failed.join(", ")))
    }
}

fn read(arguments: &[String]) -> Result<(u64, Vec<String>)> {
    let (mut seconds, mut targets) = (60, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            seconds = number.ok_or("--seconds takes a number above zero")?;
        } else if word.starts_with('-') {
            return Err(format!("unexpected argument `{word}`"));
        } else {
            targets.push(word.clone());
        }
    }
    Ok((seconds, targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_arguments() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(read(&[]), Ok((60, vec![])));
        assert_eq!(read(&words("--seconds 5 source ids")), Ok((5, words("source ids"))));
        for bad in ["--seconds", "--seconds x", "--seconds 0", "--minutes 1"] {
            assert!(read(&words(bad)).is_err(), "{bad}");
        }
    }
}
