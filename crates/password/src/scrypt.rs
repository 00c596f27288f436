//! scrypt (RFC 7914) in the pool's memory, which is counted and wiped.

use argon2::Block;
use vouchsafe_crypto::{Prf, pbkdf2};
use zeroize::{Zeroize, Zeroizing};

use crate::hash::{NotRun, ONCE};

/// What it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    log_n: u32,
    r: u32,
    p: u32,
}

/// Salsa20's block.
type Salsa = [u32; 16];

impl Cost {
    /// Most blocks of 128 bytes beside one another.
    const MAX_R: u32 = 64;
    /// Most runs one after another.
    const MAX_P: u32 = 32;

    /// `None` for what scrypt does not know, or over the ceilings: 1 GiB, and `MAX_R`, `MAX_P`.
    pub(crate) fn new(log_n: u32, r: u32, p: u32) -> Option<Self> {
        let known = (1..=24).contains(&log_n);
        let known = known && (1..=Self::MAX_R).contains(&r) && (1..=Self::MAX_P).contains(&p);
        let cost = Self { log_n, r, p };
        (known && cost.kib() <= crate::Params::MAX_MEMORY_KIB).then_some(cost)
    }

    /// Memory in KiB: 2^`log_n` times `r` times 128 bytes.
    pub(crate) fn kib(self) -> u32 {
        let pieces = 1_u64.checked_shl(self.log_n).unwrap_or(0).saturating_mul(u64::from(self.r));
        u32::try_from(pieces.div_ceil(8)).unwrap_or(u32::MAX)
    }

    /// 1 KiB blocks computed: each is written once and mixed in once.
    pub(crate) fn blocks(self) -> u64 {
        u64::from(self.kib()).saturating_mul(2).saturating_mul(u64::from(self.p))
    }
}

/// Fills `out`. `memory` has at least `cost.kib()` blocks.
pub(crate) fn run(
    cost: Cost,
    salt: &[u8],
    password: &[u8],
    memory: &mut [Block],
    out: &mut [u8],
) -> Result<(), NotRun> {
    let r = usize::try_from(cost.r).map_err(|_| NotRun)?;
    let p = usize::try_from(cost.p).map_err(|_| NotRun)?;
    let n = 1_usize.checked_shl(cost.log_n).ok_or(NotRun)?;
    let lane = r.checked_mul(128).ok_or(NotRun)?;
    let mut lanes = Zeroizing::new(vec![0; lane.checked_mul(p).ok_or(NotRun)?]);
    pbkdf2(Prf::Sha256, ONCE, salt, password, &mut lanes);
    lanes.chunks_exact_mut(lane).try_for_each(|lane| ro_mix(lane, n, memory))?;
    pbkdf2(Prf::Sha256, ONCE, &lanes, password, out);
    Ok(())
}

/// `scryptROMix` (RFC 7914, section 5).
fn ro_mix(lane: &mut [u8], n: usize, memory: &mut [Block]) -> Result<(), NotRun> {
    let (words, _) = lane.as_chunks::<4>();
    let mut x: Zeroizing<Vec<Salsa>> = Zeroizing::new(
        words.as_chunks::<16>().0.iter().map(|block| block.map(u32::from_le_bytes)).collect(),
    );
    let mut y = x.clone();
    let width = x.len();
    // Two words of 32 bits in each of 64, eight of those to a block of Salsa20.
    let mut places = memory.iter_mut().flat_map(|block| block.as_mut().as_chunks_mut::<8>().0);
    for _ in 0..n {
        for block in x.iter() {
            *places.next().ok_or(NotRun)? = packed(block);
        }
        block_mix(&mut x, &mut y);
    }
    drop(places);
    let mask = u32::try_from(n).map_err(|_| NotRun)?.wrapping_sub(1);
    for _ in 0..n {
        // Integerify: the last block modulo a power of two, of at most 24.
        let [low, ..] = x.last().ok_or(NotRun)?;
        let j = usize::try_from(low & mask).map_err(|_| NotRun)?;
        let from = j.checked_mul(width).ok_or(NotRun)?;
        // Sixteen to a KiB: an entry begins in the middle of one where `r` is no multiple of 8.
        let kept = memory.get(from / 16..).ok_or(NotRun)?;
        let kept = kept.iter().flat_map(|block| block.as_ref().as_chunks::<8>().0).skip(from % 16);
        for (block, kept) in x.iter_mut().zip(kept) {
            for (pair, kept) in block.as_chunks_mut::<2>().0.iter_mut().zip(kept) {
                *pair = [pair[0] ^ low_half(*kept), pair[1] ^ low_half(*kept >> 32)];
            }
        }
        block_mix(&mut x, &mut y);
    }
    let (words, _) = lane.as_chunks_mut::<4>();
    for (to, from) in words.iter_mut().zip(x.iter().flatten()) {
        *to = from.to_le_bytes();
    }
    Ok(())
}

fn packed(block: &Salsa) -> [u64; 8] {
    let mut packed = [0; 8];
    for (to, [low, high]) in packed.iter_mut().zip(block.as_chunks::<2>().0) {
        *to = u64::from(*low) | u64::from(*high) << 32;
    }
    packed
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn low_half(word: u64) -> u32 {
    word as u32
}

/// `scryptBlockMix` (RFC 7914, section 4): from `x` by way of `y` into `x`.
fn block_mix(x: &mut Vec<Salsa>, y: &mut Vec<Salsa>) {
    let mut state = x.last().copied().unwrap_or_default();
    let (even, odd) = y.split_at_mut(x.len() / 2);
    for ([first, second], (even, odd)) in
        x.as_chunks::<2>().0.iter().zip(even.iter_mut().zip(odd.iter_mut()))
    {
        mix(&mut state, first);
        *even = state;
        mix(&mut state, second);
        *odd = state;
    }
    state.zeroize();
    std::mem::swap(x, y);
}

fn mix(state: &mut Salsa, with: &Salsa) {
    for (to, from) in state.iter_mut().zip(with) {
        *to ^= from;
    }
    salsa20_8(state);
}

/// The Salsa20/8 core.
#[inline]
fn salsa20_8(block: &mut Salsa) {
    let mut x = *block;
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        let mut turn = |to: usize, from: usize, and: usize, by: u32| {
            if let (Some(from), Some(and)) = (x.get(from).copied(), x.get(and).copied())
                && let Some(to) = x.get_mut(to)
            {
                *to ^= from.wrapping_add(and).rotate_left(by);
            }
        };
        turn(b, a, d, 7);
        turn(c, b, a, 9);
        turn(d, c, b, 13);
        turn(a, d, c, 18);
    };
    for _ in 0..4 {
        quarter(0, 4, 8, 12);
        quarter(5, 9, 13, 1);
        quarter(10, 14, 2, 6);
        quarter(15, 3, 7, 11);
        quarter(0, 1, 2, 3);
        quarter(5, 6, 7, 4);
        quarter(10, 11, 8, 9);
        quarter(15, 12, 13, 14);
    }
    for (to, from) in block.iter_mut().zip(x) {
        *to = to.wrapping_add(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Memory;

    fn of(password: &str, salt: &str, log_n: u32, r: u32, p: u32, len: usize) -> Vec<u8> {
        let cost = Cost::new(log_n, r, p).unwrap();
        let mut memory = Memory::new(cost.kib()).unwrap();
        let mut out = vec![0; len];
        run(cost, salt.as_bytes(), password.as_bytes(), memory.blocks_mut(), &mut out).unwrap();
        out
    }

    /// RFC 7914, section 12.
    #[test]
    fn as_published() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let published = [
            (
                ("", "", 4, 1, 1),
                "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442\
                 fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
            ),
            (
                ("password", "NaCl", 10, 8, 16),
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162\
                 2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
            ),
            (
                ("pleaseletmein", "SodiumChloride", 14, 8, 1),
                "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2\
                 d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
            ),
        ];
        for ((password, salt, log_n, r, p), expected) in published {
            assert_eq!(hex(of(password, salt, log_n, r, p, 64)), expected, "{password}");
        }
    }

    /// Entries that begin and end anywhere in a block of memory.
    #[test]
    fn as_another_implementation_at_every_width() {
        for r in 1..=17 {
            for log_n in [1, 3, 5] {
                let p = 1 + r % 3;
                let theirs = scrypt::Params::new(u8::try_from(log_n).unwrap(), r, p).unwrap();
                let mut expected = vec![0; 48];
                scrypt::scrypt(b"secret", b"salt", &theirs, &mut expected).unwrap();
                assert_eq!(of("secret", "salt", log_n, r, p, 48), expected, "{log_n} {r} {p}");
            }
        }
    }

    #[test]
    fn costs_are_bounded() {
        let ok = |log_n, r, p| Cost::new(log_n, r, p).is_some();
        assert!(ok(1, 1, 1) && ok(20, 8, 1) && ok(17, 64, 32));
        for (log_n, r, p) in
            [(0, 8, 1), (21, 8, 1), (25, 1, 1), (4, 0, 1), (4, 65, 1), (4, 8, 0), (4, 8, 33)]
        {
            assert!(!ok(log_n, r, p), "{log_n} {r} {p}");
        }
        assert_eq!(
            Cost::new(14, 8, 5).map(|cost| (cost.kib(), cost.blocks())),
            Some((16_384, 163_840))
        );
        assert_eq!(Cost::new(1, 1, 1).unwrap().kib(), 1);
    }

    #[test]
    fn too_little_memory_is_noticed() {
        let cost = Cost::new(4, 8, 1).unwrap();
        let mut memory = Memory::new(15).unwrap();
        assert!(run(cost, b"salt", b"secret", memory.blocks_mut(), &mut [0; 32]).is_err());
    }
}
