//! The habits by which people make passwords that a guesser tries first.

use unicode_general_category::{GeneralCategory as Category, get_general_category};
use zeroize::Zeroizing;

use crate::common::CommonPasswords;
use crate::spelling;

/// By which habit a password is easy to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guessable {
    /// It is on the list of common passwords, whatever its case.
    Listed,
    /// A piece of at most four characters, or a common password, over and over.
    Repeated,
    /// Neighbouring keys, runs through the alphabet or the digits, and at most two more characters.
    Walk,
    /// One of the above between at most eight digits, signs or spaces.
    Padded,
}

/// Most digits, signs and spaces around a guessable core that do not make it hard to guess.
const MAX_PADDING: usize = 8;
/// Shortest core worth looking up, and shortest word of an account that counts.
const MIN_CORE: usize = 3;

/// Most characters beside an account's words that are looked at: more than the longest common password
/// and its padding.
const MAX_REST: usize = 64;
/// As many ways to find an account's words in a password as are tried, in all its spellings: each costs
/// some ten microseconds.
const MAX_WAYS: u32 = 64;

/// The text in lower case, as its characters; wiped on drop. It goes through the capitals of that, in
/// which `ß` is `SS`, a sigma is one wherever it stands, and nobody sees whether an `I` had a dot: a
/// Turkish `İ` is an `i`, without the dot that Unicode leaves behind it.
pub(crate) fn fold(text: &str) -> Zeroizing<Vec<char>> {
    // A character has at most three capitals, and each of them one letter: no reallocation, so no copy
    // is left behind.
    let mut folded = Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(3)));
    let small = text.chars().flat_map(char::to_lowercase);
    for character in small.flat_map(char::to_uppercase).flat_map(char::to_lowercase) {
        if character != '\u{307}' || folded.last() != Some(&'i') {
            folded.push(character);
        }
    }
    folded
}

/// How `folded` is easy to guess, if it is.
pub(crate) fn guessable(folded: &[char]) -> Option<Guessable> {
    bare(folded)
        .or_else(|| cores(folded).any(|core| bare(core).is_some()).then_some(Guessable::Padded))
}

/// Whether `folded` is made of `words` (as [`in_order`] has them) and little else, in whichever spelling.
pub(crate) fn personal(folded: &[char], words: &[Vec<char>]) -> bool {
    let mut left = MAX_WAYS;
    is_made_of(folded, words, &mut left)
        || spelling::others(folded).any(|other| is_made_of(&other, words, &mut left))
}

/// Whether `folded` is made of `words` and little else: what is left is at most eight digits, signs or
/// spaces, and as many letters in pieces that are too short to count, or is itself easy to guess. Signs
/// and spaces inside a word do not count.
///
/// Every way to find words in it is tried that leaves at most [`MAX_REST`] characters, so one word more
/// never makes a password acceptable. One with [`MAX_WAYS`] of them, `left` of which are still to be looked
/// at, is made of words.
fn is_made_of(folded: &[char], words: &[Vec<char>], left: &mut u32) -> bool {
    let (words, pieces) = words.split_at(words.partition_point(|word| counts(word)));
    let found = found(folded, words);
    if found.is_empty() {
        return false;
    }
    // For each position the fewest characters that can be left from there on.
    let mut least = vec![0_usize; folded.len().saturating_add(1)];
    for at in (0..folded.len()).rev() {
        let left = |at: usize| least.get(at).copied().unwrap_or(0);
        let behind = ends(&found, at).map(left);
        let fewest = behind.fold(left(at.saturating_add(1)).saturating_add(1), usize::min);
        if let Some(place) = least.get_mut(at) {
            *place = fewest;
        }
    }
    let mut rest = Zeroizing::new(Vec::with_capacity(MAX_REST.saturating_add(1)));
    Ways { folded, found: &found, least: &least, pieces, left }.any_is_weak(0, &mut rest)
}

/// Where each of `words` begins and ends in `folded`, with or without signs and spaces between its
/// letters; in order of the beginnings.
fn found(folded: &[char], words: &[Vec<char>]) -> Vec<(usize, usize)> {
    let mut letters = Zeroizing::new(Vec::with_capacity(folded.len()));
    let mut places = Vec::with_capacity(folded.len());
    for (place, letter) in folded.iter().enumerate().filter(|(_, letter)| is_of_words(**letter)) {
        letters.push(*letter);
        places.push(place);
    }
    let mut found = Vec::new();
    for (at, begin) in places.iter().enumerate() {
        let here = letters.get(at..).unwrap_or_default();
        for word in words.iter().filter(|word| here.starts_with(word)) {
            let last = at.saturating_add(word.len()).checked_sub(1).and_then(|at| places.get(at));
            found.extend(last.map(|last| (*begin, last.saturating_add(1))));
        }
    }
    found
}

/// Where the words end that begin at `at`.
fn ends(found: &[(usize, usize)], at: usize) -> impl Iterator<Item = usize> {
    let first = found.partition_point(|(begin, _)| *begin < at);
    let here = found.get(first..).unwrap_or_default().iter();
    here.take_while(move |(begin, _)| *begin == at).map(|(_, end)| *end)
}

/// The ways to find words in a text.
struct Ways<'a> {
    folded: &'a [char],
    found: &'a [(usize, usize)],
    least: &'a [usize],
    /// Of words, too short to be found by themselves.
    pieces: &'a [Vec<char>],
    /// How many are looked at yet.
    left: &'a mut u32,
}

impl Ways<'_> {
    /// Whether a way from `from` on leaves what does not make the password hard to guess, behind the
    /// `rest` that is left before it.
    fn any_is_weak(&mut self, from: usize, rest: &mut Vec<char>) -> bool {
        let kept = rest.len();
        let mut weak = false;
        for at in from..=self.folded.len() {
            let least = self.least.get(at).copied().unwrap_or(0);
            if rest.len().saturating_add(least) > MAX_REST {
                break;
            }
            weak = ends(self.found, at).any(|end| self.any_is_weak(end, rest));
            if weak {
                break;
            }
            match self.folded.get(at) {
                Some(character) => rest.push(*character),
                None => weak = self.is_weak(rest),
            }
        }
        rest.truncate(kept);
        weak
    }

    fn is_plain(&self, rest: &[char]) -> bool {
        let letters = rest.iter().filter(|c| c.is_alphabetic()).count();
        letters.max(rest.len().saturating_sub(letters)) <= MAX_PADDING
            && rest.split(|c| !c.is_alphabetic()).all(|run| is_of_pieces(run, self.pieces))
    }

    fn is_weak(&mut self, rest: &[char]) -> bool {
        if rest.len() == self.folded.len() {
            // No word was taken.
            return false;
        }
        *self.left = self.left.saturating_sub(1);
        self.is_plain(rest) || *self.left == 0 || guessable(rest).is_some()
    }
}

/// The words of an attribute: its pieces of letters, marks and digits, what is left of those without their
/// digits, and all of them together, each in every spelling. Those come first that are long enough to be
/// one ([`counts`]); of the others, an initial for one, a piece is nothing by itself.
pub(crate) fn words(attribute: &str) -> Vec<Vec<char>> {
    let folded = fold(attribute);
    let pieces = folded.split(|character| !is_of_words(*character));
    let pieces: Vec<&[char]> = pieces.filter(|piece| !piece.is_empty()).collect();
    let without = pieces.iter().flat_map(|piece| piece.split(|c| c.is_numeric()));
    let mut words: Vec<Vec<char>> =
        without.filter(|word| counts(word)).map(<[char]>::to_vec).collect();
    words.push(pieces.concat());
    words.extend(pieces.into_iter().map(<[char]>::to_vec));
    let spelt = words.iter().flat_map(|word| spelling::others(word)).map(|word| word.to_vec());
    let spelt: Vec<_> = spelt.collect();
    words.extend(spelt);
    words
}

/// Each word once, first those that count, and of them the longest.
pub(crate) fn in_order(words: &mut Vec<Vec<char>>) {
    let key = |word: &Vec<char>| (!counts(word), std::cmp::Reverse(word.len()));
    words.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.cmp(b)));
    words.dedup();
}

/// Whether a word is long enough to be one: two characters are, of which nobody writes three for a name.
fn counts(word: &[char]) -> bool {
    let eastern = |character: &char| ('\u{2e80}'..='\u{3ffff}').contains(character);
    word.len() >= MIN_CORE || (word.len() == 2 && word.iter().all(eastern))
}

/// Whether `letters` is nothing but such `pieces`, one behind the other.
fn is_of_pieces(letters: &[char], pieces: &[Vec<char>]) -> bool {
    let mut ends = vec![true];
    for end in 1..=letters.len() {
        let before = |piece: &Vec<char>| {
            end.checked_sub(piece.len()).is_some_and(|begin| {
                ends.get(begin) == Some(&true) && letters.get(begin..end) == Some(piece)
            })
        };
        ends.push(pieces.iter().any(before));
    }
    ends.last() == Some(&true)
}

/// A letter, a digit, or a mark, which many scripts cannot be written without.
fn is_of_words(character: char) -> bool {
    use Category as C;
    let mark = || {
        let category = get_general_category(character);
        matches!(category, C::NonspacingMark | C::SpacingMark | C::EnclosingMark)
    };
    character.is_alphanumeric() || (!character.is_ascii() && mark())
}

fn bare(folded: &[char]) -> Option<Guessable> {
    if CommonPasswords::holds(folded) {
        Some(Guessable::Listed)
    } else if is_repeated(folded) {
        Some(Guessable::Repeated)
    } else if is_walk(folded) {
        Some(Guessable::Walk)
    } else {
        None
    }
}

/// What may be worth looking up in it: all letters, and what stands between them, once one to eight
/// digits, signs or spaces are taken away at its ends. Where there is no letter, the digits are it.
fn cores(folded: &[char]) -> impl Iterator<Item = &[char]> {
    let letters = folded.iter().any(|character| character.is_alphabetic());
    let counts =
        |character: &char| character.is_alphabetic() || (!letters && character.is_alphanumeric());
    let first = folded.iter().position(counts);
    let last = folded.iter().rposition(counts);
    let (before, behind) = match (first, last) {
        (Some(first), Some(last)) => (first, folded.len().saturating_sub(last).saturating_sub(1)),
        _ => (0, 0),
    };
    let most = move |left: usize| behind.min(MAX_PADDING.saturating_sub(left));
    let padding = (0..=before.min(MAX_PADDING))
        .flat_map(move |left| (0..=most(left)).map(move |right| (left, right)));
    padding.filter(|padding| *padding != (0, 0)).filter_map(move |(left, right)| {
        let core = folded.get(left..folded.len().checked_sub(right)?)?;
        (core.len() >= MIN_CORE).then_some(core)
    })
}

fn is_repeated(folded: &[char]) -> bool {
    (1..=folded.len() / 2).any(|period| {
        let repeats = folded.len().is_multiple_of(period)
            && folded.iter().zip(folded.iter().skip(period)).all(|(a, b)| a == b);
        let unit = folded.get(..period).unwrap_or_default();
        repeats && (period <= 4 || CommonPasswords::holds(unit))
    })
}

fn is_walk(folded: &[char]) -> bool {
    let (mut covered, mut run) = (0_usize, 1_usize);
    let mut count = |run: usize| {
        if run >= 3 {
            covered = covered.saturating_add(run);
        }
    };
    for pair in folded.windows(2) {
        if matches!(pair, [a, b] if are_neighbours(*a, *b)) {
            run = run.saturating_add(1);
        } else {
            count(run);
            run = 1;
        }
    }
    count(run);
    covered >= MIN_CORE && folded.len().saturating_sub(covered) <= 2
}

/// Keys that lie side by side on QWERTY, QWERTZ or AZERTY, and what follows one another otherwise.
const ROWS: [&str; 24] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "qsdfghjklm",
    "zxcvbnm",
    "yxcvbnm",
    "wxcvbn",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "8ik",
    "9ol",
    "1q2w3e4r5t6y7u8i9o0p",
    "1q2w3e4r5t6z7u8i9o0p",
    "!@#$%^&*()",
    "!\"§$%&/()=",
    "qawsedrftgyhujikolp",
];

const NEIGHBOURS: [u128; 128] = neighbours();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "run by the compiler")]
const fn neighbours() -> [u128; 128] {
    let mut table = [0_u128; 128];
    let mut row = 0;
    while row < ROWS.len() {
        let keys = ROWS[row].as_bytes();
        let mut at = 1;
        while at < keys.len() {
            let (a, b) = (keys[at - 1] as usize, keys[at] as usize);
            if a < 128 && b < 128 {
                table[a] |= 1 << b;
                table[b] |= 1 << a;
            }
            at += 1;
        }
        row += 1;
    }
    table
}

fn are_neighbours(a: char, b: char) -> bool {
    let bit = u32::from(b);
    let row = NEIGHBOURS.get(usize::try_from(u32::from(a)).unwrap_or(usize::MAX));
    // The one key of these rows that is not ASCII, and so not in the table.
    let paragraph = matches!((a, b), ('"' | '$', '§') | ('§', '"' | '$'));
    a == b || paragraph || row.is_some_and(|row| row.checked_shr(bit).is_some_and(|r| r & 1 == 1))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Whether all of it is short words, each beginning tried.
    fn pieces(run: &[char], words: &[Vec<char>]) -> bool {
        let mut short = words.iter().filter(|word| word.len() < 3);
        run.is_empty() || short.any(|s| run.starts_with(s) && pieces(&run[s.len()..], words))
    }

    /// How many ways there are to find words in what is left of the text, a few letters at most, and
    /// whether one leaves what is easy to guess: each tried, from the definition.
    fn ways(text: &[char], words: &[Vec<char>], rest: &mut Vec<char>, taken: bool) -> (u32, bool) {
        let Some((first, behind)) = text.split_first() else {
            let letters: String = rest.iter().filter(|c| c.is_alphabetic()).collect();
            let few = letters.len() <= 8 && rest.len().abs_diff(letters.len()) <= 8;
            let mut runs = rest.split(|c| !c.is_alphabetic());
            let plain = few && runs.all(|run| pieces(run, words));
            return (u32::from(taken), taken && (plain || guessable(rest).is_some()));
        };
        rest.push(*first);
        let (mut count, mut weak) = ways(behind, words, rest, taken);
        rest.pop();
        for word in words.iter().filter(|word| word.len() > 2) {
            let mut letters = word.iter().peekable();
            let mut end = 0;
            while let (Some(letter), Some(character)) = (letters.peek(), text.get(end)) {
                if *letter == character {
                    letters.next();
                } else if end == 0 || is_of_words(*character) {
                    break;
                }
                end = end.saturating_add(1);
            }
            if letters.peek().is_none() {
                let more = ways(&text[end..], words, rest, true);
                (count, weak) = (count.saturating_add(more.0), weak || more.1);
            }
        }
        (count, weak)
    }

    fn letters(most: usize) -> impl Strategy<Value = Vec<char>> {
        let one = prop_oneof![4 => Just('a'), 4 => Just('b'), 1 => Just('1'), 1 => Just('-')];
        vec(one, 0..=most)
    }

    fn known() -> impl Strategy<Value = Vec<Vec<char>>> {
        let letter = prop_oneof![4 => Just('a'), 4 => Just('b'), 1 => Just('1')];
        vec(vec(letter, 1..=5), 0..6).prop_map(|mut words| {
            in_order(&mut words);
            words
        })
    }

    #[test]
    fn a_dot_goes_with_its_i_and_no_other_mark() {
        assert_eq!(fold("İi\u{307}I\u{307}").as_slice(), ['i', 'i', 'i']);
        assert_eq!(fold("j\u{307}i\u{308}").as_slice(), ['j', '\u{307}', 'i', '\u{308}']);
    }

    #[test]
    fn each_letter_is_its_capital() {
        for letter in char::MIN..=char::MAX {
            let small = fold(&letter.to_string());
            assert!(small.len() <= 3, "{letter}");
            for same in [letter.to_uppercase().to_string(), letter.to_lowercase().to_string()] {
                assert_eq!(fold(&same), small, "{letter} and {same}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            u32::try_from(vouchsafe_testkit::runs(20_000, 1_000_000)).unwrap()
        ))]
        #[test]
        fn personal_as_the_oracle(text in letters(16), words in known()) {
            let (count, weak) = ways(&text, &words, &mut Vec::new(), false);
            prop_assert_eq!(personal(&text, &words), weak || count >= MAX_WAYS);
        }

        #[test]
        fn one_word_more_makes_nothing_acceptable(
            text in letters(40),
            words in known(),
            more in known(),
        ) {
            let mut all = [words.clone(), more].concat();
            in_order(&mut all);
            prop_assert!(!personal(&text, &words) || personal(&text, &all));
        }
    }
}
