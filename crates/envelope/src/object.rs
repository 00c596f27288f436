//! Objects: anything from a note to a backup, sealed with a key of its own.

use std::fmt;
use std::sync::Arc;

use vouchsafe_core::{Entropy, TenantId};
use vouchsafe_crypto::{AeadKey, MacKey, RootKey, SystemEntropy, sha256};
use zeroize::Zeroizing;

use crate::header::{About, Fixed, Parsed, Recipient, with_recipients};
use crate::keyring::{Kek, PROVIDER};
use crate::{Context, EnvelopeError, Fields, Keyring, cobblestone};

/// Seals and opens under a keyring.
///
/// Each object has a fresh data key, which seals the payload and is itself wrapped under the
/// tenant's key; so a new tenant key touches headers only ([`rewrap`](Self::rewrap)).
pub struct Envelope {
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
}

/// An object, opened and verified to its end.
pub struct Opened {
    /// What was sealed; wiped when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The facts that the header carries, verified too.
    pub about: About,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Envelope {
    /// Seals under `keyring`, with the operating system's fresh bytes.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self::with_entropy(keyring, Arc::new(SystemEntropy::new()))
    }

    /// As [`new`](Self::new), with fresh bytes from elsewhere.
    #[must_use]
    pub fn with_entropy(keyring: Arc<Keyring>, entropy: Arc<dyn Entropy>) -> Self {
        Self { keyring, entropy }
    }

    /// The keys that it seals under.
    #[must_use]
    pub const fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Sealing for one column's small values.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownTenant`] when the keyring has no key for the tenant.
    pub fn fields(
        &self,
        tenant: &TenantId,
        table: &str,
        column: &str,
        purpose: &str,
    ) -> Result<Fields, EnvelopeError> {
        Fields::new(&self.keyring, &self.entropy, [tenant.as_str(), table, column, purpose], tenant)
    }

    /// Seals `plaintext` for this place: header and payload in one.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownTenant`] without a key for the tenant;
    /// [`EnvelopeError::NoEntropy`] without fresh bytes.
    pub fn seal(
        &self,
        context: &Context<'_>,
        about: &About,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EnvelopeError> {
        let (mut header, payload) = self.seal_detached(context, about, plaintext)?;
        header.extend_from_slice(&payload);
        Ok(header)
    }

    /// As [`seal`](Self::seal), with the header and the payload apart: the payload can then lie in
    /// a store that is never written again, and the header where it can be replaced.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_detached(
        &self,
        context: &Context<'_>,
        about: &About,
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), EnvelopeError> {
        let kek = self.keyring.current(context.tenant)?;
        let mut object = [0; 16];
        self.entropy.fill(&mut object)?;
        let mut data_key = Zeroizing::new([0; 32]);
        self.entropy.fill(data_key.as_mut_slice())?;
        let fixed = Fixed {
            object,
            about: about.clone(),
            context: context.digest(),
            tenant: context.tenant.clone(),
        };
        let fixed = fixed.to_bytes();
        let header = self.header(&fixed, &kek, &data_key)?;
        let payload = cobblestone::seal_all(&data_key, &fixed, plaintext, &*self.entropy)?;
        Ok((header, payload))
    }

    /// Opens an object at its place. Nothing is given out before its end is verified.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] for what is not an object; [`EnvelopeError::UnknownKey`] when
    /// the keyring holds none of its recipients' keys; [`EnvelopeError::Refused`] for another
    /// place, or any changed byte.
    pub fn open(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Opened, EnvelopeError> {
        let parsed = Parsed::read(sealed)?;
        self.open_parsed(context, &parsed, parsed.payload)
    }

    /// As [`open`](Self::open), for a header and a payload that are kept apart.
    ///
    /// # Errors
    /// As [`open`](Self::open); bytes behind the header are refused.
    pub fn open_detached(
        &self,
        context: &Context<'_>,
        header: &[u8],
        payload: &[u8],
    ) -> Result<Opened, EnvelopeError> {
        self.open_parsed(context, &only_header(header)?, payload)
    }

    fn open_parsed(
        &self,
        context: &Context<'_>,
        parsed: &Parsed<'_>,
        payload: &[u8],
    ) -> Result<Opened, EnvelopeError> {
        let fixed = &parsed.header.fixed;
        if fixed.context != context.digest() || fixed.tenant != *context.tenant {
            return Err(EnvelopeError::Refused);
        }
        let data_key = self.data_key(parsed)?;
        let plaintext = cobblestone::open_all(&data_key, parsed.fixed, payload)?;
        Ok(Opened { plaintext, about: fixed.about.clone() })
    }

    /// A header that says the same under the tenant's current key. The payload is neither needed
    /// nor changed, and other providers' recipients are kept.
    ///
    /// This helps against the loss of an old tenant key only if that key opened nothing yet: who
    /// has already unwrapped the data key keeps it. Against that, seal the object anew.
    ///
    /// # Errors
    /// As [`open`](Self::open); bytes behind the header are refused.
    pub fn rewrap(&self, header: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let parsed = only_header(header)?;
        let data_key = self.data_key(&parsed)?;
        let kek = self.keyring.current(&parsed.header.fixed.tenant)?;
        let ours = wrap(&kek, parsed.fixed, &data_key, &*self.entropy)?;
        let others = parsed.header.recipients.iter().filter(|other| other.provider != PROVIDER);
        let recipients: Vec<_> = std::iter::once(ours).chain(others.cloned()).collect();
        Ok(finish(parsed.fixed, &recipients, &data_key))
    }

    fn header(
        &self,
        fixed: &[u8],
        kek: &Kek,
        data_key: &[u8; 32],
    ) -> Result<Vec<u8>, EnvelopeError> {
        let recipient = wrap(kek, fixed, data_key, &*self.entropy)?;
        Ok(finish(fixed, &[recipient], data_key))
    }

    /// The data key, with the header's MAC verified under it.
    fn data_key(&self, parsed: &Parsed<'_>) -> Result<Zeroizing<[u8; 32]>, EnvelopeError> {
        let tenant = &parsed.header.fixed.tenant;
        // Keys are looked up, never tried: the first recipient whose key we hold decides.
        let (recipient, kek) = parsed
            .header
            .recipients
            .iter()
            .filter(|recipient| recipient.provider == PROVIDER)
            .find_map(|recipient| {
                Some((recipient, self.keyring.find(tenant, &recipient.key, recipient.version)?))
            })
            .ok_or(EnvelopeError::UnknownKey)?;
        let data_key = unwrap(&kek, parsed.fixed, &recipient.wrapped)?;
        let mac = mac_key(&data_key);
        if mac.verify(HEADER_LABEL, &[parsed.signed], &parsed.header.mac) {
            Ok(data_key)
        } else {
            Err(EnvelopeError::Refused)
        }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("keyring", &self.keyring).finish_non_exhaustive()
    }
}

const WRAP_LABEL: &str = "vouchsafe/envelope/wrap/v1";
const HEADER_LABEL: &str = "vouchsafe/envelope/header/v1";

fn only_header(bytes: &[u8]) -> Result<Parsed<'_>, EnvelopeError> {
    let parsed = Parsed::read(bytes)?;
    if parsed.payload.is_empty() {
        return Ok(parsed);
    }
    let at = bytes.len().saturating_sub(parsed.payload.len());
    Err(EnvelopeError::Malformed { what: "bytes behind the header", at })
}

fn mac_key(data_key: &[u8; 32]) -> MacKey {
    MacKey::new(&RootKey::new(data_key).derive(HEADER_LABEL, &[]))
}

fn finish(fixed: &[u8], recipients: &[Recipient], data_key: &[u8; 32]) -> Vec<u8> {
    let mut header = with_recipients(fixed, recipients);
    let mac = mac_key(data_key).mac(HEADER_LABEL, &[&header]);
    header.extend_from_slice(&mac);
    header
}

/// The key that wraps this object's data key: bound to the tenant key's id and version and to
/// every fixed fact, so that a wrapped key cannot be moved.
fn wrap_key(kek: &Kek, fixed: &[u8]) -> AeadKey {
    let bound: [&[u8]; 3] = [&kek.id, &kek.version.to_be_bytes(), &sha256(fixed)];
    AeadKey::new(&kek.root.derive(WRAP_LABEL, &bound))
}

fn wrap(
    kek: &Kek,
    fixed: &[u8],
    data_key: &[u8; 32],
    entropy: &dyn Entropy,
) -> Result<Recipient, EnvelopeError> {
    let mut nonce = [0; AeadKey::NONCE];
    entropy.fill(&mut nonce)?;
    let mut wrapped_key = Zeroizing::new(*data_key);
    let tag = wrap_key(kek, fixed).seal_detached(nonce, &[], wrapped_key.as_mut_slice())?;
    let wrapped = [nonce.as_slice(), wrapped_key.as_slice(), &tag].concat();
    Ok(Recipient { provider: PROVIDER.to_vec(), key: kek.id, version: kek.version, wrapped })
}

fn unwrap(kek: &Kek, fixed: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, EnvelopeError> {
    let (nonce, sealed) = wrapped.split_first_chunk().ok_or(EnvelopeError::Refused)?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let opened = wrap_key(kek, fixed).open_in_place(*nonce, &[], &mut sealed)?;
    let opened: &[u8; 32] = (&*opened).try_into().map_err(|_| EnvelopeError::Refused)?;
    Ok(Zeroizing::new(*opened))
}
