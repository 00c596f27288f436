//! LK-12: a cookie that is wrong in its first byte takes as long to refuse as one that is wrong in
//! its last.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::hint::black_box;
use std::time::Instant;

use vouchsafe_core::{AccountDigest, Timestamp};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{DeviceEpoch, DeviceKey};
use vouchsafe_testkit::runs;

const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
/// Where the code of authentication begins, in letters.
const CODE: usize = 34;

/// The same cookie with another letter there.
fn wrong_at(cookie: &str, at: usize) -> String {
    let mut forged = cookie.as_bytes().to_vec();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(forged).unwrap()
}

#[test]
fn no_letter_of_a_cookie_takes_longer_than_another() {
    const EACH: u32 = 200;
    let key = DeviceKey::new(MacKey::new(&[3; 32]));
    let cookie =
        key.issue(ACCOUNT, 42, DeviceEpoch::new(0), Timestamp::from_micros(1_523_232_000_000_000));
    let cases = [
        wrong_at(&cookie, CODE),
        wrong_at(&cookie, CODE),
        wrong_at(&cookie, DeviceKey::LENGTH - 2),
    ];
    assert!(cases.iter().all(|forged| key.verify(ACCOUNT, forged).is_none()));
    let mut times: [Vec<u64>; 3] = Default::default();
    for _ in 0..runs(4_000, 40_000) {
        // Side by side, so that whatever else the machine does is done to all of them.
        for (forged, times) in cases.iter().zip(&mut times) {
            let begun = Instant::now();
            for _ in 0..EACH {
                black_box(key.verify(black_box(ACCOUNT), black_box(forged)));
            }
            times.push(u64::try_from(begun.elapsed().as_nanos()).unwrap());
        }
    }
    let [first, again, last] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    println!("medians of {EACH}: first wrong {first} ns, again {again} ns, last wrong {last} ns");
    // Leaving at the first wrong byte would save 15 comparisons of a code that takes far longer to
    // make; what is seen is the noise of two runs of the same case.
    let noise = (first.abs_diff(again)).max(first / 1_000);
    assert!(first.abs_diff(last) <= 3 * noise, "{first} ns, {again} ns, {last} ns");
}
