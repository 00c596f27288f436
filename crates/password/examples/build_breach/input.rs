//! The lines of a list, of a file or of a folder of range files.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use vouchsafe_password::BreachKey;

/// Longer than any line of a list: 40 digits, a colon, a count and the line's end.
const LONGEST: u64 = 96;
/// Range files of a whole list: `00000` to `FFFFF`.
pub const RANGES: usize = 1 << 20;
/// So many keys together are no matter: a builder takes twice as many.
const CLOSE: u64 = 1 << 15;
/// What some editors put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Keys of a list, one line after the other.
pub struct Lines {
    files: std::vec::IntoIter<PathBuf>,
    /// How many of the files are ranges, whose names are the first five digits; `None` for a list.
    pub ranges: Option<usize>,
    /// Which ranges there are, and how long their files.
    lengths: Vec<(u32, u64)>,
    /// Lines with a count of 0, with which lists hide how long they are: nobody's passwords.
    pub padding: u64,
    open: Option<(BufReader<File>, PathBuf, Vec<u8>)>,
    line: u64,
    buffer: Vec<u8>,
    /// Length of all files, and how much of it was read.
    pub total: u64,
    pub read: u64,
}

impl Lines {
    /// A folder without all ranges is only taken as `partial`.
    pub fn open(path: &Path, partial: bool) -> Result<Self, Box<dyn Error>> {
        let mut files = vec![path.to_owned()];
        let folder = std::fs::metadata(path).map_err(of(path))?.is_dir();
        if folder {
            let entries = std::fs::read_dir(path).map_err(of(path))?;
            files = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()
                .map_err(of(path))?;
            // By their digits: `0000A` before `0000B`, whatever the case and the extension.
            files.sort_by_cached_key(|path| prefix(path));
        }
        let (mut total, mut lengths) = (0_u64, Vec::new());
        for file in &files {
            let about = std::fs::metadata(file).map_err(of(file))?;
            if !about.is_file() {
                // How many keys will come is told by the length, which a pipe does not have.
                return Err(of(file)("not a regular file; a pipe is to be written to one first"));
            }
            if folder {
                let unnamed = || of(file)("a range file is named by five hexadecimal digits");
                lengths.push((range(file).ok_or_else(unnamed)?, about.len()));
            }
            total = total.saturating_add(about.len());
        }
        let filled = || lengths.iter().filter(|(_, length)| *length > 0).map(|(range, _)| *range);
        let ranges = filled().collect::<BTreeSet<u32>>().len();
        if folder {
            whole(ranges, partial).map_err(of(path))?;
        }
        let ranges = folder.then_some(ranges);
        let (open, line, buffer, padding) = (None, 0, Vec::new(), 0);
        let (files, read) = (files.into_iter(), 0);
        Ok(Self { files, ranges, lengths, padding, open, line, buffer, total, read })
    }

    /// About how many keys there are, if all were as close together as where most are: lines are some 45
    /// bytes long, and five less in ranges.
    pub fn expected(&self) -> u64 {
        let all = if self.ranges.is_some() { self.total / 40 } else { self.total / 45 };
        let densest = (1..=20).map(|bits| {
            let first = |range: u32| range.checked_shr(20_u32.saturating_sub(bits));
            let alike = self.lengths.chunk_by(|(a, _), (b, _)| first(*a) == first(*b));
            let long =
                alike.map(|run| run.iter().map(|(_, length)| *length).fold(0, u64::saturating_add));
            let keys = long.max().unwrap_or(0) / 40;
            if keys > CLOSE { keys << bits } else { 0 }
        });
        densest.fold(all, u64::max)
    }

    /// Where the key that came last is from.
    pub fn place(&self) -> String {
        let file = self.open.as_ref().map(|(_, path, _)| path.display().to_string());
        format!("{}, line {}", file.unwrap_or_default(), self.line)
    }

    /// The next key; `None` at the end.
    pub fn next_key(&mut self) -> Result<Option<BreachKey>, Box<dyn Error>> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.next() else { return Ok(None) };
                let prefix = if self.ranges.is_some() { prefix(&path) } else { Vec::new() };
                let file = File::open(&path).map_err(of(&path))?;
                self.open = Some((BufReader::with_capacity(1 << 18, file), path, prefix));
                self.line = 0;
            }
            let Some((file, path, prefix)) = &mut self.open else { return Ok(None) };
            self.buffer.clear();
            self.buffer.extend_from_slice(prefix);
            let read = file.take(LONGEST).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(of(path))? as u64;
            if read == 0 {
                self.open = None;
                continue;
            }
            self.read = self.read.saturating_add(read);
            self.line = self.line.saturating_add(1);
            let begun = prefix.len();
            if self.line == 1 && self.buffer.get(begun..).is_some_and(|it| it.starts_with(BOM)) {
                self.buffer.drain(begun..begun.saturating_add(BOM.len()));
            }
            let line = self.buffer.trim_ascii_end();
            if line.len() == prefix.len() {
                continue;
            }
            let mut fields = line.split(|byte| *byte == b':');
            let Some(key) = fields.next().and_then(BreachKey::of_hex) else {
                let place = self.place();
                return Err(format!("{place}: no SHA-1 of 40 hexadecimal digits").into());
            };
            if fields.next() == Some(b"0") {
                self.padding = self.padding.saturating_add(1);
                continue;
            }
            return Ok(Some(key));
        }
    }
}

/// An error, with the file that it is about.
pub fn of<E: Display>(path: &Path) -> impl Fn(E) -> Box<dyn Error> {
    move |error| format!("{}: {error}", path.display()).into()
}

/// Whether so many range files are enough.
pub fn whole(ranges: usize, partial: bool) -> Result<(), String> {
    if partial || ranges == RANGES {
        return Ok(());
    }
    Err(format!("{ranges} of {RANGES} range files with lines; --partial takes what is there"))
}

/// The first five digits of a range file's digests: its name without its extension.
/// The number of a range file.
fn range(path: &Path) -> Option<u32> {
    let digits = String::from_utf8(prefix(path)).ok()?;
    let named = digits.len() == 5 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(&digits, 16).ok().filter(|_| named)
}

fn prefix(path: &Path) -> Vec<u8> {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_ascii_uppercase().into()
}
