//! PW-17: Argon2id as the C reference computes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64Unpadded as Base64, Encoding};
use common::{charged, cheap, martha, matched, password, unhex};
use vouchsafe_core::Standing;
use vouchsafe_password::{PoolConfig, Record};

/// A thousand random passwords, salts and costs. The tags are argon2-cffi's 25.1.0 (the reference in
/// C; tests/data/made_by_others.py), and the `argon2` crate, called plainly, agrees.
#[test]
fn a_thousand_random_hashes_as_the_reference_has_them() {
    let pool = common::pool(PoolConfig::new(cheap()).workers(2));
    let mut count = 0;
    for line in include_str!("data/argon2.tsv").lines() {
        let [typed, salt, m, t, p, tag] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (typed, salt, tag) = (unhex(typed), unhex(salt), unhex(tag));
        let number = |text: &str| text.parse::<u32>().unwrap();
        let params = Params::new(number(m), number(t), number(p), Some(tag.len())).unwrap();
        let mut plain = vec![0; tag.len()];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&typed, &salt, &mut plain)
            .unwrap();
        assert_eq!(plain, tag, "{line}");

        let of = |tag: &[u8]| {
            let (salt, tag) = (Base64::encode_string(&salt), Base64::encode_string(tag));
            let text = format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${tag}");
            Record::import(&text, Standing::Chosen).unwrap()
        };
        let typed = password(&String::from_utf8(typed).unwrap());
        let verify = |record| matched(pool.verify(charged(1), &typed, record, martha()).wait());
        assert_eq!(verify(of(&tag)), Some(Standing::Chosen), "{line}");
        let mut other = tag;
        other[0] ^= 1;
        assert_eq!(verify(of(&other)), None, "{line}");
        count += 1;
    }
    assert_eq!(count, 1_000);
}
