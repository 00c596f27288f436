//! ST-12: nodes of this version and of the one before generations rotated share a sealed store.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vouchsafe_core::{CellKey, Entropy, Space, Timestamp};
use vouchsafe_crypto::{AeadKey, RootKey};
use vouchsafe_store::{
    Cells, Encrypted, Loaded, MemoryStore, Put, StoreError, Stored, Swap, Version, drive,
};
use vouchsafe_testkit::{SeededEntropy, Tally, TallyEvent, block_on};

const ROOT: [u8; 32] = [9; 32];
const HEADER: usize = 1 + 4 + 12;

/// How values were sealed then, written down again: one generation, and nothing but zeros behind the
/// value.
struct Old {
    inner: Arc<MemoryStore>,
    entropy: SeededEntropy,
}

impl Old {
    fn key(key: CellKey) -> AeadKey {
        let index = u16::from_be_bytes([key.digest[14], key.digest[15]]) % 4096;
        let context: [&[u8]; 3] = [&[key.space.code()], &[0; 4], &index.to_be_bytes()];
        AeadKey::new(&RootKey::new(&ROOT).derive("vouchsafe-store cell v1", &context))
    }

    fn associated(key: CellKey, version: Version) -> Vec<u8> {
        [&[1, 0, 0, 0, 0, key.space.code()], &key.digest[..], &version.as_bytes()[..]].concat()
    }

    fn seal(&self, key: CellKey, version: Version, bytes: &[u8]) -> Vec<u8> {
        let nonce: [u8; 12] = self.entropy.bytes().unwrap();
        let mut body = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        body.extend_from_slice(bytes);
        body.resize(body.len().next_power_of_two().max(64), 0);
        Self::key(key).seal_in_place(nonce, &Self::associated(key, version), &mut body).unwrap();
        [&[1, 0, 0, 0, 0], &nonce[..], &body].concat()
    }

    fn opened(key: CellKey, loaded: Loaded) -> Loaded {
        let Some(Stored { mut bytes, version, .. }) = loaded.cell else { return Loaded::new(None) };
        assert_eq!(bytes[..5], [1, 0, 0, 0, 0], "it would be corrupt to that version");
        let nonce = bytes[5..HEADER].try_into().unwrap();
        let aad = Self::associated(key, version);
        let body = Self::key(key).open_in_place(nonce, &aad, &mut bytes[HEADER..]).unwrap();
        let len = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        Loaded::new(Some(Stored::new(body[4..4 + len].to_vec(), version)))
    }
}

impl Cells for Old {
    vouchsafe_testkit::pass_on!(inner: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        Ok(Self::opened(key, self.inner.load(key).await?))
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        let put = match put {
            Put::Save { bytes, until, version } => {
                Put::save(self.seal(key, version, &bytes), until, version)
            }
            erase @ Put::Erase => erase,
        };
        Ok(match self.inner.swap(key, expected, put).await? {
            Swap::Conflict(current) => Swap::Conflict(Self::opened(key, current)),
            other => other,
        })
    }
}

/// Ten thousand events, each sent by a node of either version, some of them again by the other.
#[test]
fn two_versions_share_a_store() {
    let raw = Arc::new(MemoryStore::new(16 << 20));
    let old = Old { inner: Arc::clone(&raw), entropy: SeededEntropy::new(1) };
    let new = Encrypted::new(Arc::clone(&raw), RootKey::new(&ROOT));
    let random = SeededEntropy::new(2);
    let send = |by_old: bool, key: CellKey, id: u64| {
        let (event, now) = (TallyEvent::Add(id), Timestamp::EPOCH);
        let sent = if by_old {
            block_on(drive(&old, &random, key, &Tally, event, now))
        } else {
            block_on(drive(&new, &random, key, &Tally, event, now))
        };
        sent.unwrap()
    };
    let mut counts: BTreeMap<CellKey, Vec<u64>> = BTreeMap::new();
    for id in 0..10_000 {
        let digest = u8::try_from(random.below(200)).unwrap();
        let key = CellKey::new(Space::Account, [digest; 16]);
        let sent = counts.entry(key).or_default();
        if !sent.is_empty() && random.below(10) == 0 {
            let again = usize::try_from(random.below(sent.len() as u64)).unwrap();
            assert_eq!(send(random.below(2) == 0, key, sent[again]), again + 1);
            continue;
        }
        sent.push(id);
        assert_eq!(send(random.below(2) == 0, key, id), sent.len());
    }
    // Once the old ones are gone, generations may rotate: what they wrote is sealed anew.
    new.rotate(Timestamp::EPOCH.after(Encrypted::<MemoryStore>::PERIOD * 700));
    let done = block_on(new.reseal(None, 1_000)).unwrap();
    assert_eq!((done.last, done.resealed, done.corrupt), (None, counts.len(), 0));
    for (key, sent) in counts {
        assert_eq!(send(false, key, u64::MAX), sent.len() + 1);
    }
}
