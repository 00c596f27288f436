//! Small values in a database column: a compact form, and a key that is derived once.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vouchsafe_core::{Entropy, TenantId};
use vouchsafe_crypto::AeadKey;

use crate::keyring::Kek;
use crate::wire::Reader;
use crate::{EnvelopeError, Keyring};

const VERSION: u8 = 1;
const SALT: usize = 16;
const HEAD: usize = 1 + 4 + SALT + AeadKey::NONCE;
/// Messages under one subkey: with random nonces of 96 bits, two of them meet with a probability
/// of at most 2^-37, below the 2^-32 that SP 800-38D section 8.3 asks for.
const MAX_MESSAGES: u64 = 1 << 30;
/// Subkeys kept for opening. Each process that seals adds one per column and key version.
const MAX_OPENING: usize = 64;

/// Seals and opens one column's values for one tenant.
///
/// Keep it as long as the process runs: the subkey is derived once, not per value. Each process
/// seals under a subkey of its own, chosen by a random salt that stands in the value, and draws a
/// new one after 2^30 values or when the tenant's key is rotated.
///
/// A sealed value does not commit to its key: who holds two keys of a tenant can make a value that
/// opens under both. Where that matters, seal an object.
pub struct Fields {
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    tenant: TenantId,
    /// Tenant, table, column and purpose.
    place: [String; 4],
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    sealing: Option<Sealing>,
    opening: BTreeMap<(u32, [u8; SALT]), Arc<AeadKey>>,
    /// Which to forget first.
    order: VecDeque<(u32, [u8; SALT])>,
}

struct Sealing {
    version: u32,
    salt: [u8; SALT],
    key: Arc<AeadKey>,
    left: u64,
}

impl Fields {
    /// Bytes that sealing adds.
    pub const OVERHEAD: usize = HEAD + AeadKey::OVERHEAD;

    pub(crate) fn new(
        keyring: &Arc<Keyring>,
        entropy: &Arc<dyn Entropy>,
        place: [&str; 4],
        tenant: &TenantId,
    ) -> Result<Self, EnvelopeError> {
        keyring.current(tenant)?;
        Ok(Self {
            keyring: keyring.clone(),
            entropy: entropy.clone(),
            tenant: tenant.clone(),
            place: place.map(str::to_owned),
            keys: Mutex::default(),
        })
    }

    /// Seals the value of this row, [`OVERHEAD`](Self::OVERHEAD) bytes longer.
    ///
    /// # Errors
    /// [`EnvelopeError::NoEntropy`] without fresh bytes.
    pub fn seal(&self, row: &[u8], value: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let (version, salt, key) = self.sealing()?;
        let mut nonce = [0; AeadKey::NONCE];
        self.entropy.fill(&mut nonce)?;
        let mut out = Vec::with_capacity(value.len().saturating_add(Self::OVERHEAD));
        out.push(VERSION);
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&salt);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(value);
        let (_, text) = out.split_at_mut(HEAD);
        let tag = key.seal_detached(nonce, row, text)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what was sealed for this row.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] for what is not a sealed value, [`EnvelopeError::UnknownKey`]
    /// for a key version that the keyring does not hold, [`EnvelopeError::Refused`] for another
    /// place or any changed byte.
    pub fn open(&self, row: &[u8], sealed: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let mut reader = Reader::new(sealed);
        if reader.u8("version")? != VERSION {
            return Err(EnvelopeError::Malformed { what: "version", at: 0 });
        }
        let version = reader.u32("key version")?;
        let salt = reader.array("salt")?;
        let nonce = reader.array("nonce")?;
        let text_len = sealed.len().saturating_sub(HEAD);
        let mut text = reader.bytes(text_len, "value")?.to_vec();
        let key = self.opening(version, salt)?;
        let len = key.open_in_place(nonce, row, &mut text)?.len();
        text.truncate(len);
        Ok(text)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // What it guards is a cache, whole at every moment.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sealing(&self) -> Result<(u32, [u8; SALT], Arc<AeadKey>), EnvelopeError> {
        let kek = self.keyring.current(&self.tenant)?;
        let mut keys = self.lock();
        let fits = |sealing: &&mut Sealing| sealing.version == kek.version && sealing.left > 0;
        if let Some(sealing) = keys.sealing.as_mut().filter(fits) {
            sealing.left = sealing.left.saturating_sub(1);
            return Ok((sealing.version, sealing.salt, sealing.key.clone()));
        }
        let mut salt = [0; SALT];
        self.entropy.fill(&mut salt)?;
        let key = Arc::new(self.subkey(&kek, &salt));
        let left = MAX_MESSAGES.saturating_sub(1);
        keys.sealing = Some(Sealing { version: kek.version, salt, key: key.clone(), left });
        keys.remember((kek.version, salt), key.clone());
        Ok((kek.version, salt, key))
    }

    fn opening(&self, version: u32, salt: [u8; SALT]) -> Result<Arc<AeadKey>, EnvelopeError> {
        // Asked each time, so that a key that leaves the keyring opens nothing from then on.
        let kek = self.keyring.by_version(&self.tenant, version);
        let kek = kek.ok_or(EnvelopeError::UnknownKey)?;
        if let Some(key) = self.lock().opening.get(&(version, salt)) {
            return Ok(key.clone());
        }
        let key = Arc::new(self.subkey(&kek, &salt));
        self.lock().remember((version, salt), key.clone());
        Ok(key)
    }

    fn subkey(&self, kek: &Kek, salt: &[u8; SALT]) -> AeadKey {
        let [tenant, table, column, purpose] = self.place.each_ref().map(String::as_bytes);
        AeadKey::new(&kek.root.derive(
            "vouchsafe/field/v1",
            &[tenant, table, column, purpose, &kek.id, &kek.version.to_be_bytes(), salt],
        ))
    }
}

impl Keys {
    fn remember(&mut self, id: (u32, [u8; SALT]), key: Arc<AeadKey>) {
        if self.opening.insert(id, key).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_OPENING
            && let Some(oldest) = self.order.pop_front()
        {
            self.opening.remove(&oldest);
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_core::Timestamp;
    use vouchsafe_testkit::SeededEntropy;

    use super::*;
    use crate::Envelope;

    fn fields() -> Fields {
        let entropy = Arc::new(SeededEntropy::new(1));
        let keyring = Keyring::ephemeral(&entropy).unwrap();
        let tenant = TenantId::new("acme").unwrap();
        keyring.add_tenant(&tenant, Timestamp::EPOCH, &entropy).unwrap();
        let envelope = Envelope::with_entropy(Arc::new(keyring), entropy);
        envelope.fields(&tenant, "note", "body", "").unwrap()
    }

    fn salt(sealed: &[u8]) -> &[u8] {
        &sealed[5..5 + SALT]
    }

    #[test]
    fn a_subkey_is_retired_after_its_last_message() {
        let fields = fields();
        let first = fields.seal(b"1", b"x").unwrap();
        assert_eq!(fields.lock().sealing.as_ref().unwrap().left, (1 << 30) - 1);
        fields.lock().sealing.as_mut().unwrap().left = 1;
        let last = fields.seal(b"1", b"x").unwrap();
        let next = fields.seal(b"1", b"x").unwrap();
        assert_eq!(salt(&first), salt(&last));
        assert_ne!(salt(&first), salt(&next));
        assert_eq!(fields.open(b"1", &first).unwrap(), b"x");
    }

    #[test]
    fn subkeys_for_opening_are_bounded() {
        let fields = fields();
        let sealed: Vec<_> = (0..=MAX_OPENING * 2)
            .map(|_| {
                fields.lock().sealing = None;
                fields.seal(b"1", b"x").unwrap()
            })
            .collect();
        for sealed in &sealed {
            assert_eq!(fields.open(b"1", sealed).unwrap(), b"x");
        }
        let keys = fields.lock();
        assert_eq!((keys.opening.len(), keys.order.len()), (MAX_OPENING, MAX_OPENING));
    }
}
