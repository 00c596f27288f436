//! When, and where time, fresh bytes and waiting come from.

use std::fmt;
use std::future::Future;
use std::time::Duration;

/// A moment: microseconds since 1970-01-01T00:00:00 UTC, between the years 1 and 9999.
///
/// Arithmetic saturates at those ends, so a duration out of a hostile document cannot overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The moment `micros` microseconds after the epoch, held between [`MIN`](Self::MIN) and
    /// [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds after the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This moment plus `duration`.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(whole_micros(duration)))
    }

    /// This moment minus `duration`.
    #[must_use]
    pub const fn before(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(whole_micros(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        if micros <= 0 { Duration::ZERO } else { Duration::from_micros(micros.unsigned_abs()) }
    }

    /// The calendar form.
    #[must_use]
    pub fn to_utc(self) -> time::OffsetDateTime {
        // MIN..=MAX is inside what `time` represents, so the fallback is never taken.
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0).saturating_mul(1_000))
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    }

    /// From the calendar form; what is below a microsecond is dropped.
    #[must_use]
    pub fn from_utc(moment: time::OffsetDateTime) -> Self {
        let micros = moment.unix_timestamp_nanos().div_euclid(1_000);
        Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

const fn whole_micros(duration: Duration) -> i64 {
    let micros = duration.as_micros();
    if micros > i64::MAX as u128 { i64::MAX } else { micros as i64 }
}

/// RFC 3339 in UTC, always with six digits of a second: `2018-04-09T00:00:00.000000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.to_utc();
        let (date, clock) = (utc.date(), utc.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.microsecond()
        )
    }
}

/// Where the present moment comes from.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell the time",
    note = "take `vouchsafe::os::SystemClock`, a test's `ManualClock`, or implement `Clock`"
)]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// How long ago some fixed moment was, by a clock that nobody can set: what a leap of
    /// [`now`](Self::now) shows against. `None` where there is no such clock.
    fn steady(&self) -> Option<Duration> {
        None
    }
}

/// Where fresh, unpredictable bytes come from.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no fresh bytes",
    note = "take `vouchsafe::os::SystemEntropy`, a test's `SeededEntropy`, or implement `Entropy`"
)]
pub trait Entropy: Send + Sync {
    /// Fills `out` with fresh bytes.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source cannot; `out` is then not to be used.
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy>;

    /// `N` fresh bytes.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source cannot give them.
    fn bytes<const N: usize>(&self) -> Result<[u8; N], NoEntropy>
    where
        Self: Sized,
    {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// Fills `out` with fresh bytes that tell things apart and are no secret: the ids of charges,
    /// the versions of cells. A source may draw many of them at once and keep the rest in memory;
    /// keys, secrets and nonces come from [`fill`](Self::fill).
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    fn fill_id(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.fill(out)
    }

    /// `N` bytes of [`fill_id`](Self::fill_id).
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    fn id<const N: usize>(&self) -> Result<[u8; N], NoEntropy>
    where
        Self: Sized,
    {
        let mut out = [0; N];
        self.fill_id(&mut out)?;
        Ok(out)
    }
}

/// The source of fresh bytes gave none; nothing may be issued without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fresh random bytes")]
pub struct NoEntropy;

/// Waiting, without naming a runtime.
pub trait Timer: Send + Sync {
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl<T: Clock + ?Sized> Clock for std::sync::Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn steady(&self) -> Option<Duration> {
        (**self).steady()
    }
}

impl<T: Entropy + ?Sized> Entropy for std::sync::Arc<T> {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        (**self).fill(out)
    }

    fn fill_id(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        (**self).fill_id(out)
    }
}

impl<T: Timer> Timer for std::sync::Arc<T> {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        (**self).sleep(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc3339_with_microseconds() {
        assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(Timestamp::MAX.after(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.before(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::from_micros(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
    }

    #[test]
    fn calendar_round_trip() {
        for micros in [Timestamp::MIN.0, -1, 0, 1, 1_523_232_000_000_001, Timestamp::MAX.0] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::from_utc(moment.to_utc()), moment);
        }
    }
}
