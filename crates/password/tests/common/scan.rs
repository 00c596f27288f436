//! A password in this process's memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use vouchsafe_password::Password;

pub const MASK: u8 = 0xa5;

/// A form in which it is not found.
pub const fn masked(plain: [u8; 24]) -> [u8; 24] {
    let mut masked = plain;
    let mut at = 0;
    while at < masked.len() {
        masked[at] ^= MASK;
        at += 1;
    }
    masked
}

pub fn plain(masked: &[u8; 24]) -> Password {
    let mut text = String::with_capacity(masked.len() + 1);
    let bytes: Vec<u8> = masked.iter().map(|b| b ^ MASK).collect();
    text.push_str(std::str::from_utf8(&bytes).unwrap());
    let mut bytes = bytes;
    zeroize::Zeroize::zeroize(&mut bytes);
    Password::new(text).unwrap()
}

/// How often it stands in the writable memory of this process, its heaps and all stacks.
pub fn found(masked: &[u8; 24]) -> usize {
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
