//! A list of as many lines as wanted, for trying things out.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::input::of;
use crate::progress::Progress;

/// SplitMix64 (Vigna): numbers that look random, by their place.
pub fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Line number `at` of `of`, which are sorted: digests of nothing, spread as digests are.
pub fn line(at: u64, of: u64) -> String {
    let step = u64::MAX.checked_div(of).unwrap_or(u64::MAX);
    let within = mixed(at).checked_rem(step).unwrap_or_default();
    let first = at.saturating_mul(step).saturating_add(within);
    let (second, third) = (mixed(first), mixed(!first) as u32);
    let count = (second % 100).saturating_add(1);
    format!("{first:016X}{second:016X}{third:08X}:{count}")
}

pub fn write(list: &Path, lines: u64) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 18, File::create(list).map_err(of(list))?);
    let mut progress = Progress::new("writing", lines);
    for at in 0..lines {
        writeln!(out, "{}", line(at, lines)).map_err(of(list))?;
        progress.at(at);
    }
    out.into_inner().map_err(of(list))?.sync_all().map_err(of(list))
}
