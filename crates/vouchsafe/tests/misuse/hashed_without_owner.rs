//! An administrator chooses somebody's final password.
//! error: E0061
//! fix: argument #2 of type `OwnerPresent` is missing
use vouchsafe::core::Authenticated;
use vouchsafe::password::{Accepted, Binding, HashPool};

pub fn set(pool: &HashPool, accepted: Accepted, owner: &Authenticated, binding: Binding) {
    #[cfg(not(fixed))]
    let _record = pool.hash(accepted, binding);
    #[cfg(fixed)]
    let _record = pool.hash(accepted, owner.into(), binding);
}
