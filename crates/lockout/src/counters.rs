//! Counters beside the limits: of devices, and of failures without a success between them.

use std::time::Duration;

use crate::{LockoutError, LockoutPolicy};

/// Browsers that have signed in before have counters of their own, so that a stranger's failures
/// do not lock the owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
///
/// Each device counter holds the policy's limits for itself, so an account's bound is
/// N × (1 + counters). Which counter a device has follows from its id alone; two devices of one
/// owner may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Devices {
    /// How many device counters an account has: 1, 2, 4 or 8.
    pub counters: u32,
    /// For how long a device is known after its cookie was issued.
    pub valid_for: Duration,
}

impl Devices {
    /// Shortest time to know a device.
    pub const MIN_VALID_FOR: Duration = Duration::from_secs(1);
    /// Longest time to know a device: 366 days.
    pub const MAX_VALID_FOR: Duration = Duration::from_secs(366 * 24 * 3_600);
    pub(crate) const MAX_COUNTERS: u32 = 8;

    pub(crate) fn problems(self, found: &mut Vec<LockoutError>) {
        // Powers of two, so that fewer counters are always coarser ones.
        if !self.counters.is_power_of_two() || self.counters > Self::MAX_COUNTERS {
            found.push(LockoutError::DeviceCounters { found: self.counters });
        }
        let (min, max) = (Self::MIN_VALID_FOR, Self::MAX_VALID_FOR);
        if self.valid_for < min || self.valid_for > max {
            found.push(LockoutError::DeviceValidity { min, max });
        }
    }
}

impl Default for Devices {
    /// Four: a telephone, a laptop, a tablet and one more. 180 days: whoever comes twice a year is
    /// still known.
    fn default() -> Self {
        Self { counters: 4, valid_for: Duration::from_secs(180 * 24 * 3_600) }
    }
}

/// How many failures an account may have without a success between them, however slowly they come
/// (NIST SP 800-63B-4, section 3.2.2: no more than 100).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Consecutive {
    /// So many disable the account for everybody, at most 100.
    pub disable_at: u32,
    /// So many disable it for whoever has no valid device cookie. Where the policy has no device
    /// counters, nobody has one and `disable_at` alone counts.
    pub devices_only_from: u32,
    /// So long after the last failure they are forgotten: an hour to 366 days.
    pub memory: Duration,
}

impl Consecutive {
    /// Most failures in a row: NIST SP 800-63B-4, section 3.2.2.
    pub const MAX_FAILURES: u32 = 100;
    /// Shortest memory: longer than any attempt takes to settle, so none is forgotten in flight.
    pub const MIN_MEMORY: Duration = Duration::from_secs(3_600);

    pub(crate) fn problems(self, found: &mut Vec<LockoutError>) {
        let counts = 1..=Self::MAX_FAILURES;
        if !counts.contains(&self.disable_at)
            || !(1..=self.disable_at).contains(&self.devices_only_from)
        {
            found.push(LockoutError::ConsecutiveCount { max: Self::MAX_FAILURES });
        }
        let (min, max) = (Self::MIN_MEMORY, LockoutPolicy::MAX_WINDOW);
        if self.memory < min || self.memory > max {
            found.push(LockoutError::ConsecutiveMemory { min, max });
        }
    }
}

impl Default for Consecutive {
    /// 100, NIST's bound, and 90 for strangers, so that the owner's devices have ten tries left.
    /// 90 days: a guesser who waits that long has four bursts a year.
    fn default() -> Self {
        let memory = Duration::from_secs(90 * 24 * 3_600);
        Self { disable_at: Self::MAX_FAILURES, devices_only_from: 90, memory }
    }
}
