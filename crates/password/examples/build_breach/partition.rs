//! Sorting by parts: keys go to 256 files by their top eight bits, and each file is sorted in memory.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use tempfile::TempDir;
use vouchsafe_password::BreachKey;

use crate::input::{Lines, of};
use crate::progress::Progress;

/// How much of each part is buffered: 16 MiB in all.
const BUFFER: usize = 1 << 16;

/// How the names begin of what is written beside the filter until it is whole.
pub const TEMPORARY: &str = ".build_breach-";

/// The keys of a list, in 256 files that go away with it.
pub struct Parts {
    folder: TempDir,
}

impl Parts {
    /// Reads the whole list; its parts lie in a folder of their own in `beside`.
    pub fn of(lines: &mut Lines, beside: &Path) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(beside);
        let folder = folder.map_err(of(beside))?;
        let mut files = Vec::with_capacity(256);
        for part in 0..=u8::MAX {
            let path = folder.path().join(part.to_string());
            let file = File::create(&path).map_err(of(&path))?;
            files.push(BufWriter::with_capacity(BUFFER, file));
        }
        let mut progress = Progress::new("sorting by parts", lines.total);
        while let Some(key) = lines.next_key()? {
            let key = key.bits().to_be_bytes();
            let [part, ..] = key;
            if let Some(file) = files.get_mut(usize::from(part)) {
                file.write_all(&key).map_err(of(folder.path()))?;
            }
            progress.at(lines.read);
        }
        for file in &mut files {
            file.flush().map_err(of(folder.path()))?;
        }
        Ok(Self { folder })
    }

    /// Gives all keys, in ascending order.
    pub fn each(
        self,
        mut give: impl FnMut(BreachKey) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut progress = Progress::new("building", 256);
        let mut keys: Vec<u64> = Vec::new();
        for part in 0..=u8::MAX {
            let path = self.folder.path().join(part.to_string());
            let mut file = BufReader::with_capacity(BUFFER, File::open(&path).map_err(of(&path))?);
            keys.clear();
            let mut key = [0; 8];
            while file.read_exact(&mut key).is_ok() {
                keys.push(u64::from_be_bytes(key));
            }
            if (keys.len() as u64).saturating_mul(8)
                != std::fs::metadata(&path).map_err(of(&path))?.len()
            {
                return Err(format!("{} was not read to its end", path.display()).into());
            }
            std::fs::remove_file(&path).map_err(of(&path))?;
            keys.sort_unstable();
            for key in &keys {
                give(BreachKey::from_bits(*key))?;
            }
            progress.at(u64::from(part));
        }
        Ok(())
    }
}
