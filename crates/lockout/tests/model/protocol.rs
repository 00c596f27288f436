//! What the clients do: the protocol of `drive`, and of a host around it.

use vouchsafe_core::{Cell, ChargeId, Effect, Matched, NotMatched, NotVerified, Standing};
use vouchsafe_lockout::{Begin, LockoutEvent, LockoutVerdict};

use super::{
    Action, Answer, Client, Entry, Errand, Expects, Fate, Flight, Found, Lost, Packet, Reply, Rule,
    Stored, World, ticks,
};
use crate::Steps;
use crate::common::{ACCOUNT, charge};

impl Errand {
    fn event(self) -> LockoutEvent {
        match self {
            Self::Begin(id) => LockoutEvent::Begin(Begin::new(ACCOUNT, ChargeId::new(id))),
            Self::Right(id) => {
                LockoutEvent::Matched(Matched::assertion(charge(id), Standing::Chosen))
            }
            Self::Wrong(id) => LockoutEvent::NotMatched(NotMatched::assertion(charge(id))),
            Self::Refund(id) => LockoutEvent::NotVerified(NotVerified::assertion(charge(id))),
            Self::Unlock(id) => LockoutEvent::Unlock { account: ACCOUNT, id: ChargeId::new(id) },
        }
    }
}

impl<M: Steps> Rule<M> {
    /// The machine's step on the cell as it is now.
    fn step(&self, world: &World, errand: Errand) -> (Option<Option<Stored>>, Answer) {
        let state = world.state::<M::State>();
        let step = self.machine.step(state.as_ref(), &errand.event(), world.time());
        let (effect, pending) = step.split();
        let put = match effect {
            Effect::Keep => None,
            Effect::Erase if world.cell.is_none() => None,
            Effect::Erase => Some(None),
            Effect::Save { state, until } => {
                Some(Some(Stored { bytes: state.into_bytes(), until }))
            }
        };
        // The answer is not acted on before the put is done.
        let answer = match pending.committed() {
            LockoutVerdict::Admitted(charged) => {
                Answer::Admitted(ticks(charged.deadline()) - self.settle)
            }
            LockoutVerdict::Wait { .. } => Answer::Wait,
            LockoutVerdict::Locked { .. } => Answer::Locked,
            LockoutVerdict::Authenticated { .. } => Answer::SignedIn,
            LockoutVerdict::Failed { .. } => Answer::Failed,
            LockoutVerdict::Refunded => Answer::Refunded,
            LockoutVerdict::Unlocked => Answer::Unlocked,
            other => panic!("{other:?}"),
        };
        (put, answer)
    }

    /// Loads and steps: answered at once where nothing is to be written.
    fn load(&self, world: &mut World, errand: Errand, lost: Option<Lost>) -> Client {
        if let Some(lost) = lost.filter(|lost| lost.there) {
            return self.answered(world, errand, lost.answer, true);
        }
        let (put, answer) = self.step(world, errand);
        let Some(put) = put else {
            return self.answered(world, errand, answer, lost.is_some());
        };
        let expects = match world.cell {
            None => Expects::Nothing,
            Some(_) => Expects::Loaded { unchanged: true },
        };
        Client::Swapping(Flight { errand, expects, put, answer, lost })
    }

    /// Swaps, if the cell is what was loaded. Says whether it was.
    fn commit(&self, world: &mut World, flight: &Flight) -> bool {
        let matches = match flight.expects {
            Expects::Nothing => world.cell.is_none(),
            Expects::Loaded { unchanged } => unchanged,
        };
        if matches {
            world.changed();
            world.cell = flight.put.clone();
            self.note(world, flight.errand, flight.answer);
        }
        matches
    }

    /// What has now happened, whoever hears of it.
    fn note(&self, world: &mut World, errand: Errand, answer: Answer) {
        match (errand, answer) {
            (Errand::Begin(id), Answer::Admitted(at))
                if world.entry(id).is_none_or(|e| e.at != at && e.fate == Fate::Open) =>
            {
                // Charged; or again, after a first charge that nobody heard of was over.
                world.ledger.retain(|entry| entry.id != id);
                world.ledger.push(Entry { id, at, fate: Fate::Open });
            }
            (Errand::Wrong(id), Answer::Failed) => {
                if let Some(entry) = world.entry(id) {
                    entry.fate = Fate::Failed;
                }
            }
            (Errand::Right(id), Answer::SignedIn) => {
                let Some(own) = world.ledger.iter().position(|entry| entry.id == id) else {
                    return;
                };
                let newer = world.ledger.split_off(own).into_iter().skip(1);
                if self.clears {
                    world.ledger.retain(|older| older.fate != Fate::Failed);
                }
                world.ledger.extend(newer);
            }
            (Errand::Refund(id), _) => {
                // A guess that was hashed stays one, whatever is said of it later.
                world.ledger.retain(|entry| entry.id != id || entry.fate != Fate::Open);
            }
            // Stepped again, it is still one unlock.
            (Errand::Unlock(id), Answer::Unlocked) if !world.unlocked.contains(&id) => {
                world.ledger.clear();
                world.unlocked.push(id);
            }
            _ => {}
        }
    }

    /// The client hears an answer.
    fn answered(&self, world: &mut World, errand: Errand, answer: Answer, seen: bool) -> Client {
        match (errand, answer) {
            (Errand::Begin(id), Answer::Admitted(at)) => {
                // Who is admitted may hash, also where nothing was written.
                self.note(world, errand, answer);
                return Client::Verifying { id, at };
            }
            (Errand::Begin(id), Answer::Wait) => {
                // An id that a swap may have carried is not used for another attempt.
                return Client::Idle((!seen).then_some(id));
            }
            (Errand::Begin(_), Answer::Locked) if world.left.mishaps.is_some() => {
                world.told_locked = true;
            }
            (Errand::Right(_), Answer::SignedIn) if world.left.mishaps.is_some() => {
                world.signed_in += 1;
            }
            _ => {}
        }
        Client::Idle(None)
    }

    /// Whether time may pass: in a world of honest clients everything is settled in time.
    pub(super) fn may_tick(&self, world: &World) -> bool {
        if world.left.ticks == 0 {
            return false;
        }
        if world.left.mishaps.is_none() {
            return true;
        }
        let late = |at: i64| at + self.settle <= world.now + 1;
        let charged = |errand: Errand| match errand {
            Errand::Begin(id) | Errand::Right(id) | Errand::Refund(id) => {
                world.ledger.iter().any(|entry| entry.id == id && late(entry.at))
            }
            Errand::Wrong(_) | Errand::Unlock(_) => false,
        };
        !world.clients.iter().any(|client| match client {
            Client::Idle(_) => false,
            Client::Verifying { at, .. } => late(*at),
            Client::Has(errand) | Client::Unanswered(errand, _) => charged(*errand),
            Client::Swapping(flight) => match flight.answer {
                Answer::Admitted(at) => late(at),
                _ => charged(flight.errand),
            },
        })
    }

    pub(super) fn act(&self, world: &mut World, action: Action) -> Option<()> {
        match action {
            Action::Tick => {
                world.left.ticks -= 1;
                world.now += 1;
            }
            Action::Sweep => {
                world.cell = None;
                world.changed();
            }
            Action::Arrive => {
                let Packet(flight) = world.packet.take()?;
                if self.commit(world, &flight) && flight.put.is_some() {
                    // Whoever still waits for it finds it there.
                    for client in &mut world.clients {
                        match client {
                            Client::Unanswered(errand, lost) if *errand == flight.errand => {
                                *lost = Lost { answer: flight.answer, there: true };
                            }
                            Client::Swapping(other) if other.errand == flight.errand => {
                                other.lost = Some(Lost { answer: flight.answer, there: true });
                            }
                            _ => {}
                        }
                    }
                }
            }
            Action::Begin(at) => {
                let id = match world.clients[at] {
                    Client::Idle(Some(id)) => id,
                    _ => {
                        world.left.attempts -= 1;
                        world.next += 1;
                        world.next
                    }
                };
                world.clients[at] = self.load(world, Errand::Begin(id), None);
            }
            Action::Unlock(at) => {
                world.left.unlocks -= 1;
                world.next += 1;
                world.clients[at] = self.load(world, Errand::Unlock(world.next), None);
            }
            Action::Stray(at, id) => {
                world.left.strays -= 1;
                world.clients[at] = self.load(world, Errand::Refund(id), None);
            }
            Action::Hash(at, found) => {
                let Client::Verifying { id, at: charged } = world.clients[at] else { return None };
                let errand = match found {
                    Found::Right => Errand::Right(id),
                    Found::Unverified => Errand::Refund(id),
                    Found::Wrong => {
                        if !world.mishap() {
                            return None;
                        }
                        if let Some(entry) = world.entry(id) {
                            // Under the charge that was heard of.
                            (entry.at, entry.fate) = (charged, Fate::Guessed);
                        }
                        Errand::Wrong(id)
                    }
                };
                world.clients[at] = Client::Has(errand);
            }
            Action::Load(at) => {
                world.clients[at] = match world.clients[at].clone() {
                    Client::Has(errand) => self.load(world, errand, None),
                    Client::Unanswered(errand, lost) => self.load(world, errand, Some(lost)),
                    _ => return None,
                };
            }
            Action::Swap(at, reply) => {
                let Client::Swapping(flight) = world.clients[at].clone() else { return None };
                world.clients[at] = self.swap(world, flight, reply)?;
            }
            Action::GiveUp(at) => {
                let Client::Unanswered(errand, _) = world.clients[at] else { return None };
                world.clients[at] = match errand {
                    Errand::Begin(id) => Client::Has(Errand::Refund(id)),
                    // Refunds are kept until the store takes them.
                    Errand::Refund(_) => Client::Has(errand),
                    Errand::Wrong(id) if self.takes_back_guesses => Client::Has(Errand::Refund(id)),
                    Errand::Unlock(_) => Client::Idle(None),
                    Errand::Right(_) | Errand::Wrong(_) => {
                        if !world.mishap() {
                            return None;
                        }
                        Client::Idle(None)
                    }
                };
            }
            Action::Crash(at) => {
                if !world.mishap() {
                    return None;
                }
                world.left.crashes -= 1;
                world.clients[at] = Client::Idle(None);
            }
        }
        Some(())
    }

    fn swap(&self, world: &mut World, flight: Flight, reply: Reply) -> Option<Client> {
        let errand = flight.errand;
        match reply {
            Reply::Answered if self.commit(world, &flight) => {
                Some(self.answered(world, errand, flight.answer, true))
            }
            // Stepped again on what the conflict brought along.
            Reply::Answered => Some(self.load(world, errand, flight.lost)),
            Reply::AnswerLost | Reply::SwapLost => {
                world.left.losses -= 1;
                let done = reply == Reply::AnswerLost && self.commit(world, &flight);
                let there = done && flight.put.is_some();
                let earlier = flight.lost.filter(|lost| lost.there && !done);
                let lost = earlier.unwrap_or(Lost { answer: flight.answer, there });
                Some(Client::Unanswered(errand, lost))
            }
            Reply::Delayed => {
                world.left.delays -= 1;
                let lost = Lost { answer: flight.answer, there: false };
                world.packet = Some(Packet(flight));
                Some(Client::Unanswered(errand, lost))
            }
        }
    }
}
