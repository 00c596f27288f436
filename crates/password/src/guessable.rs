//! The habits by which people make passwords that a guesser tries first.

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

/// The text in lower case, as its characters; wiped on drop.
pub(crate) fn fold(text: &str) -> Zeroizing<Vec<char>> {
    // A character has at most three in lower case: no reallocation, so no copy is left behind.
    let mut folded = Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(3)));
    folded.extend(text.chars().flat_map(char::to_lowercase));
    folded
}

/// How `folded` is easy to guess, if it is.
pub(crate) fn guessable(folded: &[char]) -> Option<Guessable> {
    bare(folded).or_else(|| {
        let core = core(folded);
        let padding = folded.len().saturating_sub(core.len());
        let padded = core.len() >= MIN_CORE && (1..=MAX_PADDING).contains(&padding);
        (padded && bare(core).is_some()).then_some(Guessable::Padded)
    })
}

/// Whether `folded` is made of `words` (folded, longest first) and little else: what is left is at
/// most eight digits, signs or spaces, or is itself easy to guess.
pub(crate) fn personal(folded: &[char], words: &[Vec<char>]) -> bool {
    let mut rest = Zeroizing::new(Vec::with_capacity(folded.len()));
    let mut at = folded;
    let mut found = false;
    while let Some((first, behind)) = at.split_first() {
        match words.iter().find_map(|word| at.strip_prefix(word.as_slice())) {
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

/// The words of an attribute that count: its alphanumeric pieces, and all of them together.
pub(crate) fn words(attribute: &str) -> Vec<Vec<char>> {
    let folded = fold(attribute);
    let pieces = folded.split(|character| !character.is_alphanumeric());
    let mut words: Vec<Vec<char>> = pieces.map(<[char]>::to_vec).collect();
    words.push(folded.iter().copied().filter(|c| c.is_alphanumeric()).collect());
    words.retain(|word| word.len() >= MIN_CORE);
    words
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

/// What stands between the first and the last letter.
fn core(folded: &[char]) -> &[char] {
    let letter = |character: &char| character.is_alphabetic();
    let (Some(first), Some(last)) =
        (folded.iter().position(letter), folded.iter().rposition(letter))
    else {
        return &[];
    };
    folded.get(first..=last).unwrap_or_default()
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
