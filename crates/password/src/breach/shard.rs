//! One shard: a binary fuse filter of three segments a key (Graf and Lemire, "Binary Fuse Filters:
//! Fast and Smaller Than Xor Filters", 2022), hashed as their reference has it.

use super::FingerprintBits;
use super::format::Fields;

/// Length of a shard's head in bytes.
pub(super) const HEAD: usize = 16;
/// Most keys that builders put into one.
pub(super) const MAX_KEYS: usize = 1 << 16;

/// Where a shard's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) seed: u64,
    /// A segment has two to the power of this many slots.
    pub(super) segment_log: u8,
    /// How many segments a key's first slot can be in; the other two are in the next two.
    pub(super) starts: u16,
}

impl Layout {
    /// How many slots there are; fits, as the fields are small.
    const fn slots(self) -> u64 {
        (self.starts as u64).saturating_add(2) << self.segment_log
    }

    /// The slots of the key with this hash, all below [`slots`](Self::slots).
    #[expect(clippy::arithmetic_side_effects, reason = "all below 2^17 × 2^16")]
    fn of(self, hash: u64) -> [u64; 3] {
        let length = 1_u64 << self.segment_log;
        let span = u128::from(self.starts) << self.segment_log;
        let first = ((u128::from(hash) * span) >> 64) as u64;
        let mask = length - 1;
        [first, (first + length) ^ ((hash >> 18) & mask), (first + 2 * length) ^ (hash & mask)]
    }

    const fn hash(self, key: u64) -> u64 {
        mix(key.wrapping_add(self.seed))
    }
}

/// MurmurHash3's last step: no two keys share a hash.
const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

/// As much of it as a slot has counts.
const fn fingerprint(hash: u64) -> u16 {
    (hash ^ (hash >> 32)) as u16
}

/// A shard's bytes, looked at.
pub(super) struct Shard<'a> {
    pub(super) keys: u32,
    pub(super) layout: Layout,
    slots: &'a [u8],
    bits: FingerprintBits,
}

impl<'a> Shard<'a> {
    /// `None` for bytes that are no shard.
    pub(super) fn parse(bytes: &'a [u8], bits: FingerprintBits) -> Option<Self> {
        let mut fields = Fields(bytes);
        let keys = u32::from_be_bytes(fields.take()?);
        let seed = u64::from_be_bytes(fields.take()?);
        let [segment_log, zero] = fields.take()?;
        let starts = u16::from_be_bytes(fields.take()?);
        let layout = Layout { seed, segment_log, starts };
        let slots = fields.0;
        let possible = keys >= 1 && zero == 0 && segment_log <= 16 && starts >= 1;
        let width = u64::try_from(bits.bytes()).ok()?;
        let fits = possible && layout.slots().checked_mul(width)? == slots.len() as u64;
        fits.then_some(Self { keys, layout, slots, bits })
    }

    pub(super) fn holds(&self, key: u64) -> bool {
        let hash = self.layout.hash(key);
        let slots = self.layout.of(hash).into_iter();
        let rest = slots.fold(fingerprint(hash), |rest, slot| rest ^ self.slot(slot));
        match self.bits {
            FingerprintBits::Eight => rest & 0xff == 0,
            FingerprintBits::Sixteen => rest == 0,
        }
    }

    fn slot(&self, at: u64) -> u16 {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        // There are as many slots as the layout says, so that the fallback is never taken.
        match self.bits {
            FingerprintBits::Eight => self.slots.get(at).copied().unwrap_or_default().into(),
            FingerprintBits::Sixteen => {
                let (slots, _) = self.slots.as_chunks::<2>();
                u16::from_be_bytes(slots.get(at).copied().unwrap_or_default())
            }
        }
    }
}

/// Seeds tried for one shard. Each is a success in at least every third case, and room is added
/// after each eight.
const TRIES: u16 = 256;

/// The bytes of a shard of these keys, which are different ones and at most [`MAX_KEYS`]; `None`
/// when no seed would do. The same keys under the same number make the same bytes.
pub(super) fn build(number: u32, keys: &[u64], bits: FingerprintBits) -> Option<Vec<u8>> {
    let count = u32::try_from(keys.len()).ok()?;
    // Found by trying: with segments of about 2√n slots, 1.22 slots a key are enough.
    let segment_log = u8::try_from(count.checked_ilog2()?.saturating_add(3) / 2).ok()?;
    let wanted = u64::from(count).saturating_mul(122).div_ceil(100);
    let segments = u16::try_from(wanted.div_ceil(1 << segment_log)).ok()?;
    for attempt in 0..TRIES {
        let starts = segments.saturating_sub(2).max(1).saturating_add(attempt / 8);
        let seed = mix(u64::from(number).rotate_left(32).wrapping_add(u64::from(attempt)));
        let layout = Layout { seed, segment_log, starts };
        if let Some(order) = peel(keys, layout) {
            return Some(write(count, layout, &order, bits));
        }
    }
    None
}

/// The hashes of the keys, each with the slot that it had for itself when its turn came, the last
/// first to be filled. `None` when some keys never have one.
#[expect(clippy::indexing_slicing, reason = "a key's slots are below the number of slots")]
#[expect(clippy::arithmetic_side_effects, reason = "counts of at most 2^16 keys")]
fn peel(keys: &[u64], layout: Layout) -> Option<Vec<(u64, usize)>> {
    let slots = usize::try_from(layout.slots()).ok()?;
    let (mut counts, mut hashes) = (vec![0_u32; slots], vec![0_u64; slots]);
    for key in keys {
        let hash = layout.hash(*key);
        for slot in layout.of(hash).map(|slot| slot as usize) {
            counts[slot] += 1;
            hashes[slot] ^= hash;
        }
    }
    let mut alone: Vec<usize> = (0..slots).filter(|slot| counts[*slot] == 1).collect();
    let mut order = Vec::with_capacity(keys.len());
    while let Some(slot) = alone.pop() {
        if counts[slot] != 1 {
            continue;
        }
        let hash = hashes[slot];
        order.push((hash, slot));
        for slot in layout.of(hash).map(|slot| slot as usize) {
            counts[slot] -= 1;
            hashes[slot] ^= hash;
            if counts[slot] == 1 {
                alone.push(slot);
            }
        }
    }
    (order.len() == keys.len()).then_some(order)
}

#[expect(clippy::indexing_slicing, reason = "a key's slots are below the number of slots")]
fn write(count: u32, layout: Layout, order: &[(u64, usize)], bits: FingerprintBits) -> Vec<u8> {
    let mut slots = vec![0_u16; usize::try_from(layout.slots()).unwrap_or_default()];
    for (hash, own) in order.iter().rev() {
        // Its own is still zero.
        let others = layout.of(*hash).into_iter();
        slots[*own] = others.fold(fingerprint(*hash), |rest, slot| rest ^ slots[slot as usize]);
    }
    let mut bytes = Vec::with_capacity(HEAD.saturating_add(slots.len().saturating_mul(2)));
    bytes.extend(count.to_be_bytes());
    bytes.extend(layout.seed.to_be_bytes());
    bytes.extend([layout.segment_log, 0]);
    bytes.extend(layout.starts.to_be_bytes());
    match bits {
        FingerprintBits::Eight => bytes.extend(slots.iter().map(|slot| *slot as u8)),
        FingerprintBits::Sixteen => bytes.extend(slots.iter().flat_map(|slot| slot.to_be_bytes())),
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use vouchsafe_testkit::{SeededEntropy, runs};
    use xorf::{BinaryFuse8, BinaryFuse16, Descriptor, Filter};

    use super::*;

    fn keys(seed: u64, count: usize) -> Vec<u64> {
        let random = SeededEntropy::new(seed);
        let mut keys: Vec<u64> = (0..count).map(|_| random.below(u64::MAX)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn as_theirs(layout: Layout) -> Descriptor {
        let segment_length = 1 << layout.segment_log;
        Descriptor {
            seed: layout.seed,
            segment_length,
            segment_length_mask: segment_length - 1,
            segment_count_length: u32::from(layout.starts) * segment_length,
        }
    }

    fn with_theirs(keys: usize, descriptor: &Descriptor, slots: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(keys).unwrap().to_be_bytes().to_vec();
        bytes.extend(descriptor.seed.to_be_bytes());
        let length = descriptor.segment_length;
        bytes.extend([u8::try_from(length.ilog2()).unwrap(), 0]);
        let starts = u16::try_from(descriptor.segment_count_length / length).unwrap();
        bytes.extend(starts.to_be_bytes());
        bytes.extend(slots);
        bytes
    }

    fn agree(seed: u64, ours: &Shard<'_>, theirs: &impl Filter<u64>, present: &[u64]) {
        assert!(present.iter().all(|key| ours.holds(*key) && theirs.contains(key)));
        let mut looked_alike = 0;
        for key in keys(seed ^ 1, 3_000) {
            assert_eq!(ours.holds(key), theirs.contains(&key), "{key}");
            looked_alike += u32::from(ours.holds(key));
        }
        assert!(ours.bits == FingerprintBits::Sixteen || looked_alike > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(u32::try_from(runs(40, 2_000)).unwrap()))]

        /// A filter of ours is one to the `xorf` crate, and one of its is one to us: each answer is
        /// the same, wrong ones too.
        #[test]
        fn agrees_with_xorf(seed in any::<u64>(), count in prop_oneof![1..40_usize, 1..9_000_usize]) {
            let keys = keys(seed, count);
            let bytes = build(seed as u32, &keys, FingerprintBits::Eight).unwrap();
            let ours = Shard::parse(&bytes, FingerprintBits::Eight).unwrap();
            let descriptor = as_theirs(ours.layout);
            let theirs = BinaryFuse8 { descriptor, fingerprints: ours.slots.into() };
            agree(seed, &ours, &theirs, &keys);

            let bytes = build(seed as u32, &keys, FingerprintBits::Sixteen).unwrap();
            let ours = Shard::parse(&bytes, FingerprintBits::Sixteen).unwrap();
            let descriptor = as_theirs(ours.layout);
            let slots = ours.slots.as_chunks().0.iter().map(|slot| u16::from_be_bytes(*slot));
            let theirs = BinaryFuse16 { descriptor, fingerprints: slots.collect() };
            agree(seed, &ours, &theirs, &keys);

            let theirs = BinaryFuse8::try_from(&keys).unwrap();
            let bytes = with_theirs(keys.len(), &theirs.descriptor, &theirs.fingerprints);
            agree(seed, &Shard::parse(&bytes, FingerprintBits::Eight).unwrap(), &theirs, &keys);

            let theirs = BinaryFuse16::try_from(&keys).unwrap();
            let slots: Vec<u8> =
                theirs.fingerprints.iter().flat_map(|slot| slot.to_be_bytes()).collect();
            let bytes = with_theirs(keys.len(), &theirs.descriptor, &slots);
            agree(seed, &Shard::parse(&bytes, FingerprintBits::Sixteen).unwrap(), &theirs, &keys);
        }
    }

    #[test]
    fn every_size_is_built_and_none_is_large() {
        for count in (1..300).chain([1_000, 3_000, 6_000, 20_000, MAX_KEYS]) {
            let keys = keys(count as u64, count);
            let bytes = build(9, &keys, FingerprintBits::Eight).unwrap();
            let most = if count < 1_000 { 18 + 3 * count } else { count * 128 / 100 };
            assert!(bytes.len() - HEAD <= most, "{count} keys in {}", bytes.len());
        }
    }
}
