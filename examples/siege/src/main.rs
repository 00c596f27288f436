//! The siege's program: reads the command line, runs, and prints.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use siege::attack::Attack;
use siege::options::{Command, HELP, Options};
use siege::picture::picture;
use siege::replay::Stopwatch;
use siege::siege::{Algorithm, Scale, run};
use siege::table::table;

fn main() -> ExitCode {
    let options = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run(options)) => options,
        Err(error) => {
            eprintln!("siege: {error}");
            return ExitCode::from(2);
        }
    };
    match lay(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("siege: {error}");
            ExitCode::FAILURE
        }
    }
}

fn lay(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut scale = Scale::new(options.seed);
    scale.extent.days = options.days;
    scale.extent.names = options.names;
    if options.save.is_some() {
        scale = Scale::saved();
        scale.extent.seed = options.seed;
    }
    let (attacks, algorithms) = (Attack::ALL, Algorithm::ALL);
    let (all, mut number) = (attacks.len().saturating_mul(algorithms.len()), 0_usize);
    let terminal = std::io::stderr().is_terminal();
    let watch: Option<Stopwatch> = if options.save.is_none() { Some(nanos) } else { None };
    let rows = run(scale, &attacks, &algorithms, watch, |attack, algorithm| {
        if terminal {
            eprint!("\r\x1b[K{number} of {all}: {attack}, {}", algorithm.name());
        } else if number.is_multiple_of(algorithms.len()) {
            eprintln!("{number} of {all}: {attack}");
        }
        number = number.saturating_add(1);
    })?;
    if terminal {
        eprint!("\r\x1b[K");
    }
    match &options.save {
        None => write!(std::io::stdout(), "{}", table(&rows))?,
        Some(folder) => {
            std::fs::write(folder.join("table.md"), table(&rows))?;
            std::fs::write(folder.join("picture.svg"), picture(&rows))?;
        }
    }
    Ok(())
}

/// Nanoseconds since the first call.
fn nanos() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "how long a decision takes is measured here")]
    let now = Instant::now();
    let first = *FIRST.get_or_init(|| now);
    u64::try_from(now.duration_since(first).as_nanos()).unwrap_or(u64::MAX)
}
