//! Waiting in line for a cell.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use vouchsafe_core::CellKey;

use crate::sync::{Mutex, lock};

/// A line for each cell, first come first served, so that callers on one node wait for one another
/// and compare-and-swap settles only races between nodes.
///
/// It has no clock and no runtime: whoever has waited too long drops the future, which leaves the
/// line. A caller that takes a second turn of a cell while it holds one waits for ever.
#[derive(Debug)]
pub struct Turns {
    lines: Mutex<Lines>,
    per_key: usize,
    total: usize,
}

#[derive(Debug, Default)]
struct Lines {
    // Keyed hashing: whoever asks chooses the cells.
    by_key: HashMap<CellKey, VecDeque<Place>>,
    places: usize,
    next: u64,
}

/// The first place of a line is the one whose turn it is.
#[derive(Debug)]
struct Place {
    ticket: u64,
    waker: Option<Waker>,
}

impl Turns {
    /// Lines of at most `per_key` places each and `total` together, those whose turn it is
    /// included. Whoever finds no line is never turned away for the sake of the total.
    #[must_use]
    pub fn new(per_key: usize, total: usize) -> Self {
        Self { lines: Mutex::new(Lines::default()), per_key, total }
    }

    /// Joins the line of `key` when first polled, and completes when it is this caller's turn. The
    /// turn lasts until [`Held`] is dropped.
    #[must_use = "a turn is taken by awaiting it"]
    pub fn take(&self, key: CellKey) -> Turn<'_> {
        Turn { turns: self, key, ticket: None }
    }

    /// How many callers stand in all lines, those whose turn it is included.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.lines).places
    }

    /// Whether nobody stands in any line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn join(&self, key: CellKey, context: &Context<'_>) -> Result<(u64, bool), LineFull> {
        let mut lines = lock(&self.lines);
        let standing = lines.by_key.get(&key).map_or(0, VecDeque::len);
        // An empty line is always open: a crowd elsewhere keeps nobody from an account of their own.
        if standing >= self.per_key || (standing > 0 && lines.places >= self.total) {
            return Err(LineFull);
        }
        let ticket = lines.next;
        lines.next = ticket.wrapping_add(1);
        lines.places = lines.places.saturating_add(1);
        let first = standing == 0;
        let waker = (!first).then(|| context.waker().clone());
        lines.by_key.entry(key).or_default().push_back(Place { ticket, waker });
        Ok((ticket, first))
    }

    /// Whether it is this ticket's turn; otherwise remembers whom to wake.
    fn is_first(&self, key: CellKey, ticket: u64, context: &Context<'_>) -> bool {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.by_key.get_mut(&key) else { return true };
        if line.front().is_some_and(|first| first.ticket == ticket) {
            return true;
        }
        if let Some(place) = line.iter_mut().find(|place| place.ticket == ticket) {
            match &mut place.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        false
    }

    fn leave(&self, key: CellKey, ticket: u64) {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.by_key.get_mut(&key) else { return };
        let Some(at) = line.iter().position(|place| place.ticket == ticket) else { return };
        line.remove(at);
        let next =
            if at == 0 { line.front_mut().and_then(|place| place.waker.take()) } else { None };
        if line.is_empty() {
            lines.by_key.remove(&key);
        }
        lines.places = lines.places.saturating_sub(1);
        // A waker runs code of others, so not under the lock.
        drop(lines);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// A place in line, until it is this caller's turn.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    key: CellKey,
    ticket: Option<u64>,
}

impl<'a> Future for Turn<'a> {
    type Output = Result<Held<'a>, LineFull>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (ticket, first) = match self.ticket {
            Some(ticket) => (ticket, self.turns.is_first(self.key, ticket, context)),
            None => match self.turns.join(self.key, context) {
                Ok(joined) => joined,
                Err(full) => return Poll::Ready(Err(full)),
            },
        };
        if first {
            self.ticket = None;
            Poll::Ready(Ok(Held { turns: self.turns, key: self.key, ticket }))
        } else {
            self.ticket = Some(ticket);
            Poll::Pending
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.turns.leave(self.key, ticket);
        }
    }
}

/// It is this caller's turn until this is dropped.
#[must_use = "dropping it ends the turn"]
#[derive(Debug)]
pub struct Held<'a> {
    turns: &'a Turns,
    key: CellKey,
    ticket: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.key, self.ticket);
    }
}

/// The line is as long as it may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many are waiting already")]
pub struct LineFull;
