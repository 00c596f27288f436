//! Cookies of browsers that have signed in before.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use subtle::ConstantTimeEq;
use vouchsafe_core::{AccountDigest, Timestamp};
use vouchsafe_crypto::MacKey;

const VERSION: u8 = 1;
const ID: usize = 8;
const MAC: usize = 16;
const RAW: usize = 1 + ID + 8 + MAC;

/// The key that device cookies are made and checked with; good for nothing else.
pub struct DeviceKey(MacKey);

/// A browser that has signed in to this account before: [`DeviceKey::verify`] has seen its cookie.
///
/// ```compile_fail
/// use vouchsafe_lockout::Device;
/// fn forge() -> Device {
///     Device { account: todo!(), id: 1, issued: todo!() }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    account: AccountDigest,
    id: u64,
    issued: Timestamp,
}

impl DeviceKey {
    /// Length of a cookie's text.
    pub const LENGTH: usize = RAW.div_ceil(3) * 4;

    /// The key. Whoever has it can pass for a known device, and save nothing but the strangers'
    /// counter by it.
    #[must_use]
    pub const fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// A cookie for a browser that has just signed in to `account`: `id` is fresh and random, or
    /// that of the cookie it replaces. Text of [`LENGTH`](Self::LENGTH) letters of base64url.
    #[must_use]
    pub fn issue(&self, account: AccountDigest, id: u64, now: Timestamp) -> String {
        let (id, issued) = (id.to_le_bytes(), now.micros().to_le_bytes());
        let mac = self.mac(account, id, issued);
        let mut raw = Vec::with_capacity(RAW);
        raw.push(VERSION);
        raw.extend(id);
        raw.extend(issued);
        raw.extend(mac);
        Base64UrlUnpadded::encode_string(&raw)
    }

    /// Whose browser sent this. What is forged, or another account's, is as good as absent; whether
    /// it is too old or was revoked is for the [machine](crate::LockoutMachine) to say.
    ///
    /// Takes the same time whichever of its letters are wrong.
    #[must_use]
    pub fn verify(&self, account: AccountDigest, token: &str) -> Option<Device> {
        if token.len() != Self::LENGTH {
            return None;
        }
        let mut raw = [0; RAW];
        let decoded = Base64UrlUnpadded::decode(token, &mut raw).ok()?;
        let (version, rest) = decoded.split_first()?;
        let (id, rest) = rest.split_first_chunk::<ID>()?;
        let (issued, mac) = rest.split_first_chunk::<8>()?;
        let right = self.mac(account, *id, *issued).as_slice().ct_eq(mac);
        let genuine = right & version.ct_eq(&VERSION);
        let issued = Timestamp::from_micros(i64::from_le_bytes(*issued));
        let device = Device { account, id: u64::from_le_bytes(*id), issued };
        bool::from(genuine).then_some(device)
    }

    fn mac(&self, account: AccountDigest, id: [u8; ID], issued: [u8; 8]) -> [u8; MAC] {
        self.0.digest("vouchsafe device cookie v1", &[account.as_bytes(), &id, &issued])
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

impl Device {
    /// The account that it has signed in to.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.account
    }

    /// Which device.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// When its cookie was issued.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }
}
