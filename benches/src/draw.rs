//! Which accounts, and in which order: uniform, the same for both sides, the same in every run.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::Result;

/// So many accounts, or keys, or sessions.
pub const MILLION: u64 = 1_000_000;

/// Numbers below `below`, by SplitMix64.
pub fn numbers(seed: u64, below: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    })
}

/// Walks through a list of things drawn beforehand, a batch at a time, and starts over at its end.
pub struct Drawn<T> {
    things: Vec<T>,
    next: usize,
}

impl<T> Drawn<T> {
    /// These, in this order.
    pub fn new(things: Vec<T>) -> Self {
        Self { things, next: 0 }
    }

    /// The one that a thread takes as its so-manieth: threads start half the list apart.
    pub fn at(&self, thread: usize, number: u32) -> &T {
        let at = thread * self.things.len() / 2 + number as usize;
        &self.things[at % self.things.len()]
    }

    /// The next one.
    pub fn take(&mut self) -> &T {
        let at = self.next;
        self.next = (at + 1) % self.things.len();
        &self.things[at]
    }
}

/// What a future gives that never has to wait: a store in memory.
pub fn at_once<F: Future>(future: F) -> Result<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("a store in memory kept somebody waiting".into()),
    }
}
