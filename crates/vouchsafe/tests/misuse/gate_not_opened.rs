//! A gate put together and never opened.
//! error: unused_must_use
//! fix: a gate is there after `open`
use vouchsafe::Gate;
use vouchsafe::gate::{OpenError, Policies};
use vouchsafe::store::MemoryStore;

pub async fn start(policies: Policies) -> Result<(), OpenError> {
    let store = MemoryStore::new(1 << 20);
    #[cfg(not(fixed))]
    Gate::builder(policies).store(store);
    #[cfg(fixed)]
    let _gate = Gate::builder(policies).store(store).open().await?;
    Ok(())
}
