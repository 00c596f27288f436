//! What can be wrong with a policy.

use std::time::Duration;

/// Something wrong with a policy. Construction reports all of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockoutError {
    /// No limit at all: nothing would ever lock.
    #[error("a lockout policy needs at least one limit")]
    NoLimit,
    /// More limits than a policy may list.
    #[error("{found} limits, at most {max} are allowed")]
    TooManyLimits {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// "Lock after none" would refuse the owner's first correct attempt: not strict, but useless.
    #[error("limit {limit}: zero failures would lock everybody out for ever")]
    NoFailures {
        /// Which limit, from 0, in the order they were given.
        limit: usize,
    },
    /// More failures than a log holds.
    #[error("limit {limit}: {found} failures, at most {max} are allowed")]
    TooManyFailures {
        /// Which limit, from 0, in the order they were given.
        limit: usize,
        /// The number given.
        found: u32,
        /// The largest allowed.
        max: u32,
    },
    /// A window outside its bounds.
    #[error("limit {limit}: the window must be {min:?} to {max:?}")]
    Window {
        /// Which limit, from 0, in the order they were given.
        limit: usize,
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// A lock duration outside its bounds.
    #[error("limit {limit}: a timed release must be {min:?} to {max:?}")]
    Release {
        /// Which limit, from 0, in the order they were given.
        limit: usize,
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// A time to settle outside its bounds.
    #[error("settle_within must be {min:?} to {max:?}")]
    SettleWithin {
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// A charge that comes late would find the charges of its window forgotten, and be in time for
    /// its hash.
    #[error("settle_within must not be longer than the longest window, {longest:?}")]
    SettleBeyondWindow {
        /// The longest window.
        longest: Duration,
    },
    /// A waiting time above its bound.
    #[error("waiting may last at most {max:?}")]
    WaitTime {
        /// The longest allowed.
        max: Duration,
    },
    /// More waiting attempts than memory is set aside for.
    #[error("at most {max} attempts may wait, and no fewer in the process than at one key")]
    WaitCount {
        /// The largest allowed.
        max: u32,
    },
    /// A number of device counters that is not allowed.
    #[error("{found} device counters: 1, 2, 4 or 8 are allowed")]
    DeviceCounters {
        /// The number given.
        found: u32,
    },
    /// A time for which devices are known outside its bounds.
    #[error("devices must be known for {min:?} to {max:?}")]
    DeviceValidity {
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// Numbers of consecutive failures out of order or above NIST's bound.
    #[error("consecutive failures disable at 1 to {max}, strangers no later than devices")]
    ConsecutiveCount {
        /// The largest allowed.
        max: u32,
    },
    /// A memory for consecutive failures outside its bounds.
    #[error("consecutive failures must be remembered for {min:?} to {max:?}")]
    ConsecutiveMemory {
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// More forgiven repeats than hashing for nothing is worth.
    #[error("at most {max} repeats may be forgiven")]
    Repeats {
        /// The largest allowed.
        max: u32,
    },
    /// What a node may count by itself while the store is down is outside its bounds.
    #[error("while the store is down, 1 to {max_failures} failures in {min:?} to {max:?}")]
    Degraded {
        /// The most failures allowed.
        max_failures: u32,
        /// The shortest window allowed.
        min: Duration,
        /// The longest window allowed.
        max: Duration,
    },
    /// A rate of a source throttle that is zero, or whose period is out of bounds.
    #[error("a rate needs 1 to {max_attempts} attempts in {min:?} to {max:?}")]
    Rate {
        /// The most attempts allowed.
        max_attempts: u32,
        /// The shortest period allowed.
        min: Duration,
        /// The longest period allowed.
        max: Duration,
    },
    /// A cap on sources outside its bounds.
    #[error("max_sources must be {min} to {max}")]
    MaxSources {
        /// The smallest allowed.
        min: usize,
        /// The largest allowed.
        max: usize,
    },
    /// A number of a spray policy outside its bounds.
    #[error(
        "spray: the window must be {min:?} to {max:?}, the floor 2 or more, and max_accounts more \
         than the floor and at most {max_accounts}"
    )]
    Spray {
        /// The shortest window allowed.
        min: Duration,
        /// The longest window allowed.
        max: Duration,
        /// The most accounts allowed.
        max_accounts: u32,
    },
}
