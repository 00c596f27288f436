//! The stores of this crate do what every store must.
#![cfg(not(loom))]

mod memory {
    use vouchsafe_store::MemoryStore;

    fn make() -> impl Fn() -> MemoryStore {
        || MemoryStore::new(4 << 20)
    }

    vouchsafe_testkit::suite!(make, bounded);
}

mod sealed_memory {
    use vouchsafe_crypto::RootKey;
    use vouchsafe_store::{Encrypted, MemoryStore};

    fn make() -> impl Fn() -> Encrypted<MemoryStore> {
        || Encrypted::new(MemoryStore::new(4 << 20), RootKey::new(&[1; 32]))
    }

    vouchsafe_testkit::suite!(make, bounded);
}

mod erased_memory {
    use vouchsafe_store::{AnyCells, MemoryStore};

    fn make() -> impl Fn() -> AnyCells {
        || AnyCells::new(MemoryStore::new(4 << 20))
    }

    vouchsafe_testkit::suite!(make, bounded);
}

mod apart {
    use vouchsafe_store::{Apart, MemoryStore};

    fn make() -> impl Fn() -> Apart<MemoryStore, MemoryStore> {
        || Apart::new(MemoryStore::new(4 << 20), MemoryStore::new(4 << 20))
    }

    // Each of the two is full by itself, so not the suite's `bounded`.
    vouchsafe_testkit::suite!(make);
}
