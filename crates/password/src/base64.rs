//! The PHC string format's base64: standard alphabet, no padding, one form only.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(4).div_ceil(3));
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([&0, &0]).take(3).fold(0_u32, |g, b| g << 8 | u32::from(*b));
        for at in 0..=chunk.len() {
            let shift = 18_u32.saturating_sub(u32::try_from(at).unwrap_or(0).saturating_mul(6));
            let index = usize::try_from(group >> shift & 63).unwrap_or(0);
            text.extend(ALPHABET.get(index).map(|b| char::from(*b)));
        }
    }
    text
}

/// `None` for a foreign character, an impossible length, or bits set behind the last byte.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len().saturating_mul(3) / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for byte in chunk {
            group = group << 6 | u32::from(value(*byte)?);
        }
        let (padding, take) = match chunk.len() {
            4 => (0_u32, 3),
            3 => (6, 2),
            2 => (12, 1),
            _ => return None,
        };
        let group = (group << padding).to_be_bytes();
        let (kept, rest) = group.get(1..)?.split_at_checked(take)?;
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => byte.checked_sub(b'A'),
        b'a'..=b'z' => byte.checked_sub(b'a')?.checked_add(26),
        b'0'..=b'9' => byte.checked_sub(b'0')?.checked_add(52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_vectors_without_padding() {
        let vectors = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
        ];
        for (plain, text) in vectors {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
    }

    #[test]
    fn only_one_form_is_read() {
        for bad in ["Z", "Zh", "Zm9", "Zg==", "Zm-v", "Zm9v\n", "Zm9vY"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
