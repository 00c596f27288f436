//! The rule once more, in as few lines as it takes, with a fault to choose: what the checker is
//! shown to catch.

use std::time::Duration;

use vouchsafe_core::{
    Authenticated, Cell, Charged, Corrupt, Machine, PolicyDigest, Space, Step, Timestamp,
};
use vouchsafe_lockout::{Lock, LockoutEvent, LockoutVerdict, Reason};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// Checks, lets verify, and counts afterwards.
    CountsLate,
    /// Takes back a charge that was settled as a failure.
    RefundsFailures,
    /// An unlock whose answer was lost unlocks once more.
    UnlocksAgain,
    /// A success whose answer was lost forgets the failures of others once more.
    ClearsAgain,
    /// A success forgets the failures that came after it, too.
    ClearsNewer,
    /// An attempt that was not verified stays charged.
    KeepsUnverified,
    /// Full of attempts that are being verified counts as locked.
    LocksWhileVerifying,
    /// The store may forget everything once the window is over: as ours, and a fault where an
    /// attempt may take longer than that.
    ForgetsWithTheWindow,
}

#[derive(Clone, Debug)]
pub struct Sketch {
    pub fault: Fault,
    pub failures: usize,
    pub window: Duration,
    pub settle: Duration,
    pub clears: bool,
}

/// When, under which id, and whether it is settled; and the ids of all unlocks.
#[derive(Clone, Debug, Default)]
pub struct Log {
    charges: Vec<(Timestamp, u64, bool)>,
    unlocked: Vec<u64>,
}

impl Cell for Log {
    const SPACE: Space = Space::Lockout;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let mut log = Self::default();
        for record in bytes.chunks(17) {
            let (number, rest) = record.split_first_chunk::<8>().ok_or(Corrupt)?;
            let (id, kind) = rest.split_first_chunk::<8>().ok_or(Corrupt)?;
            let (number, id) = (i64::from_le_bytes(*number), u64::from_le_bytes(*id));
            match kind {
                [2] => log.unlocked.push(id),
                kind => log.charges.push((Timestamp::from_micros(number), id, *kind == [1])),
            }
        }
        Ok(log)
    }

    fn into_bytes(self) -> Vec<u8> {
        let unlocked = self.unlocked.iter().map(|id| (0, *id, 2));
        let charges =
            self.charges.iter().map(|(at, id, failed)| (at.micros(), *id, u8::from(*failed)));
        let records = charges.chain(unlocked);
        let bytes = |(number, id, kind): (i64, u64, u8)| {
            [&number.to_le_bytes()[..], &id.to_le_bytes(), &[kind]].concat()
        };
        records.flat_map(bytes).collect()
    }
}

impl Machine for Sketch {
    type State = Log;
    type Event = LockoutEvent;
    type Verdict = LockoutVerdict;

    fn step(
        &self,
        was: Option<&Log>,
        event: &LockoutEvent,
        now: Timestamp,
    ) -> Step<Log, LockoutVerdict> {
        let mut log = was.cloned().unwrap_or_default();
        let until = match self.fault {
            Fault::ForgetsWithTheWindow => now.after(self.window),
            _ => Timestamp::MAX,
        };
        let save = |log: Log, verdict| Step::save(log, until, verdict);
        match event {
            LockoutEvent::Begin(begin) => {
                let id = begin.id().get();
                let own = log.charges.iter().find(|charge| charge.1 == id).copied();
                if let Some((at, ..)) = own {
                    let due = at.after(self.settle);
                    return Step::keep(if due > now {
                        admitted(event, due)
                    } else {
                        LockoutVerdict::Failed { locked: None, crossing: None }
                    });
                }
                log.charges.retain(|charge| charge.0 > now.before(self.window));
                if log.charges.len() >= self.failures {
                    let open = |c: &&(Timestamp, u64, bool)| !c.2 && c.0.after(self.settle) > now;
                    return Step::keep(match log.charges.iter().find(open) {
                        Some(open) if self.fault != Fault::LocksWhileVerifying => {
                            LockoutVerdict::Wait { until: open.0.after(self.settle) }
                        }
                        _ => LockoutVerdict::Locked {
                            lock: Lock { until: None, reason: Reason::Limit },
                            crossing: None,
                        },
                    });
                }
                let verdict = admitted(event, now.after(self.settle));
                if self.fault == Fault::CountsLate {
                    return Step::keep(verdict);
                }
                log.charges.push((now, id, false));
                save(log, verdict)
            }
            LockoutEvent::NotMatched(settle) => {
                let id = settle.id().get();
                if self.fault == Fault::CountsLate {
                    log.charges.push((now, id, true));
                }
                log.charges.iter_mut().filter(|charge| charge.1 == id).for_each(|c| c.2 = true);
                save(log, LockoutVerdict::Failed { locked: None, crossing: None })
            }
            LockoutEvent::Matched(settle) => {
                let id = settle.id().get();
                let own = log.charges.iter().position(|charge| charge.1 == id && !charge.2);
                if self.clears {
                    let before = match own {
                        _ if self.fault == Fault::ClearsNewer => log.charges.len(),
                        None if self.fault == Fault::ClearsAgain => log.charges.len(),
                        own => own.unwrap_or(0),
                    };
                    let newer = log.charges.split_off(before);
                    log.charges.retain(|charge| !charge.2);
                    log.charges.extend(newer);
                }
                log.charges.retain(|charge| charge.1 != id || charge.2);
                let proof = Authenticated::assertion(settle.account(), PolicyDigest::NONE, now);
                save(log, LockoutVerdict::Authenticated(proof))
            }
            LockoutEvent::NotVerified(settle) => {
                let id = settle.id().get();
                let stays = |failed: bool| match self.fault {
                    Fault::KeepsUnverified => true,
                    Fault::RefundsFailures => false,
                    _ => failed,
                };
                log.charges.retain(|charge| charge.1 != id || stays(charge.2));
                save(log, LockoutVerdict::Refunded)
            }
            LockoutEvent::Unlock { id, .. } => {
                if self.fault == Fault::UnlocksAgain || !log.unlocked.contains(&id.get()) {
                    log.charges.clear();
                    log.unlocked.push(id.get());
                }
                save(log, LockoutVerdict::Unlocked)
            }
            LockoutEvent::Announced { .. } => panic!("not in the small world"),
        }
    }
}

fn admitted(event: &LockoutEvent, deadline: Timestamp) -> LockoutVerdict {
    let LockoutEvent::Begin(begin) = event else { panic!("{event:?}") };
    let charged = Charged::assertion(begin.account(), begin.id(), PolicyDigest::NONE, deadline);
    LockoutVerdict::Admitted(charged)
}
