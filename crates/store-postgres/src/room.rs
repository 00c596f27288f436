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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_until_it_is_known_what_a_swap_took() {
        let room = Room::new(1_000);
        let kept = room.keep(Some(100));
        assert_eq!((kept.left, room.used()), (1_000, 228));
        // What the first may take is not there for the second.
        let other = room.keep(Some(0));
        assert_eq!((other.left, room.used()), (772, 356));
        drop(other);
        assert_eq!(room.used(), 228);
        kept.settle(90);
        assert_eq!(room.used(), 90);
        let erase = room.keep(None);
        assert_eq!((erase.left, room.used()), (910, 90));
        erase.settle(-90);
        assert_eq!(room.used(), 0);
        assert_eq!(Room::new(u64::MAX).keep(None).left, i64::MAX);
    }

    #[test]
    fn what_was_measured_counts_and_what_came_meanwhile() {
        let room = Room::new(1_000);
        room.grew(50);
        let before = room.used();
        room.grew(7);
        room.measured(500, before);
        assert_eq!(room.used(), 507);
    }
}
