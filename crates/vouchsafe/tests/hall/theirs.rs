//! The published faults, each as the one thing that is wrong with an otherwise careful counter.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::guard::{Answer, Begun, Guard, OWNER};

const DAY: Duration = Duration::from_secs(86_400);
const MOST: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Nothing,
    /// Looks whether it is locked, verifies, then counts.
    CountsLate,
    /// Reads the count, verifies, writes the count plus one; a write that comes second is lost.
    LosesCounts,
    /// One way in does not ask whether it is locked.
    LeavesADoor,
    /// Keeps so many counters, and drops the oldest for a new one.
    Evicts(usize),
    /// A success clears the counter and the lock, whatever came in between.
    ClearsOnSuccess,
    /// Only names that exist are hashed for and counted.
    KnownOnly,
    /// Locks when there are more than N.
    OneTooMany,
    /// The counter of the empty name is everybody's.
    EmptyIsEverybody,
    /// Counts by address, whoever is tried from there.
    ByAddress,
    /// An attempt while locked starts the lock anew.
    Extends,
    /// An attempt under way locks out the others.
    LocksWhileVerifying,
    /// No answer from the store counts as none counted.
    FailsOpen,
}

/// A log of the last day's attempts, charged before they are verified; but for its flaw.
pub struct Theirs {
    flaw: Flaw,
    now: Duration,
    next: u64,
    /// When and under which number, by name.
    charges: BTreeMap<String, Vec<(Duration, u64)>>,
    oldest: VecDeque<String>,
    verifying: usize,
    looked_at: u64,
    down: bool,
}

pub struct Ticket {
    key: String,
    name: String,
    number: u64,
    /// How many were counted when it began.
    read: usize,
}

impl Theirs {
    pub fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            now: DAY,
            next: 0,
            charges: BTreeMap::new(),
            oldest: VecDeque::new(),
            verifying: 0,
            looked_at: 0,
            down: false,
        }
    }

    /// The process dies, and what it kept in memory with it.
    pub fn restart(&mut self) {
        self.charges.clear();
    }

    fn counter(&mut self, key: &str) -> &mut Vec<(Duration, u64)> {
        if !self.charges.contains_key(key) {
            self.oldest.push_back(key.to_owned());
            if let Flaw::Evicts(most) = self.flaw
                && self.oldest.len() > most
            {
                let oldest = self.oldest.pop_front().unwrap();
                self.charges.remove(&oldest);
            }
        }
        let gone = self.now - DAY;
        let charges = self.charges.entry(key.to_owned()).or_default();
        charges.retain(|(at, _)| *at > gone);
        charges
    }

    fn count(&mut self, key: &str, number: u64) {
        let now = self.now;
        self.counter(key).push((now, number));
    }
}

impl Guard for Theirs {
    type Ticket = Ticket;

    fn begin(&mut self, name: &str, source: &str) -> Begun<Ticket> {
        let (flaw, now) = (self.flaw, self.now);
        if name.is_empty() && flaw != Flaw::EmptyIsEverybody {
            return Begun::Refused(Answer::NotNow);
        }
        let key = if flaw == Flaw::ByAddress { source } else { name };
        self.next += 1;
        let number = self.next;
        let ticket = |read| Ticket { key: key.to_owned(), name: name.to_owned(), number, read };
        if self.down {
            return match flaw {
                Flaw::FailsOpen => Begun::Admitted(ticket(0)),
                _ => Begun::Refused(Answer::NotNow),
            };
        }
        if flaw == Flaw::KnownOnly && name != OWNER {
            return Begun::Admitted(ticket(0));
        }
        if flaw == Flaw::LocksWhileVerifying && self.verifying > 0 {
            return Begun::Refused(Answer::Locked);
        }
        let everybody = flaw == Flaw::EmptyIsEverybody && self.counter("").len() >= MOST;
        let most = if flaw == Flaw::OneTooMany { MOST + 1 } else { MOST };
        let counted = self.counter(key);
        let read = counted.len();
        if read >= most || everybody {
            if flaw == Flaw::Extends {
                counted.iter_mut().for_each(|(at, _)| *at = now);
            }
            // Of those that are counted, some may yet turn out right.
            return if self.verifying > 0 && !everybody {
                Begun::Waits
            } else {
                Begun::Refused(Answer::Locked)
            };
        }
        if !matches!(flaw, Flaw::CountsLate | Flaw::LosesCounts) {
            self.count(key, number);
        }
        self.verifying += 1;
        Begun::Admitted(ticket(read))
    }

    fn finish(&mut self, ticket: Ticket, right: bool) -> Answer {
        self.verifying = self.verifying.saturating_sub(1);
        let known = ticket.name == OWNER;
        if known || self.flaw != Flaw::KnownOnly {
            self.looked_at += 1;
        }
        let Ticket { key, number, read, .. } = ticket;
        if right && known {
            let clears = self.flaw == Flaw::ClearsOnSuccess;
            self.counter(&key).retain(|(_, other)| !clears && *other != number);
            return Answer::SignedIn;
        }
        let late = match self.flaw {
            Flaw::CountsLate => true,
            Flaw::LosesCounts => self.counter(&key).len() == read,
            _ => false,
        };
        if late {
            self.count(&key, number);
        }
        Answer::Wrong
    }

    fn other_door(&mut self) -> Answer {
        if self.flaw == Flaw::LeavesADoor {
            self.looked_at += 1;
            return Answer::Wrong;
        }
        self.guess()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn lose_the_store(&mut self) {
        self.down = true;
    }

    fn looked_at(&self) -> u64 {
        self.looked_at
    }
}
