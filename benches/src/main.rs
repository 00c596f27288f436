//! Side by side with other people's crates: both in one run, interleaved, medians.
//!
//! | file | question it answers |
//! |---|---|
//! | `measure` | how are two sides run against each other |
//! | `cores` | on which core does a side run
//! | `report` | which version is the peer, and how is a result printed |
//! | `cases` | which cases are there; one file a group |
//! | `draw` | which accounts, and in which order |

#![expect(clippy::disallowed_methods, reason = "it reads clocks and stands in for verifiers")]

mod cases;
mod cores;
mod draw;
mod measure;
mod report;

use std::process::ExitCode;

use measure::Case;

/// What went wrong.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("peers: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Vec<String>) -> Result<()> {
    if arguments == [cases::VERIFY_CHILD] {
        return cases::verify_for_each_line();
    }
    let before = arguments.len();
    arguments.retain(|argument| argument != "--json");
    let json = arguments.len() < before;
    let cases = chosen(&arguments)?;
    if !json {
        println!("{}", report::HEAD);
    }
    for case in cases {
        let result = case.run().map_err(|problem| format!("{}: {problem}", case.name))?;
        println!(
            "{}",
            if json { report::json(case, &result)? } else { report::row(case, &result) }
        );
    }
    Ok(())
}

/// The cases with these names or of these groups; all when none is named.
fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    let named = |case: &Case, name: &str| case.name == name || case.group() == name;
    if let Some(unknown) = names.iter().find(|name| !cases::all().any(|case| named(case, name))) {
        let known: Vec<_> = cases::all().map(|case| case.name).collect();
        return Err(format!("there is no case `{unknown}`; there are {}", known.join(", ")).into());
    }
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| named(case, name));
    Ok(cases::all().filter(wanted).collect())
}
