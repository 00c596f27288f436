//! Unicode's normalisation forms C and D, in memory that is wiped: the iterators of the library that the
//! tables come from keep a long run of combining marks on a heap of their own.

use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};
use zeroize::Zeroizing;

/// The normalised text (UAX #15; Unicode, section 3.11).
pub(crate) fn nfc(text: &str) -> Zeroizing<String> {
    let mut characters = decomposed(text);
    let kept = composed(&mut characters);
    written(text, characters.iter().take(kept))
}

/// The same in form D: each character in its parts.
pub(crate) fn nfd(text: &str) -> Zeroizing<String> {
    written(text, decomposed(text).iter())
}

/// Both forms grow UTF-8 at most threefold (Unicode FAQ, Normalization): no reallocation, so no copy
/// is left behind.
fn written<'a>(text: &str, characters: impl Iterator<Item = &'a char>) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    out.extend(characters);
    out
}

/// Each character in its parts, with runs of marks in the order of their classes.
fn decomposed(text: &str) -> Zeroizing<Vec<char>> {
    // A character of two bytes has at most three parts, one of three at most four.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(2)));
    for character in text.chars() {
        decompose_canonical(character, |part| out.push(part));
    }
    out.split_mut(|part| canonical_combining_class(*part) == 0).for_each(in_order);
    out
}

/// Brings a run of marks into the order of their classes, those of one class as they stood.
fn in_order(run: &mut [char]) {
    if run.is_sorted_by_key(|mark| canonical_combining_class(*mark)) {
        return;
    }
    // Sorted where it lies: what a stable sort allocates is not wiped.
    let mut marks = Zeroizing::new(Vec::with_capacity(run.len()));
    let places = run.iter().enumerate();
    marks.extend(places.map(|(at, mark)| (canonical_combining_class(*mark), at, *mark)));
    marks.sort_unstable();
    for (place, (_, _, mark)) in run.iter_mut().zip(marks.iter()) {
        *place = *mark;
    }
}

/// Composes where they lie what can be, and returns how many characters are left.
fn composed(characters: &mut [char]) -> usize {
    let mut kept = 0_usize;
    let mut starter: Option<usize> = None;
    // The class of the last character kept after the starter.
    let mut between: Option<u8> = None;
    for at in 0..characters.len() {
        let Some(&character) = characters.get(at) else { break };
        let class = canonical_combining_class(character);
        let open = between.is_none_or(|between| between < class);
        let first = starter.filter(|_| open).and_then(|at| characters.get_mut(at));
        if let Some(first) = first
            && let Some(both) = compose(*first, character)
        {
            *first = both;
            continue;
        }
        (starter, between) = if class == 0 { (Some(kept), None) } else { (starter, Some(class)) };
        if let Some(place) = characters.get_mut(kept) {
            *place = character;
        }
        kept = kept.saturating_add(1);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    /// Letters, marks of all classes, Hangul in parts and whole, and anything.
    fn texts() -> impl Strategy<Value = String> {
        let one = prop_oneof![
            proptest::char::range('a', 'z'),
            proptest::char::range('\u{300}', '\u{34e}'),
            proptest::char::range('\u{1100}', '\u{11ff}'),
            proptest::char::range('\u{ac00}', '\u{d7a3}'),
            proptest::char::range('\u{1f00}', '\u{1fff}'),
            proptest::char::range('\u{900}', '\u{dff}'),
            any::<char>(),
        ];
        proptest::collection::vec(one, 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            u32::try_from(vouchsafe_testkit::runs(20_000, 1_000_000)).unwrap()
        ))]
        #[test]
        fn is_the_librarys(text in texts()) {
            prop_assert_eq!(nfc(&text).to_string(), text.nfc().collect::<String>());
            prop_assert_eq!(nfd(&text).to_string(), text.nfd().collect::<String>());
        }
    }

    /// Long enough to be sorted in another way than short ones.
    #[test]
    fn a_long_run_of_marks_is_in_the_order_of_their_classes() {
        let classes = ["\u{345}", "\u{301}", "\u{316}", "\u{31b}", "\u{327}", "\u{344}", "\u{308}"];
        for length in [2, 19, 20, 21, 33, 100, 700] {
            let marks: String = (0..length).map(|at| classes[at * at % 31 % 7]).collect();
            for text in [format!("a{marks}e{marks}"), marks] {
                assert_eq!(nfc(&text).to_string(), text.nfc().collect::<String>(), "{length}");
                assert_eq!(nfd(&text).to_string(), text.nfd().collect::<String>(), "{length}");
            }
        }
    }

    #[test]
    fn each_character_alone_and_behind_a_letter() {
        for character in '\0'..=char::MAX {
            for text in [format!("{character}"), format!("e\u{316}{character}\u{301}")] {
                let (parts, c, d) = (decomposed(&text), nfc(&text), nfd(&text));
                let room = (parts.capacity(), c.capacity(), d.capacity());
                let grown = (text.len() * 2, text.len() * 3, text.len() * 3);
                assert_eq!(room, grown, "{character:?} grew");
                assert_eq!(c.as_str(), text.nfc().collect::<String>(), "{character:?}");
                assert_eq!(d.as_str(), text.nfd().collect::<String>(), "{character:?}");
            }
        }
    }
}
