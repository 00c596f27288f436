//! Keys that leave nothing behind: the only unsafe code in the workspace.
//!
//! ring never overwrites its keys, and for AES-256 the first two round keys are the key itself. So
//! a key lives in one heap place from birth to death, that place is overwritten before it is
//! freed, and the stack that ring worked on is overwritten after each use that leaves copies.
#![expect(unsafe_code, reason = "reading a value out of memory that is wiped after its drop")]

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ops::Deref;

use zeroize::Zeroize;

/// A value on the heap that never moves and is overwritten when dropped.
pub(crate) struct Wiped<T>(Box<MaybeUninit<T>>);

impl<T> Wiped<T> {
    /// Makes the value, and overwrites the stack it was made on.
    pub(crate) fn new(make: impl FnOnce() -> T) -> Self {
        scrubbed(|| Self(Box::new(MaybeUninit::new(make()))))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` initialised it, and only `drop` makes it uninitialised.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: initialised since `new`, and never read again: `drop` runs once.
        unsafe { self.0.assume_init_drop() };
        // Volatile, padding included.
        std::slice::from_mut(&mut *self.0).zeroize();
    }
}

/// Deeper than any ring call that handles key bytes; the memory scan in the tests watches it.
const DEPTH: usize = 16 * 1024;

/// Runs `work` and overwrites the stack it used. What it returns must not hold key bytes itself,
/// only point to them.
pub(crate) fn scrubbed<R>(work: impl FnOnce() -> R) -> R {
    let result = apart(work);
    scrub::<DEPTH>();
    result
}

/// As [`scrubbed`], for shallow work on a hot path: HMAC.
pub(crate) fn scrubbed_lightly<R>(work: impl FnOnce() -> R) -> R {
    let result = apart(work);
    scrub::<{ DEPTH / 16 }>();
    result
}

/// A frame of its own, so that `scrub`'s frame lies over it and over what it calls.
#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[inline(never)]
fn scrub<const BYTES: usize>() {
    let cover = [0_u8; BYTES];
    black_box(&cover);
}

#[cfg(all(test, target_os = "linux"))]
mod memory;
