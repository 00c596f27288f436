//! Building a filter from a list, and measuring what came of it.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use vouchsafe_password::{BreachBuilder, BreachError, BreachFilter, BreachKey, FingerprintBits};

use crate::input::{Lines, RANGES, of};
use crate::partition::{Parts, TEMPORARY};
use crate::progress::Progress;
use crate::sample::mixed;

/// How to build.
#[derive(Clone, Copy)]
pub struct How {
    pub bits: FingerprintBits,
    pub unsorted: bool,
    /// A folder may lack ranges.
    pub partial: bool,
}

/// What a filter was built from.
#[derive(Clone, Copy)]
pub struct Origin {
    /// Lines with a digest that was in a breach, and those with a count of 0.
    pub lines: u64,
    pub padding: u64,
    /// Range files, where it was a folder.
    pub ranges: Option<usize>,
}

/// What was built, and how good it is.
pub struct Report {
    pub origin: Origin,
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

/// Builds the filter of `list` as `filter`, which comes to be when it is whole.
pub fn build(list: &Path, filter: &Path, how: How) -> Result<Origin, Box<dyn Error>> {
    let beside = filter.parent().filter(|parent| !parent.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    spares(list, filter, beside)?;
    let mut lines = Lines::open(list, how.partial)?;
    let part = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(beside);
    let part = part.map_err(of(beside))?;
    let out = BufWriter::with_capacity(1 << 18, part.as_file());
    let mut builder =
        BreachBuilder::new(out, how.bits, lines.expected()).map_err(of(part.path()))?;
    let mut count = 0_u64;
    if how.unsorted {
        let parts = Parts::of(&mut lines, beside)?;
        parts.each(|key| {
            count = count.saturating_add(1);
            builder.push(key).map_err(|error| place(error, list.display(), part.path()))
        })?;
    } else {
        let mut progress = Progress::new("building", lines.total);
        while let Some(key) = lines.next_key()? {
            count = count.saturating_add(1);
            builder.push(key).map_err(|error| place(error, lines.place(), part.path()))?;
            progress.at(lines.read);
        }
    }
    if count == 0 {
        return Err(of(list)("not one breached password, so no filter was built"));
    }
    drop(builder.finish().map_err(of(part.path()))?);
    part.as_file().sync_all().map_err(of(part.path()))?;
    allow_reading(part.as_file()).map_err(of(part.path()))?;
    part.persist(filter).map_err(|failed| of(filter)(failed.error))?;
    Ok(Origin { lines: count, padding: lines.padding, ranges: lines.ranges })
}

/// Whether the list outlives the filter being put in its place, and a file can be put there.
fn spares(list: &Path, filter: &Path, beside: &Path) -> Result<(), Box<dyn Error>> {
    if filter.exists() && same(list, filter)? {
        return Err(of(filter)("this is the list; the filter needs another name"));
    }
    if filter.is_dir() {
        return Err(of(filter)("this is a folder; the filter is to be a file"));
    }
    if filter.exists() && !filter.is_file() {
        return Err(of(filter)("this is no regular file, and would be replaced by one"));
    }
    if same(list, beside)? {
        return Err(of(filter)("the filter would lie among the range files"));
    }
    Ok(())
}

/// Whether both are one file, or one folder.
fn same(one: &Path, other: &Path) -> Result<bool, Box<dyn Error>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let one = std::fs::metadata(one).map_err(of(one))?;
        let other = std::fs::metadata(other).map_err(of(other))?;
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }
    #[cfg(not(unix))]
    Ok(std::fs::canonicalize(one).map_err(of(one))?
        == std::fs::canonicalize(other).map_err(of(other))?)
}

fn place(error: BreachError, read: impl fmt::Display, written: &Path) -> Box<dyn Error> {
    match error {
        BreachError::Unsorted { .. } => {
            format!("{read}: below the line before it; --unsorted sorts first").into()
        }
        BreachError::Crowded { .. } => {
            format!("{read}: too many keys begin alike, as in a piece of a sorted list").into()
        }
        error => of(written)(error),
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

/// Opens the filter, which was built from that, and looks up what is not in it.
pub fn measure(filter: &Path, origin: Origin, lookups: u64) -> Result<Report, Box<dyn Error>> {
    let peak_kib = peak_kib();
    let path = filter;
    let filter = BreachFilter::open(path).map_err(of(path))?;
    let mut looked_alike = 0_u64;
    let mut progress = Progress::new("measuring", lookups);
    for at in 0..lookups {
        // One of these is held by chance once in 2^64 divided by the number of keys.
        let absent = BreachKey::from_bits(mixed(at ^ 0x9b05_688c_2b3e_6c1f));
        looked_alike = looked_alike.saturating_add(filter.holds(absent).map_err(of(path))?.into());
        progress.at(at);
    }
    Ok(Report {
        origin,
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
        let Self { origin, keys, shards, bytes, seconds, lookups, claimed, .. } = self;
        let bits = *bytes as f64 * 8.0 / (*keys).max(1) as f64;
        writeln!(f, "lines          {}, and {} with a count of 0", origin.lines, origin.padding)?;
        if let Some(ranges) = origin.ranges {
            writeln!(f, "range files    {ranges} of {RANGES}")?;
        }
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
