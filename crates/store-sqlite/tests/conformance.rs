//! The SQLite store does what every store must.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use vouchsafe_store_sqlite::{SqliteBuilder, SqliteStore};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Patient: the machine that runs the tests may be busy.
fn builder(folder: &Path) -> SqliteBuilder {
    SqliteStore::builder(folder.join("cells.db")).deadline(Duration::from_secs(60))
}

fn bounded(folder: &Path) -> SqliteStore {
    builder(folder).max_bytes(8 << 20).open().unwrap()
}

mod sqlite {
    use super::*;

    fn make() -> impl Fn() -> SqliteStore {
        let folder = folder();
        move || bounded(folder.path())
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

mod sealed_sqlite {
    use super::*;
    use vouchsafe_crypto::RootKey;
    use vouchsafe_store::Encrypted;

    fn make() -> impl Fn() -> Encrypted<SqliteStore> {
        let folder = folder();
        move || Encrypted::new(bounded(folder.path()), RootKey::new(&[1; 32]))
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

mod erased_sqlite {
    use super::*;
    use vouchsafe_store::AnyCells;

    fn make() -> impl Fn() -> AnyCells {
        let folder = folder();
        move || AnyCells::new(builder(folder.path()).open().unwrap())
    }

    vouchsafe_testkit::suite!(make, persistent);
}
