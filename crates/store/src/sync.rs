//! Locks and atomics, exchanged for loom's when the interleavings are enumerated.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

/// No code of this crate panics while it holds one of its locks, and what a host's machine is shown under
/// one is changed only after it has answered: so a poisoned lock guards a whole value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
