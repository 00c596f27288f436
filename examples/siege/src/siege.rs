//! All attacks on all algorithms.

use std::time::Duration;

use vouchsafe_lockout::Devices;

use crate::attack::{Attack, Extent};
use crate::guard::Guard;
use crate::honest::Honest;
use crate::others::{By, CountAfter, FixedWindow, Forget, Gcra, Rule};
use crate::ours::{Ours, policy};
use crate::replay::{Outcome, Scene, Stopwatch, replay};
use crate::world::{DAY, HOUR, World, minutes};

/// What ours may keep in memory.
pub const MEMORY: usize = 64 << 20;

/// How large a siege is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How many users there are: whole offices of 500.
    pub users: u32,
    /// How much of each attack.
    pub extent: Extent,
}

impl Scale {
    /// 2 000 users, three days from a Monday, bursts of 10 000, a million random names.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { users: 2_000, extent: Extent { seed, days: 3, burst: 10_000, names: 1_000_000 } }
    }
}

impl Scale {
    /// That of the table and the picture that are kept beside this: half the users for two days, and
    /// fewer names, so that a test can make them again.
    #[must_use]
    pub const fn saved() -> Self {
        Self { users: 1_000, extent: Extent { seed: 1, days: 2, burst: 10_000, names: 10_000 } }
    }
}

/// One of the algorithms, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ours, five in 24 hours.
    Five,
    /// Ours, with the limits of our own preset: ten in an hour and thirty in 24 hours.
    TenAndThirty,
    /// Ours, five in 24 hours, and as many on each of four counters of devices that have signed in.
    FiveOfDevices,
    /// Requests by name in periods since the epoch: rack-attack's `throttle`.
    FixedWindow,
    /// The same by name and by address, five in 20 seconds: the configuration in its documents.
    RackAttack,
    /// Failures by name until 24 quiet hours: django-axes told to count by user name.
    Quiet,
    /// django-axes as it comes: three by address, until somebody resets it.
    Axes,
    /// A burst of five refilled over 24 hours: governor, redis-cell, throttled.
    Gcra,
    /// Five failures lock for 24 hours: Devise with the same numbers.
    LockForADay,
    /// Devise as it comes: 20 failures lock for an hour.
    Devise,
    /// ASP.NET Core Identity as it comes: five failures lock for five minutes.
    Identity,
    /// Rodauth as it comes: 100 failures lock for a day.
    Rodauth,
    /// fail2ban with the same numbers: five in 24 hours by address.
    BanForADay,
    /// fail2ban as it comes: five in ten minutes by address bar it for ten minutes.
    Fail2ban,
}

impl Algorithm {
    /// All of them: ours, then the others, each with the same numbers and then as it comes.
    pub const ALL: [Self; 14] = [
        Self::Five,
        Self::TenAndThirty,
        Self::FiveOfDevices,
        Self::FixedWindow,
        Self::RackAttack,
        Self::Quiet,
        Self::Axes,
        Self::Gcra,
        Self::LockForADay,
        Self::Devise,
        Self::Identity,
        Self::Rodauth,
        Self::BanForADay,
        Self::Fail2ban,
    ];

    /// What it is called in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Five => "Vouchsafe, 5 in 24 h",
            Self::TenAndThirty => "Vouchsafe, 10 in 1 h and 30 in 24 h",
            Self::FiveOfDevices => "Vouchsafe, 5 in 24 h, device cookies",
            Self::FixedWindow => "fixed window, 5 in 24 h",
            Self::RackAttack => "rack-attack's example, 5 in 20 s",
            Self::Quiet => "inactivity window, 5, 24 h",
            Self::Axes => "django-axes, 3 by address",
            Self::Gcra => "GCRA, 5 in 24 h",
            Self::LockForADay => "check then count, 5, 24 h",
            Self::Devise => "Devise, 20, 1 h",
            Self::Identity => "ASP.NET Identity, 5, 5 min",
            Self::Rodauth => "Rodauth, 100, 24 h",
            Self::BanForADay => "by address, 5 in 24 h",
            Self::Fail2ban => "fail2ban, 5 in 10 min by address",
        }
    }

    /// Whether it is ours.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Five | Self::TenAndThirty | Self::FiveOfDevices)
    }

    /// How many failures it means to allow in how long; ours, where all devices count together.
    #[must_use]
    pub const fn limits(self) -> &'static [(u32, Duration)] {
        match self {
            Self::Five => &[(5, DAY)],
            Self::TenAndThirty => &[(10, HOUR), (30, DAY)],
            _ => &[],
        }
    }

    /// A fresh guard.
    ///
    /// # Errors
    /// When a policy or name is refused, which would be a mistake here.
    pub fn guard(self, world: &World) -> Result<Box<dyn Guard>, Box<dyn std::error::Error>> {
        let rule = |by, limit, forget, lock| Rule {
            by,
            limit,
            forget,
            lock,
            extends: false,
            success_clears: false,
            optimistic: false,
        };
        let counted = |rule| Box::new(CountAfter::new(rule)) as Box<dyn Guard>;
        Ok(match self {
            Self::Five | Self::TenAndThirty | Self::FiveOfDevices => {
                let limits = if self == Self::FiveOfDevices { &[(5, DAY)] } else { self.limits() };
                let devices = (self == Self::FiveOfDevices).then(Devices::default);
                let policy = policy(limits, devices).map_err(|found| format!("{found:?}"))?;
                Box::new(Ours::new(policy, world, MEMORY)?)
            }
            Self::FixedWindow => Box::new(FixedWindow::new(&[By::Name], 5, DAY)),
            Self::RackAttack => {
                let period = Duration::from_secs(20);
                Box::new(FixedWindow::new(&[By::Name, By::Address], 5, period))
            }
            Self::Quiet => {
                let rule = rule(By::Name, 5, Forget::AfterQuiet(DAY), Some(DAY));
                counted(Rule { extends: true, ..rule })
            }
            Self::Axes => counted(rule(By::Address, 3, Forget::Never, None)),
            Self::Gcra => Box::new(Gcra::new(5, DAY)),
            Self::LockForADay => {
                let rule = rule(By::User, 5, Forget::Never, Some(DAY));
                counted(Rule { success_clears: true, ..rule })
            }
            Self::Devise => {
                let rule = rule(By::User, 20, Forget::Never, Some(HOUR));
                counted(Rule { success_clears: true, ..rule })
            }
            Self::Identity => {
                let rule = rule(By::User, 5, Forget::Never, Some(minutes(5)));
                counted(Rule { success_clears: true, optimistic: true, ..rule })
            }
            Self::Rodauth => {
                let rule = rule(By::User, 100, Forget::Never, Some(DAY));
                counted(Rule { success_clears: true, ..rule })
            }
            Self::BanForADay => counted(rule(By::Address, 5, Forget::Each(DAY), Some(DAY))),
            Self::Fail2ban => {
                let ten = minutes(10);
                counted(rule(By::Address, 5, Forget::Each(ten), Some(ten)))
            }
        })
    }
}

/// What one attack on one algorithm came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The attack.
    pub attack: Attack,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What came of it.
    pub outcome: Outcome,
}

/// Replays each of `attacks` against each of `algorithms`; `progress` is told before each.
///
/// # Errors
/// When an algorithm cannot be set up, which would be a mistake here.
pub fn run(
    scale: Scale,
    attacks: &[Attack],
    algorithms: &[Algorithm],
    watch: Option<Stopwatch>,
    mut progress: impl FnMut(Attack, Algorithm),
) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let world = World::new(scale.extent.seed, scale.users);
    let honest = Honest::new(scale.extent.seed, &world, scale.extent.days);
    let mut rows = Vec::new();
    for &attack in attacks {
        let scene = Scene { world: &world, honest: &honest, attack, extent: scale.extent };
        for &algorithm in algorithms {
            progress(attack, algorithm);
            let mut guard = algorithm.guard(&world)?;
            let windows: Vec<Duration> =
                algorithm.limits().iter().map(|(_, window)| *window).collect();
            let outcome = replay(&scene, guard.as_mut(), &windows, watch);
            rows.push(Row { attack, algorithm, outcome });
        }
    }
    Ok(rows)
}
