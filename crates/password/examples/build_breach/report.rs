//! Building a filter from a list, and measuring what came of it.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use vouchsafe_password::{BreachBuilder, BreachError, BreachFilter, BreachKey, FingerprintBits};

use crate::input::Lines;
use crate::partition::Parts;
use crate::progress::Progress;
use crate::sample::mixed;

/// What was built, and how good it is.
pub struct Report {
    pub lines: u64,
    pub keys: u64,
    pub shards: u32,
    pub bytes: u64,
    pub seconds: f64,
    /// Most memory that this process ever held, in KiB, where the system tells.
    pub peak_kib: Option<u64>,
    /// Of so many keys that are not held, as many looked as if they were.
    pub lookups: u64,
    pub looked_alike: u64,
    pub claimed: f64,
}

/// Builds the filter of `list` as `filter`, which comes to be when it is whole. Gives the number of
/// lines that had a digest.
pub fn build(
    list: &Path,
    filter: &Path,
    bits: FingerprintBits,
    unsorted: bool,
) -> Result<u64, Box<dyn Error>> {
    let beside = filter.parent().filter(|parent| !parent.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let mut lines = Lines::open(list)?;
    let part = tempfile::NamedTempFile::new_in(beside)?;
    let out = BufWriter::with_capacity(1 << 18, part.as_file());
    let mut builder = BreachBuilder::new(out, bits, lines.expected())?;
    let mut count = 0_u64;
    if unsorted {
        let parts = Parts::of(&mut lines, beside)?;
        parts.each(|key| {
            count = count.saturating_add(1);
            Ok(builder.push(key)?)
        })?;
    } else {
        let mut progress = Progress::new("building", lines.total);
        while let Some(key) = lines.next_key()? {
            count = count.saturating_add(1);
            builder.push(key).map_err(|error| place(error, &lines))?;
            progress.at(lines.read);
        }
    }
    drop(builder.finish()?);
    part.as_file().sync_all()?;
    allow_reading(part.as_file())?;
    part.persist(filter)?;
    Ok(count)
}

fn place(error: BreachError, lines: &Lines) -> Box<dyn Error> {
    match error {
        BreachError::Unsorted { .. } => {
            format!("{}: below the line before it; --unsorted sorts first", lines.place()).into()
        }
        error => error.into(),
    }
}

/// Temporary files are for their owner alone; a filter holds no secret.
fn allow_reading(_file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        _file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Opens the filter, which was built from so many lines, and looks up what is not in it.
pub fn measure(filter: &Path, lines: u64, lookups: u64) -> Result<Report, Box<dyn Error>> {
    let peak_kib = peak_kib();
    let filter = BreachFilter::open(filter)?;
    let mut looked_alike = 0_u64;
    let mut progress = Progress::new("measuring", lookups);
    for at in 0..lookups {
        // One of these is held by chance once in 2^64 divided by the number of keys.
        let absent = BreachKey::from_bits(mixed(at ^ 0x9b05_688c_2b3e_6c1f));
        looked_alike = looked_alike.saturating_add(filter.holds(absent)?.into());
        progress.at(at);
    }
    Ok(Report {
        lines,
        keys: filter.keys(),
        shards: filter.shards(),
        bytes: filter.length(),
        seconds: 0.0,
        peak_kib,
        lookups,
        looked_alike,
        claimed: filter.rate(),
    })
}

/// The peak of the resident memory, as Linux has it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

impl Report {
    /// How often keys that are not held looked as if they were.
    pub fn measured(&self) -> f64 {
        self.looked_alike as f64 / self.lookups as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, keys, shards, bytes, seconds, lookups, claimed, .. } = self;
        let bits = *bytes as f64 * 8.0 / (*keys).max(1) as f64;
        writeln!(f, "lines          {lines}")?;
        writeln!(f, "keys           {keys}, in {shards} shards")?;
        writeln!(f, "size           {bytes} bytes, {bits:.2} bits a key")?;
        writeln!(f, "built in       {seconds:.1} s")?;
        if let Some(peak) = self.peak_kib {
            writeln!(f, "peak memory    {peak} KiB")?;
        }
        let measured = self.measured();
        write!(f, "looked alike   {measured:.7} of {lookups} lookups; {claimed:.7} claimed")
    }
}
