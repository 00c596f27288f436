//! A small world around one account: a cell with compare-and-swap, and a few clients of it.
//!
//! The clients follow the protocol of `drive` and of a host: load, step, swap, step again after a
//! lost race; load again after an unanswered swap, recognise what was one's own, or give up and
//! take the attempt back. What a client does is one action at a time, and between any two of them
//! anything else may happen.

#[path = "protocol.rs"]
mod protocol;

use std::time::Duration;

use stateright::{Model, Property};
use vouchsafe_core::{Cell, Timestamp};

use crate::Steps;
use crate::common::START;

/// The clock moves in steps of a charge's shortest time to settle.
pub const TICK: Duration = Duration::from_secs(10);

/// The rule, and how much may happen.
#[derive(Clone, Debug)]
pub struct Rule<M> {
    pub machine: M,
    /// W, in ticks.
    pub window: i64,
    /// D, in ticks.
    pub settle: i64,
    /// A success forgets the settled failures before it.
    pub clears: bool,
    /// The host takes back an attempt whose settlement as a failure went unanswered, though it was
    /// hashed. (No type of ours lets it: a `NotMatched` is not a `NotVerified`.)
    pub takes_back_guesses: bool,
    pub clients: usize,
    pub most: Left,
}

/// How often each of these may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    pub ticks: u8,
    pub attempts: u8,
    pub unlocks: u8,
    /// Swaps or their answers that get lost.
    pub losses: u8,
    /// Swaps that are answered by nobody and happen later.
    pub delays: u8,
    pub crashes: u8,
    /// Refunds that arrive for a charge which has been settled as a failure.
    pub strays: u8,
    /// In a world of honest clients: wrong passwords, crashes and settlements that are given up.
    /// `None`: anybody may do anything.
    pub mishaps: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    now: i64,
    cell: Option<Stored>,
    /// In order, so that worlds that differ by names only are one.
    clients: Vec<Client>,
    packet: Option<Packet>,
    left: Left,
    next: u64,
    /// What really happened since the last unlock, in the order in which it was charged.
    ledger: Vec<Entry>,
    unlocked: Vec<u64>,
    signed_in: u8,
    told_locked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Stored {
    bytes: Vec<u8>,
    until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    id: u64,
    at: i64,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Open,
    /// A wrong guess was hashed under it.
    Guessed,
    /// And settled.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Client {
    /// Nothing to do; perhaps it was told to wait, with an id that nobody has seen.
    Idle(Option<u64>),
    /// Has something to send, and has not begun.
    Has(Errand),
    /// Has loaded and stepped, and is about to swap.
    Swapping(Flight),
    /// Has swapped and hears nothing.
    Unanswered(Errand, Lost),
    /// Was admitted, and may hash.
    Verifying { id: u64, at: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Errand {
    Begin(u64),
    Right(u64),
    Wrong(u64),
    Refund(u64),
    Unlock(u64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Flight {
    errand: Errand,
    expects: Expects,
    /// `None` erases.
    put: Option<Stored>,
    answer: Answer,
    lost: Option<Lost>,
}

/// A version is random and never reused, so all that matters is whether it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Expects {
    Nothing,
    Loaded { unchanged: bool },
}

/// An unanswered swap: what it will have meant, and whether it is what the cell now holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Lost {
    answer: Answer,
    there: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Packet(Flight);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Answer {
    Admitted(i64),
    Wait,
    Locked,
    SignedIn,
    Failed,
    Refunded,
    Unlocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Tick,
    /// The store drops the cell, whose time is over.
    Sweep,
    /// The delayed swap arrives.
    Arrive,
    Begin(usize),
    Unlock(usize),
    Stray(usize, u64),
    Hash(usize, Found),
    /// The client loads and steps, for the first time or after an unanswered swap.
    Load(usize),
    Swap(usize, Reply),
    GiveUp(usize),
    Crash(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Right,
    Wrong,
    /// No hash started.
    Unverified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Answered,
    /// It happened, or lost its race, and nobody hears of it.
    AnswerLost,
    /// It never happens, and nobody hears of it.
    SwapLost,
    /// It happens later, and nobody hears of it.
    Delayed,
}

fn moment(now: i64) -> Timestamp {
    START.after(TICK * u32::try_from(now).unwrap())
}

fn ticks(moment: Timestamp) -> i64 {
    moment.since(START).as_secs() as i64 / TICK.as_secs() as i64
}

impl World {
    /// What the log says, for the properties and for whoever reads a counter-example.
    pub fn state<S: Cell>(&self) -> Option<S> {
        self.cell.as_ref().map(|cell| S::from_bytes(cell.bytes.clone()).unwrap())
    }

    pub fn time(&self) -> Timestamp {
        moment(self.now)
    }

    pub fn told_locked(&self) -> bool {
        self.told_locked
    }

    pub fn signed_in(&self) -> u8 {
        self.signed_in
    }

    /// The most wrong guesses that were hashed under charges of one window.
    pub fn worst_window(&self, window: i64) -> usize {
        let guessed = || self.ledger.iter().filter(|entry| entry.fate != Fate::Open);
        let until = |end: i64| guessed().filter(|e| e.at > end - window && e.at <= end).count();
        guessed().map(|entry| until(entry.at)).max().unwrap_or(0)
    }

    /// Nobody has anything under way, though somebody may have been told to wait.
    pub fn is_idle(&self) -> bool {
        self.clients.iter().all(|client| matches!(client, Client::Idle(_)))
    }

    /// All attempts were made and answered.
    pub fn is_over(&self) -> bool {
        self.left.attempts == 0 && self.clients.iter().all(|client| *client == Client::Idle(None))
    }

    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        self.ledger.iter_mut().find(|entry| entry.id == id)
    }

    fn mishap(&mut self) -> bool {
        match &mut self.left.mishaps {
            None => true,
            Some(left) => spend(left),
        }
    }

    fn flights(&mut self) -> impl Iterator<Item = &mut Flight> {
        let packet = self.packet.iter_mut().map(|packet| &mut packet.0);
        let clients = self.clients.iter_mut().filter_map(|client| match client {
            Client::Swapping(flight) => Some(flight),
            _ => None,
        });
        clients.chain(packet)
    }

    /// The cell is not what anybody loaded or wrote any more.
    fn changed(&mut self) {
        for flight in self.flights() {
            if let Expects::Loaded { unchanged } = &mut flight.expects {
                *unchanged = false;
            }
            if let Some(lost) = &mut flight.lost {
                lost.there = false;
            }
        }
        for client in &mut self.clients {
            if let Client::Unanswered(_, lost) = client {
                lost.there = false;
            }
        }
    }
}

fn spend(left: &mut u8) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

impl<M: Steps + Send + Sync + 'static> Model for Rule<M> {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: 0,
            cell: None,
            clients: vec![Client::Idle(None); self.clients],
            packet: None,
            left: self.most.clone(),
            next: 0,
            ledger: Vec::new(),
            unlocked: Vec::new(),
            signed_in: 0,
            told_locked: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        if self.may_tick(world) {
            actions.push(Action::Tick);
        }
        if world.cell.as_ref().is_some_and(|cell| cell.until <= world.time()) {
            actions.push(Action::Sweep);
        }
        if world.packet.is_some() {
            actions.push(Action::Arrive);
        }
        for (at, client) in world.clients.iter().enumerate() {
            // Two who stand alike: what one does, the other need not.
            if at > 0 && world.clients[at - 1] == *client {
                continue;
            }
            match client {
                Client::Idle(reserved) => {
                    if reserved.is_some() || left.attempts > 0 {
                        actions.push(Action::Begin(at));
                    }
                    if left.unlocks > 0 && reserved.is_none() {
                        actions.push(Action::Unlock(at));
                    }
                    if left.strays > 0 && reserved.is_none() {
                        let failed = world.ledger.iter().filter(|e| e.fate == Fate::Failed);
                        actions.extend(failed.map(|entry| Action::Stray(at, entry.id)));
                    }
                    continue;
                }
                Client::Verifying { at: charged, .. } => {
                    if world.now < charged + self.settle {
                        actions.push(Action::Hash(at, Found::Right));
                        actions.push(Action::Hash(at, Found::Wrong));
                    }
                    actions.push(Action::Hash(at, Found::Unverified));
                }
                Client::Has(_) => actions.push(Action::Load(at)),
                Client::Unanswered(..) => {
                    actions.push(Action::Load(at));
                    actions.push(Action::GiveUp(at));
                }
                Client::Swapping(_) => {
                    actions.push(Action::Swap(at, Reply::Answered));
                    if left.losses > 0 {
                        actions.push(Action::Swap(at, Reply::AnswerLost));
                        actions.push(Action::Swap(at, Reply::SwapLost));
                    }
                    if left.delays > 0 && world.packet.is_none() {
                        actions.push(Action::Swap(at, Reply::Delayed));
                    }
                }
            }
            if left.crashes > 0 {
                actions.push(Action::Crash(at));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.act(&mut next, action)?;
        next.clients.sort();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties(self)
    }
}
