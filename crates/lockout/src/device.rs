//! Cookies of browsers that have signed in before.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use subtle::ConstantTimeEq;
use vouchsafe_core::{AccountDigest, Timestamp};
use vouchsafe_crypto::MacKey;

const VERSION: u8 = 2;
const NUMBER: usize = 8;
const MAC: usize = 16;
/// Version, id, epoch, when it was issued, and the code.
const RAW: usize = 1 + 3 * NUMBER + MAC;

/// The key that device cookies are made and checked with; good for nothing else.
pub struct DeviceKey(MacKey);

/// A browser that has signed in to this account before: [`DeviceKey::verify`] has seen its cookie.
///
/// ```compile_fail
/// use vouchsafe_core::{AccountDigest, Timestamp};
/// use vouchsafe_lockout::{Device, DeviceEpoch};
/// fn forge(account: AccountDigest, issued: Timestamp) -> Device {
///     Device { account, id: 1, epoch: DeviceEpoch::FIRST, issued }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    account: AccountDigest,
    id: u64,
    epoch: DeviceEpoch,
    issued: Timestamp,
}

/// Which cookies of an account count: those of its present epoch.
///
/// Whatever voids cookies begins the next epoch, and none comes twice. No clock has a say in it: what is
/// void stays so, whichever way a clock stood when it was made, or when it was voided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceEpoch(pub(crate) u64);

impl DeviceEpoch {
    /// That of an account of which no cookie was ever voided.
    pub const FIRST: Self = Self(0);

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl DeviceKey {
    /// Length of a cookie's text.
    pub const LENGTH: usize = (RAW * 4).div_ceil(3);

    /// The key. Whoever has it can pass for a known device, and save nothing but the strangers'
    /// counter by it.
    #[must_use]
    pub const fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// A cookie for a browser that has just signed in to `account`: `id` is fresh and random, or
    /// that of the cookie it replaces; `epoch` is what the settlement of that sign-in
    /// [answered](crate::LockoutVerdict::Authenticated), so that a cookie which is made while others are
    /// voided is one of those. Text of [`LENGTH`](Self::LENGTH) letters of base64url.
    #[must_use]
    pub fn issue(
        &self,
        account: AccountDigest,
        id: u64,
        epoch: DeviceEpoch,
        now: Timestamp,
    ) -> String {
        let (id, epoch, issued) =
            (id.to_le_bytes(), epoch.0.to_le_bytes(), now.micros().to_le_bytes());
        let mac = self.mac(account, [&id, &epoch, &issued]);
        let mut raw = Vec::with_capacity(RAW);
        raw.push(VERSION);
        for number in [id, epoch, issued] {
            raw.extend(number);
        }
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
        let (id, rest) = rest.split_first_chunk::<NUMBER>()?;
        let (epoch, rest) = rest.split_first_chunk::<NUMBER>()?;
        let (issued, mac) = rest.split_first_chunk::<NUMBER>()?;
        let right = self.mac(account, [id, epoch, issued]).as_slice().ct_eq(mac);
        let genuine = right & version.ct_eq(&VERSION);
        let device = Device {
            account,
            id: u64::from_le_bytes(*id),
            epoch: DeviceEpoch(u64::from_le_bytes(*epoch)),
            issued: Timestamp::from_micros(i64::from_le_bytes(*issued)),
        };
        bool::from(genuine).then_some(device)
    }

    fn mac(&self, account: AccountDigest, [id, epoch, issued]: [&[u8; NUMBER]; 3]) -> [u8; MAC] {
        let parts: [&[u8]; 4] = [account.as_bytes(), id, epoch, issued];
        self.0.digest("vouchsafe device cookie v2", &parts)
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

    /// Which epoch its cookie is of.
    #[must_use]
    pub const fn epoch(&self) -> DeviceEpoch {
        self.epoch
    }

    /// When its cookie was issued.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }
}
