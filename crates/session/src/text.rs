//! base64url without padding (RFC 4648, 5): one spelling, in constant time.

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

/// How many characters `bytes` bytes take.
pub(crate) const fn length(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// The text of `bytes`, in an allocation of exactly its length.
pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Exactly `N` bytes, when `text` is their one spelling.
pub(crate) fn decode<const N: usize>(text: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    if text.len() != length(N) {
        return None;
    }
    let mut out = Zeroizing::new([0; N]);
    let read = Base64UrlUnpadded::decode(text, &mut *out).ok()?.len();
    (read == N).then_some(out)
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
    fn one_spelling() {
        assert!(decode::<1>(b"Zg").is_some());
        for text in ["Zh", "Zg=", "Zg==", "Z", " Zg", "Zg ", "Z+", "Z/"] {
            assert!(decode::<1>(text.as_bytes()).is_none(), "{text}");
        }
        assert!(decode::<2>(b"Zm8").is_some());
        assert!(decode::<2>(b"Zm9").is_none());
    }
}
