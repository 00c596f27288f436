//! What the command line says.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
siege: attacks on password doors, replayed against Vouchsafe's lockout and against the published
algorithms of others. Prints a table; the same seed prints the same, but for the measured p99.

Usage: siege [OPTIONS]

  --seed N     where chance begins [default: 1]
  --days N     how many simulated days, from a Monday, 1 to 31 [default: 3]
  --names N    how many random names, 1 to 10000000 [default: 1000000]
  --save DIR   writes table.md and picture.svg there instead: of 1000 users in two days with 10000
               names and this seed, without what is measured
  --help       this text
";

/// How a siege is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where chance begins.
    pub seed: u64,
    /// How many days.
    pub days: u32,
    /// How many random names.
    pub names: u64,
    /// Where table and picture are written, if they are.
    pub save: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be told how.
    Help,
    /// To run.
    Run(Options),
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// It cannot be read.
    #[error("{0} (try --help)")]
    Arguments(#[from] lexopt::Error),
    /// A number that is none, or out of bounds.
    #[error("{option} {given}: expected a number from {min} to {max}")]
    Number {
        /// Which option.
        option: &'static str,
        /// What was given.
        given: String,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
}

impl Command {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        use lexopt::prelude::*;
        let mut options = Options { seed: 1, days: 3, names: 1_000_000, save: None };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(Self::Help),
                Long("seed") => options.seed = number("--seed", parser.value()?, 0, u64::MAX)?,
                Long("days") => {
                    let days = number("--days", parser.value()?, 1, 31)?;
                    options.days = u32::try_from(days).unwrap_or(31);
                }
                Long("names") => {
                    options.names = number("--names", parser.value()?, 1, 10_000_000)?;
                }
                Long("save") => options.save = Some(parser.value()?.into()),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(Self::Run(options))
    }
}

fn number(option: &'static str, given: OsString, min: u64, max: u64) -> Result<u64, OptionsError> {
    let given = given.to_string_lossy().into_owned();
    let parsed = given.parse().ok().filter(|number| (min..=max).contains(number));
    parsed.ok_or(OptionsError::Number { option, given, min, max })
}
