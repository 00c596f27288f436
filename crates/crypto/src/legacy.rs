//! What other software hashes passwords with: for checking what it made, not for making more.

use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2 as ring_pbkdf2};

use crate::wipe::scrubbed;

/// Which HMAC PBKDF2 is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prf {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// PBKDF2 (RFC 8018): fills `out` from `password`.
pub fn pbkdf2(prf: Prf, rounds: NonZeroU32, salt: &[u8], password: &[u8], out: &mut [u8]) {
    let algorithm = match prf {
        Prf::Sha1 => ring_pbkdf2::PBKDF2_HMAC_SHA1,
        Prf::Sha256 => ring_pbkdf2::PBKDF2_HMAC_SHA256,
        Prf::Sha512 => ring_pbkdf2::PBKDF2_HMAC_SHA512,
    };
    scrubbed(|| ring_pbkdf2::derive(algorithm, rounds, salt, password, out));
}

/// HMAC-SHA-256 (RFC 2104) of `data` under a key of any length.
#[must_use]
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    scrubbed(|| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
        out.copy_from_slice(tag.as_ref());
    });
    out
}

/// SHA-1 of `data`. Two texts with the same one can be made; to find the text of one is still hard.
#[must_use]
pub fn sha1(data: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    scrubbed(|| {
        out.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref());
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 6070; RFC 7914, section 11, for SHA-256; for SHA-512 what Python's hashlib computes.
    #[test]
    fn pbkdf2_as_published() {
        let of = |prf, rounds, password: &str, salt: &str, len| {
            let mut out = vec![0; len];
            let rounds = NonZeroU32::new(rounds).unwrap();
            pbkdf2(prf, rounds, salt.as_bytes(), password.as_bytes(), &mut out);
            hex(&out)
        };
        let long = ("passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt");
        assert_eq!(
            of(Prf::Sha1, 4096, "password", "salt", 20),
            "4b007901b765489abead49d926f721d065a429c1"
        );
        assert_eq!(
            of(Prf::Sha1, 4096, long.0, long.1, 25),
            "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"
        );
        assert_eq!(
            of(Prf::Sha256, 1, "passwd", "salt", 64),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
        assert_eq!(
            of(Prf::Sha512, 4096, "password", "salt", 64),
            "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5\
             143f30602641b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5"
        );
    }

    /// RFC 4231, test cases 2 and 6 (a key longer than a block).
    #[test]
    fn hmac_as_published() {
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// FIPS 180-4's example.
    #[test]
    fn sha1_as_published() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
