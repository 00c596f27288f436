//! Nothing of a password is left behind: its own test binary, because it reads the whole process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;

use vouchsafe_core::Standing;
use vouchsafe_password::{Attributes, OwnerPresent, Password, PasswordPolicy, PoolConfig, Stored};

/// The password, kept in a form in which it is not found.
const MASK: u8 = 0xa5;
const MASKED: [u8; 24] = masked(*b"Zebra#47-Quarz!Lampe+Xyl");
/// What it is in lower case, and the decomposed form of another.
const MASKED_FOLDED: [u8; 24] = masked(*b"zebra#47-quarz!lampe+xyl");
const MASKED_DECOMPOSED: [u8; 24] = masked(*b"Zu\xcc\x88rich#47-Quarz!Lampe+");

const fn masked(plain: [u8; 24]) -> [u8; 24] {
    let mut masked = plain;
    let mut at = 0;
    while at < masked.len() {
        masked[at] ^= MASK;
        at += 1;
    }
    masked
}

fn plain(masked: &[u8; 24]) -> Password {
    let mut text = String::with_capacity(masked.len() + 1);
    let bytes: Vec<u8> = masked.iter().map(|b| b ^ MASK).collect();
    text.push_str(std::str::from_utf8(&bytes).unwrap());
    let mut bytes = bytes;
    zeroize::Zeroize::zeroize(&mut bytes);
    Password::new(text).unwrap()
}

/// How often it stands in the writable memory of this process, its heaps and all stacks.
fn found(masked: &[u8; 24]) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut chunk = vec![0_u8; 1 << 20];
    let mut found = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") || line.contains("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (mut at, to) =
            (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while at < to {
            let want = chunk.len().min(usize::try_from(to - at).unwrap());
            let Ok(got) = memory.read_at(&mut chunk[..want], at) else { break };
            found += chunk[..got]
                .windows(masked.len())
                .filter(|window| window.iter().zip(masked).all(|(a, b)| a ^ MASK == *b))
                .count();
            // The copy in the buffer is not to be found when the buffer's own turn comes.
            chunk.fill(0);
            if got < masked.len() {
                break;
            }
            at += if at + got as u64 >= to { got } else { got - (masked.len() - 1) } as u64;
        }
    }
    found
}

#[test]
fn nothing_is_left_after_the_last_use() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(2));
    for secret in [&MASKED, &MASKED_DECOMPOSED] {
        let password = plain(secret);
        assert!(found(secret) >= 1, "the scan finds nothing at all");
        let policy = PasswordPolicy::zoomph_staff();
        let accepted = policy.check(&password, &Attributes::none().with("Zebra")).unwrap();
        let owner = OwnerPresent::assertion(common::ACCOUNT);
        let new = pool.hash(accepted, owner, common::martha()).wait().unwrap();
        let record = Stored::from(new.as_record().clone());
        let verified = pool.verify(common::charged(1), &password, record, common::martha()).wait();
        assert_eq!(common::matched(verified), Some(Standing::Chosen));
        let abandoned =
            pool.verify(common::charged(2), &password, Stored::Absent, common::martha());
        drop((abandoned, password));
        // One after the other on both workers, so that neither still holds the abandoned one.
        for id in 0..4 {
            let other = common::password("something else");
            let verified =
                pool.verify(common::charged(id), &other, Stored::Absent, common::martha());
            assert_eq!(common::matched(verified.wait()), None);
        }
        assert_eq!(found(secret), 0);
    }
    assert_eq!(found(&MASKED_FOLDED), 0);
}
