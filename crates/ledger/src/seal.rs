//! How entries are sealed at rest.

use vouchsafe_crypto::{AeadKey, RootKey};

use crate::note::Origin;

/// Seals a log's entries, so that its files show nothing.
pub trait Sealer: Send + Sync {
    /// The sealer of one segment file. `salt` is fresh for each file and stands in its header.
    fn segment(&self, origin: &Origin, salt: &[u8; 32]) -> Box<dyn SegmentSealer>;
}

/// Seals the entries of one segment file. An index is sealed at most once in a file.
pub trait SegmentSealer: Send + Sync {
    /// Replaces `entry` by its sealed form, which may be up to 64 bytes longer.
    ///
    /// # Errors
    /// [`SealFailed`]; the entry is then not written.
    fn seal(&self, index: u64, entry: &mut Vec<u8>) -> Result<(), SealFailed>;

    /// Replaces a sealed form by the entry that was sealed under this index.
    ///
    /// # Errors
    /// [`SealFailed`] when it is not the one.
    fn open(&self, index: u64, sealed: &mut Vec<u8>) -> Result<(), SealFailed>;
}

/// It could not be sealed, or is not what was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry could not be sealed, or is not what was sealed")]
pub struct SealFailed;

/// AES-256-GCM under a key of each segment's own, which is derived from a root key, the origin
/// and the segment's salt. The nonce is the index.
#[derive(Debug)]
pub struct AeadSealer(RootKey);

impl AeadSealer {
    /// A sealer with this root key.
    #[must_use]
    pub const fn new(key: RootKey) -> Self {
        Self(key)
    }
}

impl Sealer for AeadSealer {
    fn segment(&self, origin: &Origin, salt: &[u8; 32]) -> Box<dyn SegmentSealer> {
        let key = self.0.derive("vouchsafe-ledger segment 1", &[origin.as_str().as_bytes(), salt]);
        Box::new(AeadSegment(AeadKey::new(&key)))
    }
}

struct AeadSegment(AeadKey);

fn nonce(index: u64) -> [u8; AeadKey::NONCE] {
    let [a, b, c, d, e, f, g, h] = index.to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

impl SegmentSealer for AeadSegment {
    fn seal(&self, index: u64, entry: &mut Vec<u8>) -> Result<(), SealFailed> {
        self.0.seal_in_place(nonce(index), &[], entry).map_err(|_| SealFailed)
    }

    fn open(&self, index: u64, sealed: &mut Vec<u8>) -> Result<(), SealFailed> {
        let len = self.0.open_in_place(nonce(index), &[], sealed).map_err(|_| SealFailed)?.len();
        sealed.truncate(len);
        Ok(())
    }
}
