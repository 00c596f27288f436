//! Cookies of browsers that have signed in before.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use subtle::ConstantTimeEq;
use vouchsafe_core::{AccountDigest, Timestamp};
use vouchsafe_crypto::MacKey;

const VERSION: u8 = 3;
const NUMBER: usize = 8;
const MAC: usize = 16;
/// Version, id, epoch, when it was issued, and the code.
const RAW: usize = 1 + 3 * NUMBER + MAC;

/// The key that device cookies are made and checked with; good for nothing else.
pub struct DeviceKey(MacKey);

/// A cookie that is ours, for this account: [`DeviceKey::verify`] has seen it. Whether it still counts
/// is for [`of_epoch`](Self::of_epoch) to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`of_epoch` says whether it was voided"]
pub struct Cookie {
    device: Device,
    epoch: DeviceEpoch,
}

/// A browser that has signed in to this account before, and was not forgotten since.
///
/// ```compile_fail
/// use vouchsafe_core::{AccountDigest, Timestamp};
/// use vouchsafe_lockout::Device;
/// fn forge(account: AccountDigest, issued: Timestamp) -> Device {
///     Device { account, id: 1, issued }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    account: AccountDigest,
    id: u64,
    issued: Timestamp,
}

/// Which cookies of an account count: those of its present epoch.
///
/// It is a number that the host keeps beside the account's password, and raises in the very write that
/// replaces the password or forgets the devices: so nothing falls between, and no clock, no outage and
/// no loss of the counters brings back what is void. No number is to come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceEpoch(u64);

impl DeviceEpoch {
    /// By the host's number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl DeviceKey {
    /// Length of a cookie's text.
    pub const LENGTH: usize = (RAW * 4).div_ceil(3);

    /// The key. Whoever has it can pass for a known device: past the strangers' counter, and past what
    /// a host bounds strangers by.
    #[must_use]
    pub const fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// A cookie for a browser that has just signed in to `account`: `id` is fresh and random, or
    /// that of the cookie it replaces; `epoch` is the account's as it was when the password was looked
    /// up, so that a cookie which is made while others are voided is one of those. Text of
    /// [`LENGTH`](Self::LENGTH) letters of base64url.
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

    /// Whether this is a cookie of ours for `account`, which nothing has to be asked for. What is
    /// forged, or another account's, is as good as absent.
    ///
    /// Takes the same time whichever of its letters are wrong.
    #[must_use]
    pub fn verify(&self, account: AccountDigest, token: &str) -> Option<Cookie> {
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
        let issued = Timestamp::from_micros(i64::from_le_bytes(*issued));
        let device = Device { account, id: u64::from_le_bytes(*id), issued };
        let cookie = Cookie { device, epoch: DeviceEpoch(u64::from_le_bytes(*epoch)) };
        bool::from(genuine).then_some(cookie)
    }

    fn mac(&self, account: AccountDigest, [id, epoch, issued]: [&[u8; NUMBER]; 3]) -> [u8; MAC] {
        let parts: [&[u8]; 4] = [account.as_bytes(), id, epoch, issued];
        self.0.digest("vouchsafe device cookie v3", &parts)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

impl Cookie {
    /// When it was issued.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.device.issued
    }

    /// The browser, if the cookie is of the account's `present` epoch. Whether it is too old is for
    /// the [machine](crate::LockoutMachine) to say.
    #[must_use]
    pub fn of_epoch(self, present: DeviceEpoch) -> Option<Device> {
        (self.epoch == present).then_some(self.device)
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
