//! The lines of a list, of a file or of a folder of range files.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use vouchsafe_password::BreachKey;

/// Longer than any line of a list: 40 digits, a colon, a count and the line's end.
const LONGEST: u64 = 96;

/// Keys of a list, one line after the other.
pub struct Lines {
    files: std::vec::IntoIter<PathBuf>,
    /// Whether the files are ranges, whose names are the first five digits.
    ranges: bool,
    open: Option<(BufReader<File>, PathBuf, Vec<u8>)>,
    line: u64,
    buffer: Vec<u8>,
    /// Length of all files, and how much of it was read.
    pub total: u64,
    pub read: u64,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let ranges = path.is_dir();
        let mut files = vec![path.to_owned()];
        if ranges {
            files = std::fs::read_dir(path)?
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()?;
            // By their digits: `0000A` before `0000B`, whatever the case and the extension.
            files.sort_by_key(|path| prefix(path));
        }
        let mut total = 0_u64;
        for file in &files {
            total = total.saturating_add(std::fs::metadata(file)?.len());
        }
        let (open, line, buffer) = (None, 0, Vec::new());
        Ok(Self { files: files.into_iter(), ranges, open, line, buffer, total, read: 0 })
    }

    /// About how many keys there are: lines are some 45 bytes long, and five less in ranges.
    pub fn expected(&self) -> u64 {
        if self.ranges { self.total / 40 } else { self.total / 45 }
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
                let prefix = if self.ranges { prefix(&path) } else { Vec::new() };
                let file = BufReader::with_capacity(1 << 18, File::open(&path)?);
                self.open = Some((file, path, prefix));
                self.line = 0;
            }
            let Some((file, _, prefix)) = &mut self.open else { return Ok(None) };
            self.buffer.clear();
            self.buffer.extend_from_slice(prefix);
            let read = file.take(LONGEST).read_until(b'\n', &mut self.buffer)? as u64;
            if read == 0 {
                self.open = None;
                continue;
            }
            self.read = self.read.saturating_add(read);
            self.line = self.line.saturating_add(1);
            let line = self.buffer.trim_ascii_end();
            if line.len() == prefix.len() {
                continue;
            }
            let digest = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let key = BreachKey::of_hex(digest);
            return key.map(Some).ok_or_else(|| {
                format!("{}: no SHA-1 of 40 hexadecimal digits", self.place()).into()
            });
        }
    }
}

/// The first five digits of a range file's digests: its name without its extension.
fn prefix(path: &Path) -> Vec<u8> {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_ascii_uppercase().into()
}
