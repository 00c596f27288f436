//! The PostgreSQL store does what every store must.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use vouchsafe_store_postgres::PostgresStore;

mod postgres {
    use super::*;

    fn make() -> impl Fn() -> PostgresStore {
        let schema = common::shared().fresh_schema();
        move || common::open_shared(&schema, Some(8 << 20))
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

mod sealed_postgres {
    use super::*;
    use vouchsafe_crypto::RootKey;
    use vouchsafe_store::Encrypted;

    fn make() -> impl Fn() -> Encrypted<PostgresStore> {
        let schema = common::shared().fresh_schema();
        move || {
            let store = common::open_shared(&schema, Some(8 << 20));
            Encrypted::new(store, RootKey::new(&[1; 32]))
        }
    }

    vouchsafe_testkit::suite!(make, persistent, bounded);
}

mod erased_postgres {
    use super::*;
    use vouchsafe_store::AnyCells;

    fn make() -> impl Fn() -> AnyCells {
        let schema = common::shared().fresh_schema();
        move || AnyCells::new(common::open_shared(&schema, None))
    }

    vouchsafe_testkit::suite!(make, persistent);
}
