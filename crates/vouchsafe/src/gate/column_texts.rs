//! The texts of a host's column that are known of one account, and what one that is found is.
//!
//! The cell knows the texts of the column by their order: the one in force, other hashes of the same
//! password, and what those replaced. While the first is still to be written, it is written over any
//! of the others. Afterwards another hash of the same password (a copy from before an upgrade) is
//! written over as well; what is older is the past (a copy that was put back, a replica that lags), and
//! nobody gets in with it.

use vouchsafe_core::AccountDigest;
use vouchsafe_crypto::MacKey;

/// How many texts of one account are known: as many changes of a password. What is older is taken for
/// the host's own.
const KNOWN: usize = 64;

/// A text of one account's column, by a keyed digest: nobody without the key finds another like it, and
/// of two at random one in 2^64 is.
pub(crate) type TextDigest = [u8; 8];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// No password: SQL's `NULL`, an empty text, or what Django writes for none.
    Nothing,
    Text(TextDigest),
}

/// What is known of an account's column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    /// What was in it, or is to be: what is in force stands first, and each before what it replaced.
    texts: Vec<TextDigest>,
    /// So many of them, from the first on, are of the password in force.
    same: usize,
    /// What is in force is still to be written.
    pub(super) pending: bool,
    /// It may be written where there is nothing: there was nothing when it was set.
    over_nothing: bool,
    /// The host took the text away that is in force.
    pub(super) emptied: bool,
    /// The store was put back from a copy: no text is believed until a password is set.
    closed: bool,
}

/// What a column is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    InStep,
    /// What is in force is still to be written.
    Unwritten,
    /// What is in force is there, which the cell does not know yet.
    Written,
    /// The store has a password from before there was a column.
    Moves,
    /// The host took the password away.
    Emptied,
    /// The host wrote something else.
    Unknown,
    Past,
}

/// What is to become of a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewrite {
    pub(super) seen: Held,
    pub(super) new: TextDigest,
    /// Another hash of the same password.
    pub(super) upgrade: bool,
}

impl Held {
    pub(super) fn of(key: &MacKey, account: AccountDigest, text: Option<&str>) -> Self {
        match text.filter(|text| !text.is_empty() && !text.starts_with('!')) {
            None => Self::Nothing,
            Some(text) => Self::Text(digest(key, account, text)),
        }
    }
}

impl Judged {
    /// What a column is that holds this, where this is known of it and `own` is in force.
    pub(super) fn of(column: Option<&Column>, held: Held, own: Option<TextDigest>) -> Self {
        let Some(column) = column else {
            return match (held, own) {
                (Held::Nothing, None) => Self::InStep,
                (Held::Nothing, Some(_)) => Self::Moves,
                (Held::Text(text), _) if own == Some(text) => Self::Written,
                (Held::Text(_), _) => Self::Unknown,
            };
        };
        let place = match held {
            Held::Nothing => None,
            Held::Text(text) if own == Some(text) => Some(0),
            Held::Text(text) => column.texts.iter().position(|known| *known == text),
        };
        match (held, place) {
            _ if column.closed => Self::Past,
            (_, Some(0)) if own.is_none() => Self::Unknown,
            (_, Some(0)) if column.pending || column.emptied => Self::Written,
            (_, Some(0)) => Self::InStep,
            (Held::Nothing, _) if column.pending && column.over_nothing => Self::Unwritten,
            (Held::Nothing, _) if column.emptied => Self::Past,
            (Held::Nothing, _) if own.is_none() => Self::InStep,
            (Held::Nothing, _) => Self::Emptied,
            (_, Some(place)) if column.pending || place < column.same => Self::Unwritten,
            (_, Some(_)) => Self::Past,
            (_, None) => Self::Unknown,
        }
    }
}

impl Column {
    /// A password of the gate's is in force, and is to be written over what was seen.
    pub(super) fn begin(&mut self, rewrite: &Rewrite) {
        let Rewrite { seen, new, upgrade } = *rewrite;
        if self.texts.first() == Some(&new) {
            return;
        }
        self.pending = true;
        if upgrade {
            return self.put_first(new);
        }
        self.over_nothing |= seen == Held::Nothing;
        if let Held::Text(text) = seen
            && !self.texts.contains(&text)
        {
            self.put_first(text);
        }
        (self.emptied, self.closed) = (false, false);
        self.same = 0;
        self.put_first(new);
    }

    /// This is there, and is what is in force.
    pub(super) fn stands(&mut self, text: TextDigest) {
        if self.texts.first() != Some(&text) {
            self.put_first(text);
        }
        (self.pending, self.over_nothing, self.emptied) = (false, false, false);
    }

    /// The host put this there itself: what was in force is the past.
    pub(super) fn adopts(&mut self, text: TextDigest) {
        self.same = 0;
        self.stands(text);
    }

    /// One more text of the password in force.
    fn put_first(&mut self, text: TextDigest) {
        self.texts.retain(|known| *known != text);
        self.texts.insert(0, text);
        self.texts.truncate(KNOWN);
        self.same = self.same.saturating_add(1).min(self.texts.len());
    }

    /// What is in the column is not believed until a password is set.
    pub(crate) const fn close(&mut self) {
        (self.pending, self.over_nothing, self.closed) = (false, false, true);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let flags = [self.pending, self.over_nothing, self.emptied, self.closed];
        let flags = flags.into_iter().enumerate().map(|(at, set)| u8::from(set) << at).sum::<u8>();
        let mut out = vec![ORDERED | flags, u8::try_from(self.same).unwrap_or(u8::MAX)];
        out.extend(self.texts.as_flattened());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[flags], rest) = bytes.split_first_chunk()?;
        let flag = |at: u8| flags & (1 << at) != 0;
        if flags & ORDERED == 0 {
            return Self::from_pair(flags, rest);
        }
        let (&[same], texts) = rest.split_first_chunk()?;
        let (texts, same) = (texts.as_chunks().0.to_vec(), usize::from(same));
        let fits = texts.len() <= KNOWN && same <= texts.len();
        let [pending, over_nothing, emptied, closed] = [flag(0), flag(1), flag(2), flag(3)];
        let column = Self { texts, same, pending, over_nothing, emptied, closed };
        // One form only.
        (fits && column.to_bytes() == bytes).then_some(column)
    }

    /// The form of before: what was seen and what is to replace it, what was replaced, and an upgrade
    /// that gave way, in digests twice as long.
    fn from_pair(flags: u8, rest: &[u8]) -> Option<Self> {
        let (digests, rest) = rest.as_chunks::<16>();
        let [seen, pending, replaced, also] = digests else { return None };
        let flag = |at: u8| flags & (1 << at) != 0;
        let (is_pending, upgrade) = (flag(0), flag(1));
        let parts = [(is_pending, pending), (true, seen), (flag(4), also), (flag(2), replaced)];
        let texts = parts.into_iter().filter(|(there, _)| *there);
        let texts: Vec<_> = texts.filter_map(|(_, text)| text.first_chunk().copied()).collect();
        let same = if upgrade { 2 } else { 1 };
        (rest.is_empty() && flags < 1 << 5).then_some(Self {
            texts,
            same,
            pending: is_pending,
            over_nothing: is_pending,
            emptied: false,
            closed: flag(3),
        })
    }
}

/// In the first byte: the texts follow in their order.
const ORDERED: u8 = 1 << 7;

pub(super) fn digest(key: &MacKey, account: AccountDigest, text: &str) -> TextDigest {
    let parts = [account.as_bytes().as_slice(), &[1], text.as_bytes()];
    let [a, b, c, d, e, f, g, h, ..] = key.digest("vouchsafe password column v1", &parts);
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::super::account::AccountState;
    use super::*;
    use vouchsafe_core::{Cell, Corrupt};

    const A: TextDigest = [1; 8];
    const B: TextDigest = [2; 8];
    const C: TextDigest = [3; 8];
    const D: TextDigest = [4; 8];

    /// A column in which this is in force and written.
    fn column(texts: &[TextDigest]) -> Column {
        Column { texts: texts.to_vec(), same: 1, ..Column::default() }
    }

    fn begun(mut column: Column, seen: Held, new: TextDigest, upgrade: bool) -> Column {
        column.begin(&Rewrite { seen, new, upgrade });
        column
    }

    fn judged<const N: usize>(column: &Column, texts: [TextDigest; N]) -> [Judged; N] {
        let own = column.texts.first().copied();
        texts.map(|text| Judged::of(Some(column), Held::Text(text), own))
    }

    fn judged_empty(column: &Column) -> Judged {
        Judged::of(Some(column), Held::Nothing, column.texts.first().copied())
    }

    #[test]
    fn bytes_come_back_and_nothing_else_does() {
        for bits in 0..16_u8 {
            let flag = |at: u8| bits & (1 << at) != 0;
            for texts in [vec![], vec![A], vec![A, B, C], vec![D; KNOWN]] {
                let (same, pending) = (texts.len().min(2), flag(0));
                let [over_nothing, emptied, closed] = [flag(1), flag(2), flag(3)];
                let column = Column { texts, same, pending, over_nothing, emptied, closed };
                let state =
                    AccountState { column: Some(column.clone()), ..AccountState::default() };
                let bytes = state.clone().into_bytes();
                assert_eq!(AccountState::from_bytes(bytes.clone()), Ok(state));
                for cut in 0..bytes.len() {
                    let cut = bytes.get(..cut).unwrap().to_vec();
                    assert_eq!(AccountState::from_bytes(cut), Err(Corrupt));
                }
                let bytes = column.to_bytes();
                assert!(bytes.len() <= 2 + 8 * KNOWN);
                for bit in 4..8 {
                    let mut bytes = bytes.clone();
                    *bytes.first_mut().unwrap() ^= 1 << bit;
                    assert_eq!(Column::from_bytes(&bytes), None);
                }
                let mut more = bytes.clone();
                *more.get_mut(1).unwrap() = 65;
                assert_eq!(Column::from_bytes(&more), None);
                let one_too_many = [bytes.as_slice(), &[7; 8 * KNOWN + 8]].concat();
                assert_eq!(Column::from_bytes(&one_too_many), None);
            }
        }
    }

    /// What was kept of a column before its texts were in an order.
    #[test]
    fn the_form_of_before_is_read() {
        let pair = |flags: u8| {
            let digests = [A, B, C, D].map(|text| [text, [9; 8]].concat());
            Column::from_bytes(&[vec![flags], digests.concat()].concat())
        };
        let idle = Column { closed: true, ..column(&[A, D, C]) };
        assert_eq!(pair(0b11100), Some(idle));
        let upgrading = Column { same: 2, pending: true, over_nothing: true, ..column(&[B, A]) };
        assert_eq!(pair(0b00011), Some(upgrading));
        assert_eq!(pair(0b00001).unwrap().same, 1);
        assert_eq!(pair(1 << 5), None);
    }

    /// An upgrade gives way to a new password, also when it is written late; so does a password that
    /// could not be written yet.
    #[test]
    fn what_is_written_late_is_still_to_be_replaced() {
        let upgrading = begun(column(&[A]), Held::Text(A), B, true);
        assert_eq!(judged(&upgrading, [A, B]), [Judged::Unwritten, Judged::Written]);
        let set = begun(upgrading, Held::Text(A), C, false);
        let late = [A, B, C, D];
        let [old, new, other] = [Judged::Unwritten, Judged::Written, Judged::Unknown];
        assert_eq!(judged(&set, late), [old, old, new, other]);
        assert_eq!(begun(set.clone(), Held::Text(A), C, false), set, "the same event once more");
        let mut again = begun(set, Held::Text(A), D, false);
        assert_eq!(judged(&again, late), [old, old, old, new]);
        again.stands(D);
        let past = Judged::Past;
        assert_eq!(judged(&again, late), [past, past, past, Judged::InStep]);
    }

    #[test]
    fn another_hash_of_the_password_in_force_is_written_over_and_what_was_replaced_is_the_past() {
        let mut known = begun(column(&[B, A]), Held::Text(B), C, true);
        known.stands(C);
        let here = [A, B, C, D];
        let [past, again, there] = [Judged::Past, Judged::Unwritten, Judged::InStep];
        assert_eq!(judged(&known, here), [past, again, there, Judged::Unknown]);
        known.close();
        assert_eq!(judged(&known, here), [past; 4]);
        let set = begun(known, Held::Text([5; 8]), D, false);
        let [old, new] = [Judged::Unwritten, Judged::Written];
        assert_eq!(judged(&set, [A, B, C, D, [5; 8]]), [old, old, old, new, old]);
    }

    /// Over nothing a password is written where there was nothing when it was set, and else not.
    #[test]
    fn an_emptied_column_is_noticed_once_and_filled_by_what_was_in_it() {
        let mut known = column(&[A]);
        assert_eq!(judged_empty(&known), Judged::Emptied);
        known.emptied = true;
        assert_eq!(judged_empty(&known), Judged::Past);
        // Checked while it was still to be written there, and hashed anew since.
        let upgraded = begun(known.clone(), Held::Nothing, B, true);
        assert_eq!(judged_empty(&upgraded), Judged::Past);
        let unnoticed = begun(column(&[A]), Held::Nothing, B, true);
        assert_eq!(judged_empty(&unnoticed), Judged::Emptied);
        let unwritten = begun(begun(column(&[]), Held::Nothing, A, false), Held::Nothing, B, true);
        assert_eq!(judged_empty(&unwritten), Judged::Unwritten);
        assert_eq!(judged(&known, [A]), [Judged::Written]);
        let set = begun(known, Held::Nothing, B, false);
        assert_eq!(judged_empty(&set), Judged::Unwritten);
        assert_eq!(judged(&set, [A, B]), [Judged::Unwritten, Judged::Written]);
        assert_eq!(judged_empty(&begun(column(&[A]), Held::Text(A), B, false)), Judged::Emptied);
    }

    #[test]
    fn so_many_texts_are_known_and_no_more() {
        let text = |number: usize| u64::try_from(number).unwrap().to_be_bytes();
        let mut known = Column::default();
        for number in 0..=KNOWN {
            known = begun(known, Held::Nothing, text(number), false);
            known.stands(text(number));
        }
        assert_eq!(known.texts.len(), KNOWN);
        assert_eq!(judged(&known, [text(0), text(1)]), [Judged::Unknown, Judged::Past]);
        let upgrades = (0..2 * KNOWN)
            .fold(known, |known, number| begun(known, Held::Nothing, text(1_000 + number), true));
        assert_eq!(upgrades.same, KNOWN);
    }
}
