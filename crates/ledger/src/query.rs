//! Looking things up: a page of records, newest first.

use std::os::unix::fs::FileExt;

use vouchsafe_access_log::{Filter, Record};

use crate::error::LedgerError;
use crate::frame::{HEADER, Piece, RECORD, piece_at};
use crate::ledger::Ledger;
use crate::scan::{Place, Segment, entry_record};
use crate::tree::{BUNDLE, Hash, leaf_hash};
use crate::writer::{Shared, State};

/// The most records a page has.
const MAX_PAGE: usize = 500;
/// How many entries a call looks at before it answers with what it has.
const MAX_SCANNED: u64 = 65_536;

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// The records with numbers below `index`.
    #[must_use]
    pub const fn before(index: u64) -> Self {
        Self(index)
    }

    /// The number it stands before.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }
}

/// A record and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number in the log.
    pub index: u64,
    /// The record.
    pub record: Record,
}

/// Some of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, newest first.
    pub found: Vec<Found>,
    /// Where to go on; `None` when the log's beginning was reached. A page may be short, or empty,
    /// and still have a next one: a call looks at 65 536 entries at most.
    pub next: Option<Cursor>,
}

impl Ledger {
    /// A page of at most `limit` (and 500) records, newest first, from `after` on.
    ///
    /// Reads files and opens what is sealed: about a microsecond an entry, on the caller's thread.
    ///
    /// # Errors
    /// [`LedgerError`]; an entry that is not in the tree is an error and never shown.
    pub fn query(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let size = self.shared.read(|state| state.tree.size());
        let mut end = after.map_or(size, |cursor| cursor.0.min(size));
        let stop = end.saturating_sub(MAX_SCANNED);
        let mut found = Vec::new();
        while end > stop {
            let bundle = end.saturating_sub(1) / BUNDLE;
            let first = bundle.saturating_mul(BUNDLE);
            let entries = self.shared.bundle(bundle)?;
            let numbered: Vec<_> = (first..end).zip(&entries).collect();
            for (index, entry) in numbered.into_iter().rev() {
                end = index;
                let Some(record) = entry_record(entry) else { continue };
                if filter.matches(&record) {
                    found.push(Found { index, record });
                    if found.len() == limit {
                        return Ok(Page { found, next: cursor(end) });
                    }
                }
            }
            end = first;
        }
        Ok(Page { found, next: cursor(end) })
    }

    /// At most `most` records of any tenant, newest first, numbered below `before`.
    pub(crate) fn back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, Record)>, LedgerError> {
        let size = self.shared.read(|state| state.tree.size());
        let mut end = before.map_or(size, |before| before.min(size));
        let mut found = Vec::new();
        while end > 0 && found.len() < most {
            let bundle = end.saturating_sub(1) / BUNDLE;
            let first = bundle.saturating_mul(BUNDLE);
            let entries = self.shared.bundle(bundle)?;
            let numbered: Vec<_> = (first..end).zip(&entries).collect();
            let records = numbered.into_iter().rev();
            let records = records.filter_map(|(at, entry)| Some((at, entry_record(entry)?)));
            let room = most.saturating_sub(found.len());
            found.extend(records.take(room));
            end = first;
        }
        Ok(found)
    }
}

fn cursor(end: u64) -> Option<Cursor> {
    (end > 0).then_some(Cursor(end))
}

/// What a bundle's entries must hash to.
enum Expected {
    Root(Hash),
    Leaves(Vec<Hash>),
}

struct Stretch {
    number: u32,
    from: usize,
    to: usize,
    segment: Segment,
}

impl Shared {
    /// The entries of a bundle, opened, and checked against the tree.
    pub(crate) fn bundle(&self, bundle: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
        let first = bundle.saturating_mul(BUNDLE);
        let located =
            self.read(|state| Some((stretches(state, bundle)?, expected(state, bundle)?)));
        let corrupt = |segment, offset, what| LedgerError::Corrupt {
            index: first,
            segment,
            offset: u64::try_from(offset).unwrap_or(u64::MAX),
            what,
        };
        let (stretches, expected) = located.ok_or_else(|| corrupt(0, 0, "no such bundle"))?;
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for Stretch { number, from, to, segment } in &stretches {
            let path = self.dir.segment_path(*number);
            let mut bytes = vec![0; to.saturating_sub(*from)];
            let offset = u64::try_from(*from).unwrap_or(u64::MAX);
            self.dir
                .open_segment(*number)?
                .read_exact_at(&mut bytes, offset)
                .map_err(LedgerError::io("read", &path))?;
            let mut at = 0;
            while at < bytes.len() {
                let Piece::Frame { kind, payload, end } = piece_at(&bytes, at) else {
                    let offset = from.saturating_add(at);
                    return Err(corrupt(*number, offset, "not what was written"));
                };
                if kind == RECORD {
                    let read = u64::try_from(entries.len()).unwrap_or(u64::MAX);
                    let mut entry = payload.to_vec();
                    segment
                        .sealer
                        .open(first.saturating_add(read), &mut entry)
                        .map_err(|_| corrupt(*number, *from, "not what was sealed here"))?;
                    entries.push(entry);
                }
                at = end;
            }
        }
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let same = match expected {
            Expected::Leaves(expected) => leaves == expected,
            Expected::Root(root) => crate::tree::root(&leaves) == root,
        };
        if same { Ok(entries) } else { Err(corrupt(0, 0, "not what is in the tree")) }
    }
}

fn expected(state: &State, bundle: u64) -> Option<Expected> {
    match state.tree.bundle_root(bundle) {
        Some(root) => Some(Expected::Root(root)),
        None => Some(Expected::Leaves(state.tree.unfinished().to_vec())),
    }
}

/// Where the bytes of a bundle are: from its first frame to the next bundle's, or to the end.
fn stretches(state: &State, bundle: u64) -> Option<Vec<Stretch>> {
    let at = usize::try_from(bundle).ok()?;
    let start = *state.bundles.get(at)?;
    let last = u32::try_from(state.segments.len().checked_sub(1)?).ok()?;
    let end = match state.bundles.get(at.checked_add(1)?) {
        Some(place) => *place,
        None => Place { segment: last, offset: state.segments.last()?.used },
    };
    let mut stretches = Vec::new();
    for number in start.segment..=end.segment {
        let segment = state.segments.get(number as usize)?.clone();
        let from = if number == start.segment { start.offset } else { HEADER };
        let to = if number == end.segment { end.offset } else { segment.used };
        stretches.push(Stretch { number, from, to, segment });
    }
    Some(stretches)
}
