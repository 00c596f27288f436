//! The keys of one installation: a root for its own parts, and a key per tenant and version.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use vouchsafe_core::{Entropy, TenantId, Timestamp};
use vouchsafe_crypto::{MacKey, RootKey, SigningKey};
use zeroize::Zeroizing;

use crate::EnvelopeError;

mod body;
#[cfg(feature = "keyring")]
pub(crate) mod file;

use body::{Body, Change};

/// How a recipient names keys of this kind.
pub(crate) const PROVIDER: &[u8] = b"local";

/// The keys of one installation.
///
/// Every part of an installation derives what it needs from one root key by name; tenants have
/// independent keys with versions, so that one can be rotated, and one day destroyed, alone.
pub struct Keyring {
    held: RwLock<Held>,
    #[cfg(feature = "keyring")]
    file: Option<file::KeyFile>,
}

/// What the file holds, and the keys made of it.
struct Held {
    body: Body,
    root: RootKey,
    tenants: BTreeMap<TenantId, Vec<Arc<Kek>>>,
}

/// One version of a tenant's key.
pub(crate) struct Kek {
    pub(crate) id: [u8; 16],
    pub(crate) version: u32,
    pub(crate) root: RootKey,
}

impl Held {
    fn new(body: Body) -> Self {
        let kek = |key: &body::Key| {
            Arc::new(Kek { id: key.id, version: key.version, root: RootKey::new(&key.secret) })
        };
        let tenants = body.tenants.iter();
        let tenants = tenants.map(|(id, keys)| (id.clone(), keys.iter().map(kek).collect()));
        Self { root: RootKey::new(&body.root), tenants: tenants.collect(), body }
    }
}

impl Keyring {
    /// A fresh keyring that is written nowhere: what is sealed under it is gone with the process.
    /// For tests, and for hosts that keep nothing.
    ///
    /// # Errors
    /// [`EnvelopeError::NoEntropy`] when there are no fresh bytes.
    pub fn ephemeral(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EnvelopeError> {
        Ok(Self {
            held: RwLock::new(Held::new(Body::fresh(entropy)?)),
            #[cfg(feature = "keyring")]
            file: None,
        })
    }

    /// Gives a tenant a key, unless it has one. Returns whether it is new; it is then durable.
    ///
    /// # Errors
    /// [`EnvelopeError::NoEntropy`]; [`EnvelopeError::TooMany`] tenants; for a keyring with a
    /// file, everything that reading or writing it can meet, and nothing is then changed.
    pub fn add_tenant(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<bool, EnvelopeError> {
        self.change(entropy, |body| match body.tenants.contains_key(tenant) {
            true => Ok(Change::Nothing(false)),
            false => body.add_version(tenant, now, entropy).map(|_| Change::Made(true)),
        })
    }

    /// Gives a tenant a new version of its key, and returns its number. What is sealed from now on
    /// is sealed under it; older versions go on opening what they sealed.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownTenant`]; otherwise as [`add_tenant`](Self::add_tenant).
    pub fn rotate(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<u32, EnvelopeError> {
        self.change(entropy, |body| {
            if !body.tenants.contains_key(tenant) {
                return Err(EnvelopeError::UnknownTenant(tenant.clone()));
            }
            body.add_version(tenant, now, entropy).map(Change::Made)
        })
    }

    /// The tenants that have a key, in order.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantId> {
        self.read().tenants.keys().cloned().collect()
    }

    /// The version of a tenant's key that seals now, counted from 1.
    #[must_use]
    pub fn version(&self, tenant: &TenantId) -> Option<u32> {
        Some(self.read().tenants.get(tenant)?.last()?.version)
    }

    /// The key that the store's cells are sealed under.
    #[must_use]
    pub fn store_root(&self) -> RootKey {
        self.part("store")
    }

    /// The key that turns identifiers into account digests. It never changes: a new one would
    /// forget every account.
    #[must_use]
    pub fn digest_key(&self) -> MacKey {
        MacKey::new(&self.read().root.derive(PART, &[b"digests"]))
    }

    /// The key that session tokens and one-time links are sealed under.
    #[must_use]
    pub fn token_root(&self) -> RootKey {
        self.part("tokens")
    }

    /// The key that the ledger's records are sealed under.
    #[must_use]
    pub fn ledger_root(&self) -> RootKey {
        self.part("ledger")
    }

    /// The key that signs the ledger's checkpoints in this epoch.
    #[must_use]
    pub fn ledger_signing(&self, epoch: u32) -> SigningKey {
        SigningKey::from_seed(
            &self.read().root.derive(PART, &[b"ledger signing", &epoch.to_be_bytes()]),
        )
    }

    fn part(&self, name: &str) -> RootKey {
        RootKey::new(&self.read().root.derive(PART, &[name.as_bytes()]))
    }

    /// The key that seals for this tenant now.
    pub(crate) fn current(&self, tenant: &TenantId) -> Result<Arc<Kek>, EnvelopeError> {
        let held = self.read();
        let kek = held.tenants.get(tenant).and_then(|keys| keys.last());
        kek.cloned().ok_or_else(|| EnvelopeError::UnknownTenant(tenant.clone()))
    }

    /// This tenant's key of this id and version.
    pub(crate) fn find(&self, tenant: &TenantId, id: &[u8; 16], version: u32) -> Option<Arc<Kek>> {
        self.by_version(tenant, version).filter(|kek| kek.id == *id)
    }

    /// This tenant's key of this version.
    pub(crate) fn by_version(&self, tenant: &TenantId, version: u32) -> Option<Arc<Kek>> {
        let held = self.read();
        held.tenants.get(tenant)?.iter().find(|kek| kek.version == version).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        // A panic elsewhere cannot leave it half changed: it is replaced whole.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change durable first, then effective.
    fn change<T>(
        &self,
        entropy: &(impl Entropy + ?Sized),
        change: impl FnOnce(&mut Body) -> Result<Change<T>, EnvelopeError>,
    ) -> Result<T, EnvelopeError> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "keyring")]
        if let Some(file) = &self.file {
            let (body, outcome) = file.change(held.body.revision, entropy, change)?;
            *held = Held::new(body);
            return Ok(outcome);
        }
        #[cfg(not(feature = "keyring"))]
        let _ = entropy;
        let mut body = held.body.copy();
        let (Change::Made(outcome) | Change::Nothing(outcome)) = change(&mut body)?;
        *held = Held::new(body);
        Ok(outcome)
    }
}

const PART: &str = "vouchsafe/keyring/part/v1";

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("tenants", &self.tenants()).finish_non_exhaustive()
    }
}

/// 32 secret bytes in one place on the heap, wiped when dropped.
pub(crate) type Secret = Box<Zeroizing<[u8; 32]>>;

/// A secret that `fill` writes in place, so that no copy passes over the stack.
pub(crate) fn secret_from<E>(
    fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>,
) -> Result<Secret, E> {
    let mut secret = Box::new(Zeroizing::new([0; 32]));
    fill(&mut secret)?;
    Ok(secret)
}

pub(crate) fn fresh_secret(entropy: &(impl Entropy + ?Sized)) -> Result<Secret, EnvelopeError> {
    Ok(secret_from(|out| entropy.fill(out))?)
}
