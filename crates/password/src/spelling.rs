//! Other ways to type a name: without the marks on its letters, or with two letters for one.

use unicode_normalization::char::decompose_canonical;
use zeroize::Zeroizing;

/// What stands for a letter on a keyboard that has not got it.
#[derive(Clone, Copy)]
enum Spelling {
    /// `José` as `jose`, `Müller` as `muller`.
    Plain,
    /// `Müller` as `mueller`, and otherwise as [`Plain`](Self::Plain).
    Long,
}

/// The other ways to type `folded`, text in lower case; none for ASCII, which has but one.
pub(crate) fn others(folded: &[char]) -> impl Iterator<Item = Zeroizing<Vec<char>>> {
    let ascii = folded.iter().all(char::is_ascii);
    let spellings = [Spelling::Plain, Spelling::Long].into_iter().filter(move |_| !ascii);
    spellings.map(|spelling| spelt(folded, spelling)).filter(|other| **other != *folded)
}

fn spelt(folded: &[char], spelling: Spelling) -> Zeroizing<Vec<char>> {
    // A letter has at most four parts: no reallocation, so no copy is left behind.
    let mut out = Zeroizing::new(Vec::with_capacity(folded.len().saturating_mul(4)));
    for letter in folded {
        let other = match (spelling, *letter) {
            (_, 'æ') | (Spelling::Long, 'ä') => "ae",
            (_, 'œ') | (Spelling::Long, 'ö' | 'ø') => "oe",
            (_, 'þ') => "th",
            (Spelling::Long, 'ü') => "ue",
            (Spelling::Long, 'å') => "aa",
            (_, 'ø') => "o",
            (_, 'ł') => "l",
            (_, 'đ' | 'ð') => "d",
            _ => "",
        };
        match *letter {
            _ if !other.is_empty() => out.extend(other.chars()),
            // Syllables have parts, too, of which none is a mark.
            '\u{ac00}'..='\u{d7a3}' => out.push(*letter),
            letter => decompose_canonical(letter, |part| {
                if !is_on_letters(part) {
                    out.push(part);
                }
            }),
        }
    }
    out
}

/// A mark on the letters of Latin, Greek and Cyrillic; what the vowels are in other scripts is none.
const fn is_on_letters(part: char) -> bool {
    matches!(part, '\u{300}'..='\u{36f}')
}
