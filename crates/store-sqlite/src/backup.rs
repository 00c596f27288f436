//! A copy of the file while it is in use.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::SqliteError;
use crate::database::Place;

/// Copies by way of a file beside `to`, so that `to` is never half a copy.
pub(crate) fn copy(from: &Place, to: &Path) -> Result<(), SqliteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SqliteError::File { path, source }
    };
    let partial = beside(to);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&partial).map_err(failed(&partial))?;
    let copied = fill(from, &partial).and_then(|()| {
        file.sync_all().map_err(failed(&partial))?;
        // Linking, unlike renaming, does not replace a file that is there.
        std::fs::hard_link(&partial, to).map_err(failed(to))
    });
    let removed = std::fs::remove_file(&partial).map_err(failed(&partial));
    copied.and(removed)?;
    sync_folder(to).map_err(failed(to))
}

fn fill(from: &Place, partial: &Path) -> Result<(), SqliteError> {
    let source = from.reader()?;
    let failed = |error: rusqlite::Error| SqliteError::Refused {
        path: partial.to_owned(),
        reason: error.to_string(),
    };
    let path = partial
        .canonicalize()
        .map_err(|source| SqliteError::File { path: partial.to_owned(), source })?;
    let mut target = Connection::open(path).map_err(failed)?;
    // All pages in one step: one snapshot, which the writer does not wait for.
    let copied = Backup::new(&source, &mut target)
        .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::from_millis(10), None));
    copied.map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))
}

fn beside(to: &Path) -> PathBuf {
    let mut name: OsString = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn sync_folder(of: &Path) -> std::io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
