//! bcrypt, over Blowfish.

use blowfish::Blowfish;
use zeroize::Zeroizing;

/// Bytes of a password that count.
pub(crate) const MOST: usize = 72;
/// Most bytes of a password that a match says all of: with 72 the closing NUL is not hashed, and every
/// longer password with that beginning agrees.
pub(crate) const WHOLE: usize = MOST - 1;
/// Bytes that are kept of the 24.
pub(crate) const HASH: usize = 23;
const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";

/// The first 23 bytes of bcrypt's hash: of the first 72 bytes of `password` and an ending NUL.
pub(crate) fn run(cost: u32, salt: &[u8; 16], password: &[u8], out: &mut [u8; HASH]) {
    let mut key = Zeroizing::new(Vec::with_capacity(MOST));
    key.extend(password.iter().copied().chain([0]).take(MOST));
    let mut state: Blowfish = Blowfish::bc_init_state();
    state.salted_expand_key(salt, &key);
    for _ in 0..1_u64.checked_shl(cost).unwrap_or(0) {
        state.bc_expand_key(&key);
        state.bc_expand_key(salt);
    }
    let mut text = *TEXT;
    for block in text.as_chunks_mut::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *block;
        let mut halves = [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])];
        for _ in 0..64 {
            halves = state.bc_encrypt(halves);
        }
        for (to, from) in block.iter_mut().zip(halves.into_iter().flat_map(u32::to_be_bytes)) {
            *to = from;
        }
    }
    for (to, from) in out.iter_mut().zip(text) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passwords of every length about the 72 bytes.
    #[test]
    fn as_another_implementation_at_every_length() {
        for length in 0..80_u8 {
            let password: Vec<u8> = (1..=length).collect();
            let salt = [length; 16];
            let mut key: Vec<u8> = password.iter().copied().chain([0]).collect();
            key.truncate(72);
            let expected = bcrypt::bcrypt(4, salt, &key);
            let mut out = [0; HASH];
            run(4, &salt, &password, &mut out);
            assert_eq!(out, expected[..HASH], "{length}");
        }
    }
}
