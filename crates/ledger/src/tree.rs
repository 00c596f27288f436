//! The Merkle tree of RFC 6962, section 2.1.

use vouchsafe_crypto::Sha256;

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// How many entries one bundle has (C2SP tlog-tiles).
pub(crate) const BUNDLE: u64 = 256;
const BUNDLE_LEVEL: u32 = BUNDLE.ilog2();

/// The hash of an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(&[0]);
    hasher.update(entry);
    hasher.finish()
}

pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(&[1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finish()
}

/// The roots of the full subtrees along the right edge: enough to append and to have the root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return vouchsafe_crypto::sha256(&[]) };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// What proofs need beside the leaves of one bundle: the full subtrees from a bundle up, and the
/// leaves of the unfinished bundle. About a quarter of a byte an entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    frontier: Frontier,
    unfinished: Vec<Hash>,
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    pub(crate) const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(crate) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        self.frontier.push(leaf);
        self.unfinished.push(leaf);
        if !self.frontier.size.is_multiple_of(BUNDLE) {
            return;
        }
        let mut hash = root(&std::mem::take(&mut self.unfinished));
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(hash);
            match hashes.as_slice() {
                [.., left, right] if hashes.len().is_multiple_of(2) => {
                    hash = node_hash(left, right);
                }
                _ => return,
            }
        }
    }

    /// The root of a finished bundle.
    pub(crate) fn bundle_root(&self, bundle: u64) -> Option<Hash> {
        self.levels.first()?.get(usize::try_from(bundle).ok()?).copied()
    }

    /// The leaves of the unfinished bundle.
    pub(crate) fn unfinished(&self) -> &[Hash] {
        &self.unfinished
    }

    /// The inclusion proof of entry `index`, given the leaves of the bundle it is in.
    pub(crate) fn path(&self, index: u64, bundle: &[Hash]) -> Option<Vec<Hash>> {
        let (mut low, mut high) = (0, self.size());
        if index >= high {
            return None;
        }
        let target = Target { first: index.checked_sub(index % BUNDLE)?, leaves: bundle };
        let mut path = Vec::new();
        while high.checked_sub(low)? > 1 {
            let middle = low.checked_add(split(high.checked_sub(low)?))?;
            if index < middle {
                path.push(self.range(middle, high, &target)?);
                high = middle;
            } else {
                path.push(self.range(low, middle, &target)?);
                low = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    fn range(&self, low: u64, high: u64, target: &Target<'_>) -> Option<Hash> {
        let size = high.checked_sub(low)?;
        if size == 1 {
            return target.leaf(low).or_else(|| {
                let first = self.size().checked_sub(u64::try_from(self.unfinished.len()).ok()?)?;
                self.unfinished.get(usize::try_from(low.checked_sub(first)?).ok()?).copied()
            });
        }
        if size >= BUNDLE && size.is_power_of_two() && low.is_multiple_of(size) {
            let level = usize::try_from(size.ilog2().checked_sub(BUNDLE_LEVEL)?).ok()?;
            let at = usize::try_from(low.checked_div(size)?).ok()?;
            return self.levels.get(level)?.get(at).copied();
        }
        let middle = low.checked_add(split(size))?;
        Some(node_hash(&self.range(low, middle, target)?, &self.range(middle, high, target)?))
    }
}

/// The root of the tree of these leaves.
pub(crate) fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

struct Target<'a> {
    first: u64,
    leaves: &'a [Hash],
}

impl Target<'_> {
    fn leaf(&self, index: u64) -> Option<Hash> {
        self.leaves.get(usize::try_from(index.checked_sub(self.first)?).ok()?).copied()
    }
}

/// The largest power of two below `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    match size.saturating_sub(1).checked_ilog2() {
        Some(log) => 1 << log,
        None => 0,
    }
}

/// Whether `path` shows that `leaf` is entry `index` of the tree with this size and root
/// (RFC 9162, 2.1.3.2).
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256 as Other};

    use super::*;

    /// RFC 6962, 2.1, word for word, over another SHA-256.
    fn mth(entries: &[Vec<u8>]) -> Hash {
        match entries {
            [] => Other::digest([]).into(),
            [one] => Other::new().chain_update([0]).chain_update(one).finalize().into(),
            more => {
                let mut k = 1;
                while k * 2 < more.len() {
                    k *= 2;
                }
                let (left, right) = (mth(&more[..k]), mth(&more[k..]));
                Other::new()
                    .chain_update([1])
                    .chain_update(left)
                    .chain_update(right)
                    .finalize()
                    .into()
            }
        }
    }

    /// RFC 6962, 2.1.1, word for word.
    fn path(m: usize, entries: &[Vec<u8>]) -> Vec<Hash> {
        if entries.len() == 1 {
            return Vec::new();
        }
        let mut k = 1;
        while k * 2 < entries.len() {
            k *= 2;
        }
        let (inner, sibling) = if m < k {
            (path(m, &entries[..k]), mth(&entries[k..]))
        } else {
            (path(m - k, &entries[k..]), mth(&entries[..k]))
        };
        [inner, vec![sibling]].concat()
    }

    fn entries(size: u64) -> Vec<Vec<u8>> {
        (0..size).map(|number| number.to_string().into_bytes()).collect()
    }

    fn grown(entries: &[Vec<u8>]) -> Tree {
        let mut tree = Tree::default();
        entries.iter().for_each(|entry| tree.push(leaf_hash(entry)));
        tree
    }

    fn hex(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_answers() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(Tree::default().frontier().root()), empty);
        let leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(hex(leaf_hash(b"")), leaf);
    }

    #[test]
    fn roots_and_proofs_are_those_of_the_rfc() {
        for size in [1_u64, 2, 3, 7, 255, 256, 257, 511, 512, 513, 700, 1024, 1025] {
            let entries = entries(size);
            let tree = grown(&entries);
            let root = tree.frontier().root();
            assert_eq!(root, mth(&entries));
            for index in (0..size).filter(|index| index % 53 == 0 || index + 2 >= size) {
                let first = index / BUNDLE * BUNDLE;
                let bundle: Vec<Hash> = (first..size.min(first + BUNDLE))
                    .map(|at| leaf_hash(&entries[at as usize]))
                    .collect();
                let proof = tree.path(index, &bundle).unwrap();
                assert_eq!(proof, path(index as usize, &entries), "{index} of {size}");
                let leaf = leaf_hash(&entries[index as usize]);
                assert!(verify_inclusion(index, size, &leaf, &proof, &root));
            }
            assert_eq!(tree.path(size, &[]), None);
        }
    }

    proptest! {
        #[test]
        fn nothing_else_is_included(
            size in 1_u64..600, at in any::<u64>(), other in any::<u64>(), bit in any::<u64>(),
        ) {
            let (entries, index) = (entries(size), at % size);
            let root = mth(&entries);
            let leaf = leaf_hash(&entries[index as usize]);
            let proof = path(index as usize, &entries);
            prop_assert!(verify_inclusion(index, size, &leaf, &proof, &root));
            let other = other % (2 * size);
            prop_assert_eq!(verify_inclusion(other, size, &leaf, &proof, &root), other == index);
            let mut wrong = proof.clone();
            if let Some(hash) = wrong.get_mut(bit as usize % proof.len().max(1)) {
                hash[bit as usize / 8 % 32] ^= 1 << (bit % 8);
                prop_assert!(!verify_inclusion(index, size, &leaf, &wrong, &root));
            }
            wrong.clone_from(&proof);
            wrong.push(root);
            prop_assert!(!verify_inclusion(index, size, &leaf, &wrong, &root));
            if !proof.is_empty() {
                prop_assert!(!verify_inclusion(index, size, &leaf, &proof[1..], &root));
            }
        }
    }
}
