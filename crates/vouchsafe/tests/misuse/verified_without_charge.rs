//! A password is checked that was not counted.
//! error: E0061
//! fix: argument #1 of type `Charged` is missing
use vouchsafe::core::Charged;
use vouchsafe::password::{Binding, HashPool, Password, Stored};

pub fn check(pool: &HashPool, charged: Charged, password: &Password, stored: Stored, of: Binding) {
    #[cfg(not(fixed))]
    let _verified = pool.verify(password, stored, of);
    #[cfg(fixed)]
    let _verified = pool.verify(charged, password, stored, of);
}
