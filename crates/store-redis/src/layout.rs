//! Which keys there are, and how a cell is stored.
//!
//! A cell is one key with one string: format, version, `until`, value. The cells of a space are in
//! sixteen groups by the first four bits of their digest; each group has two sorted sets, one with
//! its digests in order, for scans, and one with them by the hour in which they expire, for sweeps.
//! All keys of a group share a hash tag, so a cluster keeps them on one node.

use redis::Value;
use vouchsafe_core::{CellKey, Space, Timestamp};
use vouchsafe_store::{Loaded, StoreError, Stored, Version};

/// First byte of every stored cell.
const FORMAT: u8 = 1;
/// Format, version and `until` stand before the value.
pub(crate) const HEADER: usize = 1 + 16 + 8;
/// Groups of a space.
pub(crate) const GROUPS: u8 = 16;
const HOUR: i64 = 3_600_000_000;

/// The keys of one group.
pub(crate) struct Group {
    /// What the key of each cell begins with; its digest follows.
    pub(crate) cells: Vec<u8>,
    /// The set of digests in order.
    pub(crate) order: Vec<u8>,
    /// The set of digests by the hour of their `until`.
    pub(crate) due: Vec<u8>,
}

pub(crate) fn group_of(digest: [u8; 16]) -> u8 {
    let [first, ..] = digest;
    first >> 4
}

impl Group {
    pub(crate) fn new(prefix: &str, space: Space, group: u8) -> Self {
        let tag = format!("{prefix}{{{:02x}{group:x}}}", space.code());
        let name = |name: &str| format!("{tag}{name}").into_bytes();
        Self { cells: name(":"), order: name("order"), due: name("due") }
    }

    pub(crate) fn cell(&self, digest: [u8; 16]) -> Vec<u8> {
        [self.cells.as_slice(), &digest].concat()
    }
}

/// What a swap expects: the beginning of the stored cell, or nothing for no cell.
pub(crate) fn expected(version: Option<Version>) -> Vec<u8> {
    version.map_or_else(Vec::new, |version| [&[FORMAT], version.as_bytes().as_slice()].concat())
}

pub(crate) fn stored(bytes: &[u8], until: Timestamp, version: Version) -> Vec<u8> {
    let until = until.micros().to_be_bytes();
    [&[FORMAT], version.as_bytes().as_slice(), &until, bytes].concat()
}

/// When the server may drop it: not before `until`, in whole milliseconds.
pub(crate) fn expiry(until: Timestamp) -> i64 {
    let up = i64::from(until.micros().rem_euclid(1000) != 0);
    until.micros().div_euclid(1000).saturating_add(up).max(1)
}

/// The hour at whose end a cell that is due at `now` has expired.
pub(crate) fn hour(now: Timestamp) -> i64 {
    let up = i64::from(now.micros().rem_euclid(HOUR) != 0);
    now.micros().div_euclid(HOUR).saturating_add(up)
}

/// Reads a cell and the server's time out of what the scripts answer.
pub(crate) fn loaded(key: CellKey, answer: Value) -> Result<Loaded, StoreError> {
    let Value::Array(parts) = answer else { return Err(unclear()) };
    let Ok([cell, seconds, micros]) = <[Value; 3]>::try_from(parts) else { return Err(unclear()) };
    let time = number(&seconds)
        .and_then(|seconds| seconds.checked_mul(1_000_000)?.checked_add(number(&micros)?))
        .ok_or_else(unclear)?;
    let cell = match cell {
        Value::Nil => None,
        Value::BulkString(bytes) => Some(opened(bytes).ok_or(StoreError::Corrupt(key))?),
        _ => return Err(unclear()),
    };
    Ok(Loaded::new(cell).at(Timestamp::from_micros(time)))
}

fn opened(mut bytes: Vec<u8>) -> Option<Stored> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let (&[format], rest) = header.split_first_chunk()?;
    let (version, _) = rest.split_first_chunk::<16>()?;
    if format != FORMAT {
        return None;
    }
    let version = Version::new(*version);
    bytes.drain(..HEADER);
    Some(Stored::new(bytes, version))
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(digits) => str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

pub(crate) fn unclear() -> StoreError {
    StoreError::unavailable("the server answered something else than was asked")
}

/// How many were looked at, the last of them, and which of them there are.
pub(crate) fn page(answer: Value) -> Option<(usize, [u8; 16], Vec<[u8; 16]>)> {
    let Value::Array(parts) = answer else { return None };
    let [looked_at, last, there] = <[Value; 3]>::try_from(parts).ok()?;
    let Value::Array(there) = there else { return None };
    let there: Option<Vec<_>> = there.iter().map(digest).collect();
    let looked_at = usize::try_from(number(&looked_at)?).ok()?;
    Some((looked_at, if looked_at == 0 { [0; 16] } else { digest(&last)? }, there?))
}

fn digest(value: &Value) -> Option<[u8; 16]> {
    let Value::BulkString(bytes) = value else { return None };
    bytes.as_slice().try_into().ok()
}

/// How many were looked at, and how many of them dropped.
pub(crate) fn swept(answer: Value) -> Option<(usize, usize)> {
    let Value::Array(parts) = answer else { return None };
    let [looked_at, dropped] = <[Value; 2]>::try_from(parts).ok()?;
    Some((usize::try_from(number(&looked_at)?).ok()?, usize::try_from(number(&dropped)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_never_before_until() {
        let cases = [(1, 1), (1000, 1), (1001, 2), (1999, 2), (0, 1), (-5000, 1)];
        for (until, millis) in cases {
            assert_eq!(expiry(Timestamp::from_micros(until)), millis, "{until}");
        }
        assert!(i128::from(expiry(Timestamp::MAX)) * 1000 >= i128::from(Timestamp::MAX.micros()));
    }

    #[test]
    fn an_hour_is_the_one_that_has_ended() {
        let cases = [(0, 0), (1, 1), (HOUR, 1), (HOUR + 1, 2), (-1, 0), (-HOUR, -1)];
        for (now, to) in cases {
            assert_eq!(hour(Timestamp::from_micros(now)), to, "{now}");
        }
    }

    #[test]
    fn what_is_cut_short_or_of_another_format_is_no_cell() {
        let whole = stored(b"value", Timestamp::MAX, Version::new([7; 16]));
        assert_eq!(opened(whole.clone()).unwrap().bytes, b"value");
        assert!(opened(whole[..HEADER].to_vec()).unwrap().bytes.is_empty());
        assert_eq!(opened(whole[..HEADER - 1].to_vec()), None);
        assert_eq!(opened(Vec::new()), None);
        let mut other = whole;
        other[0] = 2;
        assert_eq!(opened(other), None);
    }
    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_cell_is_in_the_group_of_its_first_four_bits() {
        for (first, group) in [(0x00, 0), (0x0F, 0), (0x10, 1), (0x7F, 7), (0xFF, 15)] {
            let mut digest = [0xAA; 16];
            digest[0] = first;
            assert_eq!(group_of(digest), group);
        }
        let group = Group::new("ours", Space::Account, 10);
        assert_eq!(group.cell([b'x'; 16]), b"ours{01a}:xxxxxxxxxxxxxxxx");
        assert_eq!(group.order, b"ours{01a}order");
        assert_eq!(group.due, b"ours{01a}due");
    }

    #[test]
    fn a_swap_expects_what_a_stored_cell_begins_with() {
        let version = Version::new([7; 16]);
        assert_eq!(expected(None), b"");
        let stored = stored(b"value", Timestamp::EPOCH, version);
        assert!(stored.starts_with(&expected(Some(version))));
        assert_eq!(expected(Some(version)).len(), 17);
        assert!(!stored.starts_with(&expected(Some(Version::new([8; 16])))));
    }

    #[test]
    fn an_answer_is_a_cell_and_a_time_or_unclear() {
        let key = CellKey::new(Space::Account, [7; 16]);
        let version = Version::new([7; 16]);
        let cell = || Value::BulkString(stored(b"value", Timestamp::EPOCH, version));
        let answer = |parts: Vec<Value>| loaded(key, Value::Array(parts));
        let at = Timestamp::from_micros(3_000_004);
        for (seconds, micros) in [(text("3"), text("4")), (Value::Int(3), Value::Int(4))] {
            let there = answer(vec![cell(), seconds.clone(), micros.clone()]).unwrap();
            let expected = Some(Stored::new(b"value".to_vec(), version));
            assert_eq!(there, Loaded::new(expected).at(at));
            let none = answer(vec![Value::Nil, seconds, micros]).unwrap();
            assert_eq!(none, Loaded::new(None).at(at));
        }
        let corrupt = answer(vec![text("short"), text("3"), text("4")]);
        assert!(matches!(corrupt, Err(StoreError::Corrupt(at)) if at == key));
        let (long, max) = ("9".repeat(30), i64::MAX.to_string());
        let unclear = [
            vec![],
            vec![cell(), text("3")],
            vec![cell(), text("3"), text("4"), text("5")],
            vec![Value::Int(1), text("3"), text("4")],
            vec![cell(), Value::Nil, text("4")],
            vec![cell(), text("x"), text("4")],
            vec![cell(), text(&long), text("4")],
            vec![cell(), text(&max), text("4")],
            vec![cell(), text("9223372036854"), text("775808")],
        ];
        for parts in unclear {
            let shown = format!("{parts:?}");
            assert!(matches!(answer(parts), Err(StoreError::Unavailable(_))), "{shown}");
        }
        assert!(matches!(loaded(key, Value::Nil), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn pages_are_read_as_they_are_written() {
        let digest = |number| Value::BulkString(vec![number; 16]);
        let array = Value::Array;
        let read = page(array(vec![Value::Int(3), digest(9), array(vec![digest(1), digest(9)])]));
        assert_eq!(read, Some((3, [9; 16], vec![[1; 16], [9; 16]])));
        // Where there is none there is no last one, either.
        let none = page(array(vec![Value::Int(0), text(""), array(vec![])]));
        assert_eq!(none, Some((0, [0; 16], vec![])));
        for wrong in [
            Value::Nil,
            array(vec![Value::Int(1), digest(9)]),
            array(vec![Value::Int(1), digest(9), Value::Nil]),
            array(vec![Value::Int(1), text("short"), array(vec![])]),
            array(vec![Value::Int(-1), digest(9), array(vec![])]),
            array(vec![Value::Int(1), digest(9), array(vec![text("short")])]),
        ] {
            assert_eq!(page(wrong), None);
        }
        assert_eq!(swept(array(vec![Value::Int(5), Value::Int(2)])), Some((5, 2)));
        for wrong in [Value::Nil, array(vec![Value::Int(5)]), array(vec![Value::Nil, Value::Nil])] {
            assert_eq!(swept(wrong), None);
        }
    }
}
