//! Waiting for a charge of the same account to be settled.
//!
//! Callers of one account stand in line (`store::Turns`); only the one at the front waits here,
//! so there is at most one waker a counter.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use vouchsafe_core::CellKey;

/// Who waits for which counter.
#[derive(Debug, Default)]
pub(crate) struct Settlements(Mutex<HashMap<CellKey, Slot>>);

#[derive(Debug)]
struct Slot {
    waker: Option<Waker>,
    settled: bool,
}

/// A wait that was begun before the counter was looked at, so that no settlement is missed.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    settlements: &'a Settlements,
    key: CellKey,
}

impl Settlements {
    fn lock(&self) -> MutexGuard<'_, HashMap<CellKey, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on, a settlement of `key` is noticed.
    pub(crate) fn watch(&self, key: CellKey) -> Waiting<'_> {
        self.lock().insert(key, Slot { waker: None, settled: false });
        Waiting { settlements: self, key }
    }

    /// A charge of `key` was settled on this node.
    pub(crate) fn settled(&self, key: CellKey) {
        let waker = self.lock().get_mut(&key).and_then(|slot| {
            slot.settled = true;
            slot.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Waiting<'_> {
    /// Completes at the next settlement of the counter since the last call, or when `otherwise`
    /// does: settlements on other nodes are not noticed here.
    pub(crate) async fn next(&self, otherwise: impl Future<Output = ()>) {
        let mut otherwise = pin!(otherwise);
        poll_fn(|context| {
            if let Some(slot) = self.settlements.lock().get_mut(&self.key) {
                if std::mem::take(&mut slot.settled) {
                    return Poll::Ready(());
                }
                slot.waker = Some(context.waker().clone());
            }
            otherwise.as_mut().poll(context)
        })
        .await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.settlements.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_core::Space;
    use vouchsafe_testkit::block_on;

    const KEY: CellKey = CellKey::new(Space::Lockout, [7; 16]);

    #[test]
    fn a_settlement_before_the_wait_is_not_missed() {
        let settlements = Settlements::default();
        let waiting = settlements.watch(KEY);
        settlements.settled(KEY);
        block_on(waiting.next(std::future::pending()));
        drop(waiting);
        assert!(settlements.lock().is_empty());
    }

    #[test]
    fn a_settlement_wakes_the_one_who_waits() {
        let settlements = std::sync::Arc::new(Settlements::default());
        let waiting = settlements.watch(KEY);
        let other = std::sync::Arc::clone(&settlements);
        let settler = std::thread::spawn(move || {
            while other.lock().get(&KEY).is_none_or(|slot| slot.waker.is_none()) {
                std::thread::yield_now();
            }
            other.settled(KEY);
        });
        block_on(waiting.next(std::future::pending()));
        settler.join().unwrap();
    }
}
