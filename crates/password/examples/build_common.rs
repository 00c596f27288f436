//! Builds `data/common.bin` from a text file with one password a line, the most used first:
//!
//! ```text
//! npm pack @zxcvbn-ts/language-common@4.1.3 && tar xzf zxcvbn-ts-language-common-4.1.3.tgz
//! node -p 'require("./package/src/passwords.json").join("\n")' > passwords.txt
//! cargo run -p vouchsafe-password --example build_common passwords.txt crates/password/data/common.bin
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use unicode_normalization::UnicodeNormalization;

/// Keeps the file under 300 kB.
const MOST: usize = 36_000;
const LENGTHS: usize = 65;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: build_common passwords.txt common.bin".into());
    };
    let text = std::fs::read_to_string(from)?;
    let folded: Vec<String> =
        text.lines().map(|line| line.nfc().flat_map(char::to_lowercase).collect()).collect();
    let (long, short): (Vec<_>, Vec<_>) =
        folded.iter().partition(|entry| entry.chars().count() >= 8);
    let mut chosen = BTreeMap::new();
    for entry in long.into_iter().chain(short.into_iter().filter(|e| e.chars().count() >= 4)) {
        if chosen.len() < MOST {
            chosen.insert(digest(entry), entry.chars().count());
        }
    }
    let mut out = Vec::new();
    for length in 0..LENGTHS {
        let count = chosen.values().filter(|&&n| n.min(LENGTHS - 1) >= length).count();
        out.extend(u32::try_from(count)?.to_be_bytes());
    }
    out.extend(chosen.keys().flat_map(|digest| digest.to_be_bytes()));
    std::fs::write(to, out)?;
    println!("{} entries", chosen.len());
    Ok(())
}

/// FNV-1a, 64 bits, as `src/common.rs` has it.
fn digest(entry: &str) -> u64 {
    entry.bytes().fold(0xcbf2_9ce4_8422_2325, |state: u64, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
