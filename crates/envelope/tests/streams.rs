//! EN-1: streams, sealed and opened in pieces, both ways with somebody else's program. A file of
//! its own, so that the process's memory is this test's.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::io::Read;

use cobblestone::{DecryptReader, EncryptReader, Key256};
use vouchsafe_core::Entropy;
use vouchsafe_crypto::SystemEntropy;
use vouchsafe_envelope::cobblestone::{Opener, Sealer, sealed_len};
use vouchsafe_testkit::runs;

/// What neither side's memory may grow by, however long the stream is.
const MEMORY: u64 = 8 << 20;
/// Pieces that end nowhere near a chunk's end.
const PIECE: usize = 100_003;

/// `left` more bytes, each told by its place.
struct Plain {
    at: u64,
    left: u64,
}

impl Plain {
    const fn new(size: u64) -> Self {
        Self { at: 0, left: size }
    }

    /// Takes as many bytes as are given, which have to be the next ones.
    fn expect(&mut self, given: &[u8]) {
        let mut next = vec![0; given.len()];
        assert_eq!(self.read(&mut next).unwrap(), given.len(), "more than was sealed");
        assert!(next == given, "other bytes than were sealed, before {}", self.at);
    }
}

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for byte in &mut out[..len] {
            *byte = (self.at % 251 + self.at / 16_384 % 7) as u8;
            self.at += 1;
        }
        self.left -= len as u64;
        Ok(len)
    }
}

/// Our sealed form of a stream, made as it is read.
struct Sealed {
    plain: Plain,
    sealer: Option<Sealer>,
    ready: Vec<u8>,
    given: usize,
}

impl Sealed {
    fn new(key: &[u8; 32], size: u64) -> Self {
        let mut ready = Vec::new();
        let sealer = Sealer::start(key, b"context", &SystemEntropy::new(), &mut ready).unwrap();
        Self { plain: Plain::new(size), sealer: Some(sealer), ready, given: 0 }
    }
}

impl Read for Sealed {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.given == self.ready.len() && self.sealer.is_some() {
            self.ready.clear();
            self.given = 0;
            let mut piece = vec![0; PIECE];
            let len = self.plain.read(&mut piece)?;
            if len > 0 {
                let sealer = self.sealer.as_mut().unwrap();
                sealer.update(&piece[..len], &mut self.ready).unwrap();
            } else {
                self.sealer.take().unwrap().finish(&mut self.ready).unwrap();
            }
        }
        let len = out.len().min(self.ready.len() - self.given);
        out[..len].copy_from_slice(&self.ready[self.given..self.given + len]);
        self.given += len;
        Ok(len)
    }
}

/// The most memory this process has had at once, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn ours_opened_by_them(key: &[u8; 32], size: u64) {
    let theirs = Key256::from_bytes(key);
    let mut opened = DecryptReader::new(&theirs, b"context", Sealed::new(key, size));
    let (mut expected, mut piece) = (Plain::new(size), vec![0; PIECE]);
    loop {
        let len = opened.read(&mut piece).unwrap();
        if len == 0 {
            break;
        }
        expected.expect(&piece[..len]);
    }
    assert_eq!(expected.left, 0, "{size} bytes of ours, opened by the crate");
}

fn theirs_opened_by_us(key: &[u8; 32], size: u64) {
    let theirs = Key256::from_bytes(key);
    let mut sealed = EncryptReader::new(&theirs, b"context", Plain::new(size));
    let (mut opener, mut expected) = (Opener::new(key, b"context"), Plain::new(size));
    let (mut piece, mut out, mut length) = (vec![0; PIECE], Vec::new(), 0);
    loop {
        let len = sealed.read(&mut piece).unwrap();
        if len == 0 {
            break;
        }
        length += len;
        opener.update(&piece[..len], &mut out).unwrap();
        expected.expect(&out);
        out.clear();
    }
    opener.finish(&mut out).unwrap();
    expected.expect(&out);
    assert_eq!(expected.left, 0, "{size} bytes of the crate's, opened by us");
    assert_eq!(length, sealed_len(size as usize));
}

#[test]
fn streams_both_ways_with_the_cobblestone_crate() {
    let key: [u8; 32] = SystemEntropy::new().bytes().unwrap();
    let before = peak();
    // 16 MiB, and 1 GiB in the long run.
    let large = runs(16 << 20, 1 << 30) as u64;
    for size in [0, 1, 200, 16_383, 16_384, 16_385, 32_768, large - 1, large] {
        ours_opened_by_them(&key, size);
        theirs_opened_by_us(&key, size);
    }
    let grown = peak() - before;
    println!("{large} bytes each way, and the process grew by {grown}");
    assert!(grown <= MEMORY, "{grown}");
}
