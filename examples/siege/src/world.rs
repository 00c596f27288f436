//! Who has an account, with which password, and from where do they come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use vouchsafe_core::{Address, Source, Timestamp};

use crate::dice::Dice;

/// 2026-03-02T00:00:00Z, a Monday.
pub const START: Timestamp = Timestamp::from_micros(1_772_409_600_000_000);
/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);
/// An hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// So many minutes.
#[must_use]
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(60))
}
/// So many hours.
#[must_use]
pub const fn hours(count: u64) -> Duration {
    minutes(count.saturating_mul(60))
}
/// What one verification takes.
pub const VERIFY: Duration = Duration::from_millis(50);
/// Users of one office: all behind one address.
pub const OFFICE: u32 = 500;

/// A password, by its rank among all: number 1 is the most common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Password(pub u64);

impl Password {
    /// A wrong password that nobody has: a typing error, or noise.
    pub const NOBODYS: Self = Self(u64::MAX);
    /// Passwords that people choose.
    const COMMON: f64 = 3_000_000.0;

    /// A password as people choose them: the one of rank r in proportion to r^(−3/4).
    ///
    /// With this exponent and three million passwords, ten guesses open 2 % of accounts, as
    /// measured for 70 million users of Yahoo (J. Bonneau, "The science of guessing", IEEE S&P
    /// 2012: λ̃₁₀ = 9.1 bits). The exponent makes the inverse a fourth power, which every machine
    /// computes to the same bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank, between 1 and three million"
    )]
    pub fn chosen(dice: &Dice) -> Self {
        let root = dice.unit() * (Self::COMMON.sqrt().sqrt() - 1.0) + 1.0;
        Self((root * root * root * root) as u64)
    }
}

/// Who owns an account.
#[derive(Clone, Debug)]
pub struct User {
    /// The password at the start.
    pub password: Password,
    /// The password chosen later, and when.
    pub renewed: Option<(Timestamp, Password)>,
    /// Which office they work in.
    pub office: u32,
    /// Their address at home: an IPv6 network of their own.
    pub home: Source,
    /// How many of a thousand passwords are mistyped: 30 to 80.
    pub errors: u32,
}

impl User {
    /// The password at `now`.
    #[must_use]
    pub fn password_at(&self, now: Timestamp) -> Password {
        match self.renewed {
            Some((at, new)) if at <= now => new,
            _ => self.password,
        }
    }
}

/// Everybody who has an account.
#[derive(Clone, Debug)]
pub struct World {
    /// The users, by number.
    pub users: Vec<User>,
}

impl World {
    /// So many users. One in ten chooses a new password on the second day.
    #[must_use]
    pub fn new(seed: u64, users: u32) -> Self {
        Self::with_renewals(seed, users, 100)
    }

    /// So many users, of whom so many in a thousand choose a new password on the second morning.
    #[must_use]
    pub fn with_renewals(seed: u64, users: u32, renewals: u32) -> Self {
        let dice = Dice::new(seed, 1);
        let users = (0..users).map(|number| {
            let renewed = dice.per_mille(renewals).then(|| {
                let at = START.after(DAY).after(dice.between(hours(8), hours(11)));
                (at, Password::chosen(&dice))
            });
            User {
                password: Password::chosen(&dice),
                renewed,
                office: number.checked_div(OFFICE).unwrap_or(0),
                home: network(0x2001_0db8, u64::from(number)),
                errors: 30_u32.saturating_add(u32::try_from(dice.below(51)).unwrap_or(0)),
            }
        });
        Self { users: users.collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.users.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// The address that all of an office are seen under.
#[must_use]
pub fn office(number: u32) -> Source {
    let address = Ipv4Addr::from_bits(0xC633_6400_u32.saturating_add(number));
    Source::Direct(Address::new(IpAddr::V4(address)))
}

/// A machine of a stranger: an IPv4 address of its own.
#[must_use]
pub fn machine(number: u64) -> Source {
    let bits = 0x0B00_0000_u32.saturating_add(u32::try_from(number).unwrap_or(0));
    Source::Direct(Address::new(IpAddr::V4(Ipv4Addr::from_bits(bits))))
}

/// An address in the `number`th /48 of a provider.
fn network(provider: u32, number: u64) -> Source {
    let bits = (u128::from(provider) << 96) | (u128::from(number & 0xFFFF_FFFF) << 80) | 1;
    Source::Direct(Address::new(IpAddr::V6(Ipv6Addr::from_bits(bits))))
}
