//! What happens, in order of simulated time.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use vouchsafe_core::Timestamp;
use vouchsafe_lockout::Wait;

use crate::attack::{Attack, Extent};
use crate::guard::{Answer, Attempt, Guard, Name, Who};
use crate::honest::{Honest, TRIES, Visit};
use crate::monitor::Monitor;
use crate::world::{DAY, HOUR, START, VERIFY, World};

/// Reads a clock that only goes forward, in nanoseconds.
pub type Stopwatch = fn() -> u64;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub part: u32,
    /// Of how many.
    pub of: u32,
}

impl Share {
    /// In percent; none of nothing.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        (self.of > 0).then(|| f64::from(self.part) * 100.0 / f64::from(self.of))
    }
}

/// What an attack came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The most guesses of strangers that were verified on one account in any 24 hours.
    pub guesses: usize,
    /// The most wrong passwords, whoever typed them, that were verified for one name in any window,
    /// for each window that was asked for.
    pub wrong: Vec<usize>,
    /// Attacked accounts whose password a stranger was told is right.
    pub opened: Share,
    /// Users that nobody attacked who were refused with the right password at least once.
    pub false_locks: Share,
    /// Visits of attacked users on a device they have used before that ended signed in.
    pub known: Share,
    /// The same on a strange device.
    pub elsewhere: Share,
    /// Visits of everybody else that ended signed in.
    pub bystanders: Share,
    /// The most bytes the guard kept, looked at each hour.
    pub bytes: usize,
    /// When a stranger first tried.
    pub began: Option<Timestamp>,
    /// When the guard said that many accounts are being tried.
    pub alarms: Vec<Timestamp>,
    /// The time that 99 of 100 decisions stay below, in nanoseconds; measured.
    pub p99: Option<u64>,
}

/// An attack on the users of a world.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Whose accounts.
    pub world: &'a World,
    /// What their owners do meanwhile.
    pub honest: &'a Honest,
    /// The attack.
    pub attack: Attack,
    /// How much of it.
    pub extent: Extent,
}

enum Next {
    Settle(u64, Attempt, bool),
    Try { visit: u32, attempt: u8 },
}

struct Event {
    at: Timestamp,
    order: u64,
    next: Next,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, as a heap gives the greatest.
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Replays the scene against a guard; `windows` are those in which wrong passwords are counted.
pub fn replay(
    scene: &Scene<'_>,
    guard: &mut dyn Guard,
    windows: &[Duration],
    watch: Option<Stopwatch>,
) -> Outcome {
    let mut run = Run {
        scene,
        guard,
        watch,
        queue: BinaryHeap::new(),
        order: 0,
        line: Line::default(),
        guesses: Monitor::new(DAY),
        wrong: windows.iter().map(|window| Monitor::new(*window)).collect(),
        opened: BTreeSet::new(),
        refused: BTreeSet::new(),
        signed_in: vec![false; scene.honest.visits.len()],
        times: Vec::new(),
        began: None,
        bytes: 0,
    };
    run.all();
    run.outcome()
}

struct Run<'a> {
    scene: &'a Scene<'a>,
    guard: &'a mut dyn Guard,
    watch: Option<Stopwatch>,
    queue: BinaryHeap<Event>,
    order: u64,
    line: Line,
    guesses: Monitor,
    wrong: Vec<Monitor>,
    opened: BTreeSet<u32>,
    refused: BTreeSet<u32>,
    signed_in: Vec<bool>,
    times: Vec<u32>,
    began: Option<Timestamp>,
    bytes: usize,
}

impl Run<'_> {
    /// Takes what is next from four queues, each in order of time, until all are empty.
    fn all(&mut self) {
        let Scene { world, honest, attack, extent } = *self.scene;
        let mut strangers = attack.trace(world, extent).peekable();
        let mut visits = (0_u32..).zip(&honest.visits).peekable();
        let mut programs = honest.programs.iter().peekable();
        let mut upkeep = START.after(HOUR);
        loop {
            let heads = [
                self.queue.peek().map(|event| event.at),
                visits.peek().map(|(_, visit)| visit.at),
                programs.peek().map(|(at, _)| *at),
                strangers.peek().map(|(at, _)| *at),
            ];
            let Some((now, which)) =
                heads.iter().zip(0_u8..).filter_map(|(at, which)| Some(((*at)?, which))).min()
            else {
                break;
            };
            while upkeep <= now {
                self.guard.upkeep(upkeep);
                self.bytes = self.bytes.max(self.guard.bytes());
                upkeep = upkeep.after(HOUR);
            }
            match which {
                0 => self.due(now),
                1 => {
                    if let Some((number, visit)) = visits.next() {
                        self.begin(visit.attempt(world, number, 0, now), now);
                    }
                }
                2 => {
                    if let Some((_, attempt)) = programs.next() {
                        self.begin(*attempt, now);
                    }
                }
                _ => {
                    if let Some((_, attempt)) = strangers.next() {
                        self.began = self.began.or(Some(now));
                        self.begin(attempt, now);
                    }
                }
            }
        }
        self.bytes = self.bytes.max(self.guard.bytes());
    }

    fn due(&mut self, now: Timestamp) {
        let Some(event) = self.queue.pop() else { return };
        match event.next {
            Next::Settle(ticket, attempt, right) => {
                self.guard.settle(ticket, &attempt, right, now);
                self.told(&attempt, right, now);
                self.next_in_line(attempt.name, now);
            }
            Next::Try { visit, attempt } => {
                let index = usize::try_from(visit).unwrap_or(usize::MAX);
                if let Some(what) = self.scene.honest.visits.get(index) {
                    self.begin(what.attempt(self.scene.world, visit, attempt, now), now);
                }
            }
        }
    }

    fn push(&mut self, at: Timestamp, next: Next) {
        self.order = self.order.wrapping_add(1);
        self.queue.push(Event { at, order: self.order, next });
    }

    fn begin(&mut self, attempt: Attempt, now: Timestamp) {
        if self.has_it(&attempt) {
            return;
        }
        match self.ask(&attempt, now) {
            Answer::Verify(ticket) => self.verify(ticket, attempt, now),
            Answer::Refuse => self.turned_away(&attempt, now),
            Answer::Wait => {
                if !self.line.join(attempt, now) {
                    self.turned_away(&attempt, now);
                }
            }
        }
    }

    /// Whoever has a password does not go on guessing it.
    fn has_it(&self, attempt: &Attempt) -> bool {
        matches!((attempt.who, attempt.name),
            (Who::Stranger, Name::User(user)) if self.opened.contains(&user))
    }

    fn ask(&mut self, attempt: &Attempt, now: Timestamp) -> Answer {
        let Some(watch) = self.watch else { return self.guard.begin(attempt, now) };
        let before = watch();
        let answer = self.guard.begin(attempt, now);
        let took = watch().saturating_sub(before);
        self.times.push(u32::try_from(took).unwrap_or(u32::MAX));
        answer
    }

    fn verify(&mut self, ticket: u64, attempt: Attempt, now: Timestamp) {
        let right = self.is_right(&attempt, now);
        if attempt.who == Who::Stranger {
            self.guesses.saw(attempt.name, now);
        }
        if !right {
            for monitor in &mut self.wrong {
                monitor.saw(attempt.name, now);
            }
        }
        self.push(now.after(VERIFY), Next::Settle(ticket, attempt, right));
    }

    fn is_right(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let Name::User(user) = attempt.name else { return false };
        let user = self.scene.world.users.get(usize::try_from(user).unwrap_or(usize::MAX));
        user.is_some_and(|user| user.password_at(now) == attempt.password)
    }

    fn told(&mut self, attempt: &Attempt, right: bool, now: Timestamp) {
        match (attempt.who, attempt.name) {
            (Who::Stranger, Name::User(user)) if right => {
                self.opened.insert(user);
            }
            (Who::Owner { visit, .. }, _) if right => {
                let index = usize::try_from(visit).unwrap_or(usize::MAX);
                if let Some(done) = self.signed_in.get_mut(index) {
                    *done = true;
                }
            }
            (Who::Owner { .. }, _) => self.again(attempt, now),
            _ => {}
        }
    }

    fn turned_away(&mut self, attempt: &Attempt, now: Timestamp) {
        if let (Who::Owner { .. }, Name::User(user)) = (attempt.who, attempt.name) {
            if self.is_right(attempt, now) {
                self.refused.insert(user);
            }
            self.again(attempt, now);
        }
    }

    /// The owner tries once more, a little later, unless they have had enough.
    fn again(&mut self, attempt: &Attempt, now: Timestamp) {
        let Who::Owner { visit, attempt: tries } = attempt.who else { return };
        let tries = tries.saturating_add(1);
        let first = self.scene.honest.visits.get(usize::try_from(visit).unwrap_or(usize::MAX));
        if let (Some(first), Some(later)) = (first, TRIES.get(usize::from(tries))) {
            let at = first.at.after(*later).max(now);
            self.push(at, Next::Try { visit, attempt: tries });
        }
    }

    /// One place has become free: whoever waits is asked about, in turn, until one must wait on.
    fn next_in_line(&mut self, name: Name, now: Timestamp) {
        while let Some((attempt, patience)) = self.line.leave(name) {
            if self.has_it(&attempt) {
                continue;
            }
            if patience < now {
                self.turned_away(&attempt, now);
                continue;
            }
            match self.ask(&attempt, now) {
                Answer::Verify(ticket) => self.verify(ticket, attempt, now),
                Answer::Refuse => self.turned_away(&attempt, now),
                Answer::Wait => {
                    self.line.rejoin(attempt, patience);
                    break;
                }
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let attack = self.scene.attack;
        let users = self.scene.world.len();
        let attacked = (0..users).filter(|user| attack.hits(*user)).count();
        let attacked = u32::try_from(attacked).unwrap_or(u32::MAX);
        let opened = u32::try_from(self.opened.len()).unwrap_or(u32::MAX);
        let refused = self.refused.iter().filter(|user| !attack.hits(**user)).count();
        let visits = |wanted: &dyn Fn(&Visit) -> bool| {
            let all = self.scene.honest.visits.iter().zip(&self.signed_in);
            all.filter(|(visit, _)| wanted(visit)).fold(Share::default(), |share, (_, done)| {
                Share {
                    part: share.part.saturating_add(u32::from(*done)),
                    of: share.of.saturating_add(1),
                }
            })
        };
        let (known, elsewhere, bystanders) = (
            visits(&|visit| attack.hits(visit.user) && visit.device.is_some()),
            visits(&|visit| attack.hits(visit.user) && visit.device.is_none()),
            visits(&|visit| !attack.hits(visit.user)),
        );
        let rank = self.times.len().saturating_mul(99).checked_div(100).unwrap_or(0);
        let p99 =
            (rank < self.times.len()).then(|| u64::from(*self.times.select_nth_unstable(rank).1));
        Outcome {
            guesses: self.guesses.most(),
            wrong: self.wrong.iter().map(Monitor::most).collect(),
            opened: Share { part: opened, of: attacked },
            false_locks: Share {
                part: u32::try_from(refused).unwrap_or(u32::MAX),
                of: users.saturating_sub(attacked),
            },
            known,
            elsewhere,
            bystanders,
            bytes: self.bytes,
            began: self.began,
            alarms: self.guard.alarms().to_vec(),
            p99,
        }
    }
}

/// Who waits for a place, as the engine's policy bounds it.
#[derive(Default)]
struct Line {
    waiting: HashMap<Name, VecDeque<(Attempt, Timestamp)>>,
    bounds: Wait,
    all: u32,
}

impl Line {
    fn join(&mut self, attempt: Attempt, now: Timestamp) -> bool {
        let line = self.waiting.entry(attempt.name).or_default();
        let here = u32::try_from(line.len()).unwrap_or(u32::MAX);
        if here >= self.bounds.per_key || self.all >= self.bounds.per_process {
            return false;
        }
        self.all = self.all.saturating_add(1);
        line.push_back((attempt, now.after(self.bounds.time)));
        true
    }

    fn leave(&mut self, name: Name) -> Option<(Attempt, Timestamp)> {
        let line = self.waiting.get_mut(&name)?;
        let first = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&name);
        }
        self.all = self.all.saturating_sub(u32::from(first.is_some()));
        first
    }

    fn rejoin(&mut self, attempt: Attempt, patience: Timestamp) {
        self.all = self.all.saturating_add(1);
        self.waiting.entry(attempt.name).or_default().push_front((attempt, patience));
    }
}
