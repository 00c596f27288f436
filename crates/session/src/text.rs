//! base64url without padding (RFC 4648, 5), strict, and without tables or branches that depend on
//! the secret bytes.

use zeroize::{Zeroize, Zeroizing};

/// How many characters `bytes` bytes take.
pub(crate) const fn length(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// All ones when `low <= value <= high`, else zero; for values below 256.
const fn within(value: i32, low: i32, high: i32) -> i32 {
    !(value.wrapping_sub(low) | high.wrapping_sub(value)) >> 31
}

const fn letter(six: i32) -> u8 {
    let code = (within(six, 0, 25) & six.wrapping_add(65))
        | (within(six, 26, 51) & six.wrapping_add(71))
        | (within(six, 52, 61) & six.wrapping_sub(4))
        | (within(six, 62, 62) & 45)
        | (within(six, 63, 63) & 95);
    code.to_le_bytes()[0]
}

/// The six bits a character stands for, or -1.
const fn value(letter: u8) -> i32 {
    let code = letter as i32;
    (within(code, 65, 90) & code.wrapping_sub(64))
        .wrapping_add(within(code, 97, 122) & code.wrapping_sub(70))
        .wrapping_add(within(code, 48, 57) & code.wrapping_add(5))
        .wrapping_add(within(code, 45, 45) & 63)
        .wrapping_add(within(code, 95, 95) & 64)
        .wrapping_sub(1)
}

/// The text of `bytes`, in an allocation of exactly its length.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(length(bytes.len()));
    for chunk in bytes.chunks(3) {
        let mut group = 0_i32;
        for place in 0..3 {
            group = (group << 8) | i32::from(chunk.get(place).copied().unwrap_or(0));
        }
        for place in 0..=chunk.len() {
            let shift = [18, 12, 6, 0].get(place).copied().unwrap_or(0);
            text.push(char::from(letter((group >> shift) & 63)));
        }
    }
    text
}

/// Exactly `N` bytes, when `text` is their one spelling.
pub(crate) fn decode<const N: usize>(text: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    if text.len() != length(N) {
        return None;
    }
    let mut out = Zeroizing::new([0; N]);
    let mut bad = 0;
    for (bytes, letters) in out.chunks_mut(3).zip(text.chunks(4)) {
        let mut group = 0;
        for place in 0..4 {
            let six = letters.get(place).map_or(0, |letter| value(*letter));
            bad |= six;
            group = (group << 6) | (six & 63);
        }
        let mut spelled = group.to_be_bytes();
        for (byte, from) in bytes.iter_mut().zip(spelled.iter().skip(1)) {
            *byte = *from;
        }
        // What is left over of the last group must be zero, or a text would have two spellings.
        for left in spelled.iter().skip(bytes.len().saturating_add(1)) {
            bad |= 0_i32.wrapping_sub(i32::from(*left));
        }
        spelled.zeroize();
    }
    (bad >= 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(decode::<6>(b"Zm9vYmFy").as_deref(), Some(b"foobar"));
        assert_eq!(decode::<3>(b"-__-").as_deref(), Some(&[0xfb, 0xff, 0xfe]));
    }

    #[test]
    fn every_character_and_only_these() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for code in 0..=255_u8 {
            let expected = alphabet.iter().position(|letter| *letter == code);
            assert_eq!(usize::try_from(value(code)).ok(), expected, "{code}");
        }
        for (six, code) in alphabet.iter().enumerate() {
            assert_eq!(letter(six as i32), *code);
        }
    }

    #[test]
    fn one_spelling() {
        assert!(decode::<1>(b"Zg").is_some());
        for text in ["Zh", "Zg=", "Zg==", "Z", " Zg", "Zg ", "Z+", "Z/"] {
            assert!(decode::<1>(text.as_bytes()).is_none(), "{text}");
        }
        assert!(decode::<2>(b"Zm8").is_some());
        assert!(decode::<2>(b"Zm9").is_none());
    }
}
