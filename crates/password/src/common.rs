//! The bundled list of common passwords.

/// For each n from 0 to 64 how many entries have at least n code points (big-endian `u32`s), then
/// the entries' digests (big-endian `u64`s, ascending). Built by `examples/build_common.rs`.
const BUNDLED: &[u8] = include_bytes!("../data/common.bin");

/// How many lengths the head of the list tells apart.
const LENGTHS: usize = 65;

/// The bundled list of common passwords, case-folded.
///
/// From the passwords of `@zxcvbn-ts/language-common` 4.1.3 (MIT; licence in
/// `data/LICENSE-zxcvbn`): all of 8 code points or more, and of the shorter ones, which serve to
/// recognise padded and doubled forms, the most used.
pub struct CommonPasswords(());

impl CommonPasswords {
    /// How many entries have at least `length` code points; those of more than 64 count as 64.
    #[must_use]
    pub fn at_least(length: u32) -> u32 {
        let at = usize::try_from(length).unwrap_or(LENGTHS);
        match head().get(at) {
            Some(count) => u32::from_be_bytes(*count),
            None => 0,
        }
    }

    /// Whether `folded`, lower-case NFC text, is on the list. The odds that a text which is not
    /// looks as if it were are 36 000 in 2^64.
    pub(crate) fn holds(folded: &[char]) -> bool {
        let digest = digest(folded);
        entries().binary_search_by(|entry| u64::from_be_bytes(*entry).cmp(&digest)).is_ok()
    }
}

fn head() -> &'static [[u8; 4]] {
    BUNDLED.as_chunks::<4>().0.get(..LENGTHS).unwrap_or_default()
}

fn entries() -> &'static [[u8; 8]] {
    BUNDLED.get(LENGTHS * 4..).unwrap_or_default().as_chunks::<8>().0
}

/// FNV-1a, 64 bits, of the text in UTF-8. Whoever seeks a collision only gets a password refused.
fn digest(text: &[char]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut utf8 = [0; 4];
    for character in text {
        for byte in character.encode_utf8(&mut utf8).bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let digests: Vec<u64> = entries().iter().map(|e| u64::from_be_bytes(*e)).collect();
        assert!(digests.windows(2).all(|pair| pair[0] < pair[1]), "ascending, no duplicates");
        assert_eq!(u32::try_from(digests.len()).unwrap(), CommonPasswords::at_least(0));
        assert!(BUNDLED.len() < 300_000);
        let counts: Vec<u32> = (0..70).map(CommonPasswords::at_least).collect();
        assert!(counts.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!((counts[8], counts[9], counts[15], counts[65]), (17_950, 3_543, 41, 0));
    }

    #[test]
    fn holds_what_everybody_uses_and_nothing_else() {
        let holds = |text: &str| CommonPasswords::holds(&text.chars().collect::<Vec<_>>());
        for common in ["password", "123456", "iloveyou", "trustno1", "dragon", "qwerty"] {
            assert!(holds(common), "{common}");
        }
        for other in ["", "Password", "correct horse battery staple", "qwzzpx"] {
            assert!(!holds(other), "{other}");
        }
    }
}
