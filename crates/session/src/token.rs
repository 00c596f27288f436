//! What a browser or a mail carries: an encrypted handle that finds the account, and a secret.

use std::fmt;

use subtle::ConstantTimeEq;
use vouchsafe_core::{AccountDigest, Entropy, Identifier, SecretString, TenantId};
use vouchsafe_crypto::{AeadKey, MacKey, RootKey, Sha256, encode};
use zeroize::Zeroizing;

use crate::{Error, Purpose, SessionId, text};

/// The version of the token's layout, its first byte.
const VERSION: u8 = 1;
const NONCE: usize = AeadKey::NONCE;
const TAG: usize = AeadKey::OVERHEAD;
const SECRET: usize = 32;
/// version, nonce, sealed account digest with its tag, secret.
const SESSION: usize = 1 + NONCE + 16 + TAG + SECRET;
/// The same, with a selector beside the account digest.
const LINK: usize = SESSION + 16;

/// The text of a token: a secret that lets its bearer in.
///
/// Never printed, wiped on drop; [`expose`](Self::expose) is for the one place that sends it.
pub struct Token(SecretString);

impl Token {
    pub(crate) fn of(raw: &[u8]) -> Self {
        Self(SecretString::new(text::encode(raw)))
    }

    /// The text: letters, digits, `-` and `_`, at most 124 of them.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The hash of a token's secret: what is kept, and compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 over a label, what the secret is bound to, all of fixed width, and the secret.
    fn of(label: &str, bound: &[&[u8]], secret: &[u8; SECRET]) -> Self {
        let mut hash = Sha256::new();
        hash.update(label.as_bytes());
        for part in bound {
            hash.update(part);
        }
        hash.update(secret);
        Self(hash.finish())
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// What a new session is opened with. Made with its token, used once.
#[derive(Debug)]
pub struct Fresh {
    secret: SecretDigest,
    id: SessionId,
}

impl Fresh {
    /// The hash of the new secret.
    #[must_use]
    pub const fn secret(&self) -> &SecretDigest {
        &self.secret
    }

    /// The new session's public name.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }
}

/// A session token as it came back: whose it says it is, and the hash that has to be on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Whose sessions to look in.
    pub account: AccountDigest,
    /// What to look for.
    pub secret: SecretDigest,
}

/// What a new link is issued with. Made with its token, used once.
#[derive(Debug)]
pub struct FreshLink(pub(crate) PresentedLink);

/// A link's token as it came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedLink {
    /// Whose links to look in.
    pub account: AccountDigest,
    /// What it is for.
    pub purpose: Purpose,
    pub(crate) selector: [u8; 16],
    pub(crate) verifier: SecretDigest,
}

/// A keyed digest of the address a link was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressDigest(pub(crate) [u8; 16]);

/// The keys that seal tokens and know them again.
///
/// A token's handle is sealed with AES-256-GCM under a random nonce. It differs from token to
/// token of the same account, and is bound to tenant, use and secret, so that a changed or mixed
/// token does not even reach the store. Nonces are random: SP 800-38D, 8.3 allows 2^32 tokens under
/// one root key. What lets its bearer in is the 256-bit secret, whose hash is on record.
pub struct TokenKeys {
    handles: AeadKey,
    addresses: MacKey,
}

impl TokenKeys {
    /// The keys under `root`.
    #[must_use]
    pub fn new(root: &RootKey) -> Self {
        Self {
            handles: AeadKey::new(&root.derive("vouchsafe session handles v1", &[])),
            addresses: MacKey::new(&root.derive("vouchsafe session addresses v1", &[])),
        }
    }

    /// A new session token for `account` of `tenant`, and what to open the session with.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] without fresh bytes: nothing is then issued.
    pub fn issue(
        &self,
        tenant: &TenantId,
        account: AccountDigest,
        entropy: &impl Entropy,
    ) -> Result<(Token, Fresh), Error> {
        let mut raw = Zeroizing::new([0; SESSION]);
        let secret = fresh_secret(entropy)?;
        let id = SessionId::new(entropy.id()?);
        self.seal(&mut *raw, tenant, "session", account.as_bytes(), &secret, entropy)?;
        let secret = session_digest(account, &secret);
        Ok((Token::of(&*raw), Fresh { secret, id }))
    }

    /// Opens a presented session token.
    ///
    /// # Errors
    /// [`Error::Token`] for anything that [`issue`](Self::issue) did not make for this tenant.
    pub fn open(&self, tenant: &TenantId, text: &[u8]) -> Result<Presented, Error> {
        let mut raw = text::decode::<SESSION>(text).ok_or(Error::Token)?;
        let (handle, secret) = self.unseal(&mut *raw, tenant, "session")?;
        let account = AccountDigest::new(*handle.first_chunk().ok_or(Error::Token)?);
        Ok(Presented { account, secret: session_digest(account, &secret) })
    }

    /// A new one-time token for `account` of `tenant`, and what to issue the link with.
    ///
    /// # Errors
    /// [`Error::NoEntropy`] without fresh bytes: nothing is then issued.
    pub fn issue_link(
        &self,
        tenant: &TenantId,
        account: AccountDigest,
        purpose: Purpose,
        entropy: &impl Entropy,
    ) -> Result<(Token, FreshLink), Error> {
        let mut raw = Zeroizing::new([0; LINK]);
        let secret = fresh_secret(entropy)?;
        let selector: [u8; 16] = entropy.bytes()?;
        let mut handle = [0; 32];
        for (to, from) in handle.iter_mut().zip(account.as_bytes().iter().chain(&selector)) {
            *to = *from;
        }
        self.seal(&mut *raw, tenant, purpose.name(), &handle, &secret, entropy)?;
        Ok((Token::of(&*raw), FreshLink(link(account, purpose, selector, &secret))))
    }

    /// Opens a presented one-time token.
    ///
    /// # Errors
    /// [`Error::Token`] for anything that [`issue_link`](Self::issue_link) did not make for this
    /// tenant and purpose.
    pub fn open_link(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        text: &[u8],
    ) -> Result<PresentedLink, Error> {
        let mut raw = text::decode::<LINK>(text).ok_or(Error::Token)?;
        let (handle, secret) = self.unseal(&mut *raw, tenant, purpose.name())?;
        let (account, selector) = handle.split_first_chunk().ok_or(Error::Token)?;
        let selector = selector.first_chunk().ok_or(Error::Token)?;
        Ok(link(AccountDigest::new(*account), purpose, *selector, &secret))
    }

    /// The digest of an address, so that a link sent to one is of no use after a move to another.
    #[must_use]
    pub fn address(&self, tenant: &TenantId, address: &Identifier) -> AddressDigest {
        let parts = [tenant.as_str().as_bytes(), address.as_str().as_bytes()];
        AddressDigest(self.addresses.digest("address", &parts))
    }

    /// Lays a token out in `raw`: version, nonce, sealed handle, tag, secret.
    fn seal(
        &self,
        raw: &mut [u8],
        tenant: &TenantId,
        purpose: &str,
        handle: &[u8],
        secret: &[u8; SECRET],
        entropy: &impl Entropy,
    ) -> Result<(), Error> {
        let nonce = entropy.bytes::<NONCE>()?;
        let mut sealed = handle.to_vec();
        self.handles
            .seal_in_place(nonce, &context(tenant, purpose, secret), &mut sealed)
            .map_err(|_| Error::Seal)?;
        let pieces = [&[VERSION][..], &nonce, &sealed, secret];
        for (to, from) in raw.iter_mut().zip(pieces.into_iter().flatten()) {
            *to = *from;
        }
        Ok(())
    }

    fn unseal<'a>(
        &self,
        raw: &'a mut [u8],
        tenant: &TenantId,
        purpose: &str,
    ) -> Result<(&'a [u8], Zeroizing<[u8; SECRET]>), Error> {
        let ([version], rest) = raw.split_first_chunk_mut().ok_or(Error::Token)?;
        let (nonce, rest) = rest.split_first_chunk_mut::<NONCE>().ok_or(Error::Token)?;
        let (sealed, secret) = rest.split_last_chunk_mut::<SECRET>().ok_or(Error::Token)?;
        if *version != VERSION {
            return Err(Error::Token);
        }
        let secret = Zeroizing::new(*secret);
        let handle = self
            .handles
            .open_in_place(*nonce, &context(tenant, purpose, &secret), sealed)
            .map_err(|_| Error::Token)?;
        Ok((handle, secret))
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(..)")
    }
}

fn fresh_secret(entropy: &impl Entropy) -> Result<Zeroizing<[u8; SECRET]>, Error> {
    let mut secret = Zeroizing::new([0; SECRET]);
    entropy.fill(&mut *secret)?;
    Ok(secret)
}

/// What a handle is sealed for. Holds a hash of the secret, not the secret.
fn context(tenant: &TenantId, purpose: &str, secret: &[u8; SECRET]) -> Vec<u8> {
    let secret = SecretDigest::of("vouchsafe token context v1", &[], secret);
    encode(
        "vouchsafe token handle v1",
        &[purpose.as_bytes(), tenant.as_str().as_bytes(), secret.as_bytes()],
    )
}

fn session_digest(account: AccountDigest, secret: &[u8; SECRET]) -> SecretDigest {
    SecretDigest::of("vouchsafe session secret v1", &[account.as_bytes()], secret)
}

fn link(
    account: AccountDigest,
    purpose: Purpose,
    selector: [u8; 16],
    secret: &[u8; SECRET],
) -> PresentedLink {
    let bound: [&[u8]; 3] = [&[purpose.code()], account.as_bytes(), &selector];
    let verifier = SecretDigest::of("vouchsafe link verifier v1", &bound, secret);
    PresentedLink { account, purpose, selector, verifier }
}
