//! One byte string for a label and a list of parts, such that no two lists share one.

/// A label and parts as one byte string: each preceded by its length, eight bytes, big-endian.
///
/// No two different inputs give the same bytes, so what is computed over them is bound to each
/// part's place.
#[must_use]
pub fn encode(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let size = parts.iter().map(|part| part.len().saturating_add(8)).sum::<usize>();
    let mut out = Vec::with_capacity(size.saturating_add(label.len()).saturating_add(8));
    for_each_piece(label, parts, |piece| out.extend_from_slice(piece));
    out
}

/// The same bytes, piece by piece and without an allocation.
pub(crate) fn for_each_piece(label: &str, parts: &[&[u8]], mut take: impl FnMut(&[u8])) {
    let label = [label.as_bytes()];
    for part in label.iter().chain(parts) {
        take(&(part.len() as u64).to_be_bytes());
        take(part);
    }
}
