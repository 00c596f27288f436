//! When do the owners sign in, and what goes wrong for them.

use std::time::Duration;

use vouchsafe_core::{Source, Timestamp};

use crate::dice::Dice;
use crate::guard::{Attempt, Name, Who};
use crate::world::{DAY, Password, START, World, hours, minutes, office};

/// When somebody tries again, measured from the first try; then they give up.
pub const TRIES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(90),
    Duration::from_secs(300),
    Duration::from_secs(600),
];

/// Somebody comes to sign in, and tries until it works or they give up.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// When.
    pub at: Timestamp,
    /// Which user.
    pub user: u32,
    /// From where.
    pub source: Source,
    /// On which device of theirs; none when it is a strange one.
    pub device: Option<u8>,
    /// Which tries are mistyped.
    errors: u8,
    /// First types the password that was changed.
    habit: bool,
}

impl Visit {
    /// What is typed at the nth try.
    #[must_use]
    pub fn password(&self, world: &World, attempt: u8, now: Timestamp) -> Password {
        let Some(user) = world.users.get(usize::try_from(self.user).unwrap_or(usize::MAX)) else {
            return Password::NOBODYS;
        };
        if self.errors >> attempt & 1 == 1 {
            Password::NOBODYS
        } else if self.habit && attempt == 0 {
            user.password
        } else {
            user.password_at(now)
        }
    }

    /// The nth try.
    #[must_use]
    pub fn attempt(&self, world: &World, visit: u32, attempt: u8, now: Timestamp) -> Attempt {
        Attempt {
            name: Name::User(self.user),
            password: self.password(world, attempt, now),
            source: self.source,
            device: self.device,
            who: Who::Owner { visit, attempt },
        }
    }
}

/// Everything that the owners and their programs do.
#[derive(Clone, Debug, Default)]
pub struct Honest {
    /// Sign-ins, in order of time.
    pub visits: Vec<Visit>,
    /// What programs with an old password do, in order of time.
    pub programs: Vec<(Timestamp, Attempt)>,
}

impl Honest {
    /// So many days of it.
    ///
    /// On a working day 19 of 20 come to the office in the morning (on Mondays all of them, within
    /// the hour from eight), three in five sign in again after lunch, three in ten on a phone at
    /// home, and one in twenty on a strange device. At the weekend one in ten signs in at home. One
    /// in three first types the old password on the day it was changed, and one in five has a
    /// program that goes on with the old one every quarter of an hour until the evening.
    #[must_use]
    pub fn new(seed: u64, world: &World, days: u32) -> Self {
        let dice = Dice::new(seed, 2);
        let mut honest = Self::default();
        for day in 0..days {
            let midnight = START.after(DAY.saturating_mul(day));
            for (number, user) in (0_u32..).zip(&world.users) {
                let mut visit = |from: Duration, to: Duration, source, device| {
                    let at = midnight.after(dice.between(from, to));
                    let mistyped = |tries: u8, n: u32| {
                        tries | u8::from(dice.per_mille(user.errors)).checked_shl(n).unwrap_or(0)
                    };
                    let errors = (0..6).fold(0, mistyped);
                    let habit = dice.per_mille(333)
                        && user.renewed.is_some_and(|(then, _)| at > then && at < then.after(DAY));
                    honest.visits.push(Visit { at, user: number, source, device, errors, habit });
                };
                let (works, monday) = (day % 7 < 5, day % 7 == 0);
                let (desk, phone, here) = (Some(0), Some(1), office(user.office));
                if works && (monday || dice.per_mille(950)) {
                    let last = if monday { hours(9) } else { hours(10) };
                    visit(hours(8), last, here, desk);
                    if dice.per_mille(600) {
                        visit(minutes(750), hours(14), here, desk);
                    }
                }
                if dice.per_mille(if works { 300 } else { 100 }) {
                    visit(hours(18), hours(23), user.home, phone);
                }
                if works && dice.per_mille(50) {
                    visit(hours(10), hours(18), user.home, None);
                }
            }
        }
        honest.visits.sort_by_key(|visit| (visit.at, visit.user));
        honest.run_programs(world, days, &dice);
        honest
    }

    fn run_programs(&mut self, world: &World, days: u32, dice: &Dice) {
        let end = START.after(DAY.saturating_mul(days));
        for (number, user) in (0_u32..).zip(&world.users) {
            let Some((renewed, _)) = user.renewed.filter(|_| dice.per_mille(200)) else { continue };
            let mut at = renewed.after(dice.between(Duration::ZERO, minutes(15)));
            while at < renewed.after(hours(8)) && at < end {
                let attempt = Attempt {
                    name: Name::User(number),
                    password: user.password,
                    source: office(user.office),
                    device: Some(1),
                    who: Who::Program,
                };
                self.programs.push((at, attempt));
                at = at.after(minutes(15));
            }
        }
        self.programs.sort_by_key(|(at, _)| *at);
    }
}
