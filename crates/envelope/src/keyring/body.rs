//! What a keyring file holds once it is open.

use std::collections::BTreeMap;

use vouchsafe_core::{Entropy, TenantId, Timestamp};
use zeroize::Zeroizing;

#[cfg(feature = "keyring")]
use super::secret_from;
use super::{Secret, fresh_secret};
use crate::EnvelopeError;
#[cfg(feature = "keyring")]
use crate::header::{read_tenant, write_tenant};
#[cfg(feature = "keyring")]
use crate::wire::Reader;

/// Most tenants in one keyring.
const MAX_TENANTS: usize = 10_000;
/// Most versions of one tenant's key.
const MAX_VERSIONS: usize = 1_000;
/// Longest body: ten thousand tenants whose keys were rotated a hundred times each.
#[cfg(feature = "keyring")]
pub(crate) const MAX_BODY: usize = 64 << 20;

pub(crate) struct Body {
    /// Counts changes; an older file than the one last read is refused.
    pub(crate) revision: u64,
    pub(crate) root: Secret,
    /// Versions ascend, and the last one seals.
    pub(crate) tenants: BTreeMap<TenantId, Vec<Key>>,
}

pub(crate) struct Key {
    pub(crate) id: [u8; 16],
    pub(crate) version: u32,
    pub(crate) created: Timestamp,
    pub(crate) secret: Secret,
}

/// Whether a change has to be written.
pub(crate) enum Change<T> {
    Made(T),
    Nothing(T),
}

impl Body {
    pub(crate) fn fresh(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EnvelopeError> {
        Ok(Self { revision: 1, root: fresh_secret(entropy)?, tenants: BTreeMap::new() })
    }

    /// Adds the next version of a tenant's key, the first one if need be; all or nothing.
    pub(crate) fn add_version(
        &mut self,
        tenant: &TenantId,
        now: Timestamp,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<u32, EnvelopeError> {
        let versions = self.tenants.get(tenant);
        if versions.is_none() && self.tenants.len() >= MAX_TENANTS {
            return Err(EnvelopeError::TooMany { what: "tenants", max: MAX_TENANTS as u64 });
        }
        if versions.is_some_and(|keys| keys.len() >= MAX_VERSIONS) {
            return Err(EnvelopeError::TooMany { what: "versions", max: MAX_VERSIONS as u64 });
        }
        let last = versions.and_then(|keys| keys.last()).map_or(0, |key| key.version);
        let version = last.saturating_add(1);
        let mut id = [0; 16];
        entropy.fill(&mut id)?;
        let key = Key { id, version, created: now, secret: fresh_secret(entropy)? };
        self.tenants.entry(tenant.clone()).or_default().push(key);
        self.revision = self.revision.saturating_add(1);
        Ok(version)
    }

    pub(crate) fn copy(&self) -> Self {
        let key = |key: &Key| Key {
            id: key.id,
            version: key.version,
            created: key.created,
            secret: copy(&key.secret),
        };
        let tenants = self.tenants.iter();
        let tenants = tenants.map(|(id, keys)| (id.clone(), keys.iter().map(key).collect()));
        Self { revision: self.revision, root: copy(&self.root), tenants: tenants.collect() }
    }
}

#[cfg(feature = "keyring")]
impl Body {
    /// Reads a body; only sealed bytes get here, so a failure means another version wrote them.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let revision = reader.u64("revision")?;
        let root = read_secret(&mut reader, "root key")?;
        let mut tenants = BTreeMap::new();
        let count = reader.u32("tenants")?;
        for _ in 0..count {
            let tenant = read_tenant(&mut reader)?;
            let mut keys: Vec<Key> = Vec::new();
            for _ in 0..reader.u16("versions")? {
                let key = Key {
                    id: reader.array("key id")?,
                    version: reader.u32("version")?,
                    created: Timestamp::from_micros(reader.i64("created")?),
                    secret: read_secret(&mut reader, "tenant key")?,
                };
                if keys.last().is_some_and(|last| last.version >= key.version) {
                    return Err(reader.malformed("versions in order"));
                }
                keys.push(key);
            }
            if keys.is_empty() || tenants.insert(tenant, keys).is_some() {
                return Err(reader.malformed("tenants, each once"));
            }
        }
        if !reader.is_empty() {
            return Err(reader.malformed("end"));
        }
        Ok(Self { revision, root, tenants })
    }

    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let size = |(tenant, keys): (&TenantId, &Vec<Key>)| {
            keys.len().saturating_mul(60).saturating_add(tenant.as_str().len()).saturating_add(3)
        };
        let size = self.tenants.iter().map(size).sum::<usize>().saturating_add(44);
        if size > MAX_BODY {
            return Err(EnvelopeError::TooMany { what: "bytes of keys", max: MAX_BODY as u64 });
        }
        // Room for all at once: growing would leave copies of keys behind.
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        out.extend_from_slice(&self.revision.to_be_bytes());
        out.extend_from_slice(self.root.as_slice());
        let count = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for (tenant, keys) in &self.tenants {
            write_tenant(tenant, &mut out);
            let count = u16::try_from(keys.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            for key in keys {
                out.extend_from_slice(&key.id);
                out.extend_from_slice(&key.version.to_be_bytes());
                out.extend_from_slice(&key.created.micros().to_be_bytes());
                out.extend_from_slice(key.secret.as_slice());
            }
        }
        Ok(out)
    }
}

#[cfg(feature = "keyring")]
fn read_secret(reader: &mut Reader<'_>, what: &'static str) -> Result<Secret, EnvelopeError> {
    let bytes = reader.bytes(32, what)?;
    secret_from(|out| {
        out.copy_from_slice(bytes);
        Ok(())
    })
}

fn copy(secret: &Secret) -> Secret {
    let mut own = Box::new(Zeroizing::new([0; 32]));
    own.copy_from_slice(secret.as_slice());
    own
}
