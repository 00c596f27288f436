//! The habits by which people make passwords that a guesser tries first.

use unicode_general_category::{GeneralCategory as Category, get_general_category};
use zeroize::Zeroizing;

use crate::common::CommonPasswords;

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

/// The text in lower case, as its characters; wiped on drop. A sigma is one wherever it stands: in
/// capitals nobody sees which it was.
pub(crate) fn fold(text: &str) -> Zeroizing<Vec<char>> {
    // A character has at most three in lower case: no reallocation, so no copy is left behind.
    let mut folded = Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(3)));
    let lower = text.chars().flat_map(char::to_lowercase);
    folded.extend(lower.map(|character| if character == 'ς' { 'σ' } else { character }));
    folded
}

/// How `folded` is easy to guess, if it is.
pub(crate) fn guessable(folded: &[char]) -> Option<Guessable> {
    bare(folded)
        .or_else(|| cores(folded).any(|core| bare(core).is_some()).then_some(Guessable::Padded))
}

/// Whether `folded` is made of `words` (folded, longest first) and little else: what is left is at
/// most eight digits, signs or spaces, or is itself easy to guess. Signs and spaces inside a word do not
/// count.
pub(crate) fn personal(folded: &[char], words: &[Vec<char>]) -> bool {
    let signs = || folded.iter().any(|character| !is_of_words(*character));
    made_of(folded, words, <[char]>::strip_prefix)
        || (signs() && made_of(folded, words, strip_spaced))
}

/// `strip` says what is left of a text behind a word that it begins with.
fn made_of(
    folded: &[char],
    words: &[Vec<char>],
    strip: impl for<'a> Fn(&'a [char], &[char]) -> Option<&'a [char]>,
) -> bool {
    let mut rest = Zeroizing::new(Vec::with_capacity(folded.len()));
    let mut at = folded;
    let mut found = false;
    while let Some((first, behind)) = at.split_first() {
        match words.iter().find_map(|word| strip(at, word)) {
            Some(behind) => {
                found = true;
                at = behind;
            }
            None => {
                rest.push(*first);
                at = behind;
            }
        }
    }
    if !found {
        return false;
    }
    let plain = rest.iter().all(|character| !character.is_alphabetic());
    (plain && rest.len() <= MAX_PADDING) || guessable(&rest).is_some()
}

/// With signs and spaces between the letters of the word.
fn strip_spaced<'a>(mut text: &'a [char], word: &[char]) -> Option<&'a [char]> {
    let (first, others) = word.split_first()?;
    text = text.strip_prefix(std::slice::from_ref(first))?;
    for letter in others {
        let at = text.iter().position(|character| is_of_words(*character))?;
        text = text.get(at..)?.strip_prefix(std::slice::from_ref(letter))?;
    }
    Some(text)
}

/// The words of an attribute that count: its pieces of letters, marks and digits, and all of them together.
pub(crate) fn words(attribute: &str) -> Vec<Vec<char>> {
    let folded = fold(attribute);
    let pieces = folded.split(|character| !is_of_words(*character));
    let mut words: Vec<Vec<char>> = pieces.map(<[char]>::to_vec).collect();
    words.push(folded.iter().copied().filter(|character| is_of_words(*character)).collect());
    words.retain(|word| word.len() >= MIN_CORE);
    words
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
/// digits, signs or spaces are taken away at its ends.
fn cores(folded: &[char]) -> impl Iterator<Item = &[char]> {
    let letter = |character: &char| character.is_alphabetic();
    let first = folded.iter().position(letter);
    let last = folded.iter().rposition(letter);
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
    a == b || row.is_some_and(|row| row.checked_shr(bit).is_some_and(|r| r & 1 == 1))
}
