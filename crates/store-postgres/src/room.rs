//! How much room is left, where there is a limit.

use std::sync::atomic::{AtomicI64, Ordering};

/// What a cell is counted with besides its value: what PostgreSQL stores around it, and its place
/// in the index. The function in the database counts the same.
const PER_CELL: i64 = 128;

/// The bytes in use: what was measured, and what this node has added since.
#[derive(Debug)]
pub(crate) struct Room {
    limit: i64,
    used: AtomicI64,
}

/// Room kept for a swap that has no answer yet.
pub(crate) struct Kept<'a> {
    room: &'a Room,
    size: i64,
    /// What was left before.
    pub(crate) left: i64,
}

impl Room {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit: i64::try_from(limit).unwrap_or(i64::MAX), used: AtomicI64::new(0) }
    }

    /// Keeps room for a value of `len` bytes, whether there is some or not.
    pub(crate) fn keep(&self, len: Option<usize>) -> Kept<'_> {
        let size =
            len.map_or(0, |len| i64::try_from(len).unwrap_or(i64::MAX).saturating_add(PER_CELL));
        let used = self.used.fetch_add(size, Ordering::Relaxed);
        Kept { room: self, size, left: self.limit.saturating_sub(used) }
    }

    pub(crate) fn used(&self) -> i64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn grew(&self, by: i64) {
        self.used.fetch_add(by, Ordering::Relaxed);
    }

    /// All of it was measured, beginning when `before` were in use.
    pub(crate) fn measured(&self, bytes: i64, before: i64) {
        self.grew(bytes.saturating_sub(before));
    }
}

impl Kept<'_> {
    /// The swap made the table grow by so much.
    pub(crate) fn settle(self, grown: i64) {
        self.room.grew(grown);
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.room.grew(self.size.saturating_neg());
    }
}
