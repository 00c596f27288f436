//! What do strangers try, when, and from where.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::{Source, Timestamp};

use crate::dice::Dice;
use crate::guard::{Attempt, Name, Who};
use crate::world::{DAY, OFFICE, Password, START, World, hours, machine, minutes, office};

/// A way to attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attack {
    /// Nobody does.
    Peace,
    /// Each night 10 000 guesses at once on each of a few accounts.
    Burst,
    /// From the first noon on, a guess each second on a few accounts, day and night.
    Relentless,
    /// Four guesses a day on every second account: just under five.
    Slow,
    /// The 48 commonest passwords of a day, each on every second account, from 40 machines.
    Spray,
    /// One password on every account within ten minutes, from 1 000 machines: the first time in the
    /// rush of a Monday, then at three at night.
    Sweep,
    /// Leaked pairs of name and password, one in a hundred still right, and as many unknown names.
    Stuffing,
    /// A guess every 144 s on each of one in twenty accounts, never twice from one of 5 000
    /// machines in an hour.
    Botnet,
    /// A wrong password every five minutes on one in ten accounts, from 400 machines: to lock their
    /// owners out.
    Denial,
    /// A machine behind the first office's address tries a password of another office's every two
    /// seconds.
    Inside,
    /// Very many names that nobody has.
    Names,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peace => "none",
            Self::Burst => "burst",
            Self::Relentless => "relentless",
            Self::Slow => "slow and low",
            Self::Spray => "spray",
            Self::Sweep => "sweep",
            Self::Stuffing => "stuffing",
            Self::Botnet => "botnet",
            Self::Denial => "lockout DoS",
            Self::Inside => "behind the NAT",
            Self::Names => "random names",
        })
    }
}

/// The attempts of strangers, in order of time.
pub type Trace<'a> = Box<dyn Iterator<Item = (Timestamp, Attempt)> + 'a>;

/// How much of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The seed.
    pub seed: u64,
    /// For how many days.
    pub days: u32,
    /// How many guesses a burst has.
    pub burst: u64,
    /// How many random names.
    pub names: u64,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Peace,
        Self::Burst,
        Self::Relentless,
        Self::Slow,
        Self::Spray,
        Self::Sweep,
        Self::Stuffing,
        Self::Botnet,
        Self::Denial,
        Self::Inside,
        Self::Names,
    ];

    /// Every how many users one is attacked, and which first.
    const fn stride(self) -> Option<(u32, u32)> {
        match self {
            Self::Peace | Self::Names => None,
            Self::Burst => Some((200, 7)),
            Self::Relentless => Some((500, 7)),
            Self::Slow | Self::Spray | Self::Stuffing => Some((2, 0)),
            Self::Inside | Self::Sweep => Some((1, 0)),
            Self::Botnet => Some((20, 3)),
            Self::Denial => Some((10, 1)),
        }
    }

    /// Whether this user is attacked.
    #[must_use]
    pub const fn hits(self, user: u32) -> bool {
        match self.stride() {
            Some(_) if matches!(self, Self::Inside) && user < OFFICE => false,
            Some((stride, first)) => matches!(user.checked_rem(stride), Some(r) if r == first),
            None => false,
        }
    }

    /// What the strangers do.
    pub fn trace(self, world: &World, extent: Extent) -> Trace<'_> {
        let targets: Vec<u32> = (0..world.len()).filter(|user| self.hits(*user)).collect();
        let rounds = match self {
            _ if targets.is_empty() && self != Self::Names => return Box::new(std::iter::empty()),
            Self::Peace => return Box::new(std::iter::empty()),
            Self::Names => return names(extent),
            Self::Burst => return burst(targets, extent),
            Self::Sweep => return sweep(targets, extent.days),
            Self::Stuffing => return stuffing(world, targets, extent),
            Self::Relentless => Rounds { every: Duration::from_secs(1), machines: 5_000, hop: 1 },
            Self::Slow => Rounds { every: minutes(365), machines: 50, hop: 1 },
            Self::Spray => Rounds { every: minutes(30), machines: 40, hop: 1 },
            Self::Botnet => Rounds { every: Duration::from_secs(144), machines: 5_000, hop: 101 },
            Self::Denial => Rounds { every: minutes(5), machines: 400, hop: 1 },
            Self::Inside => {
                let every = Duration::from_secs(2).saturating_mul(count(&targets));
                Rounds { every, machines: 0, hop: 1 }
            }
        };
        let noon = START.after(hours(12));
        let trace = rounds.trace(self == Self::Denial, targets, extent.days);
        // What comes before is left out, so that the days of a clock are not those of the attack.
        Box::new(trace.skip_while(move |(at, _)| self == Self::Relentless && *at < noon))
    }
}

/// Every target once in each round, with the password of that round.
struct Rounds {
    every: Duration,
    /// From so many machines; 0: from inside an office.
    machines: u64,
    hop: u64,
}

impl Rounds {
    fn trace(self, noise: bool, targets: Vec<u32>, days: u32) -> Trace<'static> {
        let step = self.every.checked_div(count(&targets).max(1)).unwrap_or(self.every);
        let attempts = DAY.saturating_mul(days).as_micros().checked_div(step.as_micros().max(1));
        let attempts = u64::try_from(attempts.unwrap_or(0)).unwrap_or(u64::MAX);
        let each = u64::from(count(&targets).max(1));
        Box::new((0..attempts).filter_map(move |n| {
            let round = n.checked_div(each)?;
            let target = targets.get(usize::try_from(n.checked_rem(each)?).ok()?)?;
            let password = match noise {
                true => Password::NOBODYS,
                false => Password(round.saturating_add(1)),
            };
            let source = match n.wrapping_mul(self.hop).checked_rem(self.machines) {
                Some(number) => machine(number),
                None => office(0),
            };
            let offset = u128::from(n).saturating_mul(step.as_micros());
            Some((later(offset), guess(Name::User(*target), password, source)))
        }))
    }
}

/// At three at night, one account a second: all guesses within the time that one verification takes.
fn burst(targets: Vec<u32>, extent: Extent) -> Trace<'static> {
    Box::new((0..extent.days).flat_map(move |day| {
        let night = START.after(DAY.saturating_mul(day)).after(hours(3));
        let targets = targets.clone();
        (0_u32..).zip(targets).flat_map(move |(second, target)| {
            let start = night.after(Duration::from_secs(1).saturating_mul(second));
            (0..extent.burst).map(move |n| {
                let rank = u64::from(day).saturating_mul(extent.burst).saturating_add(n);
                let password = Password(rank.saturating_add(1));
                let at = start.after(Duration::from_micros(n.saturating_mul(2)));
                (at, guess(Name::User(target), password, machine(n % 2_000)))
            })
        })
    }))
}

/// When the sweep of a day begins.
#[must_use]
pub fn sweep_begins(day: u32) -> Timestamp {
    let time = if day == 0 { minutes(510) } else { hours(3) };
    START.after(DAY.saturating_mul(day)).after(time)
}

fn sweep(targets: Vec<u32>, days: u32) -> Trace<'static> {
    let step = minutes(10).checked_div(count(&targets)).unwrap_or_default();
    Box::new((0..days).flat_map(move |day| {
        let password = Password(u64::from(day).saturating_add(1));
        (0_u32..).zip(targets.clone()).map(move |(n, target)| {
            let at = sweep_begins(day).after(step.saturating_mul(n));
            (at, guess(Name::User(target), password, machine(u64::from(n % 1_000))))
        })
    }))
}

/// All pairs once in each day, from 500 machines; a password that was right once in a hundred.
fn stuffing(world: &World, targets: Vec<u32>, extent: Extent) -> Trace<'_> {
    let step = DAY.checked_div(count(&targets).saturating_mul(2).max(1)).unwrap_or(DAY);
    Box::new((0..extent.days).flat_map(move |day| {
        let dice = Dice::new(extent.seed, 0x5700 | u64::from(day));
        let midnight = START.after(DAY.saturating_mul(day));
        let targets = targets.clone();
        (0_u32..).zip(targets).flat_map(move |(n, target)| {
            let user = world.users.get(usize::try_from(target).unwrap_or(usize::MAX));
            // The leak is the same on all days: what was right on the first is tried again.
            let leaked = Dice::new(extent.seed, 0x1EA4_0000 | u64::from(target)).per_mille(10);
            let password = match user {
                Some(user) if leaked => user.password,
                _ => Password::NOBODYS,
            };
            let from = machine(dice.below(500));
            let at = midnight.after(step.saturating_mul(n.saturating_mul(2)));
            let nobody = Name::Nobody((u64::from(day) << 32) | u64::from(n));
            [
                (at, guess(Name::User(target), password, from)),
                (at.after(step), guess(nobody, Password::NOBODYS, from)),
            ]
        })
    }))
}

/// Spread over the first day, from ten thousand machines.
fn names(extent: Extent) -> Trace<'static> {
    let day = DAY.as_micros();
    Box::new((0..extent.names).map(move |n| {
        let offset = u128::from(n).saturating_mul(day).checked_div(u128::from(extent.names));
        let source = machine(n % 10_000);
        (later(offset.unwrap_or(0)), guess(Name::Nobody(n), Password::NOBODYS, source))
    }))
}

fn guess(name: Name, password: Password, source: Source) -> Attempt {
    Attempt { name, password, source, device: None, who: Who::Stranger }
}

fn later(micros: u128) -> Timestamp {
    START.after(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
}

fn count(targets: &[u32]) -> u32 {
    u32::try_from(targets.len()).unwrap_or(u32::MAX)
}
