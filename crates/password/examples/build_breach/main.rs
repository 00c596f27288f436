//! Builds a [`BreachFilter`](vouchsafe_password::BreachFilter) from the digests that Have I Been Pwned
//! publishes, and measures it.
//!
//! ```text
//! cargo run --release -p vouchsafe-password --example build_breach -- pwned.txt pwned.filter
//! ```
//!
//! `pwned.txt` has a line `SHA-1:COUNT` for each password, sorted, as the official downloader writes it.
//! In its place may stand a folder of range files: `00000` to `FFFFF`, also with an extension, of lines
//! with the other 35 digits, all 1 048 576 of them; `--partial` takes what is there. What is not sorted
//! needs `--unsorted`, which sorts it in parts beside the filter (8 bytes a key). `--bits 16` has fewer
//! false alarms in twice the space.
//! `--sample 10000000 sample.txt` writes a list to try it with.
//!
//! Lines with a count of 0, which the service mixes in, are left out. A pipe is not taken: its length is not
//! known beforehand. Whoever ends it by a signal finds what it had begun beside the filter, as
//! `.build_breach-` and some letters, to be deleted.
//!
//! Sorted input takes the same few megabytes of memory whatever its length; unsorted input a 256th of
//! its keys, 8 bytes each, beside.

mod input;
mod partition;
mod progress;
mod report;
mod sample;

use std::error::Error;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use vouchsafe_password::FingerprintBits;

use crate::report::How;

const USAGE: &str = "usage: build_breach [--bits 8|16] [--unsorted] [--partial] LIST FILTER
       build_breach --sample LINES LIST";

/// Keys that are looked up to see how many look as if they were held.
const LOOKUPS: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut how = How { bits: FingerprintBits::Eight, unsorted: false, partial: false };
    let mut sample = None;
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("bits") => {
                how.bits = match args.value()?.parse()? {
                    8_u8 => FingerprintBits::Eight,
                    16 => FingerprintBits::Sixteen,
                    _ => return Err(USAGE.into()),
                }
            }
            Long("unsorted") => how.unsorted = true,
            Long("partial") => how.partial = true,
            Long("sample") => sample = Some(args.value()?.parse()?),
            Value(path) => paths.push(path.into()),
            _ => return Err(USAGE.into()),
        }
    }
    match (sample, paths.as_slice()) {
        (Some(lines), [list]) => sample::write(list, lines),
        (None, [list, filter]) => build(list, filter, how),
        _ => Err(USAGE.into()),
    }
}

fn build(list: &Path, filter: &Path, how: How) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "how long it takes is printed")]
    let started = std::time::Instant::now();
    let origin = report::build(list, filter, how)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{}", report::Report { seconds, ..report::measure(filter, origin, LOOKUPS)? });
    Ok(())
}
