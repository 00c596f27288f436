//! The SQLite store does what every store must.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use tempfile::TempDir;
use vouchsafe_store_sqlite::SqliteStore;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

mod sqlite {
    use super::*;

    fn make() -> impl Fn() -> SqliteStore {
        let folder = folder();
        move || SqliteStore::open_bounded(folder.path().join("cells.db"), 8 << 20).unwrap()
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

mod sealed_sqlite {
    use super::*;
    use vouchsafe_crypto::RootKey;
    use vouchsafe_store::Encrypted;

    fn make() -> impl Fn() -> Encrypted<SqliteStore> {
        let folder = folder();
        move || {
            let path = folder.path().join("cells.db");
            let store = SqliteStore::open_bounded(path, 8 << 20).unwrap();
            Encrypted::new(store, RootKey::new(&[1; 32]))
        }
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

mod erased_sqlite {
    use super::*;
    use vouchsafe_store::AnyCells;

    fn make() -> impl Fn() -> AnyCells {
        let folder = folder();
        move || AnyCells::new(SqliteStore::open(folder.path().join("cells.db")).unwrap())
    }

    vouchsafe_testkit::suite!(make, persistent);
}
