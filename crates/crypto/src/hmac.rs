//! HMAC-SHA-256 (RFC 2104, FIPS 180-4) over a block function that uses the processor's instructions.
//!
//! A key's block is hashed once and for all, and no more is copied for a message than a state of 32
//! bytes: of a short message that is two fifths of what a general HMAC takes.

use sha2::block_api::compress256;
use zeroize::Zeroize;

const BLOCK: usize = 64;
/// The bits of a length that say how far into a block it reaches.
const IN_BLOCK: u64 = BLOCK as u64 - 1;
/// A block's end: how many bits were hashed.
const LENGTH: usize = 8;

type State = [u32; 8];

/// SHA-256's initial hash value (FIPS 180-4, 5.3.3).
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What the key leaves in the inner and in the outer hash.
pub(crate) struct Key {
    inner: State,
    outer: State,
}

impl Key {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self { inner: after(secret, 0x36), outer: after(secret, 0x5c) }
    }

    /// A message of this key, none of it hashed yet.
    pub(crate) const fn message(&self) -> Message {
        Message { state: self.inner, outer: self.outer, block: [0; BLOCK], len: 0 }
    }
}

/// The state after the key's block.
fn after(secret: &[u8; 32], pad: u8) -> State {
    let mut block = [pad; BLOCK];
    for (to, from) in block.iter_mut().zip(secret) {
        *to ^= from;
    }
    let mut state = INITIAL;
    compress256(&mut state, std::slice::from_ref(&block));
    block.zeroize();
    state
}

/// A message that comes in pieces.
#[derive(Clone)]
pub(crate) struct Message {
    state: State,
    outer: State,
    /// Its bytes after the last whole block, then zeros.
    block: [u8; BLOCK],
    /// Its bytes so far.
    len: u64,
}

impl Message {
    #[inline]
    pub(crate) fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let room = self.room();
            let (now, later) = piece.split_at(piece.len().min(room.len()));
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.len = self.len.wrapping_add(now.len() as u64);
            if self.len.is_multiple_of(BLOCK as u64) {
                self.next_block();
            }
            piece = later;
        }
    }

    /// The rest of the block: never nothing.
    fn room(&mut self) -> &mut [u8] {
        let used = (self.len & IN_BLOCK) as usize;
        self.block.get_mut(used..).unwrap_or_default()
    }

    fn next_block(&mut self) {
        compress256(&mut self.state, std::slice::from_ref(&self.block));
        self.block = [0; BLOCK];
    }

    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.close();
        let inner = bytes_of(&self.state);
        self.state = self.outer;
        self.len = inner.len() as u64;
        if let Some(to) = self.block.first_chunk_mut() {
            *to = inner;
        }
        self.close();
        let tag = bytes_of(&self.state);
        self.state.zeroize();
        self.outer.zeroize();
        tag
    }

    /// Hashes what is left: the rest of the message, a bit, zeros, and how many bits were hashed, the
    /// key's block included.
    fn close(&mut self) {
        let room = self.room();
        let is_tight = room.len() <= LENGTH;
        if let Some(next) = room.first_mut() {
            *next = 0x80;
        }
        if is_tight {
            self.next_block();
        }
        let bits = self.len.wrapping_add(BLOCK as u64).wrapping_mul(8);
        if let Some(end) = self.block.last_chunk_mut() {
            *end = bits.to_be_bytes();
        }
        self.next_block();
    }
}

fn bytes_of(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}
